//! Whom a rule is for, besides its condition.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::domain::{Language, Patient, ResourceType, Rule};

use super::moment::start_of_day;

/// Whether the patient is among those meant. The words name the filter, never the patient's own facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    Yes,
    No(&'static str),
    Unknown(&'static str),
}

/// Judges the filters in order; one that surely excludes wins over one that cannot be told.
pub(super) fn is_meant(
    rule: &Rule,
    patient: &Patient,
    patient_value: &Value,
    resource: &Value,
    on: NaiveDate,
) -> Meant {
    let who = &rule.who;
    if who.is_everyone() {
        return Meant::Yes;
    }
    let mut found = [
        age(rule, patient, on),
        language(&who.languages, &patient.languages),
        location(&who.locations, rule.resource, resource),
        clinician(&who.clinicians, rule.resource, resource, patient_value),
    ];
    found.sort_by_key(|it| match it {
        Meant::No(_) => 0,
        Meant::Unknown(_) => 1,
        Meant::Yes => 2,
    });
    found[0]
}

/// The next instant at which the patient grows into or out of the rule; `None` where neither is to come, or the birth
/// date is not known to the day.
pub(super) fn next_birthday(rule: &Rule, patient: &Patient, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
    let limits = [rule.who.age_from_months, rule.who.age_below_months];
    limits
        .into_iter()
        .flatten()
        .filter_map(|months| start_of_day(patient.completes_months_on(months)?, zone))
        .filter(|at| *at > now)
        .min()
}

fn age(rule: &Rule, patient: &Patient, on: NaiveDate) -> Meant {
    let (from, below) = (rule.who.age_from_months, rule.who.age_below_months);
    if from.is_none() && below.is_none() {
        return Meant::Yes;
    }
    let Some((youngest, oldest)) = patient.months_of_life_on(on) else {
        return Meant::Unknown("the age is not known");
    };
    if from.is_some_and(|from| oldest < from) {
        Meant::No("the patient is too young")
    } else if below.is_some_and(|below| youngest >= below) {
        Meant::No("the patient is too old")
    } else if from.is_none_or(|from| youngest >= from) && below.is_none_or(|below| oldest < below) {
        Meant::Yes
    } else {
        Meant::Unknown("the birth date is too coarse to tell the age")
    }
}

fn language(wanted: &[String], read: &[Language]) -> Meant {
    if wanted.is_empty() {
        return Meant::Yes;
    }
    match read.first() {
        None => Meant::Unknown("the record names no language"),
        Some(first) if wanted.contains(&first.primary()) => Meant::Yes,
        Some(_) => Meant::No("the patient reads another language"),
    }
}

fn location(wanted: &[String], kind: ResourceType, resource: &Value) -> Meant {
    if wanted.is_empty() {
        return Meant::Yes;
    }
    let places = match kind {
        ResourceType::Encounter => references(&resource["location"], "location"),
        _ => references(&resource["participant"], "actor"),
    };
    let mut places = places.into_iter().filter_map(|it| it.rsplit_once("Location/").map(|(_, id)| id)).peekable();
    if places.peek().is_none() {
        return Meant::Unknown("no place is named");
    }
    if places.any(|id| wanted.iter().any(|it| it == id)) { Meant::Yes } else { Meant::No("it takes place elsewhere") }
}

/// Those who take part in the resource; where it names nobody, those who look after the patient.
fn clinician(wanted: &[String], kind: ResourceType, resource: &Value, patient: &Value) -> Meant {
    if wanted.is_empty() {
        return Meant::Yes;
    }
    let of_resource = match kind {
        ResourceType::Appointment => references(&resource["participant"], "actor"),
        ResourceType::Encounter => references(&resource["participant"], "individual"),
        ResourceType::MedicationRequest => resource["requester"]["reference"].as_str().into_iter().collect(),
        ResourceType::ServiceRequest => {
            let mut all = references(&resource["performer"], "");
            all.extend(resource["requester"]["reference"].as_str());
            all
        }
        _ => Vec::new(),
    };
    let is_clinician = |it: &&str| it.contains("Practitioner");
    let mut known: Vec<&str> = of_resource.into_iter().filter(is_clinician).collect();
    if known.is_empty() {
        known = references(&patient["generalPractitioner"], "").into_iter().filter(is_clinician).collect();
    }
    if known.is_empty() {
        return Meant::Unknown("no clinician is named");
    }
    let is_wanted = |it: &&str| wanted.iter().any(|wanted| *it == wanted || it.ends_with(&format!("/{wanted}")));
    if known.iter().any(is_wanted) { Meant::Yes } else { Meant::No("another clinician is in charge") }
}

/// The references in a list, each below `element` of an item (or the item itself where it is empty).
fn references<'a>(list: &'a Value, element: &str) -> Vec<&'a str> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    let of = |item: &'a Value| if element.is_empty() { item } else { &item[element] };
    items.iter().filter_map(|item| of(item)["reference"].as_str()).collect()
}
