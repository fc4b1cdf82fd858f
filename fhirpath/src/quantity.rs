//! Numbers with units: UCUM codes and calendar durations.

use crate::item::decimal;
use crate::ucum::{self, Scale};
use rust_decimal::Decimal;
use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A number with a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// The number as written.
    pub value: Decimal,
    /// The unit.
    pub unit: Unit,
}

/// What a quantity counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// A calendar duration such as `month`, whose length depends on the date it is added to.
    Calendar(CalendarUnit),
    /// A UCUM code such as `mg/dL`; `1` for a mere number.
    Ucum(Arc<str>),
}

/// The calendar durations, shortest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CalendarUnit {
    /// 1/1000 second
    Millisecond,
    /// second
    Second,
    /// minute
    Minute,
    /// hour
    Hour,
    /// day
    Day,
    /// week
    Week,
    /// month
    Month,
    /// year
    Year,
}

impl CalendarUnit {
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "millisecond" | "milliseconds" => Self::Millisecond,
            "second" | "seconds" => Self::Second,
            "minute" | "minutes" => Self::Minute,
            "hour" | "hours" => Self::Hour,
            "day" | "days" => Self::Day,
            "week" | "weeks" => Self::Week,
            "month" | "months" => Self::Month,
            "year" | "years" => Self::Year,
            _ => return None,
        })
    }

    /// The definite UCUM durations; not year and month, whose UCUM namesakes are averages.
    pub(crate) fn from_definite_ucum(code: &str) -> Option<Self> {
        Some(match code {
            "ms" => Self::Millisecond,
            "s" => Self::Second,
            "min" => Self::Minute,
            "h" => Self::Hour,
            "d" => Self::Day,
            "wk" => Self::Week,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Millisecond => "millisecond",
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    fn ucum(self) -> &'static str {
        match self {
            Self::Millisecond => "ms",
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "wk",
            Self::Month => "mo",
            Self::Year => "a",
        }
    }

    fn is_definite(self) -> bool {
        self < Self::Month
    }
}

impl Unit {
    pub(crate) fn ucum(code: &str) -> Self {
        Self::Ucum(Arc::from(code))
    }

    /// The unit of a mere number.
    pub fn one() -> Self {
        Self::ucum("1")
    }

    fn code(&self) -> &str {
        match self {
            Self::Calendar(unit) => unit.ucum(),
            Self::Ucum(code) => code,
        }
    }

    fn scale(&self) -> Option<Scale> {
        ucum::scale(self.code())
    }

    /// True where one is a calendar year or month and the other an averaged one of UCUM.
    fn mixes_calendar(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Calendar(unit), Self::Ucum(_)) | (Self::Ucum(_), Self::Calendar(unit)) => !unit.is_definite(),
            // A calendar month has no fixed number of days.
            (Self::Calendar(a), Self::Calendar(b)) => a.is_definite() != b.is_definite(),
            _ => false,
        }
    }
}

impl Quantity {
    /// A number of calendar units.
    pub fn calendar(value: Decimal, unit: CalendarUnit) -> Self {
        Self { value, unit: Unit::Calendar(unit) }
    }

    /// A mere number.
    pub fn number(value: Decimal) -> Self {
        Self { value, unit: Unit::one() }
    }

    /// A FHIR Quantity; `None` without a value or with a comparator, since `< 5` is no number.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let number = value.get("value")?.as_number()?;
        if value.get("comparator").is_some() {
            return None;
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        // A code of another system is no UCUM code, whatever it looks like.
        let coded = text("system").is_none_or(|system| system == "http://unitsofmeasure.org");
        let code = if coded { text("code").or_else(|| text("unit")) } else { text("unit").or_else(|| text("code")) };
        Some(Self { value: decimal(number.as_str())?, unit: Unit::ucum(code.unwrap_or("1")) })
    }

    /// Reads `5`, `5.2 'mg'` and `5 days`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && (*c == '-' || *c == '+'))))
            .map_or(text.len(), |(at, _)| at);
        let (number, unit) = text.split_at(end);
        let digits = number.trim_start_matches(['+', '-']);
        if digits.starts_with('.') || digits.ends_with('.') || digits.is_empty() {
            return None;
        }
        let value = decimal(number.trim_start_matches('+'))?;
        if unit.is_empty() {
            return Some(Self::number(value));
        }
        let word = unit.trim_start();
        if let Some(code) = word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return (!code.is_empty()).then(|| Self { value, unit: Unit::ucum(code) });
        }
        let unit = CalendarUnit::named(word).filter(|_| word.len() < unit.len())?;
        Some(Self::calendar(value, unit))
    }

    /// Order of the two; `None` where the units do not compare.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        if self.unit.code() == other.unit.code() {
            return Some(self.value.cmp(&other.value));
        }
        match (&self.unit, &other.unit) {
            (Unit::Calendar(a), Unit::Calendar(b)) if !a.is_definite() && !b.is_definite() => {
                Some(self.months()?.cmp(&other.months()?))
            }
            (a, b) if a.mixes_calendar(b) => None,
            (a, b) => {
                let (a, b) = (a.scale()?, b.scale()?);
                (a.dimension == b.dimension).then_some(())?;
                // Factors such as 1/3600 are not exact; the last digits of a product mean nothing.
                let near = |value: Decimal| value.round_sf(20).unwrap_or(value);
                Some(near(a.to_base(self.value)?).cmp(&near(b.to_base(other.value)?)))
            }
        }
    }

    /// `=`: as [`Quantity::order`], but a calendar year is never surely a UCUM year.
    pub(crate) fn equal(&self, other: &Self) -> Option<bool> {
        if self.unit.mixes_calendar(&other.unit) {
            return None;
        }
        Some(self.order(other)? == Ordering::Equal)
    }

    /// `~`: equal when rounded to the coarser of the two.
    pub(crate) fn equivalent(&self, other: &Self) -> bool {
        let near = |a: Decimal, b: Decimal| {
            let digits = a.scale().min(b.scale());
            a.round_dp(digits) == b.round_dp(digits)
        };
        if self.unit.code() == other.unit.code() {
            return near(self.value, other.value);
        }
        let (Some(a), Some(b)) = (self.unit.scale(), other.unit.scale()) else {
            return false;
        };
        if a.dimension != b.dimension {
            return false;
        }
        // Compare in the larger unit, so that the outcome does not depend on the order.
        let (large, large_value, small, small_value) =
            if a.factor >= b.factor { (a, self.value, b, other.value) } else { (b, other.value, a, self.value) };
        small
            .to_base(small_value)
            .and_then(|base| large.of_base(base))
            .is_some_and(|converted| near(converted, large_value))
    }

    pub(crate) fn comparable(&self, other: &Self) -> bool {
        let (a, b) = (&self.unit, &other.unit);
        a.code() == b.code() || matches!((a.scale(), b.scale()), (Some(a), Some(b)) if a.dimension == b.dimension)
    }

    fn months(&self) -> Option<Decimal> {
        match self.unit {
            Unit::Calendar(CalendarUnit::Year) => self.value.checked_mul(Decimal::from(12)),
            Unit::Calendar(CalendarUnit::Month) => Some(self.value),
            _ => None,
        }
    }

    /// Sum or difference, in the unit of the first.
    pub(crate) fn add(&self, other: &Self, sign: Decimal) -> Option<Self> {
        let amount = if self.unit.code() == other.unit.code() {
            other.value
        } else {
            if self.unit.mixes_calendar(&other.unit) {
                return None;
            }
            let (a, b) = (self.unit.scale()?, other.unit.scale()?);
            (a.dimension == b.dimension).then_some(())?;
            a.of_base(b.to_base(other.value)?)?
        };
        let value = self.value.checked_add(amount.checked_mul(sign)?)?;
        Some(Self { value, unit: self.unit.clone() })
    }

    pub(crate) fn multiply(&self, other: &Self) -> Option<Self> {
        self.combine(other, 1, Decimal::checked_mul)
    }

    pub(crate) fn divide(&self, other: &Self) -> Option<Self> {
        self.combine(other, -1, Decimal::checked_div)
    }

    fn combine(&self, other: &Self, sign: i8, apply: fn(Decimal, Decimal) -> Option<Decimal>) -> Option<Self> {
        let (a, b) = (self.unit.code(), other.unit.code());
        if b == "1" {
            return Some(Self { value: apply(self.value, other.value)?, unit: self.unit.clone() });
        }
        if a == b && sign < 0 {
            return Some(Self::number(apply(self.value, other.value)?));
        }
        let is_plain = |code: &str| !code.contains(['.', '/', '1']);
        let (a_code, b_code) = (a, b);
        let (a, b) = (self.unit.scale()?, other.unit.scale()?);
        let dimension = a.dimension.combine(b.dimension, sign)?;
        if is_plain(a_code) && is_plain(b_code) && a.dimension != b.dimension {
            let separator = if sign < 0 { '/' } else { '.' };
            let unit = Unit::ucum(&format!("{a_code}{separator}{b_code}"));
            return Some(Self { value: apply(self.value, other.value)?, unit });
        }
        let value = apply(a.to_base(self.value)?, b.to_base(other.value)?)?;
        Some(Self { value, unit: Unit::ucum(&dimension.code()) })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calendar(unit) => unit.word(),
            Self::Ucum(code) => code,
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Unit::Calendar(unit) if self.value.abs() == Decimal::ONE => write!(f, "{} {}", self.value, unit.word()),
            Unit::Calendar(unit) => write!(f, "{} {}s", self.value, unit.word()),
            Unit::Ucum(code) => write!(f, "{} '{code}'", self.value),
        }
    }
}
