//! Subscriptions at EHRs, and what came by them.

use crate::columns::{
    Step, Up, at, at_null, big_null, blob, blob_null, id, index, int, table, text, text_null, unique,
};

pub const STEP: Step = Step {
    name: "m0031_subscriptions",
    drop: &["notice_event", "notice", "subscription"],
    up: || Up {
        tables: vec![
            // name: a type or a topic; digest: by which the address of a notice is found; secrets: sealed.
            table(
                "subscription",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    text("dialect"),
                    text("name"),
                    blob("digest"),
                    blob("secrets"),
                    text_null("remote_id"),
                    text("state"),
                    text_null("error"),
                    int("heartbeat_seconds"),
                    big_null("last_event"),
                    big_null("gap_from"),
                    at_null("gap_since"),
                    at_null("poll_wanted_at"),
                    at_null("polled_at"),
                    at_null("heard_at"),
                    int("tries"),
                    at("next_at"),
                    at("created_at"),
                ],
                &["id"],
            ),
            table(
                "notice",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    id("subscription"),
                    text_null("about"),
                    blob_null("body"),
                    at("received_at"),
                    int("tries"),
                    at("next_at"),
                    at_null("done_at"),
                    text_null("problem"),
                ],
                &["id"],
            ),
            // What was heard of already: a server may tell it twice.
            table(
                "notice_event",
                vec![id("subscription"), text("event"), text("tenant"), at("seen_at")],
                &["subscription", "event"],
            ),
        ],
        indexes: vec![
            unique("subscription", "subscription_address", &["tenant", "digest"]),
            unique("subscription", "subscription_name", &["tenant", "ehr", "dialect", "name"]),
            index("notice", "notice_received", &["tenant", "received_at"]),
            index("notice_event", "notice_event_seen", &["tenant", "seen_at"]),
        ],
        partial: vec!["CREATE INDEX notice_open ON notice (tenant, ehr, next_at) WHERE done_at IS NULL"],
    },
};
