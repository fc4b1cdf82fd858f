//! One step of one occasion: planned, then decided once it falls due.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{EhrId, OccasionKey, PatientId, Reason, ReminderId, ResourceKey, RuleId, RuleVersionId, StepId};

/// What a rule is about for one patient at one anchor instant: this appointment at this start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occasion {
    /// Unique within (tenant, ehr, rule, patient); made from the driving resource and the anchor.
    pub key: OccasionKey,
    /// The resource that the rule is about.
    pub resource: ResourceKey,
    /// The instant that the steps count from, as it was when the occasion came to be.
    pub anchor: DateTime<Utc>,
    /// The occasion that this one took the place of, when a resource was moved or booked anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<OccasionKey>,
}

/// What `rules::plan` answers for one step of one occasion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedReminder {
    pub rule: RuleId,
    pub rule_version: RuleVersionId,
    pub step: StepId,
    pub occasion: Occasion,
    /// When it falls due. A step whose instant is past but not expired is due at once.
    pub due_at: DateTime<Utc>,
    /// After this instant it is not sent, checked up to the provider call (I3).
    pub expires_at: DateTime<Utc>,
    /// Smaller goes first when the frequency budget is short.
    pub priority: u8,
}

/// A planned reminder as the store keeps it. Unique by (tenant, ehr, rule, patient, occasion, step).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    pub id: ReminderId,
    pub ehr: EhrId,
    pub patient: PatientId,
    pub plan: PlannedReminder,
    pub state: ReminderState,
    /// Why it is in this state, where the state alone does not say.
    pub reason: Option<Reason>,
    /// When it is next looked at: the due instant, or the end of a wait.
    pub next_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Every reminder is in exactly one of these; their sum is what was due (I5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReminderState {
    Planned,
    Waiting,
    Released,
    Withheld,
    Cancelled,
    Expired,
}

impl ReminderState {
    pub const ALL: [Self; 6] =
        [Self::Planned, Self::Waiting, Self::Released, Self::Withheld, Self::Cancelled, Self::Expired];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Waiting => "waiting",
            Self::Released => "released",
            Self::Withheld => "withheld",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether it may still be sent.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Waiting)
    }
}
