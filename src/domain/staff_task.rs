//! Something that a person must do for one patient, because no message could.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{EhrId, PatientId, Reason, ReminderId, RuleId, TaskId};

/// A reminder that did not go out, handed to people. At most one for each reminder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffTask {
    pub id: TaskId,
    pub ehr: EhrId,
    pub patient: PatientId,
    pub rule: RuleId,
    pub reminder: ReminderId,
    /// Why no message went out.
    pub reason: Reason,
    pub opened_at: DateTime<Utc>,
    /// Who did it, and when; absent while it is open.
    pub done: Option<(String, DateTime<Utc>)>,
}

impl Reason {
    /// Reasons for which a rule may hand a reminder to people. The others are somebody's wish, or pass by themselves.
    pub const ESCALATED: [Self; 14] = [
        Self::NoContactPoint,
        Self::AddressRefused,
        Self::NoLanguage,
        Self::TranslationUnreviewed,
        Self::ConsentUnclear,
        Self::MinorConfidential,
        Self::SensitiveContent,
        Self::NotKnown,
        Self::ZoneUnresolved,
        Self::EhrUnreadable,
        Self::ConditionFailed,
        Self::TemplateFailed,
        Self::BudgetSpent,
        Self::Expired,
    ];
}
