//! R4 RelatedPerson. Being one is not a permission: whether a message may go there is for `rules::decide`.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::issues::{Issues, Read};
use super::{contact, patient, resource};
use crate::domain::{ContactPoint, HumanName, Language, PatientId, Phi, ResourceVersion};
use crate::fhir::{json, reference};

/// The facts of a RelatedPerson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedPerson {
    pub version: ResourceVersion,
    pub patient: PatientId,
    /// Not switched off, and inside its period at the time of reading.
    pub active: bool,
    /// Codes of `relationship`, such as `MTH` or `GUARD`.
    pub relationships: Vec<String>,
    pub names: Vec<HumanName>,
    pub telecom: Vec<ContactPoint>,
    pub birth_date: Option<Phi<String>>,
    pub languages: Vec<Language>,
    pub period_end: Option<DateTime<Utc>>,
}

/// Reads a RelatedPerson as of `now`. Fatal: wrong type, no id, no patient, an `active` or `period` that cannot be read.
pub fn related_person(value: &Value, now: DateTime<Utc>) -> Read<RelatedPerson> {
    let mut issues = Issues::default();
    issues.resource(value, "RelatedPerson");
    let of = value.get("patient").and_then(reference::patient);
    if of.is_none() {
        issues.fatal("RelatedPerson.patient", "is not a patient of this EHR");
    }
    let active = issues.modifier_flag(value, "RelatedPerson", "active").unwrap_or(true);
    let span = issues.period(value, "RelatedPerson").unwrap_or_else(|error| {
        issues.fatal("RelatedPerson.period", error.to_string());
        Default::default()
    });
    let (Some(version), Some(of)) = (resource::version_of(value), of) else {
        return issues.finish(None);
    };
    let person = RelatedPerson {
        version,
        patient: of,
        active: active && !span.is_over(now) && span.start.is_none_or(|start| start <= now),
        relationships: json::list(value, "relationship")
            .iter()
            .flat_map(|concept| json::codings(concept).map(|(_, code)| code.to_owned()))
            .collect(),
        names: contact::names(value, "RelatedPerson", now, &mut issues),
        telecom: contact::telecom(value, "RelatedPerson", &mut issues),
        birth_date: patient::birth_date(value, "RelatedPerson", &mut issues),
        languages: contact::languages(value, "RelatedPerson", &mut issues),
        period_end: span.end,
    };
    issues.finish(Some(person))
}
