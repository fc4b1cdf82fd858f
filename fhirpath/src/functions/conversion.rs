//! `toX()` and `convertsToX()`.

use super::{input_value, one};
use crate::ast::Call;
use crate::environment::Environment;
use crate::equality::{as_number, date_of};
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;
use crate::quantity::{CalendarUnit, Quantity, Unit};
use crate::temporal::{Date, DateTime, Time};
use rust_decimal::Decimal;
use std::str::FromStr;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn conversion(
        &mut self,
        call: &Call,
        input: &[Item<'a>],
        scope: Scope<'_, 'a>,
    ) -> Result<Items<'a>, Fault> {
        let Some(item) = input_value(input)? else {
            // A complex element converts to nothing; an empty collection stays empty.
            return match input {
                [_] if tests(call.function) => one(false),
                _ => Ok(Vec::new()),
            };
        };
        let mut converted = convert(call.function, &item, self.environment);
        if let Some(unit) = self.text_argument(call, 0, scope)? {
            converted = converted.and_then(|item| in_unit(&item, unit.as_str()));
        }
        if tests(call.function) {
            return one(converted.is_some());
        }
        Ok(converted.into_iter().collect())
    }
}

fn tests(function: F) -> bool {
    function.name().starts_with("convertsTo")
}

fn convert<'a>(function: F, item: &Item<'a>, environment: &Environment<'_>) -> Option<Item<'a>> {
    match function {
        F::ToBoolean | F::ConvertsToBoolean => to_boolean(item).map(Item::Boolean),
        F::ToInteger | F::ConvertsToInteger => to_integer(item)
            .filter(|value| i32::try_from(*value).is_ok() || matches!(item, Item::Integer(_)))
            .map(Item::Integer),
        F::ToLong | F::ConvertsToLong => to_integer(item).map(Item::Integer),
        F::ToDecimal | F::ConvertsToDecimal => to_decimal(item).map(Item::Decimal),
        F::ToStringOf | F::ConvertsToString => to_text(item),
        F::ToDate | F::ConvertsToDate => match item {
            Item::String(text) => Date::parse(text.as_str())
                .or_else(|| DateTime::parse(text.as_str()).map(|at| environment.local(at).date())),
            // The day on which it happens here, whatever zone it was written in.
            Item::DateTime(at) => Some(environment.local(*at).date()),
            other => date_of(other),
        }
        .map(Item::Date),
        F::ToDateTime | F::ConvertsToDateTime => match item {
            Item::String(text) => DateTime::parse(text.as_str()),
            Item::Date(date) => Some(date.to_date_time()),
            Item::DateTime(at) => Some(*at),
            _ => None,
        }
        .map(Item::DateTime),
        F::ToTime | F::ConvertsToTime => match item {
            Item::String(text) => Time::parse(text.as_str().trim_start_matches('T')),
            Item::Time(time) => Some(*time),
            _ => None,
        }
        .map(Item::Time),
        _ => to_quantity(item).map(Item::from),
    }
}

fn to_boolean(item: &Item<'_>) -> Option<bool> {
    match item {
        Item::Boolean(value) => Some(*value),
        Item::String(text) => match text.as_str().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        other => {
            let number = as_number(other)?;
            if number == Decimal::ONE { Some(true) } else { number.is_zero().then_some(false) }
        }
    }
}

fn is_number(text: &str, fraction: bool) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole) && part.is_none_or(|part| fraction && all_digits(part))
}

fn to_integer(item: &Item<'_>) -> Option<i64> {
    match item {
        Item::Integer(value) => Some(*value),
        Item::Boolean(value) => Some(i64::from(*value)),
        Item::String(text) if is_number(text.as_str(), false) => text.as_str().parse().ok(),
        _ => None,
    }
}

fn to_decimal(item: &Item<'_>) -> Option<Decimal> {
    match item {
        Item::Boolean(value) => Some(Decimal::from(i64::from(*value))),
        Item::String(text) if is_number(text.as_str(), true) => {
            Decimal::from_str(text.as_str().trim_start_matches('+')).ok()
        }
        other => as_number(other),
    }
}

fn to_text<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    Some(match item {
        Item::String(_) => item.clone(),
        Item::Boolean(value) => Item::text(if *value { "true" } else { "false" }),
        Item::Integer(value) => Item::text(value.to_string()),
        Item::Decimal(value) => Item::text(value.to_string()),
        Item::Date(date) => Item::text(date.to_string()),
        Item::DateTime(at) => Item::text(at.to_string()),
        Item::Time(time) => Item::text(time.to_string()),
        Item::Quantity(quantity) => Item::text(quantity.to_string()),
        Item::Node(_) | Item::Type(_) => return None,
    })
}

fn to_quantity(item: &Item<'_>) -> Option<Quantity> {
    match item {
        Item::Quantity(quantity) => Some((**quantity).clone()),
        Item::Boolean(value) => Some(Quantity::number(Decimal::from(i64::from(*value)))),
        Item::String(text) => Quantity::parse(text.as_str()),
        other => as_number(other).map(Quantity::number),
    }
}

/// The quantity in another unit, where the two measure the same.
fn in_unit<'a>(item: &Item<'a>, unit: &str) -> Option<Item<'a>> {
    let Item::Quantity(quantity) = item else {
        return None;
    };
    let unit = CalendarUnit::named(unit).map_or_else(|| Unit::ucum(unit.trim_matches('\'')), Unit::Calendar);
    let zero = Quantity { value: Decimal::ZERO, unit };
    zero.add(quantity, Decimal::ONE).map(Item::from)
}
