//! Whether anything may go out at all, who leads, and what a person must look at.

use crate::columns::{Step, Up, at, at_null, id, index, int, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0008_sending",
    drop: &["alert", "leader", "release_count", "halt", "send_mode"],
    up: || Up {
        tables: vec![
            table(
                "send_mode",
                vec![
                    text("tenant"),
                    text("mode"),
                    text("changed_by"),
                    at("changed_at"),
                    at_null("held_at"),
                    at_null("hold_released_at"),
                ],
                &["tenant"],
            ),
            // kind: all, rule or channel; value: the rule's or the channel's name, else empty.
            table(
                "halt",
                vec![text("tenant"), text("kind"), text("value"), text("reason"), text("halted_by"), at("halted_at")],
                &["tenant", "kind", "value"],
            ),
            table("release_count", vec![text("tenant"), at("hour"), int("released")], &["tenant", "hour"]),
            table("leader", vec![text("name"), id("holder"), at("until")], &["name"]),
            table(
                "alert",
                vec![
                    id("id"),
                    text("tenant"),
                    text("kind"),
                    text("subject"),
                    text("words"),
                    int("count"),
                    at("opened_at"),
                    at("last_at"),
                    at_null("notified_at"),
                    text_null("acknowledged_by"),
                    at_null("acknowledged_at"),
                    at_null("resolved_at"),
                ],
                &["id"],
            ),
        ],
        indexes: vec![index("alert", "alert_recent", &["tenant", "opened_at"])],
        partial: vec!["CREATE UNIQUE INDEX alert_open ON alert (tenant, kind, subject) WHERE resolved_at IS NULL"],
    },
};
