//! A released reminder becomes a text.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::{Appointment, Channel, Detail, MessageBody, Patient, Phi, Release};

use super::super::{CompiledRule, Facility, wording};
use super::name::{Part, TemplateName};
use super::{Templates, fields};

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    pub name: String,
    /// Where a person can call, as it should be read.
    pub phone: String,
}

/// What a text may speak of.
#[derive(Debug, Clone, Copy)]
pub struct RenderFacts<'a> {
    pub organisation: &'a Organisation,
    pub patient: &'a Patient,
    /// The appointment that the message is about, freshly read.
    pub appointment: Option<&'a Appointment>,
    /// Where it takes place; its zone is the one that times are spoken in.
    pub facility: &'a Facility,
    /// Where the rule puts the visits of a day into one message: the others, each where it takes place.
    pub others: &'a [(Appointment, Facility)],
    /// A pickup or preferences page.
    pub link: Option<&'a str>,
    pub now: DateTime<Utc>,
}

/// Why there is no text. Names files and fields, never a fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("rule {rule} has no template {file}")]
    Missing { rule: String, file: String },
    #[error("rule {rule}: template {file} failed at line {line}: {what}")]
    Failed { rule: String, file: String, line: u32, what: String },
}

/// Renders the message of a release. The fields are those that `release.detail` allows and no others.
pub fn render(rule: &CompiledRule, release: &Release, facts: &RenderFacts<'_>) -> Result<MessageBody, RenderError> {
    let values = values(facts, &release.language);
    body(rule, &release.language, release.channel, &release.template, release.detail, &values)
}

/// Renders a text with facts of nobody: for the pages on which a rule is looked at.
pub fn render_sample(
    rule: &CompiledRule,
    language: &str,
    channel: Channel,
    template: &str,
) -> Result<MessageBody, RenderError> {
    let name = TemplateName { language: language.to_owned(), channel, variant: template.to_owned(), part: Part::Text };
    let detail = super::detail_of(rule.rule(), &name).unwrap_or(Detail::Neutral);
    body(rule, language, channel, template, detail, &fields::sample(language, true))
}

fn body(
    rule: &CompiledRule,
    language: &str,
    channel: Channel,
    variant: &str,
    detail: Detail,
    values: &BTreeMap<&'static str, Option<String>>,
) -> Result<MessageBody, RenderError> {
    let templates: &Templates = rule.templates();
    let text = TemplateName { language: language.to_owned(), channel, variant: variant.to_owned(), part: Part::Text };
    let render = |part: Part| -> Result<Option<Phi<String>>, RenderError> {
        let name = text.with(part);
        if !templates.index.contains(&name) {
            return Ok(None);
        }
        let detail = if part == Part::Subject { Detail::Neutral } else { detail };
        let context = fields::allowed(values.clone(), detail, templates.resource, language);
        let text = templates.render(&name, &context).map_err(|error| RenderError::Failed {
            rule: rule.id().to_string(),
            file: name.file(),
            line: super::line(&error).unwrap_or_default(),
            // The kind, not the detail: a detail may quote a value.
            what: error.kind().to_string(),
        })?;
        Ok(Some(Phi::new(if part == Part::Subject { text.replace(['\r', '\n'], " ") } else { text }.trim().to_owned())))
    };
    let missing = |part: Part| RenderError::Missing { rule: rule.id().to_string(), file: text.with(part).file() };
    let rendered = render(Part::Text)?.ok_or_else(|| missing(Part::Text))?;
    if channel != Channel::Email {
        return Ok(MessageBody { subject: None, text: rendered, html: None });
    }
    let subject = render(Part::Subject)?.ok_or_else(|| missing(Part::Subject))?;
    Ok(MessageBody { subject: Some(subject), text: rendered, html: render(Part::Html)? })
}

fn values(facts: &RenderFacts<'_>, language: &str) -> BTreeMap<&'static str, Option<String>> {
    let start = facts.appointment.and_then(|it| it.start);
    let spoken =
        start.zip(facts.facility.zone).and_then(|(start, zone)| wording::speak(start, zone, language, facts.now));
    let given = facts.patient.greeting_name().and_then(|name| name.given.first()).map(|it| it.expose().clone());
    BTreeMap::from([
        ("organisation_name", Some(facts.organisation.name.clone())),
        ("organisation_phone", Some(facts.organisation.phone.clone())),
        ("link", facts.link.map(str::to_owned)),
        ("given_name", given),
        ("weekday", spoken.as_ref().map(|it| it.weekday.clone())),
        ("date", spoken.as_ref().map(|it| it.date.clone())),
        ("time", spoken.as_ref().map(|it| it.time.clone())),
        ("visits", visits(facts, language)),
        ("zone", spoken.as_ref().map(|it| it.zone.clone())),
        ("zone_short", spoken.as_ref().map(|it| it.zone_short.clone())),
        ("place", facts.facility.name.clone()),
        ("service", facts.appointment.and_then(|it| it.service.as_ref()).map(|it| it.expose().clone())),
    ])
}

/// `9:00 AM, Main Street Clinic; 2:00 PM, Imaging`: each visit of the day, on the clock of its place.
fn visits(facts: &RenderFacts<'_>, language: &str) -> Option<String> {
    let own = facts.appointment.and_then(|it| Some((it.start?, facts.facility)));
    let others = facts.others.iter().filter_map(|(it, facility)| Some((it.start?, facility)));
    let mut all: Vec<(DateTime<Utc>, &Facility)> = own.into_iter().chain(others).collect();
    all.sort_by_key(|(start, _)| *start);
    let said: Option<Vec<String>> = all
        .into_iter()
        .map(|(start, facility)| {
            let time = wording::speak(start, facility.zone?, language, facts.now)?.time;
            Some(facility.name.as_ref().map_or(time.clone(), |name| format!("{time}, {name}")))
        })
        .collect();
    said.filter(|it| !it.is_empty()).map(|it| it.join("; "))
}
