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
//! anchor = "start"                      # FHIRPath to the instant that the steps count from
//! per = "resource"                      # or "patient": all matching resources are one occasion
//! reads = []                            # further types, as %conditions, %observations …
//! freshness = "24 hours"                # how old a complete pull of those may be
//! move_tolerance = "30 minutes"
//! priority = 20                         # smaller goes first; 1 to 99
//! stale_ok = false
//! channels = [{ channel = "sms", detail = "limited" }, { channel = "email", detail = "limited" }]
//!
//! [cadence]                             # makes it come back
//! every = "6 months"
//!
//! [value_sets."https://example.org/ValueSet/diabetes"]
//! "http://snomed.info/sct" = ["44054006"]
//!
//! [[step]]
//! id = "three-days-before"
//! at = "3 days before"
//! expires = "1 day before at 18:00"
//! skip_if_booked_within = "4 days"
//! template = "reminder"                 # or variants = [{ when = "…", template = "a" }, { template = "b" }]
//! ```

mod reader;
mod steps;

use std::collections::BTreeMap;

use crate::domain::{Cadence, Channel, Detail, Per, Purpose, ResourceType, Rule, RuleId, RuleVersionId};
use crate::fhir::codes;

use super::compile::Places;
use super::moment_text::{parse_duration_minutes, parse_every};
use super::problem::{RuleProblem, did_you_mean};

use reader::{Reader, Table, Written};

/// The file that makes a folder a rule.
pub(super) const RULE_FILE: &str = "rule.toml";

const KEYS: [&str; 16] = [
    "title",
    "purpose",
    "resource",
    "condition",
    "unless",
    "anchor",
    "per",
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
        anchor: expression(&mut reader, &top, "anchor"),
        per: per(&mut reader, &top),
        cadence: cadence(&mut reader, &top),
        reads: reads(&mut reader, &top),
        freshness_minutes: duration(&mut reader, &top, "freshness").unwrap_or(24 * 60),
        move_tolerance_minutes: duration(&mut reader, &top, "move_tolerance").unwrap_or(30),
        priority: priority(&mut reader, &top),
        channels: channels(&mut reader, &top),
        stale_ok: reader.optional_bool(&top, "stale_ok").unwrap_or(false),
        value_sets: value_sets(&mut reader, &top),
        steps: steps::steps(&mut reader, &top, resource),
        templates,
    };
    // A rule that lacks what its expressions are about cannot be compiled without inventing mistakes.
    let can_compile = resource.is_some() && !rule.condition.is_empty() && !rule.anchor.is_empty();
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
    if matches!(found, ResourceType::Patient | ResourceType::Communication) {
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
            other => {
                reader.error(
                    written.line,
                    format!("\"{other}\" is neither \"resource\" nor \"patient\""),
                    did_you_mean(other, ["resource", "patient"]),
                );
                Per::Resource
            }
        },
    }
}

fn cadence(reader: &mut Reader<'_>, top: &Table<'_>) -> Option<Cadence> {
    let table = reader.optional_table(top, "cadence")?;
    reader.known_keys(&table, &["every"]);
    let written = reader.text(&table, "every")?;
    match parse_every(&written.value) {
        Ok(every) => Some(Cadence { every }),
        Err(what) => {
            reader.error(written.line, what, None::<String>);
            None
        }
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
