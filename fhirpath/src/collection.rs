//! The result of an expression: an ordered collection, and how it is read as a condition.

use crate::error::Fault;
use crate::item::Item;
use std::ops::Deref;

/// Three-valued truth. Empty is *unknown*, not false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// The data does not tell.
    Unknown,
}

impl Truth {
    /// True only where the condition surely holds.
    pub fn is_true(self) -> bool {
        self == Self::True
    }

    /// `None` where unknown.
    pub fn known(self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Unknown => None,
        }
    }
}

impl From<Option<bool>> for Truth {
    fn from(value: Option<bool>) -> Self {
        match value {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Unknown,
        }
    }
}

/// What an expression gives: items in order, borrowed from the resources they came from.
#[derive(Debug, Clone, Default)]
pub struct Collection<'a>(pub(crate) Vec<Item<'a>>);

impl<'a> Collection<'a> {
    /// The items, owned.
    pub fn into_items(self) -> Vec<Item<'a>> {
        self.0
    }

    /// The collection read as a condition; `None` where it has several items.
    pub fn truth(&self) -> Option<Truth> {
        boolean(&self.0).ok().map(Truth::from)
    }
}

impl<'a> Deref for Collection<'a> {
    type Target = [Item<'a>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a> IntoIterator for Collection<'a> {
    type Item = Item<'a>;
    type IntoIter = std::vec::IntoIter<Item<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> FromIterator<Item<'a>> for Collection<'a> {
    fn from_iter<I: IntoIterator<Item = Item<'a>>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

/// Singleton evaluation where a Boolean is wanted: a single item that is no Boolean counts as true.
pub(crate) fn boolean(items: &[Item<'_>]) -> Result<Option<bool>, Fault> {
    match items {
        [] => Ok(None),
        [one] => Ok(Some(one.as_bool().unwrap_or(true))),
        _ => Err(Fault::cardinality("a condition has several items; say .exists(), .all(…) or .first()")),
    }
}

/// At most one item.
pub(crate) fn single<'c, 'a>(items: &'c [Item<'a>]) -> Result<Option<&'c Item<'a>>, Fault> {
    match items {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(Fault::cardinality("one item is expected here; say .first(), .single() or .where(…)")),
    }
}
