//! How one vendor's server differs from another's, as data.

/// What a vendor's server offers and how it answers.
#[derive(Debug, Clone)]
pub struct Personality {
    pub name: &'static str,
    /// `_lastUpdated` can be searched.
    pub last_updated: bool,
    /// `If-None-Exist` is honoured.
    pub conditional_create: bool,
    /// `PUT` is allowed.
    pub update: bool,
    /// The answer to a stale `If-Match`.
    pub stale_status: u16,
    /// A create answers with an empty body.
    pub empty_created: bool,
    /// `_count` when none is sent, and its ceiling.
    pub page: usize,
    pub page_limit: usize,
    /// Search continuations live so long.
    pub paging_minutes: i64,
}

impl Personality {
    /// A HAPI JPA server: everything works.
    pub fn hapi() -> Self {
        Self {
            name: "hapi",
            last_updated: true,
            conditional_create: true,
            update: true,
            stale_status: 412,
            empty_created: false,
            page: 20,
            page_limit: 200,
            paging_minutes: 60,
        }
    }
}

/// The resource types that the simulated server keeps.
pub const TYPES: [&str; 27] = [
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
    "Task",
];
