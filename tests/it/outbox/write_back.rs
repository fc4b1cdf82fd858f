//! What the EHR is told: once for each message, kept up to date, never doubled.

use beckon::domain::MessageState;
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::house::{ADA, House, each_house};

const COMMUNICATION: &str = "/fhir/Communication";

async fn one_text_is_sent_and_delivered(house: &House) {
    house.ada_is_due_in_an_hour().await;
    house.live(TimeDelta::hours(2)).await;
    assert_eq!(house.message_states().await, [MessageState::Delivered]);
}

#[tokio::test]
async fn a_message_is_created_once_and_updated_when_it_arrived() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        while !house.turn().await.is_idle() {}
        let first = house.hospital.communications();
        assert_eq!((first.len(), &first[0]["status"]), (1, &json!("in-progress")));
        assert_eq!(first[0]["subject"]["reference"], format!("Patient/{ADA}"));

        house.live(TimeDelta::hours(1)).await;
        let then = house.hospital.communications();
        assert_eq!((then.len(), &then[0]["status"]), (1, &json!("completed")));
        assert_eq!(then[0]["id"], first[0]["id"]);
        assert_eq!((house.asked("POST", COMMUNICATION), house.asked("PUT", COMMUNICATION)), (1, 1));
        let told = &then[0]["payload"][0]["contentString"];
        assert_eq!(*told, "Appointment reminder by text message (wording \"unconfirmed\", language en)");
        let words = then[0].to_string();
        assert!(!words.contains("1:00 PM"), "the text itself is not copied into the chart: {words}");

        // Nothing new, nothing written.
        house.live(TimeDelta::hours(6)).await;
        assert_eq!((house.asked("POST", COMMUNICATION), house.asked("PUT", COMMUNICATION)), (1, 1));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_the_hospital_added_to_it_stays() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        while !house.turn().await.is_idle() {}
        let mut ours = house.hospital.communications().remove(0);
        ours["priority"] = json!("urgent");
        house.hospital.put(ours).unwrap();
        house.live(TimeDelta::hours(1)).await;
        let then = house.hospital.communications().remove(0);
        assert_eq!((&then["status"], &then["priority"]), (&json!("completed"), &json!("urgent")));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_written_once() {
    each_house(async |house| {
        house.hospital.inject(Fault::new(FaultKind::LostReply).on(COMMUNICATION).method("POST").times(2));
        one_text_is_sent_and_delivered(&house).await;
        house.live(TimeDelta::hours(2)).await;
        let written = house.hospital.communications();
        assert_eq!((written.len(), &written[0]["status"]), (1, &json!("completed")), "{written:?}");
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_ehr_that_takes_nothing_for_a_while_gets_it_later_and_once() {
    each_house(async |house| {
        let broken = FaultKind::ServerError { status: 503, retry_after: None };
        house.hospital.inject(Fault::new(broken).on(COMMUNICATION).always());
        one_text_is_sent_and_delivered(&house).await;
        assert!(house.hospital.communications().is_empty());
        assert_eq!(house.texts().len(), 1, "the patient gets it all the same");
        house.hospital.clear_faults();
        house.live(TimeDelta::hours(8)).await;
        let written = house.hospital.communications();
        assert_eq!((written.len(), &written[0]["status"]), (1, &json!("completed")));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_update_that_collides_with_another_writer_is_made_again_on_the_new_version() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        while !house.turn().await.is_idle() {}
        let conflict = FaultKind::ServerError { status: 412, retry_after: None };
        house.hospital.inject(Fault::new(conflict).on(COMMUNICATION).method("PUT"));
        house.live(TimeDelta::hours(3)).await;
        house.live(TimeDelta::hours(1)).await;
        let written = house.hospital.communications();
        assert_eq!((written.len(), &written[0]["status"]), (1, &json!("completed")));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_somebody_at_the_hospital_removed_is_not_written_again() {
    each_house(async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        while !house.turn().await.is_idle() {}
        let id = house.hospital.communications().remove(0)["id"].as_str().unwrap().to_owned();
        assert!(house.hospital.delete("Communication", &id));
        house.live(TimeDelta::hours(3)).await;
        assert!(house.hospital.communications().is_empty());
        house.close().await;
    })
    .await;
}
