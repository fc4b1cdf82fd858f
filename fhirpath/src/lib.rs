//! FHIRPath over borrowed JSON values.
//!
//! For programs that decide something by FHIRPath and must be able to repeat the decision later:
//! an expression is compiled once and shared between threads; the clock and its zone come in with
//! the [`Environment`]; steps, collections and texts are bounded; nothing is printed, not even by
//! `trace()`, and no error text holds a value of the resource. Elements of a resource are borrowed,
//! never copied. Types come from a table of all FHIR R4 elements, so `birthDate` is a date and
//! `onset` is found under `onsetDateTime`.
//!
//! Conditions have three values ([`Truth`]): what the data does not tell is *unknown*, not false.
//! A date of precision month compared with a day inside of that month is such a case.
//!
//! ```
//! use fhirpath::{Environment, Expression, Truth};
//!
//! let overdue = Expression::parse("Condition.onset < today() - 6 months").unwrap();
//! let condition = serde_json::json!({"resourceType": "Condition", "onsetDateTime": "2023-11"});
//! let now = chrono::DateTime::parse_from_rfc3339("2024-08-31T22:30:00-05:00").unwrap();
//! let environment = Environment::new(now).with_resource("condition", &condition);
//! assert_eq!(overdue.matches(&condition, &environment).unwrap(), Truth::True);
//! ```
//!
//! Where an instant meets a date (`start < today()`), the instant is first put on the wall clock
//! of the environment's zone. The same holds for `toDate()`.

mod ast;
mod budget;
mod check;
mod collection;
mod environment;
mod equality;
mod error;
mod evaluate;
mod expression;
mod function;
mod functions;
mod introspection;
mod invocation;
mod item;
mod lexer;
mod model;
mod navigation;
mod operators;
mod parser;
mod quantity;
mod regexes;
mod temporal;
mod temporal_arithmetic;
mod temporal_order;
mod types;
mod ucum;

pub use budget::Budget;
pub use check::Finding;
pub use collection::{Collection, Truth};
pub use environment::Environment;
pub use error::{ErrorKind, EvaluationError, ParseError, Position};
pub use expression::Expression;
pub use introspection::{Path, References, Root};
pub use item::{Item, Node, Text};
pub use model::TypeId;
pub use parser::{MAX_LENGTH, MAX_NESTING};
pub use quantity::{CalendarUnit, Quantity, Unit};
pub use rust_decimal::Decimal;
pub use temporal::{Date, DateTime, Precision, Time};
pub use types::{SystemType, TypeInfo};
