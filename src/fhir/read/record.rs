//! What every clinical record says of itself, whatever its type: whose it is, in which state, and when it was. Its
//! content is for the rules, which read it by FHIRPath from the mirror; so what is checked here is what a rule cannot
//! see for itself: a state or a date that is there and cannot be understood reads like one that is absent, and "no test
//! in half a year" must not follow from a typing error.

use serde_json::Value;

use super::date::{self, DateError};
use super::issues::{Issues, Read};
use super::resource;
use crate::domain::{PatientId, ResourceType, ResourceVersion};
use crate::fhir::json;

/// The facts that all clinical records share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub version: ResourceVersion,
    pub subject: PatientId,
    /// A code of FHIR's for the type.
    pub status: String,
    /// `meta.security` asks for more than the usual care.
    pub restricted: bool,
}

/// What must be readable in a type.
struct Shape {
    /// R4's codes and those that R5 adds.
    statuses: &'static [&'static str],
    /// Elements that hold a date, an instant or a Period: when it was, or from when to when it holds.
    dates: &'static [&'static str],
    /// Booleans that turn the meaning around.
    flags: &'static [&'static str],
    /// Codes that change the meaning: a proposal is no order.
    codes: &'static [&'static str],
    /// Lists whose elements may carry modifier extensions of their own.
    parts: &'static [&'static str],
}

const EVENT: &[&str] =
    &["preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error", "unknown"];
const REQUEST: &[&str] = &["draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"];

/// `None` for a type that is read by a reader of its own, or that is nobody's.
const fn shape(kind: ResourceType) -> Option<Shape> {
    use ResourceType as R;
    let none = Shape { statuses: &[], dates: &[], flags: &[], codes: &[], parts: &[] };
    Some(match kind {
        R::CarePlan => {
            Shape { statuses: REQUEST, dates: &["period", "created"], codes: &["intent"], parts: &["activity"], ..none }
        }
        R::Communication => Shape { statuses: EVENT, dates: &["sent", "received"], parts: &["payload"], ..none },
        R::Encounter => Shape {
            statuses: &[
                "planned",
                "arrived",
                "triaged",
                "in-progress",
                "onleave",
                "finished",
                "cancelled",
                "entered-in-error",
                "unknown",
                "on-hold",
                "discharged",
                "completed",
                "discontinued",
            ],
            dates: &["period"],
            parts: &["participant", "diagnosis", "hospitalization", "location"],
            ..none
        },
        R::Flag => Shape { statuses: &["active", "inactive", "entered-in-error"], dates: &["period"], ..none },
        R::Immunization => Shape {
            statuses: &["completed", "entered-in-error", "not-done"],
            dates: &["occurrenceDateTime"],
            flags: &["isSubpotent"],
            parts: &["protocolApplied"],
            ..none
        },
        R::MedicationRequest => Shape {
            statuses: &[
                "active",
                "on-hold",
                "ended",
                "cancelled",
                "completed",
                "entered-in-error",
                "stopped",
                "draft",
                "unknown",
            ],
            dates: &["authoredOn"],
            flags: &["doNotPerform"],
            codes: &["intent"],
            parts: &["dispenseRequest", "dosageInstruction"],
        },
        R::Observation => Shape {
            statuses: &[
                "registered",
                "preliminary",
                "final",
                "amended",
                "corrected",
                "cancelled",
                "entered-in-error",
                "unknown",
            ],
            dates: &["effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued"],
            parts: &["component"],
            ..none
        },
        R::Procedure => Shape { statuses: EVENT, dates: &["performedDateTime", "performedPeriod"], ..none },
        R::ServiceRequest => Shape {
            statuses: REQUEST,
            dates: &["occurrenceDateTime", "occurrencePeriod", "authoredOn"],
            flags: &["doNotPerform"],
            codes: &["intent"],
            ..none
        },
        R::Task => Shape {
            statuses: &[
                "draft",
                "requested",
                "received",
                "accepted",
                "rejected",
                "ready",
                "cancelled",
                "in-progress",
                "on-hold",
                "failed",
                "completed",
                "entered-in-error",
            ],
            dates: &["authoredOn", "executionPeriod"],
            codes: &["intent"],
            ..none
        },
        R::Appointment
        | R::Condition
        | R::Consent
        | R::Group
        | R::Location
        | R::Organization
        | R::Patient
        | R::Practitioner
        | R::RelatedPerson => return None,
    })
}

/// Reads a clinical record of `kind`. Fatal: wrong type, no id, no patient, no status or one that FHIR does not know, and
/// whatever else turns its meaning around and cannot be read. `None` for a type that is no clinical record or has a
/// reader of its own.
pub fn record(value: &Value, kind: ResourceType) -> Option<Read<Record>> {
    let shape = shape(kind)?;
    let name = kind.as_str();
    let mut issues = Issues::default();
    issues.resource(value, name);
    let subject = resource::subject_of(value);
    if subject.is_none() {
        let place = if kind == ResourceType::Immunization { "patient" } else { "subject" };
        issues.fatal(format!("{name}.{place}"), "is not a patient of this EHR");
    }
    let status = status(value, &shape, name, &mut issues);
    for flag in shape.flags {
        issues.modifier_flag(value, name, flag);
    }
    for code in shape.codes {
        if json::present(value, code) && json::text(value, code).is_none() {
            issues.fatal(format!("{name}.{code}"), "is not a code");
        }
    }
    for element in shape.dates {
        date_of(value, name, element, &mut issues);
    }
    for part in shape.parts {
        for item in json::list(value, part) {
            issues.no_modifiers(item, &format!("{name}.{part}"));
        }
    }
    for activity in json::list(value, "activity") {
        if let Some(detail) = activity.get("detail") {
            issues.modifier_flag(detail, "CarePlan.activity.detail", "doNotPerform");
        }
    }
    let record = resource::version_of(value).zip(subject).zip(status).map(|((version, subject), status)| Record {
        version,
        subject,
        status,
        restricted: resource::is_restricted(value),
    });
    Some(issues.finish(record))
}

/// Reads what is nobody's and is only known by name: Organization, Practitioner. Fatal: wrong type, no id, an `active`
/// that cannot be read.
pub fn named(value: &Value, kind: ResourceType) -> Read<ResourceVersion> {
    let mut issues = Issues::default();
    issues.resource(value, kind.as_str());
    issues.modifier_flag(value, kind.as_str(), "active");
    let version = resource::version_of(value);
    issues.finish(version)
}

fn status(value: &Value, shape: &Shape, name: &str, issues: &mut Issues) -> Option<String> {
    let path = format!("{name}.status");
    match json::text(value, "status") {
        Some(code) if shape.statuses.contains(&code) => Some(code.to_owned()),
        Some(_) => {
            issues.fatal(path, "is none of FHIR's codes for it");
            None
        }
        None => {
            issues.fatal(path, "is missing or is not a code");
            None
        }
    }
}

/// Absent is allowed everywhere; there and unreadable is not.
fn date_of(value: &Value, name: &str, element: &str, issues: &mut Issues) {
    let Some(found) = value.get(element).filter(|found| !found.is_null()) else { return };
    let path = || format!("{name}.{element}");
    let result = match found {
        Value::Object(_) => date::period(found).map(|_| ()),
        Value::String(text) => match date::instant(text) {
            // A day, a month and a year are dates of FHIR; a time without an offset is still a day.
            Err(DateError::NoTime | DateError::NoOffset) => Ok(()),
            other => other.map(|_| ()),
        },
        _ => Err(DateError::NotText),
    };
    if let Err(error) = result {
        issues.fatal(path(), error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good(kind: ResourceType) -> Value {
        let status = shape(kind).unwrap().statuses[0];
        let mut value = json!({"resourceType": kind.as_str(), "id": "r1", "status": status, "intent": "order",
            "subject": {"reference": "Patient/ada"}});
        match kind {
            ResourceType::Immunization => value["patient"] = value["subject"].take(),
            ResourceType::Task => value["for"] = value["subject"].take(),
            _ => {}
        }
        value
    }

    fn clinical() -> impl Iterator<Item = ResourceType> {
        ResourceType::ALL.iter().copied().filter(|kind| shape(*kind).is_some())
    }

    #[test]
    fn every_clinical_type_is_read_and_loses_nothing_but_what_cannot_be_understood() {
        assert_eq!(clinical().count(), 10);
        for kind in clinical() {
            let read = record(&good(kind), kind).unwrap();
            let record = read.value.unwrap();
            assert_eq!(record.subject, PatientId::from("ada"), "{kind}");
            assert_eq!(record.version.key.to_string(), format!("{kind}/r1"));
        }
    }

    #[test]
    fn what_turns_the_meaning_around_and_cannot_be_read_is_fatal() {
        use ResourceType as R;
        let cases = [
            (R::Observation, "status", json!("done"), "Observation.status"),
            (R::Observation, "status", json!(7), "Observation.status"),
            (R::Observation, "effectiveDateTime", json!("soon"), "Observation.effectiveDateTime"),
            (R::Observation, "effectivePeriod", json!({"start": "soon"}), "Observation.effectivePeriod"),
            (
                R::Observation,
                "component",
                json!([{"modifierExtension": [{"url": "x"}]}]),
                "Observation.component.modifierExtension",
            ),
            (R::Observation, "implicitRules", json!("http://rules"), "Observation.implicitRules"),
            (R::Immunization, "isSubpotent", json!("no"), "Immunization.isSubpotent"),
            (R::Immunization, "occurrenceDateTime", json!(2024), "Immunization.occurrenceDateTime"),
            (R::ServiceRequest, "doNotPerform", json!("true"), "ServiceRequest.doNotPerform"),
            (R::ServiceRequest, "intent", json!({}), "ServiceRequest.intent"),
            (R::MedicationRequest, "doNotPerform", json!(0), "MedicationRequest.doNotPerform"),
            (
                R::CarePlan,
                "activity",
                json!([{"detail": {"doNotPerform": "x"}}]),
                "CarePlan.activity.detail.doNotPerform",
            ),
            (R::Procedure, "modifierExtension", json!([{"url": "x"}]), "Procedure.modifierExtension"),
            (R::Encounter, "subject", json!({"reference": "https://other/fhir/Patient/ada"}), "Encounter.subject"),
        ];
        for (kind, element, value, path) in cases {
            let mut resource = good(kind);
            resource[element] = value;
            let read = record(&resource, kind).unwrap();
            assert_eq!(read.value, None, "{kind}.{element}");
            assert_eq!(read.fatal().map(|issue| issue.path.as_str()), Some(path));
        }
        let mut without = good(R::Encounter);
        without.as_object_mut().unwrap().remove("status");
        assert!(record(&without, R::Encounter).unwrap().value.is_none());
    }

    #[test]
    fn dates_may_be_as_coarse_as_fhir_allows() {
        for text in ["2024", "2024-05", "2024-05-03", "2024-05-03T10:00:00Z", "2024-05-03T10:00:00"] {
            let mut shot = good(ResourceType::Immunization);
            shot["occurrenceDateTime"] = json!(text);
            assert!(record(&shot, ResourceType::Immunization).unwrap().value.is_some(), "{text}");
        }
    }

    #[test]
    fn names_of_staff_and_places_need_no_patient() {
        let doctor = json!({"resourceType": "Practitioner", "id": "d1", "active": true});
        assert!(named(&doctor, ResourceType::Practitioner).value.is_some());
        assert!(record(&doctor, ResourceType::Practitioner).is_none());
        let odd = json!({"resourceType": "Organization", "id": "o1", "active": "yes"});
        assert_eq!(named(&odd, ResourceType::Organization).fatal().unwrap().path, "Organization.active");
    }
}
