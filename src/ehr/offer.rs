//! Whether a type that an EHR need not have can be looked up, and if not, whose doing that is.

use crate::domain::ResourceType;

use super::client::FhirClient;
use super::connection::EhrConnection;
use super::error::EhrError;
use super::plan::{Ask, CapabilityPlan};
use super::scopes::{Access, ScopeSet};

/// Types that every run pulls and that an EHR need not have. Without them reminders are made all the same, and doctor and
/// runs say what is missing.
pub const OPTIONAL: [ResourceType; 1] = [ResourceType::Consent];

/// Whether the resources of one patient can be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    Searchable,
    /// The server has no search for it, as far as the plan of the connection knows.
    NotOffered,
    /// The operator left its scope out: as if the server did not have it.
    NotAsked,
    /// Asked for and not granted: what lies behind looks empty, and is not known to be.
    NotGranted,
}

impl Offer {
    /// Weighs plan, wish and grant for one type.
    pub fn of(kind: ResourceType, plan: &CapabilityPlan, connection: &EhrConnection, granted: &ScopeSet) -> Self {
        const NEEDED: &[Access] = &[Access::Read, Access::Search];
        match plan.of(kind).map_or(Ask::NotOffered, |of_type| of_type.ask.value) {
            Ask::NotOffered | Ask::ById => Self::NotOffered,
            _ if !connection.scopes.allows(kind.as_str(), NEEDED) => Self::NotAsked,
            _ if !granted.allows(kind.as_str(), NEEDED) => Self::NotGranted,
            Ask::WholeType | Ask::ByPatient | Ask::ByLocationDay => Self::Searchable,
        }
    }

    /// What it means for the patients, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Searchable => "searched for each patient before a message is sent",
            Self::NotOffered => "the server offers no search for it: what it records there is not known",
            Self::NotAsked => "this connection does not ask for its scope: what the EHR records there is not known",
            Self::NotGranted => "the scope to read and search it was not granted",
        }
    }
}

impl FhirClient {
    /// Whether the resources of this type of one patient can be searched for, as plan and token say now.
    ///
    /// # Errors
    /// Neither capabilities nor token can be had.
    pub async fn offer(&self, kind: ResourceType) -> Result<Offer, EhrError> {
        let plan = self.plan().await?;
        let token = self.tokens().get().await?;
        Ok(Offer::of(kind, &plan, self.connection(), &token.granted))
    }
}
