//! The rules that ship with Beckon.

use beckon::rules::starter_rules;

#[test]
fn the_starter_rules_have_no_problems_and_no_warnings() {
    let (rules, problems) = starter_rules();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    let ids: Vec<&str> = rules.iter().map(|rule| rule.id().as_str()).collect();
    assert_eq!(ids, ["appointment-reminder", "diabetes-check-up", "no-show-follow-up"]);
}
