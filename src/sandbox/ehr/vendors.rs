//! What each vendor offers of each type.

use super::personality::Offer;

/// One patient, or known ids.
const BY_PATIENT: Offer = Offer::by(&[&["patient"], &["_id"]]);
const BY_ID: Offer = Offer::by(&[&["_id"]]);
/// Nobody may list all patients.
const PERSON: &[&[&str]] =
    &[&["_id"], &["identifier"], &["family", "birthdate"], &["family", "given", "birthdate"], &["phone"], &["email"]];

/// Epic: a clinical type needs `patient` or `_id` (error 4111); Appointment is read and searched, never written;
/// Communication is created and searched by patient, category and encounter, not by identifier; there is no
/// AppointmentResponse, CommunicationRequest or AuditEvent; RelatedPerson is searched by `_id` only, Provenance read.
pub fn epic(kind: &str) -> Option<Offer> {
    match kind {
        "AppointmentResponse" | "CommunicationRequest" | "AuditEvent" => None,
        "Appointment" => Some(BY_PATIENT.knowing(&["_id", "patient", "date", "status", "identifier"])),
        "Communication" => Some(
            Offer::by(&[&["patient"], &["subject"], &["_id"]])
                .knowing(&["_id", "patient", "subject", "category", "encounter"])
                .and_create(),
        ),
        "Condition" | "DocumentReference" | "Observation" | "ServiceRequest" | "Procedure" => {
            Some(BY_PATIENT.and_create())
        }
        "Patient" => Some(Offer::by(PERSON)),
        "RelatedPerson" | "Location" | "Organization" | "Practitioner" | "PractitionerRole" => Some(BY_ID),
        "Group" | "Provenance" | "Device" => Some(Offer::READ),
        _ => Some(BY_PATIENT),
    }
}

/// Oracle Health: Appointment by patient, practitioner or location, each with a date, or by `_id`; `_lastUpdated` for
/// Condition, Encounter, Procedure, Immunization, Observation, ServiceRequest and DocumentReference of one patient,
/// never for Appointment or Patient; Communication by `_id`, or by category, recipient and received.
pub fn oracle(kind: &str) -> Option<Offer> {
    match kind {
        "AppointmentResponse" | "CommunicationRequest" | "AuditEvent" | "Flag" => None,
        "Appointment" => {
            Some(
                Offer::by(&[&["_id"], &["patient", "date"], &["practitioner", "date"], &["location", "date"]])
                    .knowing(&["_id", "patient", "practitioner", "location", "date", "status"]),
            )
        }
        "Communication" => Some(Offer::by(&[&["_id"], &["category", "recipient", "received"]]).and_create()),
        "DocumentReference" => Some(BY_PATIENT.with_last_updated().and_create()),
        "Condition" | "Encounter" | "Procedure" | "Immunization" | "Observation" | "ServiceRequest" => {
            Some(BY_PATIENT.with_last_updated())
        }
        "Patient" => Some(Offer::by(PERSON)),
        "Location" | "Organization" | "Practitioner" | "PractitionerRole" => Some(BY_ID),
        "Group" | "Provenance" | "Device" | "Task" => Some(Offer::READ),
        _ => Some(BY_PATIENT),
    }
}

/// athenahealth: no Communication, Consent, Task or Flag; Appointment by `_id` only, neither by patient nor by date;
/// `_lastUpdated` for most other types; nothing of what is kept here can be created.
pub fn athena(kind: &str) -> Option<Offer> {
    match kind {
        "Communication"
        | "Consent"
        | "Task"
        | "Flag"
        | "AppointmentResponse"
        | "CommunicationRequest"
        | "AuditEvent" => None,
        "Appointment" => Some(BY_ID.knowing(&["_id"])),
        _ => Some(Offer { create: false, update: false, ..Offer::EVERYTHING }),
    }
}
