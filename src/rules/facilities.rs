//! Facilities from the mirrored Locations and the settings.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::{Facilities, Facility};
use crate::fhir;

impl Facilities {
    /// Reads Locations; a zone that the settings name for a Location beats the one that the EHR states, which is often
    /// copied from the server's own.
    pub fn read<'a>(
        locations: impl IntoIterator<Item = &'a Value>,
        set_zones: &BTreeMap<String, Tz>,
        organisation: &str,
        default_zone: Option<Tz>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut by_location: BTreeMap<String, Facility> = locations
            .into_iter()
            .filter_map(|value| fhir::read::location(value, now).value)
            .map(|location| (location.id.clone(), Facility { name: location.name, zone: location.zone }))
            .collect();
        for (id, zone) in set_zones {
            by_location.entry(id.clone()).or_default().zone = Some(*zone);
        }
        Self { by_location, default: Facility { name: Some(organisation.to_owned()), zone: default_zone } }
    }
}
