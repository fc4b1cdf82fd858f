//! Arithmetic. What overflows, or divides by zero, is empty.

use crate::ast::Operator;
use crate::collection::single;
use crate::equality::as_number;
use crate::error::{ErrorKind, Fault};
use crate::evaluate::{Evaluator, Items};
use crate::item::{Item, Node};
use crate::quantity::{CalendarUnit, Quantity, Unit};
use crate::temporal::DateTime;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

impl Operator {
    pub(crate) fn is_arithmetic(self) -> bool {
        matches!(
            self,
            Self::Add
                | Self::Subtract
                | Self::Multiply
                | Self::Divide
                | Self::IntegerDivide
                | Self::Modulo
                | Self::Concatenate
        )
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::IntegerDivide => "div",
            Self::Modulo => "mod",
            _ => "&",
        }
    }
}

impl<'a> Evaluator<'_, 'a> {
    pub(crate) fn signed(value: &[Item<'a>], negative: bool) -> Result<Items<'a>, Fault> {
        let Some(item) = single(value)?.and_then(Item::system) else {
            return Ok(Vec::new());
        };
        if !negative {
            return match item {
                Item::Integer(_) | Item::Decimal(_) | Item::Quantity(_) => Ok(vec![item]),
                other => Err(Fault::wrong_type(format!("{} takes no sign", other.type_name()))),
            };
        }
        Ok(match item {
            Item::Integer(value) => value.checked_neg().map(Item::Integer).into_iter().collect(),
            Item::Decimal(value) => vec![Item::Decimal(-value)],
            Item::Quantity(quantity) => {
                vec![Item::from(Quantity { value: -quantity.value, unit: quantity.unit })]
            }
            other => return Err(Fault::wrong_type(format!("{} takes no sign", other.type_name()))),
        })
    }

    pub(crate) fn arithmetic(
        &mut self,
        operator: Operator,
        left: &[Item<'a>],
        right: &[Item<'a>],
    ) -> Result<Items<'a>, Fault> {
        let (left, right) = (single(left)?, single(right)?);
        if operator == Operator::Concatenate {
            return self.concatenate(left, right);
        }
        let (Some(left), Some(right)) = (left, right) else {
            return Ok(Vec::new());
        };
        match self.calculate(operator, left, right) {
            Err(Fault { kind: ErrorKind::Type, .. }) if left.is_choice() || right.is_choice() => Ok(Vec::new()),
            result => Ok(result?.into_iter().collect()),
        }
    }

    fn calculate(
        &mut self,
        operator: Operator,
        left_item: &Item<'a>,
        right_item: &Item<'a>,
    ) -> Result<Option<Item<'a>>, Fault> {
        let (Some(left), Some(right)) = (operand(left_item), operand(right_item)) else {
            if is_malformed(left_item) || is_malformed(right_item) {
                return Ok(None);
            }
            return Err(mismatch(operator, left_item, right_item));
        };
        let result = match (&left, &right) {
            (Item::Integer(a), Item::Integer(b)) => integers(operator, *a, *b),
            (Item::String(a), Item::String(b)) if operator == Operator::Add => {
                self.spend_on_text(a.as_str().len() + b.as_str().len())?;
                Some(Item::text(format!("{}{}", a.as_str(), b.as_str())))
            }
            (Item::Date(date), Item::Quantity(by)) if operator.is_additive() => {
                date.moved(by, operator == Operator::Subtract)?.map(Item::Date)
            }
            (Item::DateTime(at), Item::Quantity(by)) if operator.is_additive() => {
                at.moved(by, operator == Operator::Subtract)?.map(Item::DateTime)
            }
            (Item::Time(time), Item::Quantity(by)) if operator.is_additive() => {
                time.moved(by, operator == Operator::Subtract)?.map(Item::Time)
            }
            (later, earlier) if operator == Operator::Subtract && date_time(later).is_some() => {
                match (date_time(later), date_time(earlier)) {
                    (Some(later), Some(earlier)) => later.since(earlier, self.environment).map(Item::from),
                    _ => return Err(mismatch(operator, &left, &right)),
                }
            }
            (Item::Quantity(a), Item::Quantity(b)) => quantities(operator, a, b)?,
            (Item::Quantity(a), b) if as_number(b).is_some() && !operator.is_additive() => {
                let b = Quantity::number(as_number(b).unwrap_or_default());
                quantities(operator, a, &b)?
            }
            (a, Item::Quantity(b)) if as_number(a).is_some() && !operator.is_additive() => {
                let a = Quantity::number(as_number(a).unwrap_or_default());
                quantities(operator, &a, b)?
            }
            (a, b) => match (as_number(a), as_number(b)) {
                (Some(a), Some(b)) => decimals(operator, a, b),
                _ => return Err(mismatch(operator, &left, &right)),
            },
        };
        Ok(result)
    }

    fn concatenate(&mut self, left: Option<&Item<'a>>, right: Option<&Item<'a>>) -> Result<Items<'a>, Fault> {
        let text = |item: Option<&Item<'a>>| match item.map(|item| (item, item.system())) {
            None => Ok(None),
            Some((_, Some(Item::String(text)))) => Ok(Some(text)),
            Some((item, _)) => Err(Fault::wrong_type(format!("& joins texts, not {}", item.type_name()))),
        };
        let (left, right) = (text(left)?, text(right)?);
        let (left, right) = (left.as_ref().map_or("", |t| t.as_str()), right.as_ref().map_or("", |t| t.as_str()));
        self.spend_on_text(left.len() + right.len())?;
        Ok(vec![Item::text(format!("{left}{right}"))])
    }
}

impl Operator {
    fn is_additive(self) -> bool {
        matches!(self, Self::Add | Self::Subtract)
    }
}

/// A malformed primitive makes the result unknown rather than an error.
fn is_malformed(item: &Item<'_>) -> bool {
    use crate::model::Kind;
    matches!(item, Item::Node(node) if matches!(node.of.kind(), Kind::Primitive(_) | Kind::Quantity))
}

/// The System value; FHIR's durations in `a` and `mo` count as calendar years and months.
fn operand<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    let value = item.system()?;
    let Item::Quantity(quantity) = &value else {
        return Some(value);
    };
    let is_element = matches!(item, Item::Node(Node { .. }));
    let calendar = match &quantity.unit {
        Unit::Ucum(code) if is_element && &**code == "a" => CalendarUnit::Year,
        Unit::Ucum(code) if is_element && &**code == "mo" => CalendarUnit::Month,
        _ => return Some(value),
    };
    Some(Item::from(Quantity::calendar(quantity.value, calendar)))
}

fn date_time(item: &Item<'_>) -> Option<DateTime> {
    match item {
        Item::Date(date) => Some(date.to_date_time()),
        Item::DateTime(at) => Some(*at),
        _ => None,
    }
}

fn mismatch(operator: Operator, left: &Item<'_>, right: &Item<'_>) -> Fault {
    Fault::wrong_type(format!("{} {} {} is not defined", left.type_name(), operator.sign(), right.type_name()))
}

fn integers<'a>(operator: Operator, a: i64, b: i64) -> Option<Item<'a>> {
    match operator {
        Operator::Add => a.checked_add(b).map(Item::Integer),
        Operator::Subtract => a.checked_sub(b).map(Item::Integer),
        Operator::Multiply => a.checked_mul(b).map(Item::Integer),
        Operator::IntegerDivide => a.checked_div(b).map(Item::Integer),
        Operator::Modulo => a.checked_rem(b).map(Item::Integer),
        _ => decimals(operator, Decimal::from(a), Decimal::from(b)),
    }
}

fn decimals<'a>(operator: Operator, a: Decimal, b: Decimal) -> Option<Item<'a>> {
    match operator {
        Operator::Add => a.checked_add(b).map(Item::Decimal),
        Operator::Subtract => a.checked_sub(b).map(Item::Decimal),
        Operator::Multiply => a.checked_mul(b).map(Item::Decimal),
        Operator::Divide => a.checked_div(b).map(|value| Item::Decimal(value.normalize())),
        Operator::IntegerDivide => a.checked_div(b)?.trunc().to_i64().map(Item::Integer),
        Operator::Modulo => a.checked_rem(b).map(Item::Decimal),
        _ => None,
    }
}

fn quantities<'a>(operator: Operator, a: &Quantity, b: &Quantity) -> Result<Option<Item<'a>>, Fault> {
    let result = match operator {
        Operator::Add => a.add(b, Decimal::ONE),
        Operator::Subtract => a.add(b, Decimal::NEGATIVE_ONE),
        Operator::Multiply => a.multiply(b),
        Operator::Divide => a.divide(b),
        _ => return Err(Fault::wrong_type("div and mod are not defined for quantities")),
    };
    Ok(result.map(Item::from))
}
