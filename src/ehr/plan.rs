//! How one server is to be asked and written to. The operator knows best, then what is known of the vendor, then what
//! the server says of itself: CapabilityStatements list parameters that fail and omit ones that work.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::ResourceType;
use crate::fhir::capability::Capability;

use super::connection::{EhrConnection, Vendor};
use super::export::exported;
use super::offer::OPTIONAL;
use super::profile;
use super::subscription;

/// By what a type can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// All of it at once.
    WholeType,
    /// One patient at a time; a roster says which.
    ByPatient,
    /// The places that the roster names, a stretch of days at a time (Appointment).
    ByLocationDay,
    /// No search: only what the roster names or another resource refers to, by id.
    ById,
    NotOffered,
}

impl Ask {
    pub const fn words(self) -> &'static str {
        match self {
            Self::WholeType => "searched as a whole",
            Self::ByPatient => "searched patient by patient",
            Self::ByLocationDay => "searched by the roster's locations, some days at a time",
            Self::ById => "read by id, as the roster or other resources name it",
            Self::NotOffered => "not offered",
        }
    }
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

/// Whose resources are exported in bulk (Bulk Data Access `$export`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    Off,
    /// Everything that the server has.
    System,
    /// Everything about all of its patients.
    Patient,
    /// Everything about the members of the Groups that the roster names.
    Group,
}

impl Export {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Off => "not used",
            Self::System => "of the whole server",
            Self::Patient => "of all patients",
            Self::Group => "of the members of the roster's Groups",
        }
    }
}

/// How the EHR tells by itself that something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notices {
    Off,
    /// R4: a search and an address.
    Classic,
    /// Topics on R4 or R4B.
    Backport,
    R5,
    /// athenahealth's topics, signed.
    Athena,
}

impl Notices {
    pub const ALL: [Self; 5] = [Self::Off, Self::Classic, Self::Backport, Self::R5, Self::Athena];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Classic => "classic",
            Self::Backport => "backport",
            Self::R5 => "r5",
            Self::Athena => "athena",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notices| notices.as_str() == text)
    }

    pub const fn words(self) -> &'static str {
        match self {
            Self::Off => "none: changes are noticed by the pull alone",
            Self::Classic => "R4 subscriptions to types",
            Self::Backport => "R4 subscriptions to topics",
            Self::R5 => "R5 subscriptions to topics",
            Self::Athena => "athenahealth's signed subscriptions to topics",
        }
    }
}

/// As what the EHR is told, and how a Communication gets in at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteBack {
    /// Communication, with `If-None-Exist` on our identifier.
    ConditionalCreate,
    /// Communication; a search by our identifier goes before each create.
    SearchBeforeCreate,
    /// Communication; after a lost answer the patient's Communications are looked through for ours.
    SearchByPatient,
    /// Communication, by our ledger alone: a lost answer needs a person.
    CreateOnce,
    /// A DocumentReference, once, when nothing more is expected.
    DocumentReference,
    /// A completed Task, once, when nothing more is expected.
    Task,
    /// Nothing is written: our own ledger keeps it, and shows it.
    Unsupported,
}

impl WriteBack {
    /// The FHIR type that is written.
    pub const fn writes(self) -> Option<&'static str> {
        match self {
            Self::ConditionalCreate | Self::SearchBeforeCreate | Self::SearchByPatient | Self::CreateOnce => {
                Some("Communication")
            }
            Self::DocumentReference => Some("DocumentReference"),
            Self::Task => Some("Task"),
            Self::Unsupported => None,
        }
    }

    pub const fn words(self) -> &'static str {
        match self {
            Self::ConditionalCreate => "Communication by conditional create",
            Self::SearchBeforeCreate => "Communication, searched for before it is created",
            Self::SearchByPatient => "Communication, created once and looked for at the patient after a lost answer",
            Self::CreateOnce => "Communication, created once by our ledger",
            Self::DocumentReference => "a DocumentReference at the end of each message",
            Self::Task => "a completed Task at the end of each message",
            Self::Unsupported => "not supported",
        }
    }
}

/// What keeps a create from being made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// The server itself, by `If-None-Exist`.
    Condition,
    /// A search by our identifier, before each create.
    ByIdentifier,
    /// A search of the patient's resources of the type, after a try whose answer was lost.
    ByPatient,
    /// Our ledger: a try whose answer was lost is never made again.
    Ledger,
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
    /// A parameter that each search of one patient must name, with the values that are asked one after another.
    pub split: Option<(&'static str, &'static [&'static str])>,
}

/// The plan of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityPlan {
    pub fhir_version: Option<String>,
    pub types: BTreeMap<ResourceType, TypePlan>,
    /// What a search of Appointments may bring along, where it would otherwise be read one by one.
    pub includes: Vec<(ResourceType, &'static str)>,
    pub write_back: Choice<WriteBack>,
    pub guard: Guard,
    /// A document is taken as XHTML only.
    pub xhtml_only: bool,
    /// A Communication can be changed after it was created (PUT with `If-Match`).
    pub can_update: bool,
    /// Several reads may go in one request.
    pub batch: Choice<bool>,
    pub export: Choice<Export>,
    /// Types that come by export; where an export cannot be had they are asked for as their own plan says.
    pub exported: BTreeSet<ResourceType>,
    pub notices: Choice<Notices>,
    /// Types or topics that are subscribed to.
    pub subscriptions: Vec<String>,
}

impl CapabilityPlan {
    /// Weighs override, vendor profile and metadata for every type that Beckon knows.
    pub fn derive(ehr: &EhrConnection, capability: &Capability) -> Self {
        let overrides = &ehr.settings.plan;
        let types: BTreeMap<ResourceType, TypePlan> = ResourceType::ALL
            .iter()
            .map(|kind| {
                // One installation has them and the next has not: there the profile tells only how to ask.
                let unsure = OPTIONAL.contains(kind) && !capability.can(*kind, "search-type");
                let profile = profile::ask(ehr.vendor, *kind).filter(|_| !unsure);
                let ask = choose(overrides.ask.get(kind).copied(), profile, || ask(capability, *kind));
                let changes = choose(overrides.changes.get(kind).copied(), profile::changes(ehr.vendor, *kind), || {
                    changes(capability, *kind)
                });
                let split = profile::split(ehr.vendor, *kind).filter(|_| ask.value == Ask::ByPatient);
                (*kind, TypePlan { ask, changes, split })
            })
            .collect();
        let export = choose(overrides.export, profile::export(ehr.vendor, capability), || export(capability));
        let proven = overrides.communication_proven;
        let write_back = choose(overrides.write_back, profile::write_back(ehr.vendor, proven, capability), || {
            write_back(capability)
        });
        let notices = choose(overrides.notices, profile::notices(ehr.vendor, capability), || notices(capability));
        Self {
            subscriptions: subscription::names(notices.value, overrides.topics.as_deref(), capability),
            notices,
            fhir_version: capability.fhir_version.clone(),
            includes: includes(&types, capability),
            exported: exported(export, overrides.export_types.as_deref(), &types),
            export,
            types,
            guard: guard(write_back.value, ehr.vendor, capability),
            xhtml_only: ehr.vendor == Vendor::Oracle,
            can_update: !matches!(ehr.vendor, Vendor::Epic | Vendor::Oracle | Vendor::Athena)
                && write_back.value.writes() == Some("Communication")
                && capability.can(ResourceType::Communication, "update"),
            write_back,
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

/// `_include` where the server lists it and nothing else lists the target.
fn includes(types: &BTreeMap<ResourceType, TypePlan>, capability: &Capability) -> Vec<(ResourceType, &'static str)> {
    use ResourceType as R;
    let ask = |kind| types.get(&kind).map_or(Ask::NotOffered, |plan| plan.ask.value);
    let offered = capability.of(R::Appointment).map(|it| it.search_includes.as_slice()).unwrap_or_default();
    let of_appointment = [
        (R::Patient, "Appointment:patient"),
        (R::Location, "Appointment:location"),
        (R::Practitioner, "Appointment:practitioner"),
    ];
    let wanted = of_appointment.into_iter().filter(|(target, name)| {
        // Who or what the search is made by is known already.
        let known = match ask(R::Appointment) {
            Ask::ByPatient => *target == R::Patient,
            Ask::ByLocationDay => *target == R::Location,
            Ask::WholeType => false,
            Ask::ById | Ask::NotOffered => true,
        };
        let listed = offered.iter().any(|it| it == name || it == "*" || it == "Appointment:*");
        !known && listed && ask(*target) == Ask::ById
    });
    wanted.collect()
}

fn notices(capability: &Capability) -> (Notices, &'static str) {
    if !capability.can_named("Subscription", "create") {
        (Notices::Off, "it does not take subscriptions")
    } else if capability.fhir_version.as_deref().is_some_and(|version| version.starts_with('5')) {
        (Notices::R5, "it is an R5 server that takes subscriptions")
    } else if subscription::names(Notices::Backport, None, capability).is_empty() {
        (Notices::Classic, "it takes subscriptions and names no topic about appointments or patients")
    } else {
        (Notices::Backport, "it takes subscriptions and names topics")
    }
}

fn export(capability: &Capability) -> (Export, &'static str) {
    let of_type = |kind: ResourceType, names: &[&str]| {
        capability.of(kind).is_some_and(|it| names.iter().any(|name| it.operations.contains(*name)))
    };
    if of_type(ResourceType::Patient, &["export", "patient-export"]) || capability.operations.contains("patient-export")
    {
        (Export::Patient, "it offers $export of its patients")
    } else if of_type(ResourceType::Group, &["export", "group-export"])
        || capability.operations.contains("group-export")
    {
        (Export::Group, "it offers $export of a Group")
    } else if capability.operations.contains("export") {
        (Export::System, "it offers $export of everything")
    } else {
        (Export::Off, "it does not offer $export")
    }
}

fn write_back(capability: &Capability) -> (WriteBack, &'static str) {
    const KIND: ResourceType = ResourceType::Communication;
    if !capability.can(KIND, "create") {
        return if capability.can_named("DocumentReference", "create") {
            (WriteBack::DocumentReference, "it takes no Communication, but documents")
        } else if capability.can_named("Task", "create") {
            (WriteBack::Task, "it takes neither Communication nor documents, but tasks")
        } else {
            (WriteBack::Unsupported, "it does not offer to create a Communication, a document or a task")
        };
    }
    if capability.of(KIND).is_some_and(|communication| communication.conditional_create) {
        (WriteBack::ConditionalCreate, "it offers conditional create")
    } else if capability.searches_by(KIND, "identifier") {
        (WriteBack::SearchBeforeCreate, "it has no conditional create, but a search by identifier")
    } else if capability.searches_by(KIND, "patient") {
        (WriteBack::SearchByPatient, "it has neither conditional create nor a search by identifier, but one by patient")
    } else {
        (WriteBack::CreateOnce, "it has neither conditional create nor a search that would find ours")
    }
}

fn guard(write_back: WriteBack, vendor: Vendor, capability: &Capability) -> Guard {
    let name = match write_back {
        WriteBack::ConditionalCreate => return Guard::Condition,
        WriteBack::SearchBeforeCreate => return Guard::ByIdentifier,
        WriteBack::SearchByPatient => return Guard::ByPatient,
        WriteBack::CreateOnce | WriteBack::Unsupported => return Guard::Ledger,
        WriteBack::DocumentReference | WriteBack::Task => write_back.writes().unwrap_or_default(),
    };
    let searches_by = |parameter: &str| capability.searches_named(name, parameter);
    // These list `identifier` and refuse a search without a patient all the same.
    let by_patient_only = matches!(vendor, Vendor::Epic | Vendor::Oracle);
    if capability.resources.get(name).is_some_and(|it| it.conditional_create) && !by_patient_only {
        Guard::Condition
    } else if searches_by("identifier") && !by_patient_only {
        Guard::ByIdentifier
    } else if searches_by("patient") {
        Guard::ByPatient
    } else {
        Guard::Ledger
    }
}
