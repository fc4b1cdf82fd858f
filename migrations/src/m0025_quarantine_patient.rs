//! Of whom something is missing in the mirror because it is in quarantine: there absence proves nothing.

use crate::columns::{Step, Up, index, table, text};

pub const STEP: Step = Step {
    name: "m0025_quarantine_patient",
    drop: &["quarantine_patient"],
    up: || Up {
        tables: vec![table(
            "quarantine_patient",
            vec![text("tenant"), text("ehr"), text("patient"), text("resource_type"), text("resource_id")],
            &["tenant", "ehr", "patient", "resource_type", "resource_id"],
        )],
        indexes: vec![index(
            "quarantine_patient",
            "quarantine_patient_resource",
            &["tenant", "ehr", "resource_type", "resource_id"],
        )],
        partial: vec![],
    },
};
