//! Epic's Communication is used only where it was proven to be taken.

use beckon::domain::{PatientId, ResourceType};
use beckon::ehr::connect;
use beckon::ehr::connection::Vendor;
use beckon::ehr::plan::{Guard, PlanSource, WriteBack};
use beckon::ehr::proof::{self, ProofError};
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::json;

use super::{epic, oracle};
use crate::support::house::{ADA, House, each_house_with, operator};

async fn prove(house: &House) -> Result<String, ProofError> {
    let client = house.gateway.clients.get(&house.ehr).await.unwrap();
    proof::write(&client, &house.url, &PatientId::new(ADA), "proof-1").await
}

#[tokio::test]
async fn a_communication_that_was_created_and_found_again_turns_the_plan() {
    each_house_with(epic(), async |house| {
        house.ada();
        let client = house.gateway.clients.get(&house.ehr).await.unwrap();
        let before = client.plan().await.unwrap();
        assert_eq!(
            (before.write_back.value, before.write_back.source),
            (WriteBack::DocumentReference, PlanSource::VendorProfile)
        );

        let id = prove(&house).await.unwrap();
        assert_eq!(house.hospital.communications()[0]["id"], json!(id));
        let (store, tenant) = (&house.t.store, &house.t.tenant);
        let detail = json!({"communication_proven": true});
        connect::change_settings(
            store,
            tenant,
            &house.ehr,
            |it| it.plan.communication_proven = true,
            detail,
            operator(),
        )
        .await
        .unwrap();
        house.gateway.clients.forget(&house.ehr).await;
        let plan = house.gateway.clients.get(&house.ehr).await.unwrap().plan().await.unwrap();
        assert_eq!(
            (plan.write_back.value, plan.guard, plan.can_update),
            (WriteBack::SearchByPatient, Guard::ByPatient, false)
        );

        house.hospital.inject(Fault::new(FaultKind::LostReply).on("/fhir/Communication").method("POST"));
        house.book("visit", ADA, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        house.call_the_roll().await;
        house.sync().await;
        house.live(TimeDelta::hours(4)).await;
        let written = house.hospital.communications();
        assert_eq!(written.len(), 2, "the proof and the reminder, each once: {written:?}");
        assert!(written.iter().all(|it| it["status"] == "completed"));
        assert_eq!((house.asked("POST", "/fhir/Communication"), house.asked("PUT", "/fhir")), (2, 0));
        assert_eq!(house.unexplained().await, Vec::<String>::new());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_ehr_that_takes_other_communications_proves_nothing() {
    each_house_with(oracle(), async |house| {
        house.ada();
        assert!(matches!(prove(&house).await, Err(ProofError::Refused(_))));
        assert!(house.hospital.communications().is_empty());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_plan_says_in_words_how_each_vendor_is_asked() {
    for (setup, vendor, appointments, write_back) in [
        (epic(), Vendor::Epic, "patient by patient", "DocumentReference"),
        (oracle(), Vendor::Oracle, "by the roster's locations", "DocumentReference"),
        (super::athena(), Vendor::Athena, "read by id", "not supported"),
    ] {
        let house = House::open(crate::support::TestStore::sqlite().await, &setup).await;
        house.call_the_roll().await;
        let client = house.gateway.clients.get(&house.ehr).await.unwrap();
        let report = beckon::ehr::doctor::test(&client).await;
        let found = |what: &str| report.lines.iter().find(|line| line.what == what).unwrap().found.clone();
        assert!(found("pull of Appointment").contains(appointments), "{vendor:?}: {report:#?}");
        assert!(found("write-back").contains(write_back), "{vendor:?}: {report:#?}");
        let bad: Vec<_> = report.lines.iter().filter(|it| it.health == beckon::ehr::doctor::Health::Bad).collect();
        assert!(bad.is_empty(), "{vendor:?}: {bad:#?}");
        let roster = beckon::ehr::doctor::roster(&client.plan().await.unwrap(), &Default::default());
        assert_eq!(roster.health, beckon::ehr::doctor::Health::Bad, "{vendor:?} needs a roster: {roster:?}");
        assert!(client.plan().await.unwrap().of(ResourceType::Appointment).is_some());
        house.close().await;
    }
}
