//! What planning and deciding rest on. The caller gathers it; nothing here fetches.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::domain::{
    Address, Appointment, Channel, ClinicDefault, ContactPoint, Enrolment, Language, OptOut, Patient, PatientChoice,
    Reminder, ResourceKey, ResourceType, ResourceVersion, RuleId, TextReview,
};

use super::{Consents, Settings};

/// One resource of the patient's mirror.
#[derive(Debug, Clone, Copy)]
pub struct Mirrored<'a> {
    pub version: &'a ResourceVersion,
    pub value: &'a Value,
}

/// Everything mirrored of one patient, and how completely.
#[derive(Debug, Clone, Default)]
pub struct Mirror<'a> {
    resources: BTreeMap<ResourceType, Vec<Mirrored<'a>>>,
    coverage: BTreeMap<ResourceType, DateTime<Utc>>,
}

impl<'a> Mirror<'a> {
    pub fn add(&mut self, version: &'a ResourceVersion, value: &'a Value) {
        self.resources.entry(version.key.resource_type).or_default().push(Mirrored { version, value });
    }

    /// Records that every resource of this type was pulled for the patient, with granted scope, by a run that began at
    /// `at`. Only then is absence a fact (I9).
    pub fn cover(&mut self, resource_type: ResourceType, at: DateTime<Utc>) {
        self.coverage.insert(resource_type, at);
    }

    pub fn of(&self, resource_type: ResourceType) -> &[Mirrored<'a>] {
        self.resources.get(&resource_type).map_or(&[], Vec::as_slice)
    }

    /// The same without these resources: what would be answered if they were not there?
    pub(super) fn without(&self, keys: &[ResourceKey]) -> Self {
        let mut reduced = self.clone();
        for resources in reduced.resources.values_mut() {
            resources.retain(|it| !keys.contains(&it.version.key));
        }
        reduced
    }

    /// When the last complete pull of this type began.
    pub fn covered_at(&self, resource_type: ResourceType) -> Option<DateTime<Utc>> {
        self.coverage.get(&resource_type).copied()
    }
}

/// A place of care: how it is called and which clock hangs on its wall.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facility {
    pub name: Option<String>,
    pub zone: Option<Tz>,
}

/// The facilities of one EHR, by Location id, and the one that stands in where a Location is not named or not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facilities {
    pub by_location: BTreeMap<String, Facility>,
    pub default: Facility,
}

impl Facilities {
    /// Every clock that hangs on a wall here; that of Greenwich where none is known, so that what rests on time is looked
    /// at once a day all the same.
    pub fn zones(&self) -> Vec<Tz> {
        let mut zones: Vec<Tz> =
            self.by_location.values().map(|it| it.zone).chain([self.default.zone]).flatten().collect();
        zones.sort_by_key(|zone| zone.name());
        zones.dedup();
        if zones.is_empty() { vec![Tz::UTC] } else { zones }
    }

    /// The facility of an appointment: its first known Location, with what that lacks filled in from the default.
    pub fn of(&self, appointment: Option<&Appointment>) -> Facility {
        let located = appointment.and_then(|it| it.locations().find_map(|id| self.by_location.get(id)));
        match located {
            None => self.default.clone(),
            Some(found) => Facility {
                name: found.name.clone().or_else(|| self.default.name.clone()),
                zone: found.zone.or(self.default.zone),
            },
        }
    }
}

/// What `plan` looks at for one patient.
#[derive(Debug, Clone, Copy)]
pub struct PatientFacts<'a> {
    pub patient: &'a Patient,
    /// The Patient resource as mirrored: `%patient`.
    pub patient_value: &'a Value,
    pub mirror: &'a Mirror<'a>,
    /// The parsed facts of every Appointment in the mirror.
    pub appointments: &'a [Appointment],
    pub facilities: &'a Facilities,
    /// Every reminder of the patient, in any state.
    pub existing: &'a [Reminder],
    pub enrolments: &'a [Enrolment],
    pub clinic_defaults: &'a [ClinicDefault],
}

/// What became of re-reading a resource at the EHR.
#[derive(Debug, Clone, Copy)]
pub enum Reading<T> {
    /// Read just now.
    Fresh(T),
    /// The EHR could not be read; the mirror's copy, where there is one.
    Unreadable { mirrored: Option<T> },
    /// The EHR says that it no longer exists (404, 410).
    Gone,
}

/// The Patient, as read for a decision.
#[derive(Debug, Clone, Copy)]
pub struct PatientRecord<'a> {
    pub version: &'a ResourceVersion,
    pub patient: &'a Patient,
    pub value: &'a Value,
}

/// The resource that drives a reminder, as read for a decision.
#[derive(Debug, Clone, Copy)]
pub struct ResourceRecord<'a> {
    pub version: &'a ResourceVersion,
    pub value: &'a Value,
    /// Its parsed facts, where it is an Appointment.
    pub appointment: Option<&'a Appointment>,
}

/// Somebody who stands in for the patient and whom staff cleared for that: not merely a RelatedPerson on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guardian {
    /// Logical id of the RelatedPerson.
    pub id: String,
    pub telecom: Vec<ContactPoint>,
    pub languages: Vec<Language>,
}

/// What `decide` looks at for one reminder.
#[derive(Debug, Clone, Copy)]
pub struct DecideFacts<'a> {
    pub patient: Reading<PatientRecord<'a>>,
    pub resource: Reading<ResourceRecord<'a>>,
    /// The mirror, for conditions that read more than the resource.
    pub mirror: &'a Mirror<'a>,
    pub facilities: &'a Facilities,
    /// A zone that staff or the patient set; beats every other evidence.
    pub set_zone: Option<Tz>,
    pub enrolment: Option<&'a Enrolment>,
    pub clinic_defaults: &'a [ClinicDefault],
    /// What the patient asked for about single visits.
    pub choices: &'a [PatientChoice],
    /// Every opt-out in force that binds the patient or any address of the patient or of a guardian.
    pub opt_outs: &'a [OptOut],
    pub consents: Consents<'a>,
    pub guardians: &'a [Guardian],
    /// Addresses that a provider refused for good, each with the channel on which it did.
    pub dead_addresses: &'a [(Address, Channel)],
    /// When the person was last sent a message that counts against the budget, in the past 8 days, any order. One entry
    /// a message, not an attempt or a hop of a cascade.
    pub contacts: &'a [DateTime<Utc>],
    /// Recorded reviews of texts, of any rule.
    pub reviews: &'a [TextReview],
    pub settings: &'a Settings,
}

/// What the clinic set for a rule where the appointment takes place, else for the whole organisation.
pub(super) fn clinic_default<'a>(
    defaults: &'a [ClinicDefault],
    rule: &RuleId,
    appointment: Option<&Appointment>,
) -> Option<&'a ClinicDefault> {
    let at = |location: Option<&str>| defaults.iter().find(|it| it.rule == *rule && it.location.as_deref() == location);
    let mut places = appointment.into_iter().flat_map(Appointment::locations);
    places.find_map(|place| at(Some(place))).or_else(|| at(None))
}
