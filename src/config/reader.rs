//! Reads one value after another and collects what is wrong, so that one run of `beckon check` shows everything.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use figment::value::{Dict, Num, Value};
use secrecy::SecretString;

use super::text::nearest;

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Such as `smtp.port`.
    pub key: String,
    pub wrong: String,
    /// What to write instead.
    pub write: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. Write {}", self.key, self.wrong, self.write)
    }
}

/// The merged settings as they were written, and what was found wrong with them so far.
pub(super) struct Reader {
    root: Dict,
    known: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(root: Dict) -> Self {
        Self { root, known: BTreeSet::new(), problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, key: &str, wrong: impl Into<String>, write: impl Into<String>) {
        self.problems.push(Problem { key: key.to_owned(), wrong: wrong.into(), write: write.into() });
    }

    /// Whether a section stands in the settings at all.
    pub(super) fn has_section(&self, name: &str) -> bool {
        self.root.contains_key(name)
    }

    fn find(&mut self, key: &str) -> Option<Value> {
        self.known.insert(key.to_owned());
        let mut parts = key.split('.');
        let mut value = self.root.get(parts.next()?)?;
        for part in parts {
            value = value.as_dict()?.get(part)?;
        }
        Some(value.clone())
    }

    /// Whether a secret is given, be it in a file that cannot be read.
    pub(super) fn names_secret(&mut self, key: &str) -> bool {
        self.find(key).is_some() || self.find(&format!("{key}_file")).is_some()
    }

    pub(super) fn optional_text(&mut self, key: &str) -> Option<String> {
        match self.find(key)? {
            Value::String(_, text) if text.trim().is_empty() => None,
            Value::String(_, text) => Some(text),
            // The environment reads an all-digit account id as a number; a phone number has no sign to lose.
            Value::Num(_, number) => whole(number).map(|n| n.to_string()),
            _ => {
                self.problem(key, "it is not a text", "a text in quotes");
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &str, example: &str) -> String {
        let found = self.optional_text(key);
        if found.is_none() && !self.problems.iter().any(|p| p.key == key) {
            self.problem(key, "it is missing", format!("for example {example:?}"));
        }
        found.unwrap_or_default()
    }

    pub(super) fn text_or(&mut self, key: &str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    /// A value with a text form, such as a zone or a time of day.
    pub(super) fn optional_parsed<T: FromStr>(&mut self, key: &str, what: &str, example: &str) -> Option<T> {
        let text = self.optional_text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problem(key, format!("{text:?} is not {what}"), format!("for example {example:?}"));
        }
        parsed
    }

    pub(super) fn number(&mut self, key: &str, default: u32, range: std::ops::RangeInclusive<u32>) -> u32 {
        let Some(value) = self.find(key) else { return default };
        let number = match &value {
            Value::Num(_, number) => whole(*number).and_then(|n| u32::try_from(n).ok()),
            Value::String(_, text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                self.problem(key, "it is not a whole number in range", format!("a number from {low} to {high}"));
                default
            }
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        match self.find(key) {
            None => Vec::new(),
            Some(Value::String(_, text)) => {
                text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
            }
            Some(Value::Array(_, items)) => {
                let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                texts.unwrap_or_else(|| {
                    self.problem(key, "it has an entry that is not a text", "a list of texts, such as [\"a\", \"b\"]");
                    Vec::new()
                })
            }
            Some(_) => {
                self.problem(key, "it is not a list", "a list of texts, such as [\"a\", \"b\"]");
                Vec::new()
            }
        }
    }

    /// A table of texts with free keys.
    pub(super) fn table(&mut self, key: &str) -> Vec<(String, String)> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let Some(dict) = value.as_dict() else {
            self.problem(key, "it is not a table", format!("a section [{key}] with lines of the form name = \"text\""));
            return Vec::new();
        };
        let mut rows = Vec::new();
        for (name, value) in dict {
            self.known.insert(format!("{key}.{name}"));
            match value.as_str() {
                Some(text) => rows.push((name.clone(), text.to_owned())),
                None => self.problem(&format!("{key}.{name}"), "it is not a text", "a text in quotes"),
            }
        }
        rows
    }

    /// A secret: `key` itself, or the file that `key_file` names. Both at once is a mistake.
    pub(super) fn optional_secret(&mut self, key: &str) -> Option<SecretString> {
        let file_key = format!("{key}_file");
        let inline = self.optional_text(key);
        let file = self.optional_text(&file_key);
        match (inline, file) {
            (Some(_), Some(_)) => {
                self.problem(key, format!("{file_key} is set too"), "only one of the two");
                None
            }
            (Some(text), None) => Some(SecretString::from(text)),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) if text.trim().is_empty() => {
                    self.problem(&file_key, format!("the file {path} is empty"), "the path of a file with the secret");
                    None
                }
                Ok(text) => Some(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => {
                    self.problem(
                        &file_key,
                        format!("the file {path} cannot be read ({error})"),
                        "the path of a file that this user may read",
                    );
                    None
                }
            },
            (None, None) => None,
        }
    }

    pub(super) fn secret(&mut self, key: &str, example: &str) -> SecretString {
        let before = self.problems.len();
        let found = self.optional_secret(key);
        if found.is_none() && self.problems.len() == before {
            self.problem(key, "it is missing", format!("{example}, or {key}_file = \"path\""));
        }
        found.unwrap_or_else(|| SecretString::from(String::new()))
    }

    /// All problems, keys that nobody asked for among them.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        let mut written = Vec::new();
        leaves("", &self.root, &self.known, &mut written);
        for key in written {
            let hint = nearest(&key, self.known.iter().map(String::as_str));
            let write = match hint {
                Some(known) => format!("{known:?} if that is meant, else remove it"),
                None => "nothing: remove it, or see beckon.example.toml".to_owned(),
            };
            self.problem(&key, "there is no such setting", write);
        }
        self.problems
    }
}

fn whole(number: Num) -> Option<i128> {
    number.to_i128().or_else(|| number.to_u128().and_then(|n| i128::try_from(n).ok()))
}

/// Paths of written values that were not asked for.
fn leaves(prefix: &str, dict: &Dict, known: &BTreeSet<String>, out: &mut Vec<String>) {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if known.contains(&key) {
            continue;
        }
        match value.as_dict() {
            Some(inner) => leaves(&key, inner, known, out),
            None => out.push(key),
        }
    }
}
