//! What the EHR told us, pruned and sealed; what could not be used; and how a patient is found.

use crate::columns::{Step, Up, at, at_null, blob, blob_null, id, id_null, index, table, text, text_null, unique};

pub const STEP: Step = Step {
    name: "m0003_mirror",
    drop: &["quarantine", "blind_index", "patient", "mirror"],
    up: || Up {
        tables: vec![
            // status and starts_at are Appointment's only: reconciliation counts by them.
            table(
                "mirror",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("resource_type"),
                    text("id"),
                    text_null("patient"),
                    text_null("version_id"),
                    at_null("last_updated"),
                    blob("hash"),
                    blob("body"),
                    text_null("status"),
                    at_null("starts_at"),
                    id_null("seen_run"),
                    at("updated_at"),
                    at_null("deleted_at"),
                ],
                &["tenant", "ehr", "resource_type", "id"],
            ),
            // replan_at: the next instant at which the plan could change, by data or by time alone.
            table(
                "patient",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("id"),
                    text("state"),
                    text_null("replaced_by"),
                    at_null("replan_at"),
                    at_null("planned_at"),
                    at("updated_at"),
                ],
                &["tenant", "ehr", "id"],
            ),
            // kind: mrn, phone, email, birth_date, family, given, family3, given3.
            table(
                "blind_index",
                vec![text("tenant"), text("kind"), blob("digest"), text("ehr"), text("patient")],
                &["tenant", "kind", "digest", "ehr", "patient"],
            ),
            table(
                "quarantine",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    text("resource_type"),
                    text("resource_id"),
                    text("path"),
                    text("reason"),
                    blob_null("body"),
                    at("first_seen_at"),
                    at("last_seen_at"),
                    at_null("resolved_at"),
                ],
                &["id"],
            ),
        ],
        indexes: vec![
            index("mirror", "mirror_patient", &["tenant", "ehr", "patient", "resource_type"]),
            index("mirror", "mirror_starts", &["tenant", "ehr", "resource_type", "starts_at"]),
            index("blind_index", "blind_index_patient", &["tenant", "ehr", "patient"]),
            unique("quarantine", "quarantine_resource", &["tenant", "ehr", "resource_type", "resource_id"]),
        ],
        partial: vec!["CREATE INDEX patient_replan ON patient (replan_at) WHERE replan_at IS NOT NULL"],
    },
};
