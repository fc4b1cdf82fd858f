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

/// As [`outcome`], with a vendor's own number beside the code.
pub fn coded(severity: &str, code: &str, number: Option<&str>, text: &str) -> Value {
    let mut told = outcome(severity, code, text);
    if let Some(number) = number {
        told["issue"][0]["details"] =
            json!({"coding": [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": number}], "text": text});
    }
    told
}

/// As [`refuse`], with a vendor's own number beside the code.
pub fn refuse_coded(status: u16, code: &str, number: &str, text: &str) -> Reply {
    Reply::fhir(status, &coded("error", code, Some(number), text))
}
