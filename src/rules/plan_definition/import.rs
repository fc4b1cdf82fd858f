//! Reading a PlanDefinition.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::{ResourceType, Rule};

use super::super::CompiledRule;
use super::super::folder::is_name;
use super::super::problem::RuleProblem;
use super::{ANCHOR, RULE_SETTINGS, STEP_SETTINGS, TEXT, UCUM};

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// The rule, where it can be used.
    pub rule: Option<CompiledRule>,
    /// What stands in the way.
    pub problems: Vec<RuleProblem>,
    /// Elements that have no meaning here, by their place: they are not in the rule.
    pub unmapped: Vec<String>,
}

/// Url to (system, code) pairs.
type ValueSets = BTreeMap<String, Vec<(String, String)>>;

/// Elements of each place that are read, or that say nothing of what the rule does.
const ROOT: [&str; 26] = [
    "resourceType",
    "id",
    "meta",
    "contained",
    "extension",
    "url",
    "version",
    "name",
    "title",
    "type",
    "status",
    "subjectCodeableConcept",
    "action",
    "experimental",
    "date",
    "publisher",
    "contact",
    "description",
    "purpose",
    "copyright",
    "identifier",
    "text",
    "language",
    "implicitRules",
    "useContext",
    "jurisdiction",
];
const ACTION: [&str; 9] = [
    "id",
    "title",
    "trigger",
    "condition",
    "groupingBehavior",
    "selectionBehavior",
    "action",
    "description",
    "textEquivalent",
];
const STEP: [&str; 9] = [
    "id",
    "title",
    "extension",
    "relatedAction",
    "selectionBehavior",
    "action",
    "groupingBehavior",
    "description",
    "textEquivalent",
];
const VARIANT: [&str; 5] = ["id", "title", "condition", "definitionCanonical", "description"];

/// Reads a rule. What cannot be read is told with its place.
pub fn from_plan_definition(resource: &Value) -> Imported {
    let mut reader = Reader {
        id: resource["id"].as_str().unwrap_or_default().to_owned(),
        problems: Vec::new(),
        unmapped: Vec::new(),
    };
    let rule = reader.rule(resource);
    let compiled = rule.and_then(|rule| match CompiledRule::compile(rule) {
        Ok(rule) => Some(rule),
        Err(problems) => {
            reader.problems.extend(problems);
            None
        }
    });
    Imported { rule: compiled, problems: reader.problems, unmapped: reader.unmapped }
}

struct Reader {
    id: String,
    problems: Vec<RuleProblem>,
    unmapped: Vec<String>,
}

impl Reader {
    fn rule(&mut self, resource: &Value) -> Option<Rule> {
        if resource["resourceType"] != "PlanDefinition" {
            self.problem("resourceType", "it is not a PlanDefinition");
            return None;
        }
        if !is_name(&self.id) {
            self.problem("PlanDefinition.id", "the id is not that of a rule: use small letters, digits and hyphens");
            return None;
        }
        self.known("PlanDefinition", resource, &ROOT);
        self.extensions("PlanDefinition", resource, RULE_SETTINGS);
        let actions = list(&resource["action"]);
        let [root] = actions else {
            self.problem("PlanDefinition.action", "a rule has one action that the steps lie in");
            return None;
        };
        let place = "PlanDefinition.action[0]";
        self.known(place, root, &ACTION);
        let mut rule = self.settings("PlanDefinition", resource, RULE_SETTINGS);
        rule.insert("id".to_owned(), json!(self.id));
        rule.insert("version".to_owned(), json!(""));
        rule.insert("title".to_owned(), resource["title"].clone());
        let kind = self.resource_type(place, root)?;
        rule.insert("resource".to_owned(), json!(kind.as_str()));
        self.defaults(&mut rule, kind);
        for (kind, key) in [("applicability", "condition"), ("stop", "unless")] {
            if let Some(expression) = self.expression(place, root, kind) {
                rule.insert(key.to_owned(), json!(expression));
            }
        }
        if !rule.contains_key("condition") {
            self.problem(place, "no condition of the kind applicability is in FHIRPath");
            return None;
        }
        let steps: Vec<Value> = list(&root["action"])
            .iter()
            .enumerate()
            .filter_map(|(n, it)| self.step(&format!("{place}.action[{n}]"), it))
            .collect();
        rule.insert("steps".to_owned(), Value::Array(steps));
        let (value_sets, templates) = self.contained(resource);
        rule.insert("value_sets".to_owned(), json!(value_sets));
        rule.insert("templates".to_owned(), json!(templates));
        match serde_json::from_value(Value::Object(rule)) {
            Ok(rule) => Some(rule),
            Err(error) => {
                self.problem("PlanDefinition", &format!("it does not make a rule: {error}"));
                None
            }
        }
    }

    /// What a rule needs and the standard does not say, where another system wrote it.
    fn defaults(&mut self, rule: &mut Map<String, Value>, kind: ResourceType) {
        let anchor = match kind {
            ResourceType::Appointment => "start",
            ResourceType::Condition => "recordedDate",
            _ => "",
        };
        let defaults = [
            ("purpose", json!("treatment")),
            ("anchor", json!(anchor)),
            ("per", json!("resource")),
            ("cadence", Value::Null),
            ("reads", json!([])),
            ("freshness_minutes", json!(24 * 60)),
            ("move_tolerance_minutes", json!(30)),
            ("priority", json!(50)),
            ("channels", json!([])),
            ("stale_ok", json!(false)),
        ];
        for (key, value) in defaults {
            if !rule.contains_key(key) {
                rule.insert(key.to_owned(), value);
            }
        }
        if rule["channels"].as_array().is_none_or(Vec::is_empty) {
            self.problem(
                "PlanDefinition.extension",
                "no channel is named; write beckon-rule-settings with \"channels\"",
            );
        }
    }

    fn resource_type(&mut self, place: &str, root: &Value) -> Option<ResourceType> {
        let place = format!("{place}.trigger");
        let triggers = list(&root["trigger"]);
        for extra in triggers.iter().skip(1).enumerate() {
            self.unmapped.push(format!("{place}[{}]: a rule is about one type of resource", extra.0 + 1));
        }
        let first = triggers.first().unwrap_or(&Value::Null);
        let name = first["data"][0]["type"].as_str();
        let kind = name.and_then(ResourceType::parse);
        if kind.is_none() {
            self.problem(&place, "it does not name, under data.type, a resource type that Beckon reads");
        }
        if !matches!(first["type"].as_str(), Some("data-changed" | "data-added" | "data-modified")) {
            self.unmapped.push(format!("{place}[0].type: every change of the data is looked at"));
        }
        kind
    }

    /// The FHIRPath of one kind of condition. Other languages are named.
    fn expression(&mut self, place: &str, action: &Value, kind: &str) -> Option<String> {
        let mut found = None;
        for (number, condition) in list(&action["condition"]).iter().enumerate() {
            let place = format!("{place}.condition[{number}]");
            match condition["kind"].as_str() {
                Some(this) if this == kind => {}
                Some("applicability" | "stop") => continue,
                _ => {
                    let words = format!("{place}: conditions of the kind start have no meaning here");
                    if !self.unmapped.contains(&words) {
                        self.unmapped.push(words);
                    }
                    continue;
                }
            }
            let expression = &condition["expression"];
            match (expression["language"].as_str(), expression["expression"].as_str(), &found) {
                (Some("text/fhirpath"), Some(text), None) => found = Some(text.to_owned()),
                (Some("text/fhirpath"), Some(_), Some(_)) => {
                    self.problem(&place, "there are two of this kind; join them with \"and\"");
                }
                (language, _, _) => {
                    let language = language.unwrap_or("an unnamed language");
                    self.problem(&place, &format!("conditions are read in FHIRPath, not in {language}"));
                }
            }
        }
        found
    }

    fn step(&mut self, place: &str, action: &Value) -> Option<Value> {
        self.known(place, action, &STEP);
        self.extensions(place, action, STEP_SETTINGS);
        let mut step = self.settings(place, action, STEP_SETTINGS);
        let Some(id) = action["id"].as_str() else {
            self.problem(place, "the step has no id");
            return None;
        };
        step.insert("id".to_owned(), json!(id));
        if let Some(offset) = self.offset(place, action) {
            let at = step.entry("at").or_insert_with(|| json!({ "at_time": null }));
            at["offset"] = offset;
        }
        if !step.contains_key("at") {
            self.problem(place, "it is not said when the step falls due: write relatedAction with an offsetDuration");
            return None;
        }
        if !step.contains_key("expires") {
            self.problem(
                place,
                "it is not said how long the step is of use; write beckon-step-settings with \"expires\"",
            );
            return None;
        }
        if !step.contains_key("variants") {
            let nested = list(&action["action"]).iter().enumerate();
            let variants: Vec<Value> =
                nested.filter_map(|(n, it)| self.variant(&format!("{place}.action[{n}]"), it)).collect();
            step.insert("variants".to_owned(), Value::Array(variants));
        }
        if !step.contains_key("skip_if_booked_within_minutes") {
            step.insert("skip_if_booked_within_minutes".to_owned(), Value::Null);
        }
        Some(Value::Object(step))
    }

    fn offset(&mut self, place: &str, action: &Value) -> Option<Value> {
        let place = format!("{place}.relatedAction");
        let related = list(&action["relatedAction"]);
        for number in 1..related.len() {
            self.unmapped.push(format!("{place}[{number}]: a step counts from one instant"));
        }
        let related = related.first()?;
        if related["actionId"] != ANCHOR {
            self.problem(&place, "a step counts from the action \"anchor\"");
            return None;
        }
        let sign = match related["relationship"].as_str() {
            Some("before-start") => -1,
            Some("after-start" | "concurrent-with-start") => 1,
            other => {
                let other = other.unwrap_or("nothing");
                self.problem(&place, &format!("a step lies before-start or after-start of the anchor, not {other}"));
                return None;
            }
        };
        let duration = &related["offsetDuration"];
        let count = if duration.is_null() { Some(0) } else { duration["value"].as_i64() };
        let (unit, times) = match duration["code"].as_str() {
            Some("min") => ("minutes", 1),
            Some("h") => ("minutes", 60),
            Some("d") => ("days", 1),
            Some("wk") => ("days", 7),
            Some("mo") => ("months", 1),
            Some("a") => ("months", 12),
            None if duration.is_null() => ("minutes", 1),
            _ => ("", 0),
        };
        let system_fits = duration.is_null() || duration["system"].as_str().is_none_or(|system| system == UCUM);
        match count {
            Some(count) if times > 0 && system_fits => Some(json!({ unit: sign * times * count })),
            _ => {
                self.problem(&place, "the offset is not a whole number of min, h, d, wk, mo or a (UCUM)");
                None
            }
        }
    }

    fn variant(&mut self, place: &str, action: &Value) -> Option<Value> {
        self.known(place, action, &VARIANT);
        let named = action["definitionCanonical"].as_str().and_then(|it| it.strip_prefix("#text-"));
        let Some(template) = named else {
            self.problem(place, "it does not name one of the contained texts (#text-…)");
            return None;
        };
        Some(json!({ "when": self.expression(place, action, "applicability"), "template": template }))
    }

    fn contained(&mut self, resource: &Value) -> (ValueSets, BTreeMap<String, String>) {
        let (mut sets, mut texts) = (BTreeMap::new(), BTreeMap::new());
        for (number, it) in list(&resource["contained"]).iter().enumerate() {
            let place = format!("PlanDefinition.contained[{number}]");
            match it["resourceType"].as_str() {
                Some("ValueSet") => {
                    if let Some((url, members)) = self.value_set(&place, it) {
                        sets.insert(url, members);
                    }
                }
                Some("ActivityDefinition") => {
                    for (at, extension) in list(&it["extension"]).iter().enumerate() {
                        if extension["url"] != TEXT {
                            self.unmapped.push(format!("{place}.extension[{at}]"));
                            continue;
                        }
                        let part = |name: &str, value: &str| {
                            let parts = list(&extension["extension"]);
                            parts.iter().find(|it| it["url"] == name)?[value].as_str().map(str::to_owned)
                        };
                        match (part("file", "valueString"), part("text", "valueMarkdown")) {
                            (Some(file), Some(text)) => {
                                texts.insert(file, text);
                            }
                            _ => self.problem(&format!("{place}.extension[{at}]"), "a text needs file and text"),
                        }
                    }
                    let known = ["resourceType", "id", "status", "kind", "description", "extension", "name", "title"];
                    self.known(&place, it, &known);
                }
                _ => self.unmapped.push(place),
            }
        }
        (sets, texts)
    }

    fn value_set(&mut self, place: &str, it: &Value) -> Option<(String, Vec<(String, String)>)> {
        let Some(url) = it["url"].as_str() else {
            self.problem(place, "the value set has no url");
            return None;
        };
        for part in ["exclude", "inactive", "lockedDate"].into_iter().filter(|part| !it["compose"][part].is_null()) {
            self.problem(
                &format!("{place}.compose.{part}"),
                "value sets are lists of codes; this would widen or narrow it",
            );
        }
        let mut members = Vec::new();
        for (number, include) in list(&it["compose"]["include"]).iter().enumerate() {
            let place = format!("{place}.compose.include[{number}]");
            if !include["filter"].is_null() || !include["valueSet"].is_null() {
                self.problem(&place, "a filter or another value set cannot be looked up; list the codes");
            }
            let Some(system) = include["system"].as_str() else {
                self.problem(&place, "it names no code system");
                continue;
            };
            let codes = list(&include["concept"]).iter().filter_map(|concept| concept["code"].as_str());
            members.extend(codes.map(|code| (system.to_owned(), code.to_owned())));
        }
        Some((url.to_owned(), members))
    }

    /// The JSON of one of our extensions.
    fn settings(&mut self, place: &str, element: &Value, url: &str) -> Map<String, Value> {
        let found = list(&element["extension"]).iter().find(|it| it["url"] == url);
        let Some(text) = found.and_then(|it| it["valueString"].as_str()) else { return Map::new() };
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => fields,
            _ => {
                self.problem(place, &format!("{url} does not hold a JSON object"));
                Map::new()
            }
        }
    }

    fn known(&mut self, place: &str, element: &Value, known: &[&str]) {
        let fields = element.as_object().into_iter().flat_map(Map::keys);
        let unknown = fields.filter(|name| !known.contains(&name.trim_start_matches('_')));
        self.unmapped.extend(unknown.map(|name| format!("{place}.{name}")));
    }

    fn extensions(&mut self, place: &str, element: &Value, ours: &str) {
        let others = list(&element["extension"]).iter().enumerate().filter(|(_, it)| it["url"] != ours);
        self.unmapped.extend(others.map(|(number, it)| {
            format!("{place}.extension[{number}] ({})", it["url"].as_str().unwrap_or("without a url"))
        }));
    }

    fn problem(&mut self, place: &str, what: &str) {
        self.problems.push(RuleProblem::error(&self.id, place, None, what));
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
