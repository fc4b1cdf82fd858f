//! What a person must look at.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::AlertId;

/// A condition that needs a person, deduplicated by (kind, subject) until somebody acknowledges it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub id: AlertId,
    pub kind: AlertKind,
    /// What it is about, without PHI: an EHR id, a provider, a rule.
    pub subject: String,
    /// What happened and what to do, without PHI.
    pub words: String,
    pub count: u32,
    pub opened_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    pub acknowledged_by: Option<String>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    PullOverdue,
    WriteBackStuck,
    ProviderDown,
    CheckpointMissing,
    QuarantineSpike,
    ZoneUnresolvedSpike,
    HeldForPerson,
    KeyTrouble,
    DiskTrouble,
    TokenRefused,
    ScopesMissing,
    OutcomeUnknown,
    ReplyNeedsPerson,
    /// Something due is not accounted for, or stuck.
    Unaccounted,
    /// The EHR fails again and again, and is left alone for a while.
    EhrDown,
    /// The calls that a connection may make in a day are used up.
    EhrBudgetSpent,
    /// How an EHR is to be asked is not what it was.
    PlanChanged,
    /// A live rule cannot be used as it stands.
    RuleBroken,
    /// A subscription at the EHR cannot be made or does not stay active.
    SubscriptionDown,
}

impl AlertKind {
    pub const ALL: [Self; 19] = [
        Self::PullOverdue,
        Self::WriteBackStuck,
        Self::ProviderDown,
        Self::CheckpointMissing,
        Self::QuarantineSpike,
        Self::ZoneUnresolvedSpike,
        Self::HeldForPerson,
        Self::KeyTrouble,
        Self::DiskTrouble,
        Self::TokenRefused,
        Self::ScopesMissing,
        Self::OutcomeUnknown,
        Self::ReplyNeedsPerson,
        Self::Unaccounted,
        Self::EhrDown,
        Self::EhrBudgetSpent,
        Self::PlanChanged,
        Self::RuleBroken,
        Self::SubscriptionDown,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PullOverdue => "pull_overdue",
            Self::WriteBackStuck => "write_back_stuck",
            Self::ProviderDown => "provider_down",
            Self::CheckpointMissing => "checkpoint_missing",
            Self::QuarantineSpike => "quarantine_spike",
            Self::ZoneUnresolvedSpike => "zone_unresolved_spike",
            Self::HeldForPerson => "held_for_person",
            Self::KeyTrouble => "key_trouble",
            Self::DiskTrouble => "disk_trouble",
            Self::TokenRefused => "token_refused",
            Self::ScopesMissing => "scopes_missing",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::ReplyNeedsPerson => "reply_needs_person",
            Self::Unaccounted => "unaccounted",
            Self::EhrDown => "ehr_down",
            Self::EhrBudgetSpent => "ehr_budget_spent",
            Self::PlanChanged => "plan_changed",
            Self::RuleBroken => "rule_broken",
            Self::SubscriptionDown => "subscription_down",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
