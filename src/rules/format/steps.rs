//! The steps of a rule.

use chrono::DateTime;

use crate::domain::{Moment, Offset, ResourceType, Step, StepId, Variant};

use super::super::moment;
use super::super::moment_text::{parse_duration_minutes, parse_moment};
use super::super::templates::NEUTRAL;
use super::reader::{Reader, Table};

const KEYS: [&str; 7] = ["id", "at", "expires", "skip_if_booked_within", "unless", "template", "variants"];

pub(super) fn steps(reader: &mut Reader<'_>, top: &Table<'_>, resource: Option<ResourceType>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, table) in reader.tables(top, "step").into_iter().enumerate() {
        reader.known_keys(&table, &KEYS);
        let id = reader.text(&table, "id");
        if let Some(written) = &id {
            if !super::super::folder::is_name(&written.value) {
                let hint = Some("use small letters, digits and hyphens, such as day-before");
                reader.error(written.line, format!("\"{}\" is not a step id", written.value), hint);
            }
            if steps.iter().any(|step| step.id.as_str() == written.value) {
                let hint = Some("a step is known by its id: give each its own");
                reader.error(written.line, format!("the step id \"{}\" is used twice", written.value), hint);
            }
        }
        let at = moment_of(reader, &table, "at");
        let expires = moment_of(reader, &table, "expires");
        let line = reader.line_of(&table);
        if expires.as_ref().is_some_and(|it| it.offset == Offset::AtOnce) {
            reader.error(line, "a step cannot expire at once", Some("name an instant, such as \"at the start\""));
        }
        if let (Some(at), Some(expires)) = (&at, &expires)
            && at.offset != Offset::AtOnce
            && !is_before(at, expires)
        {
            reader.error(line, "the step expires before it falls due", Some("\"expires\" must come after \"at\""));
        }
        let skip = booked_within(reader, &table, resource);
        let unless = reader.optional_text(&table, "unless").map(|written| {
            reader.place(format!("step.{}.unless", steps.len()), written.text_line);
            written.value
        });
        let variants = variants(reader, &table, index);
        if let (Some(id), Some(at), Some(expires)) = (id, at, expires) {
            let id = StepId::new(id.value);
            steps.push(Step { id, at, expires, skip_if_booked_within_minutes: skip, unless, variants });
        }
    }
    steps
}

fn moment_of(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<Moment> {
    let written = reader.text(table, key)?;
    match parse_moment(&written.value) {
        Ok(moment) => Some(moment),
        Err(what) => {
            reader.error(written.line, what, None::<String>);
            None
        }
    }
}

fn booked_within(reader: &mut Reader<'_>, table: &Table<'_>, resource: Option<ResourceType>) -> Option<u32> {
    let written = reader.optional_text(table, "skip_if_booked_within")?;
    if resource.is_some_and(|kind| kind != ResourceType::Appointment) {
        reader.error(written.line, "only an Appointment is booked", Some("remove skip_if_booked_within"));
    }
    match parse_duration_minutes(&written.value) {
        Ok(minutes) => Some(minutes),
        Err(what) => {
            reader.error(written.line, what, None::<String>);
            None
        }
    }
}

fn variants(reader: &mut Reader<'_>, table: &Table<'_>, step: usize) -> Vec<Variant> {
    let line = reader.line_of(table);
    match (table.has("template"), table.has("variants")) {
        (true, true) => {
            reader.error(line, "a step has either \"template\" or \"variants\"", None::<String>);
            Vec::new()
        }
        (false, false) => {
            reader.error(line, "the step names no text", Some("add template = \"reminder\""));
            Vec::new()
        }
        (true, false) => template(reader, table).map(|template| Variant { when: None, template }).into_iter().collect(),
        (false, true) => {
            let tables = reader.tables(table, "variants");
            let last = tables.len().saturating_sub(1);
            let mut variants = Vec::new();
            for (index, entry) in tables.iter().enumerate() {
                reader.known_keys(entry, &["when", "template"]);
                let when = reader.optional_text(entry, "when");
                let line = reader.line_of(entry);
                if when.is_none() && index < last {
                    reader.error(
                        line,
                        "the variants after this one are never used",
                        Some("add \"when\", or move it to the end"),
                    );
                }
                if when.is_some() && index == last {
                    reader.error(
                        line,
                        "no text is left where no variant holds",
                        Some("leave \"when\" out of the last variant"),
                    );
                }
                if let Some(when) = &when {
                    reader.place(format!("step.{step}.variant.{index}"), when.text_line);
                }
                if let Some(template) = template(reader, entry) {
                    variants.push(Variant { when: when.map(|it| it.value), template });
                }
            }
            variants
        }
    }
}

fn template(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<String> {
    let written = reader.text(table, "template")?;
    if written.value == NEUTRAL {
        reader.error(
            written.line,
            "the text \"neutral\" is kept for restricted records",
            Some("give this one another name, even where its detail is neutral"),
        );
        return None;
    }
    if !super::super::folder::is_name(&written.value) {
        reader.error(
            written.line,
            format!("\"{}\" is not the name of a text", written.value),
            Some("use small letters, digits and hyphens"),
        );
        return None;
    }
    Some(written.value)
}

/// Compared at noon of an ordinary day: a rule has no date yet.
fn is_before(at: &Moment, expires: &Moment) -> bool {
    let anchor = DateTime::from_timestamp(1_781_092_800, 0).unwrap_or_default();
    let instant = |it: &Moment| moment::resolve(it, anchor, chrono_tz::UTC, &[]);
    instant(at) < instant(expires)
}
