//! Dates and times plus and minus durations, and the span between two dates.

use crate::environment::Environment;
use crate::error::Fault;
use crate::quantity::{CalendarUnit, Quantity, Unit};
use crate::temporal::{Date, DateTime, Precision, Time};
use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, TimeDelta};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

const DAY: i64 = 86_400_000;

/// A duration in the only two measures that a calendar has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Span {
    Months(i64),
    Milliseconds(i64),
}

/// Only seconds may have a fraction; of longer units it is dropped, as the specification says.
fn span(quantity: &Quantity, negative: bool) -> Result<Option<Span>, Fault> {
    let unit = match &quantity.unit {
        Unit::Calendar(unit) => Some(*unit),
        Unit::Ucum(code) => CalendarUnit::from_definite_ucum(code).or_else(|| CalendarUnit::named(code)),
    };
    let Some(unit) = unit else {
        return Err(Fault::wrong_type(
            "only durations can be added to a date; for months and years use calendar words, e.g. 6 months",
        ));
    };
    let value = if negative { -quantity.value } else { quantity.value };
    let whole = value.trunc().to_i64();
    Ok(match unit {
        CalendarUnit::Year => whole.and_then(|n| n.checked_mul(12)).map(Span::Months),
        CalendarUnit::Month => whole.map(Span::Months),
        CalendarUnit::Week => whole.and_then(|n| n.checked_mul(7 * DAY)).map(Span::Milliseconds),
        CalendarUnit::Day => whole.and_then(|n| n.checked_mul(DAY)).map(Span::Milliseconds),
        CalendarUnit::Hour => whole.and_then(|n| n.checked_mul(3_600_000)).map(Span::Milliseconds),
        CalendarUnit::Minute => whole.and_then(|n| n.checked_mul(60_000)).map(Span::Milliseconds),
        CalendarUnit::Second => {
            value.checked_mul(Decimal::ONE_THOUSAND).and_then(|n| n.trunc().to_i64()).map(Span::Milliseconds)
        }
        CalendarUnit::Millisecond => whole.map(Span::Milliseconds),
    })
}

fn add_months(date: NaiveDate, months: i64) -> Option<NaiveDate> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    // A day that the month does not have becomes its last day.
    let moved = if months < 0 { date.checked_sub_months(count) } else { date.checked_add_months(count) }?;
    in_range(moved)
}

fn in_range(date: NaiveDate) -> Option<NaiveDate> {
    (1..=9999).contains(&date.year()).then_some(date)
}

fn add_to(first: NaiveDateTime, precision: Precision, span: Span) -> Option<NaiveDateTime> {
    let months = |months: i64| Some(add_months(first.date(), months)?.and_time(first.time()));
    match (precision, span) {
        // What is finer than the value itself counts in whole units of the value.
        (Precision::Year, Span::Months(n)) => months(n / 12 * 12),
        (_, Span::Months(n)) => months(n),
        (Precision::Year, Span::Milliseconds(n)) => months(n / DAY / 365 * 12),
        (Precision::Month, Span::Milliseconds(n)) => months(n / DAY / 30),
        (_, Span::Milliseconds(n)) => {
            let unit = unit_of(precision);
            let moved = first.checked_add_signed(TimeDelta::try_milliseconds(n / unit * unit)?)?;
            in_range(moved.date()).map(|_| moved)
        }
    }
}

fn unit_of(precision: Precision) -> i64 {
    match precision {
        Precision::Millisecond => 1,
        Precision::Second => 1000,
        Precision::Minute => 60_000,
        Precision::Hour => 3_600_000,
        _ => DAY,
    }
}

impl Date {
    /// The date moved by a duration; `Ok(None)` beyond the years 1 to 9999.
    pub(crate) fn moved(self, by: &Quantity, back: bool) -> Result<Option<Self>, Fault> {
        Ok(span(by, back)?.and_then(|span| {
            let first = add_to(self.first.and_time(chrono::NaiveTime::MIN), self.precision, span)?;
            Some(Self { first: first.date(), ..self })
        }))
    }
}

impl DateTime {
    /// As [`Date::moved`]; the wall clock moves and the offset stays.
    pub(crate) fn moved(self, by: &Quantity, back: bool) -> Result<Option<Self>, Fault> {
        Ok(span(by, back)?.and_then(|span| Some(Self { first: add_to(self.first, self.precision, span)?, ..self })))
    }

    /// The span from `earlier` to this: whole days where either is a mere date, else seconds.
    /// `None` where a part is unknown.
    pub(crate) fn since(self, earlier: Self, environment: &Environment<'_>) -> Option<Quantity> {
        if self.has_time() && earlier.has_time() {
            let (later, earlier) = match (self.utc(), earlier.utc()) {
                (Some(later), Some(earlier)) => (later, earlier),
                (None, None) => (self.first, earlier.first),
                _ => return None,
            };
            let seconds = Decimal::new(later.signed_duration_since(earlier).num_milliseconds(), 3);
            return Some(Quantity::calendar(seconds.normalize(), CalendarUnit::Second));
        }
        let later = environment.local(self).date().day()?;
        let earlier = environment.local(earlier).date().day()?;
        let days = later.signed_duration_since(earlier).num_days();
        Some(Quantity::calendar(Decimal::from(days), CalendarUnit::Day))
    }
}

impl Time {
    /// The time of day moved around the clock.
    pub(crate) fn moved(self, by: &Quantity, back: bool) -> Result<Option<Self>, Fault> {
        match span(by, back)? {
            Some(Span::Months(_)) => Err(Fault::wrong_type("months and years cannot be added to a time of day")),
            Some(Span::Milliseconds(n)) => {
                let unit = unit_of(self.precision);
                let delta = TimeDelta::try_milliseconds(n / unit * unit);
                Ok(delta.map(|delta| Self { first: self.first.overflowing_add_signed(delta).0, ..self }))
            }
            None => Ok(None),
        }
    }
}
