//! Reminders that were handed to people.

use crate::columns::{Step, Up, at, at_null, id, index, table, text, text_null, unique};

pub const STEP: Step = Step {
    name: "m0036_staff_tasks",
    drop: &["staff_task"],
    up: || Up {
        tables: vec![table(
            "staff_task",
            vec![
                id("id"),
                text("tenant"),
                text("ehr"),
                text("patient"),
                text("rule"),
                id("reminder"),
                text("reason"),
                at("opened_at"),
                text_null("done_by"),
                at_null("done_at"),
            ],
            &["id"],
        )],
        indexes: vec![
            unique("staff_task", "staff_task_reminder", &["tenant", "reminder"]),
            index("staff_task", "staff_task_open", &["tenant", "done_at", "id"]),
        ],
        partial: vec![],
    },
};
