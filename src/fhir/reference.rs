//! Literal references between resources of one server (R4 references.html).

use serde_json::Value;

use super::json;
use crate::domain::{PatientId, ResourceKey, ResourceType};

/// Rewrites every absolute reference into `base` as a relative one, through the whole tree.
///
/// Readers accept relative references only: an absolute one that is left points at another server, where the same id
/// may be another person. So whoever fetched `value` calls this first, with the base it fetched from. The scheme is
/// not compared: servers behind a proxy often answer `http:` links.
pub fn localize(value: &mut Value, base: &str) {
    let base = without_scheme(base).trim_end_matches('/').to_owned();
    localize_below(value, &base);
}

fn localize_below(value: &mut Value, base: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| localize_below(item, base)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if key == "reference" => {
                        let local = without_scheme(text).strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
                        if let Some(local) = local.map(str::to_owned) {
                            *text = local;
                        }
                    }
                    _ => localize_below(field, base),
                }
            }
        }
        _ => {}
    }
}

fn without_scheme(url: &str) -> &str {
    url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url)
}

/// The relative form (`Location/loc-4`, version dropped) of a Reference element, or why it names nothing on this
/// server.
pub(super) fn relative(reference: &Value) -> Result<String, &'static str> {
    let Some(text) = json::text(reference, "reference") else {
        return Err(if json::present(reference, "identifier") {
            "names its target by identifier only"
        } else {
            "has no literal reference"
        });
    };
    if text.starts_with('#') {
        return Err("points at a contained resource, which has no id of its own");
    }
    if text.contains(':') {
        return Err("points at another server");
    }
    let path = text.split("/_history/").next().unwrap_or(text);
    match path.split_once('/') {
        Some((kind, id)) if kind.chars().all(|c| c.is_ascii_alphabetic()) && !kind.is_empty() && is_id(id) => {
            Ok(path.to_owned())
        }
        _ => Err("is not of the form Type/id"),
    }
}

/// The key of a Reference element whose target is a type that Beckon knows.
pub fn key(reference: &Value) -> Option<ResourceKey> {
    let relative = relative(reference).ok()?;
    let (kind, id) = relative.split_once('/')?;
    Some(ResourceKey::new(ResourceType::parse(kind)?, id))
}

/// The patient that a Reference element names.
pub fn patient(reference: &Value) -> Option<PatientId> {
    key(reference).filter(|key| key.resource_type == ResourceType::Patient).map(|key| PatientId::new(key.id))
}

/// Whether a text can be a logical id. Longer ids and `_` are against R4 (64 characters of `[A-Za-z0-9.-]`) but seen in
/// the field; what could change the meaning of a URL is not accepted.
pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.chars().all(|c| c == '.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_references_into_this_server_are_read() {
        for (reference, expected) in [
            (json!({"reference": "Patient/p1"}), Ok("Patient/p1")),
            (json!({"reference": "Patient/p1/_history/3"}), Ok("Patient/p1")),
            (json!({"reference": "https://other/fhir/Patient/p1"}), Err("points at another server")),
            (json!({"reference": "urn:uuid:7a44e6e2-7b59-4bf9-ba43-78bff354a1a7"}), Err("points at another server")),
            (json!({"reference": "#p"}), Err("points at a contained resource, which has no id of its own")),
            (json!({"identifier": {"value": "7"}}), Err("names its target by identifier only")),
            (json!({"display": "Ada"}), Err("has no literal reference")),
            (json!({"reference": "Patient/../admin"}), Err("is not of the form Type/id")),
            (json!({"reference": "Patient/p1?x=1"}), Err("is not of the form Type/id")),
            (json!({"reference": "Patient/.."}), Err("is not of the form Type/id")),
            (json!({"reference": 7}), Err("has no literal reference")),
            (json!("Patient/p1"), Err("has no literal reference")),
        ] {
            assert_eq!(relative(&reference).as_deref(), expected.as_deref(), "{reference}");
        }
    }

    #[test]
    fn absolute_references_into_the_base_become_relative_and_others_stay() {
        let mut bundle = json!({"entry": [{"fullUrl": "https://ehr.example/fhir/r4/Appointment/a", "resource": {
        "participant": [
            {"actor": {"reference": "http://ehr.example/fhir/r4/Patient/p1"}},
            {"actor": {"reference": "https://ehr.example/fhir/r4x/Patient/p1"}},
            {"actor": {"reference": "https://other.example/fhir/r4/Patient/p1"}},
            {"actor": {"reference": "Location/l1"}},
        ]}}]});
        localize(&mut bundle, "https://ehr.example/fhir/r4/");
        let actors: Vec<&str> = bundle["entry"][0]["resource"]["participant"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["actor"]["reference"].as_str().unwrap())
            .collect();
        assert_eq!(
            actors,
            [
                "Patient/p1",
                "https://ehr.example/fhir/r4x/Patient/p1",
                "https://other.example/fhir/r4/Patient/p1",
                "Location/l1"
            ]
        );
    }
}
