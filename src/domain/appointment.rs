//! What most reminders are about.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{PatientId, Phi, ResourceVersion};

/// The facts of an R4 Appointment that planning rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appointment {
    pub version: ResourceVersion,
    pub status: AppointmentStatus,
    /// R4 `instant`, so an absolute time; the zone to speak it in comes from the Location.
    pub start: Option<DateTime<Utc>>,
    pub end: Option<DateTime<Utc>>,
    pub created: Option<DateTime<Utc>>,
    /// `text` of serviceType, else its first display. PHI: a service can disclose a condition.
    pub service: Option<Phi<String>>,
    pub participants: Vec<Participant>,
    /// Codes of `cancelationReason` (one `l` in R4).
    pub cancelation_reason: Vec<String>,
}

/// R4 `Appointment.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppointmentStatus {
    Proposed,
    Pending,
    Booked,
    Arrived,
    Fulfilled,
    Cancelled,
    #[serde(rename = "noshow")]
    NoShow,
    EnteredInError,
    CheckedIn,
    Waitlist,
}

impl AppointmentStatus {
    const CODES: [(Self, &'static str); 10] = [
        (Self::Proposed, "proposed"),
        (Self::Pending, "pending"),
        (Self::Booked, "booked"),
        (Self::Arrived, "arrived"),
        (Self::Fulfilled, "fulfilled"),
        (Self::Cancelled, "cancelled"),
        (Self::NoShow, "noshow"),
        (Self::EnteredInError, "entered-in-error"),
        (Self::CheckedIn, "checked-in"),
        (Self::Waitlist, "waitlist"),
    ];

    pub fn parse(code: &str) -> Option<Self> {
        Self::CODES.into_iter().find(|(_, text)| *text == code).map(|(status, _)| status)
    }

    pub fn as_str(self) -> &'static str {
        Self::CODES.into_iter().find(|(status, _)| *status == self).map_or("", |(_, text)| text)
    }
}

/// One participant, reduced to whom it names and whether they said yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// Relative reference such as `Location/loc-4`; absent where only a type is given.
    pub actor: Option<String>,
    pub status: ParticipationStatus,
    pub period_end: Option<DateTime<Utc>>,
}

/// R4 `Appointment.participant.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParticipationStatus {
    Accepted,
    Declined,
    Tentative,
    NeedsAction,
}

impl Appointment {
    /// Patients named as participants.
    pub fn patients(&self) -> impl Iterator<Item = PatientId> {
        self.actors("Patient/").map(PatientId::new)
    }

    /// Ids of the Locations named as participants, in the resource's order.
    pub fn locations(&self) -> impl Iterator<Item = &str> {
        self.actors("Location/")
    }

    /// Whether this patient said that they will not come while the appointment still stands.
    pub fn declined_by(&self, patient: &PatientId) -> bool {
        self.status_of(patient) == Some(ParticipationStatus::Declined)
    }

    /// Whether this patient said that they will come.
    pub fn confirmed_by(&self, patient: &PatientId) -> bool {
        self.status_of(patient) == Some(ParticipationStatus::Accepted)
    }

    fn status_of(&self, patient: &PatientId) -> Option<ParticipationStatus> {
        let reference = format!("Patient/{patient}");
        self.participants.iter().find(|p| p.actor.as_deref() == Some(&reference)).map(|p| p.status)
    }

    fn actors<'a>(&'a self, prefix: &'static str) -> impl Iterator<Item = &'a str> {
        self.participants.iter().filter_map(move |p| p.actor.as_deref()?.strip_prefix(prefix))
    }
}
