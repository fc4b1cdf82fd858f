//! Registered clients, the token endpoint, and the tokens that are out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::assertion::{self, Expected};
use super::jwks::{self, JwksSource};
use super::scopes::{self, Scope};
use crate::clock::{Clock, Entropy};
use crate::sandbox::faults::{FaultKind, Faults};
use crate::sandbox::http::{Reply, Request};

/// A registered client and what it may be granted.
#[derive(Debug, Clone)]
struct Client {
    pub jwks: JwksSource,
    pub scopes: Vec<Scope>,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Grant {
    pub scopes: Vec<Scope>,
    expires: DateTime<Utc>,
}

impl Grant {
    pub fn allows(&self, kind: &str, letter: char) -> bool {
        self.scopes.iter().any(|scope| scope.allows(kind, letter))
    }
}

/// The authorization server.
pub struct Authority {
    pub token_url: String,
    pub token_life: Duration,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub http: reqwest::Client,
    pub faults: Arc<Faults>,
    /// Keys are taken by address only.
    pub jwks_by_address: bool,
    /// Discovery lists algorithms and resource scopes.
    pub lists_algorithms: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clients: HashMap<String, Client>,
    /// (issuer, jti) and until when it must not come again.
    nonces: HashMap<(String, String), DateTime<Utc>>,
    tokens: HashMap<String, Grant>,
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// RFC 6749, section 5.2.
fn refuse(error: &str, text: &str) -> Reply {
    let status = if error == "invalid_client" { 401 } else { 400 };
    uncached(Reply::json(status, &json!({"error": error, "error_description": text})))
}

fn uncached(reply: Reply) -> Reply {
    reply.with("cache-control", "no-store").with("pragma", "no-cache")
}

impl Authority {
    pub fn new(
        token_url: String,
        token_life: Duration,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        http: reqwest::Client,
        faults: Arc<Faults>,
    ) -> Self {
        let (jwks_by_address, lists_algorithms) = (false, true);
        let state = Mutex::default();
        Self { token_url, token_life, clock, entropy, http, faults, jwks_by_address, lists_algorithms, state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a client, or replaces its registration.
    pub fn register(&self, client_id: &str, jwks: JwksSource, scopes: &str) {
        let scopes = scopes.split_whitespace().filter_map(Scope::parse).collect();
        self.state().clients.insert(client_id.to_owned(), Client { jwks, scopes });
    }

    /// The grant of a token that is good now.
    pub fn grant(&self, token: &str) -> Option<Grant> {
        let now = self.clock.now();
        self.state().tokens.get(token).filter(|grant| grant.expires > now).cloned()
    }

    /// Ends every token that is out.
    pub fn forget_tokens(&self) {
        self.state().tokens.clear();
    }

    /// `.well-known/smart-configuration`.
    pub fn configuration(&self) -> Value {
        let mut configuration = json!({
            "token_endpoint": self.token_url,
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
            "scopes_supported": ["system/*.rs", "system/Communication.cru"],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"]
        });
        if !self.lists_algorithms {
            configuration["scopes_supported"] = json!(["openid", "fhirUser", "launch", "profile"]);
            if let Some(fields) = configuration.as_object_mut() {
                fields.shift_remove("token_endpoint_auth_signing_alg_values_supported");
            }
        }
        configuration
    }

    /// `POST` to the token endpoint.
    pub async fn token(&self, request: &Request) -> Reply {
        if request.method != "POST" {
            return Reply::empty(405).with("allow", "POST");
        }
        if !request.is_form() {
            return refuse("invalid_request", "the body must be a form");
        }
        let fields = request.form();
        for (at, (name, _)) in fields.iter().enumerate() {
            if fields[..at].iter().any(|(earlier, _)| earlier == name) {
                return refuse("invalid_request", &format!("parameter {name} comes twice"));
            }
        }
        let field = |name: &str| {
            fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        match field("grant_type") {
            "client_credentials" => {}
            "" => return refuse("invalid_request", "grant_type is missing"),
            _ => return refuse("unsupported_grant_type", "only client_credentials"),
        }
        if field("client_assertion_type") != ASSERTION_TYPE {
            return refuse("invalid_request", "client_assertion_type must be the jwt-bearer URN");
        }
        let registered = match self.authenticate(field("client_assertion"), field("client_id")).await {
            Ok(client) => client,
            Err(text) => return refuse("invalid_client", &text),
        };
        let asked = field("scope");
        if asked.trim().is_empty() {
            return refuse("invalid_scope", "scope is missing");
        }
        let Some(asked_scopes) = asked.split_whitespace().map(Scope::parse).collect::<Option<Vec<_>>>() else {
            return refuse("invalid_scope", "a scope is not of the form system/Type.cruds");
        };
        let mut granted = scopes::granted(&asked_scopes, &registered);
        let wrong = self.faults.strike("POST", &request.path, |kind| matches!(kind, FaultKind::GrantScopes { .. }));
        if let Some(FaultKind::GrantScopes { scopes }) = wrong {
            granted = scopes.split_whitespace().filter_map(Scope::parse).collect();
        } else if granted.is_empty() {
            return refuse("invalid_scope", "none of the scopes is registered for this client");
        }
        self.issue(granted)
    }

    fn issue(&self, granted: Vec<Scope>) -> Reply {
        let now = self.clock.now();
        let token = self.entropy.token();
        let names = scopes::granted_names(&granted);
        let mut state = self.state();
        state.tokens.retain(|_, grant| grant.expires > now);
        state.tokens.insert(token.clone(), Grant { scopes: granted, expires: now + self.token_life });
        uncached(Reply::json(
            200,
            &json!({
                "access_token": token, "token_type": "bearer", "expires_in": self.token_life.num_seconds(), "scope": names
            }),
        ))
    }

    async fn authenticate(&self, text: &str, named: &str) -> Result<Vec<Scope>, String> {
        let assertion = assertion::take_apart(text)?;
        let client_id = assertion.claims["iss"].as_str().unwrap_or_default().to_owned();
        let client = self.state().clients.get(&client_id).cloned().ok_or("the client is not registered")?;
        if !named.is_empty() && named != client_id {
            return Err("client_id is not the assertion's iss".to_owned());
        }
        let jwks_url = match &client.jwks {
            JwksSource::Url(url) => Some(url.as_str()),
            JwksSource::Inline(_) if self.jwks_by_address => return Err("keys are taken by address only".to_owned()),
            JwksSource::Inline(_) => None,
        };
        let now = self.clock.now();
        let expected = Expected { client_id: &client_id, audience: &self.token_url, jwks_url, now };
        let checked = assertion::check(&assertion, &expected)?;
        let set = jwks::fetch(&client.jwks, &self.http).await?;
        let key = jwks::key(&set, &checked.kid, &checked.algorithm)?;
        if !jwks::verifies(key, &checked.algorithm, assertion.message.as_bytes(), &assertion.signature) {
            return Err("the signature does not verify".to_owned());
        }
        let mut state = self.state();
        state.nonces.retain(|_, until| *until > now);
        if state.nonces.insert((client_id, checked.jti), checked.expires).is_some() {
            return Err("jti was used before".to_owned());
        }
        Ok(client.scopes)
    }
}
