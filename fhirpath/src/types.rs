//! The System types and type names as values.

use crate::ast::TypeRef;
use crate::item::Item;
use crate::model::{Kind, TypeId};

/// The primitive types of FHIRPath itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemType {
    /// true or false
    Boolean,
    /// whole number
    Integer,
    /// exact decimal number
    Decimal,
    /// text
    String,
    /// date of any precision
    Date,
    /// date with time of any precision
    DateTime,
    /// time of day
    Time,
    /// number with unit
    Quantity,
    /// a type as a value
    TypeInfo,
    /// the root of all
    Any,
}

impl SystemType {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Boolean" => Self::Boolean,
            "Integer" | "Long" => Self::Integer,
            "Decimal" => Self::Decimal,
            "String" => Self::String,
            "Date" => Self::Date,
            "DateTime" => Self::DateTime,
            "Time" => Self::Time,
            "Quantity" => Self::Quantity,
            "Any" => Self::Any,
            _ => return None,
        })
    }

    /// The name without the namespace `System`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::Decimal => "Decimal",
            Self::String => "String",
            Self::Date => "Date",
            Self::DateTime => "DateTime",
            Self::Time => "Time",
            Self::Quantity => "Quantity",
            Self::TypeInfo => "TypeInfo",
            Self::Any => "Any",
        }
    }
}

impl TypeRef {
    /// `is`: the type or one derived from it.
    pub(crate) fn covers(self, item: &Item<'_>) -> bool {
        match item {
            Item::Node(node) => self.fhir.is_some_and(|of| node.fhir_type().is_a(of)),
            other => self.system.is_some_and(|of| of == SystemType::Any || of == other.system_type()),
        }
    }

    /// `as` and `ofType`: a FHIR primitive must be of exactly that type.
    pub(crate) fn selects(self, item: &Item<'_>) -> bool {
        match item {
            Item::Node(node) => self.fhir.is_some_and(|of| {
                let own = node.fhir_type();
                own == of || (!matches!(own.kind(), Kind::Primitive(_)) && own.is_a(of))
            }),
            other => self.covers(other),
        }
    }
}

/// A type as a value: what `type()` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeInfo {
    /// A type of FHIRPath.
    System(SystemType),
    /// A type of FHIR.
    Fhir(TypeId),
}

impl TypeInfo {
    /// `System` or `FHIR`.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::System(_) => "System",
            Self::Fhir(_) => "FHIR",
        }
    }

    /// The name without the namespace.
    pub fn name(self) -> &'static str {
        match self {
            Self::System(of) => of.name(),
            Self::Fhir(of) => of.name(),
        }
    }
}
