//! What a person or a clinician said about being contacted.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Address, Channel, OptOutId, PatientId, Phi, RuleId};

/// A revocation. It binds the address (every patient who shares it) and, where known, the patient (every address).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOut {
    pub id: OptOutId,
    pub scope: OptOutScope,
    pub address: Option<Address>,
    pub patient: Option<PatientId>,
    /// Where it came from: `sms reply`, `staff`, `provider`, `one-click`.
    pub source: String,
    /// The person's own words, where there are any.
    pub words: Option<Phi<String>>,
    pub at: DateTime<Utc>,
    /// When the person came back, if they did.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What an opt-out covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptOutScope {
    All,
    Channel(Channel),
    Rule(RuleId),
}

impl OptOut {
    /// Whether this opt-out, now in force, forbids `channel` for `rule`. Whom it binds is the store's question.
    pub fn forbids(&self, channel: Channel, rule: Option<&RuleId>) -> bool {
        if self.revoked_at.is_some() {
            return false;
        }
        match &self.scope {
            OptOutScope::All => true,
            OptOutScope::Channel(named) => *named == channel,
            OptOutScope::Rule(named) => rule == Some(named),
        }
    }
}

/// A clinician's switch of one rule for one patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    pub patient: PatientId,
    pub rule: RuleId,
    pub state: EnrolmentState,
    /// Who switched it: a staff login or `cli`.
    pub by: String,
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    On,
    Off,
    /// Off until the instant, then on again.
    PausedUntil(DateTime<Utc>),
}

impl EnrolmentState {
    pub fn is_on(self, now: DateTime<Utc>) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::PausedUntil(until) => until <= now,
        }
    }
}

/// On what ground an attempt was made; stored with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentBasis {
    /// No consent record; the patient gave this number or address to the provider, and the purpose is treatment or
    /// operations (47 CFR 64.1200, FCC 2015).
    NumberProvided,
    /// A Consent record permits it.
    Consent,
    /// Staff sent it by hand to one patient.
    StaffRequest,
    /// An answer that the person asked for (STOP, HELP, a one-time code).
    Requested,
}
