//! OperationOutcome: how a FHIR server says no (R4 operationoutcome.html).

use serde_json::{Value, json};

use crate::sandbox::http::Reply;

pub fn outcome(severity: &str, code: &str, text: &str) -> Value {
    json!({"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code, "diagnostics": text}]})
}

/// An error reply of the given issue-type code.
pub fn refuse(status: u16, code: &str, text: &str) -> Reply {
    Reply::fhir(status, &outcome("error", code, text))
}
