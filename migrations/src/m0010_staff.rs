//! Local accounts and their sessions.

use crate::columns::{Step, Up, at, at_null, blob, id, index, int, table, text, unique};

pub const STEP: Step = Step {
    name: "m0010_staff",
    drop: &["staff_session", "staff"],
    up: || Up {
        tables: vec![
            table(
                "staff",
                vec![
                    id("id"),
                    text("tenant"),
                    text("login"),
                    text("display_name"),
                    text("password_hash"),
                    text("roles"),
                    int("failed_sign_ins"),
                    at_null("locked_until"),
                    at("created_at"),
                    at_null("disabled_at"),
                ],
                &["id"],
            ),
            // Only a digest of the token: who reads the database cannot sign in with it.
            table(
                "staff_session",
                vec![
                    blob("token_digest"),
                    text("tenant"),
                    id("staff"),
                    text("csrf"),
                    at("created_at"),
                    at("last_seen_at"),
                    at("expires_at"),
                ],
                &["token_digest"],
            ),
        ],
        indexes: vec![
            unique("staff", "staff_login", &["tenant", "login"]),
            index("staff_session", "staff_session_staff", &["staff"]),
        ],
        partial: vec![],
    },
};
