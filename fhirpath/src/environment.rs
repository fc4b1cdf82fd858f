//! Everything an expression can see besides its focus: variables, the clock, callbacks, limits.

use crate::budget::Budget;
use crate::item::{Item, Node};
use crate::temporal::{DateTime, cut_to_millisecond};
use chrono::{NaiveDateTime, Offset, TimeZone};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

type Resolve<'a> = Arc<dyn Fn(&str) -> Option<&'a Value> + Send + Sync + 'a>;
type MemberOf<'a> = Arc<dyn Fn(&str, Option<&str>, &str) -> Option<bool> + Send + Sync + 'a>;
/// Minutes east of UTC at an instant.
type OffsetAt = Arc<dyn Fn(NaiveDateTime) -> i16 + Send + Sync>;

/// What `%variables`, `now()`, `resolve()` and `memberOf()` stand for during evaluation.
#[derive(Clone)]
pub struct Environment<'a> {
    pub(crate) now: DateTime,
    offset_at: OffsetAt,
    variables: Vec<(Cow<'a, str>, Vec<Item<'a>>)>,
    pub(crate) resolve: Option<Resolve<'a>>,
    pub(crate) member_of: Option<MemberOf<'a>>,
    pub(crate) budget: Budget,
    pub(crate) strict: bool,
}

impl<'a> Environment<'a> {
    /// An environment in which it is `now`. Its zone decides what "today" is and on which local
    /// day an instant of another zone falls; pass a `DateTime<chrono_tz::Tz>` to be right across
    /// daylight saving, a `DateTime<FixedOffset>` otherwise.
    pub fn new<Z>(now: chrono::DateTime<Z>) -> Self
    where
        Z: TimeZone + Send + Sync + 'static,
        Z::Offset: Send + Sync,
    {
        let zone = now.timezone();
        let offset_at =
            move |utc: NaiveDateTime| (zone.offset_from_utc_datetime(&utc).fix().local_minus_utc() / 60) as i16;
        Self {
            now: DateTime::from(now),
            offset_at: Arc::new(offset_at),
            variables: Vec::new(),
            resolve: None,
            member_of: None,
            budget: Budget::default(),
            strict: false,
        }
    }

    /// Binds `%name` to one resource or element.
    #[must_use]
    pub fn with_resource(self, name: impl Into<Cow<'a, str>>, value: &'a Value) -> Self {
        self.with_items(name, [Item::Node(Node::root(value))])
    }

    /// Binds `%name` to resources in order; to none for an empty collection.
    #[must_use]
    pub fn with_resources(self, name: impl Into<Cow<'a, str>>, values: impl IntoIterator<Item = &'a Value>) -> Self {
        self.with_items(name, values.into_iter().map(|value| Item::Node(Node::root(value))))
    }

    /// Binds `%name` to one value such as a date: `with_value("today", Date::from(day))`.
    #[must_use]
    pub fn with_value(self, name: impl Into<Cow<'a, str>>, value: impl Into<Item<'a>>) -> Self {
        self.with_items(name, [value.into()])
    }

    /// Binds `%name` to any items. A later binding of a name replaces the earlier one.
    #[must_use]
    pub fn with_items(mut self, name: impl Into<Cow<'a, str>>, items: impl IntoIterator<Item = Item<'a>>) -> Self {
        self.bind(name.into(), items.into_iter().collect());
        self
    }

    fn bind(&mut self, name: Cow<'a, str>, items: Vec<Item<'a>>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, items));
    }

    /// How `resolve()` finds the resource that a reference names. Without it only references to
    /// contained resources resolve.
    #[must_use]
    pub fn with_resolve(mut self, resolve: impl Fn(&str) -> Option<&'a Value> + Send + Sync + 'a) -> Self {
        self.resolve = Some(Arc::new(resolve));
        self
    }

    /// How `memberOf(value set)` is answered, given value set URL, code system and code; `None`
    /// where the value set is not known, which makes the result empty.
    #[must_use]
    pub fn with_member_of(
        mut self,
        member_of: impl Fn(&str, Option<&str>, &str) -> Option<bool> + Send + Sync + 'a,
    ) -> Self {
        self.member_of = Some(Arc::new(member_of));
        self
    }

    /// Limits other than the default ones.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// In strict mode a path that the FHIR R4 type does not have is an error, not empty.
    #[must_use]
    pub fn with_strict_paths(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&[Item<'a>]> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, items)| items.as_slice())
    }

    /// The wall clock of this environment's zone; a value without offset stays as it is.
    pub(crate) fn local(&self, at: DateTime) -> DateTime {
        let Some(utc) = at.utc() else {
            return at;
        };
        let offset = (self.offset_at)(utc);
        if at.offset == Some(offset) {
            return at;
        }
        match crate::temporal::shifted(utc, i64::from(offset)) {
            Some(first) => DateTime { first: cut_to_millisecond(first), offset: Some(offset), ..at },
            None => at,
        }
    }
}
