//! Why a rule tells a patient nothing, in words: what was found that stands against it, and when it could next be due.
//!
//! An expression does not say which of its parts decided it. So it is asked again without what was found: what must be
//! taken away for the answer to change is the reason. And it is asked again as of later days: the first on which the
//! answer changes by itself is the next time.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use fhirpath::Expression;
use serde_json::Value;

use crate::domain::{Appointment, ClinicDefault, EnrolmentState, Reason, ResourceKey, ResourceType, ResourceVersion};

use super::conditions::{Subject, mirrored_type};
use super::moment::{resolve, start_of_day};
use super::{CompiledRule, Mirror, NotApplicable, PatientFacts};

/// How many days ahead the next time is looked for: two years and some, as far as any screening reaches that is due.
const DAYS_AHEAD: u64 = 800;

/// Why a rule, or a step of it, makes no reminder. Holds PHI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// One or two sentences.
    pub words: String,
    /// The resources that stand against it.
    pub found: Vec<ResourceVersion>,
    /// The first day on which the answer changes, if nothing else does.
    pub next: Option<NaiveDate>,
}

/// Explains what planning said of one resource. `now` is the instant of that plan.
pub fn explain(
    facts: &PatientFacts<'_>,
    rule: &CompiledRule,
    absent: &NotApplicable,
    now: DateTime<Utc>,
) -> Explanation {
    let case = Explained { facts, rule, absent, now };
    let words = |words: String| Explanation { words, ..Explanation::default() };
    match absent.reason {
        Reason::RuleOff | Reason::RulePaused => words(case.who_switched_it()),
        Reason::ConditionNotMet => case.what_stands_against_it(),
        Reason::NotKnown => words(format!("{} {}", absent.reason.words(), case.what_is_not_known())),
        Reason::Expired | Reason::BookedLate | Reason::Superseded => {
            words(format!("{} {}", absent.reason.words(), case.when_it_was_due()).trim().to_owned())
        }
        reason => words(match &absent.words {
            Some(more) => format!("{} ({more})", reason.words()),
            None => reason.words().to_owned(),
        }),
    }
}

struct Explained<'p, 'a> {
    facts: &'p PatientFacts<'a>,
    rule: &'p CompiledRule,
    absent: &'p NotApplicable,
    now: DateTime<Utc>,
}

impl<'p, 'a> Explained<'p, 'a> {
    fn who_switched_it(&self) -> String {
        let enrolment = self.facts.enrolments.iter().find(|it| it.rule == *self.rule.id());
        match enrolment.map(|it| (it, it.state)) {
            Some((it, EnrolmentState::PausedUntil(until))) => {
                format!("Paused by {} on {} until {}.", it.by, spoken(it.at, Tz::UTC), spoken(until, Tz::UTC))
            }
            Some((it, _)) => format!("Switched off by {} on {}.", it.by, spoken(it.at, Tz::UTC)),
            None if self.default().is_some() => {
                let it = self.default().map(|it| (it.by.clone(), spoken(it.at, Tz::UTC))).unwrap_or_default();
                format!("Switched off for the clinic by {} on {}, and not on for this patient.", it.0, it.1)
            }
            None => self.absent.reason.words().to_owned(),
        }
    }

    fn default(&self) -> Option<&ClinicDefault> {
        let key = &self.absent.resource;
        let appointment = self.facts.appointments.iter().find(|it| it.version.key == *key);
        super::facts::clinic_default(self.facts.clinic_defaults, self.rule.id(), appointment).filter(|it| !it.on)
    }

    fn what_is_not_known(&self) -> String {
        match super::coverage_gap(self.rule.rule(), self.facts.mirror, self.now) {
            Some(kind) => format!("{kind} was not pulled completely, or not lately enough."),
            None => String::new(),
        }
    }

    fn when_it_was_due(&self) -> String {
        let Some((resource, appointment, zone)) = self.place() else { return String::new() };
        let step = self.rule.rule().steps.iter().find(|it| Some(&it.id) == self.absent.step.as_ref());
        let subject = self.subject(self.facts.mirror, resource, self.now, zone);
        let anchor = self.rule.conditions().anchor.as_ref();
        let anchor = anchor.and_then(|anchor| subject.instant(anchor).ok().flatten());
        let Some((step, anchor)) = step.zip(anchor).filter(|_| self.rule.rule().cadence.is_none()) else {
            return String::new();
        };
        let told = |at: Option<DateTime<Utc>>| at.map_or_else(String::new, |at| clock(at, zone));
        let due = told(resolve(&step.at, anchor, zone, &self.rule.rule().holidays));
        match (self.absent.reason, appointment.and_then(|it| it.created)) {
            (Reason::BookedLate, Some(created)) => {
                format!("Booked {}; due would have been {due}.", clock(created, zone))
            }
            _ => format!(
                "It was due {due} and of use until {}.",
                told(resolve(&step.expires, anchor, zone, &self.rule.rule().holidays))
            ),
        }
    }

    fn what_stands_against_it(&self) -> Explanation {
        let Some((resource, _, zone)) = self.place() else { return self.plain() };
        let conditions = self.rule.conditions();
        // A step has an excuse; the whole resource has a condition that does not hold.
        let (expression, wanted, at) = match (&self.absent.step, &conditions.unless) {
            (Some(_), Some(unless)) => (unless, false, self.due_at(resource, zone).unwrap_or(self.now).max(self.now)),
            (Some(_), None) => return self.plain(),
            (None, _) => (&conditions.condition, true, self.now),
        };
        let found = self.found(expression, wanted, resource, at, zone);
        let next = self.next(expression, wanted, resource, at, zone);
        let mut words = String::new();
        if let Some(first) = found.first() {
            words = format!("Found: {}", describe(first.1, zone));
            if found.len() > 1 {
                words.push_str(&format!(" and {} more", found.len() - 1));
            }
            words.push('.');
        } else if self.absent.step.is_some() {
            words.push_str("What the rule names as making it unnecessary is true.");
        } else {
            words.push_str(&format!("The condition does not hold for {}.", describe(resource, zone)));
        }
        if let Some(next) = next {
            words.push_str(&format!(" Next due in {}.", next.format("%B %Y")));
        }
        Explanation { words, found: found.into_iter().map(|(version, _)| version.clone()).collect(), next }
    }

    fn plain(&self) -> Explanation {
        Explanation { words: self.absent.reason.words().to_owned(), ..Explanation::default() }
    }

    /// What must be missing for the answer to be the wanted one: the newest first, until it is.
    fn found(
        &self,
        expression: &Expression,
        wanted: bool,
        resource: &'a Value,
        at: DateTime<Utc>,
        zone: Tz,
    ) -> Vec<(&'a ResourceVersion, &'a Value)> {
        let kinds = expression.references().variables.iter().filter_map(|name| mirrored_type(name));
        let mut candidates: Vec<(&'a ResourceVersion, &'a Value)> =
            kinds.flat_map(|kind| self.facts.mirror.of(kind)).map(|it| (it.version, it.value)).collect();
        candidates.sort_by_key(|(_, value)| std::cmp::Reverse(dated(value).map(str::to_owned)));
        let answers = |without: &[ResourceKey]| {
            let mirror = self.facts.mirror.without(without);
            self.subject(&mirror, resource, at, zone).holds(expression) == Ok(Some(wanted))
        };
        if answers(&[]) {
            return Vec::new();
        }
        // One alone, if one is enough.
        if let Some(alone) = candidates.iter().find(|(version, _)| answers(std::slice::from_ref(&version.key))) {
            return vec![*alone];
        }
        let mut taken: Vec<ResourceKey> = Vec::new();
        for (count, (version, _)) in candidates.iter().enumerate() {
            taken.push(version.key.clone());
            if answers(&taken) {
                // Only those without which it would not do.
                let needed = |key: &ResourceKey| {
                    let others: Vec<ResourceKey> = taken.iter().filter(|it| *it != key).cloned().collect();
                    !answers(&others)
                };
                return candidates[..=count].iter().filter(|(version, _)| needed(&version.key)).copied().collect();
            }
        }
        Vec::new()
    }

    /// The first day on which the answer is the wanted one though nothing else changed.
    fn next(
        &self,
        expression: &Expression,
        wanted: bool,
        resource: &'a Value,
        at: DateTime<Utc>,
        zone: Tz,
    ) -> Option<NaiveDate> {
        if self.rule.rule().cadence.is_some() {
            return self.next_repetition(resource, zone);
        }
        if !super::conditions::reads_clock(expression) {
            return None;
        }
        let day = at.with_timezone(&zone).date_naive();
        (1..=DAYS_AHEAD).filter_map(|days| day.checked_add_days(Days::new(days))).find(|day| {
            let noon = start_of_day(*day, zone).map(|midnight| midnight + TimeDelta::hours(12));
            noon.is_some_and(|noon| {
                self.subject(self.facts.mirror, resource, noon, zone).holds(expression) == Ok(Some(wanted))
            })
        })
    }

    /// The next repetition after the one that is not needed.
    fn next_repetition(&self, resource: &'a Value, zone: Tz) -> Option<NaiveDate> {
        let this = self.due_at(resource, zone)?;
        let rule = self.rule.rule();
        let subject = self.subject(self.facts.mirror, resource, self.now, zone);
        let anchor = subject.instant(self.rule.conditions().anchor.as_ref()?).ok()??;
        let cadence = rule.cadence?;
        let later = super::moment::offset(this, cadence.every, zone)?;
        super::plan::repetition_near(rule, anchor, later, zone).map(|at| at.with_timezone(&zone).date_naive())
    }

    /// When the step in question falls due.
    fn due_at(&self, resource: &'a Value, zone: Tz) -> Option<DateTime<Utc>> {
        let rule = self.rule.rule();
        let subject = self.subject(self.facts.mirror, resource, self.now, zone);
        let anchor = subject.instant(self.rule.conditions().anchor.as_ref()?).ok()??;
        let step = rule.steps.iter().find(|it| Some(&it.id) == self.absent.step.as_ref()).or(rule.steps.first())?;
        let Some(cadence) = rule.cadence else { return resolve(&step.at, anchor, zone, &self.rule.rule().holidays) };
        // The repetition that is not over yet, as planning takes it.
        let period = super::moment::offset(self.now, cadence.every, zone)? - self.now;
        let near =
            (-2..=4).filter_map(|half| super::plan::repetition_near(rule, anchor, self.now + period * half / 2, zone));
        let is_alive = |it: &DateTime<Utc>| {
            resolve(&step.expires, *it, zone, &rule.holidays).is_some_and(|expires| expires > self.now)
        };
        resolve(&step.at, near.filter(is_alive).min()?, zone, &rule.holidays)
    }

    fn place(&self) -> Option<(&'a Value, Option<&'p Appointment>, Tz)> {
        let key = &self.absent.resource;
        let resource = self.facts.mirror.of(key.resource_type).iter().find(|it| it.version.key == *key)?.value;
        let appointment = self
            .facts
            .appointments
            .iter()
            .find(|it| key.resource_type == ResourceType::Appointment && it.version.key == *key);
        Some((resource, appointment, self.facts.facilities.of(appointment).zone?))
    }

    fn subject<'s>(&'s self, mirror: &'s Mirror<'a>, resource: &'s Value, at: DateTime<Utc>, zone: Tz) -> Subject<'s> {
        Subject { rule: self.rule.rule(), resource, patient: self.facts.patient_value, mirror, at, zone }
    }
}

/// `Observation “Hemoglobin A1c” of 3 March 2026`.
fn describe(resource: &Value, zone: Tz) -> String {
    let kind = resource["resourceType"].as_str().unwrap_or("a resource");
    let mut words = kind.to_owned();
    if let Some(name) = name(resource) {
        words.push_str(&format!(" “{name}”"));
    }
    if let Some(date) = dated(resource) {
        words.push_str(&format!(" of {}", date_words(date, zone)));
    }
    if let Some(status) = resource["status"].as_str().filter(|_| kind == "Appointment") {
        words.push_str(&format!(" ({status})"));
    }
    words
}

fn name(resource: &Value) -> Option<&str> {
    let concept = ["code", "vaccineCode", "medicationCodeableConcept"].into_iter().map(|it| &resource[it]);
    let concept = concept.chain([&resource["serviceType"][0], &resource["type"][0]]).find(|it| it.is_object())?;
    concept["text"]
        .as_str()
        .or_else(|| concept["coding"].as_array()?.iter().find_map(|coding| coding["display"].as_str()))
        .or_else(|| concept["coding"][0]["code"].as_str())
}

/// The date that a person would name a resource by.
fn dated(resource: &Value) -> Option<&str> {
    let names = [
        "start",
        "effectiveDateTime",
        "effectiveInstant",
        "performedDateTime",
        "occurrenceDateTime",
        "authoredOn",
        "onsetDateTime",
        "recordedDate",
        "issued",
    ];
    let periods = ["effectivePeriod", "performedPeriod", "period"].into_iter().map(|name| &resource[name]["start"]);
    names.into_iter().map(|name| &resource[name]).chain(periods).find_map(Value::as_str)
}

fn date_words(text: &str, zone: Tz) -> String {
    if let Ok(at) = text.parse::<DateTime<Utc>>() {
        return spoken(at, zone);
    }
    match text.get(..10).and_then(|day| day.parse::<NaiveDate>().ok()) {
        Some(day) => day.format("%-d %B %Y").to_string(),
        None => text.to_owned(),
    }
}

fn spoken(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%-d %B %Y").to_string()
}

fn clock(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%-d %B %Y, %H:%M %Z").to_string()
}
