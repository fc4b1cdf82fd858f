//! Messages of the hospital's interface engine that are to be followed, and those that were, so that a repetition is
//! known. `body` is the sealed hint, emptied when the message was followed.

use crate::columns::{Step, Up, at, blob_null, id, index, int, table, text, text_null, unique};

pub const STEP: Step = Step {
    name: "m0027_hl7",
    drop: &["hl7_message"],
    up: || Up {
        tables: vec![table(
            "hl7_message",
            vec![
                id("id"),
                text("tenant"),
                text("ehr"),
                text("sender"),
                text("control_id"),
                text("kind"),
                text("state"),
                int("tries"),
                blob_null("body"),
                text_null("note"),
                at("received_at"),
                at("next_at"),
            ],
            &["id"],
        )],
        indexes: vec![
            unique("hl7_message", "hl7_message_control", &["tenant", "ehr", "sender", "control_id"]),
            index("hl7_message", "hl7_message_due", &["tenant", "ehr", "state", "next_at"]),
        ],
        partial: vec![],
    },
};
