//! The silent decisions, in words: what was found that stands against a reminder, and when it could next be due.

use super::fixtures::*;
use beckon::domain::*;
use beckon::rules::CompiledRule;
use serde_json::{Value, json};

const NOW: &str = "2026-04-10T15:00:00Z";

/// HbA1c every six months for people with diabetes: due where none is found.
fn hba1c() -> CompiledRule {
    let mut rule = starter("diabetes-check-up").rule().clone();
    rule.id = RuleId::new("hba1c-overdue");
    rule.condition = String::from(
        "clinicalStatus.coding.where(code = 'active').exists() and %observations.where(status = 'final' and \
         code.coding.where(code = '4548-4').exists() and effective.ofType(dateTime) > today() - 6 months).empty()",
    );
    rule.unless = None;
    rule.cadence = None;
    rule.reads = vec![ResourceType::Observation];
    CompiledRule::compile(rule).unwrap()
}

fn diabetes() -> Value {
    json!({
        "resourceType": "Condition", "id": "d", "subject": { "reference": "Patient/ana" },
        "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active" }] },
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "44054006" }] },
        "recordedDate": "2020-01-31"
    })
}

fn observation(id: &str, code: &str, name: &str, at: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final", "meta": { "versionId": "4" },
        "subject": { "reference": "Patient/ana" }, "effectiveDateTime": at,
        "code": { "coding": [{ "system": "http://loinc.org", "code": code }], "text": name }
    })
}

fn words(world: &World, rule: &CompiledRule) -> Vec<String> {
    world.explain(rule, at(NOW)).into_iter().map(|(_, it)| it.words).collect()
}

#[test]
fn what_was_found_is_named_with_its_date_and_the_next_time_is_told() {
    let mut world = World::new(
        ana(),
        vec![
            diabetes(),
            observation("old", "4548-4", "Hemoglobin A1c", "2025-03-01"),
            observation("weight", "29463-7", "Body weight", "2026-04-09"),
            observation("new", "4548-4", "Hemoglobin A1c", "2026-03-03"),
        ],
    );
    world.covered = Some(at(NOW));
    let rule = hba1c();
    let explained = world.explain(&rule, at(NOW));
    assert_eq!(
        explained[0].1.words,
        "Found: Observation “Hemoglobin A1c” of 3 March 2026. Next due in September 2026."
    );
    let found: Vec<String> = explained[0].1.found.iter().map(|it| format!("{} {:?}", it.key, it.version_id)).collect();
    assert_eq!(found, ["Observation/new Some(\"4\")"]);

    // Two within the six months: both stand against it, the newer is named.
    world.resources.push(observation("also", "4548-4", "Hemoglobin A1c", "2026-04-01"));
    assert_eq!(
        words(&world, &rule),
        ["Found: Observation “Hemoglobin A1c” of 1 April 2026 and 1 more. Next due in October 2026."]
    );

    // None within the time: nothing stands against it.
    world.resources.truncate(2);
    assert!(words(&world, &rule).iter().all(|it| !it.contains("Found")), "{:?}", words(&world, &rule));
}

#[test]
fn what_excuses_a_step_is_named_and_so_is_the_repetition_after_it() {
    let booked = appointment("b", "booked", "2026-08-20T15:00:00Z", NOW, "accepted");
    let mut world = World::new(ana(), vec![diabetes_confirmed(), booked]);
    world.covered = Some(at(NOW));
    assert_eq!(
        words(&world, &starter("diabetes-check-up")),
        ["Found: Appointment “Check-up” of 20 August 2026 (booked). Next due in January 2027."]
    );
}

fn diabetes_confirmed() -> Value {
    let mut value = diabetes();
    value["verificationStatus"] = json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed" }] });
    value
}

#[test]
fn every_reason_has_words() {
    let rule = starter("appointment-reminder");
    let late = appointment("a", "booked", "2026-04-12T15:00:00Z", "2026-04-10T14:00:00Z", "accepted");
    let cancelled = appointment("a", "cancelled", "2026-04-20T15:00:00Z", "2026-03-01T14:00:00Z", "accepted");
    let world = World::new(ana(), vec![late]);
    let told = words(&world, &rule);
    assert!(
        told[0].contains("Booked 10 April 2026, 09:00 CDT; due would have been 9 April 2026, 10:00 CDT"),
        "{told:?}"
    );
    let mut world = World::new(ana(), vec![cancelled]);
    assert_eq!(
        words(&world, &rule),
        ["The condition does not hold for Appointment “Check-up” of 20 April 2026 (cancelled)."]
    );
    world.enrolments = vec![Enrolment {
        patient: PatientId::new("ana"),
        rule: rule.id().clone(),
        state: EnrolmentState::Off,
        by: "staff:dr".to_owned(),
        at: at("2026-04-01T12:00:00Z"),
    }];
    assert_eq!(words(&world, &rule), ["Switched off by staff:dr on 1 April 2026."]);
    world.enrolments.clear();
    world.patient["deceasedBoolean"] = json!(true);
    assert_eq!(words(&world, &rule), ["The patient has died."]);
}

#[test]
fn every_decision_on_a_live_rule_records_every_check_and_the_versions_it_rested_on() {
    let rule = starter("appointment-reminder");
    let booked = appointment("a", "booked", "2026-04-13T15:00:00Z", "2026-03-01T12:00:00Z", "needs-action");
    let mut world = World::new(ana(), vec![booked]);
    world.replan(std::slice::from_ref(&rule), at("2026-04-01T12:00:00Z"));
    let reminder = world.reminders[0].clone();
    let names = |world: &World, now: &str| -> Vec<String> {
        let mut names: Vec<String> =
            world.decide(&reminder, Some(&rule), at(now)).checks.into_iter().map(|it| it.name).collect();
        names.sort();
        names
    };
    let all = names(&world, "2026-04-10T15:00:00Z");
    for name in [
        "alive",
        "record_in_use",
        "opt_out",
        "consent",
        "enrolment",
        "condition",
        "detail",
        "recipient",
        "purpose",
        "zone",
        "expiry",
        "due",
        "quiet_hours",
        "budget",
        "moved",
        "coverage",
        "language",
        "contact_point",
        "variant",
    ] {
        assert!(all.contains(&name.to_owned()), "{name} is not among {all:?}");
    }
    let changes: [(&str, fn(&mut World)); 8] = [
        ("dead", |w| w.patient["deceasedBoolean"] = json!(true)),
        ("no address", |w| w.patient["telecom"] = json!([])),
        ("minor", |w| w.patient["birthDate"] = json!("2020-01-01")),
        ("cancelled", |w| w.resources[0]["status"] = json!("cancelled")),
        ("gone", |w| w.resources.clear()),
        ("EHR down", |w| w.ehr_is_down = true),
        ("no zone", |w| w.facilities = beckon::rules::Facilities::default()),
        ("abroad", |w| w.patient["address"][0]["country"] = json!("Kazakhstan")),
    ];
    for (what, change) in changes {
        let mut world = world.clone();
        change(&mut world);
        assert_eq!(names(&world, "2026-04-10T15:00:00Z"), all, "{what}");
    }
    let decision = world.decide(&reminder, Some(&rule), at("2026-04-10T15:00:00Z"));
    let versions: Vec<String> = decision
        .facts
        .iter()
        .filter_map(|it| it.source.as_ref())
        .map(|it| format!("{} {}", it.key, it.version_id.as_deref().unwrap_or_default()))
        .collect();
    assert!(versions.contains(&"Patient/ana 7".to_owned()), "{versions:?}");
    assert!(versions.contains(&"Appointment/a 1".to_owned()), "{versions:?}");
}
