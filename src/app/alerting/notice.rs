//! How people are told: a mail to one address, and a webhook whose body is signed.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::super::AppError;
use crate::channels::OutboundEmail;
use crate::clock::hexadecimal;
use crate::config::Settings;
use crate::domain::{Alert, EmailAddress, Outcome, Phi, TenantId};
use crate::outbox::Providers;

/// Carries the signature of the body: `sha256=` and its HMAC-SHA-256 under `alerts.webhook_secret`, hexadecimal.
const SIGNATURE: &str = "X-Beckon-Signature";

/// A way out of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Email,
    Webhook,
}

impl Way {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Webhook => "webhook",
        }
    }
}

/// Why a notice did not get through.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("alerts.email is not an address")]
    Address,
    #[error("there is no mail relay; add a section [smtp]")]
    NoRelay,
    #[error("the mail relay did not take it ({0})")]
    Mail(String),
    #[error("the webhook answered with status {0}")]
    Status(u16),
    #[error("the webhook cannot be reached ({0})")]
    Unreachable(&'static str),
}

/// The ways that the settings name.
#[derive(Debug)]
pub(super) struct Notices {
    settings: Arc<Settings>,
    providers: Arc<Providers>,
    tenant: TenantId,
    http: reqwest::Client,
}

impl Notices {
    pub(super) fn new(settings: Arc<Settings>, providers: Arc<Providers>, tenant: TenantId) -> Result<Self, AppError> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("beckon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| AppError::Web(error.without_url().to_string()))?;
        Ok(Self { settings, providers, tenant, http })
    }

    pub(super) fn ways(&self) -> Vec<Way> {
        let alerts = &self.settings.alerts;
        let email = alerts.email.is_some().then_some(Way::Email);
        let webhook = (alerts.webhook_url.is_some() && alerts.webhook_secret.is_some()).then_some(Way::Webhook);
        email.into_iter().chain(webhook).collect()
    }

    pub(super) async fn send(&self, way: Way, alerts: &[&Alert], now: DateTime<Utc>) -> Result<(), Problem> {
        match way {
            Way::Email => self.mail(alerts, now).await,
            Way::Webhook => self.post(alerts, now).await,
        }
    }

    async fn mail(&self, alerts: &[&Alert], now: DateTime<Utc>) -> Result<(), Problem> {
        let to = self.settings.alerts.email.as_deref().unwrap_or_default();
        let to = EmailAddress::parse(to).map_err(|_| Problem::Address)?;
        let relay = self.providers.email.as_ref().ok_or(Problem::NoRelay)?;
        let subject = match alerts {
            [one] => format!("Beckon needs you: {} ({})", title(one), one.subject),
            many => format!("Beckon needs you: {} alerts", many.len()),
        };
        let mut text = format!("{}, tenant {}\n\n", self.settings.organisation.name, self.tenant);
        for alert in alerts {
            let since = alert.opened_at.format("%Y-%m-%d %H:%M UTC");
            text.push_str(&format!("{} ({}), since {since}\n{}\n\n", title(alert), alert.subject, alert.words));
        }
        text.push_str(&format!("To see and acknowledge: {}/worklist\n", self.settings.server.public_url));
        let domain = self.settings.server.public_url.split("//").last().unwrap_or("beckon.invalid");
        let domain = domain.split([':', '/']).next().unwrap_or("beckon.invalid");
        let newest = alerts.iter().map(|alert| alert.id.to_string()).max().unwrap_or_default();
        let outcome = relay
            .send(&OutboundEmail {
                to: &to,
                subject: &Phi::new(subject),
                text: &Phi::new(text),
                html: None,
                message_id: &format!("<alert-{newest}-{}@{domain}>", now.timestamp()),
                list_unsubscribe: None,
                envelope_from: None,
                date: now,
            })
            .await;
        match outcome {
            Outcome::Accepted { .. } => Ok(()),
            Outcome::Retry { code, .. } | Outcome::Reject { code, .. } | Outcome::Unknown { code } => {
                Err(Problem::Mail(code))
            }
        }
    }

    async fn post(&self, alerts: &[&Alert], now: DateTime<Utc>) -> Result<(), Problem> {
        let settings = &self.settings.alerts;
        let (Some(url), Some(secret)) = (&settings.webhook_url, &settings.webhook_secret) else {
            return Err(Problem::Unreachable("it is not set up"));
        };
        let body = body(&self.settings, &self.tenant, alerts, now).to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let signature = hexadecimal(hmac::sign(&key, body.as_bytes()).as_ref());
        let answer = self
            .http
            .post(url)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE, format!("sha256={signature}"))
            .body(body)
            .send()
            .await
            .map_err(|error| {
                Problem::Unreachable(if error.is_timeout() { "no answer in time" } else { "connection" })
            })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Problem::Status(status.as_u16())),
        }
    }
}

fn body(settings: &Settings, tenant: &TenantId, alerts: &[&Alert], now: DateTime<Utc>) -> Value {
    let alerts: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            json!({
                "id": alert.id, "kind": alert.kind, "subject": alert.subject, "words": alert.words,
                "opened_at": alert.opened_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            })
        })
        .collect();
    json!({
        "organisation": settings.organisation.name,
        "tenant": tenant,
        "sent_at": now.to_rfc3339_opts(SecondsFormat::Secs, true),
        "worklist": format!("{}/worklist", settings.server.public_url),
        "alerts": alerts,
    })
}

/// The kind as a heading: `pull overdue`.
fn title(alert: &Alert) -> String {
    alert.kind.as_str().replace('_', " ")
}
