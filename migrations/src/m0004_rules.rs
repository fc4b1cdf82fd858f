//! Rule versions, which of them are live, and clinicians' switches.

use crate::columns::{Step, Up, at, at_null, index, table, text};

pub const STEP: Step = Step {
    name: "m0004_rules",
    drop: &["enrolment", "rule_live", "rule_version"],
    up: || Up {
        tables: vec![
            table(
                "rule_version",
                vec![text("tenant"), text("rule"), text("version"), text("body"), text("added_by"), at("added_at")],
                &["tenant", "rule", "version"],
            ),
            table(
                "rule_live",
                vec![text("tenant"), text("rule"), text("version"), text("made_live_by"), at("live_at")],
                &["tenant", "rule"],
            ),
            table(
                "enrolment",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("patient"),
                    text("rule"),
                    text("state"),
                    at_null("until"),
                    text("changed_by"),
                    at("changed_at"),
                ],
                &["tenant", "ehr", "patient", "rule"],
            ),
        ],
        indexes: vec![index("enrolment", "enrolment_rule", &["tenant", "rule"])],
        partial: vec![],
    },
};
