//! What each day's reconciliation found, and which patients a rule that went live is still to be planned for.

use crate::columns::{Step, Up, at, at_null, id, index, int, table, text};

pub const STEP: Step = Step {
    name: "m0040_reconciliations",
    drop: &["cohort", "reconciliation"],
    up: || Up {
        tables: vec![
            // report: counts, codes and logical ids; no name, no address, no text.
            table(
                "reconciliation",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("day"),
                    text("outcome"),
                    int("unexplained"),
                    int("stuck"),
                    text("report"),
                    text("made_by"),
                    at("made_at"),
                ],
                &["tenant", "ehr", "day"],
            ),
            // after: the last patient who was asked to be planned anew; the batch after it is next.
            table(
                "cohort",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    text("resource_types"),
                    text("why"),
                    text("after"),
                    at("opened_at"),
                    at_null("finished_at"),
                ],
                &["id"],
            ),
        ],
        indexes: vec![index("reconciliation", "reconciliation_made", &["tenant", "made_at"])],
        partial: vec!["CREATE INDEX cohort_open ON cohort (tenant, ehr, opened_at) WHERE finished_at IS NULL"],
    },
};
