//! Who read a rule's texts over, in which language.

use crate::columns::{Step, Up, at, table, text};

pub const STEP: Step = Step {
    name: "m0035_text_reviews",
    drop: &["text_review"],
    up: || Up {
        tables: vec![table(
            "text_review",
            vec![
                text("tenant"),
                text("rule"),
                text("language"),
                text("texts"),
                text("reviewer"),
                text("qualification"),
                text("recorded_by"),
                at("recorded_at"),
            ],
            &["tenant", "rule", "language", "texts"],
        )],
        indexes: vec![],
        partial: vec![],
    },
};
