//! Consent records in the mirror: what can be read, what cannot, and what a server does not offer.

use beckon::domain::{PatientId, ResourceType};
use beckon::ehr::plan::Ask;
use beckon::pull::RunState;
use beckon::sandbox::{Fault, FaultKind};
use serde_json::{Value, json};

use super::bench::{Bench, bench, each_hospital, of};

const CONSENT: ResourceType = ResourceType::Consent;

fn denial(status: &str) -> Value {
    json!({"resourceType": "Consent", "id": "no", "status": status, "patient": {"reference": "Patient/ada"},
        "provision": {"type": "deny"}})
}

async fn mirrored_status(b: &Bench) -> Vec<String> {
    let rows = b.t.store.view(&b.t.tenant).mirror_of_patient(&b.ehr, &PatientId::new("ada")).await.unwrap();
    let consents = rows.iter().filter(|row| row.version.key.resource_type == CONSENT);
    consents.map(|row| row.body["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn consents_are_mirrored_with_their_patient() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.hospital.put(denial("active")).unwrap();
        let report = b.sync().await;
        assert_eq!((report.state, of(&report, CONSENT).changed), (RunState::Done, 1), "{report:#?}");
        assert_eq!(mirrored_status(&b).await, ["active"]);
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_consent_that_cannot_be_read_is_shown_and_takes_the_place_of_what_it_said() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.hospital.put(denial("active")).unwrap();
        b.sync().await;
        b.t.clock.advance(chrono::TimeDelta::minutes(20));
        b.hospital.put(denial("on-file")).unwrap();
        let mut nobodys = denial("active");
        nobodys["id"] = json!("nobodys");
        nobodys["patient"] = json!({"display": "Ada"});
        b.hospital.put(nobodys).unwrap();
        b.sync().await;
        assert_eq!(mirrored_status(&b).await, ["on-file"]);
        let mut aside: Vec<_> = b.quarantined().await.into_iter().map(|it| (it.resource_id, it.path)).collect();
        aside.sort();
        let expected = [("no", "Consent.status"), ("nobodys", "Consent.patient")];
        assert_eq!(aside, expected.map(|(id, path)| (id.to_owned(), path.to_owned())));
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn consents_are_searched_patient_by_patient_where_the_server_wants_it() {
    let b = bench(|ehr| {
        ehr.settings.plan.ask.insert(CONSENT, Ask::ByPatient);
    })
    .await;
    b.patient("ada");
    b.hospital.put(denial("active")).unwrap();
    let report = b.sync().await;
    assert_eq!(of(&report, CONSENT).how, "patient by patient");
    assert_eq!(mirrored_status(&b).await, ["active"]);
    assert!(b.searches("Consent").iter().all(|path| path.contains("patient=ada")));
}

#[tokio::test]
async fn a_server_without_consents_is_no_failure_and_a_scope_not_granted_is_one() {
    let b = bench(|ehr| {
        ehr.settings.plan.ask.insert(CONSENT, Ask::NotOffered);
    })
    .await;
    let report = b.sync().await;
    assert_eq!(report.state, RunState::Done, "{report:#?}");
    let of_type = of(&report, CONSENT);
    assert!(!of_type.complete && of_type.note.unwrap().contains("not known"));

    let b = bench(|_| {}).await;
    let scopes = "system/Patient.rs system/Appointment.rs system/Location.rs system/Condition.rs".to_owned();
    b.hospital.inject(Fault::new(FaultKind::GrantScopes { scopes }));
    let report = b.sync().await;
    assert_eq!(report.state, RunState::Partial, "{report:#?}");
    assert!(of(&report, CONSENT).error.unwrap().contains("Consent"));
    assert!(b.searches("Consent").is_empty());
}
