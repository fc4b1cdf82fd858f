//! One EHR as the operator set it up. What is here is a fact of configuration; what the server says is in `discovery`
//! and `plan`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::domain::{EhrId, ResourceType, TenantId};

use super::budget::BudgetSettings;
use super::http::HttpSettings;
use super::keys::SigningAlg;
use super::plan::{Ask, Changes, Export, Notices, WriteBack};
use super::retry::RetryPolicy;
use super::scopes::{ScopeSet, ScopeStyle};

/// Whose product it is: chooses the profile of known deviations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// Nothing is assumed; the CapabilityStatement decides.
    Generic,
    Hapi,
    Epic,
    Oracle,
    Athena,
}

impl Vendor {
    pub const ALL: [Self; 5] = [Self::Generic, Self::Hapi, Self::Epic, Self::Oracle, Self::Athena];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Hapi => "hapi",
            Self::Epic => "epic",
            Self::Oracle => "oracle",
            Self::Athena => "athena",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.as_str() == text)
    }
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the FHIR base URL {0:?} is not an absolute http(s) URL; write for example https://ehr.example/fhir/R4")]
    NotAbsolute(String),
    #[error("the FHIR base URL must be plain: no user name, no query, no fragment")]
    NotPlain,
    #[error("{0} is not https; patient data and tokens travel in the clear only to this very machine (loopback)")]
    Insecure(String),
}

/// A FHIR base URL: absolute, without a trailing slash, https unless it is this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// # Errors
    /// Not absolute, not plain, or not https.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let trimmed = text.trim().trim_end_matches('/');
        let url = Url::parse(trimmed).map_err(|_| AddressError::NotAbsolute(trimmed.to_owned()))?;
        if url.host_str().is_none_or(str::is_empty) || !matches!(url.scheme(), "http" | "https") {
            return Err(AddressError::NotAbsolute(trimmed.to_owned()));
        }
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::NotPlain);
        }
        require_tls(&url)?;
        Ok(Self(url))
    }

    /// The base with `path` appended to the whole of it, also where the base has a path of its own.
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // A base without a path parses to "/", whose one segment is empty.
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    pub const fn url(&self) -> &Url {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Scheme, host and port: the token is sent nowhere else.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    pub fn is_same_origin(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<BaseUrl> for String {
    fn from(base: BaseUrl) -> Self {
        base.as_str().to_owned()
    }
}

/// Refuses plain http to anything but this machine.
///
/// # Errors
/// `Insecure`, naming the origin.
pub fn require_tls(url: &Url) -> Result<(), AddressError> {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
    if url.scheme() == "https" || (url.scheme() == "http" && loopback) {
        Ok(())
    } else {
        Err(AddressError::Insecure(url.origin().ascii_serialization()))
    }
}

/// One EHR of a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EhrConnection {
    pub tenant: TenantId,
    pub id: EhrId,
    pub base_url: BaseUrl,
    pub vendor: Vendor,
    /// As the EHR's administrator registered us.
    pub client_id: String,
    /// What we ask for; what is granted comes with each token.
    pub scopes: ScopeSet,
    #[serde(default)]
    pub settings: EhrSettings,
}

impl EhrConnection {
    /// What is asked for unless the operator says otherwise: what every run pulls, and to write back. What the live rules
    /// read comes on top ([`super::needed`]).
    pub const DEFAULT_SCOPES: &'static str = "system/Appointment.rs system/Communication.crus system/Condition.rs \
         system/Consent.rs system/Location.rs system/Patient.rs";

    /// The same, as far as this vendor has it: what a vendor does not have is not asked for.
    pub const fn scopes_for(vendor: Vendor) -> &'static str {
        match vendor {
            Vendor::Generic | Vendor::Hapi => Self::DEFAULT_SCOPES,
            Vendor::Epic => {
                "system/Appointment.rs system/Communication.crs system/Condition.rs system/Consent.rs \
                 system/DocumentReference.crs system/Group.r system/Location.r system/Patient.rs"
            }
            Vendor::Oracle => {
                "system/Appointment.rs system/Condition.rs system/Consent.rs system/DocumentReference.crs \
                 system/Group.r system/Location.r system/Patient.rs"
            }
            Vendor::Athena => {
                "system/Appointment.r system/Condition.rs system/Group.r system/Location.rs system/Patient.rs \
                 system/Subscription.cruds"
            }
        }
    }
}

/// What may be tuned for one connection. Every field has a default that is right for most servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EhrSettings {
    /// Further hosts that may receive our signed assertion, besides the host of the base URL.
    pub token_hosts: Vec<String>,
    /// Further hosts from which exported files may be fetched, such as the EHR's object storage; `*.` before a name means
    /// everything below it. Our token goes there only where the EHR links to such a host itself and says that it is needed.
    pub file_hosts: Vec<String>,
    /// Longest line of an exported file.
    pub max_line_megabytes: usize,
    /// Fixed algorithm, where discovery does not tell.
    pub signing_alg: Option<SigningAlg>,
    /// Our published JWKS URL, for servers that want it in the assertion's header.
    pub jku: Option<String>,
    /// Days after which a key is renewed by itself; 0 never, `None` for the default.
    pub rotate_keys_days: Option<u16>,
    /// Hours that the EHR takes to see a new key: some vendors copy client records to hospitals twice a day.
    pub key_sync_hours: u16,
    /// Added to the assertion's expiry, for a server with a wrong clock.
    pub exp_offset_seconds: i64,
    /// Ask also for what the live rules read, besides the scopes of this connection.
    pub scopes_follow_rules: bool,
    /// Ask for scopes in this version's words; otherwise discovery decides.
    pub scope_style: Option<ScopeStyle>,
    /// Added to every search, such as the practice at a server of many (`ah-practice`).
    pub search_parameters: BTreeMap<String, String>,
    /// How far appointments are looked at where they cannot be asked for by change, in days before and after today.
    pub appointment_days_back: u16,
    pub appointment_days_ahead: u16,
    /// Wanted page size (`_count`).
    pub page_size: Option<u32>,
    /// Give up a search after this many pages.
    pub max_pages: u32,
    /// Calls in flight at once, over all replicas.
    pub concurrency: u32,
    pub budget: BudgetSettings,
    pub timeout_seconds: u64,
    pub max_body_megabytes: usize,
    /// PEM of a hospital's own certificate authority.
    pub extra_ca_pem: Option<String>,
    pub proxy: Option<String>,
    /// Beats vendor profile and CapabilityStatement.
    pub plan: PlanOverrides,
}

impl Default for EhrSettings {
    fn default() -> Self {
        Self {
            token_hosts: Vec::new(),
            file_hosts: Vec::new(),
            max_line_megabytes: 16,
            signing_alg: None,
            jku: None,
            rotate_keys_days: None,
            key_sync_hours: 12,
            exp_offset_seconds: 0,
            scopes_follow_rules: false,
            scope_style: None,
            search_parameters: BTreeMap::new(),
            appointment_days_back: 30,
            appointment_days_ahead: 400,
            page_size: None,
            max_pages: 2_000,
            concurrency: 4,
            budget: BudgetSettings::default(),
            timeout_seconds: 120,
            max_body_megabytes: 64,
            extra_ca_pem: None,
            proxy: None,
            plan: PlanOverrides::default(),
        }
    }
}

impl EhrSettings {
    pub fn http(&self) -> HttpSettings {
        HttpSettings {
            timeout: Duration::from_secs(self.timeout_seconds),
            max_body_bytes: self.max_body_megabytes.saturating_mul(1024 * 1024),
            retry: RetryPolicy::default(),
            extra_ca_pem: self.extra_ca_pem.clone(),
            proxy: self.proxy.clone(),
            ..HttpSettings::default()
        }
    }
}

/// What the operator knows better than metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanOverrides {
    pub ask: BTreeMap<ResourceType, Ask>,
    pub changes: BTreeMap<ResourceType, Changes>,
    pub write_back: Option<WriteBack>,
    /// A Communication was created at this EHR to prove that it takes them.
    pub communication_proven: bool,
    pub batch: Option<bool>,
    /// Whose resources are exported in bulk.
    pub export: Option<Export>,
    /// Which types are, instead of those that the plan would choose.
    pub export_types: Option<Vec<ResourceType>>,
    /// How the EHR tells of changes, and of what: types, or topics by canonical URL.
    pub notices: Option<Notices>,
    pub topics: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_appended_to_the_whole_base() {
        let cases = [
            ("https://h/apis/fhir", "https://h/apis/fhir/.well-known/smart-configuration"),
            ("https://h/apis/fhir/", "https://h/apis/fhir/.well-known/smart-configuration"),
            ("https://h", "https://h/.well-known/smart-configuration"),
            ("https://h:8443/", "https://h:8443/.well-known/smart-configuration"),
        ];
        for (base, expected) in cases {
            let url = BaseUrl::parse(base).unwrap().join(".well-known/smart-configuration");
            assert_eq!(url.as_str(), expected, "{base}");
        }
    }

    #[test]
    fn only_this_machine_may_be_spoken_to_in_the_clear() {
        for good in
            ["http://127.0.0.1:8080/fhir", "http://localhost/fhir", "http://[::1]:80/fhir", "https://ehr.example"]
        {
            assert!(BaseUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://ehr.example/fhir",
            "http://localhost.evil.example/fhir",
            "http://128.0.0.1/fhir",
            "ftp://127.0.0.1",
            "https://user:pw@ehr.example/fhir",
            "https://ehr.example/fhir?x=1",
            "/fhir",
            "https:///fhir?",
        ] {
            assert!(BaseUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_come_back_from_json_and_unknown_names_are_refused() {
        let settings = EhrSettings { page_size: Some(50), ..EhrSettings::default() };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<EhrSettings>(&text).unwrap(), settings);
        assert_eq!(serde_json::from_str::<EhrSettings>("{}").unwrap(), EhrSettings::default());
        assert!(serde_json::from_str::<EhrSettings>(r#"{"page_sise": 3}"#).is_err());
    }
}
