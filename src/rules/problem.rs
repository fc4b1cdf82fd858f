//! What is wrong with a rule, where, and what to write instead.

use std::fmt;

/// Whether the rule can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// One mistake in a rule's folder. Its text never holds PHI: a rule holds none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    pub severity: Severity,
    /// The folder's name.
    pub rule: String,
    /// The file within the folder.
    pub file: String,
    /// Counts from 1.
    pub line: Option<u32>,
    pub what: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl RuleProblem {
    pub(super) fn error(rule: &str, file: &str, line: Option<u32>, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            rule: rule.to_owned(),
            file: file.to_owned(),
            line,
            what: what.into(),
            suggestion: None,
        }
    }

    pub(super) fn warning(rule: &str, file: &str, line: Option<u32>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(rule, file, line, what) }
    }

    pub(super) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.rule, self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if self.severity == Severity::Warning {
            f.write_str(": warning")?;
        }
        write!(f, ": {}", self.what)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

/// `did you mean "…"?` for the nearest of the known words, where one is near.
pub(super) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = (written.chars().count() / 3).max(1) + 1;
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, word)| format!("did you mean \"{word}\"?"))
}
