//! The appointment changes at the EHR after the pull and before the release: what was planned is not sent as it was.

use beckon::domain::{EnrolmentState, EventKind, PatientId, Reason, ReminderState, RuleId};
use beckon::sandbox::{Fault, FaultKind};
use beckon::store::EventFilter;
use chrono::TimeDelta;
use serde_json::json;

use crate::support::house::{ADA, House, each_house, mobile, operator, patient};

#[tokio::test]
async fn a_visit_moved_under_the_same_id_is_not_announced_at_the_old_time() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.book("visit", ADA, start + TimeDelta::days(2));
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        let old = house.reminder(ADA).await;
        assert_eq!((old.state, old.reason), (ReminderState::Cancelled, Some(Reason::ResourceMoved)));

        // The fresh resource made the new occasion, without another pull; it is announced at the new time.
        house.live_until(start + TimeDelta::days(3)).await;
        let texts = house.texts();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts.iter().all(|text| text.body.contains("Sat") || text.body.contains("Mar 7")), "{texts:?}");
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_visit_is_not_announced() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.appointment("visit", ADA, start, "cancelled");
        house.live_until(start).await;
        assert!(house.texts().is_empty());
        assert_eq!(house.stands(ADA).await, (ReminderState::Cancelled, Some(Reason::ResourceCancelled)));
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_visit_cancelled_and_booked_anew_is_announced_once_at_the_new_time() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.appointment("visit", ADA, start, "cancelled");
        house.book("visit-2", ADA, start + TimeDelta::hours(2));
        // The gateway hears of the new one with the next pull.
        house.later(TimeDelta::hours(2));
        house.settle().await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        house.sync().await;
        house.live(TimeDelta::hours(3)).await;
        let texts = house.texts();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].body.contains("3:00 PM"), "{}", texts[0].body);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_visit_that_the_ehr_no_longer_has_is_not_announced() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        assert!(house.hospital.delete("Appointment", "visit"));
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        assert_eq!(house.stands(ADA).await, (ReminderState::Cancelled, Some(Reason::ResourceGone)));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn nobody_writes_to_the_dead_or_to_a_record_that_was_merged_away() {
    each_house(async |house| {
        for id in ["dies", "merged", "closed"] {
            house.patient(id, mobile("+13125550123"));
            house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        }
        house.sync().await;
        // All three happen after the pull.
        let record = |id: &str| patient(id, mobile("+13125550123"));
        let mut dead = record("dies");
        dead["deceasedDateTime"] = json!("2026-03-02T17:00:00Z");
        let mut merged = record("merged");
        merged["link"] = json!([{"other": {"reference": "Patient/closed"}, "type": "replaced-by"}]);
        let mut closed = record("closed");
        closed["active"] = json!(false);
        for changed in [dead, merged, closed] {
            house.hospital.put(changed).unwrap();
        }
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty(), "{:?}", house.texts());
        for (id, reason) in [
            ("dies", Reason::PatientDeceased),
            ("merged", Reason::PatientReplaced),
            ("closed", Reason::PatientInactive),
        ] {
            assert_eq!(house.stands(id).await, (ReminderState::Withheld, Some(reason)), "{id}");
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_new_number_is_used_at_once() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.patient(ADA, mobile("+13125550124"));
        house.live(TimeDelta::hours(2)).await;
        let to: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
        assert_eq!(to, ["+13125550124"]);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn while_the_ehr_cannot_be_read_the_reminder_waits_and_then_goes_out() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house
            .hospital
            .inject(Fault::new(FaultKind::ServerError { status: 503, retry_after: None }).on("/fhir").always());
        house.later(TimeDelta::hours(1));
        house.settle().await;
        assert!(house.texts().is_empty());
        assert_eq!(house.stands(ADA).await, (ReminderState::Waiting, Some(Reason::EhrUnreadable)));

        house.hospital.clear_faults();
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_an_unreadable_ehr_expires_in_its_time() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        house.hospital.inject(Fault::new(FaultKind::HtmlInsteadOfJson).on("/fhir").always());
        house.live(TimeDelta::hours(2)).await;
        house.t.clock.set(start - TimeDelta::hours(1));
        house.settle().await;
        assert!(house.texts().is_empty());
        let states: Vec<ReminderState> = house.reminders(ADA).await.iter().map(|it| it.state).collect();
        assert_eq!(states, [ReminderState::Expired, ReminderState::Expired]);
        house.close().await;
    })
    .await;
}

async fn switch(house: &House, state: EnrolmentState) {
    let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
    let (patient, rule) = (PatientId::new(ADA), RuleId::new("appointment-reminder"));
    tx.set_enrolment(&house.ehr, &patient, &rule, state, &operator()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_a_switch_withheld_when_it_fell_due_goes_out_once_the_switch_is_taken_back() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        // After the last plan and before the outbox looks: the decision finds it.
        switch(&house, EnrolmentState::Off).await;
        while !house.turn().await.is_idle() {}
        assert_eq!(house.stands(ADA).await, (ReminderState::Withheld, Some(Reason::RuleOff)));
        switch(&house, EnrolmentState::On).await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_was_switched_off_by_mistake_and_on_again_reminds_after_all() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        for (state, stands) in [
            (EnrolmentState::Off, (ReminderState::Withheld, Some(Reason::RuleOff))),
            (EnrolmentState::On, (ReminderState::Planned, None)),
            (
                EnrolmentState::PausedUntil(house.now() + TimeDelta::days(9)),
                (ReminderState::Withheld, Some(Reason::RulePaused)),
            ),
            (EnrolmentState::On, (ReminderState::Planned, None)),
        ] {
            switch(&house, state).await;
            house.settle().await;
            assert_eq!(house.stands(ADA).await, stands);
        }
        let kept_back = EventFilter { kinds: vec![EventKind::ReminderWithheld], limit: 9, ..EventFilter::default() };
        // Three days and one day before, switched off once and paused once.
        assert_eq!(house.view().events(&kept_back).await.unwrap().len(), 4);
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_live_rule_that_cannot_be_used_any_more_stops_no_other_and_its_reminders_wait() {
    each_house(async |house| {
        let start = house.ada_is_due_in_an_hour().await;
        let sound = house.view().live_rules().await.unwrap().remove(0);
        let mut broken = sound.clone();
        (broken.id, broken.condition) = (RuleId::new("broken"), "status.exsts()".to_owned());
        let mut plan = house.reminder(ADA).await.plan;
        plan.rule = broken.id.clone();
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        tx.add_rule_version(&broken, &operator()).await.unwrap();
        let staff = |login: &str| beckon::domain::Actor::Staff(login.to_owned());
        let (reviewer, second) = (staff("ada"), staff("ben"));
        tx.review_rule(&broken.id, &broken.version, None, &reviewer).await.unwrap();
        tx.make_rule_live(&broken.id, &broken.version, None, &second).await.unwrap();
        tx.insert_reminders(&house.ehr, &PatientId::new(ADA), vec![plan]).await.unwrap();
        let now = tx.now();
        tx.replan_everyone(now).await.unwrap();
        tx.commit().await.unwrap();

        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1, "{:?}", house.texts());
        let of_broken = house.reminders(ADA).await.into_iter().find(|it| it.plan.rule == broken.id).unwrap();
        assert_eq!((of_broken.state, of_broken.reason), (ReminderState::Waiting, Some(Reason::RuleBroken)));
        house.live_until(start).await;
        let of_broken = house.reminders(ADA).await.into_iter().find(|it| it.plan.rule == broken.id).unwrap();
        assert_eq!((of_broken.state, of_broken.reason), (ReminderState::Expired, Some(Reason::RuleBroken)));
        house.close().await;
    })
    .await;
}
