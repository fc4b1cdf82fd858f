//! The FHIR client of one connection: every request carries the token, stays on the connection's origin and within its
//! budget, and ends in an answer or in an error that says where and why. What is asked for is in `search`, `read` and
//! `write`.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::clock::{Clock, Entropy};
use crate::domain::ResourceKey;
use crate::fhir::capability::Capability;
use crate::fhir::operation_outcome::OperationOutcome;
use crate::fhir::reference::localize;
use crate::store::Store;

use super::budget::{Budget, Proof, Shared, Usage};
use super::connection::EhrConnection;
use super::discovery::{Discovery, not_json};
use super::error::{EhrError, NotFhir, Refusal};
use super::http::{Manner, Opened, Outgoing, Reply, Transport};
use super::keys::KeyRing;
use super::plan::CapabilityPlan;
use super::retry::{self, Sleeper};
use super::token::{AccessToken, TokenSource};

pub(super) const FHIR_JSON: &str = "application/fhir+json";

/// How long a CapabilityStatement is believed.
const KEEP_CAPABILITY: TimeDelta = TimeDelta::hours(24);

const MAX_REDIRECTS: usize = 3;

/// The client of one connection; clones share token, budget and connections. The second part: its calls can wait.
#[derive(Debug, Clone)]
pub struct FhirClient(Arc<Inner>, bool);

#[derive(Debug)]
struct Inner {
    ehr: Arc<EhrConnection>,
    transport: Transport,
    discovery: Arc<Discovery>,
    tokens: TokenSource,
    capability: Mutex<Option<(DateTime<Utc>, Arc<Capability>)>>,
}

/// Whether a request may be sent again when nobody knows what became of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Reading: always.
    Freely,
    /// A conditional create: where the server answered that it failed.
    IfItFailed,
    /// Writing: only where the server cannot have acted.
    IfNotProcessed,
    /// The caller itself knows when to ask again, and what being told to wait means.
    Never,
}

impl Repeat {
    const fn after_status(self, status: u16) -> bool {
        match self {
            Self::Freely => retry::is_transient(status),
            // A gateway's 502 or 504 says nothing about the server behind it.
            Self::IfItFailed => matches!(status, 408 | 425 | 429 | 500 | 503),
            Self::IfNotProcessed => matches!(status, 408 | 425 | 429),
            Self::Never => false,
        }
    }

    fn after_error(self, error: &EhrError) -> bool {
        match self {
            Self::Freely => error.may_repeat(),
            Self::IfItFailed | Self::IfNotProcessed => matches!(error, EhrError::Unreachable { .. }),
            Self::Never => false,
        }
    }
}

/// Where a GET ended.
pub(super) enum Arrived {
    Reply(Reply),
    /// The server redirected from the resource asked for to another one of its type: a merge.
    Moved(ResourceKey),
}

impl FhirClient {
    /// # Errors
    /// The HTTP client cannot be built (no CA store, unreadable certificate or proxy).
    pub fn new(
        ehr: EhrConnection,
        keys: KeyRing,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sleeper: Arc<dyn Sleeper>,
    ) -> Result<Self, EhrError> {
        let ehr = Arc::new(ehr);
        let budget = Budget::new(&ehr, None, Arc::clone(&clock), Arc::clone(&entropy), Arc::clone(&sleeper));
        Self::with_budget(ehr, keys, budget, clock, entropy, sleeper)
    }

    /// As [`FhirClient::new`]; budget and ledger are shared with all replicas through the store, whose clock and randomness
    /// it takes.
    ///
    /// # Errors
    /// As [`FhirClient::new`].
    pub fn shared(
        ehr: EhrConnection,
        keys: KeyRing,
        store: &Store,
        sleeper: Arc<dyn Sleeper>,
    ) -> Result<Self, EhrError> {
        let (clock, entropy) = (Arc::clone(store.clock()), Arc::clone(store.entropy()));
        let shared = Shared { store: store.clone(), tenant: ehr.tenant.clone(), ehr: ehr.id.clone() };
        let budget = Budget::new(&ehr, Some(shared), Arc::clone(&clock), Arc::clone(&entropy), Arc::clone(&sleeper));
        Self::with_budget(Arc::new(ehr), keys, budget, clock, entropy, sleeper)
    }

    fn with_budget(
        ehr: Arc<EhrConnection>,
        keys: KeyRing,
        budget: Budget,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        sleeper: Arc<dyn Sleeper>,
    ) -> Result<Self, EhrError> {
        let transport = Transport::new(&ehr.settings.http(), budget, clock, entropy, sleeper)?;
        let discovery = Arc::new(Discovery::new(Arc::clone(&ehr), transport.clone()));
        let tokens = TokenSource::new(Arc::clone(&ehr), transport.clone(), Arc::clone(&discovery), keys);
        Ok(Self(Arc::new(Inner { ehr, transport, discovery, tokens, capability: Mutex::default() }), false))
    }

    /// The same client for work that can wait: at busy hours, and when the calls of the day run low, what is read right
    /// before a message is sent goes first.
    pub fn in_background(&self) -> Self {
        Self(Arc::clone(&self.0), true)
    }

    /// Writes what the ledger of requests has not written yet.
    pub async fn flush_ledger(&self) {
        self.0.transport.budget().flush().await;
    }

    pub fn connection(&self) -> &EhrConnection {
        &self.0.ehr
    }

    pub fn discovery(&self) -> &Discovery {
        &self.0.discovery
    }

    pub fn tokens(&self) -> &TokenSource {
        &self.0.tokens
    }

    /// The clock that everything of this connection goes by.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.0.transport.now()
    }

    pub fn usage(&self) -> Usage {
        self.0.transport.budget().usage()
    }

    /// The server's CapabilityStatement, from memory if it is younger than a day.
    ///
    /// # Errors
    /// As for any read; also where the answer is no CapabilityStatement of a server.
    pub async fn capability(&self) -> Result<Arc<Capability>, EhrError> {
        let mut cached = self.0.capability.lock().await;
        let now = self.0.transport.now();
        if let Some((_, known)) = cached.as_ref().filter(|(at, _)| now - *at < KEEP_CAPABILITY) {
            return Ok(Arc::clone(known));
        }
        let request = Outgoing::get(self.0.ehr.base_url.join("metadata"), FHIR_JSON);
        // Open by the book; some hospitals close it all the same.
        let mut reply = self.0.transport.send_repeatable(request.clone()).await?;
        if matches!(reply.status, 401 | 403) {
            reply = self.send(request, Repeat::Freely).await?;
        }
        if reply.status != 200 {
            return Err(refused(&reply));
        }
        let statement = json_body(&reply)?;
        let capability = Capability::read(&statement).map_err(|_| not_fhir(&reply, NotFhir::WrongResource))?;
        let capability = Arc::new(capability);
        *cached = Some((now, Arc::clone(&capability)));
        Ok(capability)
    }

    /// How this server is to be asked and written to.
    ///
    /// # Errors
    /// The CapabilityStatement cannot be had; a vendor profile alone is not enough to act on.
    pub async fn plan(&self) -> Result<CapabilityPlan, EhrError> {
        Ok(CapabilityPlan::derive(&self.0.ehr, &*self.capability().await?))
    }

    /// The JSON body of an answer, with references to this server made relative.
    pub(super) fn body(&self, reply: &Reply) -> Result<Value, EhrError> {
        let mut body = json_body(reply)?;
        localize(&mut body, self.0.ehr.base_url.as_str());
        Ok(body)
    }

    pub(super) fn url(&self, path: &str) -> Url {
        self.0.ehr.base_url.join(path)
    }

    /// GETs, following redirects on this origin only.
    pub(super) async fn get(
        &self,
        url: Url,
        headers: &HeaderMap,
        asked: Option<&ResourceKey>,
    ) -> Result<Arrived, EhrError> {
        let mut request = Outgoing { headers: headers.clone(), ..Outgoing::get(url, FHIR_JSON) };
        request.headers.insert(ACCEPT, HeaderValue::from_static(FHIR_JSON));
        // Some servers answer a repeated search from a cache of a minute ago.
        request.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        for _ in 0..=MAX_REDIRECTS {
            let reply = self.send(request.clone(), Repeat::Freely).await?;
            if !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Arrived::Reply(reply));
            }
            let bad_link = || EhrError::BadLink { place: reply.place.clone(), what: "the redirect" };
            let target = reply.header(LOCATION).ok_or_else(bad_link)?;
            let target = request.url.join(target).map_err(|_| bad_link())?;
            self.same_origin(&reply, &target, "a redirect")?;
            let key = ResourceKey::from_reference(target.path());
            if let (Some(key), Some(asked)) = (key, asked)
                && key.resource_type == asked.resource_type
                && key.id != asked.id
            {
                return Ok(Arrived::Moved(key));
            }
            request.url = target;
        }
        Err(EhrError::BadLink { place: request.place(), what: "the chain of redirects" })
    }

    /// Refuses a link that leads off the connection's origin: the token would go with it.
    pub(super) fn same_origin(&self, reply: &Reply, target: &Url, what: &'static str) -> Result<(), EhrError> {
        let base = &self.0.ehr.base_url;
        if base.is_same_origin(target) {
            return Ok(());
        }
        let found = target.origin().ascii_serialization();
        Err(EhrError::OtherOrigin { place: reply.place.clone(), what, expected: base.origin(), found })
    }

    /// Sends with a token, within the budget, again where that is safe. A refused token is renewed once.
    pub(super) async fn send(&self, request: Outgoing, repeat: Repeat) -> Result<Reply, EhrError> {
        let inner = &self.0;
        debug_assert!(inner.ehr.base_url.is_same_origin(&request.url), "links are checked before they are followed");
        let mut next = 2;
        let mut renewed = false;
        loop {
            let token = inner.tokens.get().await?;
            let own_pace = repeat == Repeat::Never;
            let manner = Manner { is_retry: next > 2 || renewed, own_pace, ..Manner::default() };
            let result = self.send_once(&request, &token, manner).await;
            if matches!(&result, Ok(reply) if reply.status == 401) && !renewed {
                renewed = true;
                inner.tokens.invalidate(&token).await;
                continue;
            }
            let asked = match &result {
                Ok(reply) if repeat.after_status(reply.status) || (repeat == Repeat::Freely && asks_to_wait(reply)) => {
                    retry::retry_after(&reply.headers, reply.received)
                }
                Err(error) if repeat.after_error(error) => None,
                _ => return result,
            };
            let Some(wait) = inner.transport.retry.wait(next, asked, &*inner.transport.entropy) else { return result };
            inner.transport.sleeper.sleep(wait).await;
            next += 1;
        }
    }

    /// Opens an answer that is read piece by piece, within the budget until it is closed. A refused token is renewed
    /// once; whatever else goes wrong is the caller's business. `with_token` is only for addresses that were checked.
    pub(super) async fn open(
        &self,
        request: Outgoing,
        with_token: bool,
        patience: std::time::Duration,
    ) -> Result<Opened, EhrError> {
        let inner = &self.0;
        let mut renewed = false;
        loop {
            let token = if with_token { Some(inner.tokens.get().await?) } else { None };
            let mut request = request.clone();
            if let Some(token) = &token {
                request.headers.insert(AUTHORIZATION, bearer(token)?);
            }
            let place = request.place();
            let proof = if with_token { Proof::Token } else { Proof::None };
            let manner = Manner { proof, is_retry: renewed, background: true, is_file: true, own_pace: true };
            let opened = tokio::time::timeout(patience, Box::pin(inner.transport.open(request, manner))).await;
            let mut opened = opened.map_err(|_| EhrError::TimedOut { place, after: patience })??;
            match token.filter(|_| opened.status == 401 && !renewed) {
                Some(token) => {
                    opened.close(None).await;
                    renewed = true;
                    inner.tokens.invalidate(&token).await;
                }
                None => return Ok(opened),
            }
        }
    }

    /// Waits, as the test or the machine's clock has it.
    pub async fn wait(&self, time: std::time::Duration) {
        self.0.transport.sleeper.sleep(time).await;
    }

    async fn send_once(&self, request: &Outgoing, token: &AccessToken, manner: Manner) -> Result<Reply, EhrError> {
        let inner = &self.0;
        let mut request = request.clone();
        request.headers.insert(AUTHORIZATION, bearer(token)?);
        let manner = Manner { proof: Proof::Token, background: self.1, ..manner };
        inner.transport.send(request, manner).await
    }
}

fn bearer(token: &AccessToken) -> Result<HeaderValue, EhrError> {
    let bearer = format!("Bearer {}", token.value.expose_secret());
    let mut bearer = HeaderValue::from_str(&bearer)
        .map_err(|_| EhrError::Client("the token cannot stand in a header".to_owned()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// Whether a refusal says that the same request may succeed soon.
fn asks_to_wait(reply: &Reply) -> bool {
    reply.status >= 400
        && outcome(reply).is_some_and(|outcome| {
            ["throttled", "transient", "lock-error", "timeout"].iter().any(|code| outcome.has(code))
        })
}

fn outcome(reply: &Reply) -> Option<OperationOutcome> {
    OperationOutcome::read(&serde_json::from_slice(&reply.body).ok()?)
}

pub(super) fn not_fhir(reply: &Reply, what: NotFhir) -> EhrError {
    EhrError::NotFhir { place: reply.place.clone(), status: reply.status, content_type: reply.media_type(), what }
}

/// The JSON body of an answer that must have one.
pub(super) fn json_body(reply: &Reply) -> Result<Value, EhrError> {
    let media_type = reply.media_type();
    let is_json = matches!(media_type.as_str(), "(none)" | "application/json" | "text/json")
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
        || media_type == "application/json+fhir";
    if reply.looks_like_html() {
        return Err(not_fhir(reply, NotFhir::Html));
    }
    if !is_json && !reply.body.is_empty() {
        return Err(not_fhir(reply, NotFhir::WrongContentType));
    }
    serde_json::from_slice(&reply.body).map_err(|_| not_fhir(reply, not_json(reply)))
}

/// The error that an answer other than the wished-for one is.
pub(super) fn refused(reply: &Reply) -> EhrError {
    let outcome = outcome(reply);
    let (place, status) = (reply.place.clone(), reply.status);
    let has = |codes: &[&str]| outcome.as_ref().is_some_and(|outcome| codes.iter().any(|code| outcome.has(code)));
    if matches!(status, 429 | 503) || (status >= 400 && has(&["throttled"])) {
        return EhrError::Throttled { place, status, retry_after: retry::retry_after(&reply.headers, reply.received) };
    }
    // A page for people where FHIR was expected is a wrong address, whatever its status says.
    if outcome.is_none() && status < 500 && reply.looks_like_html() {
        return not_fhir(reply, NotFhir::Html);
    }
    let insufficient = reply.header(WWW_AUTHENTICATE).is_some_and(|challenge| challenge.contains("insufficient_scope"));
    let refusal = match status {
        401 => Refusal::Unauthorized,
        403 if insufficient => Refusal::Forbidden,
        // The numbers are Epic's for break-the-glass.
        _ if has(&["suppressed", "4130", "4131", "4134"]) => Refusal::Restricted,
        403 => Refusal::Forbidden,
        _ if has(&["too-costly", "4127", "59133"]) => Refusal::TooCostly,
        404 | 410 => Refusal::NotFound,
        409 | 412 => Refusal::Conflict,
        405 | 406 | 415 | 501 => Refusal::Unsupported,
        408 | 425 | 500..=599 => Refusal::ServerFault,
        _ if has(&["transient", "lock-error", "timeout"]) => Refusal::ServerFault,
        _ if has(&["forbidden", "login"]) => Refusal::Forbidden,
        400 | 422 => Refusal::Invalid,
        _ => Refusal::Other,
    };
    let codes = outcome.map(|outcome| vec![outcome.summary()]).unwrap_or_default();
    EhrError::Refused { place, status, refusal, codes }
}

/// Request headers for a body of FHIR JSON.
pub(super) fn fhir_headers() -> HeaderMap {
    let fhir = HeaderValue::from_static(FHIR_JSON);
    HeaderMap::from_iter([(ACCEPT, fhir.clone()), (reqwest::header::CONTENT_TYPE, fhir)])
}

pub(super) fn post(url: Url, headers: HeaderMap, body: Vec<u8>) -> Outgoing {
    Outgoing { method: Method::POST, url, headers, body }
}
