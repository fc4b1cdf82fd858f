//! Occasions by the calendar: a cron expression on the wall clock of a facility.

use std::str::FromStr as _;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::moment::on_wall;

/// How to write a schedule, for messages.
const FORM: &str = "write minute, hour, day of the month, month and day of the week by name, such as \"0 10 15 SEP *\" or \"30 9 * * MON\"";

/// A cron expression of five fields. It runs on the clock on the wall: where the clock skips the time, the first minute
/// after; where the clock shows it twice, the first time only.
#[derive(Debug, Clone)]
pub(super) struct Schedule(cron::Schedule);

impl Schedule {
    /// # Errors
    /// What is wrong, and how to write it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [.., weekday] = fields.as_slice() else { return Err(format!("the schedule is empty: {FORM}")) };
        if fields.len() != 5 {
            return Err(format!("\"{text}\" has {} fields: {FORM}", fields.len()));
        }
        // By number Monday is 1 to some and 2 to others.
        if weekday.chars().any(|c| c.is_ascii_digit()) {
            return Err(format!("the day of the week \"{weekday}\" is a number, which tools read differently: {FORM}"));
        }
        let schedule = cron::Schedule::from_str(&format!("0 {}", fields.join(" ")))
            .map_err(|_| format!("\"{text}\" is not a schedule: {FORM}"))?;
        let schedule = Self(schedule);
        let comes = schedule.after(DateTime::UNIX_EPOCH, Tz::UTC).next().is_some();
        if comes { Ok(schedule) } else { Err(format!("\"{text}\" names a day that never comes")) }
    }

    /// Its instants after `from`, in order.
    pub(super) fn after(&self, from: DateTime<Utc>, zone: Tz) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        // A time that the clock skips is put off by the gap: begin early enough to see it.
        let wall = (from.with_timezone(&zone).naive_local() - TimeDelta::days(2)).and_utc();
        let mut last = from;
        self.0.after(&wall).filter_map(move |local| {
            let instant = on_wall(local.naive_utc(), zone)?;
            // Two times that fall into one gap are one instant.
            (instant > last).then(|| {
                last = instant;
                instant
            })
        })
    }

    pub(super) fn includes(&self, instant: DateTime<Utc>, zone: Tz) -> bool {
        self.after(instant - TimeDelta::seconds(1), zone).next() == Some(instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia, Europe};

    #[test]
    fn a_schedule_runs_on_the_clock_on_the_wall() {
        for (text, from, zone, expected) in [
            ("0 10 15 SEP *", "2026-06-01T00:00:00Z", America::Chicago, &["2026-09-15T15:00", "2027-09-15T15:00"][..]),
            ("30 9 * * MON", "2026-03-01T00:00:00Z", America::New_York, &["2026-03-02T14:30", "2026-03-09T13:30"]),
            // The clocks skip 02:30 on 8 March 2026, and show 01:30 twice on 1 November.
            ("30 2 * * *", "2026-03-07T12:00:00Z", America::New_York, &["2026-03-08T07:00", "2026-03-09T06:30"]),
            ("30 1 * * *", "2026-10-31T12:00:00Z", America::New_York, &["2026-11-01T05:30", "2026-11-02T06:30"]),
            ("0,30 2 * * *", "2026-03-28T12:00:00Z", Europe::Berlin, &["2026-03-29T01:00", "2026-03-30T00:00"]),
            ("0 9 29 FEB *", "2026-01-01T00:00:00Z", Asia::Kathmandu, &["2028-02-29T03:15", "2032-02-29T03:15"]),
        ] {
            let schedule = Schedule::parse(text).unwrap();
            let got: Vec<String> = schedule
                .after(from.parse().unwrap(), zone)
                .take(2)
                .map(|it| it.format("%Y-%m-%dT%H:%M").to_string())
                .collect();
            assert_eq!(got, expected, "{text}");
            for instant in schedule.after(from.parse().unwrap(), zone).take(3) {
                assert!(schedule.includes(instant, zone));
                assert!(!schedule.includes(instant + TimeDelta::minutes(1), zone));
            }
        }
    }

    #[test]
    fn what_tools_read_differently_is_refused() {
        for (text, part) in [
            ("0 9 * * 1", "by name"),
            ("0 9 * *", "4 fields"),
            ("0 0 9 * * MON", "6 fields"),
            ("", "empty"),
            ("0 9 30 FEB *", "never comes"),
            ("0 25 * * *", "not a schedule"),
        ] {
            let told = Schedule::parse(text).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
