//! The values that flow through an expression.

use crate::model::{Kind, Primitive, TypeId};
use crate::quantity::Quantity;
use crate::temporal::{Date, DateTime, Time};
use crate::types::{SystemType, TypeInfo};
use rust_decimal::Decimal;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(crate) static NULL: Value = Value::Null;

/// Text, borrowed from the resource where it can be.
#[derive(Clone)]
pub enum Text<'a> {
    /// A piece of the resource.
    Borrowed(&'a str),
    /// A literal or a result.
    Shared(Arc<str>),
}

impl Text<'_> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// One value. Elements of a resource stay borrowed.
#[derive(Clone)]
pub enum Item<'a> {
    /// An element of a resource, or a resource.
    Node(Node<'a>),
    /// true or false
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// An exact decimal number; keeps its trailing zeros.
    Decimal(Decimal),
    /// Text.
    String(Text<'a>),
    /// A date of any precision.
    Date(Date),
    /// A date with time of any precision.
    DateTime(DateTime),
    /// A time of day.
    Time(Time),
    /// A number with a unit.
    Quantity(Box<Quantity>),
    /// A type as a value.
    Type(TypeInfo),
}

/// A borrowed element of a resource with the FHIR type that its path tells.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub(crate) value: &'a Value,
    /// `_name`: id and extensions of a primitive.
    pub(crate) sibling: Option<&'a Value>,
    pub(crate) of: TypeId,
    /// One of several types that the element may have.
    pub(crate) choice: bool,
}

impl<'a> Node<'a> {
    /// A whole resource, or a value whose type is not known.
    pub fn root(value: &'a Value) -> Self {
        Self { value, sibling: None, of: resource_type(value).unwrap_or(TypeId::UNKNOWN), choice: false }
    }

    /// The JSON value; `null` where a primitive has only extensions.
    pub fn json(&self) -> &'a Value {
        self.value
    }

    /// The FHIR type; [`TypeId::UNKNOWN`] where neither path nor content tells.
    pub fn fhir_type(&self) -> TypeId {
        if self.of.is_known() {
            return self.of;
        }
        let name = match self.value {
            Value::Bool(_) => "boolean",
            Value::String(_) => "string",
            Value::Number(number) if number.as_str().contains(['.', 'e', 'E']) => "decimal",
            Value::Number(_) => "integer",
            _ => return TypeId::UNKNOWN,
        };
        TypeId::named(name).unwrap_or(TypeId::UNKNOWN)
    }

    /// The System value of a primitive or a Quantity; `None` for the rest and for a malformed one.
    pub(crate) fn system(&self) -> Option<Item<'a>> {
        let text = |text: &'a str| Item::String(Text::Borrowed(text));
        match (self.of.kind(), self.value) {
            (_, Value::Bool(value)) => Some(Item::Boolean(*value)),
            (Kind::Primitive(Primitive::Date), Value::String(value)) => Date::parse(value).map(Item::Date),
            (Kind::Primitive(Primitive::DateTime), Value::String(value)) => DateTime::parse(value).map(Item::DateTime),
            (Kind::Primitive(Primitive::Time), Value::String(value)) => Time::parse(value).map(Item::Time),
            (_, Value::String(value)) => Some(text(value)),
            (Kind::Primitive(Primitive::Decimal), Value::Number(number)) => decimal(number.as_str()).map(Item::Decimal),
            (_, Value::Number(number)) => match number.as_i64() {
                Some(value) => Some(Item::Integer(value)),
                None => decimal(number.as_str()).map(Item::Decimal),
            },
            (Kind::Quantity | Kind::Unknown, Value::Object(_)) => {
                Quantity::from_json(self.value).map(|quantity| Item::Quantity(Box::new(quantity)))
            }
            _ => None,
        }
    }
}

/// Reads a JSON number; `None` beyond 28 digits before the point.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) { Decimal::from_scientific(text).ok() } else { Decimal::from_str(text).ok() }
}

pub(crate) fn resource_type(value: &Value) -> Option<TypeId> {
    TypeId::named(value.get("resourceType")?.as_str()?)
}

impl<'a> Item<'a> {
    /// A text of our own.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::String(Text::Shared(text.into()))
    }

    /// The System value: of a node its primitive or Quantity, of the rest itself.
    pub fn system(&self) -> Option<Item<'a>> {
        match self {
            Self::Node(node) => node.system(),
            other => Some(other.clone()),
        }
    }

    /// The text of a string or of a string-like element.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text.as_str()),
            Self::Node(node) => node.value.as_str(),
            _ => None,
        }
    }

    /// True for what is surely text, and so equal only to the same text.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::String(_) => true,
            Self::Node(node) => node.of.kind() == Kind::Primitive(Primitive::Text) && node.value.is_string(),
            _ => false,
        }
    }

    /// The truth of a Boolean or of a boolean element.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            Self::Node(node) => node.value.as_bool(),
            _ => None,
        }
    }

    /// The element, where this is one.
    pub fn node(&self) -> Option<&Node<'a>> {
        match self {
            Self::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The System type; of a node that of its System value.
    pub(crate) fn system_type(&self) -> SystemType {
        match self {
            Self::Node(node) => node.system().map_or(SystemType::Any, |item| item.system_type()),
            Self::Boolean(_) => SystemType::Boolean,
            Self::Integer(_) => SystemType::Integer,
            Self::Decimal(_) => SystemType::Decimal,
            Self::String(_) => SystemType::String,
            Self::Date(_) => SystemType::Date,
            Self::DateTime(_) => SystemType::DateTime,
            Self::Time(_) => SystemType::Time,
            Self::Quantity(_) => SystemType::Quantity,
            Self::Type(_) => SystemType::TypeInfo,
        }
    }

    /// What `type()` gives.
    pub fn type_info(&self) -> TypeInfo {
        match self {
            Self::Node(node) => TypeInfo::Fhir(node.fhir_type()),
            other => TypeInfo::System(other.system_type()),
        }
    }

    /// True for an element that may have one of several types. That it has another one than the
    /// expression expects is nothing to fail on: an onset may be a text, and then has no order
    /// with a date.
    pub(crate) fn is_choice(&self) -> bool {
        matches!(self, Self::Node(node) if node.choice)
    }

    /// The name of the type, for error texts.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.type_info().name() {
            "" => "an element of unknown type",
            name => name,
        }
    }
}

impl From<bool> for Item<'_> {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Item<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Decimal> for Item<'_> {
    fn from(value: Decimal) -> Self {
        Self::Decimal(value)
    }
}

impl From<Date> for Item<'_> {
    fn from(value: Date) -> Self {
        Self::Date(value)
    }
}

impl From<DateTime> for Item<'_> {
    fn from(value: DateTime) -> Self {
        Self::DateTime(value)
    }
}

impl From<Time> for Item<'_> {
    fn from(value: Time) -> Self {
        Self::Time(value)
    }
}

impl From<Quantity> for Item<'_> {
    fn from(value: Quantity) -> Self {
        Self::Quantity(Box::new(value))
    }
}

impl<'a> From<&'a str> for Item<'a> {
    fn from(value: &'a str) -> Self {
        Self::String(Text::Borrowed(value))
    }
}

impl From<String> for Item<'_> {
    fn from(value: String) -> Self {
        Self::text(value)
    }
}

impl<'a> From<&'a Value> for Item<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Node(Node::root(value))
    }
}

/// Prints the type only: what an item holds may be a patient's.
impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Item({}.{})", self.type_info().namespace(), self.type_info().name())
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.fhir_type().name())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text")
    }
}
