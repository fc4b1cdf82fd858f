//! How a visit takes place. R4 has no element for it: it is read from codes where there are any, then from the words by
//! which the hospital knows its visits, and a place of care speaks for coming in person.

use serde_json::Value;

use crate::fhir::codes;

/// `virtual`, `phone`, `in_person`, or `unknown`: never a guess.
pub(super) fn of(resource: &Value) -> &'static str {
    let mut concepts = Vec::new();
    for element in ["appointmentType", "serviceType", "serviceCategory", "specialty", "type", "class"] {
        collect(&resource[element], &mut concepts);
    }
    for participant in resource["participant"].as_array().into_iter().flatten() {
        collect(&participant["type"], &mut concepts);
    }
    if let Some(found) = concepts.iter().find_map(|it| by_code(it)) {
        return found;
    }
    if let Some(found) = concepts.iter().find_map(|it| by_words(it)) {
        return found;
    }
    let is_place = |it: &Value| {
        let actor = it["actor"]["reference"].as_str().or_else(|| it["location"]["reference"].as_str());
        actor.is_some_and(|actor| actor.contains("Location/"))
    };
    let mut named = ["participant", "location"].into_iter().filter_map(|it| resource[it].as_array()).flatten();
    if named.any(is_place) { "in_person" } else { "unknown" }
}

/// Codings and texts of a CodeableConcept, a list of them, a CodeableReference (R5 on its way down) or a Coding.
fn collect<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Object(fields) => {
            into.push(value);
            for below in ["coding", "concept"] {
                if let Some(value) = fields.get(below) {
                    collect(value, into);
                }
            }
        }
        _ => {}
    }
}

fn by_code(coding: &Value) -> Option<&'static str> {
    let system = codes::canonical_system(coding["system"].as_str()?);
    match (system, coding["code"].as_str()?) {
        // Telemedicine consultation with patient; virtual encounter; video conference.
        (codes::SNOMED, "448337001") | (codes::ACT_CODE, "VR") | (codes::PARTICIPATION_MODE, "VIDEOCONF") => {
            Some("virtual")
        }
        // Telephone encounter; telephone consultation; telephone.
        (codes::SNOMED, "185317003" | "386472008") | (codes::PARTICIPATION_MODE, "PHONE") => Some("phone"),
        (codes::PARTICIPATION_MODE, "PHYSICAL" | "FACE") | (codes::ACT_CODE, "AMB") => Some("in_person"),
        _ => None,
    }
}

fn by_words(concept: &Value) -> Option<&'static str> {
    const VIRTUAL: [&str; 6] = ["video", "virtual", "telehealth", "tele-health", "telemedicine", "televisit"];
    const PHONE: [&str; 3] = ["phone", "telephone", "audio only"];
    let has = |words: &[&str]| {
        ["text", "display"].into_iter().filter_map(|it| concept[it].as_str()).any(|text| {
            let text = text.to_lowercase();
            words.iter().any(|word| text.contains(word))
        })
    };
    if has(&VIRTUAL) {
        Some("virtual")
    } else if has(&PHONE) {
        Some("phone")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_visit_takes_place_as_its_codes_then_its_words_then_its_place_say() {
        let place = json!([{ "actor": { "reference": "Location/main" } }]);
        let snomed = |code: &str| json!([{ "coding": [{ "system": codes::SNOMED, "code": code }] }]);
        for (resource, expected) in [
            (json!({ "participant": place }), "in_person"),
            (json!({ "participant": [{ "actor": { "reference": "Patient/p" } }] }), "unknown"),
            (json!({ "participant": place, "serviceType": snomed("448337001") }), "virtual"),
            (json!({ "participant": place, "serviceType": snomed("185317003") }), "phone"),
            (json!({ "participant": place, "appointmentType": { "text": "Video Visit" } }), "virtual"),
            (json!({ "serviceType": [{ "coding": [{ "display": "TELEPHONE follow-up" }] }] }), "phone"),
            (json!({ "serviceType": [{ "concept": { "text": "Telehealth" } }] }), "virtual"),
            (
                json!({ "class": { "system": codes::ACT_CODE, "code": "VR" }, "location": [{ "location": { "reference": "Location/1" } }] }),
                "virtual",
            ),
            // The code is surer than a word that somebody typed.
            (
                json!({ "serviceType": [{ "coding": [{ "system": codes::SNOMED, "code": "185317003" }], "text": "video or phone" }] }),
                "phone",
            ),
        ] {
            assert_eq!(of(&resource), expected, "{resource}");
        }
    }
}
