//! Whom and what to look at, where an EHR cannot list it.

use crate::columns::{Step, Up, at, index, table, text};

pub const STEP: Step = Step {
    name: "m0012_roster",
    drop: &["roster"],
    up: || Up {
        tables: vec![table(
            "roster",
            vec![text("tenant"), text("ehr"), text("resource_type"), text("id"), text("source"), at("added_at")],
            &["tenant", "ehr", "resource_type", "id", "source"],
        )],
        indexes: vec![index("roster", "roster_source", &["tenant", "ehr", "source"])],
        partial: vec![],
    },
};
