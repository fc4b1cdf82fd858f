//! Questions to the history that officers keep. What is asked is sealed: an address may be in it.

use crate::columns::{Step, Up, at, blob, id, index, table, text};

pub const STEP: Step = Step {
    name: "m0046_saved_questions",
    drop: &["saved_question"],
    up: || Up {
        tables: vec![table(
            "saved_question",
            vec![id("id"), text("tenant"), text("login"), blob("body"), at("created_at")],
            &["id"],
        )],
        indexes: vec![index("saved_question", "saved_question_tenant", &["tenant", "created_at"])],
        partial: vec![],
    },
};
