//! What became of each version of a rule, and by whom: drafted, reviewed, made live, reverted, retired.

use crate::columns::{Step, Up, at, id, index, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0041_rule_changes",
    drop: &["rule_change"],
    up: || Up {
        tables: vec![table(
            "rule_change",
            vec![
                id("id"),
                text("tenant"),
                text("rule"),
                text("version"),
                text("act"),
                text_null("before"),
                text_null("note"),
                text("changed_by"),
                at("changed_at"),
            ],
            &["id"],
        )],
        indexes: vec![index("rule_change", "rule_change_rule", &["tenant", "rule", "changed_at"])],
        partial: vec![],
    },
};
