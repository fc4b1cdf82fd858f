//! The everyday predicate of a cohort rule, on a realistic Condition; beside it, in the same run, fhirpath.js where
//! `BECKON_TEST_NODE_MODULES` names a folder of modules that has it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on has failed"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use fhirpath::{Environment, Expression};
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

const PREDICATE: &str = "Condition.where(clinicalStatus.coding.code='active').code.coding\
    .where(system='http://snomed.info/sct' and code in ('44054006'|'73211009')).exists()";

fn predicate(criterion: &mut Criterion) {
    let condition = serde_json::json!({
        "resourceType": "Condition", "id": "c1",
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "encounter-diagnosis"}]}],
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006", "display": "Diabetes"}], "text": "Diabetes"},
        "subject": {"reference": "Patient/p1"}, "encounter": {"reference": "Encounter/e1"},
        "onsetDateTime": "2019-04-01T10:00:00+02:00", "recordedDate": "2019-04-01T10:00:00+02:00"
    });
    let patient = serde_json::json!({"resourceType": "Patient", "birthDate": "1950-02-28", "active": true});
    let now = chrono::DateTime::parse_from_rfc3339("2024-08-31T22:30:00-05:00").expect("a date");
    let environment = Environment::new(now).with_resource("patient", &patient);
    let expression = Expression::parse(PREDICATE).expect("parses");
    criterion.bench_function("active condition by code", |b| {
        b.iter(|| expression.matches(black_box(&condition), &environment));
    });
    beside_fhirpath_js(criterion, &condition);
    let dates =
        Expression::parse("onset < today() - 6 months and %patient.birthDate <= today() - 65 years").expect("parses");
    criterion.bench_function("dates of two resources", |b| {
        b.iter(|| dates.matches(black_box(&condition), &environment));
    });
    criterion.bench_function("compile", |b| b.iter(|| Expression::parse(black_box(PREDICATE))));
}

#[allow(clippy::disallowed_methods, reason = "the bench alone looks for its rival")]
fn beside_fhirpath_js(criterion: &mut Criterion, condition: &serde_json::Value) {
    let Ok(modules) = std::env::var("BECKON_TEST_NODE_MODULES") else {
        println!("SKIPPED: fhirpath.js; set BECKON_TEST_NODE_MODULES to the folder that npm filled");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/fhirpath_js.mjs");
    let mut node = Command::new("node")
        .args([script, &modules, PREDICATE, &condition.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let mut ask = node.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(node.stdout.take().expect("a pipe")).lines();
    let mut took = |times: u64| {
        writeln!(ask, "{times}").expect("node listens");
        let answer = answers.next().expect("node answers").expect("in words");
        Duration::from_nanos(answer.parse().expect("nanoseconds"))
    };
    // As warm as it gets before it is measured.
    took(20_000);
    criterion.bench_function("active condition by code, fhirpath.js", |b| b.iter_custom(&mut took));
    drop(ask);
    node.wait().expect("node ends");
}

criterion_group!(benches, predicate);
criterion_main!(benches);
