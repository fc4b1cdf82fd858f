//! The allow-list as a tree of elements, built once from the table's words.

use std::collections::BTreeMap;

use super::table;

/// An element: a leaf is a plain value, any other has parts.
#[derive(Debug, Default)]
pub(super) struct Node {
    parts: BTreeMap<&'static str, Node>,
    /// The element holds elements like itself (`Consent.provision.provision`).
    repeats: Option<&'static str>,
}

impl Node {
    pub fn is_leaf(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn child(&self, name: &str) -> Option<&Node> {
        if self.repeats == Some(name) {
            return Some(self);
        }
        self.parts.get(name)
    }

    /// The part with this name, or the choices of it: `onset` names `onsetDateTime` and `onsetPeriod`.
    pub fn children_named<'a>(&'a self, name: &'a str) -> Vec<&'a Node> {
        if let Some(exact) = self.child(name) {
            return vec![exact];
        }
        if !table::CHOICE_ELEMENTS.contains(&name) {
            return Vec::new();
        }
        let choices = self
            .parts
            .iter()
            .filter(|(part, _)| part.strip_prefix(name).is_some_and(|rest| table::CHOICE_TYPES.contains(&rest)));
        choices.map(|(_, node)| node).collect()
    }

    /// Adds the parts of `other`.
    pub fn join(&mut self, mut other: Node) {
        self.parts.append(&mut other.parts);
    }

    /// Reads words such as `status code:Concept participant.actor:Reference`.
    pub fn parse(words: &'static str) -> Node {
        let mut root = Node::default();
        for word in words.split_whitespace() {
            let (path, datatype) = word.split_once(':').unwrap_or((word, ""));
            let mut node = &mut root;
            for segment in path.split('.') {
                node = node.parts.entry(segment).or_default();
            }
            if let Some(name) = datatype.strip_prefix('@') {
                node.repeats = Some(name);
            } else if !datatype.is_empty() {
                node.parts.append(&mut Node::parse(table::datatype(datatype)).parts);
            }
        }
        root
    }
}
