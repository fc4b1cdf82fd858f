//! When a person may be contacted, given every zone that the person may be in.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::ZoneCandidate;

use super::AllowedHours;
use super::moment::on_wall;

/// The first instant from `now` on at which the clocks of *all* candidates lie within the allowed hours: `now` itself
/// where they do. `None` where there is no candidate, or no common hour within nine days.
pub fn next_opening(now: DateTime<Utc>, candidates: &[ZoneCandidate], hours: &AllowedHours) -> Option<DateTime<Utc>> {
    if candidates.is_empty() {
        return None;
    }
    let limit = now + TimeDelta::days(9);
    let mut instant = now;
    while instant < limit {
        let Some(closed) = candidates.iter().find(|candidate| !is_open(instant, candidate, hours)) else {
            return Some(instant);
        };
        let local = instant.with_timezone(&closed.zone).naive_local();
        let day = if local.time() < hours.opens() { local.date() } else { local.date().succ_opt()? };
        let opening = on_wall(day.and_time(hours.opens()), closed.zone)?;
        // In the second pass of a repeated hour the first showing of the opening lies behind.
        instant = if opening > instant { opening } else { instant + TimeDelta::minutes(1) };
    }
    None
}

fn is_open(instant: DateTime<Utc>, candidate: &ZoneCandidate, hours: &AllowedHours) -> bool {
    let time = instant.with_timezone(&candidate.zone).time();
    hours.opens() <= time && time < hours.closes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ZoneSource;
    use chrono::NaiveTime;
    use chrono_tz::{America, Asia, Europe, Pacific, Tz};

    fn opening(now: &str, zones: &[Tz]) -> Option<String> {
        let candidates: Vec<_> =
            zones.iter().map(|zone| ZoneCandidate { zone: *zone, source: ZoneSource::Address }).collect();
        next_opening(now.parse().unwrap(), &candidates, &AllowedHours::default())
            .map(|at| at.format("%Y-%m-%dT%H:%M").to_string())
    }

    #[test]
    fn nobody_is_contacted_outside_the_hours_of_any_zone_they_may_be_in() {
        let east = America::New_York;
        let west = America::Los_Angeles;
        for (now, zones, expected) in [
            ("2026-06-10T15:00:00Z", &[east][..], Some("2026-06-10T15:00")),
            // 07:59 and 08:00, 20:59 and 21:00 on the patient's clock.
            ("2026-06-10T11:59:00Z", &[east], Some("2026-06-10T12:00")),
            ("2026-06-10T12:00:00Z", &[east], Some("2026-06-10T12:00")),
            ("2026-06-11T00:59:00Z", &[east], Some("2026-06-11T00:59")),
            ("2026-06-11T01:00:00Z", &[east], Some("2026-06-11T12:00")),
            // Both coasts at once: from 08:00 in the west to 21:00 in the east.
            ("2026-06-10T12:30:00Z", &[east, west], Some("2026-06-10T15:00")),
            ("2026-06-11T01:30:00Z", &[east, west], Some("2026-06-11T15:00")),
            ("2026-06-11T01:30:00Z", &[west], Some("2026-06-11T01:30")),
            // Hawaii and the east coast share eight hours or less.
            ("2026-06-10T13:00:00Z", &[east, Pacific::Honolulu], Some("2026-06-10T18:00")),
            // A zone off the full hour.
            ("2026-06-10T02:00:00Z", &[Asia::Kolkata], Some("2026-06-10T02:30")),
            ("2026-06-10T02:00:00Z", &[Asia::Kathmandu], Some("2026-06-10T02:15")),
            // The morning after the clocks went forward and back.
            ("2026-03-08T04:00:00Z", &[east], Some("2026-03-08T12:00")),
            ("2026-11-01T03:00:00Z", &[east], Some("2026-11-01T13:00")),
            // No evidence, and evidence that never agrees.
            ("2026-06-10T15:00:00Z", &[], None),
            ("2026-06-10T15:00:00Z", &[Pacific::Auckland, Europe::London, west], None),
        ] {
            assert_eq!(opening(now, zones).as_deref(), expected, "{now} {zones:?}");
        }
    }

    #[test]
    fn an_opening_in_a_repeated_hour_is_found_without_going_back() {
        let hours =
            AllowedHours::new(NaiveTime::from_hms_opt(1, 30, 0).unwrap(), NaiveTime::from_hms_opt(2, 0, 0).unwrap());
        let candidate = ZoneCandidate { zone: America::New_York, source: ZoneSource::Explicit };
        let second_pass: DateTime<Utc> = "2026-11-01T06:10:00Z".parse().unwrap();
        let found = next_opening(second_pass, &[candidate], &hours.unwrap()).unwrap();
        assert_eq!(found.to_rfc3339(), "2026-11-01T06:30:00+00:00");
    }
}
