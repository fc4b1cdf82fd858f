//! What the operator allows, and what of it holds at an instant.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::ehr::connection::Vendor;
use crate::store::CallLimits;

/// Of a day's calls so many percent are for pulls; the rest is kept for what is read before a message is sent and for
/// what is written back.
const FOR_BACKGROUND_PERCENT: u64 = 80;

/// How much of an EHR a connection may use. Without numbers only calls at once are limited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSettings {
    /// Calls a second, over all replicas.
    pub calls_per_second: Option<f64>,
    /// Calls a day of `zone`, over all replicas.
    pub calls_per_day: Option<u64>,
    /// The EHR's busy hours, in `zone`: from this hour on,
    pub peak_from_hour: u8,
    /// and until this one.
    pub peak_until_hour: u8,
    /// What pulls may use of rate and calls at once in busy hours, in percent; `None` takes what is known of the vendor.
    pub peak_share_percent: Option<u8>,
    /// Where the EHR's day and busy hours are; UTC if nobody said.
    pub zone: Option<Tz>,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self {
            calls_per_second: None,
            calls_per_day: None,
            peak_from_hour: 7,
            peak_until_hour: 19,
            peak_share_percent: None,
            zone: None,
        }
    }
}

/// Why a budget makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BudgetError {
    #[error("{0} calls a second cannot be kept; give a number above 0 and up to 1000, for example 5 or 0.5")]
    Rate(f64),
    #[error("a day needs at least 100 calls: with fewer no reminder can be checked before it is sent")]
    Day,
    #[error("busy hours are two hours of the day, the first below the second, up to 24")]
    Hours,
    #[error("the share of busy hours is 1 to 100 percent")]
    Share,
}

impl BudgetSettings {
    /// # Errors
    /// The first number that cannot be kept.
    pub fn check(&self) -> Result<(), BudgetError> {
        if let Some(rate) = self.calls_per_second.filter(|rate| !(*rate > 0.0 && *rate <= 1000.0)) {
            return Err(BudgetError::Rate(rate));
        }
        if self.calls_per_day.is_some_and(|calls| calls < 100) {
            return Err(BudgetError::Day);
        }
        if self.peak_from_hour >= self.peak_until_hour || self.peak_until_hour > 24 {
            return Err(BudgetError::Hours);
        }
        if self.peak_share_percent.is_some_and(|share| !(1..=100).contains(&share)) {
            return Err(BudgetError::Share);
        }
        Ok(())
    }

    pub fn zone(&self) -> Tz {
        self.zone.unwrap_or(Tz::UTC)
    }

    /// Epic asks for a fifth of the load at busy hours (1 % against 5 %, 07 to 19 h; vendor documentation, 2026); of the
    /// others nothing is known, and half is a courtesy.
    pub fn peak_share(&self, vendor: Vendor) -> u8 {
        self.peak_share_percent.unwrap_or(if vendor == Vendor::Epic { 20 } else { 50 }).clamp(1, 100)
    }

    pub fn is_peak(&self, now: DateTime<Utc>) -> bool {
        let hour = now.with_timezone(&self.zone()).hour();
        (u32::from(self.peak_from_hour)..u32::from(self.peak_until_hour)).contains(&hour)
    }

    fn day(&self, now: DateTime<Utc>) -> NaiveDate {
        now.with_timezone(&self.zone()).date_naive()
    }

    /// When the day's calls are counted from nought again.
    pub fn day_ends(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let next = self.day(now).checked_add_days(Days::new(1)).unwrap_or_default();
        // Where clocks jump at midnight the day begins at the first instant that exists.
        (0..=3)
            .filter_map(|hour| next.and_time(NaiveTime::from_hms_opt(hour, 0, 0)?).into())
            .find_map(|local| self.zone().from_local_datetime(&local).earliest())
            .map_or(now + TimeDelta::hours(24), |end| end.to_utc())
    }
}

/// What holds at one instant.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub shared: CallLimits,
    /// Calls at once that can wait, within this process: one replica leads the pulls of an EHR.
    pub background: u32,
}

impl Now {
    pub fn of(settings: &BudgetSettings, concurrency: u32, vendor: Vendor, now: DateTime<Utc>) -> Self {
        let share = if settings.is_peak(now) { u32::from(settings.peak_share(vendor)) } else { 100 };
        let concurrency = concurrency.max(1);
        let interval = |rate: f64| TimeDelta::microseconds((1_000_000.0 / rate).ceil() as i64);
        Self {
            shared: CallLimits {
                concurrency,
                interval: settings.calls_per_second.map(interval),
                background_interval: settings.calls_per_second.map(|rate| interval(rate * f64::from(share) / 100.0)),
                per_day: settings.calls_per_day,
                background_per_day: settings.calls_per_day.map(|calls| calls * FOR_BACKGROUND_PERCENT / 100),
                day: settings.day(now),
            },
            background: (concurrency * share / 100).max(1),
        }
    }

    /// Whether calls are counted at all.
    pub fn counts(&self) -> bool {
        self.shared.interval.is_some() || self.shared.per_day.is_some()
    }

    pub fn interval(&self, background: bool) -> TimeDelta {
        let interval = if background { self.shared.background_interval } else { self.shared.interval };
        interval.unwrap_or_default()
    }

    /// How many calls to lease in one go: about a second's, and of a day's at most a hundredth.
    pub fn portion(&self, background: bool) -> u32 {
        let of_rate = match self.interval(background).num_microseconds() {
            Some(micros) if micros > 0 => (1_000_000 / micros).max(1) as u64,
            _ => 50,
        };
        let of_day = self.shared.per_day.map_or(u64::MAX, |calls| (calls / 100).max(1));
        of_rate.min(of_day).min(200) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn chicago() -> BudgetSettings {
        BudgetSettings { zone: Some(Tz::America__Chicago), ..BudgetSettings::default() }
    }

    #[test]
    fn busy_hours_and_days_are_those_of_the_ehr() {
        let settings = chicago();
        for (now, peak) in [
            ("2026-03-02T12:59:00Z", false),
            ("2026-03-02T13:00:00Z", true),
            ("2026-03-03T00:59:00Z", true),
            ("2026-03-03T01:00:00Z", false),
        ] {
            assert_eq!(settings.is_peak(at(now)), peak, "{now}");
        }
        assert_eq!(settings.day_ends(at("2026-03-03T01:00:00Z")), at("2026-03-03T06:00:00Z"));
        // The night of the change to summer time, and a zone whose clocks jump at midnight.
        assert_eq!(settings.day_ends(at("2026-03-08T07:00:00Z")), at("2026-03-09T05:00:00Z"));
        let beirut = BudgetSettings { zone: Some(Tz::Asia__Beirut), ..BudgetSettings::default() };
        assert_eq!(beirut.day_ends(at("2026-03-28T12:00:00Z")), at("2026-03-28T22:00:00Z"));
    }

    #[test]
    fn pulls_use_a_part_at_busy_hours_and_everything_else_is_not_slowed() {
        let settings = BudgetSettings { calls_per_second: Some(10.0), calls_per_day: Some(1000), ..chicago() };
        let (noon, night) = (at("2026-03-02T18:00:00Z"), at("2026-03-02T08:00:00Z"));
        let cases = [(Vendor::Epic, noon, 1, 500), (Vendor::Generic, noon, 2, 200), (Vendor::Epic, night, 4, 100)];
        for (vendor, when, background, interval) in cases {
            let now = Now::of(&settings, 4, vendor, when);
            assert_eq!(now.background, background, "{vendor:?} at {when}");
            assert_eq!(now.interval(true), TimeDelta::milliseconds(interval), "{vendor:?} at {when}");
            assert_eq!(now.interval(false), TimeDelta::milliseconds(100));
            assert_eq!((now.shared.per_day, now.shared.background_per_day), (Some(1000), Some(800)));
        }
    }

    #[test]
    fn a_budget_that_cannot_be_kept_is_refused() {
        let ok = BudgetSettings::default();
        assert_eq!(ok.check(), Ok(()));
        for bad in [
            BudgetSettings { calls_per_second: Some(0.0), ..ok.clone() },
            BudgetSettings { calls_per_second: Some(f64::NAN), ..ok.clone() },
            BudgetSettings { calls_per_second: Some(1001.0), ..ok.clone() },
            BudgetSettings { calls_per_day: Some(99), ..ok.clone() },
            BudgetSettings { peak_from_hour: 19, peak_until_hour: 7, ..ok.clone() },
            BudgetSettings { peak_until_hour: 25, ..ok.clone() },
            BudgetSettings { peak_share_percent: Some(0), ..ok.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
