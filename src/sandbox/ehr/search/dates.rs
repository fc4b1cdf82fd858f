//! Dates of any precision as the stretch of time that they cover (R4 search.html#date).

use chrono::{DateTime, Days, Duration, Months, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value;

/// From the first instant to just before the last. A date without offset is read as UTC: the server's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub low: DateTime<Utc>,
    pub high: DateTime<Utc>,
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, or a date with time, with or without offset and fraction.
pub fn stretch(text: &str) -> Option<Stretch> {
    let (low, high) = match text.len() {
        4 => {
            let first = NaiveDate::from_ymd_opt(text.parse().ok()?, 1, 1)?;
            (midnight(first), midnight(first.checked_add_months(Months::new(12))?))
        }
        7 => {
            let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
            (midnight(first), midnight(first.checked_add_months(Months::new(1))?))
        }
        10 => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            (midnight(day), midnight(day.checked_add_days(Days::new(1))?))
        }
        16 => {
            let minute = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok()?.and_utc();
            (minute, minute + Duration::minutes(1))
        }
        _ => {
            let instant = match DateTime::parse_from_rfc3339(text) {
                Ok(instant) => instant.with_timezone(&Utc),
                Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?.and_utc(),
            };
            let width =
                match text.split_once('.').map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).count()) {
                    None => Duration::seconds(1),
                    Some(1..=3) => Duration::milliseconds(1),
                    Some(_) => Duration::microseconds(1),
                };
            (instant, instant + width)
        }
    };
    Some(Stretch { low, high })
}

/// The stretch of an element: a date in text, or a Period, whose open ends reach far.
pub fn of(value: &Value) -> Option<Stretch> {
    if let Some(text) = value.as_str() {
        return stretch(text);
    }
    let start = value["start"].as_str().and_then(stretch);
    let end = value["end"].as_str().and_then(stretch);
    if start.is_none() && end.is_none() {
        return None;
    }
    Some(Stretch {
        low: start.map_or(DateTime::<Utc>::MIN_UTC, |s| s.low),
        high: end.map_or(DateTime::<Utc>::MAX_UTC, |s| s.high),
    })
}

/// A comparison of a search value: `ge2026-01-01`.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    prefix: &'static str,
    asked: Stretch,
}

const PREFIXES: [&str; 8] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"];

pub fn bound(text: &str) -> Option<Bound> {
    let prefix = PREFIXES.into_iter().find(|prefix| text.starts_with(prefix));
    let asked = stretch(text.strip_prefix(prefix.unwrap_or_default())?)?;
    Some(Bound { prefix: prefix.unwrap_or("eq"), asked })
}

impl Bound {
    pub fn holds(&self, found: Stretch) -> bool {
        let asked = self.asked;
        let inside = found.low >= asked.low && found.high <= asked.high;
        match self.prefix {
            "ne" => !inside,
            "gt" => found.high > asked.high,
            "lt" => found.low < asked.low,
            "ge" => found.high > asked.high || inside,
            "le" => found.low < asked.low || inside,
            "sa" => found.low >= asked.high,
            "eb" => found.high <= asked.low,
            _ => inside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_compares_stretches_not_texts() {
        for (bound_text, found, holds) in [
            ("ge2026-03-01", "2026-03-01T00:00:00Z", true),
            ("ge2026-03-01", "2026-02-28T23:59:59Z", false),
            ("gt2026-03-01", "2026-03-01T12:00:00Z", false),
            ("lt2026-03-02", "2026-03-01T23:59:59Z", true),
            ("le2026-03-01", "2026-03-01T12:00:00-05:00", true),
            ("le2026-03-01", "2026-03-01T22:00:00-05:00", false),
            ("2026", "2026-07-04", true),
            ("2026-07", "2026", false),
            ("ne2026-07-04", "2026-07-04", false),
            ("ge2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00.500100Z", true),
            ("ge2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00.499999Z", false),
            ("sa2026-03-01", "2026-03-02", true),
            ("eb2026-03-01", "2026-02-28", true),
        ] {
            let holds_now = bound(bound_text).unwrap().holds(stretch(found).unwrap());
            assert_eq!(holds_now, holds, "{bound_text} on {found}");
        }
        assert!(bound("geyesterday").is_none());
    }
}
