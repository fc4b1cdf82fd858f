use serde_json::{Value, json};

use super::super::starter_rules;
use super::*;
use crate::domain::RuleStage;

#[test]
fn every_starter_rule_comes_back_as_it_was() {
    let (rules, _) = starter_rules();
    assert!(rules.len() >= 3);
    for rule in rules {
        let written = to_plan_definition(rule.rule(), RuleStage::Live);
        // Through text, as a file holds it.
        let read: Value = serde_json::from_str(&written.to_string()).unwrap();
        let imported = from_plan_definition(&read);
        assert!(imported.problems.is_empty(), "{}: {:?}", rule.id(), imported.problems);
        assert!(imported.unmapped.is_empty(), "{}: {:?}", rule.id(), imported.unmapped);
        let back = imported.rule.unwrap();
        assert_eq!(back.rule(), rule.rule(), "{}", rule.id());
        assert_eq!(back.version(), rule.version());
    }
}

#[test]
fn what_the_standard_has_a_place_for_is_read_from_there() {
    let (rules, _) = starter_rules();
    let rule = rules.iter().find(|it| it.id().as_str() == "appointment-reminder").unwrap();
    let mut written = to_plan_definition(rule.rule(), RuleStage::Draft);
    written["title"] = json!("Another title");
    written["action"][0]["condition"][0]["expression"]["expression"] = json!("status = 'pending'");
    written["action"][0]["action"][0]["relatedAction"][0]["offsetDuration"] =
        json!({ "value": 2, "unit": "weeks", "system": "http://unitsofmeasure.org", "code": "wk" });
    let changed = from_plan_definition(&written).rule.unwrap();
    assert_eq!(changed.rule().title, "Another title");
    assert_eq!(changed.rule().condition, "status = 'pending'");
    assert_eq!(changed.rule().steps[0].at.offset, crate::domain::Offset::Days(-14));
    assert_eq!(changed.rule().steps[1], rule.rule().steps[1]);
}

#[test]
fn what_has_no_meaning_here_is_named_and_what_would_change_the_meaning_is_refused() {
    let (rules, _) = starter_rules();
    let rule = rules.iter().find(|it| it.id().as_str() == "diabetes-check-up").unwrap();
    let of = |change: &dyn Fn(&mut Value)| {
        let mut written = to_plan_definition(rule.rule(), RuleStage::Live);
        change(&mut written);
        from_plan_definition(&written)
    };
    let named = of(&|it| {
        it["goal"] = json!([{ "description": { "text": "HbA1c below 7 %" } }]);
        it["action"][0]["action"][0]["participant"] = json!([{ "type": "practitioner" }]);
        it["action"][0]["documentation"] = json!([{ "type": "citation" }]);
        it["extension"].as_array_mut().unwrap().push(json!({ "url": "http://other.example/x", "valueBoolean": true }));
    });
    assert!(named.rule.is_some());
    assert_eq!(
        named.unmapped,
        [
            "PlanDefinition.goal",
            "PlanDefinition.extension[1] (http://other.example/x)",
            "PlanDefinition.action[0].documentation",
            "PlanDefinition.action[0].action[0].participant",
        ]
    );
    type Refusal<'a> = (&'a str, &'a dyn Fn(&mut Value));
    let refusals: [Refusal<'_>; 6] = [
        ("conditions are read in FHIRPath, not in text/cql", &|it| {
            it["action"][0]["condition"][0]["expression"]["language"] = json!("text/cql");
        }),
        ("a filter or another value set cannot be looked up", &|it| {
            it["contained"][0]["compose"]["include"][0]["filter"] = json!([{ "property": "concept", "op": "is-a" }]);
        }),
        ("this would widen or narrow it", &|it| it["contained"][0]["compose"]["exclude"] = json!([{}])),
        ("not before-end", &|it| {
            it["action"][0]["action"][0]["relatedAction"][0]["relationship"] = json!("before-end");
        }),
        ("does not name, under data.type", &|it| it["action"][0]["trigger"][0]["data"][0]["type"] = json!("Coverage")),
        ("no channel is named", &|it| it["extension"] = json!([])),
    ];
    for (expected, change) in refusals {
        let found = of(change).problems;
        assert!(found.iter().any(|it| it.to_string().contains(expected)), "{expected}: {found:?}");
    }
}
