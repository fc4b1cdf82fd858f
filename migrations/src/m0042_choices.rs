//! What a clinic sets for all its patients, and what a patient asked for about one visit.

use crate::columns::{Step, Up, at, id_null, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0042_choices",
    drop: &["patient_choice", "clinic_default"],
    up: || Up {
        tables: vec![
            // location: the Location's id; empty for the whole organisation.
            table(
                "clinic_default",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("location"),
                    text("rule"),
                    text("state"),
                    text("changed_by"),
                    at("changed_at"),
                ],
                &["tenant", "ehr", "location", "rule"],
            ),
            table(
                "patient_choice",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("patient"),
                    text("occasion"),
                    text("choice"),
                    text("source"),
                    id_null("reply"),
                    text_null("note"),
                    text("made_by"),
                    at("made_at"),
                ],
                &["tenant", "ehr", "patient", "occasion"],
            ),
        ],
        indexes: vec![],
        partial: vec![],
    },
};
