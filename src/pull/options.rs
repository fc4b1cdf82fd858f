//! How a run is to be made.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;

use crate::config::Settings;

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What changed, where the server can tell; everything where it cannot or where a full listing is due.
    #[default]
    Increment,
    /// Everything of every type.
    Full,
}

/// What a run needs to know besides the connection.
#[derive(Debug, Clone)]
pub struct PullOptions {
    pub mode: Mode,
    /// How far an increment reaches back before its watermark: late commits and lagging replicas of the server.
    pub overlap: TimeDelta,
    /// Everything is listed again after this long, because a search never shows what was deleted.
    pub full_every: TimeDelta,
    /// Wanted page size, unless the connection has its own.
    pub page_size: u32,
    /// Region in which telephone numbers without a country code are read.
    pub region: String,
    /// How long a run waits for a bulk export that the EHR prepares; the next run goes on where this one stops waiting.
    pub patience: Duration,
    /// Where EHRs reach this gateway; without it no subscription is made.
    pub public_url: Option<String>,
    /// Who started it: `scheduler`, `cli:root`, `subscription`.
    pub triggered_by: String,
    /// Name and zone of a facility that has none of its own, and zones of Locations by id.
    pub organisation: String,
    pub zone: Option<Tz>,
    pub location_zones: BTreeMap<String, Tz>,
}

impl PullOptions {
    pub fn new(settings: &Settings, mode: Mode, triggered_by: &str) -> Self {
        Self {
            mode,
            overlap: TimeDelta::minutes(settings.pull.overlap_minutes.into()),
            full_every: TimeDelta::hours(24),
            page_size: settings.pull.page_size,
            patience: Duration::ZERO,
            public_url: Some(settings.server.public_url.clone()),
            region: settings.organisation.region.clone(),
            triggered_by: triggered_by.to_owned(),
            organisation: settings.organisation.name.clone(),
            zone: settings.organisation.zone,
            location_zones: settings.organisation.location_zones.clone(),
        }
    }
}
