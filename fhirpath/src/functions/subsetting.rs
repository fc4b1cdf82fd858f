//! Parts of collections and combinations of them.

use crate::ast::Call;
use crate::collection::single;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::Item;

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn subsetting(
        &mut self,
        call: &Call,
        input: &[Item<'a>],
        scope: Scope<'_, 'a>,
    ) -> Result<Items<'a>, Fault> {
        match call.function {
            F::Single => Ok(single(input)?.cloned().into_iter().collect()),
            F::First => Ok(input.first().cloned().into_iter().collect()),
            F::Last => Ok(input.last().cloned().into_iter().collect()),
            F::Tail => Ok(input.iter().skip(1).cloned().collect()),
            F::Skip | F::Take => {
                let Some(count) = self.integer_argument(call, 0, scope)? else {
                    return Ok(Vec::new());
                };
                let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
                if call.function == F::Skip {
                    Ok(input.iter().skip(count).cloned().collect())
                } else {
                    Ok(input.iter().take(count).cloned().collect())
                }
            }
            _ => {
                let other = self.list_argument(&call.arguments[0], scope)?;
                self.combined(call.function, input, other)
            }
        }
    }

    fn combined(&mut self, function: F, input: &[Item<'a>], other: Items<'a>) -> Result<Items<'a>, Fault> {
        match function {
            F::Intersect | F::Exclude => {
                let mut kept = Vec::new();
                for item in input {
                    if self.contains(&other, item)? == (function == F::Intersect) {
                        kept.push(item.clone());
                    }
                }
                if function == F::Intersect { self.distinct(&kept) } else { Ok(kept) }
            }
            _ => {
                let mut all = input.to_vec();
                all.extend(other);
                self.spend_on_items(all.len())?;
                if function == F::Union { self.distinct(&all) } else { Ok(all) }
            }
        }
    }
}
