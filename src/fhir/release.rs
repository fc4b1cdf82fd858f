//! Servers of another release than R4: mapped at the border, so that everything inside sees R4 alone. R4B writes the
//! types that Beckon uses as R4 does; R5 renamed and regrouped some (R5 "Resource Differences", resource by resource).

use serde_json::{Map, Value, json};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Release {
    /// R4 (4.0) and R4B (4.3).
    #[default]
    R4,
    R5,
}

impl Release {
    /// From `CapabilityStatement.fhirVersion`; `None` for a release that Beckon does not speak.
    pub fn of_version(version: &str) -> Option<Self> {
        match version.split('.').next() {
            Some("4") => Some(Self::R4),
            Some("5") => Some(Self::R5),
            _ => None,
        }
    }

    /// Turns an answer, a resource or a Bundle of them, into R4.
    pub fn to_r4(self, value: &mut Value) {
        if self == Self::R5 {
            from_r5(value);
        }
    }

    /// Turns a resource of ours into what the server speaks.
    pub fn of_r4(self, resource: &Value) -> Value {
        let mut out = resource.clone();
        if self == Self::R5
            && let Value::Object(fields) = &mut out
        {
            match fields.get("resourceType").and_then(Value::as_str) {
                Some("Communication") => communication_to_r5(fields),
                Some("Task") => reasons_to_r5(fields),
                _ => {}
            }
        }
        out
    }
}

type Fields = Map<String, Value>;

fn from_r5(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    match fields.get("resourceType").and_then(Value::as_str) {
        Some("Bundle") => {
            for entry in fields.get_mut("entry").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(resource) = entry.get_mut("resource") {
                    from_r5(resource);
                }
            }
        }
        Some("Appointment") => appointment(fields),
        Some("CarePlan") => {
            let targets = take_list(fields, "addresses").into_iter().filter_map(|it| it.get("reference").cloned());
            put_list(fields, "addresses", targets.collect());
        }
        Some("Communication") => communication(fields),
        Some("Consent") => consent(fields),
        Some("Encounter") => encounter(fields),
        Some("Immunization") => reasons(fields),
        Some("MedicationRequest") => {
            reasons(fields);
            concept_or_reference(fields, "medication", "medicationCodeableConcept", "medicationReference");
            rename(fields, "reported", "reportedBoolean");
        }
        Some("Procedure") => {
            reasons(fields);
            for suffix in ["DateTime", "Period", "Age", "Range", "String"] {
                rename(fields, &format!("occurrence{suffix}"), &format!("performed{suffix}"));
            }
        }
        Some("ServiceRequest") => {
            reasons(fields);
            concept_or_reference(fields, "code", "code", "codeReference");
        }
        Some("Task") => reasons(fields),
        _ => {}
    }
}

fn appointment(fields: &mut Fields) {
    reasons(fields);
    rename(fields, "cancellationReason", "cancelationReason");
    let services = take_list(fields, "serviceType").into_iter().filter_map(|it| match it.get("concept") {
        Some(concept) => Some(concept.clone()),
        // Already a concept, or a reference to a HealthcareService alone.
        None => it.get("reference").is_none().then_some(it),
    });
    put_list(fields, "serviceType", services.collect());
    // A number in R4, words in R5.
    fields.shift_remove("priority");
    for participant in fields.get_mut("participant").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(required) = participant.get("required").and_then(Value::as_bool) {
            participant["required"] = json!(if required { "required" } else { "optional" });
        }
    }
    // R5 may name the patient beside the participants.
    let Some(subject) = fields.shift_remove("subject") else { return };
    let patient = subject["reference"].as_str().filter(|it| it.starts_with("Patient/")).map(str::to_owned);
    let Some(patient) = patient else { return };
    let participants = take_list(fields, "participant");
    let named = participants.iter().any(|it| it["actor"]["reference"] == patient.as_str());
    let more = (!named).then(|| json!({"actor": {"reference": patient}, "status": "needs-action"}));
    put_list(fields, "participant", participants.into_iter().chain(more).collect());
}

fn communication(fields: &mut Fields) {
    reasons(fields);
    for payload in fields.get_mut("payload").and_then(Value::as_array_mut).into_iter().flatten() {
        let text = payload["contentCodeableConcept"]["text"].as_str().map(str::to_owned);
        if let (Some(text), Some(payload)) = (text, payload.as_object_mut()) {
            payload.shift_remove("contentCodeableConcept");
            payload.insert("contentString".to_owned(), json!(text));
        }
    }
}

fn communication_to_r5(fields: &mut Fields) {
    reasons_to_r5(fields);
    for payload in fields.get_mut("payload").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(payload) = payload.as_object_mut()
            && let Some(text) = payload.shift_remove("contentString")
        {
            payload.insert("contentCodeableConcept".to_owned(), json!({"text": text}));
        }
    }
}

/// R5 tells the base rule in `decision`, and `provision` are exceptions to it.
fn consent(fields: &mut Fields) {
    rename(fields, "subject", "patient");
    rename(fields, "date", "dateTime");
    let decision = fields.shift_remove("decision");
    let exceptions = take_list(fields, "provision");
    if decision.is_none() && exceptions.is_empty() {
        return;
    }
    let opposite = match decision.as_ref().and_then(Value::as_str) {
        Some("deny") => "permit",
        Some("permit") => "deny",
        // Nobody can tell what the exceptions are from: the reader must see that.
        _ => "unknown",
    };
    let mut provision = Map::new();
    provision.insert("type".to_owned(), decision.unwrap_or_else(|| json!("unknown")));
    let typed = exceptions.into_iter().map(|mut it| {
        it["type"] = json!(opposite);
        it
    });
    put_list(&mut provision, "provision", typed.collect());
    fields.insert("provision".to_owned(), Value::Object(provision));
}

fn encounter(fields: &mut Fields) {
    let class = take_list(fields, "class").into_iter().next();
    let coding = class.map(|class| match class.get("coding").and_then(Value::as_array).and_then(|it| it.first()) {
        Some(coding) => coding.clone(),
        None => class,
    });
    fields.extend(coding.map(|coding| ("class".to_owned(), coding)));
    rename(fields, "actualPeriod", "period");
    rename(fields, "admission", "hospitalization");
    let status = match fields.get("status").and_then(Value::as_str) {
        Some("completed" | "discharged") => Some("finished"),
        Some("on-hold") => Some("onleave"),
        // Begun and not brought to an end: R4 has no word, and nothing may follow from it.
        Some("discontinued") => Some("unknown"),
        _ => None,
    };
    fields.extend(status.map(|status| ("status".to_owned(), json!(status))));
    for participant in fields.get_mut("participant").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(participant) = participant.as_object_mut() {
            rename(participant, "actor", "individual");
        }
    }
    let values =
        take_list(fields, "reason").into_iter().flat_map(|mut it| match it.get_mut("value").map(Value::take) {
            Some(Value::Array(values)) => values,
            _ => vec![it],
        });
    let values = values.collect();
    put_list(fields, "reason", values);
    reasons(fields);
}

/// `reason` (CodeableReference) becomes `reasonCode` and `reasonReference`.
fn reasons(fields: &mut Fields) {
    let all = take_list(fields, "reason");
    let of = |name: &str| all.iter().filter_map(|it| it.get(name).cloned()).collect::<Vec<_>>();
    let (concepts, references) = (of("concept"), of("reference"));
    if !all.is_empty() {
        put_list(fields, "reasonCode", concepts);
        put_list(fields, "reasonReference", references);
    }
}

fn reasons_to_r5(fields: &mut Fields) {
    let concepts = take_list(fields, "reasonCode").into_iter().map(|it| json!({"concept": it}));
    let concepts: Vec<Value> = concepts.collect();
    let references = take_list(fields, "reasonReference").into_iter().map(|it| json!({"reference": it}));
    put_list(fields, "reason", concepts.into_iter().chain(references).collect());
}

fn concept_or_reference(fields: &mut Fields, name: &str, concept: &str, reference: &str) {
    let is_either = fields
        .get(name)
        .is_some_and(|it| it.get("concept").is_some() || it.get("reference").is_some_and(Value::is_object));
    if !is_either {
        return;
    }
    let Some(Value::Object(mut either)) = fields.shift_remove(name) else { return };
    fields.extend(either.shift_remove("concept").map(|it| (concept.to_owned(), it)));
    fields.extend(either.shift_remove("reference").map(|it| (reference.to_owned(), it)));
}

/// The items of a list, which leaves the fields; a lone value counts as a list of one.
fn take_list(fields: &mut Fields, name: &str) -> Vec<Value> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(single) => vec![single],
    }
}

fn put_list(fields: &mut Fields, name: &str, items: Vec<Value>) {
    if !items.is_empty() {
        fields.insert(name.to_owned(), Value::Array(items));
    }
}

fn rename(fields: &mut Fields, from: &str, to: &str) {
    for (from, to) in [(from.to_owned(), to.to_owned()), (format!("_{from}"), format!("_{to}"))] {
        if let Some(value) = fields.shift_remove(&from) {
            fields.insert(to, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::read;

    fn r4(mut value: Value) -> Value {
        Release::R5.to_r4(&mut value);
        value
    }

    #[test]
    fn releases_are_told_by_their_version() {
        for (version, release) in
            [("4.0.1", Some(Release::R4)), ("4.3.0", Some(Release::R4)), ("5.0.0", Some(Release::R5)), ("3.0.2", None)]
        {
            assert_eq!(Release::of_version(version), release, "{version}");
        }
    }

    #[test]
    fn an_r5_appointment_is_read_as_an_r4_one() {
        let value = r4(json!({"resourceType": "Appointment", "id": "a1", "status": "booked",
            "start": "2026-03-05T15:00:00Z", "end": "2026-03-05T15:30:00Z", "priority": {"text": "soon"},
            "serviceType": [{"concept": {"text": "Cardiology"}}, {"reference": {"reference": "HealthcareService/h"}}],
            "reason": [{"concept": {"text": "why"}}, {"reference": {"reference": "Condition/c"}}],
            "subject": {"reference": "Patient/ada"},
            "participant": [{"actor": {"reference": "Location/l"}, "required": true, "status": "accepted"}]}));
        assert_eq!(value["serviceType"], json!([{"text": "Cardiology"}]));
        assert_eq!(value["reasonCode"], json!([{"text": "why"}]));
        assert_eq!(value["reasonReference"], json!([{"reference": "Condition/c"}]));
        assert_eq!(value["participant"][0]["required"], "required");
        let facts = read::appointment(&value).value.unwrap();
        assert_eq!(facts.patients().map(|it| it.to_string()).collect::<Vec<_>>(), ["ada"]);

        let off = r4(json!({"resourceType": "Appointment", "id": "a1", "status": "cancelled",
            "cancellationReason": {"coding": [{"code": "pat-dec"}]},
            "participant": [{"actor": {"reference": "Patient/ada"}, "status": "accepted"}]}));
        assert_eq!(read::appointment(&off).value.unwrap().cancelation_reason, ["pat-dec"]);
    }

    #[test]
    fn what_is_written_to_r5_comes_back_as_it_was() {
        let ours = json!({"resourceType": "Communication", "status": "completed",
            "reasonReference": [{"reference": "Condition/c"}], "topic": {"text": "t"},
            "payload": [{"contentString": "Appointment reminder"}]});
        let mut theirs = Release::R5.of_r4(&ours);
        assert_eq!(theirs["payload"], json!([{"contentCodeableConcept": {"text": "Appointment reminder"}}]));
        assert_eq!(theirs["reason"], json!([{"reference": {"reference": "Condition/c"}}]));
        assert!(theirs.get("reasonReference").is_none());
        Release::R5.to_r4(&mut theirs);
        assert_eq!(
            theirs,
            json!({"resourceType": "Communication", "status": "completed", "topic": {"text": "t"},
            "payload": [{"contentString": "Appointment reminder"}], "reasonReference": [{"reference": "Condition/c"}]})
        );
        assert_eq!(Release::R4.of_r4(&ours), ours);
    }

    #[test]
    fn a_denial_in_r5_denies() {
        let value = r4(json!({"resourceType": "Consent", "id": "c", "status": "active", "decision": "deny",
            "subject": {"reference": "Patient/ada"}, "category": [{"coding": [{"code": "59284-0"}]}],
            "provision": [{"code": [{"coding": [{"code": "EMAILWRIT"}]}]}]}));
        assert_eq!(value["provision"]["type"], "deny");
        assert_eq!(value["provision"]["provision"][0]["type"], "permit");
        assert_eq!(read::subject_of(&value), Some("ada".into()));
        let told = r4(
            json!({"resourceType": "Consent", "id": "c", "status": "active", "subject": {"reference": "Patient/ada"},
            "provision": [{}]}),
        );
        let told = read::consent(&told);
        assert!(!told.issues.is_empty());
        let word = told.value.and_then(|it| it.provision?.word);
        assert_eq!(word, Some(read::ConsentWord::Denies), "a rule of no kind is not a permission");
    }

    #[test]
    fn the_other_types_are_read_in_every_entry_of_a_bundle() {
        let bundle = r4(json!({"resourceType": "Bundle", "entry": [
            {"resource": {"resourceType": "Encounter", "id": "e", "status": "completed", "subject": {"reference": "Patient/ada"},
                "class": [{"coding": [{"code": "IMP"}]}], "actualPeriod": {"end": "2026-03-01"},
                "admission": {"dischargeDisposition": {"text": "home"}}, "participant": [{"actor": {"reference": "Practitioner/d"}}],
                "reason": [{"value": [{"concept": {"text": "w"}}]}]}},
            {"resource": {"resourceType": "Procedure", "id": "p", "status": "completed", "subject": {"reference": "Patient/ada"},
                "occurrenceDateTime": "2026-03-01"}},
            {"resource": {"resourceType": "MedicationRequest", "id": "m", "status": "ended", "intent": "order",
                "subject": {"reference": "Patient/ada"}, "medication": {"concept": {"text": "x"}}}},
            {"resource": {"resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order",
                "subject": {"reference": "Patient/ada"}, "code": {"concept": {"text": "HbA1c"}}}},
        ]}));
        let of = |at: usize| &bundle["entry"][at]["resource"];
        assert_eq!((of(0)["status"].as_str(), of(0)["class"]["code"].as_str()), (Some("finished"), Some("IMP")));
        assert_eq!(of(0)["period"]["end"], "2026-03-01");
        assert_eq!(of(0)["hospitalization"]["dischargeDisposition"]["text"], "home");
        assert_eq!(of(0)["participant"][0]["individual"]["reference"], "Practitioner/d");
        assert_eq!(of(0)["reasonCode"][0]["text"], "w");
        assert_eq!(of(1)["performedDateTime"], "2026-03-01");
        assert_eq!(of(2)["medicationCodeableConcept"]["text"], "x");
        assert_eq!(of(3)["code"]["text"], "HbA1c");
        use crate::domain::ResourceType as T;
        for (at, kind) in [T::Encounter, T::Procedure, T::MedicationRequest, T::ServiceRequest].into_iter().enumerate()
        {
            assert!(read::record(of(at), kind).unwrap().value.is_some(), "{kind}");
        }
    }
}
