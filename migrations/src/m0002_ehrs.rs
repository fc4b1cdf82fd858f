//! EHR connections, their signing keys, and how far each was pulled.

use crate::columns::{Step, Up, at, at_null, blob, id, id_null, index, table, text, text_null};

pub const STEP: Step = Step {
    name: "m0002_ehrs",
    drop: &["pull_run", "watermark", "ehr_key", "ehr"],
    up: || Up {
        tables: vec![
            // settings and plan: JSON without PHI.
            table(
                "ehr",
                vec![
                    text("tenant"),
                    text("id"),
                    text("base_url"),
                    text("vendor"),
                    text("client_id"),
                    text("settings"),
                    text_null("plan"),
                    text_null("granted_scopes"),
                    at("created_at"),
                    at("updated_at"),
                    at_null("disabled_at"),
                ],
                &["tenant", "id"],
            ),
            // Times, not states: a rotation goes on by itself, and no replica has to act in the right minute.
            table(
                "ehr_key",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("kid"),
                    text("alg"),
                    text("public_jwk"),
                    blob("private_key"),
                    at("created_at"),
                    at("signs_from"),
                    at_null("published_until"),
                ],
                &["tenant", "ehr", "kid"],
            ),
            // since: where the next increment begins; completed_at: when the type was last pulled to its last page.
            table(
                "watermark",
                vec![
                    text("tenant"),
                    text("ehr"),
                    text("resource_type"),
                    text("mode"),
                    at_null("since"),
                    id_null("completed_run"),
                    at_null("completed_at"),
                    at_null("full_completed_at"),
                ],
                &["tenant", "ehr", "resource_type"],
            ),
            table(
                "pull_run",
                vec![
                    id("id"),
                    text("tenant"),
                    text("ehr"),
                    text("state"),
                    text("triggered_by"),
                    text("counts"),
                    text_null("error"),
                    at("started_at"),
                    at_null("finished_at"),
                ],
                &["id"],
            ),
        ],
        indexes: vec![index("pull_run", "pull_run_recent", &["tenant", "ehr", "started_at"])],
        partial: vec![],
    },
};
