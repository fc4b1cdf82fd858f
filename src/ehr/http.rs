//! One HTTP exchange: limits, time-outs, no redirects, and errors without query strings. It knows neither FHIR nor
//! tokens.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{Method, Url};

use crate::clock::{Clock, Entropy};

use super::budget::{Budget, Draft, NotAdmitted, Permit, Proof, Sign};
use super::error::{EhrError, Place};
use super::retry::{self, RetryPolicy, Sleeper, http_date};

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub connect_timeout: Duration,
    /// From sending to the last byte of the answer.
    pub timeout: Duration,
    /// Largest answer, after decompression.
    pub max_body_bytes: usize,
    pub retry: RetryPolicy,
    /// Certificates of a hospital's own authority, PEM, in addition to the machine's store.
    pub extra_ca_pem: Option<String>,
    /// A proxy that outgoing calls must take.
    pub proxy: Option<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_mins(2),
            max_body_bytes: 64 * 1024 * 1024,
            retry: RetryPolicy::default(),
            extra_ca_pem: None,
            proxy: None,
        }
    }
}

/// The HTTP side of one connection; clones share the connection pool.
#[derive(Debug, Clone)]
pub struct Transport {
    http: reqwest::Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) sleeper: Arc<dyn Sleeper>,
    pub(super) retry: RetryPolicy,
    budget: Budget,
    timeout: Duration,
    max_body_bytes: usize,
}

/// How a request goes out, besides what it says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    pub proof: Proof,
    /// A repeat of one that did not end well.
    pub is_retry: bool,
    /// It can wait for others.
    pub background: bool,
    /// The body may be longer than memory and takes its time; whoever reads it watches that it goes on.
    pub is_file: bool,
    /// Being told to slow down concerns this request alone: a server that makes one export at a time, or is asked for it too
    /// soon, answers so, and everything else goes on.
    pub own_pace: bool,
}

/// The longest that one file may take to come.
const LONGEST_FILE: Duration = Duration::from_hours(12);

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Outgoing {
    pub fn get(url: Url, accept: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(reqwest::header::ACCEPT, reqwest::header::HeaderValue::from_static(accept));
        Self { method: Method::GET, url, headers, body: Vec::new() }
    }

    pub fn place(&self) -> Place {
        Place::of(&self.method, &self.url)
    }
}

/// When a request went out, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct SentAt {
    wall: DateTime<Utc>,
    monotonic: Instant,
}

impl SentAt {
    /// Time since then. The larger of both clocks counts: the monotonic one does not see a suspended machine, and the
    /// wall clock may be set back.
    pub fn age(&self, now: DateTime<Utc>) -> Duration {
        (now - self.wall).to_std().unwrap_or_default().max(self.monotonic.elapsed())
    }
}

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub place: Place,
    pub sent: SentAt,
    pub received: DateTime<Utc>,
}

impl Reply {
    pub fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type in lower case, without parameters; `(none)` where the header is absent.
    pub fn media_type(&self) -> String {
        let text = self.header(CONTENT_TYPE).unwrap_or("(none)");
        let media_type = text.split(';').next().unwrap_or_default().trim();
        media_type.chars().filter(|letter| !letter.is_control()).take(80).collect::<String>().to_ascii_lowercase()
    }

    /// Whether the body looks like a page for people, whatever its content type says.
    pub fn looks_like_html(&self) -> bool {
        let start = self.body.trim_ascii_start();
        let start = String::from_utf8_lossy(&start[..start.len().min(15)]).to_ascii_lowercase();
        start.starts_with("<!doctype html") || start.starts_with("<html")
    }

    /// How far the server's clock is ahead of ours, from its `Date` header; half a second of it is rounding.
    pub fn skew(&self) -> Option<TimeDelta> {
        Some(http_date(self.header(DATE)?)? - self.received)
    }
}

impl Transport {
    /// # Errors
    /// No CA store, an unreadable extra certificate or proxy address.
    pub fn new(
        settings: &HttpSettings,
        budget: Budget,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sleeper: Arc<dyn Sleeper>,
    ) -> Result<Self, EhrError> {
        let failed = |error: reqwest::Error| EhrError::Client(root_cause(&error));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("Beckon/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .no_proxy();
        if let Some(pem) = &settings.extra_ca_pem {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(failed)?);
        }
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(failed)?);
        }
        let http = builder.build().map_err(failed)?;
        Ok(Self {
            http,
            clock,
            entropy,
            sleeper,
            retry: settings.retry,
            budget,
            timeout: settings.timeout,
            max_body_bytes: settings.max_body_bytes,
        })
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Sends once and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// `Paused`, `NoBudget` and `Unreachable` when nothing was sent; `TimedOut` and `Interrupted` when the server may have
    /// acted; `TooLarge`.
    pub async fn send(&self, request: Outgoing, manner: Manner) -> Result<Reply, EhrError> {
        let mut opened = Box::pin(self.open(request, manner)).await?;
        let mut body = Vec::new();
        while let Some(chunk) = opened.chunk().await? {
            if body.len() + chunk.as_ref().len() > self.max_body_bytes {
                let error = EhrError::TooLarge { place: opened.place.clone(), limit: self.max_body_bytes };
                opened.close(Some(&error)).await;
                return Err(error);
            }
            body.extend_from_slice(chunk.as_ref());
        }
        opened.close(None).await;
        let headers = std::mem::take(&mut opened.headers);
        let (status, place, sent, received) = (opened.status, opened.place.clone(), opened.sent, opened.received);
        Ok(Reply { status, headers, body, place, sent, received })
    }

    /// Sends once, within the budget, and answers with the head of the answer; its body comes chunk by chunk. The place in
    /// the budget is held until [`Opened::close`], or until it is dropped.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub async fn open(&self, request: Outgoing, manner: Manner) -> Result<Opened, EhrError> {
        let place = request.place();
        let permit = self.budget.admit(manner.background).await.map_err(|error| match error {
            NotAdmitted::Paused(it) => {
                EhrError::Paused { place: place.clone(), until: it.until, wait: it.wait, why: it.why }
            }
            NotAdmitted::Store(error) => EhrError::NoBudget { place: place.clone(), reason: error.to_string() },
        })?;
        let draft = self.budget.draft(request.method.as_str(), &request.url, manner.proof, manner.is_retry);
        let sent = SentAt { wall: self.clock.now(), monotonic: Instant::now() };
        let outgoing = self.http.request(request.method, request.url).headers(request.headers);
        let outgoing = if request.body.is_empty() { outgoing } else { outgoing.body(request.body) };
        let outgoing = if manner.is_file { outgoing.timeout(LONGEST_FILE) } else { outgoing };
        let answered = self.budget.keeping(outgoing.send()).await.map_err(|error| self.failure(&place, &error));
        let mut response = match answered {
            Ok(response) => response,
            Err(error) => {
                self.budget.hear(Sign::of_error(&error), None).await;
                drop(permit);
                self.budget.note(draft.end(None, 0, Some(&error))).await;
                return Err(error);
            }
        };
        let received = self.clock.now();
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let asked = matches!(status, 429 | 503).then(|| retry::retry_after(&headers, received)).flatten();
        if !(manner.own_pace && status == 429) {
            self.budget.hear(Sign::of_status(status), asked).await;
        }
        Ok(Opened {
            status,
            headers,
            place,
            sent,
            received,
            response,
            transport: self.clone(),
            bytes: 0,
            under_way: Some((draft, permit)),
        })
    }

    /// Sends a request that may be repeated, until the answer is final or patience is used up.
    ///
    /// # Errors
    /// As [`Transport::send`]; a transient status of the last try is an answer, not an error.
    pub async fn send_repeatable(&self, request: Outgoing) -> Result<Reply, EhrError> {
        let mut next = 2;
        loop {
            let manner = Manner { is_retry: next > 2, ..Manner::default() };
            let result = self.send(request.clone(), manner).await;
            let asked = match &result {
                Ok(reply) if retry::is_transient(reply.status) => retry::retry_after(&reply.headers, reply.received),
                Err(error) if error.may_repeat() => None,
                _ => return result,
            };
            let Some(wait) = self.retry.wait(next, asked, &*self.entropy) else { return result };
            self.sleeper.sleep(wait).await;
            next += 1;
        }
    }

    fn failure(&self, place: &Place, error: &reqwest::Error) -> EhrError {
        let place = place.clone();
        if error.is_connect() {
            EhrError::Unreachable { place, reason: root_cause(error) }
        } else if error.is_timeout() {
            EhrError::TimedOut { place, after: self.timeout }
        } else {
            EhrError::Interrupted { place, reason: root_cause(error) }
        }
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub struct Opened {
    pub status: u16,
    pub headers: HeaderMap,
    pub place: Place,
    pub sent: SentAt,
    pub received: DateTime<Utc>,
    response: reqwest::Response,
    transport: Transport,
    bytes: usize,
    /// Until it is closed.
    under_way: Option<(Draft, Permit)>,
}

impl Opened {
    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// `TimedOut` or `Interrupted`.
    pub async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, EhrError> {
        let next = self.transport.budget.keeping(self.response.chunk()).await;
        match next {
            Ok(chunk) => {
                self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len());
                Ok(chunk)
            }
            Err(error) => {
                let error = self.transport.failure(&self.place, &error);
                self.transport.budget.hear(Sign::of_error(&error), None).await;
                self.close(Some(&error)).await;
                Err(error)
            }
        }
    }

    /// Gives the place back and notes how it went. The place is free before the note is written.
    pub async fn close(&mut self, error: Option<&EhrError>) {
        let Some((draft, permit)) = self.under_way.take() else { return };
        drop(permit);
        self.transport.budget.note(draft.end(Some(self.status), self.bytes, error)).await;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some((draft, _permit)) = self.under_way.take() {
            let error = EhrError::Interrupted { place: self.place.clone(), reason: String::new() };
            self.transport.budget.note_in_passing(draft.end(Some(self.status), self.bytes, Some(&error)));
        }
    }
}

/// The innermost cause: the outer ones repeat the URL with its query.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut words = None;
    while let Some(inner) = cause {
        words = Some(inner.to_string());
        cause = inner.source();
    }
    words.unwrap_or_else(|| "no further reason".to_owned())
}
