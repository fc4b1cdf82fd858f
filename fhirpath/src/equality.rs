//! Equality, equivalence and order of items.

use crate::environment::Environment;
use crate::error::Fault;
use crate::evaluate::Evaluator;
use crate::item::{Item, Node, decimal};
use crate::model::{Kind, TypeId};
use crate::quantity::Quantity;
use crate::temporal::{Date, DateTime, Time};
use crate::temporal_order::{order_date_times, order_times};
use rust_decimal::Decimal;
use serde_json::Value;
use std::cmp::Ordering;

/// Deeper values than any parser of JSON lets in are not compared further.
const MAX_DEPTH: usize = 256;

/// Two System values brought to the same type.
enum Pair<'a> {
    Booleans(bool, bool),
    Numbers(Decimal, Decimal),
    Texts(Item<'a>, Item<'a>),
    DateTimes(DateTime, DateTime),
    Times(Time, Time),
    Quantities(Quantity, Quantity),
    Different,
    /// A malformed element, of which nothing can be said.
    Unknown,
}

fn as_date_time(item: &Item<'_>) -> Option<DateTime> {
    match item {
        Item::Date(date) => Some(date.to_date_time()),
        Item::DateTime(at) => Some(*at),
        _ => None,
    }
}

pub(crate) fn as_number(item: &Item<'_>) -> Option<Decimal> {
    match item {
        Item::Integer(value) => Some(Decimal::from(*value)),
        Item::Decimal(value) => Some(*value),
        _ => None,
    }
}

fn as_quantity(item: &Item<'_>) -> Option<Quantity> {
    match item {
        Item::Quantity(quantity) => Some((**quantity).clone()),
        other => as_number(other).map(Quantity::number),
    }
}

/// Text of an element that no table knows, read as the other side suggests.
fn coerced<'a>(item: &Item<'a>, own: Item<'a>, other: &Item<'a>) -> Item<'a> {
    let untyped = matches!(item, Item::Node(node) if node.of.kind() == Kind::Unknown);
    let Some(text) = untyped.then(|| item.as_str()).flatten() else {
        return own;
    };
    match other {
        Item::Date(_) | Item::DateTime(_) => DateTime::parse(text).map(Item::DateTime),
        Item::Time(_) => Time::parse(text).map(Item::Time),
        _ => None,
    }
    .unwrap_or(own)
}

fn pair<'a>(a: &Item<'a>, b: &Item<'a>) -> Pair<'a> {
    let (Some(left), Some(right)) = (a.system(), b.system()) else {
        let primitive = |item: &Item<'_>| matches!(item, Item::Node(node) if matches!(node.of.kind(), Kind::Primitive(_) | Kind::Quantity));
        return if primitive(a) || primitive(b) { Pair::Unknown } else { Pair::Different };
    };
    let left = coerced(a, left, &right);
    let right = coerced(b, right, &left);
    match (&left, &right) {
        (Item::Boolean(a), Item::Boolean(b)) => Pair::Booleans(*a, *b),
        (Item::String(_), Item::String(_)) => Pair::Texts(left, right),
        (Item::Time(a), Item::Time(b)) => Pair::Times(*a, *b),
        (a, b) => {
            if let (Some(a), Some(b)) = (as_number(a), as_number(b)) {
                Pair::Numbers(a, b)
            } else if let (Some(a), Some(b)) = (as_date_time(a), as_date_time(b)) {
                Pair::DateTimes(a, b)
            } else if let (Some(a), Some(b)) = (as_quantity(a), as_quantity(b)) {
                Pair::Quantities(a, b)
            } else {
                Pair::Different
            }
        }
    }
}

/// The order of two items; `None` where it cannot be told.
pub(crate) fn order(a: &Item<'_>, b: &Item<'_>, environment: &Environment<'_>) -> Result<Option<Ordering>, Fault> {
    Ok(match pair(a, b) {
        Pair::Numbers(a, b) => Some(a.cmp(&b)),
        Pair::Texts(a, b) => a.as_str().cmp(&b.as_str()).into(),
        Pair::DateTimes(a, b) => order_date_times(a, b, environment),
        Pair::Times(a, b) => order_times(a, b),
        Pair::Quantities(a, b) => a.order(&b),
        Pair::Unknown => None,
        Pair::Booleans(..) | Pair::Different if a.is_choice() || b.is_choice() => None,
        Pair::Booleans(..) | Pair::Different => {
            return Err(Fault::wrong_type(format!("{} and {} have no order", a.type_name(), b.type_name())));
        }
    })
}

fn is_structure(node: &Node<'_>) -> bool {
    matches!(node.value, Value::Object(_))
}

impl<'a> Evaluator<'_, 'a> {
    /// `=` of two items.
    pub(crate) fn equal(&mut self, a: &Item<'a>, b: &Item<'a>) -> Result<Option<bool>, Fault> {
        self.meter.spend(1)?;
        if let (Item::Node(left), Item::Node(right)) = (a, b)
            && (is_structure(left) || is_structure(right))
        {
            if std::ptr::eq(left.value, right.value) || self.deep_equal(left.value, right.value, 0)? {
                return Ok(Some(true));
            }
            if left.of.kind() != Kind::Quantity || right.of.kind() != Kind::Quantity {
                return Ok(Some(false));
            }
        }
        if let (Item::Type(a), Item::Type(b)) = (a, b) {
            return Ok(Some(a == b));
        }
        Ok(match pair(a, b) {
            Pair::Booleans(a, b) => Some(a == b),
            Pair::Numbers(a, b) => Some(a == b),
            Pair::Texts(a, b) => Some(a.as_str() == b.as_str()),
            Pair::DateTimes(a, b) => order_date_times(a, b, self.environment).map(|order| order == Ordering::Equal),
            Pair::Times(a, b) => order_times(a, b).map(|order| order == Ordering::Equal),
            Pair::Quantities(a, b) => a.equal(&b),
            Pair::Different => Some(false),
            Pair::Unknown => None,
        })
    }

    /// `=` of two collections: same items in the same order; `None` where either is empty.
    pub(crate) fn equal_all(&mut self, a: &[Item<'a>], b: &[Item<'a>]) -> Result<Option<bool>, Fault> {
        if a.is_empty() || b.is_empty() {
            return Ok(None);
        }
        if a.len() != b.len() {
            return Ok(Some(false));
        }
        let mut known = Some(true);
        for (a, b) in a.iter().zip(b) {
            match self.equal(a, b)? {
                Some(false) => return Ok(Some(false)),
                None => known = None,
                Some(true) => {}
            }
        }
        Ok(known)
    }

    /// `~` of two items.
    pub(crate) fn equivalent(&mut self, a: &Item<'a>, b: &Item<'a>) -> Result<bool, Fault> {
        self.meter.spend(1)?;
        if let (Item::Node(left), Item::Node(right)) = (a, b)
            && is_structure(left)
            && is_structure(right)
            && (left.of.kind() != Kind::Quantity || right.of.kind() != Kind::Quantity)
        {
            return self.deep_equivalent(left.value, right.value, 0);
        }
        if let (Item::Type(a), Item::Type(b)) = (a, b) {
            return Ok(a == b);
        }
        Ok(match pair(a, b) {
            Pair::Booleans(a, b) => a == b,
            Pair::Numbers(a, b) => {
                let digits = a.normalize().scale().min(b.normalize().scale());
                a.round_dp(digits) == b.round_dp(digits)
            }
            Pair::Texts(a, b) => same_words(a.as_str().unwrap_or_default(), b.as_str().unwrap_or_default()),
            Pair::DateTimes(a, b) => order_date_times(a, b, self.environment) == Some(Ordering::Equal),
            Pair::Times(a, b) => order_times(a, b) == Some(Ordering::Equal),
            Pair::Quantities(a, b) => a.equivalent(&b),
            Pair::Different | Pair::Unknown => false,
        })
    }

    /// `~` of two collections: same items in any order; two empty ones are equivalent.
    pub(crate) fn equivalent_all(&mut self, a: &[Item<'a>], b: &[Item<'a>]) -> Result<bool, Fault> {
        if a.len() != b.len() {
            return Ok(false);
        }
        let mut left: Vec<&Item<'a>> = b.iter().collect();
        for item in a {
            let mut found = None;
            for (at, other) in left.iter().enumerate() {
                if self.equivalent(item, other)? {
                    found = Some(at);
                    break;
                }
            }
            match found {
                Some(at) => drop(left.swap_remove(at)),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn deep_equal(&mut self, a: &Value, b: &Value, depth: usize) -> Result<bool, Fault> {
        self.meter.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(Fault::new(crate::ErrorKind::BudgetExceeded, "a value is nested too deeply to compare"));
        }
        Ok(match (a, b) {
            (Value::Object(a), Value::Object(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in a {
                    let Some(other) = b.get(key) else { return Ok(false) };
                    if !self.deep_equal(value, other, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Array(a), Value::Array(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b) {
                    if !self.deep_equal(a, b, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Number(a), Value::Number(b)) => {
                a == b || matches!((decimal(a.as_str()), decimal(b.as_str())), (Some(a), Some(b)) if a == b)
            }
            (a, b) => a == b,
        })
    }

    fn deep_equivalent(&mut self, a: &Value, b: &Value, depth: usize) -> Result<bool, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(crate::ErrorKind::BudgetExceeded, "a value is nested too deeply to compare"));
        }
        self.meter.spend(1)?;
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => {
                let counted = |map: &serde_json::Map<String, Value>| map.keys().filter(|key| *key != "id").count();
                if counted(a) != counted(b) {
                    return Ok(false);
                }
                for (key, value) in a.iter().filter(|(key, _)| *key != "id") {
                    let Some(other) = b.get(key) else { return Ok(false) };
                    if !self.deep_equivalent(value, other, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Array(a), Value::Array(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                let mut left: Vec<&Value> = b.iter().collect();
                for value in a {
                    let mut found = None;
                    for (at, other) in left.iter().enumerate() {
                        if self.deep_equivalent(value, other, depth + 1)? {
                            found = Some(at);
                            break;
                        }
                    }
                    match found {
                        Some(at) => drop(left.swap_remove(at)),
                        None => return Ok(false),
                    }
                }
                Ok(true)
            }
            (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => Ok(false),
            (Value::String(a), Value::String(b)) => Ok(same_words(a, b)),
            (a, b) => {
                let node = |value| Node { value, sibling: None, of: TypeId::UNKNOWN, choice: false };
                match (node(a).system(), node(b).system()) {
                    (Some(Item::Boolean(a)), Some(Item::Boolean(b))) => Ok(a == b),
                    (Some(a), Some(b)) => Ok(matches!((as_number(&a), as_number(&b)), (Some(a), Some(b)) if {
                        let digits = a.normalize().scale().min(b.normalize().scale());
                        a.round_dp(digits) == b.round_dp(digits)
                    })),
                    _ => Ok(a == b),
                }
            }
        }
    }
}

/// Equal but for case and for the kind and number of blanks.
fn same_words(a: &str, b: &str) -> bool {
    let lower = |text: &str| text.to_lowercase();
    a == b || a.split_whitespace().map(lower).eq(b.split_whitespace().map(lower))
}

/// A date of a System value, for callers that take either.
pub(crate) fn date_of(item: &Item<'_>) -> Option<Date> {
    match item {
        Item::Date(date) => Some(*date),
        Item::DateTime(at) => Some(at.date()),
        _ => None,
    }
}
