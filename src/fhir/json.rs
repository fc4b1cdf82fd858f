//! Small accessors over `serde_json::Value` that never panic and take the sloppy forms that EHRs emit.

use serde_json::Value;

/// The string at `key`, trimmed; an empty one counts as absent (FHIR forbids empty strings, servers send them).
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The items at `key`: those of an array, or a lone value where a server forgot the brackets. `null` is absent.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    match value.get(key) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(single) => std::slice::from_ref(single),
    }
}

/// Whether `key` is there and is not `null`.
pub(super) fn present(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|found| !found.is_null())
}

/// The codings of a CodeableConcept as (system in its canonical URL, code).
pub(super) fn codings(concept: &Value) -> impl Iterator<Item = (Option<&str>, &str)> {
    list(concept, "coding").iter().filter_map(|coding| {
        let system = text(coding, "system").map(super::codes::canonical_system);
        Some((system, text(coding, "code")?))
    })
}

/// The first code of a CodeableConcept in `system`.
pub(super) fn code_in<'a>(concept: &'a Value, system: &str) -> Option<&'a str> {
    codings(concept).find(|(found, _)| *found == Some(system)).map(|(_, code)| code)
}

/// The first extension of `value` with this URL.
pub(super) fn extension<'a>(value: &'a Value, url: &str) -> Option<&'a Value> {
    list(value, "extension").iter().find(|extension| text(extension, "url") == Some(url))
}
