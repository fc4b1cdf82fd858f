//! Names, telecom, languages and zones: what Patient, RelatedPerson and Location have in common.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::issues::Issues;
use crate::domain::{ContactPoint, ContactSystem, ContactUse, HumanName, Language, Phi};
use crate::fhir::{codes, json};

/// The current names, the one to greet with first: usual, official, without use, temp, nickname, anonymous.
/// `old`, `maiden` and names whose period is over are left out.
pub(super) fn names(resource: &Value, path: &str, now: DateTime<Utc>, issues: &mut Issues) -> Vec<HumanName> {
    let mut names: Vec<(u8, HumanName)> = Vec::new();
    for (index, entry) in json::list(resource, "name").iter().enumerate() {
        let path = format!("{path}.name[{index}]");
        let rank = match issues.text(entry, &path, "use") {
            Some("usual") => 0,
            Some("official") => 1,
            None => 2,
            Some("temp") => 3,
            Some("nickname") => 4,
            Some("anonymous") => 5,
            Some("old" | "maiden") => continue,
            Some(_) => {
                issues.note(format!("{path}.use"), "is not a use of the value set");
                2
            }
        };
        // A name whose end cannot be read is kept, but is greeted with last.
        let rank = match issues.period(entry, &path) {
            Ok(span) if span.is_over(now) => continue,
            Ok(_) => rank,
            Err(_) => 6,
        };
        let given = json::list(entry, "given").iter().filter_map(|part| part.as_str().map(str::trim));
        let name = HumanName {
            given: given.filter(|part| !part.is_empty()).map(|part| Phi::new(part.to_owned())).collect(),
            family: issues.text(entry, &path, "family").map(|text| Phi::new(text.to_owned())),
            text: issues.text(entry, &path, "text").map(|text| Phi::new(text.to_owned())),
        };
        if name == HumanName::default() {
            issues.note(path, "holds no name");
        } else {
            names.push((rank, name));
        }
    }
    names.sort_by_key(|(rank, _)| *rank);
    names.into_iter().map(|(_, name)| name).collect()
}

/// All telecom entries that can be read. One whose system or period cannot is left out: a number that may no longer
/// be the patient's is not used.
pub(super) fn telecom(resource: &Value, path: &str, issues: &mut Issues) -> Vec<ContactPoint> {
    let mut points = Vec::new();
    for (index, entry) in json::list(resource, "telecom").iter().enumerate() {
        let path = format!("{path}.telecom[{index}]");
        let Some(value) = issues.text(entry, &path, "value") else {
            issues.note(path, "has no value");
            continue;
        };
        let system = match issues.text(entry, &path, "system") {
            Some("phone") => ContactSystem::Phone,
            Some("sms") => ContactSystem::Sms,
            Some("email") => ContactSystem::Email,
            Some("fax") => ContactSystem::Fax,
            Some("pager") => ContactSystem::Pager,
            Some("url") => ContactSystem::Url,
            Some(_) => ContactSystem::Other,
            None => {
                issues.note(path, "has a value but no system (R4 cpt-2)");
                continue;
            }
        };
        let use_ = match issues.text(entry, &path, "use") {
            Some("home") => Some(ContactUse::Home),
            Some("work") => Some(ContactUse::Work),
            Some("temp") => Some(ContactUse::Temp),
            Some("old") => Some(ContactUse::Old),
            Some("mobile") => Some(ContactUse::Mobile),
            Some(_) => {
                issues.note(format!("{path}.use"), "is not a use of the value set");
                None
            }
            None => None,
        };
        let Ok(span) = issues.period(entry, &path) else { continue };
        let rank = entry.get("rank").filter(|rank| !rank.is_null());
        let readable = rank.and_then(Value::as_u64).and_then(|rank| u32::try_from(rank).ok()).filter(|rank| *rank > 0);
        if rank.is_some() && readable.is_none() {
            issues.note(format!("{path}.rank"), "is not a positive integer");
        }
        points.push(ContactPoint {
            system,
            value: Phi::new(value.to_owned()),
            use_,
            rank: readable,
            start: span.start,
            end: span.end,
        });
    }
    points
}

/// Languages in order of preference: the preferred ones first, then the others as the record lists them.
pub(super) fn languages(resource: &Value, path: &str, issues: &mut Issues) -> Vec<Language> {
    let mut languages = Vec::new();
    for (index, entry) in json::list(resource, "communication").iter().enumerate() {
        let path = format!("{path}.communication[{index}]");
        let concept = entry.get("language").unwrap_or(&Value::Null);
        let tag = json::code_in(concept, codes::BCP_47).or_else(|| json::codings(concept).next().map(|(_, code)| code));
        match tag.filter(|tag| is_language_tag(tag)) {
            Some(tag) => languages.push(Language {
                tag: tag.to_owned(),
                preferred: entry.get("preferred").and_then(Value::as_bool).unwrap_or(false),
            }),
            None => issues.note(format!("{path}.language"), "has no language code (BCP 47)"),
        }
    }
    languages.sort_by_key(|language| !language.preferred);
    languages
}

fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split(['-', '_']);
    let primary = parts.next().unwrap_or_default();
    (2..=3).contains(&primary.len())
        && primary.chars().all(|c| c.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// The zone that a record states by the `timezone` or `tz-code` extension.
pub(super) fn stated_zone(resource: &Value, path: &str, issues: &mut Issues) -> Option<Tz> {
    for url in [codes::EXT_TIMEZONE, codes::EXT_TZ_CODE] {
        let Some(extension) = json::extension(resource, url) else { continue };
        let name = json::text(extension, "valueCode").or_else(|| json::text(extension, "valueString"));
        match name.and_then(|name| name.parse().ok()) {
            Some(zone) => return Some(zone),
            None => issues.note(format!("{path}.extension('{url}')"), "is not an IANA time zone"),
        }
    }
    None
}

/// The current home address: `use = home` first, then one without use, then any that is not old or for billing.
pub(super) fn home_address<'a>(
    resource: &'a Value,
    path: &str,
    now: DateTime<Utc>,
    issues: &mut Issues,
) -> Option<&'a Value> {
    let mut best: Option<(u8, &Value)> = None;
    for (index, entry) in json::list(resource, "address").iter().enumerate() {
        let rank = match json::text(entry, "use") {
            Some("home") => 0,
            None => 1,
            Some("old" | "billing") => continue,
            Some(_) => 2,
        };
        match issues.period(entry, &format!("{path}.address[{index}]")) {
            Ok(span) if !span.is_over(now) => {}
            _ => continue,
        }
        if best.is_none_or(|(found, _)| rank < found) {
            best = Some((rank, entry));
        }
    }
    best.map(|(_, entry)| entry)
}
