//! How one server is to be asked and written to. The operator knows best, then what is known of the vendor, then what
//! the server says of itself: CapabilityStatements list parameters that fail and omit ones that work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ResourceType;
use crate::fhir::capability::Capability;

use super::connection::{EhrConnection, Vendor};
use super::offer::OPTIONAL;

/// By what a type can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// All of it at once.
    WholeType,
    /// One patient at a time; a roster says which.
    ByPatient,
    /// One location and one day at a time (Appointment).
    ByLocationDay,
    /// No search: only what is referred to, by id.
    ById,
    NotOffered,
}

/// How it shows what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changes {
    /// `_lastUpdated` narrows a search to what changed since.
    LastUpdated,
    /// Everything in reach is read each time and compared by hash.
    Snapshot,
}

/// How a Communication gets in at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteBack {
    /// `If-None-Exist` on our identifier.
    ConditionalCreate,
    /// A search by our identifier goes before each create.
    SearchBeforeCreate,
    /// Neither: our ledger alone prevents doubles, and a lost answer needs a person.
    CreateOnce,
    Unsupported,
}

/// Where a choice comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanSource {
    Override,
    VendorProfile,
    Metadata,
}

impl PlanSource {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Override => "set for this connection",
            Self::VendorProfile => "known of this vendor",
            Self::Metadata => "the server's CapabilityStatement",
        }
    }
}

/// A choice with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<T> {
    pub value: T,
    pub source: PlanSource,
    pub why: &'static str,
}

/// How one type is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypePlan {
    pub ask: Choice<Ask>,
    pub changes: Choice<Changes>,
}

/// The plan of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityPlan {
    pub fhir_version: Option<String>,
    pub types: BTreeMap<ResourceType, TypePlan>,
    pub write_back: Choice<WriteBack>,
    /// A Communication can be changed after it was created (PUT with `If-Match`).
    pub can_update: bool,
    /// Several reads may go in one request.
    pub batch: Choice<bool>,
}

impl CapabilityPlan {
    /// Weighs override, vendor profile and metadata for every type that Beckon knows.
    pub fn derive(ehr: &EhrConnection, capability: &Capability) -> Self {
        let overrides = &ehr.settings.plan;
        let types = ResourceType::ALL.iter().map(|kind| {
            // One installation has them and the next has not: there the profile tells only how to ask.
            let unsure = OPTIONAL.contains(kind) && !capability.can(*kind, "search-type");
            let profile = profile_ask(ehr.vendor, *kind).filter(|_| !unsure);
            let ask = choose(overrides.ask.get(kind).copied(), profile, || ask(capability, *kind));
            let changes = choose(overrides.changes.get(kind).copied(), profile_changes(ehr.vendor, *kind), || {
                changes(capability, *kind)
            });
            (*kind, TypePlan { ask, changes })
        });
        Self {
            fhir_version: capability.fhir_version.clone(),
            types: types.collect(),
            write_back: choose(overrides.write_back, profile_write_back(ehr.vendor), || write_back(capability)),
            can_update: !matches!(ehr.vendor, Vendor::Epic | Vendor::Oracle | Vendor::Athena)
                && capability.can(ResourceType::Communication, "update"),
            batch: choose(overrides.batch, None, || {
                let batches = capability.batches();
                (batches, if batches { "it offers the batch interaction" } else { "it does not offer batch" })
            }),
        }
    }

    pub fn of(&self, kind: ResourceType) -> Option<&TypePlan> {
        self.types.get(&kind)
    }
}

fn choose<T>(
    set: Option<T>,
    profile: Option<(T, &'static str)>,
    metadata: impl FnOnce() -> (T, &'static str),
) -> Choice<T> {
    if let Some(value) = set {
        return Choice { value, source: PlanSource::Override, why: "the operator said so" };
    }
    let (source, (value, why)) = match profile {
        Some(known) => (PlanSource::VendorProfile, known),
        None => (PlanSource::Metadata, metadata()),
    };
    Choice { value, source, why }
}

fn profile_ask(vendor: Vendor, kind: ResourceType) -> Option<(Ask, &'static str)> {
    use ResourceType as T;
    match (vendor, kind) {
        (Vendor::Epic, T::Patient | T::Location | T::Practitioner | T::Organization | T::RelatedPerson) => {
            Some((Ask::ById, "Epic searches these by id or demographics only"))
        }
        (Vendor::Epic, T::Group) => None,
        (Vendor::Epic, _) => Some((Ask::ByPatient, "Epic refuses a search without a patient (4111)")),
        (Vendor::Oracle, T::Appointment) => {
            Some((Ask::ByLocationDay, "Oracle searches appointments by location and date"))
        }
        (Vendor::Oracle, T::Patient | T::Location | T::Practitioner | T::Organization) => {
            Some((Ask::ById, "Oracle has no search over all of these"))
        }
        (Vendor::Oracle, T::Condition | T::Encounter | T::Observation | T::Procedure | T::Immunization) => {
            Some((Ask::ByPatient, "Oracle searches clinical data for one patient at a time"))
        }
        (Vendor::Oracle, T::Consent) => Some((Ask::ByPatient, "Oracle searches consents for one patient at a time")),
        (Vendor::Athena, T::Appointment) => {
            Some((Ask::ById, "athenahealth finds appointments by id only; changes come by subscription"))
        }
        (Vendor::Athena, T::Communication | T::Consent | T::Task | T::Flag) => {
            Some((Ask::NotOffered, "athenahealth does not have this type"))
        }
        _ => None,
    }
}

fn profile_changes(vendor: Vendor, kind: ResourceType) -> Option<(Changes, &'static str)> {
    use ResourceType as T;
    match (vendor, kind) {
        (Vendor::Epic, _) => Some((Changes::Snapshot, "Epic does not offer _lastUpdated")),
        (Vendor::Oracle, T::Condition | T::Encounter | T::ServiceRequest) => None,
        (Vendor::Oracle, T::Observation | T::Procedure | T::Immunization) => {
            Some((Changes::Snapshot, "Oracle's _lastUpdated leaves changes out here, or excludes a date window"))
        }
        (Vendor::Oracle, _) => Some((Changes::Snapshot, "Oracle does not offer _lastUpdated here")),
        (Vendor::Athena, T::Appointment) => Some((Changes::Snapshot, "athenahealth searches appointments by id only")),
        _ => None,
    }
}

fn profile_write_back(vendor: Vendor) -> Option<(WriteBack, &'static str)> {
    match vendor {
        Vendor::Epic => Some((
            WriteBack::CreateOnce,
            "Epic has neither conditional create nor a search by identifier for Communication",
        )),
        Vendor::Oracle => {
            Some((WriteBack::Unsupported, "Oracle's Communication is a message to staff, not a record of outreach"))
        }
        Vendor::Athena => Some((WriteBack::Unsupported, "athenahealth does not have Communication")),
        Vendor::Generic | Vendor::Hapi => None,
    }
}

fn ask(capability: &Capability, kind: ResourceType) -> (Ask, &'static str) {
    if capability.can(kind, "search-type") {
        (Ask::WholeType, "it offers search")
    } else if capability.can(kind, "read") {
        (Ask::ById, "it offers read but no search")
    } else {
        (Ask::NotOffered, "it offers neither read nor search")
    }
}

fn changes(capability: &Capability, kind: ResourceType) -> (Changes, &'static str) {
    if capability.searches_by(kind, "_lastUpdated") {
        (Changes::LastUpdated, "it lists _lastUpdated")
    } else {
        (Changes::Snapshot, "it does not list _lastUpdated")
    }
}

fn write_back(capability: &Capability) -> (WriteBack, &'static str) {
    const KIND: ResourceType = ResourceType::Communication;
    if !capability.can(KIND, "create") {
        (WriteBack::Unsupported, "it does not offer to create a Communication")
    } else if capability.of(KIND).is_some_and(|communication| communication.conditional_create) {
        (WriteBack::ConditionalCreate, "it offers conditional create")
    } else if capability.searches_by(KIND, "identifier") {
        (WriteBack::SearchBeforeCreate, "it has no conditional create, but a search by identifier")
    } else {
        (WriteBack::CreateOnce, "it has neither conditional create nor a search by identifier")
    }
}
