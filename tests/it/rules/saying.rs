//! What a rule can say, each with a patient to whom it makes a difference.

use super::fixtures::*;
use beckon::domain::*;
use beckon::rules::*;
use serde_json::{Value, json};

/// Wednesday, 10:00 in Austin.
const START: &str = "2026-06-10T15:00:00Z";
const BOOKED: &str = "2026-05-01T12:00:00Z";
const NOW: &str = "2026-06-01T12:00:00Z";

fn visit() -> Value {
    appointment("a", "booked", START, BOOKED, "needs-action")
}

fn with(mut value: Value, change: &Value) -> Value {
    let fields = value.as_object_mut().unwrap();
    for (key, new) in change.as_object().unwrap() {
        fields.insert(key.clone(), new.clone());
    }
    value
}

/// What is planned for a patient with these resources, and what is not.
fn asked(rule: &CompiledRule, patient: &Value, resources: &[Value], now: &str) -> (Vec<String>, Vec<String>) {
    let mut world = World::new(patient.clone(), resources.to_vec());
    world.covered = Some(at(now));
    let plan = world.plan(std::slice::from_ref(rule), at(now));
    (steps(&plan), reasons(&plan))
}

#[test]
fn a_rule_is_for_those_whom_it_names() {
    let born = |date: &str| json!({ "birthDate": date });
    let speaks = |code: &str| json!({ "communication": [{ "language": { "coding": [{ "code": code }] } }] });
    for (who, change, expected) in [
        ("age_from = \"45 years\"", born("1981-06-01"), None),
        ("age_from = \"45 years\"", born("1981-06-02"), Some("all: not_meant")),
        ("age_below = \"45 years\"", born("1981-06-02"), None),
        ("age_below = \"45 years\"", born("1981-06-01"), Some("all: not_meant")),
        ("age_from = \"6 months\"", born("2025-12-01"), None),
        ("age_from = \"6 months\"", born("2025-12-02"), Some("all: not_meant")),
        // The last day of a month stands in for the one it lacks.
        ("age_from = \"3 months\"", born("2026-02-28"), None),
        ("age_from = \"45 years\"", born("1980"), None),
        ("age_from = \"45 years\"", born("1981"), Some("all: not_known")),
        ("age_from = \"45 years\"", json!({ "birthDate": null }), Some("all: not_known")),
        ("languages = [\"es\"]", speaks("es-MX"), None),
        ("languages = [\"es\"]", speaks("en"), Some("all: not_meant")),
        ("languages = [\"es\"]", json!({ "communication": [] }), Some("all: not_known")),
        ("locations = [\"main\"]", json!({}), None),
        ("locations = [\"annex\"]", json!({}), Some("all: not_meant")),
        ("clinicians = [\"Practitioner/dr\"]", json!({}), None),
        ("clinicians = [\"Practitioner/other\"]", json!({}), Some("all: not_meant")),
        ("enrolled = \"only\"", json!({}), Some("all: not_enrolled")),
    ] {
        let rule = written(&format!("[who]\n{who}\n"));
        let (steps, reasons) = asked(&rule, &with(ana(), &change), &[visit()], NOW);
        match expected {
            None => assert_eq!(steps.len(), 1, "{who} {change}: {reasons:?}"),
            Some(reason) => {
                assert_eq!((steps.len(), reasons.as_slice()), (0, &[reason.to_owned()][..]), "{who} {change}");
            }
        }
    }
}

#[test]
fn a_patient_grows_into_a_rule_without_any_change_of_data() {
    let rule = written("[who]\nage_from = \"45 years\"\nage_below = \"76 years\"\n");
    let world = World::new(with(ana(), &json!({ "birthDate": "1981-06-05" })), vec![visit()]);
    let rules = std::slice::from_ref(&rule);
    let early = world.plan(rules, at(NOW));
    assert!(early.reminders.is_empty());
    // Midnight in Austin at the birthday.
    assert_eq!(early.replan_at, Some(at("2026-06-05T05:00:00Z")));
    assert_eq!(world.plan(rules, at("2026-06-05T05:00:00Z")).reminders.len(), 1);
}

#[test]
fn whoever_is_no_longer_meant_when_it_falls_due_gets_nothing() {
    let rule = written("[who]\nlanguages = [\"en\"]\n");
    let mut world = World::new(ana(), vec![visit()]);
    world.replan(std::slice::from_ref(&rule), at(NOW));
    let due = at("2026-06-09T15:00:00Z");
    assert!(matches!(world.decide(&world.reminders[0], Some(&rule), due).verdict, Verdict::Release(_)));
    world.patient["communication"][0]["language"]["coding"][0]["code"] = json!("es");
    assert_eq!(world.decide(&world.reminders[0], Some(&rule), due).verdict, Verdict::Cancel(Reason::NotMeant));
}

#[test]
fn a_rule_for_the_enrolled_only_waits_for_staff_to_switch_it_on() {
    let rule = written("[who]\nenrolled = \"only\"\n");
    let mut world = World::new(ana(), vec![visit()]);
    let rules = std::slice::from_ref(&rule);
    assert!(world.plan(rules, at(NOW)).reminders.is_empty());
    let on = |state| Enrolment {
        patient: PatientId::new("ana"),
        rule: RuleId::new("test"),
        state,
        by: "dr".to_owned(),
        at: at(NOW),
    };
    world.enrolments = vec![on(EnrolmentState::On)];
    world.replan(rules, at(NOW));
    assert_eq!(world.reminders.len(), 1);
    let due = at("2026-06-09T15:00:00Z");
    assert!(matches!(world.decide(&world.reminders[0], Some(&rule), due).verdict, Verdict::Release(_)));
    world.enrolments = vec![];
    assert_eq!(world.decide(&world.reminders[0], Some(&rule), due).verdict, Verdict::Cancel(Reason::NotEnrolled));
}

#[test]
fn steps_count_working_days_and_the_day_before_at_a_time() {
    for (moment, more, expected) in [
        ("the day before at 10:00", "", "06-09T15:00"),
        ("3 working days before at 9:00", "", "06-05T14:00"),
        ("3 working days before at 9:00", "holidays = [\"06-08\", \"2026-06-05\"]\n", "06-03T14:00"),
        ("90 minutes before", "", "06-10T13:30"),
    ] {
        let step =
            format!("[[step]]\nid = \"s\"\nat = \"{moment}\"\nexpires = \"at the start\"\ntemplate = \"text\"\n");
        let (steps, _) = asked(&written(&format!("{more}{step}")), &ana(), &[visit()], NOW);
        assert_eq!(steps, [format!("s {expected}")], "{moment}");
    }
}

const FLU: &str = "resource = \"Patient\"\ncondition = \"active = true\"\nschedule = \"0 10 15 SEP *\"\n\
    reads = [\"Immunization\"]\n\
    unless = \"%immunizations.where(status = 'completed' and occurrence >= today() - 3 months).exists()\"\n\
    [[step]]\nid = \"first\"\nat = \"at the start\"\nexpires = \"20 days after\"\ntemplate = \"text\"\n\
    [[step]]\nid = \"second\"\nat = \"30 days after\"\nexpires = \"50 days after\"\ntemplate = \"text\"\n";

#[test]
fn a_cohort_is_written_to_by_the_calendar_once_a_season() {
    let rule = written(FLU);
    let shot =
        json!({ "resourceType": "Immunization", "id": "i", "status": "completed", "occurrenceDateTime": "2026-09-01" });
    for (resources, now, expected) in [
        (vec![], "2026-06-01T12:00:00Z", &["first 09-15T15:00", "second 10-15T15:00"][..]),
        (vec![], "2026-10-06T12:00:00Z", &["second 10-15T15:00"]),
        // Over until next year.
        (vec![], "2026-11-20T12:00:00Z", &["first 09-15T15:00", "second 10-15T15:00"]),
        (vec![shot.clone()], "2026-09-16T12:00:00Z", &[]),
    ] {
        let (steps, reasons) = asked(&rule, &ana(), &resources, now);
        assert_eq!(steps, expected, "{now}: {reasons:?}");
    }
    // Once an occasion is written to, the same season makes no other.
    let mut world = World::new(ana(), vec![]);
    world.covered = Some(at("2026-09-15T15:00:00Z"));
    world.replan(std::slice::from_ref(&rule), at("2026-06-01T12:00:00Z"));
    assert_eq!(world.reminders.len(), 2);
    let verdict = world.decide(&world.reminders[0], Some(&rule), at("2026-09-15T15:00:00Z")).verdict;
    assert!(matches!(verdict, Verdict::Release(_)), "{verdict:?}");
    for now in ["2026-09-15T15:01:00Z", "2026-09-20T12:00:00Z", "2026-10-16T12:00:00Z"] {
        let (_, changes) = world.replan(std::slice::from_ref(&rule), at(now));
        assert!(changes.insert.is_empty(), "{now}: {changes:?}");
    }
    // And the next season makes its own.
    let (plan, changes) = world.replan(std::slice::from_ref(&rule), at("2026-11-20T12:00:00Z"));
    assert_eq!(changes.insert.len(), 2, "{plan:?}");
}

#[test]
fn a_reminder_of_a_schedule_that_was_changed_is_cancelled() {
    let rule = written(FLU);
    let mut world = World::new(ana(), vec![]);
    world.covered = Some(at("2026-09-15T15:00:00Z"));
    world.replan(std::slice::from_ref(&rule), at("2026-06-01T12:00:00Z"));
    let later = written(&FLU.replace("15 SEP", "20 SEP"));
    let verdict = world.decide(&world.reminders[0], Some(&later), at("2026-09-15T15:00:00Z")).verdict;
    assert_eq!(verdict, Verdict::Cancel(Reason::RuleChanged));
}

#[test]
fn a_cadence_ends_when_what_it_asks_for_has_happened() {
    let rule = written(
        "resource = \"Condition\"\ncondition = \"clinicalStatus.coding.where(code = 'active').exists()\"\n\
         anchor = \"recordedDate\"\nreads = [\"Observation\"]\n\
         [cadence]\nevery = \"14 days\"\ntimes = 3\nuntil = \"%observations.where(status = 'final').exists()\"\n\
         [[step]]\nid = \"ask\"\nat = \"same day at 10:00\"\nexpires = \"7 days after\"\ntemplate = \"text\"\n",
    );
    let condition = json!({ "resourceType": "Condition", "id": "c", "recordedDate": "2026-06-01",
        "clinicalStatus": { "coding": [{ "code": "active" }] } });
    let done = json!({ "resourceType": "Observation", "id": "o", "status": "final" });
    for (now, resources, steps, reasons) in [
        ("2026-06-01T12:00:00Z", vec![condition.clone()], &["ask 06-15T15:00"][..], &[][..]),
        ("2026-06-23T12:00:00Z", vec![condition.clone()], &["ask 06-29T15:00"], &[]),
        ("2026-07-08T12:00:00Z", vec![condition.clone()], &["ask 07-13T15:00"], &[]),
        // Three times, and no more.
        ("2026-07-22T12:00:00Z", vec![condition.clone()], &[], &["all: anchor_missing"]),
        ("2026-06-01T12:00:00Z", vec![condition.clone(), done.clone()], &[], &["ask: stopped"]),
    ] {
        let got = asked(&rule, &ana(), &resources, now);
        assert_eq!((got.0.as_slice(), got.1.as_slice()), (&*own(steps), &*own(reasons)), "{now}");
    }
    // Done between planning and sending.
    let mut world = World::new(ana(), vec![condition, done]);
    let without = vec![world.resources[0].clone()];
    let all = std::mem::replace(&mut world.resources, without);
    world.replan(std::slice::from_ref(&rule), at("2026-06-01T12:00:00Z"));
    world.resources = all;
    world.covered = Some(at("2026-06-15T14:00:00Z"));
    let verdict = world.decide(&world.reminders[0], Some(&rule), at("2026-06-15T15:00:00Z")).verdict;
    assert_eq!(verdict, Verdict::Cancel(Reason::Stopped));
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|it| (*it).to_owned()).collect()
}

const NOTICE: &str = "[[step]]\nid = \"told\"\nat = \"at once\"\nexpires = \"at the start\"\ntemplate = \"text\"\n";

#[test]
fn a_move_is_told_at_once_and_only_where_the_former_time_was_known() {
    let reminder = starter("appointment-reminder");
    let notice = written(&format!("on_change = \"moved\"\n{NOTICE}"));
    let rules = [reminder, notice];
    let of_notice = |plan: &Plan| -> Vec<String> {
        let told = plan.reminders.iter().filter(|it| it.rule.as_str() == "test");
        told.map(|it| it.due_at.format("%m-%dT%H:%M").to_string()).collect()
    };
    let mut world = World::new(ana(), vec![visit()]);
    // What stood already when Beckon came is no news.
    let (plan, _) = world.replan(&rules, at(NOW));
    assert!(of_notice(&plan).is_empty());
    assert!(plan.not_applicable.iter().any(|it| it.reason == Reason::NothingChanged));
    // Ten minutes are no move; a day is one, told when it is seen.
    world.resources[0]["start"] = json!("2026-06-10T15:10:00Z");
    assert!(of_notice(&world.replan(&rules, at("2026-06-02T12:00:00Z")).0).is_empty());
    world.resources[0]["start"] = json!("2026-06-11T15:00:00Z");
    let (plan, _) = world.replan(&rules, at("2026-06-02T13:00:00Z"));
    assert_eq!(of_notice(&plan), ["06-02T13:00"]);
    // Planning again does not put it off.
    let (plan, changes) = world.replan(&rules, at("2026-06-02T14:00:00Z"));
    assert_eq!(of_notice(&plan), ["06-02T13:00"]);
    assert!(changes.is_empty(), "{changes:?}");
    // The limit on messages does not hold it back within three days of the visit.
    let told = world.reminders.iter().find(|it| it.plan.rule.as_str() == "test").unwrap().clone();
    world.contacts = vec![at("2026-06-09T14:00:00Z")];
    let verdict = world.decide(&told, Some(&rules[1]), at("2026-06-09T15:00:00Z")).verdict;
    assert!(matches!(verdict, Verdict::Release(_)), "{verdict:?}");
}

#[test]
fn what_is_called_off_is_told_where_it_was_known_to_stand() {
    let reminder = starter("appointment-reminder");
    let notice = written(&format!("condition = \"status = 'cancelled'\"\non_change = \"ended\"\n{NOTICE}"));
    let rules = [reminder, notice];
    let cancelled = appointment("a", "cancelled", START, BOOKED, "needs-action");
    let mut unknown = World::new(ana(), vec![cancelled.clone()]);
    assert!(unknown.replan(&rules, at(NOW)).0.reminders.is_empty());
    let mut world = World::new(ana(), vec![visit()]);
    world.replan(&rules, at(NOW));
    world.resources = vec![cancelled];
    let (plan, _) = world.replan(&rules, at("2026-06-02T12:00:00Z"));
    assert_eq!(steps(&plan), ["told 06-02T12:00"]);
}

#[test]
fn a_control_arm_is_the_same_patients_every_time_and_of_the_size_that_was_asked_for() {
    let rule = written("control_arm = 20\n");
    let mut world = World::new(ana(), vec![visit()]);
    world.replan(std::slice::from_ref(&rule), at(NOW));
    let mut reminder = world.reminders[0].clone();
    let mut held = 0;
    for number in 0..1000 {
        reminder.patient = PatientId::new(format!("patient-{number}"));
        let first = world.decide(&reminder, Some(&rule), at("2026-06-09T15:00:00Z")).verdict;
        let second = world.decide(&reminder, Some(&rule), at("2026-06-09T16:00:00Z")).verdict;
        assert_eq!(first == Verdict::Withhold(Reason::ControlArm), second == Verdict::Withhold(Reason::ControlArm));
        held += u32::from(first == Verdict::Withhold(Reason::ControlArm));
    }
    assert!((160..240).contains(&held), "{held} of 1000");
}

#[test]
fn what_is_sensitive_in_itself_goes_out_in_neutral_words_and_never_to_a_guardian() {
    let rule = written("sensitive = true\n");
    let mut world = World::new(ana(), vec![visit()]);
    world.replan(std::slice::from_ref(&rule), at(NOW));
    let due = at("2026-06-09T15:00:00Z");
    let Verdict::Release(release) = world.decide(&world.reminders[0], Some(&rule), due).verdict else { panic!() };
    assert_eq!(release.detail, Detail::Neutral);
    world.patient["birthDate"] = json!("2012-01-01");
    let phone = ContactPoint {
        system: ContactSystem::Sms,
        value: Phi::new("+15125550177".to_owned()),
        use_: Some(ContactUse::Mobile),
        rank: None,
        start: None,
        end: None,
    };
    let mother = Guardian { id: "mother".to_owned(), telecom: vec![phone], languages: vec![] };
    world.guardians = vec![mother];
    let verdict = world.decide(&world.reminders[0], Some(&rule), due).verdict;
    assert_eq!(verdict, Verdict::Withhold(Reason::MinorConfidential));
}

#[test]
fn a_text_follows_how_the_visit_takes_place_and_whether_it_is_confirmed() {
    let rule = starter("appointment-reminder");
    let due = at("2026-06-09T15:00:00Z");
    for (change, answer, template) in [
        (json!({}), "needs-action", "unconfirmed"),
        (json!({}), "accepted", "confirmed"),
        (json!({ "serviceType": [{ "text": "Video visit" }] }), "needs-action", "remote"),
        (json!({ "serviceType": [{ "text": "Telephone visit" }] }), "accepted", "remote"),
    ] {
        let visit = with(appointment("a", "booked", START, BOOKED, answer), &change);
        let mut world = World::new(ana(), vec![visit]);
        world.replan(std::slice::from_ref(&rule), due);
        let verdict = world.decide(world.reminders.last().unwrap(), Some(&rule), due).verdict;
        let Verdict::Release(release) = &verdict else { panic!("{verdict:?}") };
        assert_eq!(release.template, template, "{change} {answer}");
        let text = world.render(&rule, release, "a", due).text;
        assert_eq!(text.expose().contains("need not come in"), template == "remote");
    }
}

#[test]
fn nothing_goes_out_in_a_language_that_nobody_read_over() {
    let rule = starter("appointment-reminder");
    let due = at("2026-06-09T15:00:00Z");
    let mut world = World::new(ana(), vec![visit()]);
    world.patient["communication"][0]["language"]["coding"][0]["code"] = json!("es-MX");
    world.reviews = vec![];
    world.replan(std::slice::from_ref(&rule), due);
    let verdict = |world: &World| world.decide(world.reminders.last().unwrap(), Some(&rule), due).verdict;
    assert_eq!(verdict(&world), Verdict::Withhold(Reason::TranslationUnreviewed));
    // Declared by the clinic, it may go out in another language, and the decision says so.
    world.settings.second_language = Some("en".to_owned());
    let decision = world.decide(world.reminders.last().unwrap(), Some(&rule), due);
    let Verdict::Release(release) = &decision.verdict else { panic!("{:?}", decision.verdict) };
    assert_eq!(release.language, "en");
    let words = &decision.checks.iter().find(|it| it.name == "language").unwrap().words;
    assert!(words.contains("declared second language"), "{words}");
    // A review of other texts is none of these.
    let mut review = TextReview {
        rule: rule.id().clone(),
        language: "es".to_owned(),
        texts: "of an earlier version".to_owned(),
        reviewer: "Ana Ruiz".to_owned(),
        qualification: "certified translator".to_owned(),
        by: "cli:it".to_owned(),
        at: due,
    };
    world.settings.second_language = None;
    world.reviews = vec![review.clone()];
    assert_eq!(verdict(&world), Verdict::Withhold(Reason::TranslationUnreviewed));
    review.texts = rule.text_version("es").unwrap().to_owned();
    world.reviews = vec![review];
    let Verdict::Release(release) = verdict(&world) else { panic!() };
    assert_eq!(release.language, "es");
}

#[test]
fn a_step_may_be_unnecessary_while_another_is_not() {
    let rule = written(
        "reads = [\"Immunization\"]\n\
         [[step]]\nid = \"one\"\nat = \"3 days before\"\nexpires = \"2 days before\"\ntemplate = \"text\"\n\
         unless = \"%immunizations.count() >= 1\"\n\
         [[step]]\nid = \"two\"\nat = \"1 day before\"\nexpires = \"at the start\"\ntemplate = \"text\"\n\
         unless = \"%immunizations.count() >= 2\"\n",
    );
    let dose = |id: &str| json!({ "resourceType": "Immunization", "id": id, "status": "completed" });
    let (steps, reasons) = asked(&rule, &ana(), &[visit(), dose("i1")], NOW);
    assert_eq!(steps, ["two 06-09T15:00"]);
    assert_eq!(reasons, ["one: condition_not_met"]);
    let mut world = World::new(ana(), vec![visit()]);
    let due = at("2026-06-09T15:00:00Z");
    world.replan(std::slice::from_ref(&rule), at(NOW));
    world.covered = Some(due);
    world.resources.extend([dose("i1"), dose("i2")]);
    let last = world.reminders.iter().find(|it| it.plan.step.as_str() == "two").unwrap();
    assert_eq!(world.decide(last, Some(&rule), due).verdict, Verdict::Cancel(Reason::ConditionNotMet));
}

#[test]
fn what_happened_on_one_day_is_one_occasion() {
    let rule = written(
        "resource = \"Procedure\"\ncondition = \"status = 'completed'\"\nanchor = \"performed\"\nper = \"day\"\n\
         [[step]]\nid = \"s\"\nat = \"1 day after at 10:00\"\nexpires = \"30 days after\"\ntemplate = \"text\"\n",
    );
    // The second is already tomorrow in Greenwich.
    let done = |id: &str, at: &str| json!({ "resourceType": "Procedure", "id": id, "status": "completed", "performedDateTime": at });
    let all =
        [done("p1", "2026-06-01T15:00:00Z"), done("p2", "2026-06-02T01:00:00Z"), done("p3", "2026-06-03T15:00:00Z")];
    let (steps, reasons) = asked(&rule, &ana(), &all, "2026-06-01T16:00:00Z");
    assert_eq!(steps, ["s 06-02T15:00", "s 06-04T15:00"]);
    assert_eq!(reasons, ["all: merged"]);
}

#[test]
fn the_visits_of_a_day_are_one_occasion_counted_from_the_earliest() {
    let rule = written("per = \"day\"\n");
    let all = [
        appointment("late", "booked", "2026-06-10T19:00:00Z", BOOKED, "needs-action"),
        appointment("early", "booked", START, BOOKED, "needs-action"),
        // The evening of the ninth in Austin, though the tenth in Greenwich.
        appointment("eve", "booked", "2026-06-10T01:00:00Z", BOOKED, "needs-action"),
    ];
    let (steps, reasons) = asked(&rule, &ana(), &all, NOW);
    assert_eq!(steps, ["day-before 06-09T01:00", "day-before 06-09T15:00"]);
    assert_eq!(reasons, ["all: merged"]);
    // A visit that comes before the one that was counted from takes its place; the other is accounted for.
    let mut world = World::new(ana(), vec![all[0].clone()]);
    world.replan(std::slice::from_ref(&rule), at(NOW));
    world.resources.push(all[1].clone());
    let (plan, changes) = world.replan(std::slice::from_ref(&rule), at(NOW));
    assert_eq!(plan.reminders.len(), 1);
    assert_eq!(changes.cancel.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [Reason::Merged]);
}

#[test]
fn a_reference_is_followed_within_the_patients_own_records() {
    let rule = written(
        "resource = \"Procedure\"\ncondition = \"encounter.resolve().ofType(Encounter).status = 'finished'\"\n\
         anchor = \"performed\"\nreads = []\n\
         [[step]]\nid = \"s\"\nat = \"1 day after at 10:00\"\nexpires = \"3 days after\"\ntemplate = \"text\"\n",
    );
    let procedure = json!({ "resourceType": "Procedure", "id": "p", "status": "completed",
        "performedDateTime": "2026-06-01T15:00:00Z", "encounter": { "reference": "Encounter/e" } });
    let encounter = |status: &str| json!({ "resourceType": "Encounter", "id": "e", "status": status });
    for (resources, steps) in [
        (vec![procedure.clone(), encounter("finished")], 1),
        (vec![procedure.clone(), encounter("in-progress")], 0),
        (vec![procedure.clone()], 0),
    ] {
        assert_eq!(asked(&rule, &ana(), &resources, "2026-06-01T20:00:00Z").0.len(), steps);
    }
}
