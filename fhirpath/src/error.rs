//! What can go wrong, said without a word of the data.

use std::borrow::Cow;
use std::fmt;

/// A place in the text of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Byte offset from the start of the text.
    pub offset: usize,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

impl Position {
    pub(crate) fn locate(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { offset, line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The text is not a FHIRPath expression that this crate can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message} ({hint})")]
pub struct ParseError {
    /// Where the text stops making sense.
    pub position: Position,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// The families of failure at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// More steps, items or text than [`crate::Budget`] allows.
    BudgetExceeded,
    /// A value of a type that the operation does not take.
    Type,
    /// Several items where at most one is allowed.
    Cardinality,
    /// `%name` is bound neither by the environment nor by `defineVariable`.
    UnknownVariable,
    /// A path that the FHIR R4 type does not have.
    UnknownElement,
    /// An argument outside of what the function takes.
    Argument,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BudgetExceeded => "budget exceeded",
            Self::Type => "type error",
            Self::Cardinality => "too many items",
            Self::UnknownVariable => "unknown variable",
            Self::UnknownElement => "unknown element",
            Self::Argument => "bad argument",
        })
    }
}

/// An expression failed on some data. The text names types, functions and places in the
/// expression, never a value of the resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at {position}: {message}")]
pub struct EvaluationError {
    /// The family of the failure.
    pub kind: ErrorKind,
    /// The part of the expression that failed.
    pub position: Position,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// A failure that does not know its place yet.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub kind: ErrorKind,
    pub at: Option<u32>,
    pub message: Cow<'static, str>,
}

impl Fault {
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, at: None, message: message.into() }
    }

    pub fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Type, message)
    }

    pub fn cardinality(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Cardinality, message)
    }

    pub fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    /// Keeps the innermost place: that is where the reader has to look.
    pub fn or_at(mut self, at: u32) -> Self {
        self.at.get_or_insert(at);
        self
    }

    pub fn locate(self, text: &str) -> EvaluationError {
        EvaluationError {
            kind: self.kind,
            position: Position::locate(text, self.at.unwrap_or(0) as usize),
            message: self.message.into_owned(),
        }
    }
}
