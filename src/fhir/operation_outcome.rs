//! What a server says about a request (R4 OperationOutcome). Its free texts may quote the record, so they are PHI;
//! codes are not.

use serde_json::Value;

use super::json;
use crate::domain::Phi;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationOutcome {
    pub issues: Vec<OutcomeIssue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeIssue {
    pub severity: Severity,
    /// A code of the issue-type value set; `unknown` where it does not look like one.
    pub code: String,
    /// Codes of `details.coding`, such as a vendor's `4101`.
    pub details: Vec<String>,
    /// `details.text` and `diagnostics`, joined.
    pub text: Option<Phi<String>>,
}

/// In rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Information,
    Warning,
    Error,
    Fatal,
}

/// "More data may exist" (Epic): the answer ends, the data does not.
const MORE_MAY_EXIST: &str = "4119";

impl OperationOutcome {
    /// Reads an OperationOutcome; `None` where `value` is something else.
    pub fn read(value: &Value) -> Option<Self> {
        if json::text(value, "resourceType") != Some("OperationOutcome") {
            return None;
        }
        Some(Self { issues: json::list(value, "issue").iter().map(OutcomeIssue::read).collect() })
    }

    /// The worst severity said.
    pub fn severity(&self) -> Option<Severity> {
        self.issues.iter().map(|issue| issue.severity).max()
    }

    /// Whether an issue has this issue-type or detail code.
    pub fn has(&self, code: &str) -> bool {
        self.issues.iter().any(|issue| issue.code == code || issue.details.iter().any(|detail| detail == code))
    }

    /// The same request may succeed later.
    pub fn is_transient(&self) -> bool {
        ["transient", "throttled", "lock-error", "timeout", "no-store", "incomplete", "exception"]
            .iter()
            .any(|code| self.has(code))
            && !self.is_forbidden()
    }

    /// The token is missing or over.
    pub fn is_login(&self) -> bool {
        self.has("login") || self.has("expired")
    }

    /// The server will not show it to us: it is sensitive or out of scope. Asking again does not help.
    pub fn is_forbidden(&self) -> bool {
        ["forbidden", "suppressed", "security"].iter().any(|code| self.has(code))
    }

    /// The question must be narrower.
    pub fn is_too_costly(&self) -> bool {
        self.has("too-costly")
    }

    /// The server says that its answer leaves something out: an error, or Epic's "more data may exist".
    pub fn says_incomplete(&self) -> bool {
        self.severity() >= Some(Severity::Error) || self.has(MORE_MAY_EXIST)
    }

    /// One line without PHI: `error not-supported (4101)`.
    pub fn summary(&self) -> String {
        let lines: Vec<String> = self
            .issues
            .iter()
            .take(5)
            .map(|issue| {
                let details =
                    if issue.details.is_empty() { String::new() } else { format!(" ({})", issue.details.join(", ")) };
                format!("{} {}{details}", issue.severity.as_str(), issue.code)
            })
            .collect();
        if lines.is_empty() { "an outcome without issues".to_owned() } else { lines.join("; ") }
    }
}

impl OutcomeIssue {
    fn read(issue: &Value) -> Self {
        let details = issue.get("details").unwrap_or(&Value::Null);
        let texts: Vec<&str> =
            [json::text(details, "text"), json::text(issue, "diagnostics")].into_iter().flatten().collect();
        Self {
            severity: match json::text(issue, "severity") {
                Some("information") => Severity::Information,
                Some("warning") => Severity::Warning,
                Some("fatal") => Severity::Fatal,
                _ => Severity::Error,
            },
            code: json::text(issue, "code").filter(|code| is_issue_type(code)).unwrap_or("unknown").to_owned(),
            details: json::codings(details)
                .map(|(_, code)| code)
                .filter(|code| code.len() <= 40 && code.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
                .map(str::to_owned)
                .collect(),
            text: (!texts.is_empty()).then(|| Phi::new(texts.join(" "))),
        }
    }
}

fn is_issue_type(code: &str) -> bool {
    code.len() <= 40 && code.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_told_and_texts_are_kept_from_view() {
        let outcome = OperationOutcome::read(&json!({"resourceType": "OperationOutcome", "issue": [
            {"severity": "warning", "code": "processing", "details": {"coding": [{"system": "urn:epic", "code": "4101"}],
             "text": "No results for Ada Lovelace"}},
            {"severity": "error", "code": "Ada Lovelace, born 1815", "diagnostics": "MRN 12345"}, {}]}))
        .unwrap();
        assert_eq!(outcome.summary(), "warning processing (4101); error unknown; error unknown");
        assert!(!format!("{outcome:?}").contains("Ada"));
        assert!(!format!("{outcome:?}").contains("12345"));
        assert_eq!(outcome.severity(), Some(Severity::Error));
        assert!(outcome.has("4101"));
        assert_eq!(outcome.issues[1].text.as_ref().unwrap().expose(), "MRN 12345");
        assert_eq!(OperationOutcome::read(&json!({"resourceType": "Patient"})), None);
    }

    #[test]
    fn codes_say_what_to_do_next() {
        let with = |code: &str| {
            OperationOutcome::read(&json!({"resourceType": "OperationOutcome", "issue": [{"code": code}]})).unwrap()
        };
        assert!(with("throttled").is_transient());
        assert!(with("expired").is_login());
        assert!(with("suppressed").is_forbidden());
        assert!(!with("suppressed").is_transient());
        assert!(with("too-costly").is_too_costly());
        assert!(!with("not-found").is_transient());
    }
}
