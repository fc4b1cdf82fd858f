//! Text messages over the Twilio API and those that are compatible with it.
//!
//! The API knows no idempotency key: a request whose answer is lost may have been carried out. Such an attempt is
//! `Unknown` and is looked up, never repeated blindly.

mod codes;
mod segments;
mod signature;
mod webhook;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub use codes::{Meaning, meaning};
pub use segments::{Encoding, Segments, plain_punctuation, segments};
pub use signature::{verify_body_signature, verify_signature};
pub use webhook::{InboundSms, StatusReport};

use super::error::ChannelError;
use crate::config;
use crate::domain::{AttemptState, Outcome, Phi, PhoneNumber, Rejection};

/// The provider's limit on a body (error 21617).
const LONGEST_BODY: usize = 1600;
/// Seconds that a text may wait at the provider.
const VALIDITY: std::ops::RangeInclusive<u32> = 1..=36_000;
const PROVIDER: &str = "SMS provider";

/// One text to one number.
#[derive(Debug)]
pub struct OutboundSms<'a> {
    pub to: &'a PhoneNumber,
    pub body: &'a Phi<String>,
    /// Absolute address for reports.
    pub status_callback: Option<&'a str>,
    /// How long it may wait at the provider; a reminder that is delivered hours late is wrong.
    pub validity_seconds: u32,
}

/// A text as the provider remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsRecord {
    pub sid: String,
    pub state: AttemptState,
    pub code: Option<String>,
    pub body: Phi<String>,
    pub created: DateTime<Utc>,
}

/// One account at the provider.
pub struct SmsChannel {
    client: reqwest::Client,
    /// Up to and with the account.
    account_url: url::Url,
    account_sid: String,
    user: String,
    secret: SecretString,
    webhook_tokens: Vec<SecretString>,
    from: Option<String>,
    messaging_service: Option<String>,
    region: String,
}

impl std::fmt::Debug for SmsChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmsChannel").field("account_url", &self.account_url.as_str()).finish_non_exhaustive()
    }
}

impl SmsChannel {
    /// Fails on an address that is no URL, on plain HTTP to another machine, and where there is no sender.
    pub fn new(settings: &config::Sms) -> Result<Self, ChannelError> {
        let base = url::Url::parse(&settings.base_url)
            .map_err(|error| ChannelError::settings("sms.base_url", error.to_string()))?;
        let loopback = match base.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if base.scheme() != "https" && !(base.scheme() == "http" && loopback) {
            return Err(ChannelError::settings("sms.base_url", "must be https: texts and credentials travel on it"));
        }
        if settings.from.is_none() && settings.messaging_service.is_none() {
            return Err(ChannelError::settings("sms.from", "nothing says who sends"));
        }
        let mut account_url = base;
        account_url
            .path_segments_mut()
            .map_err(|()| ChannelError::settings("sms.base_url", "cannot be extended by a path"))?
            .pop_if_empty()
            .extend(["2010-04-01", "Accounts", &settings.account_sid]);
        let timeout = Duration::from_secs(settings.timeout_seconds);
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .min_tls_version(reqwest::tls::Version::TLS_1_2)
            .user_agent(concat!("beckon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ChannelError::Trust(error.without_url().to_string()))?;
        Ok(Self {
            client,
            account_url,
            account_sid: settings.account_sid.clone(),
            user: settings.api_key.clone().unwrap_or_else(|| settings.account_sid.clone()),
            secret: settings.secret.clone(),
            webhook_tokens: settings.webhook_tokens.clone(),
            from: settings.from.clone(),
            messaging_service: settings.messaging_service.clone(),
            region: settings.region.clone(),
        })
    }

    /// Hands one text to the provider. Never repeats a request by itself.
    pub async fn send(&self, sms: &OutboundSms<'_>) -> Outcome {
        let body = sms.body.expose();
        if body.is_empty() || body.chars().count() > LONGEST_BODY {
            return Outcome::Reject { code: "21617".to_owned(), because: Rejection::Message };
        }
        let validity = sms.validity_seconds.clamp(*VALIDITY.start(), *VALIDITY.end()).to_string();
        let mut form = vec![("To", sms.to.expose()), ("Body", body.as_str()), ("ValidityPeriod", validity.as_str())];
        // A messaging service chooses among its own numbers; a From beside it pins one of them.
        form.extend(self.messaging_service.as_deref().map(|service| ("MessagingServiceSid", service)));
        form.extend(self.from.as_deref().map(|from| ("From", from)));
        form.extend(sms.status_callback.map(|url| ("StatusCallback", url)));
        let request = self
            .client
            .post(self.url("Messages.json"))
            .basic_auth(&self.user, Some(self.secret.expose_secret()))
            .form(&form);
        match request.send().await {
            Ok(response) => self.outcome(response).await,
            // Without a connection nothing went out; whatever happens later may have come through.
            Err(error) if error.is_connect() => Outcome::Retry { after: None, code: "connect".to_owned() },
            Err(error) if error.is_builder() => {
                Outcome::Reject { code: "request".to_owned(), because: Rejection::Message }
            }
            Err(error) if error.is_timeout() => Outcome::Unknown { code: "timeout".to_owned() },
            Err(_) => Outcome::Unknown { code: "connection_lost".to_owned() },
        }
    }

    async fn outcome(&self, response: reqwest::Response) -> Outcome {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body: Option<Value> = response.bytes().await.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let number = |key: &str| {
            let field = body.as_ref()?.get(key)?;
            field.as_u64().or_else(|| field.as_str()?.parse().ok()).and_then(|code| u32::try_from(code).ok())
        };
        let text = |key: &str| body.as_ref()?.get(key)?.as_str();
        if status.is_success() {
            let Some(sid) = text("sid").filter(|sid| !sid.is_empty()) else {
                return Outcome::Unknown { code: "unreadable_answer".to_owned() };
            };
            // No report follows on the first status, so a text that failed at once must be settled here.
            return match text("status").and_then(|word| webhook::state(word, number("error_code"))) {
                Some(AttemptState::Failed | AttemptState::Expired) => codes::outcome(number("error_code").unwrap_or(0)),
                _ => Outcome::Accepted { provider_ref: sid.to_owned(), protection: self.protection() },
            };
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Outcome::Retry { after: retry_after.or(Some(TimeDelta::seconds(60))), code: "429".to_owned() };
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Outcome::Unknown { code: format!("http_{}", status.as_u16()) };
        }
        if let Some(code) = number("code") {
            return codes::outcome(code);
        }
        // Redirects, 401 and 404 without a body of the API: we are talking to the wrong address or as nobody.
        let because = match status.as_u16() {
            300..=399 | 401 | 403 | 404 => Rejection::Sender,
            _ => Rejection::Message,
        };
        Outcome::Reject { code: format!("http_{}", status.as_u16()), because }
    }

    /// Texts to this number that were created at or after `since`, newest first: how an attempt with unknown outcome is
    /// reconciled. Compare bodies; the same body to the same number within the window is the attempt.
    pub async fn look_up(&self, to: &PhoneNumber, since: DateTime<Utc>) -> Result<Vec<SmsRecord>, ChannelError> {
        let mut query = vec![("To", to.expose()), ("PageSize", "100")];
        // A messaging service picks the sender, so it is no part of the question then.
        if self.messaging_service.is_none() {
            query.extend(self.from.as_deref().map(|from| ("From", from)));
        }
        let response = self
            .client
            .get(self.url("Messages.json"))
            .basic_auth(&self.user, Some(self.secret.expose_secret()))
            .query(&query)
            .send()
            .await
            .map_err(|error| ChannelError::Unreachable {
                provider: PROVIDER,
                code: if error.is_timeout() { "timeout" } else { "connection" }.to_owned(),
            })?;
        let status = response.status();
        if !status.is_success() {
            return Err(ChannelError::Refused { provider: PROVIDER, code: format!("http_{}", status.as_u16()) });
        }
        let unreadable = || ChannelError::Unreadable { provider: PROVIDER };
        let bytes = response.bytes().await.map_err(|_| unreadable())?;
        let body: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        let messages = body.get("messages").and_then(Value::as_array).ok_or_else(unreadable)?;
        // One that cannot be read might be the one that is looked for: then the answer is not known.
        // The provider's own answers to STOP and HELP stand in the same log.
        let ours = messages.iter().filter(|message| message["direction"] != "outbound-reply");
        let records: Option<Vec<SmsRecord>> = ours.map(record).collect();
        Ok(records.ok_or_else(unreadable)?.into_iter().filter(|record| record.created >= since).collect())
    }

    /// Whether a form POST to `url` (as it was given to the provider) comes from the provider.
    pub fn is_genuine(&self, url: &str, form: &[(String, String)], signature: &str) -> bool {
        verify_signature(url, form, signature, &self.webhook_tokens)
    }

    /// Reads a status report. Reports come twice and out of order; `AttemptState::advance` puts them right.
    pub fn status_report(&self, form: &[(String, String)]) -> Result<StatusReport, ChannelError> {
        self.same_account(form)?;
        webhook::status_report(form)
    }

    /// Reads a text from a patient.
    pub fn inbound(&self, form: &[(String, String)]) -> Result<InboundSms, ChannelError> {
        self.same_account(form)?;
        webhook::inbound(form, &self.region)
    }

    fn same_account(&self, form: &[(String, String)]) -> Result<(), ChannelError> {
        match webhook::find(form, "AccountSid") {
            Some(account) if account != self.account_sid => Err(ChannelError::Unknown("AccountSid")),
            _ => Ok(()),
        }
    }

    fn url(&self, resource: &str) -> url::Url {
        let mut url = self.account_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(resource);
        }
        url
    }

    fn protection(&self) -> Option<String> {
        Some(if self.account_url.scheme() == "https" { "TLS 1.2 or better" } else { "loopback" }.to_owned())
    }
}

fn record(message: &Value) -> Option<SmsRecord> {
    let text = |key: &str| message.get(key)?.as_str();
    let code = message.get("error_code").and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
    Some(SmsRecord {
        sid: text("sid")?.to_owned(),
        state: webhook::state(text("status")?, code)?,
        code: code.map(|code| code.to_string()),
        body: Phi::new(text("body")?.to_owned()),
        created: DateTime::parse_from_rfc2822(text("date_created")?).ok()?.to_utc(),
    })
}

/// Delta seconds only: a date would need our clock to agree with theirs. At most an hour is believed.
fn retry_after(headers: &header::HeaderMap) -> Option<TimeDelta> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(TimeDelta::seconds(i64::from(seconds.min(3600))))
}
