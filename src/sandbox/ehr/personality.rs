//! How one vendor's server differs from another's, as data. Each deviation is one that the vendor publishes, or that its
//! live CapabilityStatement shows (2026); where nothing is known, the harder case is simulated.

use super::export::ExportManner;
use super::subscriptions::SubscriptionManner;
use super::vendors;

/// What a vendor's server offers and how it answers.
#[derive(Debug, Clone)]
pub struct Personality {
    pub name: &'static str,
    /// Whose words refusals are in, and whose rules searches and creates keep.
    pub dialect: Dialect,
    /// What is offered of a type.
    pub offer: fn(&str) -> Option<Offer>,
    /// `_lastUpdated` can be searched, where the offer of the type has it.
    pub last_updated: bool,
    /// `If-None-Exist` is honoured.
    pub conditional_create: bool,
    /// `PUT` is allowed, where the offer of the type has it.
    pub update: bool,
    /// Batch Bundles are taken.
    pub batch: bool,
    /// The answer to a stale `If-Match`.
    pub stale_status: u16,
    /// A create answers with an empty body.
    pub empty_created: bool,
    /// `_count` when none is sent, and its ceiling.
    pub page: usize,
    pub page_limit: usize,
    /// Search continuations live so long.
    pub paging_minutes: i64,
    /// Keys are taken by address only, never by value.
    pub jwks_by_address: bool,
    /// Discovery lists signing algorithms and resource scopes.
    pub lists_algorithms: bool,
    /// The id of a Group that holds every patient.
    pub registry: Option<&'static str>,
    /// `$export`, if it is offered.
    pub export: Option<ExportManner>,
    /// Subscriptions, if they are offered.
    pub subscriptions: Option<SubscriptionManner>,
    pub fhir_version: &'static str,
}

/// A vendor's way of refusing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Hapi,
    Epic,
    Oracle,
    Athena,
}

/// What is offered of one type. Reading by id always is.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    pub search: Searchable,
    /// The parameters that are known; `None` for all.
    pub params: Option<&'static [&'static str]>,
    pub last_updated: bool,
    pub create: bool,
    pub update: bool,
}

/// What a search must name.
#[derive(Debug, Clone, Copy)]
pub enum Searchable {
    Freely,
    Never,
    /// All parameters of at least one of these lists.
    With(&'static [&'static [&'static str]]),
}

impl Offer {
    pub const EVERYTHING: Self =
        Self { search: Searchable::Freely, params: None, last_updated: true, create: true, update: true };
    pub const READ: Self =
        Self { search: Searchable::Never, params: None, last_updated: false, create: false, update: false };

    pub const fn by(lists: &'static [&'static [&'static str]]) -> Self {
        Self { search: Searchable::With(lists), ..Self::READ }
    }

    pub const fn knowing(self, params: &'static [&'static str]) -> Self {
        Self { params: Some(params), ..self }
    }

    pub const fn with_last_updated(self) -> Self {
        Self { last_updated: true, ..self }
    }

    pub const fn and_create(self) -> Self {
        Self { create: true, ..self }
    }
}

impl Searchable {
    /// Whether these parameters are enough.
    pub fn is_answered_by(self, given: &[&str]) -> bool {
        match self {
            Self::Freely => true,
            Self::Never => false,
            Self::With(lists) => lists.iter().any(|list| list.iter().all(|name| given.contains(name))),
        }
    }
}

impl Personality {
    pub const NAMES: [&'static str; 4] = ["hapi", "epic", "oracle", "athena"];

    /// The personality of a name in [`Personality::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hapi" => Some(Self::hapi()),
            "epic" => Some(Self::epic()),
            "oracle" => Some(Self::oracle()),
            "athena" => Some(Self::athena()),
            _ => None,
        }
    }

    /// What is offered of a type; nothing for one that the server does not keep.
    pub fn offers(&self, kind: &str) -> Option<Offer> {
        if !TYPES.contains(&kind) {
            return None;
        }
        if kind == "Subscription" {
            let offer = Offer { last_updated: self.last_updated, ..Offer::EVERYTHING };
            return self.subscriptions.as_ref().map(|_| offer);
        }
        let offer = (self.offer)(kind)?;
        Some(Offer {
            last_updated: offer.last_updated && self.last_updated,
            update: offer.update && self.update,
            ..offer
        })
    }

    /// A HAPI JPA server: everything works.
    pub fn hapi() -> Self {
        Self {
            name: "hapi",
            dialect: Dialect::Hapi,
            offer: |_| Some(Offer::EVERYTHING),
            last_updated: true,
            conditional_create: true,
            update: true,
            batch: true,
            stale_status: 412,
            empty_created: false,
            page: 20,
            page_limit: 200,
            paging_minutes: 60,
            jwks_by_address: false,
            lists_algorithms: true,
            registry: None,
            export: Some(ExportManner::EVERYTHING),
            subscriptions: Some(SubscriptionManner::HAPI),
            fhir_version: "4.0.1",
        }
    }

    /// Epic: no `_lastUpdated`, no search of clinical types without a patient, conditional create false on every type,
    /// no update of what matters here, keys by address only; whom there is is learned from a Group.
    pub fn epic() -> Self {
        Self {
            name: "epic",
            dialect: Dialect::Epic,
            offer: vendors::epic,
            last_updated: false,
            conditional_create: false,
            update: false,
            batch: false,
            jwks_by_address: true,
            lists_algorithms: false,
            registry: Some("registry"),
            export: Some(ExportManner::GROUP),
            subscriptions: None,
            ..Self::hapi()
        }
    }

    /// Oracle Health: appointments by location and date, `_lastUpdated` for some types of one patient, pages of 50 and at
    /// most 200, 409 for a stale version, a create answers with an empty body, Communication to staff only.
    pub fn oracle() -> Self {
        Self {
            name: "oracle",
            dialect: Dialect::Oracle,
            offer: vendors::oracle,
            conditional_create: false,
            update: false,
            batch: false,
            stale_status: 409,
            empty_created: true,
            export: Some(ExportManner::ORACLE),
            subscriptions: None,
            page: 50,
            page_limit: 200,
            ..Self::hapi()
        }
    }

    /// athenahealth: one server for many practices, chosen by a parameter of each search; appointments by id only; no
    /// Communication, Consent, Task or Flag.
    pub fn athena() -> Self {
        Self {
            name: "athena",
            dialect: Dialect::Athena,
            offer: vendors::athena,
            conditional_create: false,
            update: false,
            batch: false,
            lists_algorithms: false,
            export: None,
            subscriptions: Some(SubscriptionManner::ATHENA),
            ..Self::hapi()
        }
    }
}

/// The resource types that the simulated server keeps.
pub const TYPES: [&str; 28] = [
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "CarePlan",
    "Communication",
    "CommunicationRequest",
    "Condition",
    "Consent",
    "Device",
    "DocumentReference",
    "Encounter",
    "Flag",
    "Goal",
    "Group",
    "Immunization",
    "Location",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "RelatedPerson",
    "ServiceRequest",
    "Subscription",
    "Task",
];
