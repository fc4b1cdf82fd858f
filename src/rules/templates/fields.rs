//! The fields that a template may use, by level of detail.

use std::collections::BTreeMap;

use minijinja::Value;

use crate::domain::{Detail, ResourceType};

use super::super::wording;

/// One field.
pub(super) struct Field {
    pub name: &'static str,
    /// The least detail that shows it.
    pub detail: Detail,
    /// Absent (none) where the record lacks it: the template must ask with `{% if %}`.
    pub optional: bool,
    /// Known only where the rule is about an appointment.
    pub of_appointment: bool,
    /// A date or time in words: only in languages that we can spell.
    pub spoken: bool,
    sample: &'static str,
}

const fn field(name: &'static str, detail: Detail, sample: &'static str) -> Field {
    Field { name, detail, optional: false, of_appointment: false, spoken: false, sample }
}

const fn optional(field: Field) -> Field {
    Field { optional: true, ..field }
}

const fn of_appointment(field: Field) -> Field {
    Field { of_appointment: true, ..field }
}

const fn spoken(field: Field) -> Field {
    Field { spoken: true, of_appointment: true, ..field }
}

pub(super) const FIELDS: &[Field] = &[
    field("organisation_name", Detail::Neutral, "Example Clinic"),
    field("organisation_phone", Detail::Neutral, "512-555-0100"),
    optional(field("link", Detail::Neutral, "https://example.org/m/abcdefgh")),
    optional(field("given_name", Detail::Limited, "Maria")),
    spoken(field("weekday", Detail::Limited, "")),
    spoken(field("date", Detail::Limited, "")),
    spoken(field("time", Detail::Limited, "")),
    spoken(field("visits", Detail::Limited, "")),
    spoken(field("zone", Detail::Limited, "")),
    spoken(field("zone_short", Detail::Limited, "")),
    optional(of_appointment(field("place", Detail::Limited, "Main Street Clinic"))),
    optional(of_appointment(field("service", Detail::Full, "Annual check-up"))),
];

impl Field {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Whether a template in `language` with this detail may use it, in a rule about `resource`.
    pub(super) fn is_allowed(&self, detail: Detail, resource: ResourceType, language: &str) -> bool {
        self.detail <= detail
            && (!self.of_appointment || resource == ResourceType::Appointment)
            && (!self.spoken || wording::LANGUAGES.contains(&language))
    }
}

/// Keeps what may be shown and drops the rest: the allow-list holds even for a template that was never checked.
pub(super) fn allowed(
    values: BTreeMap<&'static str, Option<String>>,
    detail: Detail,
    resource: ResourceType,
    language: &str,
) -> BTreeMap<String, Value> {
    FIELDS
        .iter()
        .filter(|field| field.is_allowed(detail, resource, language))
        .filter_map(|field| {
            let value = values.get(field.name)?;
            match value {
                Some(text) => Some((field.name.to_owned(), Value::from(single_line(text)))),
                // A field that is always there and is not must fail the rendering, not print a hole.
                None if field.optional => Some((field.name.to_owned(), Value::from(()))),
                None => None,
            }
        })
        .collect()
}

/// Facts of nobody. `full` fills the optional ones too.
pub(super) fn sample(language: &str, full: bool) -> BTreeMap<&'static str, Option<String>> {
    // A Wednesday in September: the longest words in both languages, and on the far side of New Year.
    let instant = chrono::DateTime::from_timestamp(1_821_630_600, 0).unwrap_or_default();
    let spoken = wording::speak(instant, chrono_tz::America::New_York, language, chrono::DateTime::UNIX_EPOCH);
    FIELDS
        .iter()
        .map(|field| {
            let value = match (&spoken, field.name) {
                (Some(it), "weekday") => Some(it.weekday.clone()),
                (Some(it), "date") => Some(it.date.clone()),
                (Some(it), "time") => Some(it.time.clone()),
                (Some(it), "visits") => Some(format!("{0}, Main Street Clinic; {0}, Main Street Clinic", it.time)),
                (Some(it), "zone") => Some(it.zone.clone()),
                (Some(it), "zone_short") => Some(it.zone_short.clone()),
                (None, _) if field.spoken => None,
                _ => (full || !field.optional).then(|| field.sample.to_owned()),
            };
            (field.name, value)
        })
        .collect()
}

/// A fact as it may stand in a text or a header: one line, no control characters, no endless name.
fn single_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
