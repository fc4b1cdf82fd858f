//! Names of things. A patient's id cannot be passed where a rule's is meant.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
    )+};
}

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map($name)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

text_id! {
    /// One hospital organisation; every key in the database starts with it.
    TenantId,
    /// One EHR connection of a tenant.
    EhrId,
    /// The logical id of a Patient at its EHR (R4 `Resource.id`): an opaque key, not the MRN.
    PatientId,
    /// A rule's folder name.
    RuleId,
    /// A rule version: the hexadecimal SHA-256 of its content.
    RuleVersionId,
    /// One step of a rule's cadence, unique within the rule.
    StepId,
    /// What a rule is about for one patient at one anchor instant.
    OccasionKey,
}

uuid_id! {
    ReminderId, DecisionId, MessageId, AttemptId, ReceiptId, ReplyId, EventId, StaffId, AlertId, QuarantineId, RunId,
    TaskId, OptOutId,
}

impl TenantId {
    /// The tenant of an installation that serves one hospital.
    pub fn main() -> Self {
        Self::new("main")
    }
}
