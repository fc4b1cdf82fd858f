//! Writing: once, or honestly unknown.

use beckon::domain::ResourceType;
use beckon::ehr::error::{EhrError, Refusal};
use beckon::ehr::read::Read;
use beckon::ehr::search::Search;
use beckon::ehr::write::{IdentifierKey, Written};
use beckon::sandbox::{Fault, FaultKind};
use serde_json::{Value, json};

use super::canned::{Answer, with_token};
use super::support::{Gate, Site};

const KEY: IdentifierKey<'static> = IdentifierKey { system: "https://gw.example/sid", value: "m-1" };

fn communication() -> Value {
    json!({"resourceType": "Communication", "status": "completed",
           "identifier": [{"system": "https://gw.example/sid", "value": "m-1"}],
           "subject": {"reference": "Patient/ada"}})
}

async fn site() -> Site {
    let site = Site::open().await;
    site.patient("ada");
    site
}

#[tokio::test]
async fn a_conditional_create_happens_once() {
    let site = site().await;
    let Written::Done(first) = site.client.create(&communication(), Some(KEY)).await.unwrap() else {
        panic!("not done")
    };
    let Written::Existed(again) = site.client.create(&communication(), Some(KEY)).await.unwrap() else {
        panic!("twice")
    };
    assert_eq!(first.id, again.id);
    assert_eq!(first.version_id.as_deref(), Some("1"));
    assert_eq!(site.hospital.communications().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_never_repeated_blindly() {
    let site = site().await;
    for condition in [None, Some(KEY)] {
        let before = site.asked("POST", "/fhir/Communication");
        site.hospital.inject(Fault::new(FaultKind::LostReply).on("/fhir/Communication").method("POST"));
        let written = site.client.create(&communication(), condition).await.unwrap();
        assert!(matches!(written, Written::Unknown(EhrError::Interrupted { .. })), "{written:?}");
        assert_eq!(site.asked("POST", "/fhir/Communication") - before, 1);
    }
    let search = Search::new(ResourceType::Communication).with_token("identifier", KEY.system, KEY.value);
    assert_eq!(site.client.find(search).await.unwrap().len(), 1, "the work was done; a search finds it");
}

#[tokio::test]
async fn a_refused_write_is_repeated_only_where_nothing_can_have_happened() {
    let site = site().await;
    let throttled = FaultKind::TooManyRequests { retry_after: None };
    site.hospital.inject(Fault::new(throttled).on("/fhir/Communication").times(2));
    assert!(matches!(site.client.create(&communication(), None).await.unwrap(), Written::Done(_)));

    let broken = FaultKind::ServerError { status: 500, retry_after: None };
    site.hospital.inject(Fault::new(broken.clone()).on("/fhir/Communication"));
    assert!(matches!(site.client.create(&communication(), None).await.unwrap(), Written::Unknown(_)));
    site.hospital.inject(Fault::new(broken).on("/fhir/Communication"));
    assert!(matches!(site.client.create(&communication(), Some(KEY)).await.unwrap(), Written::Existed(_)));
}

#[tokio::test]
async fn an_update_needs_the_version_that_was_read() {
    let site = site().await;
    let Written::Done(first) = site.client.create(&communication(), None).await.unwrap() else { panic!("not done") };
    let mut changed = communication();
    changed["id"] = json!(first.id);
    changed["status"] = json!("stopped");
    let etag = first.etag.unwrap();
    let Written::Done(second) = site.client.update(&changed, &etag).await.unwrap() else { panic!("not done") };
    assert_eq!((second.id, second.version_id.as_deref()), (first.id, Some("2")));
    let error = site.client.update(&changed, &etag).await.unwrap_err();
    assert!(matches!(error, EhrError::Refused { status: 412, refusal: Refusal::Conflict, .. }), "{error}");

    let key = beckon::domain::ResourceKey::new(ResourceType::Communication, second_id(&changed));
    let Read::Found(found) = site.client.read(&key, None).await.unwrap() else { panic!("not found") };
    assert_eq!(found.resource["status"], "stopped");
    assert!(matches!(
        site.client.update(&json!({"resourceType": "Communication"}), &etag).await,
        Err(EhrError::NotWritable("id"))
    ));
}

fn second_id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_empty_answer_with_a_location_is_enough() {
    let server = with_token(|_, origin| Answer {
        status: 201,
        headers: vec![
            ("location", format!("{origin}/fhir/Communication/77/_history/3")),
            ("etag", "W/\"3\"".to_owned()),
        ],
        body: String::new(),
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    let Written::Done(done) = gate.client.create(&communication(), Some(KEY)).await.unwrap() else {
        panic!("not done")
    };
    assert_eq!((done.id.as_deref(), done.version_id.as_deref()), (Some("77"), Some("3")));
    let asked = server.asked().into_iter().find(|asked| asked.path == "/fhir/Communication").unwrap();
    assert_eq!(asked.method, "POST");
    let condition = asked.headers.iter().find(|(name, _)| name == "if-none-exist").unwrap();
    assert_eq!(condition.1, "identifier=https%3A%2F%2Fgw.example%2Fsid%7Cm-1");
}

#[tokio::test]
async fn a_page_for_people_instead_of_an_answer_leaves_it_open() {
    let server = with_token(|_, _| Answer::html(200)).await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    assert!(matches!(gate.client.create(&communication(), None).await.unwrap(), Written::Unknown(_)));
}

#[tokio::test]
async fn several_that_carry_the_identifier_are_a_conflict() {
    let site = site().await;
    site.client.create(&communication(), None).await.unwrap();
    site.client.create(&communication(), None).await.unwrap();
    let error = site.client.create(&communication(), Some(KEY)).await.unwrap_err();
    assert!(matches!(error, EhrError::Refused { status: 412, refusal: Refusal::Conflict, .. }), "{error}");
}
