//! What is there is found, and what changes is noticed, however the EHR wants to be asked.

use beckon::domain::{MessageState, Reason, ReminderState, ResourceKey, ResourceType};
use beckon::pull::{Mode, RunState};
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::json;

use super::{athena, each_vendor, epic, oracle};
use crate::support::house::{ADA, House, Setup, appointment, each_house_with};
use crate::support::tools::wait_for;

async fn ada_is_due_in_an_hour(house: &House) {
    house.ada();
    house.book("visit", ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
    house.call_the_roll().await;
    let report = house.sync().await;
    assert_eq!(report.state, RunState::Done, "{report:#?}");
}

#[tokio::test]
async fn a_reminder_goes_out_at_every_vendor() {
    each_vendor(async |house| {
        ada_is_due_in_an_hour(&house).await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.message_states().await, [MessageState::Delivered]);
        assert_eq!(house.texts().len(), 1);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_visit_cancels_its_reminder_at_every_vendor() {
    each_vendor(async |house| {
        ada_is_due_in_an_hour(&house).await;
        house.later(TimeDelta::minutes(30));
        house.appointment("visit", ADA, house.now() + TimeDelta::days(3), "cancelled");
        let report = house.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        assert_eq!(house.stands(ADA).await, (ReminderState::Cancelled, Some(Reason::ResourceCancelled)));
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_visit_that_vanished_from_the_ehr_is_not_reminded_of() {
    each_vendor(async |house| {
        ada_is_due_in_an_hour(&house).await;
        assert!(house.hospital.delete("Appointment", "visit"));
        let report = house.sync().await;
        assert_eq!(report.of(ResourceType::Appointment).unwrap().gone, 1, "{report:#?}");
        house.live(TimeDelta::hours(2)).await;
        assert!(house.texts().is_empty());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_patient_who_comes_later_is_found_by_the_next_run() {
    each_vendor(async |house| {
        ada_is_due_in_an_hour(&house).await;
        house.later(TimeDelta::minutes(10));
        house.patient("bo", crate::support::house::mobile("+13125550124"));
        house.book("later", "bo", house.now() + TimeDelta::days(5));
        house.call_the_roll().await;
        let report = house.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        assert_eq!(house.reminders("bo").await.len(), house.reminders(ADA).await.len());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_answer_about_one_patient_keeps_no_other_waiting() {
    let setup = Setup {
        connection: |ehr| {
            (epic().connection)(ehr);
            // At busy hours one call at a time would be this vendor's share.
            ehr.settings.budget.peak_share_percent = Some(100);
        },
        ..epic()
    };
    each_house_with(setup, async |house| {
        for id in [ADA, "bo", "cy"] {
            house.patient(id, crate::support::house::mobile("+13125550124"));
            house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(5));
        }
        house.call_the_roll().await;
        house.hospital.inject(Fault::new(FaultKind::Held).on("/fhir/Appointment"));
        let others = async {
            wait_for("all are asked about while one answer is held", async || {
                (searches(&house, "Appointment") == 3).then_some(())
            })
            .await;
            house.hospital.clear_faults();
        };
        let (report, ()) = tokio::join!(house.sync(), others);
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        for id in [ADA, "bo", "cy"] {
            assert!(!house.reminders(id).await.is_empty(), "{id}");
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn one_call_at_a_time_is_enough_for_what_appointments_refer_to() {
    let setup = Setup {
        connection: |ehr| {
            (epic().connection)(ehr);
            ehr.settings.concurrency = 1;
        },
        ..epic()
    };
    each_house_with(setup, async |house| {
        for id in [ADA, "bo", "cy"] {
            house.patient(id, crate::support::house::mobile("+13125550124"));
            let place = format!("place-{id}");
            house.hospital.put(json!({"resourceType": "Location", "id": place, "name": place})).unwrap();
            let (start, made) = (house.now() + TimeDelta::days(5), house.now() - TimeDelta::days(14));
            let mut visit = appointment(&format!("visit-{id}"), id, start, "booked", made);
            visit["participant"][1]["actor"]["reference"] = json!(format!("Location/{place}"));
            house.hospital.put(visit).unwrap();
        }
        house.call_the_roll().await;
        let report = house.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        for id in [ADA, "bo", "cy"] {
            let place = ResourceKey::new(ResourceType::Location, format!("place-{id}"));
            assert!(house.view().mirror_resource(&house.ehr, &place).await.unwrap().is_some(), "{place}");
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_spoiled_answer_about_one_patient_costs_no_other_theirs() {
    each_house_with(epic(), async |house| {
        for id in [ADA, "bo", "cy"] {
            house.patient(id, crate::support::house::mobile("+13125550124"));
            house.book(&format!("visit-{id}"), id, house.now() + TimeDelta::days(5));
        }
        house.call_the_roll().await;
        house.hospital.inject(Fault::new(FaultKind::HtmlInsteadOfJson).on("/fhir/Appointment").after(1));
        let report = house.sync().await;
        assert_eq!(report.state, RunState::Partial, "{report:#?}");
        let of_type = report.of(ResourceType::Appointment).unwrap();
        assert!(!of_type.complete && of_type.error.is_some(), "{of_type:#?}");
        let mut reminded = 0;
        for id in [ADA, "bo", "cy"] {
            reminded += usize::from(!house.reminders(id).await.is_empty());
        }
        assert_eq!(reminded, 2);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_question_is_asked_that_the_vendor_refuses() {
    each_vendor(async |house| {
        ada_is_due_in_an_hour(&house).await;
        house.later(TimeDelta::hours(1));
        house.sync().await;
        house.pull(Mode::Full).await;
        house.live(TimeDelta::hours(2)).await;
        let refused: Vec<String> = house
            .hospital
            .requests()
            .iter()
            .filter(|it| it.status >= 400)
            .map(|it| format!("{} {} {}", it.method, it.path, it.status))
            .collect();
        assert_eq!(refused, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

/// Searches of a type that the hospital saw.
fn searches(house: &House, kind: &str) -> usize {
    let wanted = format!("/fhir/{kind}?");
    house.hospital.requests().iter().filter(|it| it.path.starts_with(&wanted)).count()
}

#[tokio::test]
async fn between_two_full_looks_only_appointments_are_asked_for_patient_by_patient() {
    each_house_with(epic(), async |house| {
        ada_is_due_in_an_hour(&house).await;
        let (conditions, appointments) = (searches(&house, "Condition"), searches(&house, "Appointment"));
        assert_eq!((conditions, appointments), (1, 1));
        house.later(TimeDelta::hours(1));
        house.sync().await;
        assert_eq!((searches(&house, "Condition"), searches(&house, "Appointment")), (1, 2));
        house.later(TimeDelta::hours(12));
        house.sync().await;
        assert_eq!((searches(&house, "Condition"), searches(&house, "Appointment")), (2, 3));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_visit_at_a_place_that_nobody_named_is_not_seen_and_one_that_moves_away_is() {
    each_house_with(oracle(), async |house| {
        ada_is_due_in_an_hour(&house).await;
        // Moved beyond what an hourly look asks for: its old day shows that it is gone from there.
        house.book("visit", ADA, house.now() + TimeDelta::days(80));
        house.later(TimeDelta::hours(1));
        house.sync().await;
        let key = ResourceKey::new(ResourceType::Appointment, "visit");
        let row = house.view().mirror_resource(&house.ehr, &key).await.unwrap().unwrap();
        assert!(row.starts_at.unwrap() > house.now() + TimeDelta::days(70));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_roster_is_told_and_not_taken_for_an_empty_hospital() {
    each_house_with(oracle(), async |house| {
        house.ada();
        let report = house.sync().await;
        let of_type = report.of(ResourceType::Appointment).unwrap();
        assert!(of_type.error.as_ref().is_some_and(|it| it.contains("roster import")), "{report:#?}");
        assert!(!of_type.complete);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn every_search_names_the_practice_where_one_server_has_many() {
    each_house_with(athena(), async |house| {
        ada_is_due_in_an_hour(&house).await;
        let searches: Vec<String> = house
            .hospital
            .requests()
            .iter()
            .map(|it| it.path.clone())
            .filter(|it| it.starts_with("/fhir/Patient?"))
            .collect();
        assert!(!searches.is_empty() && searches.iter().all(|it| it.contains("ah-practice=")), "{searches:?}");
        house.close().await;
    })
    .await;
}
