//! A table of TOML, read field by field with every mistake collected.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::problem::{RuleProblem, did_you_mean};
use super::RULE_FILE;

/// A table and where it stands.
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    start: usize,
}

impl<'a> Table<'a> {
    pub(super) fn has(&self, key: &str) -> bool {
        find(self, key).is_some()
    }

    pub(super) fn root(table: &'a Spanned<DeTable<'a>>) -> Self {
        Self { entries: table.get_ref(), start: table.span().start }
    }
}

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub value: String,
    /// The line of the value.
    pub line: u32,
    /// The line on which the text itself begins: one further down where a `"""` opens on a line of its own.
    pub text_line: u32,
}

pub(super) struct Reader<'s> {
    rule: &'s str,
    source: &'s str,
    pub problems: Vec<RuleProblem>,
    pub places: BTreeMap<String, u32>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(rule: &'s str, source: &'s str) -> Self {
        Self { rule, source, problems: Vec::new(), places: BTreeMap::new() }
    }

    /// `None` where the file is not TOML; each mistake is told.
    pub(super) fn parse(&mut self) -> Option<Spanned<DeTable<'s>>> {
        let (table, errors) = DeTable::parse_recoverable(self.source);
        for error in &errors {
            let line = error.span().map_or(1, |span| self.line_at(span.start));
            self.error(line, format!("not TOML: {}", error.message()), None::<String>);
        }
        errors.is_empty().then_some(table)
    }

    pub(super) fn error(&mut self, line: u32, what: impl Into<String>, suggestion: Option<impl Into<String>>) {
        self.problems.push(RuleProblem::error(self.rule, RULE_FILE, Some(line), what).suggest(suggestion));
    }

    pub(super) fn place(&mut self, part: impl Into<String>, line: u32) {
        self.places.insert(part.into(), line);
    }

    pub(super) fn line_of(&self, table: &Table<'_>) -> u32 {
        self.line_at(table.start)
    }

    /// The line on which a key is written; that of the table where it is not.
    pub(super) fn line_of_key(&self, table: &Table<'_>, key: &str) -> u32 {
        let found = table.entries.keys().find(|name| name.get_ref() == key);
        found.map_or_else(|| self.line_of(table), |name| self.line_at(name.span().start))
    }

    pub(super) fn known_keys(&mut self, table: &Table<'_>, known: &[&str]) {
        for (key, line) in self.keys(table) {
            if !known.contains(&key.as_str()) {
                self.error(line, format!("unknown key \"{key}\""), did_you_mean(&key, known.iter().copied()));
            }
        }
    }

    pub(super) fn keys(&self, table: &Table<'_>) -> Vec<(String, u32)> {
        table.entries.keys().map(|key| (key.get_ref().to_string(), self.line_at(key.span().start))).collect()
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, table: &Table<'_>, key: &str) -> Option<Written> {
        if find(table, key).is_none() {
            self.missing(table, key);
            return None;
        }
        self.optional_text(table, key)
    }

    pub(super) fn optional_text(&mut self, table: &Table<'_>, key: &str) -> Option<Written> {
        let value = find(table, key)?;
        let written = self.written(value);
        match &written {
            None => self.wrong_type(key, value, "a text"),
            Some(text) if text.value.trim().is_empty() => {
                self.error(text.line, format!("\"{key}\" is empty"), None::<String>);
                return None;
            }
            Some(_) => {}
        }
        written
    }

    /// A list of texts, and the line of the list; empty where it is absent.
    pub(super) fn texts(&mut self, table: &Table<'_>, key: &str) -> (Option<u32>, Vec<Written>) {
        let Some(value) = find(table, key) else { return (None, Vec::new()) };
        let line = self.line_at(value.span().start);
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts");
            return (Some(line), Vec::new());
        };
        let mut texts = Vec::new();
        for item in items {
            match self.written(item) {
                Some(written) => texts.push(written),
                None => self.wrong_type(key, item, "a text"),
            }
        }
        (Some(line), texts)
    }

    pub(super) fn optional_bool(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = find(table, key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        found
    }

    pub(super) fn optional_integer(&mut self, table: &Table<'_>, key: &str) -> Option<(u32, i64)> {
        let value = find(table, key)?;
        let found = value.get_ref().as_integer().and_then(|it| i64::from_str_radix(it.as_str(), it.radix()).ok());
        if found.is_none() {
            self.wrong_type(key, value, "a whole number");
        }
        found.map(|number| (self.line_at(value.span().start), number))
    }

    pub(super) fn optional_table<'a>(&mut self, table: &Table<'a>, key: &str) -> Option<Table<'a>> {
        let value = find(table, key)?;
        let found = value.get_ref().as_table();
        if found.is_none() {
            self.wrong_type(key, value, "a table");
        }
        found.map(|entries| Table { entries, start: value.span().start })
    }

    /// A table whose mistakes were told already.
    pub(super) fn table_quietly<'a>(table: &Table<'a>, key: &str) -> Option<Table<'a>> {
        let value = find(table, key)?;
        value.get_ref().as_table().map(|entries| Table { entries, start: value.span().start })
    }

    /// A list of tables that must be there and not be empty.
    pub(super) fn tables<'a>(&mut self, table: &Table<'a>, key: &str) -> Vec<Table<'a>> {
        let Some(value) = find(table, key) else {
            self.missing(table, key);
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of tables");
            return Vec::new();
        };
        if items.is_empty() {
            self.error(self.line_at(value.span().start), format!("\"{key}\" is empty"), None::<String>);
        }
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref().as_table() {
                Some(entries) => tables.push(Table { entries, start: item.span().start }),
                None => self.wrong_type(key, item, "a table"),
            }
        }
        tables
    }

    fn missing(&mut self, table: &Table<'_>, key: &str) {
        let line = self.line_of(table);
        self.error(line, format!("\"{key}\" is missing"), None::<String>);
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let line = self.line_at(value.span().start);
        let what = format!("\"{key}\" should be {wanted}, and is {}", value.get_ref().type_str());
        self.error(line, what, None::<String>);
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> Option<Written> {
        let text = value.get_ref().as_str()?;
        let line = self.line_at(value.span().start);
        let raw = self.source.get(value.span()).unwrap_or_default();
        let opens_alone = ["\"\"\"\n", "'''\n", "\"\"\"\r\n", "'''\r\n"].iter().any(|opening| raw.starts_with(opening));
        Some(Written { value: text.to_owned(), line, text_line: line + u32::from(opens_alone) })
    }

    fn line_at(&self, offset: usize) -> u32 {
        let before = self.source.get(..offset.min(self.source.len())).unwrap_or_default();
        u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
    }
}

fn find<'a>(table: &Table<'a>, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
    table.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}
