//! HL7's official suite. Its cases are not part of this repository: the folder is named by the
//! variable `FHIRPATH_SUITE`, or found at `../shared/data/fhirpath-suite` beside the workspace.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use fhirpath::{Environment, Expression, Item, TypeInfo};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Case {
    name: String,
    input: String,
    mode: Option<String>,
    ordered: Option<String>,
    expr: String,
    invalid: Option<String>,
    predicate: bool,
    outputs: Vec<(Option<String>, Option<String>)>,
}

#[derive(Deserialize)]
struct Deviations {
    #[serde(default)]
    deviation: Vec<Deviation>,
}

#[derive(Deserialize)]
struct Deviation {
    name: String,
    expression: String,
    reason: String,
}

#[allow(clippy::disallowed_methods, reason = "the test alone looks for its data")]
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/fhirpath-suite");
    let named = std::env::var("FHIRPATH_SUITE").ok().map(PathBuf::from);
    named.or(Some(beside)).filter(|folder| folder.join("cases.json").is_file())
}

fn written(item: &Item<'_>) -> (String, String) {
    let of = match item.type_info() {
        TypeInfo::Fhir(of) => of.name().to_owned(),
        TypeInfo::System(of) => match of.name() {
            "Quantity" => "Quantity".to_owned(),
            name => name[..1].to_lowercase() + &name[1..],
        },
    };
    let text = match item.system() {
        Some(Item::Boolean(value)) => value.to_string(),
        Some(Item::Integer(value)) => value.to_string(),
        Some(Item::Decimal(value)) => value.to_string(),
        Some(Item::String(value)) => value.as_str().to_owned(),
        Some(Item::Date(value)) => format!("@{value}"),
        Some(Item::DateTime(value)) => format!("@{value}"),
        Some(Item::Time(value)) => format!("@T{value}"),
        Some(Item::Quantity(value)) => value.to_string(),
        _ => "<structure>".to_owned(),
    };
    (of, text)
}

fn check(case: &Case, resource: &Value) -> Result<(), String> {
    let now = chrono::DateTime::parse_from_rfc3339("2024-08-31T22:30:15.250+00:00").map_err(|e| e.to_string())?;
    let environment = Environment::new(now).with_strict_paths(case.mode.as_deref() == Some("strict"));
    let checked = |expression: Expression| match case.mode.as_deref() {
        Some("strict") => {
            let findings = expression.check(resource["resourceType"].as_str(), &[]);
            findings.first().map_or(Ok(expression), |finding| Err(finding.message.clone()))
        }
        _ => Ok(expression),
    };
    let parsed = Expression::parse(&case.expr).map_err(|error| error.to_string());
    let outcome = parsed.and_then(checked).and_then(|expression| {
        if case.input.is_empty() {
            expression.evaluate_items(&[], &environment)
        } else {
            expression.evaluate(resource, &environment)
        }
        .map_err(|error| error.to_string())
    });
    if case.invalid.is_some() {
        return match outcome {
            Ok(items) => Err(format!("an error is expected, not {} items", items.len())),
            Err(_) => Ok(()),
        };
    }
    let items = outcome?;
    let mut found: Vec<(String, String)> = if case.predicate {
        vec![("boolean".to_owned(), (!items.is_empty() && items[0].as_bool().unwrap_or(true)).to_string())]
    } else {
        items.iter().map(written).collect()
    };
    let mut wanted: Vec<(Option<String>, String)> =
        case.outputs.iter().map(|(of, text)| (of.clone(), text.clone().unwrap_or_default())).collect();
    if case.ordered.as_deref() == Some("false") {
        found.sort_by(|a, b| a.1.cmp(&b.1));
        wanted.sort_by(|a, b| a.1.cmp(&b.1));
    }
    let same = found.len() == wanted.len()
        && found.iter().zip(&wanted).all(|((of, text), (wanted_of, wanted_text))| {
            text == wanted_text && wanted_of.as_ref().is_none_or(|wanted| wanted == of)
        });
    if same { Ok(()) } else { Err(format!("wanted {wanted:?}, found {found:?}")) }
}

#[test]
fn the_official_suite_passes_but_for_the_listed_deviations() {
    let Some(folder) = folder() else {
        println!("SKIPPED: set FHIRPATH_SUITE to the folder of the official cases");
        return;
    };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&read("cases.json")).unwrap();
    let listed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deviations.toml")).unwrap();
    let listed: Deviations = toml::from_str(&listed).unwrap();
    let mut resources: HashMap<&str, Value> = HashMap::new();
    for case in &cases {
        resources.entry(&case.input).or_insert_with(|| match case.input.as_str() {
            "" => Value::Null,
            name => serde_json::from_str(&read(name)).unwrap(),
        });
    }
    let mut passed = 0;
    let mut unlisted = Vec::new();
    let mut outdated = Vec::new();
    for case in &cases {
        let deviation =
            listed.deviation.iter().find(|d| d.name == case.name && d.expression.trim() == case.expr.trim());
        assert!(deviation.is_none_or(|d| d.reason.len() > 20), "{} has no reason", case.name);
        match (check(case, &resources[case.input.as_str()]), deviation) {
            (Ok(()), None) => passed += 1,
            (Ok(()), Some(_)) => outdated.push(case.name.clone()),
            (Err(_), Some(_)) => {}
            (Err(problem), None) => unlisted.push(format!("{}: {} => {problem}", case.name, case.expr)),
        }
    }
    let rate = 100.0 * f64::from(passed) / cases.len() as f64;
    println!("official FHIRPath suite: {passed} of {} cases pass ({rate:.1} %)", cases.len());
    assert!(unlisted.is_empty(), "{} cases fail unlisted:\n{}", unlisted.len(), unlisted.join("\n"));
    assert!(outdated.is_empty(), "listed, yet passing: {outdated:?}");
    assert!(rate >= 97.0, "the gate is 97 %");
}
