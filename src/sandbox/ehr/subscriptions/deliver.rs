//! Delivery: handshakes, events, heartbeats. What cannot be delivered is tried again, or ends the subscription, as the
//! vendor does it.

use std::time::Duration;

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::bundles::{Told, notification};
use super::checks::{dialect, endpoint, extension, topic};
use super::manner::{Subscribing, SubscriptionManner};
use super::state::{Hook, HookEvent};
use crate::clock::hexadecimal;
use crate::sandbox::ehr::server::Ehr;
use crate::sandbox::faults::FaultKind;

/// Delivers everything that is due; answers how many notices were taken.
pub async fn deliver(ehr: &Ehr, http: &reqwest::Client) -> usize {
    let Some(manner) = &ehr.personality.subscriptions else { return 0 };
    if ehr.hooks.lock().1.is_empty() {
        return 0;
    }
    note_changes(ehr, manner);
    let mut taken = 0;
    let all: Vec<Value> = ehr.archive.filter("Subscription", |_| true).iter().map(|it| it.body().clone()).collect();
    for resource in all {
        let Some(dialect) = dialect(ehr, &resource) else { continue };
        let post = Post { ehr, http, manner, resource: &resource, dialect };
        taken += post.all().await;
    }
    taken
}

/// Sorts what changed since the last look to the subscriptions that are about it.
fn note_changes(ehr: &Ehr, manner: &SubscriptionManner) {
    let mut state = ehr.hooks.lock();
    let (known, hooks) = &mut *state;
    let (count, changes) = ehr.archive.changes_after(*known);
    *known = count;
    for subscription in ehr.archive.filter("Subscription", |it| it["status"] == "active") {
        let (resource, id) = (subscription.body(), subscription.id());
        let (Some(dialect), Some(hook)) = (dialect(ehr, resource), hooks.get_mut(id)) else { continue };
        for change in changes.iter().filter(|change| change.kind != "Subscription") {
            let of_topic = || {
                let after = change.after.as_ref().unwrap_or(&Value::Null);
                let mut topics = manner.topics.iter().filter(|it| it.url == topic(resource));
                topics.any(|it| it.fits(&change.kind, change.before.as_ref(), after))
            };
            let of_search = || {
                let criteria = resource["criteria"].as_str().unwrap_or_default();
                // Nothing is told of what is gone.
                criteria.split('?').next() == Some(change.kind.as_str()) && change.after.is_some()
            };
            if if dialect == Subscribing::Classic { of_search() } else { of_topic() } {
                hook.count += 1;
                let event = HookEvent {
                    number: hook.count,
                    kind: change.kind.clone(),
                    id: change.id.clone(),
                    at: change.at,
                    gone: change.after.is_none(),
                };
                hook.events.push_back(event.clone());
                while hook.events.len() > manner.kept_events.max(1) {
                    hook.events.pop_front();
                }
                hook.waiting.push_back((event, None));
            }
        }
    }
}

struct Post<'a> {
    ehr: &'a Ehr,
    http: &'a reqwest::Client,
    manner: &'a SubscriptionManner,
    resource: &'a Value,
    dialect: Subscribing,
}

impl Post<'_> {
    fn id(&self) -> &str {
        self.resource["id"].as_str().unwrap_or_default()
    }

    async fn all(&self) -> usize {
        let now = self.ehr.clock.now();
        match self.resource["status"].as_str() {
            Some("requested") => usize::from(self.shake_hands(now).await),
            Some("active") => self.events(now).await + usize::from(self.heartbeat(now).await),
            _ => 0,
        }
    }

    async fn shake_hands(&self, now: DateTime<Utc>) -> bool {
        if self.dialect == Subscribing::Classic {
            self.set_status("active", None);
            return false;
        }
        let shaken = self.post("handshake", &[]).await;
        if shaken {
            self.sent(now);
            self.set_status("active", None);
        } else {
            self.set_status("error", Some("the endpoint did not take the handshake"));
        }
        shaken
    }

    async fn events(&self, now: DateTime<Utc>) -> usize {
        let mut taken = 0;
        loop {
            let next = self.with(|hook| hook.waiting.pop_front());
            let Some((event, first)) = next.flatten() else { break };
            if self.strikes(&FaultKind::NoticeLost) {
                continue;
            }
            if self.strikes(&FaultKind::NoticeOvertaken) {
                self.with(|hook| hook.overtaken = Some(event));
                continue;
            }
            let mut posts = vec![event.clone()];
            posts.extend(self.with(|hook| hook.overtaken.take()).flatten());
            if self.strikes(&FaultKind::NoticeTwice) {
                posts.push(event.clone());
            }
            for event in posts {
                if self.post("event-notification", std::slice::from_ref(&event)).await {
                    taken += 1;
                    self.sent(now);
                    continue;
                }
                let first = first.unwrap_or(now);
                if now - first < TimeDelta::minutes(self.manner.retry_minutes) {
                    self.with(|hook| hook.waiting.push_front((event, Some(first))));
                    return taken;
                }
                if self.manner.retry_minutes == 0 {
                    self.set_status("error", Some("a notice could not be delivered"));
                    return taken;
                }
            }
        }
        taken
    }

    async fn heartbeat(&self, now: DateTime<Utc>) -> bool {
        let period = self.resource["heartbeatPeriod"]
            .as_i64()
            .or_else(|| extension(&self.resource["channel"], "backport-heartbeat-period").and_then(Value::as_i64));
        let Some(period) = period.filter(|period| *period > 0) else { return false };
        let last = self.with(|hook| hook.last_sent).flatten();
        if last.is_some_and(|last| now - last < TimeDelta::seconds(period)) {
            return false;
        }
        if self.strikes(&FaultKind::HeartbeatMissing) {
            self.sent(now);
            return false;
        }
        let heard = self.post("heartbeat", &[]).await;
        self.sent(now);
        heard
    }

    fn strikes(&self, kind: &FaultKind) -> bool {
        self.ehr.faults.strikes("POST", "/fhir/Subscription", kind)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Hook) -> T) -> Option<T> {
        self.ehr.hooks.lock().1.get_mut(self.id()).map(act)
    }

    fn sent(&self, now: DateTime<Utc>) {
        self.with(|hook| hook.last_sent = Some(now));
    }

    fn set_status(&self, status: &str, error: Option<&str>) {
        let mut resource = self.resource.clone();
        resource["status"] = json!(status);
        if let Some(fields) = resource.as_object_mut() {
            fields.remove("error");
        }
        if let Some(error) = error {
            resource["error"] = json!(error);
        }
        // Nobody else writes it at this instant.
        let _stored = self.ehr.archive.put("Subscription", self.id(), resource, None);
    }

    /// Posts one notice; whether it was taken in time.
    async fn post(&self, kind: &str, events: &[HookEvent]) -> bool {
        let url = endpoint(self.resource);
        let (count, secret) = self.with(|hook| (hook.count, hook.secret.clone())).unwrap_or_default();
        let body = if self.dialect == Subscribing::Classic {
            String::new()
        } else {
            let told = Told {
                dialect: self.dialect,
                subscription: self.id(),
                topic: topic(self.resource),
                status: self.resource["status"].as_str().unwrap_or_default(),
                kind,
                count: events.last().map_or(count, |event| event.number.max(1)),
                events,
            };
            notification(self.ehr, &told).to_string()
        };
        let mut request = match (self.dialect, events.first()) {
            // HAPI: an empty POST where no payload is asked for, else a PUT below the endpoint.
            (Subscribing::Classic, Some(event)) if self.resource["channel"]["payload"].is_string() => {
                self.http.put(format!("{url}/{}/{}", event.kind, event.id))
            }
            _ => self.http.post(url),
        };
        let headers = self.resource["channel"]["header"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for (name, value) in headers.filter_map(|header| header.split_once(':')) {
            request = request.header(name.trim(), value.trim());
        }
        for parameter in self.resource["parameter"].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (parameter["name"].as_str(), parameter["value"].as_str()) {
                request = request.header(name, value);
            }
        }
        if let Some(secret) = secret.filter(|_| self.dialect == Subscribing::Athena) {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes());
            request = request.header("x-hub-signature", format!("sha256={}", hexadecimal(tag.as_ref())));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/fhir+json").body(body);
        }
        let request = request.timeout(Duration::from_millis(self.manner.patience_millis));
        match request.send().await {
            Ok(reply) => reply.status().is_success(),
            Err(error) => {
                tracing::warn!(error = %error.without_url(), "the simulated EHR could not deliver a notice");
                false
            }
        }
    }
}
