//! `$status` and `$events`.

use serde_json::{Value, json};

use super::bundles::{Told, notification, status as status_resource};
use super::checks::{dialect, topic};
use super::manner::Subscribing;
use super::state::HookEvent;
use crate::sandbox::ehr::archive::Found;
use crate::sandbox::ehr::outcome::refuse;
use crate::sandbox::ehr::server::Ehr;
use crate::sandbox::ehr::smart::Grant;
use crate::sandbox::http::{Reply, Request, pairs};

/// The resource, where it has a status of its own.
fn find(ehr: &Ehr, id: &str, grant: &Grant) -> Result<(Value, Subscribing), Reply> {
    Ehr::require(grant, "Subscription", 'r')?;
    let Found::Here(version) = ehr.archive.read("Subscription", id) else {
        return Err(refuse(404, "not-found", "there is no such subscription"));
    };
    let resource = version.body().clone();
    match dialect(ehr, &resource) {
        Some(dialect @ (Subscribing::Backport | Subscribing::R5)) => Ok((resource, dialect)),
        _ => Err(refuse(404, "not-supported", "this operation is not offered")),
    }
}

pub fn status(ehr: &Ehr, id: &str, grant: &Grant) -> Reply {
    let (resource, dialect) = match find(ehr, id, grant) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let count = ehr.hooks.lock().1.get(id).map_or(0, |hook| hook.count);
    let told = Told {
        dialect,
        subscription: id,
        topic: topic(&resource),
        status: resource["status"].as_str().unwrap_or("off"),
        kind: "query-status",
        count,
        events: &[],
    };
    let entry = json!({"resource": status_resource(ehr, &told), "search": {"mode": "match"}});
    Reply::fhir(200, &json!({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [entry]}))
}

pub fn events(ehr: &Ehr, request: &Request, id: &str, grant: &Grant) -> Reply {
    let (resource, dialect) = match find(ehr, id, grant) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let fields = pairs(request.query.as_bytes());
    let number =
        |name: &str| fields.iter().find(|(found, _)| found == name).and_then(|(_, value)| value.parse::<u64>().ok());
    let (from, until) = (number("eventsSinceNumber").unwrap_or(0), number("eventsUntilNumber").unwrap_or(u64::MAX));
    let state = ehr.hooks.lock();
    let hook = state.1.get(id);
    let found: Vec<HookEvent> = hook
        .iter()
        .flat_map(|hook| &hook.events)
        .filter(|event| (from..=until).contains(&event.number))
        .cloned()
        .collect();
    let told = Told {
        dialect,
        subscription: id,
        topic: topic(&resource),
        status: resource["status"].as_str().unwrap_or("off"),
        kind: "query-event",
        count: hook.map_or(0, |hook| hook.count),
        events: &found,
    };
    Reply::fhir(200, &notification(ehr, &told))
}
