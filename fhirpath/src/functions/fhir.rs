//! What FHIR adds to the language: extensions, references, value sets, types.

use super::{at_most_one, one};
use crate::ast::{Call, Member};
use crate::collection::single;
use crate::error::Fault;
use crate::evaluate::{Evaluator, Items, Scope};
use crate::function::Function as F;
use crate::item::{Item, Node};
use crate::model::{Kind, TypeId};
use serde_json::Value;

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn fhir(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        match call.function {
            F::Children => self.children(input),
            F::Descendants => self.descendants(input),
            F::TypeOf => Ok(input.iter().map(|item| Item::Type(item.type_info())).collect()),
            F::GetValue => Ok(single(input)?
                .filter(|item| super::existence::has_value(item))
                .and_then(Item::system)
                .into_iter()
                .collect()),
            F::Extension => self.extension(call, input, scope),
            F::Resolve => self.resolve(input),
            F::MemberOf => self.member_of(call, input, scope),
            F::ConformsTo => self.conforms_to(call, input, scope),
            F::Comparable => {
                let other = self.argument(call, 0, scope)?;
                match (single(input)?.and_then(Item::system), other) {
                    (Some(Item::Quantity(a)), Some(Item::Quantity(b))) => one(a.comparable(&b)),
                    (None, _) | (_, None) => Ok(Vec::new()),
                    _ => Err(Fault::wrong_type("comparable() works on quantities")),
                }
            }
            _ => match single(input)? {
                Some(item) => one(item.as_str().is_some_and(is_safe_xhtml)),
                None => Ok(Vec::new()),
            },
        }
    }

    fn extension(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let Some(url) = self.text_argument(call, 0, scope)? else {
            return Ok(Vec::new());
        };
        let member = Member { name: "extension".to_owned(), sibling: "_extension".to_owned(), type_name: None };
        let mut found = self.navigate(input, &member)?;
        found.retain(|item| {
            item.node().and_then(|node| node.json().get("url")).and_then(Value::as_str) == Some(url.as_str())
        });
        Ok(found)
    }

    /// References to contained resources, then what the environment can find. A reference that
    /// leads nowhere gives nothing.
    fn resolve(&mut self, input: &[Item<'a>]) -> Result<Items<'a>, Fault> {
        let mut found = Vec::new();
        for item in input {
            self.meter.spend(1)?;
            let Item::Node(node) = item else {
                continue;
            };
            let reference = match node.json() {
                Value::String(reference) => Some(reference.as_str()),
                object => object.get("reference").and_then(Value::as_str),
            };
            let Some(reference) = reference else { continue };
            let resource = match reference.strip_prefix('#') {
                Some(id) => self.contained(id),
                None => self.environment.resolve.as_ref().and_then(|resolve| resolve(reference)),
            };
            found.extend(resource.map(|value| Item::Node(Node::root(value))));
        }
        Ok(found)
    }

    fn contained(&self, id: &str) -> Option<&'a Value> {
        let mut roots = self.root.iter().filter_map(Item::node).map(Node::json);
        roots.find_map(|root| if id.is_empty() { Some(root) } else { find_contained(root, id) })
    }

    fn member_of(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let (Some(url), Some(item)) = (self.text_argument(call, 0, scope)?, single(input)?) else {
            return Ok(Vec::new());
        };
        let Some(member_of) = self.environment.member_of.clone() else {
            return Ok(Vec::new());
        };
        let url = url.as_str();
        let Item::Node(node) = item else {
            let code = item.as_str().ok_or_else(|| Fault::wrong_type("memberOf() works on codes"))?;
            return at_most_one(member_of(url, None, code));
        };
        let text = |value: &'a Value, key: &str| value.get(key).and_then(Value::as_str);
        let mut ask = |coding: &'a Value| {
            let code = text(coding, "code")?;
            member_of(url, text(coding, "system"), code)
        };
        let known = match node.json() {
            Value::String(code) => member_of(url, None, code),
            value => match value.get("coding").and_then(Value::as_array) {
                // One coding in the value set suffices; else any that is not known leaves it open.
                Some(codings) => {
                    self.meter.spend(codings.len())?;
                    let answers: Vec<Option<bool>> = codings.iter().map(&mut ask).collect();
                    if answers.contains(&Some(true)) {
                        Some(true)
                    } else if answers.is_empty() || answers.contains(&None) {
                        None
                    } else {
                        Some(false)
                    }
                }
                None => ask(value),
            },
        };
        at_most_one(known)
    }

    /// Only the base definitions can be told from the data alone.
    fn conforms_to(&mut self, call: &Call, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let Some(url) = self.text_argument(call, 0, scope)? else {
            return Ok(Vec::new());
        };
        let of = url.as_str().strip_prefix(CORE).and_then(TypeId::named);
        let Some(of) = of else {
            return Err(Fault::argument("conformsTo() knows only the base definitions of FHIR R4"));
        };
        at_most_one(single(input)?.map(|item| {
            item.node().is_some_and(|node| node.fhir_type().is_a(of) && node.fhir_type().kind() != Kind::Unknown)
        }))
    }
}

fn find_contained<'a>(root: &'a Value, id: &str) -> Option<&'a Value> {
    root.get("contained")?.as_array()?.iter().find(|resource| resource.get("id").and_then(Value::as_str) == Some(id))
}

/// The outward form of a narrative: one div, no active content.
fn is_safe_xhtml(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    lower.starts_with("<div")
        && lower.ends_with("</div>")
        && !["<script", "<form", "<iframe", "<object", "<base", "<link", "javascript:"]
            .iter()
            .any(|bad| lower.contains(bad))
        && !has_handler(&lower)
}

/// An event handler is an attribute whose name starts with `on`.
fn has_handler(lower: &str) -> bool {
    lower.split('<').skip(1).any(|tag| {
        let inside = tag.split('>').next().unwrap_or_default();
        inside.split_whitespace().skip(1).any(|attribute| attribute.starts_with("on") && attribute.contains('='))
    })
}
