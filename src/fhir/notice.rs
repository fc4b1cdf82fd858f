//! What a subscription's notice says (R4 classic, R4 backport, R4B, R5, and athenahealth's mixture). A notice is a hint of
//! where to look: nothing in it is believed.

use serde_json::Value;

use super::json;
use crate::domain::ResourceKey;

/// A notice, as far as it can be understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notice {
    pub kind: NoticeKind,
    /// The state of the subscription at the server: `active`, `error`, `off`, …
    pub status: Option<String>,
    /// Events since the subscription began, as the server counts.
    pub count: Option<u64>,
    pub events: Vec<NoticeEvent>,
    /// The server says that something is wrong with the subscription.
    pub has_error: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoticeKind {
    Handshake,
    Heartbeat,
    #[default]
    Event,
    /// The answer to `$status` or `$events`.
    Answer,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeEvent {
    pub number: Option<u64>,
    /// The event's own id, where the server gives one.
    pub id: Option<String>,
    /// Which resource it is about; of a type that Beckon knows.
    pub focus: Option<ResourceKey>,
    /// It is about a resource of another type.
    pub is_foreign: bool,
}

impl Notice {
    /// Reads a notification Bundle, or a lone status; `None` where the body is neither. A lone resource (R4 classic with
    /// payload) is an event about itself.
    pub fn read(body: &Value) -> Option<Self> {
        match json::text(body, "resourceType")? {
            "Bundle" => {
                let first = json::list(body, "entry").first().and_then(|entry| entry.get("resource"));
                let mut notice = first.and_then(Self::of_status)?;
                if notice.events.is_empty() && notice.kind == NoticeKind::Event {
                    notice.events = entries(body);
                }
                Some(notice)
            }
            "SubscriptionStatus" | "Parameters" => Self::of_status(body),
            name => {
                let key = json::text(body, "id").map(|id| format!("{name}/{id}"))?;
                let focus = ResourceKey::from_reference(&key);
                let is_foreign = focus.is_none();
                Some(Self {
                    events: vec![NoticeEvent { focus, is_foreign, ..NoticeEvent::default() }],
                    ..Self::default()
                })
            }
        }
    }

    fn of_status(resource: &Value) -> Option<Self> {
        match json::text(resource, "resourceType") {
            Some("SubscriptionStatus") => Some(Self {
                kind: kind(json::text(resource, "type")),
                status: json::text(resource, "status").map(str::to_owned),
                count: number(resource.get("eventsSinceSubscriptionStart")),
                events: json::list(resource, "notificationEvent").iter().map(of_r5).collect(),
                has_error: json::present(resource, "error"),
            }),
            Some("Parameters") => {
                let parameters = json::list(resource, "parameter");
                // Names are written with dashes by the guide and without by some servers.
                let find = |wanted: &'static str| parameters.iter().find(move |it| named(it, wanted));
                let text = |wanted| find(wanted).and_then(value_text);
                text("type")?;
                Some(Self {
                    kind: kind(text("type")),
                    status: text("status").map(str::to_owned),
                    count: find("events-since-subscription-start").and_then(value_number),
                    events: parameters.iter().filter(|it| named(it, "notification-event")).map(of_r4).collect(),
                    has_error: find("error").is_some(),
                })
            }
            _ => None,
        }
    }
}

fn kind(code: Option<&str>) -> NoticeKind {
    match code {
        Some("handshake") => NoticeKind::Handshake,
        Some("heartbeat") => NoticeKind::Heartbeat,
        Some("query-status" | "query-event") => NoticeKind::Answer,
        _ => NoticeKind::Event,
    }
}

fn of_r5(event: &Value) -> NoticeEvent {
    let focus = event.get("focus").and_then(|focus| json::text(focus, "reference"));
    event_of(number(event.get("eventNumber")), json::text(event, "id"), focus)
}

fn of_r4(event: &Value) -> NoticeEvent {
    let parts = json::list(event, "part");
    let find = |wanted: &str| parts.iter().find(|part| named(part, wanted));
    let focus = find("focus").and_then(|part| json::text(part.get("valueReference")?, "reference"));
    event_of(find("event-number").and_then(value_number), json::text(event, "id"), focus)
}

fn event_of(number: Option<u64>, id: Option<&str>, focus: Option<&str>) -> NoticeEvent {
    let key = focus.and_then(ResourceKey::from_reference);
    NoticeEvent { number, id: id.map(str::to_owned), is_foreign: focus.is_some() && key.is_none(), focus: key }
}

/// Some servers name what changed in the entries alone: each with the request that changed it.
fn entries(bundle: &Value) -> Vec<NoticeEvent> {
    let rest = json::list(bundle, "entry").iter().skip(1);
    let urls = rest.filter_map(|entry| json::text(entry.get("request")?, "url"));
    urls.map(|url| event_of(None, None, Some(url.split('?').next().unwrap_or(url)))).collect()
}

fn named(parameter: &Value, wanted: &str) -> bool {
    let plain = |name: &str| name.replace('-', "").to_ascii_lowercase();
    json::text(parameter, "name").is_some_and(|name| plain(name) == plain(wanted))
}

fn value_text(parameter: &Value) -> Option<&str> {
    ["valueCode", "valueString", "valueCanonical"].iter().find_map(|key| json::text(parameter, key))
}

fn value_number(parameter: &Value) -> Option<u64> {
    let keys =
        ["valueString", "valueUnsignedInt", "valueInteger", "valuePositiveInt", "valueInteger64", "valueDecimal"];
    keys.iter().find_map(|key| number(parameter.get(*key)))
}

/// R4 writes numbers of events as text, R5 as integer64, which JSON writes as text too; some servers as a number.
fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn focus(notice: &Notice) -> Vec<String> {
        notice.events.iter().filter_map(|it| Some(it.focus.as_ref()?.to_string())).collect()
    }

    #[test]
    fn every_dialect_s_notice_is_understood() {
        let r4 = json!({"resourceType": "Bundle", "type": "history", "entry": [{"resource": {"resourceType": "Parameters",
            "parameter": [{"name": "subscription", "valueReference": {"reference": "https://e/fhir/Subscription/1"}},
                {"name": "status", "valueCode": "active"}, {"name": "type", "valueCode": "event-notification"},
                {"name": "events-since-subscription-start", "valueString": "7"},
                {"name": "notification-event", "part": [{"name": "event-number", "valueString": "7"},
                    {"name": "focus", "valueReference": {"reference": "https://e/fhir/Appointment/a"}},
                    {"name": "related-query", "part": [{"name": "query", "valueString": "x"}]}]}]}}]});
        let notice = Notice::read(&r4).unwrap();
        assert_eq!((notice.kind, notice.count, notice.events[0].number), (NoticeKind::Event, Some(7), Some(7)));
        assert_eq!(focus(&notice), ["Appointment/a"]);

        let r5 = json!({"resourceType": "Bundle", "type": "subscription-notification", "entry": [{"resource":
            {"resourceType": "SubscriptionStatus", "status": "active", "type": "event-notification",
             "eventsSinceSubscriptionStart": "3", "notificationEvent": [
                {"eventNumber": "3", "id": "x1", "focus": {"reference": "Appointment/b"}},
                {"eventNumber": 2, "focus": {"reference": "Slot/b"}}]}}]});
        let notice = Notice::read(&r5).unwrap();
        assert_eq!((notice.count, notice.events.len()), (Some(3), 2));
        assert_eq!((notice.events[0].id.as_deref(), notice.events[1].is_foreign), (Some("x1"), true));

        let handshake = json!({"resourceType": "Bundle", "type": "history", "entry": [{"resource": {"resourceType": "Parameters",
            "parameter": [{"name": "status", "valueCode": "requested"}, {"name": "type", "valueCode": "handshake"},
                {"name": "eventsSinceSubscriptionStart", "valueString": "0"}]}}]});
        let notice = Notice::read(&handshake).unwrap();
        assert_eq!(
            (notice.kind, notice.status.as_deref(), notice.count),
            (NoticeKind::Handshake, Some("requested"), Some(0))
        );

        let bare = json!({"resourceType": "Bundle", "type": "history", "entry": [
            {"resource": {"resourceType": "SubscriptionStatus", "type": "event-notification"}},
            {"request": {"method": "PUT", "url": "Appointment/c"}}]});
        assert_eq!(focus(&Notice::read(&bare).unwrap()), ["Appointment/c"]);
        assert_eq!(
            focus(&Notice::read(&json!({"resourceType": "Appointment", "id": "d"})).unwrap()),
            ["Appointment/d"]
        );
    }

    #[test]
    fn what_is_no_notice_is_none() {
        let of_a_patient =
            json!({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}]});
        for body in [json!({}), json!([]), json!("x"), json!({"resourceType": "Bundle"}), of_a_patient] {
            assert_eq!(Notice::read(&body), None, "{body}");
        }
        let foreign = Notice::read(&json!({"resourceType": "Slot", "id": "s"})).unwrap();
        assert!(foreign.events[0].is_foreign && foreign.events[0].focus.is_none());
    }
}
