//! `lowBoundary()`, `highBoundary()`, `precision()`: the range that an imprecise value stands for.

use super::{at_most_one, input_value};
use crate::ast::Call;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;
use crate::quantity::Quantity;
use crate::temporal::{Date, DateTime, Precision, Time};
use chrono::{Datelike, Months, NaiveDate, NaiveTime, Timelike};
use rust_decimal::{Decimal, RoundingStrategy};

/// The most digits after the point that a decimal can keep.
const MAX_DIGITS: i64 = 28;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn boundaries(
        &mut self,
        call: &Call,
        input: &[Item<'a>],
        scope: Scope<'_, 'a>,
    ) -> Result<Items<'a>, Fault> {
        let Some(item) = input_value(input)? else {
            return Ok(Vec::new());
        };
        if call.function == F::PrecisionOf {
            return at_most_one(precision(&item));
        }
        let high = call.function == F::HighBoundary;
        let digits = self.integer_argument(call, 0, scope)?;
        match item {
            Item::Integer(value) => at_most_one(decimal(Decimal::from(value), digits.unwrap_or(8), high)),
            Item::Decimal(value) => at_most_one(decimal(value, digits.unwrap_or(8), high)),
            Item::Quantity(quantity) => at_most_one(
                decimal(quantity.value, digits.unwrap_or(8), high)
                    .map(|value| Quantity { value, unit: quantity.unit.clone() }),
            ),
            Item::Date(value) => at_most_one(date(value, digits.unwrap_or(8), high)),
            Item::DateTime(value) => at_most_one(date_time(value, digits.unwrap_or(17), high)),
            Item::Time(value) => at_most_one(time(value, digits.unwrap_or(9), high)),
            other => {
                Err(Fault::wrong_type(format!("{}() is not defined for {}", call.function.name(), other.type_name())))
            }
        }
    }
}

fn precision(item: &Item<'_>) -> Option<i64> {
    Some(match item {
        Item::Integer(_) => 0,
        Item::Decimal(value) => i64::from(value.scale()),
        Item::Quantity(quantity) => i64::from(quantity.value.scale()),
        Item::Date(date) => digits_of(date.precision),
        Item::DateTime(at) => digits_of(at.precision),
        Item::Time(time) => digits_of(time.precision) - 8,
        _ => return None,
    })
}

fn digits_of(precision: Precision) -> i64 {
    match precision {
        Precision::Year => 4,
        Precision::Month => 6,
        Precision::Day => 8,
        Precision::Hour => 10,
        Precision::Minute => 12,
        Precision::Second => 14,
        Precision::Millisecond => 17,
    }
}

fn precision_of(digits: i64) -> Option<Precision> {
    [
        Precision::Year,
        Precision::Month,
        Precision::Day,
        Precision::Hour,
        Precision::Minute,
        Precision::Second,
        Precision::Millisecond,
    ]
    .into_iter()
    .find(|precision| digits_of(*precision) == digits)
}

/// Half a unit of the last digit to either side, then rounded outwards.
fn decimal(value: Decimal, digits: i64, high: bool) -> Option<Decimal> {
    let digits = u32::try_from(digits).ok().filter(|digits| i64::from(*digits) <= MAX_DIGITS)?;
    let half = Decimal::try_new(5, value.scale().checked_add(1)?).ok()?;
    let (edge, strategy) = if high {
        (value.checked_add(half)?, RoundingStrategy::ToPositiveInfinity)
    } else {
        (value.checked_sub(half)?, RoundingStrategy::ToNegativeInfinity)
    };
    let mut rounded = edge.round_dp_with_strategy(digits, strategy);
    rounded.rescale(digits);
    (rounded.scale() == digits).then_some(rounded)
}

fn last_day(date: NaiveDate) -> Option<NaiveDate> {
    date.with_day(1)?.checked_add_months(Months::new(1))?.pred_opt()
}

/// The first or last day of what is known.
fn edge_of(first: NaiveDate, known: Precision, high: bool) -> Option<NaiveDate> {
    match (known, high) {
        (_, false) => Some(first),
        (Precision::Year, true) => NaiveDate::from_ymd_opt(first.year(), 12, 31),
        (Precision::Month, true) => last_day(first),
        (_, true) => Some(first),
    }
}

fn date(value: Date, digits: i64, high: bool) -> Option<Date> {
    let precision = precision_of(digits).filter(|precision| *precision <= Precision::Day)?;
    let edge = edge_of(value.first, value.precision, high)?;
    Some(truncated(edge, precision))
}

fn truncated(date: NaiveDate, precision: Precision) -> Date {
    let first = match precision {
        Precision::Year => date.with_month(1).and_then(|date| date.with_day(1)),
        Precision::Month => date.with_day(1),
        _ => Some(date),
    };
    Date { first: first.unwrap_or(date), precision }
}

/// The first or last moment of the known part of a clock.
fn clock(first: NaiveTime, known: Precision, high: bool) -> Option<NaiveTime> {
    if !high {
        return Some(first);
    }
    let (hour, minute, second) = (first.hour(), first.minute(), first.second());
    match known {
        Precision::Hour => NaiveTime::from_hms_milli_opt(hour, 59, 59, 999),
        Precision::Minute => NaiveTime::from_hms_milli_opt(hour, minute, 59, 999),
        Precision::Second => NaiveTime::from_hms_milli_opt(hour, minute, second, 999),
        Precision::Millisecond => Some(first),
        _ => NaiveTime::from_hms_milli_opt(23, 59, 59, 999),
    }
}

fn cut(time: NaiveTime, precision: Precision) -> Option<NaiveTime> {
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    match precision {
        Precision::Hour => NaiveTime::from_hms_opt(hour, 0, 0),
        Precision::Minute => NaiveTime::from_hms_opt(hour, minute, 0),
        Precision::Second => NaiveTime::from_hms_opt(hour, minute, second),
        _ => Some(time),
    }
}

fn date_time(value: DateTime, digits: i64, high: bool) -> Option<DateTime> {
    let precision = precision_of(digits)?;
    let day = edge_of(value.first.date(), value.precision, high)?;
    if precision <= Precision::Day {
        return Some(truncated(day, precision).to_date_time());
    }
    let time = cut(clock(value.first.time(), value.precision, high)?, precision)?;
    // Without an offset the moment comes first in the east and last in the west.
    let offset = value.offset.or(Some(if high { -12 * 60 } else { 14 * 60 }));
    Some(DateTime { first: day.and_time(time), precision, offset })
}

fn time(value: Time, digits: i64, high: bool) -> Option<Time> {
    let precision = precision_of(digits + 8).filter(|precision| *precision > Precision::Day)?;
    let first = cut(clock(value.first, value.precision, high)?, precision)?;
    Some(Time { first, precision })
}
