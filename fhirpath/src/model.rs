//! The FHIR R4 types: what JSON alone cannot tell (a date from a string, a code from an id,
//! `value` from `valueQuantity`). Read once from `model/r4.txt`, drawn from HL7's definitions of
//! FHIR 4.0.1, which no longer change: every type with its base and its elements (`name:type`,
//! `name?type|type` for a choice, `?*` for any data type). The first line lists the data types.

use std::collections::HashMap;
use std::sync::OnceLock;

/// A FHIR type, or [`TypeId::UNKNOWN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u16);

/// How a FHIR primitive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Primitive {
    Boolean,
    Integer,
    Decimal,
    Text,
    Date,
    DateTime,
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Primitive(Primitive),
    Quantity,
    Complex,
    Resource,
    Unknown,
}

/// What one element of a type may hold.
#[derive(Debug)]
pub(crate) enum Element {
    One(TypeId),
    /// A choice: every JSON name with its type.
    Choice(Vec<(String, TypeId)>),
}

struct TypeDefinition {
    name: &'static str,
    base: TypeId,
    kind: Kind,
    /// Sorted by name, inherited ones included.
    elements: Vec<(&'static str, Element)>,
}

struct Model {
    types: Vec<TypeDefinition>,
    by_name: HashMap<&'static str, TypeId>,
    data_types: Vec<TypeId>,
}

static R4: &str = include_str!("../model/r4.txt");

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::read(R4))
}

impl TypeId {
    /// A value whose FHIR type nothing tells.
    pub const UNKNOWN: Self = Self(0);

    pub(crate) fn named(name: &str) -> Option<Self> {
        model().by_name.get(name).copied()
    }

    /// The FHIR name: `Patient`, `Patient.contact`, `dateTime`; empty where unknown.
    pub fn name(self) -> &'static str {
        model().types[usize::from(self.0)].name
    }

    pub(crate) fn base(self) -> Option<Self> {
        Some(model().types[usize::from(self.0)].base).filter(|base| *base != Self::UNKNOWN)
    }

    pub(crate) fn kind(self) -> Kind {
        model().types[usize::from(self.0)].kind
    }

    pub(crate) fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }

    /// True for the type itself and for every type it derives from.
    pub(crate) fn is_a(self, other: Self) -> bool {
        let mut current = Some(self);
        while let Some(this) = current {
            if this == other {
                return true;
            }
            current = this.base();
        }
        false
    }

    pub(crate) fn element(self, name: &str) -> Option<&'static Element> {
        let elements = &model().types[usize::from(self.0)].elements;
        let at = elements.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
        Some(&elements[at].1)
    }

    /// The choice element and type that a JSON name such as `valueQuantity` spells out.
    pub(crate) fn choice_spelled(self, key: &str) -> Option<(&'static str, TypeId)> {
        model().types[usize::from(self.0)].elements.iter().find_map(|(name, element)| match element {
            Element::Choice(names) if key.starts_with(name) => {
                names.iter().find(|(spelled, _)| spelled == key).map(|(_, of)| (*name, *of))
            }
            _ => None,
        })
    }
}

/// The data type that the end of a JSON name spells: `Quantity` for `valueQuantity`.
pub(crate) fn type_of_suffix(suffix: &str) -> Option<TypeId> {
    suffix.starts_with(|first: char| first.is_ascii_uppercase()).then_some(())?;
    model().data_types.iter().copied().find(|of| spells(of.name(), suffix))
}

fn spells(type_name: &str, suffix: &str) -> bool {
    type_name.len() == suffix.len()
        && type_name.as_bytes()[0].eq_ignore_ascii_case(&suffix.as_bytes()[0])
        && type_name[1..] == suffix[1..]
}

fn capitalised(name: &str) -> String {
    let mut text = name.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

impl Model {
    fn read(text: &'static str) -> Self {
        let mut lines = text.lines();
        let any: Vec<&'static str> = lines.next().unwrap_or_default().trim_start_matches("* ").split(' ').collect();
        let rows: Vec<(&'static str, &'static str, &'static str)> = lines
            .filter_map(|line| {
                let (name, rest) = line.split_once('<')?;
                let (base, elements) = rest.split_once(' ').unwrap_or((rest, ""));
                Some((name, base, elements))
            })
            .collect();
        let mut by_name = HashMap::with_capacity(rows.len());
        for (index, (name, ..)) in rows.iter().enumerate() {
            by_name.insert(*name, TypeId(index as u16 + 1));
        }
        let id = |name: &str| by_name.get(name).copied().unwrap_or(TypeId::UNKNOWN);
        let mut types =
            vec![TypeDefinition { name: "", base: TypeId::UNKNOWN, kind: Kind::Unknown, elements: Vec::new() }];
        for (name, base, _) in &rows {
            types.push(TypeDefinition { name, base: id(base), kind: Kind::Unknown, elements: Vec::new() });
        }
        for (index, (name, ..)) in rows.iter().enumerate() {
            let mut elements = Vec::new();
            let mut row = Some(index);
            while let Some(at) = row {
                let (_, base, list) = rows[at];
                elements.extend(list.split(' ').filter_map(|entry| element(entry, &any, &id)));
                row = by_name.get(base).map(|base| usize::from(base.0) - 1);
            }
            elements.sort_by_key(|(name, _)| *name);
            types[index + 1].kind = kind_of(name, &types, index + 1);
            types[index + 1].elements = elements;
        }
        let data_types = any.iter().map(|name| id(name)).collect();
        Self { types, by_name, data_types }
    }
}

fn element(entry: &'static str, any: &[&'static str], id: &dyn Fn(&str) -> TypeId) -> Option<(&'static str, Element)> {
    if let Some((name, of)) = entry.split_once(':') {
        return Some((name, Element::One(id(of))));
    }
    let (name, list) = entry.split_once('?')?;
    let spelled = |of: &str| (format!("{name}{}", capitalised(of)), id(of));
    let names =
        if list == "*" { any.iter().map(|of| spelled(of)).collect() } else { list.split('|').map(spelled).collect() };
    Some((name, Element::Choice(names)))
}

fn kind_of(name: &str, types: &[TypeDefinition], index: usize) -> Kind {
    match name {
        "boolean" => Kind::Primitive(Primitive::Boolean),
        "integer" | "positiveInt" | "unsignedInt" => Kind::Primitive(Primitive::Integer),
        "decimal" => Kind::Primitive(Primitive::Decimal),
        "date" => Kind::Primitive(Primitive::Date),
        "dateTime" | "instant" => Kind::Primitive(Primitive::DateTime),
        "time" => Kind::Primitive(Primitive::Time),
        "base64Binary" | "canonical" | "code" | "id" | "markdown" | "oid" | "string" | "uri" | "url" | "uuid"
        | "xhtml" => Kind::Primitive(Primitive::Text),
        "Quantity" => Kind::Quantity,
        "Resource" => Kind::Resource,
        _ => {
            let mut base = types[index].base;
            while base != TypeId::UNKNOWN {
                let definition = &types[usize::from(base.0)];
                match definition.name {
                    "Quantity" => return Kind::Quantity,
                    "Resource" => return Kind::Resource,
                    _ => base = definition.base,
                }
            }
            Kind::Complex
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_dates_codes_and_choices() {
        let patient = TypeId::named("Patient").unwrap();
        assert!(matches!(patient.element("birthDate"), Some(Element::One(of)) if of.name() == "date"));
        assert!(matches!(patient.element("deceased"), Some(Element::Choice(names)) if names.len() == 2));
        assert!(patient.element("id").is_some());
        assert!(patient.is_a(TypeId::named("Resource").unwrap()));
        assert_eq!(patient.choice_spelled("deceasedBoolean").unwrap().0, "deceased");
        assert_eq!(type_of_suffix("DateTime").unwrap().name(), "dateTime");
        assert_eq!(TypeId::named("Age").unwrap().kind(), Kind::Quantity);
    }

    #[test]
    fn every_element_names_a_type_of_the_table() {
        for definition in &model().types {
            for (name, element) in &definition.elements {
                let known = match element {
                    Element::One(of) => of.is_known(),
                    Element::Choice(names) => names.iter().all(|(_, of)| of.is_known()),
                };
                assert!(known, "{}.{name}", definition.name);
            }
        }
    }
}
