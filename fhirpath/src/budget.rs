//! Limits that keep one expression from taking a server with it.

use crate::error::{ErrorKind, Fault};

/// What one evaluation may use. The defaults fit a patient's whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Elementary steps: visits of an element, evaluations of a sub-expression, comparisons.
    pub steps: u64,
    /// Items in any one collection.
    pub items: usize,
    /// Bytes in any one text that is made.
    pub text: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: 1_000_000, items: 100_000, text: 1 << 20 }
    }
}

impl Budget {
    pub(crate) fn check_items(&self, count: usize) -> Result<(), Fault> {
        if count > self.items {
            return Err(Fault::new(ErrorKind::BudgetExceeded, "a collection grew beyond the limit of the budget"));
        }
        Ok(())
    }

    pub(crate) fn check_text(&self, length: usize) -> Result<(), Fault> {
        if length > self.text {
            return Err(Fault::new(ErrorKind::BudgetExceeded, "a text grew beyond the limit of the budget"));
        }
        Ok(())
    }
}

/// What is left.
pub(crate) struct Meter {
    left: u64,
}

impl Meter {
    pub fn new(budget: &Budget) -> Self {
        Self { left: budget.steps }
    }

    pub fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        match self.left.checked_sub(steps as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::new(ErrorKind::BudgetExceeded, "the expression took more steps than the budget allows"))
            }
        }
    }
}
