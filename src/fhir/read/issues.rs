//! What was read, and what was wrong with it.

use serde_json::Value;

use super::date::{self, DateError};
use crate::domain::Issue;
use crate::fhir::{json, reference};

/// The outcome of reading one resource. `value` is absent exactly where an issue is fatal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    pub value: Option<T>,
    pub issues: Vec<Issue>,
}

impl<T> Read<T> {
    /// The first reason why there is no value.
    pub fn fatal(&self) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.fatal)
    }
}

/// Collects issues while a resource is read. Reasons never repeat a value: it may be PHI.
#[derive(Debug, Default)]
pub(super) struct Issues(Vec<Issue>);

impl Issues {
    pub fn note(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Issue { path: path.into(), reason: reason.into(), fatal: false });
    }

    pub fn fatal(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Issue { path: path.into(), reason: reason.into(), fatal: true });
    }

    pub fn are_fatal(&self) -> bool {
        self.0.iter().any(|issue| issue.fatal)
    }

    /// `value` without a fatal issue, else nothing. A reader that has no value must have said why.
    pub fn finish<T>(self, value: Option<T>) -> Read<T> {
        let value = value.filter(|_| !self.are_fatal());
        debug_assert!(value.is_some() || self.are_fatal(), "no value and no reason");
        Read { value, issues: self.0 }
    }

    /// Checks what makes any resource readable at all: its type, its id, and no modifier that we do not understand
    /// (R4 extensibility.html: a reader that does not know a modifier extension must not process the data).
    pub fn resource<'a>(&mut self, value: &'a Value, kind: &str) -> Option<&'a str> {
        if json::text(value, "resourceType") != Some(kind) {
            self.fatal(kind, format!("is not a {kind}"));
            return None;
        }
        self.no_modifiers(value, kind);
        if json::present(value, "implicitRules") {
            self.fatal(format!("{kind}.implicitRules"), "changes the meaning of the resource and is not understood");
        }
        let id = json::text(value, "id").filter(|id| reference::is_id(id));
        if id.is_none() {
            self.fatal(format!("{kind}.id"), "is missing or is not an id");
        }
        id
    }

    pub fn no_modifiers(&mut self, value: &Value, path: &str) {
        if !json::list(value, "modifierExtension").is_empty() {
            self.fatal(format!("{path}.modifierExtension"), "changes the meaning of the element and is not understood");
        }
    }

    /// A boolean that modifies the meaning of the resource: one that cannot be read is fatal.
    pub fn modifier_flag(&mut self, value: &Value, path: &str, key: &str) -> Option<bool> {
        match value.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.fatal(format!("{path}.{key}"), "is not a boolean");
                None
            }
        }
    }

    /// A string; anything else is noted and left out.
    pub fn text<'a>(&mut self, value: &'a Value, path: &str, key: &str) -> Option<&'a str> {
        match value.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(_)) => json::text(value, key),
            Some(_) => {
                self.note(format!("{path}.{key}"), "is not a string");
                None
            }
        }
    }

    /// A period as (start, end). A bound that cannot be read as a dateTime is read as a day where possible; an
    /// unreadable one is `Err`, because an end that cannot be told may have passed.
    pub fn period(&mut self, value: &Value, path: &str) -> Result<date::Span, DateError> {
        let Some(period) = value.get("period").filter(|period| !period.is_null()) else {
            return Ok(date::Span::default());
        };
        let span = date::period(period);
        match &span {
            Err(error) => self.note(format!("{path}.period"), error.to_string()),
            Ok(span) if span.coarse => self.note(format!("{path}.period"), DateError::NoOffset.to_string()),
            Ok(_) => {}
        }
        span
    }
}
