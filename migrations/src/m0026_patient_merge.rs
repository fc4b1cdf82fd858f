//! Which record survived which, where the replaced record does not say so itself.

use crate::columns::{Step, Up, at, index, table, text};

pub const STEP: Step = Step {
    name: "m0026_patient_merge",
    drop: &["patient_merge"],
    up: || Up {
        tables: vec![table(
            "patient_merge",
            vec![text("tenant"), text("ehr"), text("replaced"), text("survivor"), text("source"), at("noted_at")],
            &["tenant", "ehr", "replaced"],
        )],
        indexes: vec![index("patient_merge", "patient_merge_survivor", &["tenant", "ehr", "survivor"])],
        partial: vec![
            "CREATE INDEX patient_replaced_by ON patient (tenant, ehr, replaced_by) WHERE replaced_by IS NOT NULL",
        ],
    },
};
