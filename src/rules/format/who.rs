//! Whom a rule is for.

use crate::domain::{ResourceType, Who};

use super::super::moment_text::parse_age_months;
use super::super::problem::did_you_mean;
use super::reader::{Reader, Table};

const KEYS: [&str; 7] = ["age_from", "age_below", "languages", "locations", "clinicians", "payers", "enrolled"];

pub(super) fn who(reader: &mut Reader<'_>, top: &Table<'_>, resource: Option<ResourceType>) -> Who {
    let Some(table) = reader.optional_table(top, "who") else { return Who::default() };
    reader.known_keys(&table, &KEYS);
    let age_from_months = age(reader, &table, "age_from");
    let age_below_months = age(reader, &table, "age_below");
    if let (Some(from), Some(below)) = (age_from_months, age_below_months)
        && from >= below
    {
        let line = reader.line_of_key(&table, "age_below");
        reader.error(line, "nobody is of such an age", Some("\"age_from\" must be less than \"age_below\""));
    }
    if table.has("payers") {
        let line = reader.line_of_key(&table, "payers");
        let hint = Some("remove it; Coverage is not read from the EHR");
        reader.error(line, "who pays for a patient is not known to Beckon", hint);
    }
    let locations = list(reader, &table, "locations");
    if !locations.is_empty()
        && resource.is_some_and(|it| !matches!(it, ResourceType::Appointment | ResourceType::Encounter))
    {
        let line = reader.line_of_key(&table, "locations");
        reader.error(line, "only an Appointment or an Encounter takes place somewhere", Some("remove \"locations\""));
    }
    Who {
        age_from_months,
        age_below_months,
        languages: languages(reader, &table),
        locations,
        clinicians: list(reader, &table, "clinicians"),
        only_enrolled: enrolled(reader, &table),
    }
}

fn age(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<u32> {
    let written = reader.optional_text(table, key)?;
    match parse_age_months(&written.value) {
        Ok(months) => Some(months),
        Err(what) => {
            reader.error(written.line, what, None::<String>);
            None
        }
    }
}

fn list(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Vec<String> {
    let (line, written) = reader.texts(table, key);
    if let Some(line) = line.filter(|_| written.is_empty()) {
        reader.error(line, format!("\"{key}\" is empty: the rule would be for nobody"), Some("leave it out"));
    }
    written.into_iter().map(|it| it.value).collect()
}

fn languages(reader: &mut Reader<'_>, table: &Table<'_>) -> Vec<String> {
    let (_, written) = reader.texts(table, "languages");
    for it in &written {
        if it.value.len() != 2 || !it.value.chars().all(|c| c.is_ascii_lowercase()) {
            let hint = Some("write the two letters, such as \"es\"");
            reader.error(it.line, format!("\"{}\" is not a language's primary subtag", it.value), hint);
        }
    }
    list(reader, table, "languages")
}

fn enrolled(reader: &mut Reader<'_>, table: &Table<'_>) -> bool {
    let Some(written) = reader.optional_text(table, "enrolled") else { return false };
    match written.value.as_str() {
        "only" => true,
        "unless-off" => false,
        other => {
            let hint = did_you_mean(other, ["only", "unless-off"])
                .or_else(|| Some("write \"only\" or \"unless-off\"".to_owned()));
            reader.error(written.line, format!("\"{other}\" says not who is enrolled"), hint);
            false
        }
    }
}
