//! The hospital's back door over HTTP: what tests in another process and the demo's pages need. JSON in, JSON out.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::advance::advance;
use super::ehr::JwksSource;
use super::faults::Fault;
use super::http::{Reply, Request};
use super::world::World;

/// The path below which it answers.
pub const ROOT: &str = "/_sandbox";

fn list<T: serde::Serialize>(items: T) -> Reply {
    match serde_json::to_value(items) {
        Ok(value) => Reply::json(200, &value),
        Err(_) => wrong("cannot be shown as JSON"),
    }
}

fn wrong(text: &str) -> Reply {
    Reply::json(400, &json!({"error": text}))
}

/// Answers a request below [`ROOT`].
pub async fn answer(world: &World, request: &Request) -> Reply {
    let path = request.path.strip_prefix(ROOT).unwrap_or_default().trim_matches('/');
    let body = request.json().unwrap_or(Value::Null);
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    match (request.method.as_str(), path) {
        ("GET", "texts") => list(world.phone.texts()),
        ("GET", "mails") => list(world.mailbox.mails()),
        ("GET", "communications") => list(world.resources("Communication")),
        ("GET", "awkward") => list(&world.awkward),
        ("GET", "truth") => list(world.truth()),
        ("GET", "requests") => list(world.seen.all()),
        ("GET", "info") => Reply::json(
            200,
            &json!({
                "fhir_base": world.ehr.base, "token_url": world.ehr.authority.token_url, "phone": list_value(&world.phone.account), "now": world.clock.now()
            }),
        ),
        ("POST", "faults") => match serde_json::from_value::<Fault>(body) {
            Ok(fault) => {
                world.faults.inject(fault);
                Reply::empty(204)
            }
            Err(error) => wrong(&format!("not a fault: {error}")),
        },
        ("DELETE", "faults") => {
            world.faults.clear();
            Reply::empty(204)
        }
        ("POST", "replies") => {
            let to = if body["to"].is_null() { world.phone.account.number.clone() } else { text("to") };
            let status = world.phone.reply_as(&text("from"), &to, &text("body")).await;
            Reply::json(200, &json!({"webhook_status": status}))
        }
        ("POST", "advance") => match text("now").parse::<DateTime<Utc>>() {
            Ok(now) => list(advance(world, now).await),
            Err(_) => wrong("now is not an instant"),
        },
        ("POST", "clients") => {
            let jwks = match body["jwks_url"].as_str() {
                Some(url) => JwksSource::Url(url.to_owned()),
                None => JwksSource::Inline(body["jwks"].clone()),
            };
            world.ehr.authority.register(&text("client_id"), jwks, &text("scopes"));
            Reply::empty(204)
        }
        ("PUT", "inbound-url") => {
            world.phone.state().inbound_url = Some(text("url"));
            Reply::empty(204)
        }
        ("PUT", path) => match path.strip_prefix("resources/").and_then(|rest| rest.split_once('/')) {
            Some((kind, id)) if body["resourceType"] == kind && body["id"] == id => {
                let stored = world.ehr.archive.put(kind, id, body.clone(), None).is_ok();
                Reply::empty(if stored { 204 } else { 409 })
            }
            _ => wrong("the path must be resources/Type/id, as in the body"),
        },
        ("DELETE", path) => match path.strip_prefix("resources/").and_then(|rest| rest.split_once('/')) {
            Some((kind, id)) if world.ehr.archive.delete(kind, id) => Reply::empty(204),
            _ => Reply::json(404, &json!({"error": "nothing to delete"})),
        },
        _ => Reply::json(404, &json!({"error": "nothing here"})),
    }
}

fn list_value<T: serde::Serialize>(item: T) -> Value {
    serde_json::to_value(item).unwrap_or(Value::Null)
}
