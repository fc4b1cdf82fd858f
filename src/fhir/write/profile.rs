//! The last look at a Communication before it leaves: the element model of R4, then the profile
//! `fhir-profiles/beckon-communication.json` as a table.

use fhirbolt::FhirReleases::R4;
use serde_json::{Map, Value};

use crate::domain::Issue;
use crate::fhir::{json, read, reference};

/// Top-level elements with their cardinality in the profile. What is not here must not be written.
const ELEMENTS: &[(&str, usize, usize)] = &[
    ("resourceType", 1, 1),
    ("id", 0, 1),
    ("meta", 0, 1),
    ("identifier", 1, 1),
    ("instantiatesUri", 0, 1),
    ("inResponseTo", 0, 1),
    ("status", 1, 1),
    ("statusReason", 0, 1),
    ("category", 1, 1),
    ("medium", 1, 1),
    ("subject", 1, 1),
    ("topic", 0, 1),
    ("about", 0, usize::MAX),
    ("sent", 0, 1),
    ("received", 0, 1),
    ("recipient", 0, 1),
    ("sender", 0, 1),
    ("reasonReference", 0, usize::MAX),
    ("payload", 0, 1),
    ("note", 0, usize::MAX),
];

const LISTS: &[&str] = &[
    "identifier",
    "instantiatesUri",
    "inResponseTo",
    "category",
    "medium",
    "about",
    "recipient",
    "reasonReference",
    "payload",
    "note",
];

/// Codes of each bound element.
const BINDINGS: &[(&str, &[&str])] = &[
    ("category", &["reminder", "notification"]),
    ("medium", &["ELECTRONIC", "EMAILWRIT", "PHONE", "ONLINEWRIT", "FACE"]),
    ("topic", &["appointment-reminder"]),
];

const STATUSES: &[&str] = &["in-progress", "not-done", "stopped", "completed", "entered-in-error", "unknown"];

/// Targets of each reference.
const TARGETS: &[(&str, &[&str])] = &[
    ("inResponseTo", &["Communication"]),
    ("subject", &["Patient"]),
    ("recipient", &["Patient", "RelatedPerson"]),
    ("sender", &["Patient", "Organization"]),
    ("reasonReference", &["Condition", "Observation", "DiagnosticReport", "DocumentReference"]),
];

/// Checks a Communication that is about to be written. Issues name paths and rules, never values.
pub fn check_profile(value: &Value) -> Result<(), Vec<Issue>> {
    let mut findings = Findings::default();
    match value.as_object() {
        Some(fields) if json::text(value, "resourceType") == Some("Communication") => {
            findings.elements(fields);
            findings.element_model(fields);
            findings.codes(value);
            findings.references(value);
            findings.times(value);
            findings.invariants(value);
        }
        _ => findings.add("Communication", "is not a Communication"),
    }
    if findings.0.is_empty() { Ok(()) } else { Err(findings.0) }
}

#[derive(Default)]
struct Findings(Vec<Issue>);

impl Findings {
    fn add(&mut self, path: &str, reason: &str) {
        let path = if path == "Communication" { path.to_owned() } else { format!("Communication.{path}") };
        self.0.push(Issue { path, reason: reason.to_owned(), fatal: true });
    }

    fn elements(&mut self, fields: &Map<String, Value>) {
        for key in fields.keys() {
            if !ELEMENTS.iter().any(|(name, ..)| name == key) {
                self.add(key, "is not an element of the profile");
            }
        }
        for (name, min, max) in ELEMENTS {
            let count = match fields.get(*name) {
                None => 0,
                Some(Value::Array(items)) if LISTS.contains(name) => {
                    if items.is_empty() {
                        self.add(name, "is an empty list");
                    }
                    items.len()
                }
                Some(Value::Array(_)) => {
                    self.add(name, "is a list and must not be one");
                    1
                }
                Some(_) => {
                    if LISTS.contains(name) {
                        self.add(name, "must be a list");
                    }
                    1
                }
            };
            if count < *min {
                self.add(name, "is missing");
            } else if count > *max {
                self.add(name, "is there too often");
            }
        }
    }

    /// fhirbolt's generic element in strict mode finds elements that R4 does not have, at any depth. It wants
    /// `resourceType` first, and its error names neither place nor value that could be passed on.
    fn element_model(&mut self, fields: &Map<String, Value>) {
        let mut ordered = Map::new();
        ordered.insert("resourceType".to_owned(), Value::from("Communication"));
        ordered.extend(fields.iter().filter(|(key, _)| *key != "resourceType").map(|(k, v)| (k.clone(), v.clone())));
        if has_empty(fields.values()) {
            self.add("Communication", "holds an empty object, list or string, or a null");
            return;
        }
        let config = fhirbolt::serde::DeserializationConfig { mode: fhirbolt::serde::DeserializationMode::Strict };
        let read: Result<fhirbolt::element::Element<{ R4 }>, _> =
            fhirbolt::serde::json::from_json_value(Value::Object(ordered), Some(config));
        if read.is_err() {
            self.add("Communication", "holds an element that R4 does not have there, or one of the wrong kind");
        }
    }

    fn codes(&mut self, value: &Value) {
        if json::text(value, "status").is_none_or(|status| !STATUSES.contains(&status)) {
            self.add("status", "is not a code of the value set");
        }
        for (name, allowed) in BINDINGS {
            for concept in json::list(value, name) {
                let codes: Vec<&str> = json::codings(concept).map(|(_, code)| code).collect();
                if codes.is_empty() || codes.iter().any(|code| !allowed.contains(code)) {
                    self.add(name, "is not a code of the profile");
                }
            }
        }
        for identifier in json::list(value, "identifier") {
            let system = json::text(identifier, "system").is_some_and(|system| system.contains("://"));
            if !system || json::text(identifier, "value").is_none() {
                self.add("identifier", "needs an absolute system and a value");
            }
        }
    }

    fn references(&mut self, value: &Value) {
        for (name, types) in TARGETS {
            for target in json::list(value, name) {
                let kind = reference::relative(target).ok().and_then(|text| Some(text.split_once('/')?.0.to_owned()));
                if kind.is_none_or(|kind| !types.contains(&kind.as_str())) {
                    self.add(name, "does not point at a type that the element allows");
                }
            }
        }
        if json::list(value, "about").iter().any(|target| reference::relative(target).is_err()) {
            self.add("about", "is not a relative reference");
        }
    }

    fn times(&mut self, value: &Value) {
        let mut at = |name: &str| {
            let text = value.get(name)?;
            let moment = text.as_str().and_then(|text| read::instant(text).ok());
            if moment.is_none() {
                self.add(name, "is not a moment with an offset");
            }
            moment
        };
        let (sent, received) = (at("sent"), at("received"));
        if let (Some(sent), Some(received)) = (sent, received)
            && received < sent
        {
            self.add("received", "lies before sent");
        }
        for note in json::list(value, "note") {
            if json::text(note, "text").is_none() {
                self.add("note", "has no text");
            }
            if json::text(note, "time").is_none_or(|time| read::instant(time).is_err()) {
                self.add("note", "has no time");
            }
        }
    }

    fn invariants(&mut self, value: &Value) {
        let status = json::text(value, "status").unwrap_or_default();
        let from_patient = value.get("sender").and_then(reference::patient).is_some();
        if from_patient == json::present(value, "recipient") {
            self.add("recipient", "belongs to every message, and to no reply");
        }
        if (status == "not-done") != json::present(value, "statusReason") {
            self.add("statusReason", "belongs to not-done, and to nothing else");
        }
        if status == "completed" && !json::present(value, "sent") && !json::present(value, "received") {
            self.add("sent", "is missing from a completed message");
        }
        for payload in json::list(value, "payload") {
            if json::text(payload, "contentString").is_none() {
                self.add("payload", "has no text");
            }
        }
    }
}

/// fhirbolt takes these silently, and R4 forbids them.
fn has_empty<'a>(mut values: impl Iterator<Item = &'a Value>) -> bool {
    values.any(|value| match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty() || has_empty(items.iter()),
        Value::Object(fields) => fields.is_empty() || has_empty(fields.values()),
        _ => false,
    })
}
