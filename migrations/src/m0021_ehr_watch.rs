//! What is seen of a connection between two pulls, and what a person wishes of it.

use crate::columns::{Step, Up, at, at_null, index, int, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0021_ehr_watch",
    drop: &["quarantine_retry", "ehr_watch"],
    up: || Up {
        tables: vec![
            table(
                "ehr_watch",
                vec![
                    text("tenant"),
                    text("ehr"),
                    // When somebody last fetched the published keys.
                    at_null("jwks_fetched_at"),
                    // The key ids that sign, by algorithm, as the history was last told.
                    text("signers"),
                    // A key that the EHR did not take although its time had come.
                    text_null("refused_key"),
                    at_null("pull_wanted_at"),
                    text_null("pull_wanted_by"),
                    int("pull_wanted_full"),
                ],
                &["tenant", "ehr"],
            ),
            // Resources in quarantine that somebody wants to have read again.
            table(
                "quarantine_retry",
                vec![text("tenant"), text("ehr"), text("resource_type"), text("resource_id"), text("by"), at("at")],
                &["tenant", "ehr", "resource_type", "resource_id"],
            ),
        ],
        indexes: vec![index("quarantine_retry", "quarantine_retry_order", &["tenant", "ehr", "at"])],
        partial: vec![],
    },
};
