//! Everything that can go wrong between us and an EHR, in words that name the place and the remedy. No error holds a
//! query string, a header or a body: those may hold PHI or credentials.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Method, Url};

use super::budget::PausedWhy;
use super::token::TokenError;

/// Where a request went: method, server and path. The query stays out, because searches carry names and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    pub fn of(method: &Method, url: &Url) -> Self {
        Self(format!("{method} {}{}", url.origin().ascii_serialization(), url.path()))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an answer was, when it was not FHIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFhir {
    Html,
    Truncated,
    Malformed,
    Empty,
    WrongContentType,
    WrongResource,
}

impl NotFhir {
    const fn words(self) -> &'static str {
        match self {
            Self::Html => "an HTML page, as a proxy or a sign-in page sends it; check the base URL",
            Self::Truncated => "JSON that ends too early; a proxy or a limit on the way may cut long answers",
            Self::Malformed => "a body that is not JSON",
            Self::Empty => "an empty body",
            Self::WrongContentType => "a content type that is not JSON; check the base URL",
            Self::WrongResource => "JSON that is not the FHIR resource asked for",
        }
    }
}

/// Why the server said no, as far as status and `OperationOutcome` tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 401, also with a fresh token.
    Unauthorized,
    /// 403 with `insufficient_scope`, or `login`/`unknown` codes around rights of the client.
    Forbidden,
    /// Sensitive data that this client may never see (`suppressed`, break-the-glass): do not ask again.
    Restricted,
    NotFound,
    /// 409 or 412: somebody else changed it, or several match.
    Conflict,
    /// 400 or 422: the request itself is wrong for this server.
    Invalid,
    /// The server asks for a narrower search.
    TooCostly,
    /// 405 or 501: the server cannot do this.
    Unsupported,
    /// 5xx after all tries, and `exception` outcomes.
    ServerFault,
    Other,
}

impl Refusal {
    const fn advice(self) -> &'static str {
        match self {
            Self::Unauthorized => "a fresh token was refused too; check clocks, and that the client is enabled here",
            Self::Forbidden => "the client lacks a right; compare the granted scopes with those asked for",
            Self::Restricted => "the record is protected; it is left alone",
            Self::NotFound => "the server does not know this address; check the base URL",
            Self::Conflict => "the resource changed meanwhile, or several match; read it again",
            Self::Invalid => "the server does not accept the request; an override of the capability plan may be needed",
            Self::TooCostly => "the server wants a narrower search",
            Self::Unsupported => "the server does not offer this; an override of the capability plan may be needed",
            Self::ServerFault => "the server has a fault of its own; it is tried again later",
            Self::Other => "see the codes",
        }
    }
}

/// A request to an EHR that did not end well.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EhrError {
    #[error("{place}: no connection ({reason}); check address, network and certificate")]
    Unreachable { place: Place, reason: String },
    #[error("{place}: no answer within {}", seconds(after))]
    TimedOut { place: Place, after: Duration },
    #[error("{place}: the connection broke before the answer was complete ({reason})")]
    Interrupted { place: Place, reason: String },
    #[error("{place}: the server asks us to slow down (status {status}{})", wait(retry_after))]
    Throttled { place: Place, status: u16, retry_after: Option<Duration> },
    /// Nothing was sent.
    #[error("{place}: not asked before {}: {}", until.format("%Y-%m-%d %H:%M:%S UTC"), why.words())]
    Paused { place: Place, until: DateTime<Utc>, wait: Duration, why: PausedWhy },
    /// Nothing was sent.
    #[error("{place}: not asked, because the budget of this connection cannot be read: {reason}")]
    NoBudget { place: Place, reason: String },
    #[error("{place}: refused with status {status}{}; {}", list(codes), refusal.advice())]
    Refused { place: Place, status: u16, refusal: Refusal, codes: Vec<String> },
    #[error("{place}: status {status}, content type {content_type}: {}", what.words())]
    NotFhir { place: Place, status: u16, content_type: String, what: NotFhir },
    #[error("{place}: the answer is larger than {limit} bytes; lower the page size of this connection")]
    TooLarge { place: Place, limit: usize },
    #[error(
        "{place}: {what} leads to {found}, but this connection only speaks with {expected}; no token was sent there"
    )]
    OtherOrigin { place: Place, what: &'static str, expected: String, found: String },
    #[error(
        "{place}: an exported file lies at {host}, which is not the EHR's own host; if it is the EHR's storage, allow it: \
         beckon ehr set ID --file-host {host}"
    )]
    OtherHost { place: Place, host: String },
    #[error("{place}: {what} is not a usable link")]
    BadLink { place: Place, what: &'static str },
    #[error("{place}: the server's next link leads back to a page already read; the search is given up")]
    PagingLoop { place: Place },
    #[error("{place}: the search did not end within {limit} pages; narrow it, or raise the page cap")]
    TooManyPages { place: Place, limit: u32 },
    #[error("{place}: the server no longer knows this page (status {status}); the search must start again")]
    PagingExpired { place: Place, status: u16 },
    #[error("{place}: the server says itself that its answer is not complete, or some of it cannot be read")]
    Incomplete { place: Place },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the HTTP client cannot be built: {0}; is a CA store (package ca-certificates) installed?")]
    Client(String),
    #[error("a resource to be written lacks {0}")]
    NotWritable(&'static str),
}

impl EhrError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Interrupted { .. }
            | Self::Throttled { .. }
            | Self::Paused { .. }
            | Self::NoBudget { .. }
            | Self::PagingExpired { .. }
            | Self::NotFhir { what: NotFhir::Truncated, .. }
            | Self::Refused { refusal: Refusal::ServerFault, .. } => true,
            Self::Token(token) => token.is_transient(),
            _ => false,
        }
    }

    /// Whether the same request may be sent again within this call. What our own budget held back is not asked for again:
    /// the caller comes back later.
    pub(super) fn may_repeat(&self) -> bool {
        let held_back = match self {
            Self::Paused { .. } | Self::NoBudget { .. } => true,
            Self::Token(token) => token.is_held_back(),
            _ => false,
        };
        !held_back && self.is_transient()
    }

    /// How long the server asked us to wait, at least.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            Self::Paused { wait, .. } => Some(*wait),
            Self::Token(token) => token.retry_after(),
            _ => None,
        }
    }
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f32())
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", again after {} s", wait.as_secs()))
}

fn list(codes: &[String]) -> String {
    if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) }
}
