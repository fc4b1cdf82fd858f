//! An expression, compiled once.

use crate::ast::Expr;
use crate::check::{Finding, check};
use crate::collection::{Collection, Truth, boolean};
use crate::environment::Environment;
use crate::error::{EvaluationError, ParseError};
use crate::evaluate::Evaluator;
use crate::introspection::{References, references};
use crate::item::{Item, Node};
use crate::parser::parse;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A compiled expression. Cheap to clone, and shared between threads.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    root: Expr,
    references: References,
}

impl Expression {
    /// Compiles. Unknown functions, wrong numbers of arguments, unknown types and bad literal
    /// patterns are found here; unknown variables by [`Expression::references`] or at run time.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        let root = parse(source)?;
        let references = references(&root);
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), root, references })))
    }

    /// The text as it was given.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What the expression reads: variables, paths, functions, the clock.
    pub fn references(&self) -> &References {
        &self.0.references
    }

    /// What is surely wrong when this is evaluated on a resource of type `focus` (`None`: of any
    /// type) with these variables and their types: elements that FHIR R4 does not have, JSON names
    /// of choice elements, unknown variables. Empty where nothing was found.
    pub fn check(&self, focus: Option<&str>, variables: &[(&str, Option<&str>)]) -> Vec<Finding> {
        check(self.source(), &self.0.root, focus, variables)
    }

    /// Evaluates on a resource or element.
    pub fn evaluate<'a>(
        &self,
        focus: &'a Value,
        environment: &Environment<'a>,
    ) -> Result<Collection<'a>, EvaluationError> {
        self.evaluate_items(&[Item::Node(Node::root(focus))], environment)
    }

    /// Evaluates on any collection, the empty one included.
    pub fn evaluate_items<'a>(
        &self,
        focus: &[Item<'a>],
        environment: &Environment<'a>,
    ) -> Result<Collection<'a>, EvaluationError> {
        Evaluator::new(environment, focus)
            .run(&self.0.root)
            .map(Collection)
            .map_err(|fault| fault.locate(&self.0.source))
    }

    /// Evaluates as a condition. Several items are an error: say `.exists()`.
    pub fn matches<'a>(&self, focus: &'a Value, environment: &Environment<'a>) -> Result<Truth, EvaluationError> {
        let result = self.evaluate(focus, environment)?;
        boolean(&result).map(Truth::from).map_err(|fault| fault.locate(&self.0.source))
    }
}

impl FromStr for Expression {
    type Err = ParseError;

    fn from_str(source: &str) -> Result<Self, ParseError> {
        Self::parse(source)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source()).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Expression {}
