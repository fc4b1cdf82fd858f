//! What changed between two versions of a rule, line by line.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::domain::Rule;

/// One line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// `-` only before, `+` only after, a blank in both.
    pub sign: char,
    pub text: String,
}

/// The lines of both versions in order. Unchanged lines further than three from a change are left out.
pub fn diff(before: &Rule, after: &Rule) -> Vec<DiffLine> {
    let (before, after) = (text_of(before), text_of(after));
    let compared = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for group in compared.grouped_ops(3) {
        for op in group {
            for change in compared.iter_changes(&op) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                lines.push(DiffLine { sign, text: change.value().trim_end_matches('\n').to_owned() });
            }
        }
    }
    lines
}

/// A rule as text: one setting a line, then each template. Two rules that say the same give the same text.
pub fn text_of(rule: &Rule) -> String {
    let mut value = serde_json::to_value(rule).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("version");
        fields.remove("templates");
    }
    let mut text = String::new();
    flatten("", &value, &mut text);
    for (file, template) in &rule.templates {
        text.push_str(&format!("\n--- {file}\n{}\n", template.trim_end()));
    }
    text
}

fn flatten(path: &str, value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&inner, value, text);
            }
        }
        // A step is known by its id: one that is put in front does not change the others.
        Value::Array(items) if items.iter().all(|it| it["id"].is_string()) && !items.is_empty() => {
            for item in items {
                flatten(&format!("{path}[{}]", item["id"].as_str().unwrap_or_default()), item, text);
            }
        }
        Value::Array(items) if items.iter().any(|it| it.is_object() || it.is_array()) => {
            for (number, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{number}]"), item, text);
            }
        }
        Value::String(words) if words.contains('\n') => {
            text.push_str(&format!("{path} =\n"));
            for line in words.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
        other => text.push_str(&format!("{path} = {other}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_condition_and_a_changed_text_are_shown_and_nothing_else() {
        let (rules, _) = super::super::starter_rules();
        let before = rules.iter().find(|it| it.id().as_str() == "appointment-reminder").unwrap().rule().clone();
        assert_eq!(diff(&before, &before), []);
        let mut after = before.clone();
        after.condition = "status = 'booked' or status = 'pending'".to_owned();
        after.templates.insert("en.sms.confirmed.txt".to_owned(), "See you.".to_owned());
        let changed: Vec<String> = diff(&before, &after)
            .into_iter()
            .filter(|line| line.sign != ' ')
            .map(|line| format!("{} {}", line.sign, line.text.chars().take(40).collect::<String>()))
            .collect();
        assert_eq!(changed.len(), 4, "{changed:?}");
        assert_eq!(changed[0], "- condition = \"status = 'booked'\"");
        assert_eq!(changed[1], "+ condition = \"status = 'booked' or status");
        assert_eq!(changed[3], "+ See you.");
    }
}
