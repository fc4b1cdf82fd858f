//! The history: append-only. A leaf number is given after the commit, by one leader, so that replicas do not queue.

use crate::columns::{Step, Up, at, big_null, blob, id, id_null, index, table, text, text_null, unique};

pub const STEP: Step = Step {
    name: "m0009_history",
    drop: &["event"],
    up: || Up {
        tables: vec![table(
            "event",
            vec![
                id("id"),
                text("tenant"),
                big_null("seq"),
                at("at"),
                text("actor"),
                text("kind"),
                text("outcome"),
                text_null("ehr"),
                text_null("patient"),
                text_null("rule"),
                id_null("reminder"),
                id_null("message"),
                blob("detail"),
                blob("leaf"),
                blob("mac"),
            ],
            &["id"],
        )],
        indexes: vec![
            unique("event", "event_seq", &["tenant", "seq"]),
            index("event", "event_at", &["tenant", "at"]),
            index("event", "event_patient", &["tenant", "ehr", "patient", "at"]),
            index("event", "event_kind", &["tenant", "kind", "at"]),
        ],
        partial: vec!["CREATE INDEX event_unsequenced ON event (tenant, at) WHERE seq IS NULL"],
    },
};
