//! What must be right in a Subscription before it is taken.

use serde_json::Value;

use super::manner::Subscribing;
use crate::sandbox::ehr::outcome::refuse;
use crate::sandbox::ehr::server::Ehr;
use crate::sandbox::http::{Reply, Request};

const BASE: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/";

/// The value of an extension of the backport guide.
pub fn extension<'a>(element: &'a Value, name: &str) -> Option<&'a Value> {
    let all = element["extension"].as_array()?;
    let found = all.iter().find(|it| it["url"].as_str().is_some_and(|url| url.strip_prefix(BASE) == Some(name)))?;
    found.as_object()?.iter().find(|(key, _)| key.starts_with("value")).map(|(_, value)| value)
}

/// The dialect in which a Subscription is written.
pub fn dialect(ehr: &Ehr, resource: &Value) -> Option<Subscribing> {
    let offered = ehr.personality.subscriptions.as_ref()?.dialects;
    let r5 = resource["topic"].is_string();
    let topic = resource["criteria"].as_str().is_some_and(|criteria| criteria.starts_with("http"));
    let wanted = match (r5, topic) {
        (true, _) => Subscribing::R5,
        (false, true) if offered.contains(&Subscribing::Athena) => Subscribing::Athena,
        (false, true) => Subscribing::Backport,
        (false, false) => Subscribing::Classic,
    };
    offered.contains(&wanted).then_some(wanted)
}

pub fn endpoint(resource: &Value) -> &str {
    resource["endpoint"].as_str().or_else(|| resource["channel"]["endpoint"].as_str()).unwrap_or_default()
}

/// The topic that it names.
pub fn topic(resource: &Value) -> &str {
    resource["topic"].as_str().or_else(|| resource["criteria"].as_str()).unwrap_or_default()
}

/// Why a Subscription is not taken.
pub fn refused(ehr: &Ehr, request: &Request, resource: &Value) -> Option<Reply> {
    let manner = ehr.personality.subscriptions.as_ref()?;
    let Some(dialect) = dialect(ehr, resource) else {
        return Some(refuse(422, "not-supported", "this kind of subscription is not offered"));
    };
    let known = |url: &str| manner.topics.iter().any(|topic| topic.url == url);
    let channel = &resource["channel"];
    let problem = if resource["status"] != "requested" {
        Some("status must be requested")
    } else if !endpoint(resource).starts_with("http") {
        Some("the endpoint is missing")
    } else {
        match dialect {
            Subscribing::R5 if resource["channelType"]["code"] != "rest-hook" => Some("only rest-hook is offered"),
            Subscribing::R5 if !known(topic(resource)) => Some("the topic is not known"),
            Subscribing::R5 => None,
            _ if channel["type"] != "rest-hook" => Some("only rest-hook is offered"),
            _ if !resource["reason"].is_string() => Some("reason is required"),
            Subscribing::Classic if !resource["criteria"].as_str().unwrap_or_default().contains('?') => {
                Some("criteria must be a search, such as Appointment?")
            }
            Subscribing::Classic => None,
            _ if !known(topic(resource)) => Some("the topic is not known"),
            _ if extension(&channel["_payload"], "backport-payload-content").is_none() => {
                Some("the content of notices is not said")
            }
            _ if !channel["payload"].is_string() => Some("channel.payload is required"),
            Subscribing::Athena if request.header("x-hub-secret").is_none() && request.method == "POST" => {
                Some("X-Hub-Secret is required")
            }
            Subscribing::Athena
                if !extension(&resource["_criteria"], "backport-filter-criteria")
                    .and_then(Value::as_str)
                    .is_some_and(|filter| filter.starts_with("ah-practice=")) =>
            {
                Some("a filter by ah-practice is required")
            }
            _ => None,
        }
    };
    problem.map(|text| refuse(422, "business-rule", text))
}
