//! Order of dates and times whose parts may be unknown: three-valued, `None` where the order
//! cannot be told.

use crate::environment::Environment;
use crate::temporal::{DateTime, Precision, Time, shifted};
use chrono::{Datelike, NaiveDateTime, NaiveTime, Timelike};
use std::cmp::Ordering;

/// The zones of the world: a time without offset is at most this many minutes off UTC.
const EARLIEST: i64 = -14 * 60;
const LATEST: i64 = 12 * 60;

/// Order of two dates, dates with time, or one of each.
pub(crate) fn order_date_times(a: DateTime, b: DateTime, environment: &Environment<'_>) -> Option<Ordering> {
    if !a.has_time() || !b.has_time() {
        // A mere date is a day on the wall clock of the environment.
        let (a, b) = (environment.local(a), environment.local(b));
        return order_naive(a.first, a.precision, b.first, b.precision);
    }
    match (a.utc(), b.utc()) {
        (Some(a_utc), Some(b_utc)) => order_naive(a_utc, a.precision, b_utc, b.precision),
        (None, None) => order_naive(a.first, a.precision, b.first, b.precision),
        (Some(a_utc), None) => order_zoned(a_utc, a.precision, b),
        (None, Some(b_utc)) => order_zoned(b_utc, b.precision, a).map(Ordering::reverse),
    }
}

/// One side lies in an unknown zone: decided only where every zone gives the same answer.
fn order_zoned(utc: NaiveDateTime, precision: Precision, local: DateTime) -> Option<Ordering> {
    let at = |minutes| order_naive(utc, precision, shifted(local.first, minutes)?, local.precision);
    let earliest = at(EARLIEST)?;
    (at(LATEST)? == earliest).then_some(earliest)
}

fn order_naive(a: NaiveDateTime, a_known: Precision, b: NaiveDateTime, b_known: Precision) -> Option<Ordering> {
    // Seconds and their fraction are one number.
    let (a_known, b_known) = (a_known.min(Precision::Second), b_known.min(Precision::Second));
    let common = a_known.min(b_known);
    let order = match common {
        Precision::Year => a.year().cmp(&b.year()),
        Precision::Month => (a.year(), a.month()).cmp(&(b.year(), b.month())),
        Precision::Day => a.date().cmp(&b.date()),
        _ => a.date().cmp(&b.date()).then_with(|| order_clock(a.time(), b.time(), common)),
    };
    (order != Ordering::Equal || a_known == b_known).then_some(order)
}

fn order_clock(a: NaiveTime, b: NaiveTime, common: Precision) -> Ordering {
    match common {
        Precision::Hour => a.hour().cmp(&b.hour()),
        Precision::Minute => (a.hour(), a.minute()).cmp(&(b.hour(), b.minute())),
        _ => a.cmp(&b),
    }
}

/// Order of two times of day.
pub(crate) fn order_times(a: Time, b: Time) -> Option<Ordering> {
    let (a_known, b_known) = (a.precision.min(Precision::Second), b.precision.min(Precision::Second));
    let order = order_clock(a.first, b.first, a_known.min(b_known));
    (order != Ordering::Equal || a_known == b_known).then_some(order)
}
