//! Bulk exports that are under way or over, and their files: what a restart goes on from.

use crate::columns::{Step, Up, at, at_null, big_null, blob, blob_null, id, index, int, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0030_exports",
    drop: &["bulk_file", "bulk_export"],
    up: || Up {
        tables: vec![
            // poll_url and next_url are sealed: some servers sign their addresses.
            table(
                "bulk_export",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    id("run"),
                    text("target"),
                    text("types"),
                    text("state"),
                    at_null("since"),
                    blob_null("poll_url"),
                    blob_null("next_url"),
                    at_null("transaction_time"),
                    int("requires_token"),
                    int("tries"),
                    int("restarts"),
                    text_null("progress"),
                    text_null("error"),
                    at("asked_at"),
                    at("next_at"),
                    at_null("ended_at"),
                ],
                &["id"],
            ),
            // section: output, deleted or outcome; lines: so many are stored.
            table(
                "bulk_file",
                vec![
                    id("export"),
                    int("number"),
                    text("tenant"),
                    text("section"),
                    text("type_name"),
                    blob("url"),
                    big_null("expected"),
                    int("lines"),
                    int("tries"),
                    text("state"),
                    text_null("problem"),
                    text_null("note"),
                ],
                &["export", "number"],
            ),
        ],
        indexes: vec![index("bulk_export", "bulk_export_recent", &["tenant", "ehr", "target", "asked_at"])],
        // One at a time of each target, whoever starts it.
        partial: vec![
            "CREATE UNIQUE INDEX bulk_export_open ON bulk_export (tenant, ehr, target) WHERE ended_at IS NULL",
        ],
    },
};
