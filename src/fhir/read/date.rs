//! FHIR dates: `instant`, and `dateTime` with less precision than a second (R4 datatypes.html#dateTime).

use chrono::{DateTime, Days, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::Value;

use crate::fhir::json;

/// Why a text is no usable point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    #[error("has no offset from UTC, so the moment cannot be told")]
    NoOffset,
    #[error("is only a date, not a moment")]
    NoTime,
    #[error("is not a date of the calendar")]
    NotADate,
    #[error("is not a string")]
    NotText,
}

/// Reads an `instant`. Seconds may be missing (seen in the field); the offset may not: eight hours more or less is a
/// wrong appointment.
pub fn instant(text: &str) -> Result<DateTime<Utc>, DateError> {
    let text = text.trim();
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    let zulu = text.strip_suffix(['Z', 'z']).map(|rest| format!("{rest}+00:00"));
    if let Ok(moment) = DateTime::parse_from_str(zulu.as_deref().unwrap_or(text), "%Y-%m-%dT%H:%M%:z") {
        return Ok(moment.to_utc());
    }
    let Some((date, time)) = text.split_once(['T', ' ']) else {
        return Err(if day_span(text).is_some() { DateError::NoTime } else { DateError::NotADate });
    };
    let local = time.split('.').next().unwrap_or(time);
    let is_time = ["%H:%M:%S", "%H:%M"].iter().any(|form| NaiveTime::parse_from_str(local, form).is_ok());
    Err(if day_span(date).is_some() && is_time { DateError::NoOffset } else { DateError::NotADate })
}

/// The time that a period covers; an absent bound is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub start: Option<DateTime<Utc>>,
    pub end: Option<DateTime<Utc>>,
    /// A bound had a time without offset and was read as its whole day.
    pub coarse: bool,
}

impl Span {
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.end.is_some_and(|end| end < now)
    }
}

pub(super) fn period(period: &Value) -> Result<Span, DateError> {
    let (start, end) = (bound(period, "start")?, bound(period, "end")?);
    Ok(Span {
        start: start.map(|bound| bound.first),
        end: end.map(|bound| bound.last),
        coarse: [start, end].iter().flatten().any(|bound| bound.coarse),
    })
}

/// The moments that one end of a period may mean.
#[derive(Clone, Copy)]
struct Bound {
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    coarse: bool,
}

fn bound(period: &Value, key: &str) -> Result<Option<Bound>, DateError> {
    if !json::present(period, key) {
        return Ok(None);
    }
    let text = json::text(period, key).ok_or(DateError::NotText)?;
    let (span, coarse) = match instant(text) {
        Ok(moment) => (Some((moment, moment)), false),
        Err(DateError::NoOffset) => (text.get(..10).and_then(day_span), true),
        Err(_) => (day_span(text), false),
    };
    let (first, last) = span.ok_or(DateError::NotADate)?;
    Ok(Some(Bound { first, last, coarse }))
}

/// First and last moment (UTC) of a `YYYY`, `YYYY-MM` or `YYYY-MM-DD`. R4: an end of `2012-02-03` includes that day.
fn day_span(text: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let (first, next) = partial_date(text)?;
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    Some((midnight(first), midnight(next) - TimeDelta::microseconds(1)))
}

/// The day a partial date begins with, and the first day after it.
pub(super) fn partial_date(text: &str) -> Option<(NaiveDate, NaiveDate)> {
    if !text.is_ascii() || !text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    match text.len() {
        4 => {
            let year = NaiveDate::from_ymd_opt(text.parse().ok()?, 1, 1)?;
            Some((year, year.checked_add_months(Months::new(12))?))
        }
        7 => {
            let month = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
            Some((month, month.checked_add_months(Months::new(1))?))
        }
        10 => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            Some((day, day.checked_add_days(Days::new(1))?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_needs_an_offset() {
        for (text, expected) in [
            ("2026-03-02T15:04:05Z", Ok("2026-03-02T15:04:05+00:00")),
            ("2026-03-02T15:04:05.123-06:00", Ok("2026-03-02T21:04:05.123+00:00")),
            ("2026-03-02T15:04-06:00", Ok("2026-03-02T21:04:00+00:00")),
            ("2026-03-02T15:04Z", Ok("2026-03-02T15:04:00+00:00")),
            ("2026-03-02T15:04:05", Err(DateError::NoOffset)),
            ("2026-03-02T15:04:05.5", Err(DateError::NoOffset)),
            ("2026-03-02 15:04", Err(DateError::NoOffset)),
            ("2026-03-02", Err(DateError::NoTime)),
            ("2026-03", Err(DateError::NoTime)),
            ("2026-02-30T15:04:05Z", Err(DateError::NotADate)),
            ("2026-02-30", Err(DateError::NotADate)),
            ("tomorrow", Err(DateError::NotADate)),
            ("2026-03-02T25:00:00Z", Err(DateError::NotADate)),
            ("ü026-03-02T15:04:05", Err(DateError::NotADate)),
            ("", Err(DateError::NotADate)),
        ] {
            assert_eq!(instant(text).map(|moment| moment.to_rfc3339()), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn the_end_of_a_period_includes_the_whole_day_month_or_year() {
        for (end, last) in [
            ("2024", "2024-12-31T23:59:59.999999+00:00"),
            ("2024-02", "2024-02-29T23:59:59.999999+00:00"),
            ("2024-02-03", "2024-02-03T23:59:59.999999+00:00"),
            ("2024-02-03T10:00:00-05:00", "2024-02-03T15:00:00+00:00"),
            ("2024-02-03T10:00:00", "2024-02-03T23:59:59.999999+00:00"),
        ] {
            let span = period(&json!({"start": "2020", "end": end})).unwrap();
            assert_eq!(span.end.unwrap().to_rfc3339(), last, "{end}");
            assert_eq!(span.start.unwrap().to_rfc3339(), "2020-01-01T00:00:00+00:00");
        }
        assert_eq!(period(&json!({"end": "soon"})), Err(DateError::NotADate));
        assert_eq!(period(&json!({"end": 2024})), Err(DateError::NotText));
        assert_eq!(period(&json!({})), Ok(Span::default()));
    }
}
