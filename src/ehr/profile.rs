//! What is known of each vendor, where its CapabilityStatement tells too much, too little, or nothing (vendors'
//! documentation and live CapabilityStatements, 2026).

use crate::domain::ResourceType;
use crate::fhir::capability::Capability;

use super::connection::Vendor;
use super::plan::{Ask, Changes, Export, Notices, WriteBack};

/// By what a type is asked for.
pub(super) fn ask(vendor: Vendor, kind: ResourceType) -> Option<(Ask, &'static str)> {
    use ResourceType as T;
    match (vendor, kind) {
        (Vendor::Epic, T::Patient | T::Location | T::Practitioner | T::Organization | T::RelatedPerson) => {
            Some((Ask::ById, "Epic searches these by id or demographics only"))
        }
        (Vendor::Epic, T::Group) => None,
        (Vendor::Epic, _) => Some((Ask::ByPatient, "Epic refuses a search without a patient (4111)")),
        (Vendor::Oracle, T::Appointment) => Some((
            Ask::ByLocationDay,
            "Oracle searches appointments by location and date, so that a clinic's day is one question",
        )),
        (Vendor::Oracle, T::Patient | T::Location | T::Practitioner | T::Organization) => {
            Some((Ask::ById, "Oracle has no search over all of these"))
        }
        (Vendor::Oracle, T::Communication) => {
            Some((Ask::NotOffered, "Oracle's Communication is a message to staff, found by its recipient only"))
        }
        (Vendor::Oracle, T::Group) => None,
        (Vendor::Oracle, _) => Some((Ask::ByPatient, "Oracle searches these for one patient at a time")),
        (Vendor::Athena, T::Appointment) => {
            Some((Ask::ById, "athenahealth finds appointments by id only, so the roster must name them"))
        }
        (Vendor::Athena, T::Communication | T::Consent | T::Task | T::Flag) => {
            Some((Ask::NotOffered, "athenahealth does not have this type"))
        }
        _ => None,
    }
}

/// What a search of one patient must name besides the patient, and with which values (R4 observation-category).
pub(super) const fn split(vendor: Vendor, kind: ResourceType) -> Option<(&'static str, &'static [&'static str])> {
    const CATEGORIES: &[&str] = &[
        "laboratory",
        "vital-signs",
        "social-history",
        "survey",
        "exam",
        "imaging",
        "procedure",
        "therapy",
        "activity",
    ];
    match (vendor, kind) {
        (Vendor::Epic, ResourceType::Observation) => Some(("category", CATEGORIES)),
        _ => None,
    }
}

/// How changes are noticed.
pub(super) fn changes(vendor: Vendor, kind: ResourceType) -> Option<(Changes, &'static str)> {
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

/// Where what happened is written.
pub(super) fn write_back(
    vendor: Vendor,
    communication_proven: bool,
    capability: &Capability,
) -> Option<(WriteBack, &'static str)> {
    let documents = capability.can_named("DocumentReference", "create");
    match vendor {
        Vendor::Epic if communication_proven => Some((
            WriteBack::SearchByPatient,
            "Epic took a Communication in the test of this connection; it has no conditional create and no search by \
             identifier",
        )),
        Vendor::Epic if documents => Some((
            WriteBack::DocumentReference,
            "what Epic asks of a Communication differs between hospitals, so it is off until `beckon ehr test \
             --prove-write` has created one",
        )),
        Vendor::Epic => Some((
            WriteBack::Unsupported,
            "Epic's Communication is off until `beckon ehr test --prove-write` has created one, and no document can be \
             created here",
        )),
        Vendor::Oracle if documents => Some((
            WriteBack::DocumentReference,
            "Oracle's Communication is a message to staff, not a record of outreach; a document is taken",
        )),
        Vendor::Oracle => Some((
            WriteBack::Unsupported,
            "Oracle's Communication is a message to staff, not a record of outreach, and no document can be created here",
        )),
        Vendor::Athena => Some((WriteBack::Unsupported, "athenahealth does not have Communication")),
        Vendor::Generic | Vendor::Hapi => None,
    }
}

/// Whose resources are exported in bulk.
pub(super) fn export(vendor: Vendor, capability: &Capability) -> Option<(Export, &'static str)> {
    let group = capability.of(ResourceType::Group);
    let offered = group.is_some_and(|it| ["export", "group-export"].iter().any(|name| it.operations.contains(*name)));
    match vendor {
        Vendor::Epic if offered => Some((Export::Group, "Epic exports the members of a Group")),
        Vendor::Oracle if offered => {
            Some((Export::Group, "Oracle exports the members of a Group, one export at a time"))
        }
        Vendor::Epic | Vendor::Oracle => {
            Some((Export::Off, "it does not list $export of a Group, the only one of this vendor"))
        }
        Vendor::Generic | Vendor::Hapi | Vendor::Athena => None,
    }
}

/// How the EHR tells of changes.
pub(super) fn notices(vendor: Vendor, capability: &Capability) -> Option<(Notices, &'static str)> {
    match vendor {
        Vendor::Epic => Some((Notices::Off, "Epic has no subscriptions")),
        Vendor::Oracle => Some((Notices::Off, "Oracle has no subscriptions")),
        Vendor::Athena if capability.can_named("Subscription", "create") => {
            Some((Notices::Athena, "athenahealth tells of appointments by signed notices of topics"))
        }
        Vendor::Athena => Some((Notices::Off, "this practice's server does not take subscriptions")),
        Vendor::Generic | Vendor::Hapi => None,
    }
}
