//! Which clock hangs on the wall of each place of care, read from Locations and settings.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::fhir::read::{self, Location};

use super::facts::{Facilities, Facility};
use super::zones;

/// A building within a campus within a system: no chain is longer, and a circle must not hang us.
const MOST_PARENTS: usize = 8;

impl Facilities {
    /// Reads Locations. A zone comes from the settings, else from the Location itself, else from an address that lies
    /// in one zone only, else from the Location that it is part of; `name` and `zone` stand in where nothing tells.
    pub fn read<'v>(
        locations: impl IntoIterator<Item = &'v Value>,
        set_zones: &BTreeMap<String, Tz>,
        name: &str,
        zone: Option<Tz>,
        now: DateTime<Utc>,
    ) -> Self {
        let read: BTreeMap<String, Location> = locations
            .into_iter()
            .filter_map(|value| read::location(value, now).value)
            .map(|location| (location.id.clone(), location))
            .collect();
        let by_location = read
            .values()
            .map(|location| {
                let zone = zone_of(location, &read, set_zones);
                (location.id.clone(), Facility { name: location.name.clone(), zone })
            })
            .collect();
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        Self { by_location, default: Facility { name, zone } }
    }
}

fn zone_of(location: &Location, all: &BTreeMap<String, Location>, set_zones: &BTreeMap<String, Tz>) -> Option<Tz> {
    let mut current = Some(location);
    for _ in 0..MOST_PARENTS {
        let here = current?;
        let set = set_zones.get(&here.id).copied();
        if let Some(zone) = set.or(here.zone).or_else(|| zones::of_place(here)) {
            return Some(zone);
        }
        current = here.part_of.as_ref().and_then(|parent| all.get(parent));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_zone_is_taken_from_the_surest_source_there_is() {
        let stated = |id: &str, zone: &str| {
            json!({"resourceType": "Location", "id": id, "name": id, "extension": [
                {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": zone}]})
        };
        let located = |id: &str, address: Value| json!({"resourceType": "Location", "id": id, "address": address});
        let part = |id: &str, of: &str| json!({"resourceType": "Location", "id": id, "partOf": {"reference": format!("Location/{of}")}});
        let locations = [
            stated("boston", "America/New_York"),
            stated("moved", "America/New_York"),
            located("dallas", json!({"state": "TX", "postalCode": "75201"})),
            located("el-paso", json!({"state": "TX", "postalCode": "79801"})),
            located("berlin", json!({"state": "TX", "country": "DE"})),
            part("ward", "boston"),
            part("circle", "circle"),
        ];
        let set = BTreeMap::from([("moved".to_owned(), chrono_tz::America::Denver)]);
        let facilities = Facilities::read(
            &locations,
            &set,
            "Clinic",
            Some(chrono_tz::America::Chicago),
            "2026-03-02T18:00:00Z".parse().unwrap(),
        );
        for (id, expected) in [
            ("boston", Some(chrono_tz::America::New_York)),
            ("moved", Some(chrono_tz::America::Denver)),
            ("dallas", Some(chrono_tz::America::Chicago)),
            ("el-paso", None),
            ("berlin", chrono_tz::Europe::Berlin.into()),
            ("ward", Some(chrono_tz::America::New_York)),
            ("circle", None),
        ] {
            assert_eq!(facilities.by_location[id].zone, expected, "{id}");
        }
        assert_eq!(facilities.default.zone, Some(chrono_tz::America::Chicago));
    }
}
