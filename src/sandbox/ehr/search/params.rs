//! Which search parameter reads which elements (R4 searchparameter-registry, the part that a reminder gateway may use).

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Token,
    Reference,
    Date,
    Text,
}

/// A parameter: its kind and the elements that it reads, as dotted paths.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    pub kind: Kind,
    pub paths: &'static [&'static str],
}

const EVERYWHERE: [(&str, Kind, &[&str]); 4] = [
    ("_id", Kind::Token, &["id"]),
    ("_lastUpdated", Kind::Date, &["meta.lastUpdated"]),
    ("identifier", Kind::Token, &["identifier"]),
    ("status", Kind::Token, &["status"]),
];

/// (types, name, kind, paths). A type of `*` means every type that has the element.
const PARAMS: [(&str, &str, Kind, &[&str]); 47] = [
    ("Subscription", "url", Kind::Token, &["channel.endpoint", "endpoint"]),
    ("Patient", "name", Kind::Text, &["name.family", "name.given", "name.text"]),
    ("Patient", "family", Kind::Text, &["name.family"]),
    ("Patient", "given", Kind::Text, &["name.given"]),
    ("Patient", "birthdate", Kind::Date, &["birthDate"]),
    ("Patient", "gender", Kind::Token, &["gender"]),
    ("Patient", "active", Kind::Token, &["active"]),
    ("Patient", "telecom", Kind::Token, &["telecom"]),
    ("Patient", "phone", Kind::Token, &["telecom"]),
    ("Patient", "email", Kind::Token, &["telecom"]),
    ("Patient", "organization", Kind::Reference, &["managingOrganization"]),
    ("Patient", "link", Kind::Reference, &["link.other"]),
    ("Patient", "death-date", Kind::Date, &["deceasedDateTime"]),
    ("RelatedPerson", "patient", Kind::Reference, &["patient"]),
    ("Appointment", "patient", Kind::Reference, &["participant.actor"]),
    ("Appointment", "practitioner", Kind::Reference, &["participant.actor"]),
    ("Appointment", "location", Kind::Reference, &["participant.actor"]),
    ("Appointment", "actor", Kind::Reference, &["participant.actor"]),
    ("Appointment", "part-status", Kind::Token, &["participant.status"]),
    ("Appointment", "appointment-type", Kind::Token, &["appointmentType"]),
    ("Appointment", "date", Kind::Date, &["start"]),
    ("Condition", "clinical-status", Kind::Token, &["clinicalStatus"]),
    ("Condition", "verification-status", Kind::Token, &["verificationStatus"]),
    ("Condition", "onset-date", Kind::Date, &["onsetDateTime", "onsetPeriod"]),
    ("Condition", "recorded-date", Kind::Date, &["recordedDate"]),
    ("Encounter", "date", Kind::Date, &["period"]),
    ("Encounter", "class", Kind::Token, &["class"]),
    ("Encounter", "location", Kind::Reference, &["location.location"]),
    ("Procedure", "date", Kind::Date, &["performedDateTime", "performedPeriod"]),
    ("Observation", "date", Kind::Date, &["effectiveDateTime", "effectivePeriod", "effectiveInstant"]),
    ("Immunization", "date", Kind::Date, &["occurrenceDateTime"]),
    ("Immunization", "vaccine-code", Kind::Token, &["vaccineCode"]),
    ("CarePlan", "date", Kind::Date, &["period"]),
    ("CarePlan", "intent", Kind::Token, &["intent"]),
    ("ServiceRequest", "authored", Kind::Date, &["authoredOn"]),
    ("ServiceRequest", "intent", Kind::Token, &["intent"]),
    ("ServiceRequest", "requester", Kind::Reference, &["requester"]),
    ("MedicationRequest", "authoredon", Kind::Date, &["authoredOn"]),
    ("MedicationRequest", "intent", Kind::Token, &["intent"]),
    ("Communication", "sent", Kind::Date, &["sent"]),
    ("Communication", "received", Kind::Date, &["received"]),
    ("Communication", "recipient", Kind::Reference, &["recipient"]),
    ("Communication", "sender", Kind::Reference, &["sender"]),
    ("Communication", "medium", Kind::Token, &["medium"]),
    ("*", "encounter", Kind::Reference, &["encounter"]),
    ("*", "category", Kind::Token, &["category"]),
    ("*", "code", Kind::Token, &["code"]),
];

/// Types whose patient stands in `subject`; the others name it `patient`.
const SUBJECT: [&str; 12] = [
    "CarePlan",
    "Communication",
    "CommunicationRequest",
    "Condition",
    "DocumentReference",
    "Encounter",
    "Flag",
    "Goal",
    "MedicationRequest",
    "Observation",
    "Procedure",
    "ServiceRequest",
];
const PATIENT: [&str; 3] = ["Immunization", "Consent", "Device"];
const HAS_STATUS: [&str; 3] = ["Patient", "Condition", "Flag"];

/// What a parameter means for a type, if the server knows it there.
pub fn find(kind: &str, name: &str) -> Option<Param> {
    if name == "status" && HAS_STATUS.contains(&kind) {
        return None;
    }
    if let Some((_, found, paths)) = EVERYWHERE.iter().find(|(param, ..)| *param == name) {
        return Some(Param { kind: *found, paths });
    }
    if let Some((.., found, paths)) = PARAMS.iter().find(|(of, param, ..)| {
        *param == name && (*of == kind || *of == "*" && kind != "Patient" && kind != "Appointment")
    }) {
        return Some(Param { kind: *found, paths });
    }
    match name {
        "patient" | "subject" if SUBJECT.contains(&kind) => Some(Param { kind: Kind::Reference, paths: &["subject"] }),
        "patient" if PATIENT.contains(&kind) => Some(Param { kind: Kind::Reference, paths: &["patient"] }),
        "patient" if kind == "Task" => Some(Param { kind: Kind::Reference, paths: &["for"] }),
        "owner" if kind == "Task" => Some(Param { kind: Kind::Reference, paths: &["owner"] }),
        _ => None,
    }
}

/// The names that a CapabilityStatement lists for a type.
pub fn names_for(kind: &str) -> Vec<(&'static str, Kind)> {
    let candidates = EVERYWHERE
        .iter()
        .map(|(name, ..)| *name)
        .chain(PARAMS.iter().map(|(_, name, ..)| *name))
        .chain(["patient", "subject", "owner"]);
    let mut names: Vec<(&'static str, Kind)> = Vec::new();
    for name in candidates {
        if let Some(param) = find(kind, name)
            && names.iter().all(|(known, _)| *known != name)
        {
            names.push((name, param.kind));
        }
    }
    names
}

/// The elements at a dotted path, arrays opened.
pub fn at<'a>(resource: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut here = vec![resource];
    for step in path.split('.') {
        let mut next = Vec::new();
        for value in here {
            match &value[step] {
                Value::Null => {}
                Value::Array(items) => next.extend(items),
                one => next.push(one),
            }
        }
        here = next;
    }
    here
}

/// What a resource refers to through a search parameter: for `_include`.
pub fn references_of(resource: &Value, kind: &str, name: &str) -> Vec<(String, String)> {
    let Some(param) = find(kind, name).filter(|param| param.kind == Kind::Reference) else { return Vec::new() };
    let only = only_type(kind, name);
    let texts = param.paths.iter().flat_map(|path| at(resource, path)).filter_map(|found| found["reference"].as_str());
    texts
        .filter_map(|text| text.split_once('/'))
        .filter(|(target, _)| only.is_none_or(|only| only == *target))
        .map(|(target, id)| (target.to_owned(), id.to_owned()))
        .collect()
}

/// The one type that a reference parameter looks at, where its element could hold several.
pub fn only_type(kind: &str, name: &str) -> Option<&'static str> {
    match name {
        "patient" => Some("Patient"),
        "practitioner" => Some("Practitioner"),
        "location" if kind == "Appointment" => Some("Location"),
        _ => None,
    }
}
