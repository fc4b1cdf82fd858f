//! Everything that was due is accounted for, or named: against the EHR, against the mirror, against the history.

use beckon::domain::{AlertKind, RuleId};
use beckon::pull::{DayReport, Outcome};
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;

use crate::support::house::{ADA, House, Setup, each_house, each_house_with, mobile};

const VISIT_DAY: &str = "2026-03-05";

fn named(report: &DayReport) -> Vec<String> {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    report
        .unexplained
        .iter()
        .map(|it| {
            let step = it.step.as_ref().map(ToString::to_string);
            format!("{} {}: {}", text(&it.resource), text(&step), it.words)
        })
        .collect()
}

async fn unaccounted(house: &House) -> Option<String> {
    let alerts = house.view().alerts(true, None, 100).await.unwrap();
    alerts.into_iter().find(|it| it.kind == AlertKind::Unaccounted).map(|it| it.words)
}

#[tokio::test]
async fn a_day_on_which_everything_happened_as_it_should_adds_up() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.patient("bo", mobile("+13125550188"));
        house.appointment("off", "bo", house.now() + TimeDelta::days(3), "cancelled");
        house.appointment("other-day", "bo", house.now() + TimeDelta::days(9), "booked");
        house
            .hospital
            .put(serde_json::json!({"resourceType": "Appointment", "id": "nobody", "status": "booked",
            "start": "2026-03-05T16:00:00Z", "end": "2026-03-05T16:30:00Z", "participant": []}))
            .unwrap();
        house.sync().await;
        let before = house.reconcile(VISIT_DAY).await;
        assert_eq!((before.outcome, named(&before)), (Outcome::Explained, vec![]), "{before:?}");
        let at_ehr = (before.at_ehr.at_ehr, before.at_ehr.mirrored, before.at_ehr.quarantined, before.at_ehr.newer);
        assert_eq!(at_ehr, (3, 2, 1, 0));
        let rule = RuleId::new("appointment-reminder");
        assert_eq!(before.recomputed.appointments, 2);
        assert_eq!(before.recomputed.reminders[&rule]["planned"], 2);
        assert_eq!(before.recomputed.not_applicable[&rule]["condition_not_met"], 2);

        house.live_until("2026-03-06T01:00:00Z".parse().unwrap()).await;
        house.sync().await;
        let after = house.reconcile(VISIT_DAY).await;
        assert_eq!((after.outcome, named(&after), &after.stuck), (Outcome::Explained, vec![], &vec![]));
        // The day on which the text of three days before fell due, and the one of one day before.
        for day in ["2026-03-02", "2026-03-04"] {
            let due = house.reconcile(day).await.due;
            assert_eq!(due["released"][""], 1, "{day}: {due:?}");
        }
        assert_eq!(unaccounted(&house).await, None);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_reminder_row_that_was_deleted_is_named_whether_it_was_sent_or_not() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1);
        house.sql("DELETE FROM reminder WHERE step = 'one-day-before'").await;
        let report = house.reconcile(VISIT_DAY).await;
        assert_eq!(report.outcome, Outcome::Unexplained);
        assert_eq!(
            named(&report),
            [
                "Appointment/visit one-day-before: it has neither a reminder nor a reason",
                "Appointment/visit one-day-before: it is due by the mirror, and has no row",
                "Appointment/visit one-day-before: it was planned, and its row is gone",
            ]
        );
        assert!(report.unexplained.iter().all(|it| it.patient.as_ref().is_some_and(|it| it.as_str() == ADA)));
        assert!(unaccounted(&house).await.unwrap().contains("3 due and not accounted for"));

        // One that went out long ago: no plan has it any more, the history has.
        house.sql("DELETE FROM reminder").await;
        house.live(TimeDelta::days(4)).await;
        let report = house.reconcile("2026-03-02").await;
        let gone: Vec<String> = named(&report).into_iter().filter(|it| it.ends_with("its row is gone")).collect();
        assert_eq!(
            gone,
            [
                "Appointment/visit one-day-before: it was planned, and its row is gone",
                "Appointment/visit three-days-before: it was planned, and its row is gone",
            ]
        );
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_appointment_that_the_mirror_lost_is_named_and_one_booked_since_the_pull_is_not() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::minutes(1));
        house.sync().await;
        house.later(TimeDelta::minutes(1));
        house.book("fresh", ADA, start);
        let report = house.reconcile(VISIT_DAY).await;
        assert_eq!((report.outcome, report.at_ehr.newer, report.at_ehr.mirrored), (Outcome::Explained, 1, 1));

        house.sql("DELETE FROM mirror WHERE id = 'visit'").await;
        let report = house.reconcile(VISIT_DAY).await;
        let lost = "Appointment/visit : it is at the EHR, and neither mirrored nor in quarantine".to_owned();
        assert!(named(&report).contains(&lost), "{:?}", named(&report));

        // Deleted at the EHR since: no fault of ours.
        house.sync().await;
        assert!(house.hospital.delete("Appointment", "fresh"));
        let report = house.reconcile(VISIT_DAY).await;
        assert_eq!(report.at_ehr.gone_since, 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_stuck_is_found_and_named() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        assert_eq!(house.reconcile(VISIT_DAY).await.stuck, vec![]);
        // Nobody works: the first reminder is overdue, then over.
        house.later(TimeDelta::hours(3));
        let stuck = |report: &DayReport| report.stuck.iter().map(|it| (it.what, it.words)).collect::<Vec<_>>();
        assert_eq!(stuck(&house.reconcile(VISIT_DAY).await), [("reminder", "it was due and nobody looks at it")]);
        house.later(TimeDelta::days(2));
        let late = house.reconcile(VISIT_DAY).await;
        assert!(stuck(&late).contains(&("reminder", "its time is over and it is still open")), "{late:?}");
        assert_eq!(late.outcome, Outcome::Unexplained);

        house.live(TimeDelta::hours(1)).await;
        house.sync().await;
        assert_eq!(stuck(&house.reconcile(VISIT_DAY).await), []);
        assert_eq!(unaccounted(&house).await, None, "the alert ends with what it was about");
        house.sql("UPDATE reminder SET message = NULL WHERE state = 'released'").await;
        house.sql("UPDATE write_back SET state = 'failed'").await;
        let report = house.reconcile(VISIT_DAY).await;
        let words: Vec<&str> = report.stuck.iter().map(|it| it.words).collect();
        assert!(words.contains(&"it was released and has no message"), "{words:?}");
        assert!(words.contains(&"the EHR refused it for good"), "{words:?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_ehr_that_does_not_answer_leaves_the_day_incomplete_and_it_is_asked_again() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.live_until("2026-03-06T00:30:00Z".parse().unwrap()).await;
        let down = FaultKind::ServerError { status: 500, retry_after: None };
        house.hospital.inject(Fault::new(down).on("/fhir").always());
        let report = house.reconcile_when_due().await.unwrap();
        assert_eq!(report.outcome, Outcome::Incomplete, "{report:?}");
        assert!(report.at_ehr.problem.is_some());
        assert!(house.reconcile_when_due().await.is_none(), "not again at once");
        house.hospital.clear_faults();
        house.later(TimeDelta::hours(1));
        house.sync().await;
        let report = house.reconcile_when_due().await.unwrap();
        assert_eq!((report.outcome, report.day.to_string().as_str()), (Outcome::Explained, VISIT_DAY), "{report:?}");
        assert!(house.reconcile_when_due().await.is_none(), "once a day");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_goes_live_is_planned_for_its_cohort_batch_by_batch() {
    let setup = Setup { rules: vec![], ..Setup::default() };
    each_house_with(setup, async |house| {
        house.crowd_is_due_in_an_hour(5).await;
        assert!(house.reminders("p0").await.is_empty());
        let rule = beckon::rules::starter_rules().0.into_iter().find(|it| it.id().as_str() == "appointment-reminder");
        let rule = rule.unwrap();
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        let by = crate::support::house::operator();
        tx.add_rule_version(rule.rule(), &by).await.unwrap();
        tx.set_live_rules(&[(rule.id().clone(), rule.version().clone())], &by).await.unwrap();
        tx.commit().await.unwrap();
        // Two batches, as a replica that dies after each would leave them.
        for more in [true, true] {
            let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
            let step = tx.step_cohort(&house.ehr, 2).await.unwrap().unwrap();
            assert_eq!((step.patients, step.more), (2, more));
            tx.commit().await.unwrap();
        }
        let report = house.reconcile(VISIT_DAY).await;
        assert_eq!(report.recomputed.being_planned, 5, "nothing is called missing while the cohort is open");
        house.settle().await;
        for n in 0..5 {
            assert_eq!(house.reminders(&format!("p{n}")).await.len(), 2, "p{n}");
        }
        assert_eq!(house.reconcile(VISIT_DAY).await.outcome, Outcome::Explained);
        house.close().await;
    })
    .await;
}
