//! Subscriptions at the EHR: how each dialect spells one, how it is watched, and whether a notice is genuine (R4
//! subscription.html, Subscriptions R5 Backport 1.1, R5, and athenahealth's deviations). What a notice leads to is the
//! pull's business.

use aws_lc_rs::{constant_time, hmac};
use reqwest::Method;
use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, LOCATION};
use serde_json::{Value, json};

use super::client::{FHIR_JSON, FhirClient, Repeat, fhir_headers, json_body, not_fhir, refused};
use super::connection::EhrConnection;
use super::error::{EhrError, NotFhir};
use super::http::{Outgoing, Reply};
use super::plan::Notices;
use super::search::Search;
use crate::fhir::capability::Capability;
use crate::fhir::notice::Notice;

/// How often we ask to be told that all is quiet.
pub const HEARTBEAT_SECONDS: u32 = 300;
/// Longest that the EHR should wait for our answer, and most events of one notice.
const TIMEOUT_SECONDS: u32 = 10;
const MAX_EVENTS: u32 = 20;

/// Types whose changes a reminder must follow at once.
const WATCHED: [&str; 2] = ["Appointment", "Patient"];
/// Words by which a topic shows that it is about those.
const ABOUT: [&str; 3] = ["appointment", "patient", "schedul"];

/// What is subscribed to: types where the dialect names types, else topics that the operator names or the server offers.
pub(super) fn names(notices: Notices, named: Option<&[String]>, capability: &Capability) -> Vec<String> {
    match (notices, named) {
        (Notices::Off, _) => Vec::new(),
        (_, Some(named)) => named.to_vec(),
        (Notices::Classic, None) => {
            let readable = WATCHED.into_iter().filter(|kind| capability.can_named(kind, "read"));
            readable.map(str::to_owned).collect()
        }
        (Notices::Backport | Notices::R5 | Notices::Athena, None) => {
            let topics = capability.topics.iter();
            let fits = |topic: &&String| {
                let name = topic.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
                // The patient's whole record, in US Core's feed: much, and no appointment.
                ABOUT.iter().any(|word| name.contains(word)) && name != "patient-data-feed"
            };
            topics.filter(fits).cloned().collect()
        }
    }
}

/// What a subscription is made of.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub notices: Notices,
    /// A type or a topic.
    pub name: &'a str,
    /// Where notices are to come.
    pub endpoint: &'a str,
    /// The bearer of notices, or the key that they are signed with.
    pub key: &'a str,
}

/// The resource that asks for it.
pub fn resource(wanted: Wanted<'_>, connection: &EhrConnection) -> Value {
    const BASE: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/";
    let bearer = format!("Bearer {}", wanted.key);
    let reason = "Reminders that rest on this are brought up to date at once";
    let with = |name: &str, value: (&str, Value)| {
        let mut extension = json!({"url": format!("{BASE}{name}")});
        extension[value.0] = value.1;
        extension
    };
    match wanted.notices {
        Notices::R5 => json!({
            "resourceType": "Subscription", "status": "requested", "reason": reason, "topic": wanted.name,
            "channelType": {"system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type", "code": "rest-hook"},
            "endpoint": wanted.endpoint, "parameter": [{"name": "Authorization", "value": bearer}],
            "heartbeatPeriod": HEARTBEAT_SECONDS, "timeout": TIMEOUT_SECONDS, "contentType": FHIR_JSON,
            "content": "id-only", "maxCount": MAX_EVENTS
        }),
        Notices::Classic | Notices::Off => json!({
            "resourceType": "Subscription", "status": "requested", "reason": reason,
            // Without a filter: one would hide what stops to fit, such as a cancellation.
            "criteria": format!("{}?", wanted.name),
            "channel": {"type": "rest-hook", "endpoint": wanted.endpoint, "header": [format!("Authorization: {bearer}")]}
        }),
        Notices::Backport | Notices::Athena => {
            let mut channel = json!({
                "extension": [
                    with("backport-heartbeat-period", ("valueUnsignedInt", json!(HEARTBEAT_SECONDS))),
                    with("backport-timeout", ("valueUnsignedInt", json!(TIMEOUT_SECONDS))),
                    with("backport-max-count", ("valuePositiveInt", json!(MAX_EVENTS)))
                ],
                "type": "rest-hook", "endpoint": wanted.endpoint, "payload": FHIR_JSON,
                "_payload": {"extension": [with("backport-payload-content", ("valueCode", json!("id-only")))]}
            });
            let mut resource = json!({
                "resourceType": "Subscription", "meta": {"profile": [format!("{BASE}backport-subscription")]},
                "status": "requested", "reason": reason, "criteria": wanted.name
            });
            if wanted.notices == Notices::Backport {
                channel["header"] = json!([format!("Authorization: {bearer}")]);
            } else {
                // Signed instead; and one server speaks for many practices.
                let filters: Vec<Value> = connection
                    .settings
                    .search_parameters
                    .iter()
                    .map(|(name, value)| {
                        with("backport-filter-criteria", ("valueString", json!(format!("{name}={value}"))))
                    })
                    .collect();
                resource["_criteria"] = json!({"extension": filters});
            }
            resource["channel"] = channel;
            resource
        }
    }
}

/// Whether a notice comes from whom the subscription was made with: by the bearer that only the EHR knows, or by its
/// signature over the body as it came.
pub fn is_genuine(notices: Notices, key: &str, authorization: &str, signature: &str, body: &[u8]) -> bool {
    if notices == Notices::Athena {
        let digits = signature.trim().strip_prefix("sha256=").unwrap_or_default();
        let Some(tag) = bytes_of(digits) else { return false };
        return hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), body, &tag).is_ok();
    }
    let bearer = authorization.trim().strip_prefix("Bearer ").unwrap_or_default();
    !bearer.is_empty() && constant_time::verify_slices_are_equal(bearer.as_bytes(), key.as_bytes()).is_ok()
}

fn bytes_of(hexadecimal: &str) -> Option<Vec<u8>> {
    if !hexadecimal.is_ascii() || hexadecimal.is_empty() || !hexadecimal.len().is_multiple_of(2) {
        return None;
    }
    (0..hexadecimal.len()).step_by(2).map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).ok()).collect()
}

/// What the server has of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtServer {
    pub id: String,
    /// `requested`, `active`, `error`, `off`, …
    pub status: String,
    etag: Option<String>,
}

impl FhirClient {
    /// Makes a subscription.
    ///
    /// # Errors
    /// As for any create: after a lost answer it may be there, and [`FhirClient::subscription_to`] finds it.
    pub async fn subscribe(&self, wanted: Wanted<'_>) -> Result<AtServer, EhrError> {
        let mut headers = fhir_headers();
        if wanted.notices == Notices::Athena {
            let mut secret =
                HeaderValue::from_str(wanted.key).map_err(|_| EhrError::NotWritable("a key that fits a header"))?;
            secret.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-hub-secret"), secret);
        }
        let body = resource(wanted, self.connection()).to_string().into_bytes();
        let request = Outgoing { method: Method::POST, url: self.url("Subscription"), headers, body };
        let reply = self.send(request, Repeat::IfNotProcessed).await?;
        if !matches!(reply.status, 200 | 201) {
            return Err(refused(&reply));
        }
        let located = || {
            let path = reply.header(LOCATION)?.split("/_history/").next()?;
            path.rsplit('/').next().filter(|id| !id.is_empty()).map(str::to_owned)
        };
        let known = json_body(&reply).ok().and_then(|body| at_server(&body, &reply));
        let fallback = || located().map(|id| AtServer { id, status: "requested".to_owned(), etag: None });
        known.or_else(fallback).ok_or_else(|| not_fhir(&reply, NotFhir::WrongResource))
    }

    /// The subscription that notifies this address, where the server can be asked for it.
    ///
    /// # Errors
    /// As for any search.
    pub async fn subscription_to(&self, endpoint: &str) -> Result<Option<AtServer>, EhrError> {
        if !self.capability().await?.searches_named("Subscription", "url") {
            return Ok(None);
        }
        let found = self.find(Search::named("Subscription").with("url", endpoint)).await?;
        Ok(found.iter().find_map(|it| {
            let id = it["id"].as_str()?.to_owned();
            Some(AtServer { id, status: it["status"].as_str().unwrap_or("requested").to_owned(), etag: None })
        }))
    }

    /// How the server has it; `None` where it does not know it any more.
    ///
    /// # Errors
    /// As for any read.
    pub async fn subscription(&self, id: &str) -> Result<Option<AtServer>, EhrError> {
        let url = self.url(&format!("Subscription/{id}"));
        let reply = self.send(Outgoing::get(url, FHIR_JSON), Repeat::Freely).await?;
        match reply.status {
            200 => {
                let body = json_body(&reply)?;
                Ok(Some(at_server(&body, &reply).ok_or_else(|| not_fhir(&reply, NotFhir::WrongResource))?))
            }
            404 | 410 => Ok(None),
            _ => Err(refused(&reply)),
        }
    }

    /// Asks the server to try again: it does not by itself.
    ///
    /// # Errors
    /// As for any update.
    pub async fn reactivate(&self, known: &AtServer, wanted: Wanted<'_>) -> Result<(), EhrError> {
        let mut resource = resource(wanted, self.connection());
        resource["id"] = json!(known.id);
        let mut headers = fhir_headers();
        if let Some(etag) = known.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(IF_MATCH, etag);
        }
        let url = self.url(&format!("Subscription/{}", known.id));
        let request = Outgoing { method: Method::PUT, url, headers, body: resource.to_string().into_bytes() };
        let reply = self.send(request, Repeat::Freely).await?;
        if matches!(reply.status, 200 | 201) { Ok(()) } else { Err(refused(&reply)) }
    }

    /// Ends a subscription. One that the server does not know is one that is over.
    ///
    /// # Errors
    /// As for any request.
    pub async fn unsubscribe(&self, id: &str) -> Result<(), EhrError> {
        let url = self.url(&format!("Subscription/{id}"));
        let request = Outgoing { method: Method::DELETE, url, headers: HeaderMap::new(), body: Vec::new() };
        let reply = self.send(request, Repeat::Freely).await?;
        match reply.status {
            200..=299 | 404 | 410 => Ok(()),
            _ => Err(refused(&reply)),
        }
    }

    /// What `$status` says.
    ///
    /// # Errors
    /// As for any request; `WrongResource` where the answer is none.
    pub async fn subscription_status(&self, id: &str) -> Result<Notice, EhrError> {
        self.notice(&format!("Subscription/{id}/$status"), "").await
    }

    /// Events that were missed, both numbers included, as far as the server keeps them.
    ///
    /// # Errors
    /// As for any request; many servers do not offer it.
    pub async fn missed_events(&self, id: &str, from: u64, until: u64) -> Result<Notice, EhrError> {
        let query = format!("eventsSinceNumber={from}&eventsUntilNumber={until}&content=id-only");
        self.notice(&format!("Subscription/{id}/$events"), &query).await
    }

    async fn notice(&self, path: &str, query: &str) -> Result<Notice, EhrError> {
        let mut url = self.url(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let reply = self.send(Outgoing::get(url, FHIR_JSON), Repeat::Freely).await?;
        if reply.status != 200 {
            return Err(refused(&reply));
        }
        Notice::read(&self.body(&reply)?).ok_or_else(|| not_fhir(&reply, NotFhir::WrongResource))
    }
}

fn at_server(body: &Value, reply: &Reply) -> Option<AtServer> {
    if body["resourceType"] != "Subscription" {
        return None;
    }
    let id = body["id"].as_str()?.to_owned();
    let version = || body["meta"]["versionId"].as_str().map(|version| format!("W/\"{version}\""));
    let etag = reply.header(ETAG).map(str::to_owned).or_else(version);
    Some(AtServer { id, status: body["status"].as_str().unwrap_or("requested").to_owned(), etag })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_key_is_genuine() {
        let key = "0123456789abcdef";
        let bearer = |text: &str| is_genuine(Notices::Backport, key, text, "", b"{}");
        assert!(bearer("Bearer 0123456789abcdef"));
        for wrong in ["", "Bearer ", "Bearer 0123456789abcdee", "0123456789abcdef", "Basic 0123456789abcdef"] {
            assert!(!bearer(wrong), "{wrong}");
        }
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), b"{\"a\":1}");
        let tag = crate::clock::hexadecimal(tag.as_ref());
        let signed = |signature: &str, body: &[u8]| is_genuine(Notices::Athena, key, "", signature, body);
        assert!(signed(&format!("sha256={tag}"), b"{\"a\":1}"));
        assert!(!signed(&format!("sha256={tag}"), b"{\"a\":2}"));
        for wrong in ["", "sha256=", "sha256=zz", &tag, "sha256=é"] {
            assert!(!signed(wrong, b"{\"a\":1}"), "{wrong}");
        }
        assert!(!is_genuine(Notices::Athena, key, "Bearer 0123456789abcdef", "", b"{}"));
    }
}
