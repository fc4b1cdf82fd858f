//! An expression that a rule's author wrote: it parses or is refused with its place, and it ends within its budget.
#![no_main]

use chrono::{DateTime, Utc};
use fhirpath::{Environment, Expression};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let Ok(expression) = Expression::parse(text) else { return };
    let patient = json!({
        "resourceType": "Patient", "id": "p1", "birthDate": "1980-02-29", "active": true,
        "name": [{ "family": "Vega", "given": ["Ana"] }],
        "telecom": [{ "system": "phone", "value": "+15125550100" }],
    });
    let now = DateTime::<Utc>::from_timestamp(1_772_474_400, 0).unwrap();
    let environment = Environment::new(now).with_resource("patient", &patient);
    let _ = expression.evaluate(&patient, &environment);
    let _ = expression.check(Some("Patient"), &[("patient", Some("Patient"))]);
});
