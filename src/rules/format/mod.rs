//! `rule.toml` as people write it: every mistake is told at once, with its line and what to write instead.
//!
//! A folder `<id>/` holds `rule.toml` and the templates:
//!
//! ```toml
//! title = "Appointment reminder"
//! purpose = "treatment"                 # or "operations"; marketing is refused
//! resource = "Appointment"
//! condition = "status = 'booked'"       # FHIRPath over the resource
//! unless = "…"                          # FHIRPath; where true as a step falls due, the step is not needed
//! on_change = "moved"                   # or "ended": only what was planned for and has changed
//! anchor = "start"                      # FHIRPath to the instant that the steps count from
//! schedule = "0 10 15 SEP *"            # in place of an anchor: cron, on the facility's wall clock
//! per = "resource"                      # or "patient", or "day": what matches together is one occasion
//! reads = []                            # further types, as %conditions, %observations …
//! freshness = "24 hours"                # how old a complete pull of those may be
//! move_tolerance = "30 minutes"
//! priority = 20                         # smaller goes first; 1 to 99
//! sensitive = false                     # true: neutral texts only, and to nobody but the patient
//! control_arm = 10                      # percent of the patients who get no message
//! escalate = ["no_language"]            # where a reminder ends unsent for one of these, staff get a task
//! holidays = ["12-25", "2026-11-26"]    # what "working days" step over, besides weekends
//! stale_ok = false
//! channels = [{ channel = "sms", detail = "limited" }, { channel = "email", detail = "limited" }]
//!
//! [who]                                 # besides the condition; each may be left out
//! age_from = "45 years"
//! age_below = "76 years"
//! languages = ["en", "es"]
//! locations = ["main"]                  # logical ids of Locations
//! clinicians = ["Practitioner/d1"]
//! enrolled = "only"                     # only whom staff switched it on for
//!
//! [cadence]                             # makes it come back
//! every = "6 months"
//! times = 3                             # at most
//! until = "…"                           # FHIRPath that ends it
//!
//! [language.es]                         # who read the texts over
//! review = "none"                       # or "original", or { by = "…", qualification = "…", on = "2026-05-01" }
//!
//! [value_sets."https://example.org/ValueSet/diabetes"]
//! "http://snomed.info/sct" = ["44054006"]
//!
//! [[step]]
//! id = "three-days-before"
//! at = "3 days before"
//! expires = "1 day before at 18:00"
//! skip_if_booked_within = "4 days"
//! unless = "…"                          # as above, for this step alone
//! template = "reminder"                 # or variants = [{ when = "…", template = "a" }, { template = "b" }]
//! ```

mod languages;
mod reader;
mod steps;
mod who;

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::domain::{
    Cadence, Change, Channel, Detail, Holiday, Per, Purpose, Reason, ResourceType, Rule, RuleId, RuleVersionId, Urgency,
};
use crate::fhir::codes;

use super::compile::Places;
use super::moment_text::{parse_duration_minutes, parse_every};
use super::problem::{RuleProblem, did_you_mean};

use reader::{Reader, Table, Written};

/// The file that makes a folder a rule.
pub(super) const RULE_FILE: &str = "rule.toml";

const KEYS: [&str; 25] = [
    "title",
    "purpose",
    "resource",
    "condition",
    "unless",
    "who",
    "on_change",
    "anchor",
    "schedule",
    "per",
    "holidays",
    "sensitive",
    "control_arm",
    "urgency",
    "escalate",
    "language",
    "reads",
    "freshness",
    "move_tolerance",
    "priority",
    "stale_ok",
    "channels",
    "cadence",
    "value_sets",
    "step",
];

/// The lines of the parts that are compiled later.
#[derive(Debug, Default)]
pub(super) struct Lines(pub(super) BTreeMap<String, u32>);

impl Places for Lines {
    fn line(&self, part: &str) -> Option<u32> {
        self.0.get(part).copied()
    }
}

/// Reads a rule. It comes back wherever it can be compiled, so that the mistakes of its expressions and templates are
/// told together with those of its file.
pub(super) fn read(
    id: &str,
    source: &str,
    templates: BTreeMap<String, String>,
) -> (Option<Rule>, Lines, Vec<RuleProblem>) {
    let mut reader = Reader::new(id, source);
    let Some(root) = reader.parse() else { return (None, Lines::default(), reader.problems) };
    let top = Table::root(&root);
    reader.known_keys(&top, &KEYS);
    let resource = resource_type(&mut reader, &top, "resource");
    let rule = Rule {
        id: RuleId::new(id),
        version: RuleVersionId::new(""),
        title: reader.text(&top, "title").map(|it| it.value).unwrap_or_default(),
        purpose: purpose(&mut reader, &top),
        resource: resource.unwrap_or(ResourceType::Appointment),
        condition: expression(&mut reader, &top, "condition"),
        unless: reader.optional_text(&top, "unless").map(|written| {
            reader.place("unless", written.text_line);
            written.value
        }),
        who: who::who(&mut reader, &top, resource),
        on_change: on_change(&mut reader, &top),
        schedule: schedule(&mut reader, &top),
        anchor: if top.has("schedule") { String::new() } else { expression(&mut reader, &top, "anchor") },
        per: per(&mut reader, &top),
        cadence: cadence(&mut reader, &top),
        until: until(&mut reader, &top),
        holidays: holidays(&mut reader, &top),
        reads: reads(&mut reader, &top),
        freshness_minutes: duration(&mut reader, &top, "freshness").unwrap_or(24 * 60),
        move_tolerance_minutes: duration(&mut reader, &top, "move_tolerance").unwrap_or(30),
        priority: priority(&mut reader, &top),
        urgency: urgency(&mut reader, &top),
        sensitive: reader.optional_bool(&top, "sensitive").unwrap_or(false),
        control_percent: control_arm(&mut reader, &top),
        escalate: escalate(&mut reader, &top),
        channels: channels(&mut reader, &top),
        stale_ok: reader.optional_bool(&top, "stale_ok").unwrap_or(false),
        value_sets: value_sets(&mut reader, &top),
        steps: steps::steps(&mut reader, &top, resource),
        reviews: languages::reviews(&mut reader, &top, &templates),
        templates,
    };
    detail_of_sensitive(&mut reader, &top, &rule);
    // A rule that lacks what its expressions are about cannot be compiled without inventing mistakes.
    let can_compile =
        resource.is_some() && !rule.condition.is_empty() && (!rule.anchor.is_empty() || rule.schedule.is_some());
    (can_compile.then_some(rule), Lines(reader.places), reader.problems)
}

fn expression(reader: &mut Reader<'_>, top: &Table<'_>, key: &str) -> String {
    let Some(written) = reader.text(top, key) else { return String::new() };
    reader.place(key, written.text_line);
    written.value
}

fn resource_type(reader: &mut Reader<'_>, top: &Table<'_>, key: &str) -> Option<ResourceType> {
    let written = reader.text(top, key)?;
    let found = parse_type(reader, &written)?;
    if found == ResourceType::Communication {
        reader.error(
            written.line,
            format!("a rule cannot be about a {found}"),
            Some("name what the reminder is about"),
        );
        return None;
    }
    Some(found)
}

fn parse_type(reader: &mut Reader<'_>, written: &Written) -> Option<ResourceType> {
    let found = ResourceType::parse(&written.value);
    if found.is_none() {
        let known = ResourceType::ALL.iter().map(|kind| kind.as_str());
        let hint = did_you_mean(&written.value, known);
        reader.error(written.line, format!("\"{}\" is not a resource type that Beckon reads", written.value), hint);
    }
    found
}

fn purpose(reader: &mut Reader<'_>, top: &Table<'_>) -> Purpose {
    let Some(written) = reader.text(top, "purpose") else { return Purpose::Treatment };
    match written.value.as_str() {
        "treatment" => Purpose::Treatment,
        "operations" => Purpose::Operations,
        "marketing" => {
            reader.error(
                written.line,
                "marketing needs an authorization of each patient and is refused",
                Some("use \"treatment\" or \"operations\" if it is that"),
            );
            Purpose::Marketing
        }
        other => {
            let hint = did_you_mean(other, ["treatment", "operations"]);
            reader.error(written.line, format!("\"{other}\" is not a purpose"), hint);
            Purpose::Treatment
        }
    }
}

fn per(reader: &mut Reader<'_>, top: &Table<'_>) -> Per {
    match reader.optional_text(top, "per") {
        None => Per::Resource,
        Some(written) => match written.value.as_str() {
            "resource" => Per::Resource,
            "patient" => Per::Patient,
            "day" => Per::Day,
            other => {
                reader.error(
                    written.line,
                    format!("\"{other}\" is neither \"resource\" nor \"patient\" nor \"day\""),
                    did_you_mean(other, ["resource", "patient", "day"]),
                );
                Per::Resource
            }
        },
    }
}

fn cadence(reader: &mut Reader<'_>, top: &Table<'_>) -> Option<Cadence> {
    let table = reader.optional_table(top, "cadence")?;
    reader.known_keys(&table, &["every", "times", "until"]);
    if top.has("schedule") {
        let line = reader.line_of(&table);
        reader.error(line, "a schedule comes back by itself", Some("remove either \"schedule\" or [cadence]"));
    }
    let times = match reader.optional_integer(&table, "times") {
        None => None,
        Some((_, value @ 1..=1000)) => u32::try_from(value).ok(),
        Some((line, value)) => {
            reader.error(line, format!("{value} times is not between 1 and 1000"), None::<String>);
            None
        }
    };
    let written = reader.text(&table, "every")?;
    match parse_every(&written.value) {
        Ok(every) => Some(Cadence { every, times }),
        Err(what) => {
            reader.error(written.line, what, None::<String>);
            None
        }
    }
}

fn until(reader: &mut Reader<'_>, top: &Table<'_>) -> Option<String> {
    let table = if top.has("cadence") { Reader::table_quietly(top, "cadence")? } else { return None };
    let written = reader.optional_text(&table, "until")?;
    reader.place("cadence.until", written.text_line);
    Some(written.value)
}

fn schedule(reader: &mut Reader<'_>, top: &Table<'_>) -> Option<String> {
    let written = reader.optional_text(top, "schedule")?;
    reader.place("schedule", written.line);
    if top.has("anchor") {
        reader.error(
            written.line,
            "a rule goes either by an anchor or by a schedule",
            Some("remove \"anchor\" or \"schedule\""),
        );
    }
    Some(written.value)
}

fn on_change(reader: &mut Reader<'_>, top: &Table<'_>) -> Option<Change> {
    let written = reader.optional_text(top, "on_change")?;
    if top.has("cadence") || top.has("schedule") {
        reader.error(
            written.line,
            "what comes back by the calendar is no change",
            Some("remove \"on_change\", or the cadence or schedule"),
        );
    }
    match written.value.as_str() {
        "moved" => Some(Change::Moved),
        "ended" => Some(Change::Ended),
        other => {
            let hint =
                did_you_mean(other, ["moved", "ended"]).or_else(|| Some("write \"moved\" or \"ended\"".to_owned()));
            reader.error(written.line, format!("\"{other}\" is not a change"), hint);
            None
        }
    }
}

fn holidays(reader: &mut Reader<'_>, top: &Table<'_>) -> Vec<Holiday> {
    let (_, written) = reader.texts(top, "holidays");
    let mut holidays = Vec::new();
    for it in written {
        // Any leap year will do for a day of every year.
        let yearly = NaiveDate::parse_from_str(&format!("2024-{}", it.value), "%Y-%m-%d").ok();
        let found = match (NaiveDate::parse_from_str(&it.value, "%Y-%m-%d"), yearly) {
            (Ok(date), _) => Some(Holiday::On(date)),
            (Err(_), Some(day)) => {
                use chrono::Datelike as _;
                Some(Holiday::Yearly { month: day.month(), day: day.day() })
            }
            (Err(_), None) => None,
        };
        if found.is_none() {
            let hint = Some("write a date such as \"2026-11-26\", or \"12-25\" for every year");
            reader.error(it.line, format!("\"{}\" is not a day", it.value), hint);
        }
        holidays.extend(found);
    }
    holidays
}

fn urgency(reader: &mut Reader<'_>, top: &Table<'_>) -> Urgency {
    let Some(written) = reader.optional_text(top, "urgency") else { return Urgency::Routine };
    match Urgency::ALL.into_iter().find(|it| it.as_str() == written.value) {
        Some(Urgency::Routine) => Urgency::Routine,
        Some(urgency) => {
            let hint = Some("leave it out; \"priority\" says which message goes first");
            reader.error(written.line, "the EHR cannot be told of an urgency yet", hint);
            urgency
        }
        None => {
            let hint = did_you_mean(&written.value, Urgency::ALL.map(Urgency::as_str));
            reader.error(written.line, format!("\"{}\" is not an urgency", written.value), hint);
            Urgency::Routine
        }
    }
}

fn control_arm(reader: &mut Reader<'_>, top: &Table<'_>) -> u8 {
    match reader.optional_integer(top, "control_arm") {
        None => 0,
        Some((_, value @ 1..=50)) => u8::try_from(value).unwrap_or_default(),
        Some((line, value)) => {
            let hint = Some("write whole percent, or leave it out");
            reader.error(line, format!("a control arm of {value} % is not between 1 and 50 %"), hint);
            0
        }
    }
}

/// Reasons by their codes.
fn escalate(reader: &mut Reader<'_>, top: &Table<'_>) -> Vec<Reason> {
    let (_, written) = reader.texts(top, "escalate");
    let mut reasons = Vec::new();
    for it in written {
        match Reason::ESCALATED.into_iter().find(|reason| reason.as_str() == it.value) {
            Some(reason) => reasons.push(reason),
            None => {
                let known = Reason::ESCALATED.map(Reason::as_str);
                let hint =
                    did_you_mean(&it.value, known).or_else(|| Some(format!("one of these: {}", known.join(", "))));
                reader.error(it.line, format!("\"{}\" is not a reason to ask a person", it.value), hint);
            }
        }
    }
    reasons
}

/// What is sensitive in itself goes out in neutral words, whatever the channel.
fn detail_of_sensitive(reader: &mut Reader<'_>, top: &Table<'_>, rule: &Rule) {
    if rule.sensitive && rule.channels.iter().any(|(_, detail)| *detail > Detail::Neutral) {
        let line = reader.line_of_key(top, "channels");
        reader.error(line, "a sensitive rule carries neutral detail only", Some("write detail = \"neutral\""));
    }
}

fn reads(reader: &mut Reader<'_>, top: &Table<'_>) -> Vec<ResourceType> {
    let (line, names) = reader.texts(top, "reads");
    if let Some(line) = line {
        reader.place("reads", line);
    }
    names.iter().filter_map(|written| parse_type(reader, written)).collect()
}

fn duration(reader: &mut Reader<'_>, top: &Table<'_>, key: &str) -> Option<u32> {
    let written = reader.optional_text(top, key)?;
    match parse_duration_minutes(&written.value) {
        Ok(minutes) => Some(minutes),
        Err(what) => {
            reader.error(written.line, format!("{key}: {what}"), None::<String>);
            None
        }
    }
}

fn priority(reader: &mut Reader<'_>, top: &Table<'_>) -> u8 {
    match reader.optional_integer(top, "priority") {
        None => 50,
        Some((_, value @ 1..=99)) => u8::try_from(value).unwrap_or(50),
        Some((line, value)) => {
            reader.error(line, format!("the priority {value} is not between 1 and 99"), None::<String>);
            50
        }
    }
}

fn channels(reader: &mut Reader<'_>, top: &Table<'_>) -> Vec<(Channel, Detail)> {
    let mut channels: Vec<(Channel, Detail)> = Vec::new();
    for table in reader.tables(top, "channels") {
        reader.known_keys(&table, &["channel", "detail"]);
        let channel = reader.text(&table, "channel");
        let detail = reader.text(&table, "detail").and_then(|written| {
            let found = match written.value.as_str() {
                "neutral" => Some(Detail::Neutral),
                "limited" => Some(Detail::Limited),
                "full" => Some(Detail::Full),
                _ => None,
            };
            if found.is_none() {
                let hint = did_you_mean(&written.value, ["neutral", "limited", "full"]);
                reader.error(written.line, format!("\"{}\" is not a level of detail", written.value), hint);
            }
            found
        });
        let Some(written) = channel else { continue };
        let Some(channel) = Channel::parse(&written.value) else {
            let hint = did_you_mean(&written.value, Channel::ALL.map(Channel::as_str));
            reader.error(written.line, format!("\"{}\" is not a channel", written.value), hint);
            continue;
        };
        if channels.iter().any(|(listed, _)| *listed == channel) {
            reader.error(written.line, format!("the channel {channel} is listed twice"), None::<String>);
            continue;
        }
        if channel == Channel::Sms && detail == Some(Detail::Full) {
            reader.error(
                written.line,
                "a text message cannot carry full detail: it is not protected on its way",
                Some("use \"limited\" or \"neutral\""),
            );
            continue;
        }
        if let Some(detail) = detail {
            channels.push((channel, detail));
        }
    }
    channels
}

fn value_sets(reader: &mut Reader<'_>, top: &Table<'_>) -> BTreeMap<String, Vec<(String, String)>> {
    let mut sets = BTreeMap::new();
    let Some(table) = reader.optional_table(top, "value_sets") else { return sets };
    for (url, _) in reader.keys(&table) {
        let Some(systems) = reader.optional_table(&table, &url) else { continue };
        let mut members = Vec::new();
        for (system, line) in reader.keys(&systems) {
            if !codes::is_known_system(&system) {
                let known = [
                    codes::SNOMED,
                    codes::LOINC,
                    codes::ICD10_CM,
                    codes::ICD10,
                    codes::ICD9_CM,
                    codes::CVX,
                    codes::RXNORM,
                ];
                reader.error(
                    line,
                    format!("\"{system}\" is not a code system that EHRs send"),
                    did_you_mean(&system, known),
                );
            }
            let (_, listed) = reader.texts(&systems, &system);
            if listed.is_empty() {
                reader.error(line, format!("\"{system}\" lists no codes"), None::<String>);
            }
            members.extend(listed.into_iter().map(|code| (system.clone(), code.value)));
        }
        sets.insert(url, members);
    }
    sets
}
