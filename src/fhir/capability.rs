//! What a server says it can do (R4 CapabilityStatement). It lists parameters that fail in practice and omits ones that
//! work, so a vendor profile or an override beats it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::json;
use crate::domain::ResourceType;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capability {
    /// `4.0.1` is R4, `4.3.0` R4B, `5.0.0` R5.
    pub fhir_version: Option<String>,
    pub software: Option<String>,
    pub formats: Vec<String>,
    /// By type name: also types that Beckon does not read.
    pub resources: BTreeMap<String, ResourceCapability>,
    /// System-level interactions, such as `batch`.
    pub interactions: BTreeSet<String>,
    /// Names of system-level operations, such as `export`.
    pub operations: BTreeSet<String>,
    /// Topics that can be subscribed to, by canonical URL (Subscriptions Backport guide).
    pub topics: Vec<String>,
    /// From the `oauth-uris` extension, for servers without SMART discovery.
    pub authorize_url: Option<String>,
    pub token_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceCapability {
    /// Codes such as `read`, `search-type`, `create`.
    pub interactions: BTreeSet<String>,
    pub search_params: BTreeSet<String>,
    pub search_includes: Vec<String>,
    pub search_rev_includes: Vec<String>,
    pub operations: BTreeSet<String>,
    pub conditional_create: bool,
    pub conditional_update: bool,
    /// `not-supported`, `modified-since`, `not-match`, `full-support`.
    pub conditional_read: Option<String>,
    /// `no-version`, `versioned`, `versioned-update`.
    pub versioning: Option<String>,
    pub update_create: bool,
}

/// Why a document is no CapabilityStatement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    #[error("the answer of /metadata is not a CapabilityStatement; check the FHIR base address")]
    NotACapabilityStatement,
    #[error("the CapabilityStatement has no rest section for a server")]
    NoServer,
}

impl Capability {
    pub fn read(value: &Value) -> Result<Self, CapabilityError> {
        if json::text(value, "resourceType") != Some("CapabilityStatement") {
            return Err(CapabilityError::NotACapabilityStatement);
        }
        let sections = json::list(value, "rest");
        let rest = sections
            .iter()
            .find(|rest| json::text(rest, "mode") == Some("server"))
            .or_else(|| sections.iter().find(|rest| json::text(rest, "mode").is_none()))
            .ok_or(CapabilityError::NoServer)?;
        let oauth = rest.get("security").and_then(|security| json::extension(security, OAUTH_URIS));
        let url = |name| oauth.and_then(|uris| json::text(json::extension(uris, name)?, "valueUri")).map(str::to_owned);
        Ok(Self {
            fhir_version: json::text(value, "fhirVersion").map(str::to_owned),
            software: value.get("software").and_then(software),
            formats: strings(value, "format"),
            resources: json::list(rest, "resource")
                .iter()
                .filter_map(|resource| {
                    Some((json::text(resource, "type")?.to_owned(), ResourceCapability::read(resource)))
                })
                .collect(),
            interactions: named(rest, "interaction", "code"),
            operations: operations(rest),
            topics: topics(rest),
            authorize_url: url("authorize"),
            token_url: url("token"),
        })
    }

    pub fn of(&self, kind: ResourceType) -> Option<&ResourceCapability> {
        self.resources.get(kind.as_str())
    }

    /// Whether the server claims this interaction (`read`, `search-type`, `create`, `update`, …) on the type.
    pub fn can(&self, kind: ResourceType, interaction: &str) -> bool {
        self.of(kind).is_some_and(|resource| resource.interactions.contains(interaction))
    }

    /// Whether the server claims this search parameter on the type.
    pub fn searches_by(&self, kind: ResourceType, parameter: &str) -> bool {
        self.of(kind).is_some_and(|resource| resource.search_params.contains(parameter))
    }

    /// As [`Capability::can`], for a type that Beckon never reads.
    pub fn can_named(&self, kind: &str, interaction: &str) -> bool {
        self.resources.get(kind).is_some_and(|resource| resource.interactions.contains(interaction))
    }

    /// As [`Capability::searches_by`], for a type that Beckon never reads.
    pub fn searches_named(&self, kind: &str, parameter: &str) -> bool {
        self.resources.get(kind).is_some_and(|resource| resource.search_params.contains(parameter))
    }

    /// Whether several requests can go in one Bundle of type `batch`.
    pub fn batches(&self) -> bool {
        self.interactions.contains("batch")
    }
}

impl ResourceCapability {
    fn read(resource: &Value) -> Self {
        let flag = |key: &str| resource.get(key).and_then(Value::as_bool).unwrap_or(false);
        let text = |key: &str| json::text(resource, key).map(str::to_owned);
        Self {
            interactions: named(resource, "interaction", "code"),
            search_params: named(resource, "searchParam", "name"),
            search_includes: strings(resource, "searchInclude"),
            search_rev_includes: strings(resource, "searchRevInclude"),
            operations: operations(resource),
            conditional_create: flag("conditionalCreate"),
            conditional_update: flag("conditionalUpdate"),
            conditional_read: text("conditionalRead"),
            versioning: text("versioning"),
            update_create: flag("updateCreate"),
        }
    }
}

const TOPIC: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical";

/// They stand at the resource Subscription.
fn topics(rest: &Value) -> Vec<String> {
    let subscription = json::list(rest, "resource").iter().find(|it| json::text(it, "type") == Some("Subscription"));
    let extensions = subscription.into_iter().flat_map(|it| json::list(it, "extension"));
    let topics = extensions.filter(|it| json::text(it, "url") == Some(TOPIC));
    let url = |it: &Value| json::text(it, "valueCanonical").or_else(|| json::text(it, "valueUri")).map(str::to_owned);
    topics.filter_map(url).collect()
}

const OAUTH_URIS: &str = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";

fn software(software: &Value) -> Option<String> {
    let name = json::text(software, "name")?;
    Some(json::text(software, "version").map_or_else(|| name.to_owned(), |version| format!("{name} {version}")))
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    json::list(value, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn named(value: &Value, key: &str, name: &str) -> BTreeSet<String> {
    json::list(value, key).iter().filter_map(|item| json::text(item, name)).map(str::to_owned).collect()
}

/// Some servers write the `$` into the name.
fn operations(value: &Value) -> BTreeSet<String> {
    named(value, "operation", "name").into_iter().map(|name| name.trim_start_matches('$').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_statement_tells_what_can_be_asked() {
        let capability = Capability::read(&json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
            "software": {"name": "HAPI", "version": "7"}, "format": ["json"],
            "rest": [{"mode": "client"}, {"mode": "server",
                "security": {"extension": [{"url": OAUTH_URIS, "extension": [{"url": "token", "valueUri": "https://e/token"}]}]},
                "interaction": [{"code": "batch"}], "operation": [{"name": "$export"}],
                "resource": [{"type": "Appointment", "interaction": [{"code": "read"}, {"code": "search-type"}],
                    "searchParam": [{"name": "date"}, {"name": "_lastUpdated"}, {}], "conditionalCreate": true,
                    "versioning": "versioned-update"}, {"interaction": []}]}]}))
        .unwrap();
        assert_eq!(capability.fhir_version.as_deref(), Some("4.0.1"));
        assert_eq!(capability.software.as_deref(), Some("HAPI 7"));
        assert!(capability.can(ResourceType::Appointment, "search-type"));
        assert!(!capability.can(ResourceType::Appointment, "create"));
        assert!(!capability.can(ResourceType::Patient, "read"));
        assert!(capability.searches_by(ResourceType::Appointment, "_lastUpdated"));
        assert!(capability.batches() && capability.operations.contains("export"));
        assert_eq!(capability.token_url.as_deref(), Some("https://e/token"));
        assert!(capability.of(ResourceType::Appointment).unwrap().conditional_create);
        assert_eq!(Capability::read(&json!({})), Err(CapabilityError::NotACapabilityStatement));
        assert_eq!(
            Capability::read(&json!({"resourceType": "CapabilityStatement", "rest": [{"mode": "client"}]})),
            Err(CapabilityError::NoServer)
        );
    }
}
