//! Functions on numbers. What has no result, such as the root of a negative number, is empty.

use super::{at_most_one, input_value};
use crate::ast::Call;
use crate::equality::as_number;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;
use crate::quantity::Quantity;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, MathematicalOps, RoundingStrategy};

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn math(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let Some(item) = input_value(input)? else {
            return Ok(Vec::new());
        };
        let argument = match self.argument(call, 0, scope)? {
            None if call.arguments.is_empty() => None,
            None => return Ok(Vec::new()),
            Some(argument) => Some(as_number(&argument).ok_or_else(|| wrong(call.function, &argument))?),
        };
        let takes_quantity = matches!(call.function, F::Abs | F::Round);
        let fits = as_number(&item).is_some() || (takes_quantity && matches!(item, Item::Quantity(_)));
        if !fits && input.iter().any(Item::is_choice) {
            return Ok(Vec::new());
        }
        if let Item::Quantity(quantity) = &item {
            let value = match call.function {
                F::Abs => quantity.value.abs(),
                F::Round => round(quantity.value, argument.unwrap_or_default())?,
                _ => return Err(wrong(call.function, &item)),
            };
            return at_most_one(Some(Quantity { value, unit: quantity.unit.clone() }));
        }
        if let (F::Abs, Item::Integer(value)) = (call.function, &item) {
            return at_most_one(value.checked_abs());
        }
        let Some(value) = as_number(&item) else {
            return Err(wrong(call.function, &item));
        };
        let whole = |value: Decimal| at_most_one(value.to_i64());
        match call.function {
            F::Abs => at_most_one(Some(value.abs())),
            F::Ceiling => whole(value.ceil()),
            F::Floor => whole(value.floor()),
            F::Truncate => whole(value.trunc()),
            F::Round => at_most_one(Some(round(value, argument.unwrap_or_default())?)),
            F::Exp => at_most_one(value.checked_exp().map(|result| result.normalize())),
            F::Ln => at_most_one(value.checked_ln().map(tidy)),
            F::Log => at_most_one(logarithm(value, argument.unwrap_or_default())),
            F::Sqrt => at_most_one(value.sqrt().map(tidy)),
            _ => Ok(power(&item, value, argument.unwrap_or_default()).into_iter().collect()),
        }
    }
}

fn wrong(function: F, item: &Item<'_>) -> Fault {
    Fault::wrong_type(format!("{}() works on numbers, not {}", function.name(), item.type_name()))
}

fn round(value: Decimal, digits: Decimal) -> Result<Decimal, Fault> {
    let digits = digits.to_u32().ok_or_else(|| Fault::argument("round() takes a precision of 0 or more"))?;
    Ok(value.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero))
}

/// Drops the noise of an approximation, so that a whole result is whole.
fn tidy(value: Decimal) -> Decimal {
    let rounded = value.round_dp(16).normalize();
    if (rounded - value).abs() < Decimal::new(1, 16) { rounded } else { value }
}

fn logarithm(value: Decimal, base: Decimal) -> Option<Decimal> {
    value.checked_ln()?.checked_div(base.checked_ln()?).map(tidy)
}

fn power<'a>(item: &Item<'_>, value: Decimal, exponent: Decimal) -> Option<Item<'a>> {
    if let (Item::Integer(base), Some(exponent)) = (item, exponent.to_u32().filter(|_| exponent.is_integer())) {
        return base.checked_pow(exponent).map(Item::Integer);
    }
    if value.is_sign_negative() && !exponent.is_integer() {
        return None;
    }
    if value.is_zero() && exponent.is_sign_negative() {
        return None;
    }
    value.checked_powd(exponent).map(|result| Item::Decimal(tidy(result)))
}
