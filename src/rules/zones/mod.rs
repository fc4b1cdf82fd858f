//! Which zones a person may be in, from every piece of evidence there is. A wrong zone means a text at night, so the
//! pieces are not ranked against each other: all count at once, and only a zone that somebody set beats the rest.

mod area_codes;
mod countries;
mod states;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::domain::{ContactSystem, Patient, PhoneNumber, ZoneCandidate, ZoneSource};
use crate::fhir::read::Location;

use super::{Facility, Settings};

/// What the evidence says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones {
    pub candidates: Vec<ZoneCandidate>,
    /// Evidence that points abroad, to a place whose clock we do not know. The reminder is held: the other candidates
    /// would say that it is day where it may be night.
    pub unplaced: Vec<ZoneSource>,
}

impl Zones {
    /// Whether sending may be considered at all.
    pub fn is_resolved(&self) -> bool {
        !self.candidates.is_empty() && self.unplaced.is_empty()
    }

    fn add(&mut self, source: ZoneSource, zones: &[Tz]) {
        for zone in zones {
            let candidate = ZoneCandidate { zone: *zone, source };
            if !self.candidates.contains(&candidate) {
                self.candidates.push(candidate);
            }
        }
    }

    fn add_or_unplaced(&mut self, source: ZoneSource, zones: Option<&[Tz]>) {
        match zones {
            Some(zones) => self.add(source, zones),
            None => self.unplaced.push(source),
        }
    }
}

/// Every zone that the patient may be in. `set_zone` is one that staff or the patient set.
///
/// A state that cannot be read and an area code that belongs to no place say nothing. An address or a number abroad
/// says something even where we cannot tell what: it is reported as `unplaced`.
pub fn zone_candidates(
    patient: &Patient,
    set_zone: Option<Tz>,
    facility: &Facility,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Zones {
    let mut zones = Zones::default();
    if let Some(zone) = set_zone.or(patient.stated_zone) {
        zones.add(ZoneSource::Explicit, &[zone]);
        return zones;
    }
    of_address(patient, &mut zones);
    for point in patient.current_telecom(now) {
        if !matches!(point.system, ContactSystem::Phone | ContactSystem::Sms) {
            continue;
        }
        if let Ok(phone) = PhoneNumber::parse(point.value.expose(), &settings.region) {
            of_phone(&phone, &mut zones);
        }
    }
    if let Some(zone) = facility.zone {
        zones.add(ZoneSource::Facility, &[zone]);
    }
    zones
}

fn of_address(patient: &Patient, zones: &mut Zones) {
    let text = |phi: &Option<crate::domain::Phi<String>>| phi.as_ref().map(|it| it.expose().trim().to_owned());
    let country = text(&patient.address_country).filter(|it| !it.is_empty());
    let state = text(&patient.address_state);
    let zip = text(&patient.address_postal_code);
    match country {
        Some(country) if countries::is_canada(&country) => {
            let of_province = state.as_deref().and_then(countries::of_province);
            zones.add_or_unplaced(ZoneSource::Address, of_province);
        }
        Some(country) if !countries::is_united_states(&country) => {
            let named = countries::by_name(&country).or_else(|| states::of_territory(&country));
            zones.add_or_unplaced(ZoneSource::Address, named);
        }
        _ => {
            if let Some(found) = state.as_deref().and_then(|state| states::zones_of(state, zip.as_deref())) {
                zones.add(ZoneSource::Address, &found);
            }
        }
    }
}

/// The zone of a place of care, where its address lies in one zone only. A second candidate would make its wall clock
/// uncertain, so it then has none.
pub(super) fn of_place(place: &Location) -> Option<Tz> {
    let country = place.address_country.as_deref().map(str::trim).filter(|it| !it.is_empty());
    let found = match country {
        Some(country) if countries::is_canada(country) => {
            countries::of_province(place.address_state.as_deref()?)?.to_vec()
        }
        Some(country) if !countries::is_united_states(country) => {
            countries::by_name(country).or_else(|| states::of_territory(country))?.to_vec()
        }
        _ => states::zones_of(place.address_state.as_deref()?.trim(), place.address_postal_code.as_deref())?,
    };
    match found.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

fn of_phone(phone: &PhoneNumber, zones: &mut Zones) {
    match phone.area_code() {
        Some(code) => zones.add(ZoneSource::AreaCode, area_codes::zones_of(code)),
        None => zones.add_or_unplaced(ZoneSource::AreaCode, countries::by_calling_code(phone.expose())),
    }
}

#[cfg(test)]
mod tests;
