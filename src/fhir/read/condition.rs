//! R4 Condition.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::issues::{Issues, Read};
use super::{date, resource};
use crate::domain::{PatientId, Phi, ResourceVersion};
use crate::fhir::{codes, json, reference};

/// The facts of a Condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub version: ResourceVersion,
    pub subject: PatientId,
    /// Code of `T:condition-clinical`.
    pub clinical_status: Option<String>,
    /// Code of `T:condition-ver-status`.
    pub verification_status: Option<String>,
    /// Codes of `category`, such as `problem-list-item`.
    pub categories: Vec<String>,
    /// All codings; one condition often carries SNOMED CT and ICD-10-CM at once.
    pub codes: Vec<Code>,
    /// Any `abatement[x]` is there.
    pub abated: bool,
    pub recorded: Option<DateTime<Utc>>,
    /// `meta.security` asks for more than the usual care.
    pub restricted: bool,
}

/// A coding with the system in its canonical URL. What it names is PHI, because it is somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    pub system: Option<String>,
    pub code: Phi<String>,
    pub display: Option<Phi<String>>,
}

impl Condition {
    /// Whether the patient has it now: confirmed (or nothing said), active, and not abated.
    pub fn is_active(&self) -> bool {
        matches!(self.verification_status.as_deref(), None | Some("confirmed"))
            && matches!(self.clinical_status.as_deref(), Some("active" | "recurrence" | "relapse"))
            && !self.abated
    }
}

/// Reads a Condition. Fatal: wrong type, no id, no patient, a status that is there and cannot be read.
pub fn condition(value: &Value) -> Read<Condition> {
    let mut issues = Issues::default();
    issues.resource(value, "Condition");
    let subject = value.get("subject").and_then(reference::patient);
    if subject.is_none() {
        issues.fatal("Condition.subject", "is not a patient of this EHR");
    }
    let clinical_status = status(value, "clinicalStatus", codes::CONDITION_CLINICAL, &mut issues);
    let verification_status = status(value, "verificationStatus", codes::CONDITION_VERIFICATION, &mut issues);
    let (Some(version), Some(subject)) = (resource::version_of(value), subject) else {
        return issues.finish(None);
    };
    let concept = value.get("code").unwrap_or(&Value::Null);
    let codes: Vec<Code> = json::list(concept, "coding")
        .iter()
        .filter_map(|coding| {
            Some(Code {
                system: json::text(coding, "system").map(|system| codes::canonical_system(system).to_owned()),
                code: Phi::new(json::text(coding, "code")?.to_owned()),
                display: json::text(coding, "display").map(|text| Phi::new(text.to_owned())),
            })
        })
        .collect();
    if codes.is_empty() {
        issues.note("Condition.code", "has no code, so no rule can see it");
    }
    let condition = Condition {
        version,
        subject,
        clinical_status,
        verification_status,
        categories: json::list(value, "category")
            .iter()
            .flat_map(|category| json::codings(category).map(|(_, code)| code.to_owned()))
            .collect(),
        codes,
        abated: value.as_object().is_some_and(|fields| {
            fields.iter().any(|(key, field)| {
                key.trim_start_matches('_').starts_with("abatement")
                    && !matches!(field, Value::Null | Value::Bool(false))
            })
        }),
        recorded: json::text(value, "recordedDate").and_then(|text| date::instant(text).ok()),
        restricted: resource::is_restricted(value),
    };
    issues.finish(Some(condition))
}

/// A status concept: its code in `system`, or its only code where the system is left out.
fn status(value: &Value, key: &str, system: &str, issues: &mut Issues) -> Option<String> {
    let concept = value.get(key).filter(|concept| !concept.is_null())?;
    let without_system = || json::codings(concept).find(|(found, _)| found.is_none()).map(|(_, code)| code);
    let code = json::code_in(concept, system).or_else(without_system);
    if code.is_none() {
        issues.fatal(format!("Condition.{key}"), "has no code of its code system");
    }
    code.map(str::to_owned)
}
