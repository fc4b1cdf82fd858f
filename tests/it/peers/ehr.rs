//! Pull and write-back against a FHIR server that is not ours, connected as an operator would connect it.

use std::process::{Command, Stdio};

use beckon::domain::{EhrId, MessageState, Reason, ReminderState, ResourceType};
use beckon::ehr::connection::EhrConnection;
use beckon::pull::RunState;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::fhir_server::{CLIENT, FhirServer};
use crate::support::TestStore;
use crate::support::house::{House, Setup, appointment, each_house_with, mobile, patient, settings_text};
use crate::support::tools::fake_time;

pub const EHR: &str = "north";
pub const PEOPLE: usize = 9;

/// Small pages, so that each type has several.
pub fn setup() -> Setup {
    Setup { send: "[pull]\npage_size = 4".to_owned(), ..Setup::default() }
}

/// Connects that server as an operator does: `beckon ehr add`, then the public key is handed to the hospital.
async fn beside(house: &mut House, scopes: &str) -> Option<FhirServer> {
    beside_asking(house, EhrConnection::DEFAULT_SCOPES, scopes).await
}

/// As [`beside`], asking for other scopes than usual.
pub async fn beside_asking(house: &mut House, asked: &str, scopes: &str) -> Option<FhirServer> {
    let mut server = FhirServer::at(house.now())?;
    house.ehr = EhrId::new(EHR);
    let args = ["ehr", "add", EHR, "--url", &server.base(), "--client-id", CLIENT, "--scopes", asked];
    let (added, words) = beckon(house, &setup(), &args).await;
    assert!(added, "{words}");
    // The keys sign from the instant on at which that command made them, a moment after the test's.
    house.later(TimeDelta::minutes(1));
    server.tell_time(house.now());
    let published = format!("{}/ehr/{EHR}/jwks.json", house.url);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut jwks: Value = http.get(published).send().await.unwrap().json().await.unwrap();
    // It tries each key of a set whatever its kind, and breaks down over an RSA key under an ES384 signature.
    jwks["keys"].as_array_mut().unwrap().retain(|key| key["alg"] == "ES384");
    server.open(jwks, scopes).await;
    Some(server)
}

/// Runs the program beside the running gateway, at the test's time.
pub async fn beckon(house: &House, setup: &Setup, args: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("beckon.toml");
    let text = settings_text(&house.hospital, &house.url, &house.t.url, folder.path(), setup);
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_beckon"));
    command
        .args(args)
        .arg("--config")
        .arg(&config)
        .env("LD_PRELOAD", fake_time().unwrap())
        .env("FAKETIME", format!("@{}", house.now().format("%Y-%m-%d %H:%M:%S")))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let words = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (output.status.success(), words.join("\n"))
}

pub async fn pass(house: &House, server: &FhirServer, time: TimeDelta) {
    house.later(time);
    server.tell_time(house.now());
}

/// Nine people with a phone; each has a visit, whose first reminder falls due in an hour, and one a diabetes.
pub async fn admit(house: &House, server: &FhirServer) {
    server
        .put(json!({"resourceType": "Location", "id": "loc-chicago", "name": "Lakeside",
                      "address": {"city": "Chicago", "state": "IL", "country": "US"}}))
        .await;
    let start = house.now() + TimeDelta::days(3) + TimeDelta::hours(1);
    for n in 0..PEOPLE {
        let id = format!("p{n}");
        server.put(patient(&id, mobile(&format!("+131255501{n:02}")))).await;
        server.put(appointment(&format!("visit-{n}"), &id, start, "booked", house.now() - TimeDelta::days(14))).await;
        server
            .put(json!({
                "resourceType": "Condition", "id": format!("c{n}"), "subject": {"reference": format!("Patient/{id}")},
                "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                                               "code": "active"}]},
                "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
            }))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ours_is_pulled_reminded_from_and_told() {
    each_house_with(setup(), async |mut house| {
        let Some(server) = beside(&mut house, EhrConnection::DEFAULT_SCOPES).await else { return };
        admit(&house, &server).await;
        let (well, report) = beckon(&house, &setup(), &["ehr", "test", EHR, "--json"]).await;
        assert!(well, "{report}\n{}", server.log());

        let report = house.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:?}\n{}", server.log());
        for kind in [ResourceType::Patient, ResourceType::Appointment, ResourceType::Condition] {
            let it = report.of(kind).unwrap();
            assert_eq!((it.read, it.changed, it.quarantined), (PEOPLE, PEOPLE, 0), "{kind} {it:?}");
        }
        pass(&house, &server, TimeDelta::hours(1)).await;
        house.settle().await;
        let mut to: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
        to.sort();
        to.dedup();
        assert_eq!((to.len(), house.texts().len()), (PEOPLE, PEOPLE), "{}", server.log());

        // What became of them arrives, and the chart is brought up to date.
        pass(&house, &server, TimeDelta::minutes(10)).await;
        house.settle().await;
        assert_eq!(house.message_states().await, vec![MessageState::Delivered; PEOPLE]);
        let written = server.search("Communication?_count=100").await;
        assert_eq!(written.len(), PEOPLE, "each once");
        for it in &written {
            assert_eq!(it["status"], "completed", "{it}");
            assert_eq!(it["topic"]["coding"][0]["code"], "appointment-reminder");
            assert_eq!(it["recipient"], json!([it["subject"]]));
            let patient = it["subject"]["reference"].as_str().unwrap().trim_start_matches("Patient/p");
            assert_eq!(it["about"], json!([{"reference": format!("Appointment/visit-{patient}")}]));
            let ours = &it["identifier"][0];
            let token = format!("{}|{}", ours["system"].as_str().unwrap(), ours["value"].as_str().unwrap());
            let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
            let found = server.search(&format!("Communication?identifier={token}")).await;
            assert_eq!(found.len(), 1, "found again by our identifier");
        }
        assert_eq!(server.faults_of(&written[0]).await, Vec::<Value>::new(), "{}", written[0]);
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_there_after_the_first_pull_is_heeded() {
    let mut house = House::open(TestStore::sqlite().await, &setup()).await;
    let Some(server) = beside(&mut house, EhrConnection::DEFAULT_SCOPES).await else { return };
    admit(&house, &server).await;
    house.sync().await;
    let start = house.now() + TimeDelta::days(3) + TimeDelta::hours(1);
    let visit = |n: usize, status: &str| {
        let made = house.now() - TimeDelta::days(14);
        appointment(&format!("visit-{n}"), &format!("p{n}"), start, status, made)
    };
    pass(&house, &server, TimeDelta::minutes(30)).await;
    server.put(visit(0, "cancelled")).await;
    let report = house.sync().await;
    assert_eq!(report.state, RunState::Done, "{report:?}");
    assert_eq!(report.of(ResourceType::Appointment).unwrap().changed, 1, "{report:?}");
    assert_eq!(report.of(ResourceType::Patient).unwrap().changed, 0, "{report:?}");

    // Without another pull: the visit is read once more right before its reminder goes out.
    server.put(visit(1, "cancelled")).await;
    pass(&house, &server, TimeDelta::hours(1)).await;
    house.settle().await;
    for (n, reason) in [(0, Reason::ResourceCancelled), (1, Reason::ResourceCancelled)] {
        assert_eq!(house.stands(&format!("p{n}")).await, (ReminderState::Cancelled, Some(reason)), "p{n}");
    }
    let told: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
    assert_eq!(told.len(), PEOPLE - 2, "{told:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_when_reminders_fall_due_delays_them_and_loses_none() {
    let mut house = House::open(TestStore::sqlite().await, &setup()).await;
    let Some(mut server) = beside(&mut house, EhrConnection::DEFAULT_SCOPES).await else { return };
    admit(&house, &server).await;
    house.sync().await;
    server.down();
    pass(&house, &server, TimeDelta::hours(1)).await;
    house.settle().await;
    assert!(house.texts().is_empty(), "nothing rests on what could not be read again");
    server.up().await;
    for _ in 0..12 {
        pass(&house, &server, TimeDelta::minutes(10)).await;
        house.settle().await;
    }
    let mut told: Vec<String> = house.texts().into_iter().map(|text| text.to).collect();
    let sent = told.len();
    told.sort();
    told.dedup();
    assert_eq!((sent, told.len()), (PEOPLE, PEOPLE), "{}", server.log());
    let written = server.search("Communication?_count=100").await;
    assert_eq!(written.len(), PEOPLE);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_was_not_granted_is_named_and_the_rest_goes_on() {
    let mut house = House::open(TestStore::sqlite().await, &setup()).await;
    let granted =
        "system/Appointment.rs system/Communication.crus system/Consent.rs system/Location.rs system/Patient.rs";
    let Some(server) = beside(&mut house, granted).await else { return };
    admit(&house, &server).await;
    let (_, words) = beckon(&house, &setup(), &["ehr", "test", EHR]).await;
    assert!(words.contains("system/Condition.rs"), "{words}");
    let report = house.sync().await;
    assert_eq!(report.of(ResourceType::Appointment).unwrap().changed, PEOPLE, "{report:?}");
    let conditions = report.of(ResourceType::Condition).unwrap();
    assert!(conditions.read == 0 && (conditions.error.is_some() || conditions.note.is_some()), "{report:?}");
    pass(&house, &server, TimeDelta::hours(1)).await;
    house.settle().await;
    assert_eq!(house.texts().len(), PEOPLE, "{report:?}");
    house.close().await;
}
