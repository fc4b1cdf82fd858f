//! The compiled form of an expression.

use crate::function::Function;
use crate::item::Item;
use crate::model::TypeId;
use crate::types::SystemType;
use regex::Regex;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Expr {
    pub kind: ExprKind,
    /// Byte offset in the text.
    pub at: u32,
    /// The longest way down to a leaf; bounded, so that evaluation cannot exhaust the stack.
    pub height: u16,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Literal(Item<'static>),
    /// `{}`
    Empty,
    This,
    Index,
    Total,
    Variable(Arc<str>),
    /// What follows a head, step by step: `name.where(use = 'official').given[0]`.
    Path {
        head: Box<Expr>,
        steps: Vec<Step>,
    },
    Negate(Box<Expr>),
    Plus(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// A chain of the same associative operator, flat so that long code lists stay shallow.
    Chain(Chain, Vec<Expr>),
    Is(Box<Expr>, TypeRef),
    As(Box<Expr>, TypeRef),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    And,
    Or,
    Union,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Modulo,
    Concatenate,
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Contains,
    Xor,
    Implies,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub kind: StepKind,
    pub at: u32,
}

#[derive(Debug)]
pub(crate) enum StepKind {
    Member(Member),
    Call(Call),
    Index(Box<Expr>),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub name: String,
    /// The JSON name of the extensions on a primitive of that name.
    pub sibling: String,
    /// The type of that name, where the member stands first in a path: `Patient.name`.
    pub type_name: Option<TypeId>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub function: Function,
    pub arguments: Vec<Expr>,
    /// The type argument of `is`, `as` and `ofType`.
    pub type_argument: Option<TypeRef>,
    /// The pattern, where it is a literal.
    pub pattern: Option<Regex>,
    /// For `sort`: which keys run downwards.
    pub descending: Vec<bool>,
}

/// A type name in an expression. `Quantity` alone means both the FHIR and the System type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeRef {
    pub fhir: Option<TypeId>,
    pub system: Option<SystemType>,
}
