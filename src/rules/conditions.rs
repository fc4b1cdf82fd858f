//! The FHIRPath of a rule, compiled once and evaluated on one resource of one patient.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use fhirpath::{Environment, Expression, Truth};
use serde_json::Value;

use crate::domain::{ResourceKey, ResourceType, Rule};
use crate::fhir;

use super::moment::start_of_day;
use super::schedule::Schedule;
use super::{Mirror, Mirrored};
use super::{modality, value_sets};

/// The compiled expressions of one rule.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    pub condition: Expression,
    pub unless: Option<Expression>,
    pub until: Option<Expression>,
    /// Absent where the rule goes by its schedule.
    pub anchor: Option<Expression>,
    pub schedule: Option<Schedule>,
    /// For each step, what makes it alone unnecessary.
    pub step_unless: Vec<Option<Expression>>,
    /// For each step, for each of its variants.
    pub variants: Vec<Vec<Option<Expression>>>,
}

impl Conditions {
    /// Whether the answer to who is meant can change while no data changes.
    pub(super) fn selects_by_clock(&self) -> bool {
        reads_clock(&self.condition) || self.anchor.as_ref().is_some_and(reads_clock)
    }

    /// Whether a step can become necessary while no data changes.
    pub(super) fn excuses_by_clock(&self) -> bool {
        [&self.unless, &self.until].into_iter().chain(&self.step_unless).flatten().any(reads_clock)
    }
}

pub(super) fn reads_clock(expression: &Expression) -> bool {
    let references = expression.references();
    references.reads_clock || ["today", "now"].iter().any(|name| references.variables.contains(*name))
}

/// What an expression is evaluated on.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub rule: &'a Rule,
    pub resource: &'a Value,
    pub patient: &'a Value,
    pub mirror: &'a Mirror<'a>,
    /// The instant that counts as now, on the facility's clock.
    pub at: DateTime<Utc>,
    pub zone: Tz,
}

/// Why an expression has no answer; names places, never data.
pub(super) type Failure = String;

impl<'a> Subject<'a> {
    /// Three-valued: what is not known is `None`.
    pub(super) fn holds(&self, expression: &Expression) -> Result<Option<bool>, Failure> {
        match expression.matches(self.resource, &self.environment(expression)) {
            Ok(Truth::True) => Ok(Some(true)),
            Ok(Truth::False) => Ok(Some(false)),
            Ok(Truth::Unknown) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The instant that an expression leads to; `None` where there is none, or where it is not precise enough for a
    /// rule that counts from a moment. A rule with a cadence counts in months, so that the first day of what is known
    /// will do.
    pub(super) fn instant(&self, expression: &Expression) -> Result<Option<DateTime<Utc>>, Failure> {
        let found =
            expression.evaluate(self.resource, &self.environment(expression)).map_err(|error| error.to_string())?;
        Ok(found.iter().next().and_then(|item| match item {
            fhirpath::Item::DateTime(value) => self.read_instant(&value.to_string()),
            fhirpath::Item::Date(value) => self.read_instant(&value.to_string()),
            other => self.read_instant(other.as_str()?),
        }))
    }

    fn read_instant(&self, text: &str) -> Option<DateTime<Utc>> {
        if let Ok(instant) = fhir::read::instant(text) {
            return Some(instant);
        }
        let date = text.split('T').next()?;
        if let Ok(day) = NaiveDate::parse_from_str(date, "%Y-%m-%d") {
            // A time without an offset is no instant: only the day is sure.
            return start_of_day(day, self.zone);
        }
        self.rule.cadence?;
        let mut parts = date.splitn(2, '-');
        let year: i32 = parts.next()?.parse().ok()?;
        let month: u32 = parts.next().map_or(Some(1), |month| month.parse().ok())?;
        start_of_day(NaiveDate::from_ymd_opt(year, month, 1)?, self.zone)
    }

    fn environment(&self, expression: &Expression) -> Environment<'a> {
        let local = self.at.with_timezone(&self.zone);
        let rule = self.rule;
        let mut environment = Environment::new(local)
            .with_member_of(move |url, system, code| value_sets::contains(rule, url, system, code));
        if expression.references().functions.contains("resolve") {
            let (mirror, patient) = (self.mirror, self.patient);
            environment = environment.with_resolve(move |reference| resolve(mirror, patient, reference));
        }
        for name in &expression.references().variables {
            environment = match name.as_str() {
                "patient" => environment.with_resource("patient", self.patient),
                "today" => environment.with_value("today", fhirpath::Date::from(local.date_naive())),
                "now" => environment.with_value("now", fhirpath::DateTime::from(local)),
                "modality" => environment.with_value("modality", modality::of(self.resource)),
                "confirmed" => environment.with_value("confirmed", self.is_confirmed()),
                "appointment" if rule.resource == ResourceType::Appointment => {
                    environment.with_resource("appointment", self.resource)
                }
                other => match mirrored_type(other) {
                    Some(kind) => environment
                        .with_resources(name.clone(), self.mirror.of(kind).iter().map(|it: &Mirrored<'a>| it.value)),
                    None => environment,
                },
            };
        }
        environment
    }

    /// Whether the patient said yes (R4 Appointment.participant.status).
    fn is_confirmed(&self) -> bool {
        let Some(id) = self.patient["id"].as_str() else { return false };
        let participants = self.resource["participant"].as_array().map_or(&[][..], Vec::as_slice);
        participants.iter().any(|it| {
            let actor = it["actor"]["reference"].as_str().and_then(|actor| actor.rsplit_once("Patient/"));
            it["status"] == "accepted" && actor.is_some_and(|(_, of)| of == id)
        })
    }
}

/// What a reference leads to within the patient's mirror.
fn resolve<'a>(mirror: &Mirror<'a>, patient: &'a Value, reference: &str) -> Option<&'a Value> {
    let key = ResourceKey::from_reference(reference)?;
    if key.resource_type == ResourceType::Patient {
        return (patient["id"].as_str() == Some(&key.id)).then_some(patient);
    }
    mirror.of(key.resource_type).iter().find(|it| it.version.key == key).map(|it| it.value)
}

/// Variables that are no list of mirrored resources.
pub(super) const SINGLE_VARIABLES: [&str; 6] = ["patient", "appointment", "today", "now", "modality", "confirmed"];

/// `%conditions` for Condition, `%medicationRequests` for MedicationRequest.
pub(super) fn variable_of(kind: ResourceType) -> String {
    let name = kind.as_str();
    let (first, rest) = name.split_at(1);
    format!("{}{rest}s", first.to_ascii_lowercase())
}

/// The type that a variable lists.
pub(super) fn mirrored_type(variable: &str) -> Option<ResourceType> {
    ResourceType::ALL.iter().copied().find(|kind| {
        // Compared in place: this runs for every evaluation.
        let name = kind.as_str().as_bytes();
        let given = variable.as_bytes();
        given.len() == name.len() + 1
            && given[0] == name[0].to_ascii_lowercase()
            && given[1..name.len()].cmp(&name[1..]) == Ordering::Equal
            && given.last() == Some(&b's')
    })
}
