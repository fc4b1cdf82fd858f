//! The functions by family. Arguments are evaluated in the scope of the caller; those of lambda
//! functions once for each item.

mod boundaries;
mod conversion;
mod dates;
mod existence;
mod fhir;
mod filtering;
mod math;
mod strings;
mod subsetting;
mod texts;

use crate::ast::{Call, Expr};
use crate::collection::single;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;

impl<'a> Evaluator<'_, 'a> {
    pub(crate) fn call(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        self.meter.spend(1)?;
        match call.function {
            F::Empty
            | F::Exists
            | F::All
            | F::AllTrue
            | F::AnyTrue
            | F::AllFalse
            | F::AnyFalse
            | F::Any
            | F::SubsetOf
            | F::SupersetOf
            | F::Count
            | F::Distinct
            | F::IsDistinct
            | F::Not
            | F::HasValue => self.existence(call, input, scope),
            F::Where
            | F::Select
            | F::Repeat
            | F::RepeatAll
            | F::OfType
            | F::Is
            | F::As
            | F::Sort
            | F::Iif
            | F::Aggregate
            | F::DefineVariable
            | F::Trace
            | F::Coalesce => self.filtering(call, input, scope),
            F::Single
            | F::First
            | F::Last
            | F::Tail
            | F::Skip
            | F::Take
            | F::Intersect
            | F::Exclude
            | F::Union
            | F::Combine => self.subsetting(call, input, scope),
            F::IndexOf
            | F::LastIndexOf
            | F::Substring
            | F::StartsWith
            | F::EndsWith
            | F::Contains
            | F::Replace
            | F::Matches
            | F::MatchesFull
            | F::ReplaceMatches
            | F::Split
            | F::Join => self.strings(call, input, scope),
            F::Upper
            | F::Lower
            | F::Length
            | F::ToChars
            | F::Trim
            | F::Encode
            | F::Decode
            | F::Escape
            | F::Unescape => self.texts(call, input, scope),
            F::Abs | F::Ceiling | F::Exp | F::Floor | F::Ln | F::Log | F::Power | F::Round | F::Sqrt | F::Truncate => {
                self.math(call, input, scope)
            }
            F::ToBoolean
            | F::ToInteger
            | F::ToLong
            | F::ToDecimal
            | F::ToStringOf
            | F::ToDate
            | F::ToDateTime
            | F::ToTime
            | F::ToQuantity
            | F::ConvertsToBoolean
            | F::ConvertsToInteger
            | F::ConvertsToLong
            | F::ConvertsToDecimal
            | F::ConvertsToString
            | F::ConvertsToDate
            | F::ConvertsToDateTime
            | F::ConvertsToTime
            | F::ConvertsToQuantity => self.conversion(call, input, scope),
            F::Now
            | F::Today
            | F::TimeOfDay
            | F::YearOf
            | F::MonthOf
            | F::DayOf
            | F::HourOf
            | F::MinuteOf
            | F::SecondOf
            | F::MillisecondOf
            | F::TimezoneOffsetOf
            | F::DateOf
            | F::TimeOf => self.dates(call.function, input),
            F::LowBoundary | F::HighBoundary | F::PrecisionOf => self.boundaries(call, input, scope),
            F::Comparable
            | F::Children
            | F::Descendants
            | F::Extension
            | F::GetValue
            | F::Resolve
            | F::MemberOf
            | F::ConformsTo
            | F::HtmlChecks
            | F::TypeOf => self.fhir(call, input, scope),
        }
    }

    /// The System value of an argument; `None` where it is empty.
    fn argument(&mut self, call: &Call, at: usize, scope: Scope<'_, 'a>) -> Result<Option<Item<'a>>, Fault> {
        let Some(expr) = call.arguments.get(at) else {
            return Ok(None);
        };
        let value = self.operand(expr, scope)?;
        Ok(single(&value).map_err(|fault| fault.or_at(expr.at))?.and_then(Item::system))
    }

    fn integer_argument(&mut self, call: &Call, at: usize, scope: Scope<'_, 'a>) -> Result<Option<i64>, Fault> {
        match self.argument(call, at, scope)? {
            None => Ok(None),
            Some(Item::Integer(value)) => Ok(Some(value)),
            Some(other) => Err(Fault::wrong_type(format!(
                "{}() takes an Integer, not {}",
                call.function.name(),
                other.type_name()
            ))),
        }
    }

    fn text_argument(
        &mut self,
        call: &Call,
        at: usize,
        scope: Scope<'_, 'a>,
    ) -> Result<Option<crate::Text<'a>>, Fault> {
        match self.argument(call, at, scope)? {
            None => Ok(None),
            Some(Item::String(text)) => Ok(Some(text)),
            Some(other) => {
                Err(Fault::wrong_type(format!("{}() takes a String, not {}", call.function.name(), other.type_name())))
            }
        }
    }

    fn list_argument(&mut self, argument: &Expr, scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let defined = self.defined.len();
        let items = self.evaluate(argument, scope)?;
        self.defined.truncate(defined);
        Ok(items)
    }
}

/// At most one item, as its System value, of an input collection.
fn input_value<'a>(input: &[Item<'a>]) -> Result<Option<Item<'a>>, Fault> {
    Ok(single(input)?.and_then(Item::system))
}

fn one<'a>(item: impl Into<Item<'a>>) -> Result<Items<'a>, Fault> {
    Ok(vec![item.into()])
}

fn at_most_one<'a>(item: Option<impl Into<Item<'a>>>) -> Result<Items<'a>, Fault> {
    Ok(item.map(Into::into).into_iter().collect())
}
