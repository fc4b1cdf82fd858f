//! R4 Patient.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{contact, date, issues::Issues, issues::Read, resource};
use crate::domain::{Deceased, Gender, Patient, PatientId, PatientStatus, Phi};
use crate::fhir::{codes, json, reference};

/// Reads a Patient as of `now` (names and addresses have periods).
///
/// Fatal: wrong type, no id, a modifier that cannot be read (`active`, `deceased[x]`, `link.type`) or is not understood.
pub fn patient(value: &Value, now: DateTime<Utc>) -> Read<Patient> {
    let mut issues = Issues::default();
    let Some(id) = issues.resource(value, "Patient") else {
        return issues.finish(None);
    };
    let address = contact::home_address(value, "Patient", now, &mut issues);
    let part = |key: &str| address.and_then(|address| json::text(address, key)).map(|text| Phi::new(text.to_owned()));
    let patient = Patient {
        id: PatientId::new(id),
        status: status(value, &mut issues),
        deceased: deceased(value, &mut issues),
        mrn: record_numbers(value, now, &mut issues),
        names: contact::names(value, "Patient", now, &mut issues),
        telecom: contact::telecom(value, "Patient", &mut issues),
        gender: gender(value, &mut issues),
        birth_date: birth_date(value, "Patient", &mut issues),
        languages: contact::languages(value, "Patient", &mut issues),
        interpreter_required: json::extension(value, codes::EXT_INTERPRETER_REQUIRED)
            .and_then(|extension| extension.get("valueBoolean")?.as_bool())
            .unwrap_or(false),
        address_state: part("state"),
        address_postal_code: part("postalCode"),
        address_country: part("country"),
        stated_zone: contact::stated_zone(value, "Patient", &mut issues),
        restricted: resource::is_restricted(value),
    };
    issues.finish(Some(patient))
}

/// A merge beats `active`: many systems also set `active = false` on the replaced record, and the survivor must be
/// found. Where the survivor cannot be told, the record is not to be used.
fn status(value: &Value, issues: &mut Issues) -> PatientStatus {
    let mut status = match issues.modifier_flag(value, "Patient", "active") {
        Some(false) => PatientStatus::Inactive,
        Some(true) | None => PatientStatus::Active,
    };
    for (index, link) in json::list(value, "link").iter().enumerate() {
        let path = format!("Patient.link[{index}]");
        issues.no_modifiers(link, &path);
        match json::text(link, "type") {
            Some("replaced-by") => match link.get("other").map(reference::relative) {
                Some(Ok(other)) if other.starts_with("Patient/") => {
                    return PatientStatus::ReplacedBy(PatientId::new(&other["Patient/".len()..]));
                }
                Some(Err(reason)) => {
                    issues.note(format!("{path}.other"), format!("the survivor of a merge {reason}"));
                    status = PatientStatus::Inactive;
                }
                _ => {
                    issues.note(format!("{path}.other"), "the survivor of a merge is not a Patient");
                    status = PatientStatus::Inactive;
                }
            },
            Some("replaces" | "refer" | "seealso") => {}
            _ => issues.fatal(format!("{path}.type"), "is missing or unknown, so a merge cannot be ruled out"),
        }
    }
    status
}

/// The records that this one took the place of (`link.type = replaces`).
pub fn replaces(value: &Value) -> Vec<PatientId> {
    json::list(value, "link")
        .iter()
        .filter(|link| json::text(link, "type") == Some("replaces"))
        .filter_map(|link| reference::patient(link.get("other")?))
        .collect()
}

/// What a Patient looks like that was merged away.
pub fn replaced(patient: &PatientId, survivor: &PatientId) -> Value {
    serde_json::json!({
        "resourceType": "Patient",
        "id": patient,
        "active": false,
        "link": [{"other": {"reference": format!("Patient/{survivor}")}, "type": "replaced-by"}],
    })
}

fn deceased(value: &Value, issues: &mut Issues) -> Deceased {
    // Any dateTime means dead, even one without a value (date unknown) or one that is no date.
    if json::present(value, "deceasedDateTime") || json::present(value, "_deceasedDateTime") {
        return Deceased::Yes;
    }
    match issues.modifier_flag(value, "Patient", "deceasedBoolean") {
        Some(true) => Deceased::Yes,
        Some(false) => Deceased::No,
        None => {
            if json::present(value, "_deceasedBoolean") {
                issues.note("Patient.deceasedBoolean", "the EHR says that it does not know");
            }
            Deceased::No
        }
    }
}

/// Identifiers of type MR that are not old (`T:v2-0203|MR`).
fn record_numbers(value: &Value, now: DateTime<Utc>, issues: &mut Issues) -> Vec<(String, Phi<String>)> {
    let mut numbers = Vec::new();
    for (index, identifier) in json::list(value, "identifier").iter().enumerate() {
        let path = format!("Patient.identifier[{index}]");
        let concept = identifier.get("type").unwrap_or(&Value::Null);
        let is_record_number = json::codings(concept)
            .any(|(system, code)| code == "MR" && system.is_none_or(|system| system == codes::IDENTIFIER_TYPE));
        if !is_record_number || json::text(identifier, "use") == Some("old") {
            continue;
        }
        if issues.period(identifier, &path).is_ok_and(|span| span.is_over(now)) {
            continue;
        }
        match issues.text(identifier, &path, "value") {
            Some(number) => {
                let system = json::text(identifier, "system").unwrap_or_default();
                numbers.push((system.to_owned(), Phi::new(number.to_owned())));
            }
            None => issues.note(path, "is a record number without a value"),
        }
    }
    numbers
}

fn gender(value: &Value, issues: &mut Issues) -> Option<Gender> {
    match issues.text(value, "Patient", "gender")? {
        "male" => Some(Gender::Male),
        "female" => Some(Gender::Female),
        "other" => Some(Gender::Other),
        "unknown" => Some(Gender::Unknown),
        _ => {
            issues.note("Patient.gender", "is not a code of the value set");
            None
        }
    }
}

/// A birth date as the EHR gives it; partial dates stay partial. One that is no date is left out.
pub(super) fn birth_date(value: &Value, path: &str, issues: &mut Issues) -> Option<Phi<String>> {
    let text = issues.text(value, path, "birthDate")?;
    if date::partial_date(text).is_none() {
        issues.note(format!("{path}.birthDate"), "is not a date of the calendar");
        return None;
    }
    Some(Phi::new(text.to_owned()))
}
