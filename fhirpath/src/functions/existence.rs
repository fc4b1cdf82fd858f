//! Is there something, and how much?

use super::{at_most_one, one};
use crate::ast::{Call, Expr};
use crate::collection::boolean;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn existence(
        &mut self,
        call: &Call,
        input: &[Item<'a>],
        scope: Scope<'_, 'a>,
    ) -> Result<Items<'a>, Fault> {
        match call.function {
            F::Empty => one(input.is_empty()),
            F::Exists | F::Any => match call.arguments.first() {
                Some(criteria) => one(self.holds_for_any(criteria, input, scope)?),
                None => one(!input.is_empty()),
            },
            F::All => one(self.holds_for_all(&call.arguments[0], input, scope)?),
            F::AllTrue => one(booleans(input)?.iter().all(|value| *value)),
            F::AnyTrue => one(booleans(input)?.contains(&true)),
            F::AllFalse => one(booleans(input)?.iter().all(|value| !*value)),
            F::AnyFalse => one(booleans(input)?.contains(&false)),
            F::SubsetOf => {
                let other = self.list_argument(&call.arguments[0], scope)?;
                one(self.is_subset(input, &other)?)
            }
            F::SupersetOf => {
                let other = self.list_argument(&call.arguments[0], scope)?;
                one(self.is_subset(&other, input)?)
            }
            F::Count => one(input.len() as i64),
            F::Distinct => self.distinct(input),
            F::IsDistinct => one(self.distinct(input)?.len() == input.len()),
            F::Not => at_most_one(boolean(input)?.map(|value| !value)),
            _ => one(matches!(input, [item] if has_value(item))),
        }
    }

    fn holds_for_any(&mut self, criteria: &Expr, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<bool, Fault> {
        for (index, item) in input.iter().enumerate() {
            if self.criterion(criteria, scope.of(item, index))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn holds_for_all(&mut self, criteria: &Expr, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<bool, Fault> {
        for (index, item) in input.iter().enumerate() {
            if !self.criterion(criteria, scope.of(item, index))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does the criterion surely hold for the item?
    pub(super) fn criterion(&mut self, criteria: &Expr, scope: Scope<'_, 'a>) -> Result<bool, Fault> {
        let defined = self.defined.len();
        let holds = self.truth(criteria, scope)? == Some(true);
        self.defined.truncate(defined);
        Ok(holds)
    }

    fn is_subset(&mut self, part: &[Item<'a>], whole: &[Item<'a>]) -> Result<bool, Fault> {
        for item in part {
            if !self.contains(whole, item)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn booleans(input: &[Item<'_>]) -> Result<Vec<bool>, Fault> {
    input
        .iter()
        .map(|item| {
            item.as_bool().ok_or_else(|| Fault::wrong_type(format!("a Boolean is expected, not {}", item.type_name())))
        })
        .collect()
}

/// A primitive with a value of its own, not only extensions.
pub(super) fn has_value(item: &Item<'_>) -> bool {
    match item {
        Item::Node(node) => !node.json().is_null() && !node.json().is_object() && !node.json().is_array(),
        Item::Type(_) => false,
        _ => true,
    }
}
