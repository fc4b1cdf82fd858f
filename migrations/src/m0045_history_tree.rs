//! The tree over the history, the keys that sign its head, and where signed heads went. The events stay as they are.

use crate::columns::{Step, Up, at, at_null, big, blob, id, int, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0045_history_tree",
    drop: &["history_publication", "history_checkpoint", "history_key", "history_tile", "history_head"],
    up: || Up {
        tables: vec![
            // How many events are numbered. The row that one leader locks while it numbers more.
            table("history_head", vec![text("tenant"), big("size"), blob("mac")], &["tenant"]),
            // Hashes of complete subtrees, 256 a row.
            table(
                "history_tile",
                vec![text("tenant"), int("level"), big("number"), blob("hashes"), blob("mac")],
                &["tenant", "level", "number"],
            ),
            table(
                "history_key",
                vec![
                    id("id"),
                    text("tenant"),
                    text("origin"),
                    blob("public_key"),
                    blob("private_key"),
                    at("created_at"),
                    at_null("retired_at"),
                ],
                &["id"],
            ),
            table(
                "history_checkpoint",
                vec![text("tenant"), big("size"), id("key"), text("note"), at("at")],
                &["tenant", "size"],
            ),
            table(
                "history_publication",
                vec![
                    text("tenant"),
                    text("way"),
                    big("size"),
                    at_null("published_at"),
                    int("failures"),
                    text_null("problem"),
                    at_null("next_at"),
                ],
                &["tenant", "way"],
            ),
        ],
        indexes: vec![],
        partial: vec!["CREATE INDEX event_message ON event (tenant, message) WHERE message IS NOT NULL"],
    },
};
