//! Which time zone a person may be in, and how we came to think so.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// One reason to believe that a person lives in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneCandidate {
    pub zone: Tz,
    pub source: ZoneSource,
}

/// Where a candidate comes from. All candidates count at once: sending is allowed only where all of them allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneSource {
    /// Set by staff, by the patient, or stated on the record. Beats all others.
    Explicit,
    Address,
    AreaCode,
    Facility,
}

/// When a date begins on the wall clock of `zone`. Where midnight is skipped, the day begins an hour later.
pub fn date_begins(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    (0..4)
        .find_map(|hour| zone.with_ymd_and_hms(date.year(), date.month(), date.day(), hour, 0, 0).earliest())
        .map_or_else(|| date.and_time(chrono::NaiveTime::MIN).and_utc(), |at| at.with_timezone(&Utc))
}
