//! Whether a resource matches one criterion.

use serde_json::Value;

use super::dates;
use super::params::{self, Kind, Param};

/// One parameter with its values; the values are alternatives.
#[derive(Debug, Clone)]
pub struct Criterion {
    pub name: String,
    pub param: Param,
    /// `:not`, `:missing`, `:exact`, `:contains` or nothing.
    pub modifier: Option<String>,
    pub values: Vec<String>,
    /// The one type that a reference may point to.
    pub target: Option<&'static str>,
}

impl Criterion {
    pub fn matches(&self, resource: &Value, base: &str) -> bool {
        let found: Vec<&Value> = self.param.paths.iter().flat_map(|path| params::at(resource, path)).collect();
        if self.modifier.as_deref() == Some("missing") {
            let missing = self.values.iter().any(|value| value == "true");
            return found.is_empty() == missing;
        }
        let any = self.values.iter().any(|value| {
            found.iter().any(|element| match self.param.kind {
                Kind::Token => token(element, value, &self.name),
                Kind::Reference => reference(element, value, self.target, base),
                Kind::Date => {
                    dates::bound(value).zip(dates::of(element)).is_some_and(|(bound, found)| bound.holds(found))
                }
                Kind::Text => text(element, value, self.modifier.as_deref()),
            })
        });
        if self.modifier.as_deref() == Some("not") { !any } else { any }
    }
}

/// Splits at a sign that no backslash escapes, and takes the backslashes away.
pub fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        let last = parts.len() - 1;
        if sign == '\\' {
            match signs.next() {
                // The escape of another level stays for that level.
                Some(next) if next != at && matches!(next, '|' | '$' | ',' | '\\') => {
                    parts[last].push('\\');
                    parts[last].push(next);
                }
                Some(next) => parts[last].push(next),
                None => parts[last].push('\\'),
            }
        } else if sign == at {
            parts.push(String::new());
        } else {
            parts[last].push(sign);
        }
    }
    parts
}

fn token(element: &Value, asked: &str, name: &str) -> bool {
    let parts = split(asked, '|');
    let (system, code) = match parts.as_slice() {
        [code] => (None, code.as_str()),
        [system, code, ..] => (Some(system.as_str()), code.as_str()),
        [] => return false,
    };
    // `phone` and `email` are `telecom` of one system.
    if matches!(name, "phone" | "email") && element["system"].as_str() != Some(name) {
        return false;
    }
    pairs(element).into_iter().any(|(found_system, found_code)| {
        let system_fits = match system {
            None => true,
            Some("") => found_system.is_none(),
            Some(system) => found_system == Some(system),
        };
        system_fits && (code.is_empty() && system.is_some() || found_code == code)
    })
}

/// The (system, code) pairs of a code, Coding, CodeableConcept, Identifier or ContactPoint.
fn pairs(element: &Value) -> Vec<(Option<&str>, String)> {
    match element {
        Value::String(code) => vec![(None, code.clone())],
        Value::Bool(flag) => vec![(None, flag.to_string())],
        Value::Object(_) => {
            if let Some(codings) = element["coding"].as_array() {
                return codings.iter().flat_map(pairs).collect();
            }
            let code = element["code"].as_str().or_else(|| element["value"].as_str());
            code.map(|code| (element["system"].as_str(), code.to_owned())).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn reference(element: &Value, asked: &str, target: Option<&'static str>, base: &str) -> bool {
    let Some(found) = element["reference"].as_str() else { return false };
    let found = found.strip_prefix(base).unwrap_or(found).trim_start_matches('/');
    let asked = asked.strip_prefix(base).unwrap_or(asked).trim_start_matches('/');
    let Some((kind, id)) = found.split_once('/') else { return false };
    if target.is_some_and(|target| target != kind) {
        return false;
    }
    if asked.contains('/') { asked == found } else { asked == id }
}

fn text(element: &Value, asked: &str, modifier: Option<&str>) -> bool {
    let Some(found) = element.as_str() else { return false };
    match modifier {
        Some("exact") => found == asked,
        Some("contains") => found.to_lowercase().contains(&asked.to_lowercase()),
        _ => found.to_lowercase().starts_with(&asked.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_compare_system_and_code() {
        let concept = json!({"coding": [{"system": "http://loinc.org", "code": "4548-4"}, {"code": "local"}]});
        for (asked, fits) in [
            ("4548-4", true),
            ("http://loinc.org|4548-4", true),
            ("http://snomed.info/sct|4548-4", false),
            ("http://loinc.org|", true),
            ("|local", true),
            ("|4548-4", false),
            ("4548", false),
        ] {
            assert_eq!(token(&concept, asked, "code"), fits, "{asked}");
        }
        let identifier = json!({"system": "s", "value": "a|b"});
        assert!(token(&identifier, "s|a\\|b", "identifier"));
    }
}
