//! Planned reminders and the decisions on them.

use crate::columns::{Step, Up, at, at_null, blob, id, id_null, index, int, table, text, text_null, unique};

pub const STEP: Step = Step {
    name: "m0005_reminders",
    drop: &["decision", "reminder"],
    up: || Up {
        tables: vec![
            table(
                "reminder",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    text("rule"),
                    text("rule_version"),
                    text("patient"),
                    text("occasion"),
                    text_null("replaces"),
                    text("resource_type"),
                    text("resource_id"),
                    text("step"),
                    at("anchor_at"),
                    at("due_at"),
                    at("expires_at"),
                    int("priority"),
                    text("state"),
                    text_null("reason"),
                    at("next_at"),
                    id_null("decision"),
                    id_null("message"),
                    id_null("leased_by"),
                    at_null("leased_until"),
                    at("created_at"),
                    at("updated_at"),
                ],
                &["id"],
            ),
            table(
                "decision",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    text("patient"),
                    id("reminder"),
                    text("rule_version"),
                    text("verdict"),
                    text_null("reason"),
                    blob("body"),
                    at("decided_at"),
                ],
                &["id"],
            ),
        ],
        indexes: vec![
            // Who, when: one reminder per step of an occasion, whatever is pulled twice.
            unique("reminder", "reminder_once", &["tenant", "ehr", "patient", "rule", "occasion", "step"]),
            index("reminder", "reminder_state", &["tenant", "state", "due_at"]),
            index("decision", "decision_reminder", &["reminder", "decided_at"]),
        ],
        partial: vec![
            "CREATE INDEX reminder_due ON reminder (next_at, priority) WHERE state IN ('planned', 'waiting')",
        ],
    },
};
