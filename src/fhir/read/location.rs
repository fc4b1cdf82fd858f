//! R4 Location: where an appointment takes place and, above all, in which time zone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::contact;
use super::issues::{Issues, Read};
use crate::domain::ContactSystem;
use crate::fhir::{json, reference};

/// The facts of a Location. Nothing in it is PHI until it is joined to a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub id: String,
    pub name: Option<String>,
    /// Stated by the `timezone` or `tz-code` extension; R4 has no element for it.
    pub zone: Option<Tz>,
    pub address_state: Option<String>,
    pub address_postal_code: Option<String>,
    pub address_country: Option<String>,
    /// Where patients can call, as the EHR writes it.
    pub phone: Option<String>,
    /// The Location that this one is part of, by id: its zone and address count where this one has none.
    pub part_of: Option<String>,
    /// Organization, by id.
    pub managing_organization: Option<String>,
}

/// Reads a Location as of `now`. Fatal: wrong type, no id.
pub fn location(value: &Value, now: DateTime<Utc>) -> Read<Location> {
    let mut issues = Issues::default();
    let Some(id) = issues.resource(value, "Location") else {
        return issues.finish(None);
    };
    // Location.address is 0..1 and Address.use says nothing about a place.
    let address = json::list(value, "address").first();
    let part = |key: &str| address.and_then(|address| json::text(address, key)).map(str::to_owned);
    let phone = contact::telecom(value, "Location", &mut issues)
        .into_iter()
        .filter(|point| point.system == ContactSystem::Phone && point.is_current(now))
        .min_by_key(|point| point.rank.unwrap_or(u32::MAX))
        .map(|point| point.value.into_inner());
    let location = Location {
        id: id.to_owned(),
        name: issues.text(value, "Location", "name").map(str::to_owned),
        zone: contact::stated_zone(value, "Location", &mut issues)
            .or_else(|| contact::stated_zone(address?, "Location.address", &mut issues)),
        address_state: part("state"),
        address_postal_code: part("postalCode"),
        address_country: part("country"),
        phone,
        part_of: target(value, "partOf", "Location/", &mut issues),
        managing_organization: target(value, "managingOrganization", "Organization/", &mut issues),
    };
    issues.finish(Some(location))
}

fn target(value: &Value, key: &str, prefix: &str, issues: &mut Issues) -> Option<String> {
    match reference::relative(value.get(key).filter(|found| !found.is_null())?) {
        Ok(relative) => relative.strip_prefix(prefix).map(str::to_owned),
        Err(reason) => {
            issues.note(format!("Location.{key}"), reason);
            None
        }
    }
}
