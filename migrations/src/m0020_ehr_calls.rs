//! What an EHR may be asked, shared by all replicas, and what it was asked.

use crate::columns::{Step, Up, at, at_null, big, id, index, int, int_null, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0020_ehr_calls",
    drop: &["ehr_usage", "ehr_request", "ehr_slot", "ehr_budget"],
    up: || Up {
        tables: vec![
            table(
                "ehr_budget",
                vec![
                    text("tenant"),
                    text("ehr"),
                    // The day of the EHR's zone that `day_calls` counts.
                    text("day"),
                    big("day_calls"),
                    // The next free instant of the rate: of all calls, and of those that can wait.
                    at_null("next_at"),
                    at_null("next_background_at"),
                    at_null("paused_until"),
                    text_null("pause_reason"),
                    // How often in a row the circuit was opened; 0 while it is closed.
                    int("circuit_level"),
                    at_null("circuit_since"),
                    at("updated_at"),
                ],
                &["tenant", "ehr"],
            ),
            // How many calls at once a replica may have under way, until when.
            table(
                "ehr_slot",
                vec![text("tenant"), text("ehr"), id("holder"), int("slots"), int("wants"), at("until")],
                &["tenant", "ehr", "holder"],
            ),
            table(
                "ehr_request",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    at("at"),
                    text("method"),
                    text("route"),
                    int_null("status"),
                    text("outcome"),
                    int("millis"),
                    big("bytes"),
                    text("token"),
                    int("repeats"),
                ],
                &["id"],
            ),
            table(
                "ehr_usage",
                vec![
                    text("tenant"),
                    text("ehr"),
                    at("hour"),
                    big("requests"),
                    big("retries"),
                    big("throttled"),
                    big("failed"),
                    big("bytes"),
                    big("millis"),
                ],
                &["tenant", "ehr", "hour"],
            ),
        ],
        indexes: vec![
            index("ehr_request", "ehr_request_recent", &["tenant", "ehr", "id"]),
            index("ehr_request", "ehr_request_age", &["tenant", "at"]),
        ],
        partial: vec![],
    },
};
