//! Where and how a server gives tokens (SMART App Launch 2.2, "Authorization Endpoint and Capabilities Discovery").

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::fhir::capability::Capability;

use super::connection::{AddressError, EhrConnection, require_tls};
use super::error::{EhrError, NotFhir, Place};
use super::http::{Outgoing, Reply, Transport};
use super::keys::SigningAlg;
use super::scopes::ScopeStyle;

/// How long an answer is believed.
const KEEP: TimeDelta = TimeDelta::hours(24);

/// What the server said about itself, reduced to what a client acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmartConfiguration {
    /// As the document spells it: the `aud` of every assertion, byte for byte.
    pub token_endpoint: String,
    /// The same, parsed: where the request is posted.
    pub token_url: Url,
    pub issuer: Option<String>,
    pub jwks_uri: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub grant_types: Vec<String>,
    pub auth_methods: Vec<String>,
    pub signing_algs: Vec<String>,
    pub capabilities: Vec<String>,
    /// Read from the deprecated CapabilityStatement extension, because there was no discovery document.
    pub from_metadata: bool,
}

impl SmartConfiguration {
    /// The algorithm to sign with: the operator's, else one that the server names, else RS384 (several vendors name
    /// none and take RS384).
    pub fn signing_alg(&self, fixed: Option<SigningAlg>) -> SigningAlg {
        fixed
            .or_else(|| SigningAlg::ALL.into_iter().find(|alg| self.signing_algs.iter().any(|a| a == alg.as_str())))
            .unwrap_or(SigningAlg::Rs384)
    }

    pub fn scope_style(&self, fixed: Option<ScopeStyle>) -> ScopeStyle {
        let v2 = self.capabilities.iter().any(|capability| capability == "permission-v2");
        fixed.unwrap_or(if v2 { ScopeStyle::V2 } else { ScopeStyle::V1 })
    }
}

/// Why discovery gave nothing to work with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DiscoveryError {
    #[error(transparent)]
    Http(#[from] Box<EhrError>),
    #[error("{place}: no SMART configuration (status {status}, content type {content_type}), and none in the metadata")]
    Missing { place: Place, status: u16, content_type: String },
    #[error("{place}: the SMART configuration has no usable token_endpoint")]
    NoTokenEndpoint { place: Place },
    #[error("the token endpoint: {0}")]
    Insecure(AddressError),
    #[error(
        "the token endpoint is on {host}, which is neither the host of the base URL nor in token_hosts of this \
         connection; add it there if it belongs to the EHR"
    )]
    ForeignTokenHost { host: String },
}

impl DiscoveryError {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Missing { status, .. } => super::retry::is_transient(*status),
            _ => false,
        }
    }
}

/// Discovery of one connection, cached.
#[derive(Debug)]
pub struct Discovery {
    ehr: Arc<EhrConnection>,
    transport: Transport,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    configuration: Arc<SmartConfiguration>,
    fetched_at: DateTime<Utc>,
    skew: Option<TimeDelta>,
}

impl Discovery {
    pub fn new(ehr: Arc<EhrConnection>, transport: Transport) -> Self {
        Self { ehr, transport, cached: Mutex::default() }
    }

    /// The configuration, from memory if it is younger than a day.
    ///
    /// # Errors
    /// The server cannot be reached, has no configuration, or names a token endpoint that we must not use.
    pub async fn get(&self) -> Result<Arc<SmartConfiguration>, DiscoveryError> {
        let mut cached = self.cached.lock().await;
        let now = self.transport.now();
        if let Some(known) = cached.as_ref().filter(|known| now - known.fetched_at < KEEP) {
            return Ok(Arc::clone(&known.configuration));
        }
        let (configuration, skew) = self.fetch().await?;
        let configuration = Arc::new(configuration);
        *cached = Some(Cached { configuration: Arc::clone(&configuration), fetched_at: now, skew });
        Ok(configuration)
    }

    /// Asks again at the next use: a failed token request may mean that the endpoint moved.
    pub async fn forget(&self) {
        *self.cached.lock().await = None;
    }

    /// How far the server's clock was ahead of ours at the last fetch.
    pub async fn skew(&self) -> Option<TimeDelta> {
        self.cached.lock().await.as_ref()?.skew
    }

    async fn fetch(&self) -> Result<(SmartConfiguration, Option<TimeDelta>), DiscoveryError> {
        let url = self.ehr.base_url.join(".well-known/smart-configuration");
        let reply = self.transport.send_repeatable(Outgoing::get(url, "application/json")).await.map_err(Box::new)?;
        let skew = reply.skew();
        note_skew(&self.ehr, skew);
        let document = match json_object(&reply) {
            // HTML with status 200 is what host roots and proxies answer to any path.
            Some(document) if document.contains_key("token_endpoint") => Some(document),
            Some(_) => return Err(DiscoveryError::NoTokenEndpoint { place: reply.place }),
            None if super::retry::is_transient(reply.status) => None,
            None => self.metadata_fallback().await?,
        };
        let Some(document) = document else {
            let (status, content_type) = (reply.status, reply.media_type());
            return Err(DiscoveryError::Missing { place: reply.place, status, content_type });
        };
        Ok((self.configuration(&document, &reply.place)?, skew))
    }

    /// Old servers publish their endpoints in the CapabilityStatement alone.
    async fn metadata_fallback(&self) -> Result<Option<Map<String, Value>>, DiscoveryError> {
        let url = self.ehr.base_url.join("metadata");
        let request = Outgoing::get(url, "application/fhir+json");
        let reply = self.transport.send_repeatable(request).await.map_err(Box::new)?;
        let Some(metadata) = json_object(&reply) else { return Ok(None) };
        let capability = Capability::read(&Value::Object(metadata)).ok();
        Ok(capability.and_then(|capability| capability.token_url).map(|uri| {
            Map::from_iter([("token_endpoint".to_owned(), uri.into()), (FROM_METADATA.to_owned(), true.into())])
        }))
    }

    fn configuration(
        &self,
        document: &Map<String, Value>,
        place: &Place,
    ) -> Result<SmartConfiguration, DiscoveryError> {
        let missing = || DiscoveryError::NoTokenEndpoint { place: place.clone() };
        let text = |name: &str| document.get(name)?.as_str().map(str::to_owned);
        let written = text("token_endpoint").filter(|written| !written.is_empty()).ok_or_else(missing)?;
        let (token_endpoint, token_url) = match Url::parse(&written) {
            Ok(url) => (written, url),
            // Some older servers write a relative URL; then the resolved one is what both sides can know.
            Err(_) => {
                let base = Url::parse(&format!("{}/", self.ehr.base_url.as_str())).map_err(|_| missing())?;
                let url = base.join(&written).map_err(|_| missing())?;
                (url.to_string(), url)
            }
        };
        require_tls(&token_url).map_err(DiscoveryError::Insecure)?;
        let host = token_url.host_str().unwrap_or_default();
        let allowed = host == self.ehr.base_url.host()
            || self.ehr.settings.token_hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
        if !allowed {
            return Err(DiscoveryError::ForeignTokenHost { host: host.to_owned() });
        }
        let words = |name: &str| -> Vec<String> {
            let items = document.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Ok(SmartConfiguration {
            token_endpoint,
            token_url,
            issuer: text("issuer"),
            jwks_uri: text("jwks_uri"),
            authorization_endpoint: text("authorization_endpoint"),
            grant_types: words("grant_types_supported"),
            auth_methods: words("token_endpoint_auth_methods_supported"),
            signing_algs: words("token_endpoint_auth_signing_alg_values_supported"),
            capabilities: words("capabilities"),
            from_metadata: document.contains_key(FROM_METADATA),
        })
    }
}

/// Cannot occur in a discovery document by accident.
const FROM_METADATA: &str = "\u{0}from_metadata";

/// A 200 answer with a JSON object; anything else is no answer.
fn json_object(reply: &Reply) -> Option<Map<String, Value>> {
    if reply.status != 200 {
        return None;
    }
    match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Clock skew makes assertions fail in ways that look like anything else, so it is told early.
pub(super) fn note_skew(ehr: &EhrConnection, skew: Option<TimeDelta>) {
    let Some(seconds) = skew.map(|skew| skew.num_seconds()) else { return };
    if seconds.abs() > 120 {
        tracing::error!(ehr = %ehr.id, skew_seconds = seconds, "the EHR's clock and ours differ so much that tokens may be refused; check NTP");
    } else if seconds.abs() > 30 {
        tracing::warn!(ehr = %ehr.id, skew_seconds = seconds, "the EHR's clock and ours differ; check NTP");
    }
}

/// What a body is, that should have been JSON.
pub(super) fn not_json(reply: &Reply) -> NotFhir {
    if reply.looks_like_html() || reply.media_type() == "text/html" {
        return NotFhir::Html;
    }
    if reply.body.trim_ascii().is_empty() {
        return NotFhir::Empty;
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&reply.body) {
        Err(error) if error.is_eof() => NotFhir::Truncated,
        Err(_) => NotFhir::Malformed,
        Ok(_) => NotFhir::WrongResource,
    }
}
