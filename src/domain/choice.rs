//! What was set for a clinic's patients together, and what a patient asked for about one visit.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{OccasionKey, PatientId, ReplyId, RuleId};

/// A rule switched on or off for everybody who comes to one place, or to any. A switch for the patient beats it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClinicDefault {
    /// Id of a Location; `None` for the whole organisation. The place beats the whole.
    pub location: Option<String>,
    pub rule: RuleId,
    pub on: bool,
    /// Who set it: `staff:ada`.
    pub by: String,
    pub at: DateTime<Utc>,
}

/// "I confirmed, stop asking": nothing more about this visit at this time. It is no opt-out: other visits, and this one
/// at another time, are reminded of as before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientChoice {
    pub patient: PatientId,
    pub occasion: OccasionKey,
    /// `sms reply`, `staff`.
    pub source: String,
    /// The answer in which the patient said so.
    pub reply: Option<ReplyId>,
    pub by: String,
    pub at: DateTime<Utc>,
}
