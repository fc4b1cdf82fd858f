//! Dates, dates with time and times of day, each with the precision it was written in.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use std::fmt;

/// How much of a date or time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Only the year.
    Year,
    /// Year and month.
    Month,
    /// A whole day.
    Day,
    /// Only the hour of the time.
    Hour,
    /// Hour and minute.
    Minute,
    /// Seconds.
    Second,
    /// Seconds with a fraction, kept to the millisecond.
    Millisecond,
}

/// A date of precision year, month or day. Unknown parts are held as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    pub(crate) first: NaiveDate,
    pub(crate) precision: Precision,
}

/// A date with a time, or a date alone where only that is known; perhaps with an offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The first instant of what is known, on the wall clock of `offset`.
    pub(crate) first: NaiveDateTime,
    pub(crate) precision: Precision,
    /// Minutes east of UTC.
    pub(crate) offset: Option<i16>,
}

/// A time of day of precision hour to millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    pub(crate) first: NaiveTime,
    pub(crate) precision: Precision,
}

impl From<NaiveDate> for Date {
    fn from(first: NaiveDate) -> Self {
        Self { first, precision: Precision::Day }
    }
}

impl<Z: chrono::TimeZone> From<chrono::DateTime<Z>> for DateTime {
    /// Keeps the wall clock and the offset; rounded down to the millisecond.
    fn from(instant: chrono::DateTime<Z>) -> Self {
        use chrono::Offset;
        let minutes = instant.offset().fix().local_minus_utc() / 60;
        Self {
            first: cut_to_millisecond(instant.naive_local()),
            precision: Precision::Millisecond,
            offset: Some(minutes as i16),
        }
    }
}

pub(crate) fn cut_to_millisecond(at: NaiveDateTime) -> NaiveDateTime {
    let nanosecond = at.nanosecond() / 1_000_000 * 1_000_000;
    at.with_nanosecond(nanosecond).unwrap_or(at)
}

fn digits(text: &str, width: usize) -> Option<u32> {
    (text.len() == width && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

impl Date {
    /// Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let year = digits(parts.next()?, 4)? as i32;
        let month = parts.next().map(|part| digits(part, 2));
        let day = parts.next().map(|part| digits(part, 2));
        if parts.next().is_some() {
            return None;
        }
        let (month, day, precision) = match (month, day) {
            (None, _) => (1, 1, Precision::Year),
            (Some(month), None) => (month?, 1, Precision::Month),
            (Some(month), Some(day)) => (month?, day?, Precision::Day),
        };
        Some(Self { first: NaiveDate::from_ymd_opt(year, month, day)?, precision })
    }

    /// How much of the date is known.
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// The calendar day, where it is known.
    pub fn day(self) -> Option<NaiveDate> {
        (self.precision == Precision::Day).then_some(self.first)
    }

    pub(crate) fn to_date_time(self) -> DateTime {
        DateTime { first: self.first.and_time(NaiveTime::MIN), precision: self.precision, offset: None }
    }
}

impl Time {
    /// Reads `hh`, `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let hour = digits(parts.next()?, 2)?;
        let (mut minute, mut second, mut milli) = (0, 0, 0);
        let mut precision = Precision::Hour;
        if let Some(part) = parts.next() {
            minute = digits(part, 2)?;
            precision = Precision::Minute;
        }
        if let Some(part) = parts.next() {
            let (whole, fraction) = part.split_once('.').map_or((part, None), |(w, f)| (w, Some(f)));
            // A leap second is the last moment of its minute.
            second = digits(whole, 2)?.min(if digits(whole, 2)? == 60 { 59 } else { 99 });
            precision = Precision::Second;
            if let Some(fraction) = fraction {
                if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                let three: String = fraction.chars().chain("00".chars()).take(3).collect();
                milli = digits(&three, 3)?;
                precision = Precision::Millisecond;
            }
        }
        if parts.next().is_some() {
            return None;
        }
        Some(Self { first: NaiveTime::from_hms_milli_opt(hour, minute, second, milli)?, precision })
    }

    /// How much of the time is known.
    pub fn precision(self) -> Precision {
        self.precision
    }
}

impl DateTime {
    /// Reads a FHIR dateTime or instant, or a FHIRPath literal without its `@`.
    pub fn parse(text: &str) -> Option<Self> {
        let Some((date, clock)) = text.split_once('T') else {
            return Date::parse(text).map(Date::to_date_time);
        };
        let date = Date::parse(date)?;
        if clock.is_empty() {
            return Some(date.to_date_time());
        }
        let (clock, offset) = if let Some(clock) = clock.strip_suffix('Z') {
            (clock, Some(0))
        } else if let Some(at) = clock.find(['+', '-']) {
            (&clock[..at], Some(parse_offset(&clock[at..])?))
        } else {
            (clock, None)
        };
        let time = Time::parse(clock)?;
        let day = date.day()?;
        Some(Self { first: day.and_time(time.first), precision: time.precision, offset })
    }

    /// How much is known.
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// The calendar part as written, without conversion between zones.
    pub fn date(self) -> Date {
        Date { first: self.first.date(), precision: self.precision.min(Precision::Day) }
    }

    /// The first instant of what is known, where time and offset are.
    pub fn instant(self) -> Option<chrono::DateTime<chrono::FixedOffset>> {
        let offset = chrono::FixedOffset::east_opt(i32::from(self.offset?) * 60)?;
        self.has_time().then(|| self.first.and_local_timezone(offset).single())?
    }

    pub(crate) fn has_time(self) -> bool {
        self.precision > Precision::Day
    }

    pub(crate) fn time(self) -> Option<Time> {
        self.has_time().then(|| Time { first: self.first.time(), precision: self.precision })
    }

    /// The first instant in UTC, where the offset is known.
    pub(crate) fn utc(self) -> Option<NaiveDateTime> {
        shifted(self.first, -i64::from(self.offset?))
    }
}

pub(crate) fn shifted(at: NaiveDateTime, minutes: i64) -> Option<NaiveDateTime> {
    at.checked_add_signed(chrono::TimeDelta::minutes(minutes))
}

fn parse_offset(text: &str) -> Option<i16> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes) as i16)
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = (self.first.year(), self.first.month(), self.first.day());
        match self.precision {
            Precision::Year => write!(f, "{year:04}"),
            Precision::Month => write!(f, "{year:04}-{month:02}"),
            _ => write!(f, "{year:04}-{month:02}-{day:02}"),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = (self.first.hour(), self.first.minute(), self.first.second());
        match self.precision {
            Precision::Minute => write!(f, "{hour:02}:{minute:02}"),
            Precision::Second => write!(f, "{hour:02}:{minute:02}:{second:02}"),
            Precision::Millisecond => {
                write!(f, "{hour:02}:{minute:02}:{second:02}.{:03}", self.first.nanosecond() / 1_000_000)
            }
            _ => write!(f, "{hour:02}"),
        }
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date())?;
        if let Some(time) = self.time() {
            write!(f, "T{time}")?;
        }
        match self.offset {
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
            None => Ok(()),
        }
    }
}
