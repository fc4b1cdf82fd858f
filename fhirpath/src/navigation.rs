//! From an element to its children.

use crate::ast::Member;
use crate::error::{ErrorKind, Fault};
use crate::evaluate::{Evaluator, Items};
use crate::item::{Item, NULL, Node, resource_type};
use crate::model::{Element, Kind, TypeId, type_of_suffix};
use crate::types::TypeInfo;
use serde_json::{Map, Value};

impl<'a> Evaluator<'_, 'a> {
    pub(crate) fn navigate(&mut self, input: &[Item<'a>], member: &Member) -> Result<Items<'a>, Fault> {
        let mut found = Vec::new();
        for item in input {
            self.meter.spend(1)?;
            match item {
                Item::Node(node) => self.member_of_node(node, member, &mut found)?,
                Item::Type(info) => found.extend(member_of_type(*info, &member.name)),
                Item::Quantity(quantity) => match member.name.as_str() {
                    "value" => found.push(Item::Decimal(quantity.value)),
                    "unit" | "code" => found.push(Item::text(quantity.unit.to_string())),
                    _ => {}
                },
                _ if self.environment.strict => return Err(unknown(&member.name, item.type_name())),
                _ => {}
            }
            self.environment.budget.check_items(found.len())?;
        }
        Ok(found)
    }

    fn member_of_node(&mut self, node: &Node<'a>, member: &Member, found: &mut Items<'a>) -> Result<(), Fault> {
        if let Some(of) = member.type_name
            && node.of.is_a(of)
        {
            found.push(Item::Node(*node));
            return Ok(());
        }
        let name = member.name.as_str();
        let Value::Object(map) = node.value else {
            return self.member_of_primitive(node, member, found);
        };
        match node.of.element(name) {
            Some(Element::One(of)) => {
                let sibling = if matches!(of.kind(), Kind::Primitive(_)) { map.get(&member.sibling) } else { None };
                push(map.get(name), sibling, *of, found);
            }
            Some(Element::Choice(names)) => {
                push_choice(map, name, |key| names.iter().find(|(known, _)| known == key).map(|(_, of)| *of), found);
            }
            None if !node.of.is_known() => {
                if let Some(value) = map.get(name) {
                    push(Some(value), map.get(&member.sibling), TypeId::UNKNOWN, found);
                } else {
                    push_choice(map, name, |key| type_of_suffix(&key[name.len()..]), found);
                }
            }
            None => {
                if let Some((choice, of)) = node.of.choice_spelled(name) {
                    let message = format!("{name} is a JSON name; write {choice} or {choice}.ofType({})", of.name());
                    return Err(Fault::new(ErrorKind::UnknownElement, message));
                }
                if self.environment.strict {
                    return Err(unknown(name, node.of.name()));
                }
                // Not of FHIR R4, but there: a later release, or a vendor's own.
                push(map.get(name), map.get(&member.sibling), TypeId::UNKNOWN, found);
            }
        }
        Ok(())
    }

    fn member_of_primitive(&self, node: &Node<'a>, member: &Member, found: &mut Items<'a>) -> Result<(), Fault> {
        let sibling = |key: &str| node.sibling.and_then(|sibling| sibling.get(key));
        match member.name.as_str() {
            "extension" => push(sibling("extension"), None, element_type("Extension"), found),
            "id" => push(sibling("id"), None, element_type("string"), found),
            "value" => found.extend(node.system()),
            name if self.environment.strict => return Err(unknown(name, node.fhir_type().name())),
            _ => {}
        }
        Ok(())
    }

    /// Every child element of every item.
    pub(crate) fn children(&mut self, input: &[Item<'a>]) -> Result<Items<'a>, Fault> {
        let mut found = Vec::new();
        for item in input {
            self.meter.spend(1)?;
            match item {
                Item::Node(node) => {
                    children_of(node, &mut found);
                    self.meter.spend(found.len() / 16)?;
                }
                Item::Type(info) => {
                    found.extend(member_of_type(*info, "namespace"));
                    found.extend(member_of_type(*info, "name"));
                }
                _ => {}
            }
            self.environment.budget.check_items(found.len())?;
        }
        Ok(found)
    }

    pub(crate) fn descendants(&mut self, input: &[Item<'a>]) -> Result<Items<'a>, Fault> {
        let mut all = Vec::new();
        let mut level = self.children(input)?;
        while !level.is_empty() {
            self.environment.budget.check_items(all.len() + level.len())?;
            let next = self.children(&level)?;
            all.append(&mut level);
            level = next;
        }
        Ok(all)
    }
}

fn element_type(name: &str) -> TypeId {
    TypeId::named(name).unwrap_or(TypeId::UNKNOWN)
}

fn unknown(name: &str, parent: &str) -> Fault {
    Fault::new(ErrorKind::UnknownElement, format!("{parent} has no element {name}"))
}

fn member_of_type<'a>(info: TypeInfo, name: &str) -> Option<Item<'a>> {
    match name {
        "name" => Some(Item::from(info.name())),
        "namespace" => Some(Item::from(info.namespace())),
        _ => None,
    }
}

fn children_of<'a>(node: &Node<'a>, found: &mut Items<'a>) {
    let map = match (node.value, node.sibling) {
        (Value::Object(map), _) => map,
        (_, Some(Value::Object(sibling))) => sibling,
        _ => return,
    };
    let is_primitive = !matches!(node.value, Value::Object(_));
    let parent = if is_primitive { element_type("Element") } else { node.of };
    for (key, value) in map {
        if key == "resourceType" {
            continue;
        }
        let (name, value, sibling) = match key.strip_prefix('_') {
            // Seen together with the value, unless there is none.
            Some(name) if map.contains_key(name) => continue,
            Some(name) => (name, None, Some(value)),
            None if value.is_object() => (key.as_str(), Some(value), None),
            None => (key.as_str(), Some(value), map.get(&format!("_{key}"))),
        };
        let of = match parent.element(name) {
            Some(Element::One(of)) => *of,
            _ => parent.choice_spelled(name).map_or(TypeId::UNKNOWN, |(_, of)| of),
        };
        push(value, sibling, of, found);
    }
}

/// The JSON name that carries a choice element, if one is there.
fn push_choice<'a>(
    map: &'a Map<String, Value>,
    name: &str,
    type_of: impl Fn(&str) -> Option<TypeId>,
    found: &mut Items<'a>,
) {
    for (key, value) in map {
        let (key, is_sibling) = key.strip_prefix('_').map_or((key.as_str(), false), |key| (key, true));
        if key.len() <= name.len() || !key.starts_with(name) || (is_sibling && map.contains_key(key)) {
            continue;
        }
        let Some(of) = type_of(key) else { continue };
        let before = found.len();
        if is_sibling {
            push(None, Some(value), of, found);
        } else {
            let sibling = if value.is_object() { None } else { map.get(&format!("_{key}")) };
            push(Some(value), sibling, of, found);
        }
        for item in &mut found[before..] {
            if let Item::Node(node) = item {
                node.choice = true;
            }
        }
        return;
    }
}

fn push<'a>(value: Option<&'a Value>, sibling: Option<&'a Value>, of: TypeId, found: &mut Items<'a>) {
    match (value, sibling) {
        (Some(Value::Array(values)), siblings) => {
            let siblings = siblings.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            for index in 0..values.len().max(siblings.len()) {
                push_one(values.get(index), siblings.get(index), of, found);
            }
        }
        (None, Some(Value::Array(siblings))) => {
            for sibling in siblings {
                push_one(None, Some(sibling), of, found);
            }
        }
        (value, sibling) => push_one(value, sibling, of, found),
    }
}

fn push_one<'a>(value: Option<&'a Value>, sibling: Option<&'a Value>, of: TypeId, found: &mut Items<'a>) {
    let value = value.unwrap_or(&NULL);
    let sibling = sibling.filter(|sibling| sibling.is_object());
    if value.is_array() || (value.is_null() && sibling.is_none()) {
        return;
    }
    let of = match of.kind() {
        Kind::Resource | Kind::Unknown => resource_type(value).unwrap_or(of),
        _ => of,
    };
    found.push(Item::Node(Node { value, sibling, of, choice: false }));
}
