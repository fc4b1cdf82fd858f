//! The server's parts together, and which of them answers a request.

use std::sync::Arc;

use serde_json::Value;

use crate::clock::{Clock, Entropy};
use crate::sandbox::faults::{FaultKind, Faults};
use crate::sandbox::http::{Reply, Request};

use super::archive::Archive;
use super::export::{self, Exports, Level};
use super::outcome::refuse;
use super::personality::Personality;
use super::search::Pages;
use super::smart::{Authority, Grant};
use super::subscriptions::{self, Hooks};
use super::{batch, metadata, reading, writing};

/// One FHIR endpoint.
pub struct Ehr {
    /// `http://host:port/fhir`, without a slash at the end.
    pub base: String,
    pub personality: Personality,
    pub archive: Arc<Archive>,
    pub authority: Authority,
    pub pages: Pages,
    pub exports: Exports,
    pub hooks: Hooks,
    /// The origin of the storage for exported files.
    pub storage: String,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub faults: Arc<Faults>,
}

/// The path below which the FHIR server answers.
pub const ROOT: &str = "/fhir";

impl Ehr {
    /// Answers a request whose path begins with [`ROOT`].
    pub async fn answer(&self, request: &Request) -> Reply {
        let path = request.path.strip_prefix(ROOT).unwrap_or_default().trim_matches('/');
        match path {
            ".well-known/smart-configuration" => return self.configuration(request),
            "metadata" => return Reply::fhir(200, &metadata::statement(self)),
            _ => {}
        }
        if let Some((id, name)) = path.strip_prefix("_export/").and_then(|rest| rest.split_once('/'))
            && self.personality.export.as_ref().is_some_and(|manner| !manner.requires_token)
        {
            // The manifest says that no token must come along.
            return match request.header("authorization") {
                Some(_) => refuse(400, "security", "this address takes no token"),
                None => export::file(self, request, id, name),
            };
        }
        let grant = match self.admit(request) {
            Ok(grant) => grant,
            Err(reply) => return reply,
        };
        self.act(request, path, &grant)
    }

    fn configuration(&self, request: &Request) -> Reply {
        let mut configuration = self.authority.configuration();
        let moved = |kind: &FaultKind| matches!(kind, FaultKind::OtherTokenEndpoint { .. });
        if let Some(FaultKind::OtherTokenEndpoint { url }) = self.faults.strike(&request.method, &request.path, moved) {
            configuration["token_endpoint"] = Value::String(url);
        }
        Reply::json(200, &configuration)
    }

    /// Who asks; or the 401.
    fn admit(&self, request: &Request) -> Result<Grant, Reply> {
        let refused = |details: &str, text: &str| {
            refuse(401, "login", text).with("www-authenticate", format!("Bearer realm=\"fhir\"{details}"))
        };
        let Some(token) = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(refused("", "no bearer token"));
        };
        let invalid = ", error=\"invalid_token\", error_description=\"the token is unknown or has expired\"";
        if self.faults.strikes(&request.method, &request.path, &FaultKind::Unauthorized) {
            return Err(refused(invalid, "the token is unknown or has expired"));
        }
        self.authority.grant(token).ok_or_else(|| refused(invalid, "the token is unknown or has expired"))
    }

    /// Does what is asked, for one who may ask.
    pub fn act(&self, request: &Request, path: &str, grant: &Grant) -> Reply {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET" | "POST", ["$export"]) => return export::kick_off(self, request, Level::System, None, grant),
            ("GET" | "POST", ["Patient", "$export"]) => {
                return export::kick_off(self, request, Level::Patient, None, grant);
            }
            ("GET" | "POST", ["Group", id, "$export"]) => {
                return export::kick_off(self, request, Level::Group, Some(id), grant);
            }
            ("GET" | "DELETE", ["_export", id]) => return export::status(self, request, id),
            ("GET", ["Subscription", id, "$status"]) => return subscriptions::status(self, id, grant),
            ("GET", ["Subscription", id, "$events"]) => return subscriptions::events(self, request, id, grant),
            ("GET", ["_export", id, name]) => return export::file(self, request, id, name),
            _ => {}
        }
        if let Some(kind) = segments.first()
            && self.personality.offers(kind).is_none()
        {
            return refuse(404, "not-supported", &format!("unknown resource type '{kind}'"));
        }
        match (request.method.as_str(), segments.as_slice()) {
            ("GET" | "HEAD", []) => reading::next_page(self, request, grant),
            ("POST", []) if self.personality.batch => batch::run(self, request, grant),
            ("GET" | "HEAD", [kind]) => reading::search(self, request, kind, grant),
            ("POST", [kind, "_search"]) => reading::search(self, request, kind, grant),
            ("POST", [kind]) => writing::create(self, request, kind, grant),
            ("GET" | "HEAD", [kind, id]) => reading::read(self, request, kind, id, grant),
            ("PUT", [kind, id]) => writing::update(self, request, kind, id, grant),
            ("DELETE", [kind, id]) => writing::delete(self, kind, id, grant),
            ("GET" | "HEAD", [kind, id, "_history", number]) => reading::vread(self, kind, id, number, grant),
            _ => refuse(405, "not-supported", "this interaction is not offered here"),
        }
    }

    /// 403 unless the grant allows the interaction on the type.
    pub fn require(grant: &Grant, kind: &str, letter: char) -> Result<(), Reply> {
        if grant.allows(kind, letter) {
            return Ok(());
        }
        let scope = format!("system/{kind}.{letter}");
        Err(refuse(403, "forbidden", &format!("the token has no scope {scope}")).with(
            "www-authenticate",
            format!("Bearer realm=\"fhir\", error=\"insufficient_scope\", scope=\"{scope}\""),
        ))
    }
}
