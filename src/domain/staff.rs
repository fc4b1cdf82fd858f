//! Who works here and what they may see.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{StaffId, TenantId};

/// One person of the hospital with a sign-in of their own; shared accounts do not exist (45 CFR 164.312(a)(2)(i)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staff {
    pub id: StaffId,
    pub tenant: TenantId,
    /// What they type to sign in, lower case.
    pub login: String,
    pub display_name: String,
    pub roles: Vec<Role>,
    pub disabled_at: Option<DateTime<Utc>>,
}

impl Staff {
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Clinician,
    Compliance,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Admin, Self::Clinician, Self::Compliance];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Clinician => "clinician",
            Self::Compliance => "compliance",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
