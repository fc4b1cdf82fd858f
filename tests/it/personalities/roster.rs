//! Whom a hospital names is whom we look at.

use beckon::domain::{EventKind, ResourceKey, ResourceType};
use beckon::pull::{self, Mode};
use beckon::store::EventFilter;
use chrono::TimeDelta;
use serde_json::json;

use super::epic;
use crate::support::house::{ADA, each_house_with, mobile, operator};

fn keys(text: &str) -> std::collections::BTreeSet<ResourceKey> {
    pull::read_list(text, None).unwrap()
}

#[tokio::test]
async fn a_patient_is_looked_at_when_a_list_or_a_group_names_her() {
    each_house_with(epic(), async |house| {
        house.ada();
        house.patient("bo", mobile("+13125550124"));
        for (visit, patient) in [("a1", ADA), ("b1", "bo")] {
            house.book(visit, patient, house.now() + TimeDelta::days(4));
        }
        let (store, tenant) = (&house.t.store, &house.t.tenant);
        pull::import_roster(store, tenant, &house.ehr, &keys("Patient/ada"), false, operator()).await.unwrap();
        house.sync().await;
        assert!(!house.reminders(ADA).await.is_empty() && house.reminders("bo").await.is_empty());

        let member = json!([{"entity": {"reference": "Patient/bo"}}, {"entity": {"reference": "Patient/ada"}}]);
        house.hospital.put(json!({"resourceType": "Group", "id": "all", "type": "person", "member": member})).unwrap();
        pull::import_roster(store, tenant, &house.ehr, &keys("Group/all"), false, operator()).await.unwrap();
        house.sync().await;
        assert!(!house.reminders("bo").await.is_empty());
        let counts = house.view().roster_counts(&house.ehr).await.unwrap();
        let count = |source: &str, kind: &str| counts.get(&(source.to_owned(), kind.to_owned())).copied();
        assert_eq!(
            (count("list", "Patient"), count("list", "Group"), count("group all", "Patient")),
            (Some(1), Some(1), Some(2))
        );
        let filter = EventFilter { kinds: vec![EventKind::EhrChanged], limit: 10, ..EventFilter::default() };
        assert_eq!(house.view().events(&filter).await.unwrap().len(), 2, "who changed it is in the history");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_id_that_the_ehr_does_not_know_is_set_aside_and_costs_nobody_else() {
    each_house_with(epic(), async |house| {
        house.ada();
        house.book("a1", ADA, house.now() + TimeDelta::days(4));
        let named = keys("Patient/ada\nPatient/nobody");
        pull::import_roster(&house.t.store, &house.t.tenant, &house.ehr, &named, false, operator()).await.unwrap();
        let report = house.pull(Mode::Full).await;
        let of_type = report.of(ResourceType::Patient).unwrap();
        assert!(of_type.complete && of_type.quarantined == 1, "{report:#?}");
        assert!(!house.reminders(ADA).await.is_empty());
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn record_numbers_name_patients_whom_the_ehr_finds() {
    each_house_with(epic(), async |house| {
        for (id, number) in [(ADA, "4711"), ("bo", "4712"), ("twin", "4713"), ("other", "4713")] {
            let mut record = crate::support::house::patient(id, mobile("+13125550123"));
            record["identifier"] = json!([{"system": "urn:oid:1.2.3", "value": number,
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}}]);
            house.hospital.put(record).unwrap();
        }
        house.book("a1", ADA, house.now() + TimeDelta::days(4));
        let numbers = pull::read_numbers("MRN\n4711\n9999\n4713\n4712\n", Some("urn:oid:1.2.3")).unwrap();
        let client = house.gateway.clients.get(&house.ehr).await.unwrap();
        let options = pull::PullOptions::new(&house.gateway.settings, Mode::Increment, "test");
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |count| told.lock().unwrap().push(count);
        let report = pull::import_numbers(&house.t.store, &client, &options, &numbers, false, operator(), &tell).await;
        let report = report.unwrap();
        assert_eq!((report.found, report.unknown, report.ambiguous), (2, vec![3], vec![4]));
        assert_eq!(*told.lock().unwrap(), [1, 2, 3, 4], "progress is told");
        house.sync().await;
        assert!(!house.reminders(ADA).await.is_empty());
        let asked = house.hospital.requests();
        assert!(asked.iter().all(|it| !it.path.contains("4711")), "no number of a patient stands in an address");
        house.close().await;
    })
    .await;
}
