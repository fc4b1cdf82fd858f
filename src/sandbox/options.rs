//! What a hospital is started with, and why it may not start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono::TimeDelta;
use thiserror::Error;

use super::ehr::Personality;
use crate::clock::Clock;

/// What a hospital is started with. [`HospitalOptions::new`] fills in what a demo wants.
#[derive(Debug, Clone)]
pub struct HospitalOptions {
    /// How many patients; 0 leaves organization, locations and practitioners only.
    pub patients: u32,
    pub seed: u64,
    pub personality: Personality,
    /// The clock that stamps, expires and lets days pass.
    pub clock: Arc<dyn Clock>,
    pub listen: IpAddr,
    /// 0 takes a free port, here and below.
    pub http_port: u16,
    pub smtp_port: u16,
    pub smtps_port: u16,
    /// How long an access token lives.
    pub token_life: TimeDelta,
    /// From a text to its first status callback, and from that to the second.
    pub callback_delay: TimeDelta,
    /// Whether appointments move, are kept and missed as time passes.
    pub script: bool,
    /// Whether some patients answer texts.
    pub patients_reply: bool,
    /// Login and password that the mail server asks for.
    pub smtp_login: Option<(String, String)>,
    /// Where what patients write is posted.
    pub inbound_url: Option<String>,
    /// How often time passes by itself; otherwise only through `Hospital::advance_to`.
    pub tick_every: Option<std::time::Duration>,
}

impl HospitalOptions {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            patients: 100,
            seed: 1,
            personality: Personality::hapi(),
            clock,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            smtp_port: 0,
            smtps_port: 0,
            token_life: TimeDelta::seconds(300),
            callback_delay: TimeDelta::seconds(2),
            script: true,
            patients_reply: true,
            smtp_login: None,
            inbound_url: None,
            tick_every: None,
        }
    }
}

#[derive(Debug, Error)]
pub enum SandboxError {
    #[error("the simulated hospital cannot listen on {address}: {source}; choose another port or address")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the simulated hospital cannot make an HTTP client: {0}")]
    HttpClient(#[from] reqwest::Error),
    #[error("the simulated mail server cannot make its certificates: {0}")]
    Certificates(String),
    #[error("line {line} is not a FHIR resource with resourceType and id")]
    Resource { line: usize },
    #[error("the webhook for what patients write is not set or did not answer")]
    Webhook,
}
