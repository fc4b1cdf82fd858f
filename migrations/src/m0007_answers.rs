//! What comes back: receipts, replies, opt-outs.

use crate::columns::{Step, Up, at, at_null, blob, blob_null, id, id_null, index, table, text, text_null, unique};

pub const STEP: Step = Step {
    name: "m0007_answers",
    drop: &["opt_out", "reply", "receipt"],
    up: || Up {
        tables: vec![
            table(
                "receipt",
                vec![
                    id("id"),
                    text("tenant"),
                    text("provider"),
                    text("provider_ref"),
                    text("state"),
                    text_null("code"),
                    at("received_at"),
                    at_null("processed_at"),
                    id_null("attempt"),
                ],
                &["id"],
            ),
            table(
                "reply",
                vec![
                    id("id"),
                    text("tenant"),
                    text("channel"),
                    text("provider"),
                    text("provider_ref"),
                    blob("from_digest"),
                    blob("body"),
                    text_null("meaning"),
                    text_null("ehr"),
                    text_null("patient"),
                    id_null("message"),
                    at("received_at"),
                    at_null("processed_at"),
                ],
                &["id"],
            ),
            table(
                "opt_out",
                vec![
                    id("id"),
                    text("tenant"),
                    text("scope"),
                    text_null("channel"),
                    text_null("rule"),
                    blob_null("address_digest"),
                    text_null("ehr"),
                    text_null("patient"),
                    text("source"),
                    blob("body"),
                    text("recorded_by"),
                    at("recorded_at"),
                    at_null("revoked_at"),
                ],
                &["id"],
            ),
        ],
        indexes: vec![
            unique("receipt", "receipt_once", &["tenant", "provider", "provider_ref", "state"]),
            unique("reply", "reply_once", &["tenant", "provider", "provider_ref"]),
            index("reply", "reply_recent", &["tenant", "received_at"]),
            index("opt_out", "opt_out_address", &["tenant", "address_digest"]),
            index("opt_out", "opt_out_patient", &["tenant", "ehr", "patient"]),
        ],
        partial: vec![
            "CREATE INDEX receipt_due ON receipt (received_at) WHERE processed_at IS NULL",
            "CREATE INDEX reply_due ON reply (received_at) WHERE processed_at IS NULL",
        ],
    },
};
