//! Writing a PlanDefinition.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::domain::{Rule, RuleStage};

use super::{ANCHOR, BASE, PROFILE, RULE_SETTINGS, STEP_SETTINGS, TEXT, UCUM};

/// The rule as a PlanDefinition. `stage` tells its status.
pub fn to_plan_definition(rule: &Rule, stage: RuleStage) -> Value {
    let mut rest = object(serde_json::to_value(rule).unwrap_or_default());
    for mapped in ["id", "version", "title", "resource", "condition", "unless", "value_sets", "steps", "templates"] {
        rest.remove(mapped);
    }
    let steps: Vec<Value> = rule.steps.iter().map(|step| action(&object(json!(step)))).collect();
    let mut conditions = vec![condition("applicability", &rule.condition)];
    if let Some(unless) = &rule.unless {
        conditions.push(condition("stop", unless));
    }
    let mut contained: Vec<Value> = rule.value_sets.iter().enumerate().map(|(n, it)| value_set(n, it)).collect();
    contained.extend(texts(rule));
    json!({
        "resourceType": "PlanDefinition",
        "id": rule.id,
        "meta": { "profile": [PROFILE] },
        "contained": contained,
        "extension": [{ "url": RULE_SETTINGS, "valueString": Value::Object(rest).to_string() }],
        "url": format!("{BASE}/PlanDefinition/{}", rule.id),
        "version": rule.version,
        "name": name(rule.id.as_str()),
        "title": rule.title,
        "type": { "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/plan-definition-type", "code": "eca-rule",
        }] },
        "status": status(stage),
        "subjectCodeableConcept": { "coding": [{ "system": "http://hl7.org/fhir/resource-types", "code": "Patient" }] },
        "action": [{
            "id": ANCHOR,
            "title": rule.title,
            "trigger": [{ "type": "data-changed", "data": [{ "type": rule.resource.as_str() }] }],
            "condition": conditions,
            "groupingBehavior": "logical-group",
            "selectionBehavior": "any",
            "action": steps,
        }],
    })
}

const fn status(stage: RuleStage) -> &'static str {
    match stage {
        RuleStage::Draft | RuleStage::Reviewed => "draft",
        RuleStage::Live => "active",
        RuleStage::Former => "retired",
    }
}

/// `AppointmentReminder`: R4 pdf-0 wants a name that a program can use.
fn name(id: &str) -> String {
    let mut words = id.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    let name: String = words.by_ref().collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("Rule{name}") }
}

fn action(step: &Map<String, Value>) -> Value {
    let mut rest = step.clone();
    rest.remove("id");
    let mut written = json!({ "id": step["id"], "title": step["id"] });
    // An elapsed or a calendar offset has a place; a time of day, working days and the like stay with ours.
    if let Some(related) = related(&step["at"]["offset"]) {
        written["relatedAction"] = json!([related]);
        if let Some(at) = rest.get_mut("at").and_then(Value::as_object_mut) {
            at.remove("offset");
        }
    }
    let variants: Vec<Value> = step["variants"].as_array().into_iter().flatten().map(variant).collect();
    if !variants.is_empty() {
        rest.remove("variants");
        written["selectionBehavior"] = json!("at-most-one");
        written["action"] = Value::Array(variants);
    }
    written["extension"] = json!([{ "url": STEP_SETTINGS, "valueString": Value::Object(rest).to_string() }]);
    written
}

/// Three days before: `before-start` of the anchor by `3 d`.
fn related(offset: &Value) -> Option<Value> {
    let (unit, code, count) = [("minutes", "min"), ("days", "d"), ("months", "mo")]
        .into_iter()
        .find_map(|(name, code)| Some((name, code, offset.get(name)?.as_i64()?)))?;
    let relationship = if count < 0 { "before-start" } else { "after-start" };
    Some(json!({
        "actionId": ANCHOR,
        "relationship": relationship,
        "offsetDuration": { "value": count.unsigned_abs(), "unit": unit, "system": UCUM, "code": code },
    }))
}

fn variant(variant: &Value) -> Value {
    let template = variant["template"].as_str().unwrap_or_default();
    let mut written = json!({ "title": template, "definitionCanonical": format!("#text-{template}") });
    if let Some(when) = variant["when"].as_str() {
        written["condition"] = json!([condition("applicability", when)]);
    }
    written
}

fn condition(kind: &str, expression: &str) -> Value {
    json!({ "kind": kind, "expression": { "language": "text/fhirpath", "expression": expression } })
}

fn value_set(number: usize, (url, members): (&String, &Vec<(String, String)>)) -> Value {
    let mut include: Vec<Value> = Vec::new();
    // In the order in which the rule has them: the order is part of its version.
    for (system, code) in members {
        match include.last_mut().filter(|it| it["system"] == system.as_str()) {
            Some(last) => {
                if let Some(concepts) = last["concept"].as_array_mut() {
                    concepts.push(json!({ "code": code }));
                }
            }
            None => include.push(json!({ "system": system, "concept": [{ "code": code }] })),
        }
    }
    json!({
        "resourceType": "ValueSet", "id": format!("value-set-{number}"), "url": url, "status": "active",
        "compose": { "include": include },
    })
}

/// One ActivityDefinition for each text that a step names, and one for those that none does.
fn texts(rule: &Rule) -> Vec<Value> {
    let named: BTreeSet<&str> =
        rule.steps.iter().flat_map(|step| &step.variants).map(|variant| variant.template.as_str()).collect();
    let of = |file: &str| {
        // `<language>.<channel>.<name>…`
        let name = file.split('.').nth(2).unwrap_or_default();
        if named.contains(name) { name.to_owned() } else { String::new() }
    };
    let mut names: BTreeSet<String> = rule.templates.keys().map(|file| of(file)).collect();
    names.extend(named.iter().map(|name| (*name).to_owned()));
    names
        .into_iter()
        .map(|name| {
            let files: Vec<Value> = rule
                .templates
                .iter()
                .filter(|(file, _)| of(file) == name)
                .map(|(file, text)| {
                    json!({ "url": TEXT, "extension": [
                        { "url": "file", "valueString": file }, { "url": "text", "valueMarkdown": text }] })
                })
                .collect();
            let id = if name.is_empty() { "texts".to_owned() } else { format!("text-{name}") };
            let mut written = json!({
                "resourceType": "ActivityDefinition", "id": id, "status": "active", "kind": "CommunicationRequest",
                "description": "The texts of a message, by language and channel",
            });
            if !files.is_empty() {
                written["extension"] = Value::Array(files);
            }
            written
        })
        .collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
