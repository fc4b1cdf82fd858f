//! The injected clock, and parts of dates and times.

use super::{at_most_one, input_value, one};
use crate::equality::date_of;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items};
use crate::function::Function as F;
use crate::item::Item;
use crate::temporal::{Precision, Time};
use chrono::{Datelike, Timelike};
use rust_decimal::Decimal;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn dates(&mut self, function: F, input: &[Item<'a>]) -> Result<Items<'a>, Fault> {
        let now = self.environment.now;
        match function {
            F::Now => return one(now),
            F::Today => return one(now.date()),
            F::TimeOfDay => return at_most_one(now.time()),
            _ => {}
        }
        let Some(item) = input_value(input)? else {
            return Ok(Vec::new());
        };
        let date = date_of(&item);
        let time = match &item {
            Item::Time(time) => Some(*time),
            Item::DateTime(at) => at.time(),
            _ => None,
        };
        if date.is_none() && time.is_none() {
            return Err(Fault::wrong_type(format!(
                "{}() works on dates and times, not {}",
                function.name(),
                item.type_name()
            )));
        }
        let of_date = |least: Precision, part: fn(chrono::NaiveDate) -> u32| {
            date.filter(|date| date.precision >= least).map(|date| i64::from(part(date.first)))
        };
        let of_time = |least: Precision, part: fn(chrono::NaiveTime) -> u32| {
            time.filter(|time| time.precision >= least).map(|time| i64::from(part(time.first)))
        };
        match function {
            F::YearOf => at_most_one(date.map(|date| i64::from(date.first.year()))),
            F::MonthOf => at_most_one(of_date(Precision::Month, |date| date.month())),
            F::DayOf => at_most_one(of_date(Precision::Day, |date| date.day())),
            F::HourOf => at_most_one(of_time(Precision::Hour, |time| time.hour())),
            F::MinuteOf => at_most_one(of_time(Precision::Minute, |time| time.minute())),
            F::SecondOf => at_most_one(of_time(Precision::Second, |time| time.second())),
            F::MillisecondOf => at_most_one(of_time(Precision::Millisecond, |time| time.nanosecond() / 1_000_000)),
            F::TimezoneOffsetOf => {
                let offset = match &item {
                    Item::DateTime(at) => at.offset,
                    _ => None,
                };
                at_most_one(offset.map(|minutes| (Decimal::from(minutes) / Decimal::from(60)).normalize()))
            }
            F::DateOf => at_most_one(date),
            _ => at_most_one(time.map(|time: Time| time)),
        }
    }
}
