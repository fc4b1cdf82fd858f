//! What falls due, and when.

use super::fixtures::*;
use beckon::domain::*;
use serde_json::json;

const BOOKED: &str = "2026-05-01T12:00:00Z";
const START: &str = "2026-06-10T15:00:00Z";

fn booked(id: &str, start: &str) -> serde_json::Value {
    appointment(id, "booked", start, BOOKED, "needs-action")
}

fn planned(world: &World, rule: &str, now: &str) -> (Vec<String>, Vec<String>) {
    let plan = world.plan(&[starter(rule)], at(now));
    (steps(&plan), reasons(&plan))
}

#[test]
fn an_appointment_is_reminded_of_three_days_and_one_day_before() {
    let world = World::new(ana(), vec![booked("a", START)]);
    let (steps, reasons) = planned(&world, "appointment-reminder", "2026-06-01T00:00:00Z");
    assert_eq!(steps, ["three-days-before 06-07T15:00", "one-day-before 06-09T15:00"]);
    assert!(reasons.is_empty());
}

#[test]
fn only_the_latest_overdue_step_is_planned_and_the_others_are_accounted_for() {
    let world = World::new(ana(), vec![booked("a", START)]);
    for (now, steps, reasons) in [
        ("2026-06-08T15:00:00Z", &["three-days-before 06-07T15:00", "one-day-before 06-09T15:00"][..], &[][..]),
        ("2026-06-09T16:00:00Z", &["one-day-before 06-09T15:00"], &["three-days-before: expired"]),
        ("2026-06-10T14:00:00Z", &[], &["three-days-before: expired", "one-day-before: expired"]),
    ] {
        let got = planned(&world, "appointment-reminder", now);
        assert_eq!((got.0.as_slice(), got.1.as_slice()), (&*own(steps), &*own(reasons)), "{now}");
    }
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn what_was_booked_late_is_not_reminded_of_at_once() {
    let late = |created: &str| World::new(ana(), vec![appointment("a", "booked", START, created, "needs-action")]);
    let now = "2026-06-09T20:00:00Z";
    let two_days = planned(&late("2026-06-08T15:00:00Z"), "appointment-reminder", "2026-06-08T16:00:00Z");
    assert_eq!(two_days.0, ["one-day-before 06-09T15:00"]);
    assert_eq!(two_days.1, ["three-days-before: booked_late"]);
    let today = planned(&late("2026-06-09T19:00:00Z"), "appointment-reminder", now);
    assert!(today.0.is_empty());
    assert_eq!(today.1, ["three-days-before: expired", "one-day-before: booked_late"]);
}

#[test]
fn every_appointment_has_a_reminder_or_a_reason() {
    for (change, reason) in [
        (json!({ "status": "cancelled" }), "condition_not_met"),
        (json!({ "status": "fulfilled" }), "condition_not_met"),
        (json!({ "start": null, "end": null, "status": "booked" }), "anchor_missing"),
        (
            json!({ "participant": [{ "actor": { "reference": "Patient/ana" }, "status": "declined" }] }),
            "patient_declined",
        ),
    ] {
        let mut resource = booked("a", START);
        for (key, value) in change.as_object().unwrap() {
            if value.is_null() {
                resource.as_object_mut().unwrap().remove(key);
            } else {
                resource[key] = value.clone();
            }
        }
        let (steps, reasons) =
            planned(&World::new(ana(), vec![resource]), "appointment-reminder", "2026-06-01T00:00:00Z");
        assert!(steps.is_empty(), "{change}");
        assert_eq!(reasons, [format!("all: {reason}")], "{change}");
    }
    let mut unplaced = World::new(ana(), vec![booked("a", START)]);
    unplaced.facilities = beckon::rules::Facilities::default();
    let (_, reasons) = planned(&unplaced, "appointment-reminder", "2026-06-01T00:00:00Z");
    assert_eq!(reasons, ["all: facility_zone_unresolved"]);
}

#[test]
fn nothing_is_planned_for_the_dead_the_merged_and_those_a_clinician_switched_off() {
    for (change, reason) in [
        (json!({ "deceasedDateTime": "2026-05-30" }), Reason::PatientDeceased),
        (json!({ "active": false }), Reason::PatientInactive),
        (
            json!({ "link": [{ "type": "replaced-by", "other": { "reference": "Patient/b" } }] }),
            Reason::PatientReplaced,
        ),
    ] {
        let mut world = World::new(ana(), vec![booked("a", START)]);
        let rules = [starter("appointment-reminder")];
        world.replan(&rules, at("2026-06-01T00:00:00Z"));
        for (key, value) in change.as_object().unwrap() {
            world.patient[key] = value.clone();
        }
        world.replan(&rules, at("2026-06-02T00:00:00Z"));
        for reminder in &world.reminders {
            assert_eq!((reminder.state, reminder.reason), (ReminderState::Cancelled, Some(reason)));
        }
    }
}

#[test]
fn a_small_move_keeps_the_occasion_and_a_large_one_makes_a_new_one() {
    let rules = [starter("appointment-reminder")];
    let mut world = World::new(ana(), vec![booked("a", START)]);
    world.replan(&rules, at("2026-06-01T00:00:00Z"));
    let key = world.reminders[0].plan.occasion.key.clone();

    world.resources = vec![booked("a", "2026-06-10T15:20:00Z")];
    let (_, changes) = world.replan(&rules, at("2026-06-02T00:00:00Z"));
    assert_eq!((changes.insert.len(), changes.update.len(), changes.cancel.len()), (0, 2, 0));
    assert_eq!(world.reminders[0].plan.occasion.key, key);
    assert_eq!(world.reminders[0].plan.due_at, at("2026-06-07T15:20:00Z"));

    world.resources = vec![booked("a", "2026-06-11T15:00:00Z")];
    let (_, changes) = world.replan(&rules, at("2026-06-03T00:00:00Z"));
    assert_eq!((changes.insert.len(), changes.update.len(), changes.cancel.len()), (2, 0, 2));
    assert!(changes.cancel.iter().all(|(_, reason)| *reason == Reason::ResourceMoved));
    assert_eq!(changes.insert[0].occasion.replaces.as_ref(), Some(&key));

    // And back again: the first occasion lives on.
    world.resources = vec![booked("a", START)];
    let (_, changes) = world.replan(&rules, at("2026-06-04T00:00:00Z"));
    assert!(changes.insert.is_empty());
    assert!(changes.update.iter().all(|it| it.reopen) && changes.update.len() == 2);
}

#[test]
fn planning_twice_changes_nothing() {
    let rules = [starter("appointment-reminder"), starter("no-show-follow-up"), starter("diabetes-check-up")];
    let mut world = World::new(
        ana(),
        vec![
            booked("a", START),
            appointment("n", "noshow", "2026-05-31T15:00:00Z", BOOKED, "accepted"),
            diabetes("d", "2020-01-31"),
        ],
    );
    world.covered = Some(at("2026-06-01T00:00:00Z"));
    let now = at("2026-06-01T00:10:00Z");
    let (first, changes) = world.replan(&rules, now);
    assert!(!changes.is_empty());
    let (second, changes) = world.replan(&rules, now);
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(first, second);
}

#[test]
fn cancel_and_book_anew_gives_new_reminders_and_nothing_else() {
    let rules = [starter("appointment-reminder")];
    let mut world = World::new(ana(), vec![booked("a", START)]);
    world.replan(&rules, at("2026-06-01T00:00:00Z"));
    let key = world.reminders[0].plan.occasion.key.clone();

    // The same visit later that day, under a new id.
    let cancelled = appointment("a", "cancelled", START, BOOKED, "needs-action");
    world.resources = vec![cancelled.clone(), booked("b", "2026-06-10T19:00:00Z")];
    let (_, changes) = world.clone().replan(&rules, at("2026-06-02T00:00:00Z"));
    assert!(changes.cancel.iter().all(|(_, reason)| *reason == Reason::ResourceMoved) && changes.cancel.len() == 2);
    assert_eq!(changes.insert.len(), 2);
    assert_eq!(changes.insert[0].occasion.replaces, Some(key.clone()));

    // At the same time: it is the same occasion, about another resource.
    world.resources = vec![cancelled, booked("b", START)];
    let (_, changes) = world.replan(&rules, at("2026-06-02T00:00:00Z"));
    assert!(changes.insert.is_empty() && changes.cancel.is_empty(), "{changes:?}");
    assert!(world.reminders.iter().all(|it| it.plan.occasion.key == key && it.plan.occasion.resource.id == "b"));
}

#[test]
fn a_cancelled_appointment_cancels_its_reminders_and_a_deleted_one_too() {
    let rules = [starter("appointment-reminder")];
    for (resources, reason) in [
        (vec![appointment("a", "cancelled", START, BOOKED, "needs-action")], Reason::ResourceCancelled),
        (vec![], Reason::ResourceGone),
        (vec![appointment("a", "booked", START, BOOKED, "declined")], Reason::PatientDeclined),
    ] {
        let mut world = World::new(ana(), vec![booked("a", START)]);
        world.replan(&rules, at("2026-06-01T00:00:00Z"));
        world.resources = resources;
        world.replan(&rules, at("2026-06-02T00:00:00Z"));
        assert!(
            world.reminders.iter().all(|it| it.reason == Some(reason)),
            "{reason:?} {:?}",
            world.reminders[0].reason
        );
    }
}

#[test]
fn a_missed_visit_is_followed_up_the_next_morning_unless_a_new_one_is_booked() {
    let missed = appointment("n", "noshow", "2026-06-10T20:00:00Z", BOOKED, "accepted");
    let mut world = World::new(ana(), vec![missed.clone()]);
    world.covered = Some(at("2026-06-10T22:00:00Z"));
    assert_eq!(planned(&world, "no-show-follow-up", "2026-06-10T22:30:00Z").0, ["next-day 06-11T15:00"]);

    world.resources.push(booked("b", "2026-06-20T15:00:00Z"));
    let (steps, reasons) = planned(&world, "no-show-follow-up", "2026-06-10T22:30:00Z");
    assert!(steps.is_empty());
    assert!(reasons.contains(&"next-day: condition_not_met".to_owned()), "{reasons:?}");
}

fn diabetes(id: &str, recorded: &str) -> serde_json::Value {
    json!({
        "resourceType": "Condition", "id": id, "subject": { "reference": "Patient/ana" },
        "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active" }] },
        "verificationStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed" }] },
        "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "44054006" }] },
        "recordedDate": recorded
    })
}

#[test]
fn diabetes_is_followed_up_every_six_months_once_a_person() {
    let now = "2026-06-01T12:00:00Z";
    let mut world = World::new(ana(), vec![diabetes("d", "2020-01-31")]);
    world.covered = Some(at(now));
    // 31 July 2026; the end of the month does not drift.
    assert_eq!(planned(&world, "diabetes-check-up", now).0, ["check-up-due 07-31T15:00"]);

    world.resources.push(diabetes("e", "2021-03-15"));
    let (steps, reasons) = planned(&world, "diabetes-check-up", now);
    assert_eq!(steps, ["check-up-due 07-31T15:00"]);
    assert_eq!(reasons, ["all: superseded"]);

    world.resources.push(booked("b", "2026-08-20T15:00:00Z"));
    let (steps, reasons) = planned(&world, "diabetes-check-up", now);
    assert!(steps.is_empty());
    assert!(reasons.contains(&"check-up-due: condition_not_met".to_owned()), "{reasons:?}");
}

#[test]
fn a_corrected_date_does_not_repeat_a_follow_up() {
    let rules = [starter("diabetes-check-up")];
    let mut world = World::new(ana(), vec![diabetes("d", "2020-01-31")]);
    world.covered = Some(at("2026-08-01T12:00:00Z"));
    world.replan(&rules, at("2026-08-01T12:00:00Z"));
    world.reminders[0].state = ReminderState::Released;
    world.resources = vec![diabetes("d", "2020-02-03")];
    let (_, changes) = world.replan(&rules, at("2026-08-02T12:00:00Z"));
    assert!(changes.insert.is_empty(), "{changes:?}");
}

#[test]
fn the_next_repetition_is_planned_once_this_one_is_over() {
    let rules = [starter("diabetes-check-up")];
    let mut world = World::new(ana(), vec![diabetes("d", "2020-01-31")]);
    world.covered = Some(at("2026-06-01T12:00:00Z"));
    let (plan, _) = world.replan(&rules, at("2026-06-01T12:00:00Z"));
    let replan_at = plan.replan_at.unwrap();
    assert_eq!(replan_at, at("2026-08-21T23:00:00Z"));
    world.reminders[0].state = ReminderState::Released;
    let (plan, changes) = world.replan(&rules, replan_at);
    assert_eq!(steps(&plan), ["check-up-due 01-31T16:00"]);
    assert_eq!(changes.insert.len(), 1);
}

#[test]
fn a_condition_that_fails_on_one_patient_is_told_and_stops_nobody_else() {
    let mut rule = starter("appointment-reminder").rule().clone();
    rule.condition = "status.single() + 1 = 2".to_owned();
    rule.id = RuleId::new("broken-on-this-one");
    let broken = beckon::rules::CompiledRule::compile(rule).unwrap();
    let world = World::new(ana(), vec![booked("a", START)]);
    let plan = world.plan(&[broken, starter("appointment-reminder")], at("2026-06-01T00:00:00Z"));
    assert_eq!(plan.reminders.len(), 2);
    assert_eq!(plan.not_applicable[0].reason, Reason::ConditionFailed);
    assert!(plan.not_applicable[0].words.is_some());
}

#[test]
fn of_several_overdue_steps_only_the_latest_is_planned_and_what_waited_is_superseded() {
    let mut rule = starter("appointment-reminder").rule().clone();
    rule.steps[0].expires = rule.steps[1].expires.clone();
    let rules = [beckon::rules::CompiledRule::compile(rule).unwrap()];
    let mut world = World::new(ana(), vec![booked("a", START)]);
    let late = world.plan(&rules, at("2026-06-09T16:00:00Z"));
    assert_eq!(steps(&late), ["one-day-before 06-09T15:00"]);
    assert_eq!(reasons(&late), ["three-days-before: superseded"]);

    // The earlier one was planned in time and waited; the later one takes its place.
    world.replan(&rules, at("2026-06-01T00:00:00Z"));
    let waiting = world.reminders.iter_mut().find(|it| it.plan.step.as_str() == "three-days-before").unwrap();
    waiting.state = ReminderState::Waiting;
    world.replan(&rules, at("2026-06-09T16:00:00Z"));
    let states: Vec<_> = world.reminders.iter().map(|it| (it.state, it.reason)).collect();
    assert_eq!(states, [(ReminderState::Expired, Some(Reason::Superseded)), (ReminderState::Planned, None)]);
}

#[test]
fn what_was_released_withheld_or_expired_is_never_touched_again() {
    let rules = [starter("appointment-reminder")];
    for state in [ReminderState::Released, ReminderState::Withheld, ReminderState::Expired] {
        let mut world = World::new(ana(), vec![booked("a", START)]);
        world.replan(&rules, at("2026-06-01T00:00:00Z"));
        for reminder in &mut world.reminders {
            reminder.state = state;
        }
        for resource in [
            booked("a", "2026-06-10T15:20:00Z"),
            appointment("a", "cancelled", START, BOOKED, "needs-action"),
            booked("a", START),
        ] {
            world.resources = vec![resource];
            let (_, changes) = world.replan(&rules, at("2026-06-02T00:00:00Z"));
            assert!(changes.is_empty(), "{state:?}: {changes:?}");
        }
    }
}

#[test]
fn two_appointments_in_place_of_one_do_not_share_its_occasion() {
    let rules = [starter("appointment-reminder")];
    let mut world = World::new(ana(), vec![booked("a", START)]);
    world.replan(&rules, at("2026-06-01T00:00:00Z"));
    let cancelled = appointment("a", "cancelled", START, BOOKED, "needs-action");
    world.resources = vec![cancelled, booked("b", START), booked("c", START)];
    let (plan, changes) = world.replan(&rules, at("2026-06-02T00:00:00Z"));
    assert_eq!(plan.reminders.len(), 4);
    assert_eq!(changes.insert.len(), 2);
    let keys: std::collections::BTreeSet<_> = plan.reminders.iter().map(|it| &it.occasion.key).collect();
    assert_eq!(keys.len(), 2);
    // The first one stands again: it must not take over what went to another.
    world.resources[0] = booked("a", START);
    let (plan, _) = world.replan(&rules, at("2026-06-03T00:00:00Z"));
    let keys: std::collections::BTreeSet<_> = plan.reminders.iter().map(|it| &it.occasion.key).collect();
    assert_eq!((plan.reminders.len(), keys.len()), (6, 3));
    let (_, changes) = world.replan(&rules, at("2026-06-03T00:00:00Z"));
    assert!(changes.is_empty());
}

#[test]
fn what_a_clinician_switches_is_kept_back_and_let_go_again() {
    use EnrolmentState::{Off, On, PausedUntil};
    let rules = [starter("appointment-reminder")];
    let mut world = World::new(ana(), vec![booked("a", START)]);
    world.replan(&rules, at("2026-06-01T00:00:00Z"));
    let kept = |reason| (ReminderState::Withheld, Some(reason));
    let planned = (ReminderState::Planned, None);
    for (state, stands) in [
        (Off, [kept(Reason::RuleOff); 2]),
        (On, [planned; 2]),
        // Until after the first step's time is over, and before the second one's.
        (PausedUntil(at("2026-06-09T16:00:00Z")), [kept(Reason::RulePaused), planned]),
        (PausedUntil(at("2026-06-08T00:00:00Z")), [planned; 2]),
        (PausedUntil(at("2026-07-01T00:00:00Z")), [kept(Reason::RulePaused); 2]),
        (On, [planned; 2]),
    ] {
        world.enrolments = vec![Enrolment {
            patient: PatientId::new("ana"),
            rule: RuleId::new("appointment-reminder"),
            state,
            by: "staff:casey".to_owned(),
            at: at("2026-06-01T00:00:00Z"),
        }];
        world.replan(&rules, at("2026-06-02T00:00:00Z"));
        let now: Vec<_> = world.reminders.iter().map(|it| (it.state, it.reason)).collect();
        assert_eq!(now, stands, "{state:?}");
        let (_, again) = world.clone().replan(&rules, at("2026-06-02T00:00:00Z"));
        assert!(again.is_empty(), "planning again changes nothing: {again:?}");
    }
}
