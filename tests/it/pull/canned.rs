//! Answers that the simulated hospital never gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use beckon::domain::{Actor, PatientId, ResourceKey, ResourceType};
use beckon::ehr::connect;
use beckon::ehr::connection::EhrConnection;
use beckon::pull::{self, Mode, PullOptions, RunReport};
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::bench::of;
use crate::ehr::canned::{Answer, Asked, Canned, with_token};
use crate::ehr::support::{Naps, connection};
use crate::support::TestStore;

const PATIENT: ResourceType = ResourceType::Patient;

fn searchset(entries: &[Value]) -> Value {
    json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})
}

fn found(resource: Value) -> Value {
    json!({"resource": resource, "search": {"mode": "match"}})
}

fn person(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "active": true, "name": [{"family": "Lovelace"}]})
}

/// A server of Patients, Locations, Appointments and Conditions; what the script does not answer is an empty page.
async fn server(script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Canned {
    with_token(move |asked, _| {
        let kinds = ["Patient", "Location", "Appointment", "Condition"];
        let resources: Vec<Value> = kinds
            .iter()
            .map(|kind| json!({"type": kind, "interaction": [{"code": "read"}, {"code": "search-type"}]}))
            .collect();
        script(asked).unwrap_or_else(|| match asked.path.as_str() {
            "/fhir/metadata" => Answer::json(
                200,
                &json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
                    "rest": [{"mode": "server", "resource": resources}]}),
            ),
            _ => Answer::json(200, &searchset(&[])),
        })
    })
    .await
}

async fn pull_from(t: &TestStore, ehr: &EhrConnection) -> RunReport {
    let client = connect::open(&t.store, &t.tenant, &ehr.id, Naps::new(t.clock.clone())).await.unwrap();
    let options = PullOptions {
        mode: Mode::Increment,
        overlap: TimeDelta::minutes(10),
        full_every: TimeDelta::hours(24),
        page_size: 50,
        region: "US".to_owned(),
        triggered_by: "test".to_owned(),
        organisation: "Test Clinic".to_owned(),
        patience: std::time::Duration::ZERO,
        public_url: None,
        zone: None,
        location_zones: Default::default(),
    };
    pull::run(&t.store, &client, &options, &|_| {}).await.unwrap()
}

async fn connected(server: &Canned) -> (TestStore, EhrConnection) {
    let t = TestStore::sqlite().await;
    let ehr = connection(&format!("{}/fhir", server.origin));
    connect::add(&t.store, &ehr, Actor::Cli("root".to_owned())).await.unwrap();
    (t, ehr)
}

#[tokio::test]
async fn a_merged_record_leads_to_its_survivor() {
    let merged = Arc::new(AtomicBool::new(false));
    let switch = merged.clone();
    let server = server(move |asked| match (asked.path.as_str(), switch.load(SeqCst)) {
        ("/fhir/Patient", false) => Some(Answer::json(200, &searchset(&[found(person("old"))]))),
        ("/fhir/Patient/old", true) => Some(Answer::json(301, &json!({})).with("location", "/fhir/Patient/new")),
        ("/fhir/Patient/new", true) => Some(Answer::json(200, &person("new"))),
        _ => None,
    })
    .await;
    let (t, ehr) = connected(&server).await;
    assert_eq!(of(&pull_from(&t, &ehr).await, PATIENT).changed, 1);
    merged.store(true, SeqCst);
    t.clock.advance(TimeDelta::hours(1));
    assert_eq!(of(&pull_from(&t, &ehr).await, PATIENT).gone, 1);
    let view = t.store.view(&t.tenant);
    let merges = view.merges(&ehr.id, &[PatientId::new("old")]).await.unwrap();
    assert_eq!(merges.survivor_of(&PatientId::new("old")), Some(&PatientId::new("new")));
    assert!(view.mirror_resource(&ehr.id, &ResourceKey::new(PATIENT, "new")).await.unwrap().is_some());
    assert!(view.mirror_resource(&ehr.id, &ResourceKey::new(PATIENT, "old")).await.unwrap().is_none());
}

#[tokio::test]
async fn an_answer_that_says_it_is_not_all_is_not_taken_for_all() {
    let outcome = |severity: &str, code: &str| {
        json!({"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome", "issue": [
            {"severity": severity, "code": "processing", "details": {"coding": [{"code": code}]},
             "diagnostics": "for Ada Lovelace"}]}})
    };
    let cases = [
        ("warning", "4119", false, false),
        ("error", "59100", false, false),
        ("warning", "59100", true, true),
        ("warning", "4101", true, false),
        ("information", "1", true, false),
    ];
    for (severity, code, complete, noted) in cases {
        let entries = [found(person("ada")), outcome(severity, code)];
        let server =
            server(move |asked| (asked.path == "/fhir/Patient").then(|| Answer::json(200, &searchset(&entries)))).await;
        let (t, ehr) = connected(&server).await;
        let report = of(&pull_from(&t, &ehr).await, PATIENT);
        assert_eq!((report.complete, report.note.is_some()), (complete, noted), "{severity} {code}: {report:?}");
        let marks = t.store.view(&t.tenant).watermarks(&ehr.id).await.unwrap();
        assert_eq!(marks.contains_key(&PATIENT), complete, "{severity} {code}");
        assert!(!format!("{report:?}").contains("Lovelace"), "{report:?}");
        assert_eq!(report.read, 1, "what did come is kept");
    }
}

#[tokio::test]
async fn an_entry_without_a_resource_is_seen_in_quarantine() {
    let server = server(|asked| {
        let entries = [found(person("ada")), json!({"fullUrl": "urn:x", "search": {"mode": "match"}})];
        (asked.path == "/fhir/Patient").then(|| Answer::json(200, &searchset(&entries)))
    })
    .await;
    let (t, ehr) = connected(&server).await;
    let report = of(&pull_from(&t, &ehr).await, PATIENT);
    assert_eq!((report.complete, report.changed, report.quarantined), (true, 1, 1), "{report:?}");
    let aside = t.store.view(&t.tenant).quarantined(&ehr.id, 10).await.unwrap();
    assert_eq!((aside[0].resource_id.as_str(), aside[0].path.as_str()), ("(none)", "Bundle.entry[1].resource"));
}

#[tokio::test]
async fn a_server_of_another_release_is_read_and_written_in_its_own_words() {
    let server = server(|asked| {
        let kinds = ["Patient", "Location", "Appointment", "Condition", "Communication"];
        let resources: Vec<Value> = kinds
            .iter()
            .map(|kind| json!({"type": kind, "interaction": [{"code": "read"}, {"code": "search-type"}, {"code": "create"}]}))
            .collect();
        // R5 names the patient as the subject, services and reasons as references with a concept.
        let visit = json!({"resourceType": "Appointment", "id": "a1", "status": "booked",
            "start": "2026-03-05T15:00:00Z", "end": "2026-03-05T15:30:00Z", "subject": {"reference": "Patient/ada"},
            "serviceType": [{"concept": {"text": "Cardiology"}}],
            "participant": [{"actor": {"reference": "Location/l"}, "required": true, "status": "accepted"}]});
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/fhir/metadata") => Some(Answer::json(
                200,
                &json!({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0",
                    "rest": [{"mode": "server", "resource": resources}]}),
            )),
            ("GET", "/fhir/Patient") => Some(Answer::json(200, &searchset(&[found(person("ada"))]))),
            ("GET", "/fhir/Appointment") => Some(Answer::json(200, &searchset(&[found(visit)]))),
            ("GET", "/fhir/Location/l") => Some(Answer::json(200, &json!({"resourceType": "Location", "id": "l"}))),
            ("POST", "/fhir/Communication") => {
                Some(Answer::json(201, &json!({})).with("location", "/fhir/Communication/1/_history/1"))
            }
            _ => None,
        }
    })
    .await;
    let (t, ehr) = connected(&server).await;
    let report = pull_from(&t, &ehr).await;
    assert_eq!(of(&report, ResourceType::Appointment).quarantined, 0, "{report:#?}");
    let key = ResourceKey::new(ResourceType::Appointment, "a1");
    let row = t.store.view(&t.tenant).mirror_resource(&ehr.id, &key).await.unwrap().unwrap();
    assert_eq!(row.patient, Some(PatientId::new("ada")));
    assert_eq!(row.body["serviceType"][0]["text"], "Cardiology");

    let client = connect::open(&t.store, &t.tenant, &ehr.id, Naps::new(t.clock.clone())).await.unwrap();
    client.plan().await.unwrap();
    let ours = json!({"resourceType": "Communication", "status": "completed",
        "reasonReference": [{"reference": "Condition/c"}], "payload": [{"contentString": "Appointment reminder"}]});
    client.create(&ours, None).await.unwrap();
    let written =
        server.asked().into_iter().find(|it| it.method == "POST" && it.path == "/fhir/Communication").unwrap();
    let written: Value = serde_json::from_str(&written.body).unwrap();
    assert_eq!(written["payload"], json!([{"contentCodeableConcept": {"text": "Appointment reminder"}}]));
    assert_eq!(written["reason"], json!([{"reference": {"reference": "Condition/c"}}]));
}
