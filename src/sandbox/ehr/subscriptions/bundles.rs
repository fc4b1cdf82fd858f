//! Notices as each dialect writes them.

use serde_json::{Value, json};

use super::manner::Subscribing;
use super::state::HookEvent;
use crate::sandbox::ehr::server::Ehr;

/// What a notice is about.
pub struct Told<'a> {
    pub dialect: Subscribing,
    pub subscription: &'a str,
    pub topic: &'a str,
    pub status: &'a str,
    /// `handshake`, `heartbeat`, `event-notification`, `query-status` or `query-event`.
    pub kind: &'a str,
    pub count: u64,
    pub events: &'a [HookEvent],
}

/// A notification Bundle.
pub fn notification(ehr: &Ehr, told: &Told<'_>) -> Value {
    let now = ehr.clock.now().to_rfc3339();
    let url = format!("{}/Subscription/{}", ehr.base, told.subscription);
    let bundle_type = if told.dialect == Subscribing::R5 { "subscription-notification" } else { "history" };
    let mut entries = vec![json!({
        "fullUrl": format!("urn:uuid:{}", uuid::Uuid::from_u128(u128::from(told.count))), "resource": status(ehr, told),
        "request": {"method": "GET", "url": format!("{url}/$status")}, "response": {"status": "200"}
    })];
    for event in told.events {
        let focus = format!("{}/{}/{}", ehr.base, event.kind, event.id);
        let mut entry = json!({
            "fullUrl": focus, "request": {"method": if event.gone { "DELETE" } else { "PUT" }, "url": format!("{}/{}", event.kind, event.id)},
            "response": {"status": "200"}
        });
        if told.dialect == Subscribing::Athena {
            entry["resource"] = json!({
                "resourceType": "AuditEvent", "id": format!("audit-{}-{}", told.subscription, event.number),
                "recorded": event.at.to_rfc3339(), "action": "U",
                "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
                "entity": [{"what": {"reference": format!("{}/{}", event.kind, event.id)}}]
            });
        }
        entries.push(entry);
    }
    json!({"resourceType": "Bundle", "type": bundle_type, "timestamp": now, "entry": entries})
}

/// The status resource alone.
pub fn status(ehr: &Ehr, told: &Told<'_>) -> Value {
    let reference = format!("{}/Subscription/{}", ehr.base, told.subscription);
    let focus = |event: &HookEvent| format!("{}/{}/{}", ehr.base, event.kind, event.id);
    if told.dialect == Subscribing::Backport || told.dialect == Subscribing::Classic {
        let mut parameters = vec![
            json!({"name": "subscription", "valueReference": {"reference": reference}}),
            json!({"name": "topic", "valueCanonical": told.topic}),
            json!({"name": "status", "valueCode": told.status}),
            json!({"name": "type", "valueCode": told.kind}),
            json!({"name": "events-since-subscription-start", "valueString": told.count.to_string()}),
        ];
        parameters.extend(told.events.iter().map(|event| {
            json!({"name": "notification-event", "part": [
                {"name": "event-number", "valueString": event.number.to_string()},
                {"name": "timestamp", "valueInstant": event.at.to_rfc3339()},
                {"name": "focus", "valueReference": {"reference": focus(event)}}
            ]})
        }));
        return json!({"resourceType": "Parameters", "parameter": parameters});
    }
    let relative = told.dialect == Subscribing::Athena;
    let events: Vec<Value> = (1_u64..)
        .zip(told.events)
        .map(|(at, event)| {
            let number = if relative { at } else { event.number };
            json!({"id": format!("event-{}-{}", told.subscription, event.number), "eventNumber": number.to_string(),
                   "timestamp": event.at.to_rfc3339(), "focus": {"reference": focus(event)}})
        })
        .collect();
    let count = if relative { told.events.len() as u64 } else { told.count };
    json!({
        "resourceType": "SubscriptionStatus", "status": told.status, "type": told.kind,
        "eventsSinceSubscriptionStart": count.to_string(), "notificationEvent": events,
        "subscription": {"reference": reference}, "topic": told.topic
    })
}
