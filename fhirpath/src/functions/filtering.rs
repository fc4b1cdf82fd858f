//! Choosing and mapping items, and the functions that bind names.

use super::one;
use crate::ast::{Call, Expr};
use crate::collection::single;
use crate::equality::order;
use crate::error::{ErrorKind, Fault};
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;
use std::cmp::Ordering;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn filtering(
        &mut self,
        call: &Call,
        input: &[Item<'a>],
        scope: Scope<'_, 'a>,
    ) -> Result<Items<'a>, Fault> {
        match call.function {
            F::Where => {
                let mut kept = Vec::new();
                for (index, item) in input.iter().enumerate() {
                    if self.criterion(&call.arguments[0], scope.of(item, index))? {
                        kept.push(item.clone());
                    }
                }
                Ok(kept)
            }
            F::Select => self.project(&call.arguments[0], input, scope),
            F::Repeat => self.repeat(&call.arguments[0], input, scope, true),
            F::RepeatAll => self.repeat(&call.arguments[0], input, scope, false),
            F::OfType | F::As | F::Is => by_type(call, input),
            F::Sort => self.sort(call, input, scope),
            F::Iif => self.iif(call, input, scope),
            F::Aggregate => self.aggregate(call, input, scope),
            F::DefineVariable => self.define(call, input, scope),
            F::Coalesce => {
                for argument in &call.arguments {
                    let value = self.list_argument(argument, scope)?;
                    if !value.is_empty() {
                        return Ok(value);
                    }
                }
                Ok(Vec::new())
            }
            // trace() passes its input on and shows it to nobody.
            _ => Ok(input.to_vec()),
        }
    }

    fn project(&mut self, projection: &Expr, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let mut all = Vec::new();
        for (index, item) in input.iter().enumerate() {
            let defined = self.defined.len();
            let part = self.operand(projection, scope.of(item, index))?;
            self.spend_on_items(part.len())?;
            all.extend(part.iter().cloned());
            drop(part);
            self.defined.truncate(defined);
            self.environment.budget.check_items(all.len())?;
        }
        Ok(all)
    }

    fn repeat(
        &mut self,
        projection: &Expr,
        input: &[Item<'a>],
        scope: Scope<'_, 'a>,
        distinct: bool,
    ) -> Result<Items<'a>, Fault> {
        let mut all: Items<'a> = Vec::new();
        let mut level = input.to_vec();
        while !level.is_empty() {
            let mut fresh = Vec::new();
            for item in self.project(projection, &level, scope)? {
                if !distinct || !self.contains(&all, &item)? {
                    all.push(item.clone());
                    fresh.push(item);
                }
            }
            self.environment.budget.check_items(all.len())?;
            level = fresh;
        }
        Ok(all)
    }

    fn iif(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        if input.len() > 1 {
            return Err(Fault::cardinality("iif() takes at most one item; say select(iif(…))"));
        }
        let scope = Scope { this: input, ..scope };
        let criterion = self.operand(&call.arguments[0], scope)?;
        let holds = match single(&criterion)? {
            None => false,
            Some(item) => {
                item.as_bool().ok_or_else(|| Fault::wrong_type("the criterion of iif() must be a Boolean"))?
            }
        };
        match call.arguments.get(if holds { 1 } else { 2 }) {
            Some(branch) => self.list_argument(branch, scope),
            None => Ok(Vec::new()),
        }
    }

    fn aggregate(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let mut total = match call.arguments.get(1) {
            Some(initial) => self.list_argument(initial, scope)?,
            None => Vec::new(),
        };
        for (index, item) in input.iter().enumerate() {
            let scope = Scope { total: Some(&total), ..scope.of(item, index) };
            total = self.list_argument(&call.arguments[0], scope)?;
            self.environment.budget.check_items(total.len())?;
        }
        Ok(total)
    }

    fn define(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let Some(name) = self.text_argument(call, 0, scope)? else {
            return Err(Fault::argument("a variable needs a name"));
        };
        let name = name.as_str().to_owned();
        let taken = self.defined.iter().any(|(known, _)| *known == name)
            || matches!(name.as_str(), "resource" | "rootResource" | "context" | "ucum" | "sct" | "loinc")
            || self.environment.variable(&name).is_some();
        if taken {
            return Err(Fault::argument("defineVariable() names a variable that exists already"));
        }
        let value = match call.arguments.get(1) {
            Some(value) => self.list_argument(value, Scope { this: input, ..scope })?,
            None => input.to_vec(),
        };
        self.defined.push((name, value));
        Ok(input.to_vec())
    }

    fn sort(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let mut rows: Vec<(Vec<Option<Item<'a>>>, Item<'a>)> = Vec::with_capacity(input.len());
        for (index, item) in input.iter().enumerate() {
            let mut keys = Vec::new();
            if call.arguments.is_empty() {
                keys.push(Some(item.clone()));
            }
            for key in &call.arguments {
                let value = self.list_argument(key, scope.of(item, index))?;
                keys.push(single(&value)?.cloned());
            }
            rows.push((keys, item.clone()));
        }
        let comparisons = input.len() * (usize::BITS - input.len().leading_zeros()) as usize;
        self.meter.spend(comparisons)?;
        let mut failure = None;
        rows.sort_by(|(a, _), (b, _)| {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                let order = match (a, b) {
                    (None, None) => Ordering::Equal,
                    // Without a key an item comes last.
                    (None, Some(_)) => Ordering::Greater,
                    (Some(_), None) => Ordering::Less,
                    (Some(a), Some(b)) => match order(a, b, self.environment) {
                        Ok(order) => order.unwrap_or(Ordering::Equal),
                        Err(fault) => {
                            failure.get_or_insert(fault);
                            Ordering::Equal
                        }
                    },
                };
                let order = if call.descending.get(at) == Some(&true) { order.reverse() } else { order };
                if order != Ordering::Equal {
                    return order;
                }
            }
            Ordering::Equal
        });
        match failure {
            Some(fault) => Err(Fault { kind: ErrorKind::Type, ..fault }),
            None => Ok(rows.into_iter().map(|(_, item)| item).collect()),
        }
    }
}

fn by_type<'a>(call: &Call, input: &[Item<'a>]) -> Result<Items<'a>, Fault> {
    let Some(of) = call.type_argument else {
        return Err(Fault::argument("a type name is missing"));
    };
    if call.function == F::OfType {
        return Ok(input.iter().filter(|item| of.selects(item)).cloned().collect());
    }
    let Some(item) = single(input)? else {
        return Ok(Vec::new());
    };
    match call.function {
        F::Is => one(of.covers(item)),
        _ => Ok(of.selects(item).then(|| item.clone()).into_iter().collect()),
    }
}
