//! The settings: one file, the environment over it, secrets from files. Parsing reports every problem at once, each
//! with its key, what is wrong and what to write. This is the only room that reads the environment. It knows no other
//! room, so everything here is plain data.

mod reader;
mod sections;
mod sources;
mod text;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::NaiveTime;
use chrono_tz::Tz;
use secrecy::SecretString;

pub use reader::Problem;
pub use sources::{ConfigError, load, load_text, operating_user};

/// Everything a gateway needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: Server,
    pub database: Database,
    pub seal: Seal,
    pub organisation: Organisation,
    pub send: Send,
    pub smtp: Option<Smtp>,
    pub sms: Option<Sms>,
    pub rules: Rules,
    pub pull: Pull,
    pub hl7: Option<Hl7>,
    pub session: Session,
    pub alerts: Alerts,
    pub history: History,
    pub log: Log,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
    pub listen: SocketAddr,
    /// How browsers, EHRs and providers reach this gateway; no trailing slash.
    pub public_url: String,
}

/// `[database]`
#[derive(Debug, Clone)]
pub struct Database {
    /// `sqlite://PATH` or `postgres://…`; may hold a password, so it is a secret.
    pub url: SecretString,
    pub max_connections: u32,
}

/// `[seal]`
#[derive(Debug, Clone)]
pub struct Seal {
    /// 32 bytes, base64.
    pub root_key: SecretString,
}

/// `[organisation]`: the defaults of the one tenant that the file describes.
#[derive(Debug, Clone)]
pub struct Organisation {
    pub name: String,
    /// What patients may call.
    pub phone: String,
    /// ISO 3166-1 alpha-2; numbers without a country code are read in it.
    pub region: String,
    /// Zone of a facility that has none of its own.
    pub zone: Option<Tz>,
    /// Zones of Locations, by FHIR id.
    pub location_zones: BTreeMap<String, Tz>,
}

/// `[send]`: defaults of invariants I3, I4 and I10.
#[derive(Debug, Clone)]
pub struct Send {
    /// Reachable in `test` mode; nobody else is.
    pub safe_addresses: Vec<String>,
    pub allowed_from: NaiveTime,
    pub allowed_until: NaiveTime,
    pub per_day: u32,
    pub per_week: u32,
    /// A run that would release over this many times the usual hour holds for a person.
    pub flood_factor: u32,
    /// Below this many an hour nothing is held.
    pub flood_floor: u32,
    /// Attempts per message before it counts as failed.
    pub attempts: u32,
    /// What the clinic writes in where no text is in a language that the person reads (two letters). Without it such a
    /// person gets nothing.
    pub second_language: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// STARTTLS is required; a relay that does not offer it is refused.
    Starttls,
    /// TLS from the first byte (port 465).
    Implicit,
    /// No TLS, accepted for a mail catcher on the loopback interface only.
    PlainLoopback,
}

/// `[smtp]`
#[derive(Debug, Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    pub username: Option<String>,
    pub password: Option<SecretString>,
    pub from: String,
    pub from_name: Option<String>,
    pub reply_to: Option<String>,
    /// PEM of a private certificate authority, trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    pub hello_name: Option<String>,
    pub connections: u32,
    pub timeout_seconds: u64,
}

/// `[sms]`: an API that speaks as Twilio's does.
#[derive(Debug, Clone)]
pub struct Sms {
    pub base_url: String,
    pub account_sid: String,
    /// API key SID; without it the account SID signs in.
    pub api_key: Option<String>,
    /// The API key's secret, or the account's auth token.
    pub secret: SecretString,
    /// Auth tokens that webhooks may be signed with: one, or two while rotating.
    pub webhook_tokens: Vec<SecretString>,
    pub from: Option<String>,
    pub messaging_service: Option<String>,
    pub timeout_seconds: u64,
    /// Region of numbers without a country code, from `[organisation]`.
    pub region: String,
    /// Unguessable part of the webhook addresses.
    pub hook_secret: SecretString,
}

impl Sms {
    /// Where the provider reports what became of a text. Unguessable, beside being signed.
    pub fn status_url(&self, server: &Server) -> String {
        use secrecy::ExposeSecret as _;
        format!("{}/hooks/twilio/{}/status", server.public_url, self.hook_secret.expose_secret())
    }

    /// Where the provider delivers what patients text.
    pub fn inbound_url(&self, server: &Server) -> String {
        use secrecy::ExposeSecret as _;
        format!("{}/hooks/twilio/{}/inbound", server.public_url, self.hook_secret.expose_secret())
    }
}

/// `[rules]`
#[derive(Debug, Clone)]
pub struct Rules {
    /// A folder of rules; without it the starter rules in the binary are used.
    pub folder: Option<PathBuf>,
    /// Ids of the rules that are live.
    pub live: Vec<String>,
}

/// `[pull]`
#[derive(Debug, Clone)]
pub struct Pull {
    pub interval_minutes: u32,
    /// How far an increment reaches back before its watermark.
    pub overlap_minutes: u32,
    pub page_size: u32,
}

/// `[hl7]`: ADT and SIU messages of one EHR's interface engine, over MLLP.
#[derive(Debug, Clone)]
pub struct Hl7 {
    pub listen: SocketAddr,
    /// Id of the connection whose patients the messages are about.
    pub ehr: String,
    /// Always there unless `listen` is this machine alone.
    pub tls: Option<Hl7Tls>,
    /// FHIR identifier systems of record numbers, by the assigning authority's name (CX.4).
    pub systems: BTreeMap<String, String>,
    pub appointment_ids: AppointmentIds,
    /// Largest message.
    pub max_kilobytes: u32,
}

/// Certificates of the listener, as PEM files.
#[derive(Debug, Clone)]
pub struct Hl7Tls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Authority that the engine's certificate is of.
    pub client_ca_file: PathBuf,
}

/// Which number of an SIU message is the id of the Appointment at the EHR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppointmentIds {
    None,
    /// SCH-2.
    Filler,
    /// SCH-1.
    Placer,
}

/// `[session]`
#[derive(Debug, Clone)]
pub struct Session {
    pub idle_minutes: u32,
    pub absolute_hours: u32,
}

/// `[alerts]`
#[derive(Debug, Clone)]
pub struct Alerts {
    pub email: Option<String>,
    pub webhook_url: Option<String>,
    /// Signs the webhook's body (HMAC-SHA-256).
    pub webhook_secret: Option<SecretString>,
}

/// `[history]`: where signed checkpoints go, so that they are out of the operator's hands.
#[derive(Debug, Clone)]
pub struct History {
    pub checkpoint_minutes: u32,
    /// A folder that another machine keeps, or that cannot be written twice.
    pub checkpoint_folder: Option<PathBuf>,
    /// Takes each checkpoint by POST.
    pub checkpoint_url: Option<String>,
    pub checkpoint_email: Option<String>,
    pub bucket: Option<Bucket>,
}

/// `[history]`, the keys `bucket…`: an S3-compatible bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub url: String,
    pub name: String,
    pub region: String,
    /// Before the name of each object.
    pub prefix: String,
    pub access_key: String,
    pub secret_key: SecretString,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `beckon=debug,info`.
    pub filter: String,
}
