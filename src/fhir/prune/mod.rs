//! What the mirror keeps of each resource: the minimum that rules, decisions and delivery need (45 CFR 164.502(b)).
//!
//! An allow-list, so that an element nobody thought of is left out. No narrative, no notes, no photos, no free text,
//! no contained resources, no social security numbers.

mod table;
mod tree;

use serde_json::{Map, Value};

use super::{codes, json};
use crate::domain::ResourceType;
use tree::Node;

/// The resource with only the allowed elements, and with code systems in their canonical URLs. A type that Beckon does
/// not read keeps nothing.
pub fn prune(resource: &Value) -> Value {
    let mut kept = resource.clone();
    prune_in_place(&mut kept);
    kept
}

/// The same, of a resource that is not needed whole any more.
pub fn prune_in_place(resource: &mut Value) {
    let kind = json::text(resource, "resourceType").and_then(ResourceType::parse);
    let (Some(kind), Value::Object(fields)) = (kind, &mut *resource) else {
        *resource = Value::Object(Map::new());
        return;
    };
    keep_fields(fields, table::of(kind));
    if kind == ResourceType::Patient
        && let Some(identifiers) = fields.get_mut("identifier").and_then(Value::as_array_mut)
    {
        identifiers.retain(is_record_identifier);
    }
}

/// Whether a rule may read `path`: an element that the mirror keeps, or one above or below it. Takes paths with and
/// without the type in front, and choice elements as FHIRPath names them (`Condition.onset`) and as JSON does
/// (`onsetDateTime`). Indices are ignored.
pub fn is_allowed(kind: ResourceType, path: &str) -> bool {
    let mut segments = path.split('.').map(|segment| segment.split('[').next().unwrap_or(segment)).peekable();
    if segments.peek() == Some(&kind.as_str()) {
        segments.next();
    }
    let mut nodes = vec![table::of(kind)];
    for segment in segments {
        if segment == "extension" || segment == "id" && nodes.len() == 1 {
            return true;
        }
        let below: Vec<&Node> = nodes.iter().flat_map(|node| node.children_named(segment)).collect();
        if below.is_empty() {
            // Below a leaf there is nothing to name; a whole element may be named above its parts.
            return false;
        }
        nodes = below;
    }
    true
}

/// Whether the mirror keeps extensions with this URL.
pub fn is_allowed_extension(url: &str) -> bool {
    EXTENSIONS.contains(&url)
}

const EXTENSIONS: &[&str] =
    &[codes::EXT_TIMEZONE, codes::EXT_TZ_CODE, codes::EXT_INTERPRETER_REQUIRED, codes::EXT_DATA_ABSENT_REASON];

/// What is wrong in kind keeps its presence and loses its content: `{}` still reads as "there, and unreadable", where an
/// absent `deceasedDateTime` would read as alive.
fn keep(value: &mut Value, node: &Node) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter_mut().for_each(|item| keep(item, node)),
        Value::Object(fields) if !node.is_leaf() => keep_fields(fields, node),
        plain if node.is_leaf() && !plain.is_object() => {}
        wrong => *wrong = Value::Object(Map::new()),
    }
}

fn keep_fields(fields: &mut Map<String, Value>, node: &Node) {
    // Beside a list stands a list that must keep its places; nothing in it is needed.
    let beside_lists: Vec<String> = fields
        .keys()
        .filter(|key| key.strip_prefix('_').is_some_and(|element| fields.get(element).is_some_and(Value::is_array)))
        .cloned()
        .collect();
    fields.retain(|key, field| {
        if key == "extension" {
            return replace(field, keep_extensions);
        }
        if key == "modifierExtension" {
            // That there is one must stay in sight; what it says need not.
            return replace(field, |field| (!field.is_null()).then(|| only_urls(field)));
        }
        if let Some(element) = key.strip_prefix('_') {
            let known = node.child(element).is_some() && !beside_lists.contains(key);
            return known && replace(field, keep_primitive_extension);
        }
        let Some(child) = node.child(key) else { return false };
        keep(field, child);
        if key == "system" {
            let canonical = field.as_str().map(|text| (text, codes::canonical_system(text)));
            if let Some(other) = canonical.filter(|(text, other)| text != other).map(|(_, other)| Value::from(other)) {
                *field = other;
            }
        }
        true
    });
}

/// Puts what is kept of a field in its place; whether anything is.
fn replace(field: &mut Value, kept: impl FnOnce(&Value) -> Option<Value>) -> bool {
    match kept(field) {
        Some(kept) => {
            *field = kept;
            true
        }
        None => false,
    }
}

fn keep_extensions(extensions: &Value) -> Option<Value> {
    let kept: Vec<Value> = extensions
        .as_array()?
        .iter()
        .filter(|extension| json::text(extension, "url").is_some_and(is_allowed_extension))
        .map(|extension| {
            let fields = ["url", "valueCode", "valueString", "valueBoolean"].iter();
            Value::Object(fields.filter_map(|key| Some(((*key).to_owned(), plain(extension.get(key)?)?))).collect())
        })
        .collect();
    (!kept.is_empty()).then_some(Value::Array(kept))
}

fn plain(value: &Value) -> Option<Value> {
    matches!(value, Value::String(_) | Value::Bool(_)).then(|| value.clone())
}

/// `_birthDate: {extension: […]}`. One without a kept extension stays as `{}`: its presence can say "there is a value,
/// not told".
fn keep_primitive_extension(field: &Value) -> Option<Value> {
    let mut kept = Map::new();
    if let Some(extensions) = field.get("extension").and_then(keep_extensions) {
        kept.insert("extension".to_owned(), extensions);
    }
    (!field.is_null()).then_some(Value::Object(kept))
}

/// One entry for each, whatever it is: an unreadable modifier is still one that is not understood.
fn only_urls(extensions: &Value) -> Value {
    let list = extensions.as_array().map_or(std::slice::from_ref(extensions), Vec::as_slice);
    let urls = list.iter().map(|extension| {
        let url = json::text(extension, "url").unwrap_or_default();
        Value::Object(Map::from_iter([("url".to_owned(), Value::from(url))]))
    });
    Value::Array(urls.collect())
}

/// Record numbers and identifiers of the hospital's own; never the social security number, a driver's licence or a
/// passport.
fn is_record_identifier(identifier: &Value) -> bool {
    let concept = identifier.get("type").unwrap_or(&Value::Null);
    let mut types = json::codings(concept).map(|(_, code)| code).peekable();
    if types.peek().is_some() {
        return types.any(|code| matches!(code, "MR" | "PI" | "PT"));
    }
    json::text(identifier, "system") != Some(codes::US_SSN)
}
