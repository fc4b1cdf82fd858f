//! Which resource, and which version of it, a fact rests on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

macro_rules! resource_types {
    ($($name:ident),+ $(,)?) => {
        /// The FHIR resource types that Beckon reads or writes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ResourceType { $($name),+ }

        impl ResourceType {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name as FHIR spells it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

resource_types! {
    Appointment, CarePlan, Communication, Condition, Consent, Encounter, Flag, Group, Immunization, Location,
    MedicationRequest, Observation, Organization, Patient, Practitioner, Procedure, RelatedPerson, ServiceRequest, Task,
}

impl ResourceType {
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for ResourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Type and logical id: unique within one EHR.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceKey {
    pub resource_type: ResourceType,
    pub id: String,
}

impl ResourceKey {
    pub fn new(resource_type: ResourceType, id: impl Into<String>) -> Self {
        Self { resource_type, id: id.into() }
    }

    /// Reads a relative or absolute literal reference such as `Patient/p1` or `https://ehr/fhir/Patient/p1/_history/2`.
    pub fn from_reference(reference: &str) -> Option<Self> {
        let path = reference.split("/_history/").next()?;
        let mut parts = path.rsplit('/');
        let id = parts.next().filter(|id| !id.is_empty())?;
        Some(Self::new(ResourceType::parse(parts.next()?)?, id))
    }
}

impl std::fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

/// A resource as it was at one moment: what a decision names as its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResourceVersion {
    pub key: ResourceKey,
    /// `meta.versionId`, where the server gives one.
    pub version_id: Option<String>,
    /// `meta.lastUpdated`, where the server gives one.
    pub last_updated: Option<DateTime<Utc>>,
}

/// Something wrong with a resource that was read: what, where, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// FHIRPath-like place, such as `Appointment.start`.
    pub path: String,
    /// What is wrong, in words, without the value.
    pub reason: String,
    /// Whether the resource cannot be used at all: it goes to quarantine.
    pub fatal: bool,
}
