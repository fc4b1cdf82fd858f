//! Tenants and the keys below the root key.

use crate::columns::{Step, Up, at, at_null, blob, blob_null, id, int, table, text, unique};

pub const STEP: Step = Step {
    name: "m0001_tenants",
    drop: &["data_key", "tenant_key", "tenant"],
    up: || Up {
        tables: vec![
            table("tenant", vec![text("id"), text("name"), at("created_at")], &["id"]),
            // kind: seal (wraps data keys), index (blind indexes), mac (rows of the history).
            table(
                "tenant_key",
                vec![id("id"), text("tenant"), text("kind"), blob("wrapped"), at("created_at"), at_null("retired_at")],
                &["id"],
            ),
            // One key per tenant, retention class and patient; destroying `wrapped` shreds what it sealed.
            table(
                "data_key",
                vec![
                    id("id"),
                    text("tenant"),
                    text("class"),
                    text("subject"),
                    int("version"),
                    blob_null("wrapped"),
                    at("created_at"),
                    at_null("destroyed_at"),
                ],
                &["id"],
            ),
        ],
        indexes: vec![unique("data_key", "data_key_subject", &["tenant", "class", "subject", "version"])],
        partial: vec!["CREATE UNIQUE INDEX tenant_key_current ON tenant_key (tenant, kind) WHERE retired_at IS NULL"],
    },
};
