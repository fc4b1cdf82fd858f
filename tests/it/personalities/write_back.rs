//! What happened is told to each EHR in the way that it takes, once, or it is said that it takes none.

use beckon::domain::{MessageState, WriteBackState};
use beckon::ehr::connection::EhrConnection;
use beckon::ehr::plan::WriteBack;
use beckon::sandbox::{Fault, FaultKind};
use beckon::store::WriteBackSubject;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{athena, epic, oracle};
use crate::support::house::{ADA, House, Setup, each_house_with};

const DOCUMENTS: &str = "/fhir/DocumentReference";
const COMMUNICATIONS: &str = "/fhir/Communication";

async fn ada_gets_her_text(house: &House) {
    house.ada();
    house.book("visit", ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
    house.call_the_roll().await;
    house.sync().await;
    house.live(TimeDelta::hours(3)).await;
    assert_eq!(house.message_states().await, [MessageState::Delivered]);
    // Long enough for a second try.
    house.live(TimeDelta::minutes(5)).await;
}

async fn line(house: &House) -> beckon::store::WriteBack {
    let id = house.messages().await[0].message.id;
    house.view().write_back_of(WriteBackSubject::Message(id)).await.unwrap().unwrap()
}

fn text_of(document: &Value) -> String {
    use base64::Engine as _;
    let data = document["content"][0]["attachment"]["data"].as_str().unwrap();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data).unwrap()).unwrap()
}

#[tokio::test]
async fn where_communications_are_no_record_a_document_is_written_at_the_end() {
    for setup in [epic(), oracle()] {
        each_house_with(setup, async |house| {
            ada_gets_her_text(&house).await;
            let documents = house.hospital.resources("DocumentReference");
            assert_eq!(documents.len(), 1);
            assert_eq!(documents[0]["subject"]["reference"], format!("Patient/{ADA}"));
            assert!(text_of(&documents[0]).contains("Status: completed"), "{}", text_of(&documents[0]));
            assert_eq!(house.asked("POST", COMMUNICATIONS), 0);
            let line = line(&house).await;
            assert_eq!((line.state, line.remote_type.as_deref()), (WriteBackState::Written, Some("DocumentReference")));
            // Nothing new, nothing written.
            house.live(TimeDelta::hours(12)).await;
            assert_eq!(house.asked("POST", DOCUMENTS), 1);
            assert_eq!(house.unexplained().await, Vec::<String>::new());
            house.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_document_whose_answer_was_lost_is_found_at_the_patient_and_not_written_again() {
    for setup in [epic(), oracle()] {
        each_house_with(setup, async |house| {
            house.hospital.inject(Fault::new(FaultKind::LostReply).on(DOCUMENTS).method("POST"));
            ada_gets_her_text(&house).await;
            assert_eq!(house.hospital.resources("DocumentReference").len(), 1);
            assert_eq!(house.asked("POST", DOCUMENTS), 1);
            let line = line(&house).await;
            assert_eq!((line.state, line.remote_id.is_some()), (WriteBackState::Written, true), "{line:?}");
            assert_eq!(house.unexplained().await, Vec::<String>::new());
            house.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_document_that_was_refused_for_a_while_is_written_once() {
    each_house_with(oracle(), async |house| {
        let broken = FaultKind::ServerError { status: 503, retry_after: None };
        house.hospital.inject(Fault::new(broken).on(DOCUMENTS).method("POST").times(3));
        ada_gets_her_text(&house).await;
        house.live(TimeDelta::hours(3)).await;
        assert_eq!(house.hospital.resources("DocumentReference").len(), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_ehr_that_takes_nothing_is_told_nothing_and_the_ledger_says_why() {
    each_house_with(athena(), async |house| {
        ada_gets_her_text(&house).await;
        let others = house.asked("POST", "/fhir") - house.asked("POST", "/fhir/Subscription");
        assert_eq!(others, 0);
        let line = line(&house).await;
        assert_eq!(line.state, WriteBackState::Unsupported);
        assert_eq!(line.last_error.as_deref(), Some("athenahealth does not have Communication"));
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

fn by_ledger_alone(ehr: &mut EhrConnection) {
    ehr.settings.plan.write_back = Some(WriteBack::CreateOnce);
}

#[tokio::test]
async fn where_nothing_can_be_searched_a_lost_answer_is_left_to_a_person() {
    let setup = Setup { connection: by_ledger_alone, ..Setup::default() };
    each_house_with(setup, async |house| {
        house.hospital.inject(Fault::new(FaultKind::LostReply).on(COMMUNICATIONS).method("POST"));
        ada_gets_her_text(&house).await;
        house.live(TimeDelta::hours(12)).await;
        assert_eq!((house.asked("POST", COMMUNICATIONS), house.hospital.communications().len()), (1, 1));
        let line = line(&house).await;
        assert_eq!(line.state, WriteBackState::Failed);
        assert!(line.last_error.as_ref().is_some_and(|it| it.contains("answer was lost")), "{line:?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_create_that_was_refused_leaves_no_doubt() {
    let setup = Setup { connection: by_ledger_alone, ..Setup::default() };
    each_house_with(setup, async |house| {
        let busy = FaultKind::TooManyRequests { retry_after: None };
        house.hospital.inject(Fault::new(busy).on(COMMUNICATIONS).method("POST").times(6));
        ada_gets_her_text(&house).await;
        house.live(TimeDelta::hours(8)).await;
        assert_eq!((house.hospital.communications().len(), line(&house).await.state), (1, WriteBackState::Written));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_is_done_can_stand_for_the_communication() {
    let setup = Setup {
        connection: |ehr| {
            ehr.settings.plan.write_back = Some(WriteBack::Task);
            let scopes = format!("{} system/Task.crs", EhrConnection::DEFAULT_SCOPES);
            ehr.scopes = beckon::ehr::scopes::ScopeSet::for_backend(&scopes).unwrap();
        },
        ..Setup::default()
    };
    each_house_with(setup, async |house| {
        house.hospital.inject(Fault::new(FaultKind::LostReply).on("/fhir/Task").method("POST"));
        ada_gets_her_text(&house).await;
        let tasks = house.hospital.resources("Task");
        assert_eq!((tasks.len(), &tasks[0]["status"]), (1, &json!("completed")));
        assert_eq!(line(&house).await.state, WriteBackState::Written);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_status_that_somebody_else_set_is_the_last_word() {
    each_house_with(Setup::default(), async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        while !house.turn().await.is_idle() {}
        let mut ours = house.hospital.communications().remove(0);
        ours["status"] = json!("entered-in-error");
        house.hospital.put(ours).unwrap();
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.hospital.communications()[0]["status"], "entered-in-error");
        assert_eq!(line(&house).await.state, WriteBackState::Written);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn notes_that_somebody_else_wrote_stay() {
    each_house_with(Setup::default(), async |house| {
        house.ada_is_due_in_an_hour().await;
        house.later(TimeDelta::hours(1));
        while !house.turn().await.is_idle() {}
        let mut ours = house.hospital.communications().remove(0);
        let theirs = json!({"text": "Called her as well"});
        let notes = ours["note"].as_array().cloned().unwrap_or_default();
        ours["note"] = notes.into_iter().chain([theirs.clone()]).collect();
        house.hospital.put(ours).unwrap();
        house.live(TimeDelta::hours(2)).await;
        let then = house.hospital.communications().remove(0);
        assert_eq!(then["status"], "completed");
        let notes = then["note"].as_array().unwrap();
        assert!(notes.contains(&theirs) && notes.len() == 2, "{notes:?}");
        house.close().await;
    })
    .await;
}
