//! Every type that a live rule reads comes in whole, and what could not be read proves nothing.

use std::collections::BTreeSet;

use beckon::domain::{Reason, ReminderState, ResourceKey, ResourceType};
use beckon::ehr::scopes::ScopeSet;
use beckon::pull::{Mode, RunState};
use beckon::sandbox::{JwksSource, Personality};
use chrono::TimeDelta;
use serde_json::json;

use super::bench::{Bench, bench_with, each_hospital_with_rule, of, write_rule};
use crate::ehr::support::CLIENT;
use crate::personalities::{athena, epic, oracle};
use crate::support::house::{House, Setup, each_house_with, mobile};

/// Looks at everything there is to look at.
const CURIOUS: &str = r#"
title = "Reads all"
purpose = "treatment"
resource = "Condition"
condition = "false"
anchor = "recordedDate"
reads = ["Encounter", "Procedure", "Immunization", "Observation", "CarePlan", "ServiceRequest", "MedicationRequest",
    "Practitioner", "Organization", "RelatedPerson", "Communication"]
freshness = "48 hours"
channels = [{ channel = "sms", detail = "neutral" }]

[[step]]
id = "due"
at = "same day at 10:00"
expires = "21 days after at 18:00"
template = "visit"
"#;

/// Diabetes and no HbA1c in the chart.
const NO_HBA1C: &str = r#"
title = "HbA1c missing"
purpose = "treatment"
resource = "Condition"
condition = "code.coding.where(code = '44054006').exists() and %observations.where(code.coding.where(code = '4548-4').exists()).empty()"
anchor = "recordedDate"
reads = ["Observation"]
freshness = "48 hours"
channels = [{ channel = "sms", detail = "neutral" }]

[cadence]
every = "6 months"

[[step]]
id = "due"
at = "same day at 10:00"
expires = "21 days after at 18:00"
template = "visit"
"#;

const CLINICAL: [ResourceType; 7] = [
    ResourceType::Encounter,
    ResourceType::Procedure,
    ResourceType::Immunization,
    ResourceType::Observation,
    ResourceType::CarePlan,
    ResourceType::ServiceRequest,
    ResourceType::MedicationRequest,
];

/// What the hospital has of a type and the mirror lacks.
async fn lacking(b: &Bench, kind: ResourceType) -> Vec<String> {
    let mut lacking = Vec::new();
    for resource in b.hospital.resources(kind.as_str()) {
        let id = resource["id"].as_str().unwrap();
        if !b.mirrored(kind, id).await {
            lacking.push(id.to_owned());
        }
    }
    lacking
}

#[tokio::test]
async fn every_type_that_a_rule_reads_is_pulled_and_counts_as_complete() {
    each_hospital_with_rule(40, CURIOUS, async |b| {
        let report = b.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        let covered = b.t.store.view(&b.t.tenant).covered_types(&b.ehr).await.unwrap();
        let more = [
            ResourceType::Practitioner,
            ResourceType::Organization,
            ResourceType::RelatedPerson,
            ResourceType::Communication,
        ];
        for kind in CLINICAL.into_iter().chain(more) {
            assert!(of(&report, kind).complete, "{kind}");
            assert!(covered.iter().any(|(of, _)| *of == kind), "{kind}");
            assert_eq!(lacking(&b, kind).await, Vec::<String>::new(), "{kind}");
            let there = b.hospital.resources(kind.as_str()).len();
            assert!(there > 0 || kind == ResourceType::Communication, "the generator makes no {kind}");
        }
        // A second run brings nothing new.
        let again = b.sync().await;
        assert!(again.types.iter().all(|(_, it)| it.changed == 0), "{again:#?}");
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_no_rule_reads_is_not_asked_for() {
    each_hospital_with_rule(5, NO_HBA1C, async |b| {
        b.sync().await;
        for kind in CLINICAL {
            let asked = !b.searches(kind.as_str()).is_empty();
            assert_eq!(asked, kind == ResourceType::Observation, "{kind}");
        }
        b.hospital.stop().await;
    })
    .await;
}

/// A visit is coming, and the test that it needs is missing.
const VISIT_WITHOUT_TEST: &str = r#"
title = "Test before the visit"
purpose = "treatment"
resource = "Appointment"
condition = "status = 'booked' and %observations.where(code.coding.where(code = '4548-4').exists()).empty()"
anchor = "start"
reads = ["Observation"]
freshness = "48 hours"
channels = [{ channel = "sms", detail = "neutral" }]

[[step]]
id = "before"
at = "3 days before"
expires = "1 day before"
template = "visit"
"#;

#[tokio::test]
async fn a_result_that_cannot_be_read_does_not_count_as_none() {
    let folder = tempfile::tempdir().unwrap();
    write_rule(folder.path(), VISIT_WITHOUT_TEST);
    let setup = Setup {
        rules_folder: Some(folder.path().to_owned()),
        rules: vec!["test-rule"],
        connection: |ehr| ehr.settings.scopes_follow_rules = true,
        ..Setup::default()
    };
    each_house_with(setup, async |house| {
        grant_everything(&house).await;
        for (n, patient) in ["ada", "bo", "cy"].iter().enumerate() {
            house.patient(patient, mobile(&format!("+1312555012{n}")));
            house.book(&format!("v-{patient}"), patient, house.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        }
        let result = |patient: &str, status: &str| {
            json!({"resourceType": "Observation", "id": format!("r-{patient}"), "status": status,
                "subject": {"reference": format!("Patient/{patient}")},
                "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}})
        };
        for patient in ["bo", "cy"] {
            house.hospital.put(result(patient, "done")).unwrap();
        }
        house.sync().await;
        house.live(TimeDelta::hours(2)).await;
        assert_eq!(house.texts().len(), 1, "nothing is missing of ada");
        for patient in ["bo", "cy"] {
            let unknown = (ReminderState::Waiting, Some(Reason::NotKnown));
            assert_eq!(house.stands(patient).await, unknown, "whether {patient} had the test is not known");
        }
        let quarantined = house.view().quarantined(&house.ehr, 10).await.unwrap();
        assert!(quarantined.len() == 2 && quarantined.iter().all(|it| it.path == "Observation.status"));

        // One had it, of the other it was a slip that was taken back.
        house.hospital.put(result("bo", "final")).unwrap();
        assert!(house.hospital.delete("Observation", "r-cy"));
        house.pull(Mode::Full).await;
        house.live(TimeDelta::hours(2)).await;
        assert!(house.view().quarantined(&house.ehr, 10).await.unwrap().is_empty(), "what is not there hides nothing");
        assert_eq!(house.stands("bo").await.0, ReminderState::Cancelled);
        assert_eq!(house.stands("cy").await.0, ReminderState::Released);
        assert_eq!(house.texts().len(), 2);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_goes_live_brings_its_scopes_along_and_takes_them_away() {
    let b = bench_with(|ehr| ehr.settings.scopes_follow_rules = true, NO_HBA1C).await;
    let granted = async || {
        let row = b.t.store.view(&b.t.tenant).ehr(&b.ehr).await.unwrap().unwrap();
        row.granted_scopes.unwrap()
    };
    b.sync().await;
    assert!(granted().await.contains("system/Observation.rs"), "{}", granted().await);
    assert!(!granted().await.contains("Encounter"), "{}", granted().await);

    let clients = beckon::ehr::clients::Clients::new(
        b.t.store.clone(),
        b.t.tenant.clone(),
        crate::ehr::support::Naps::new(b.t.clock.clone()),
    );
    let first = clients.current(&b.ehr).await.unwrap();
    assert!(first.connection().scopes.to_string().contains("Observation"));
    let mut tx = b.t.store.write(&b.t.tenant).await.unwrap();
    for rule in tx.view().live_rules().await.unwrap() {
        tx.retire_rule(&rule.id, None, &beckon::domain::Actor::system("test")).await.unwrap();
    }
    tx.commit().await.unwrap();
    let scopes = clients.current(&b.ehr).await.unwrap().connection().scopes.to_string();
    assert!(!scopes.contains("Observation") && scopes.contains("Patient"), "{scopes}");
}

/// Each vendor with a dozen generated patients, asked for what the rules read.
fn vendors(rules: &std::path::Path) -> [Setup; 3] {
    [
        Setup {
            hospital: |options| (options.personality, options.patients) = (Personality::epic(), 12),
            connection: |ehr| {
                (epic().connection)(ehr);
                ehr.settings.scopes_follow_rules = true;
            },
            ..epic()
        },
        Setup {
            hospital: |options| (options.personality, options.patients) = (Personality::oracle(), 12),
            connection: |ehr| {
                (oracle().connection)(ehr);
                ehr.settings.scopes_follow_rules = true;
            },
            ..oracle()
        },
        Setup {
            hospital: |options| (options.personality, options.patients) = (Personality::athena(), 12),
            connection: |ehr| {
                (athena().connection)(ehr);
                ehr.settings.scopes_follow_rules = true;
            },
            ..athena()
        },
    ]
    .map(|setup| Setup { rules_folder: Some(rules.to_owned()), rules: vec!["test-rule"], ..setup })
}

async fn grant_everything(house: &House) {
    let jwks = JwksSource::Url(format!("{}/ehr/{}/jwks.json", house.url, house.ehr));
    house.hospital.register_client(CLIENT, jwks, "system/*.cruds");
}

async fn mirrored(house: &House, kind: ResourceType) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for resource in house.hospital.resources(kind.as_str()) {
        let key = ResourceKey::new(kind, resource["id"].as_str().unwrap());
        if house.view().mirror_resource(&house.ehr, &key).await.unwrap().is_some() {
            found.insert(key.id);
        }
    }
    found
}

#[tokio::test]
async fn where_only_one_patient_may_be_asked_for_every_type_comes_in_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write_rule(folder.path(), CURIOUS);
    for setup in vendors(folder.path()) {
        each_house_with(setup, async |house| {
            grant_everything(&house).await;
            house.call_the_roll().await;
            let report = house.sync().await;
            let whom = mirrored(&house, ResourceType::Patient).await;
            for kind in CLINICAL {
                let of_type = report.of(kind).unwrap();
                assert!(of_type.complete, "{kind}: {report:#?}");
                let there: BTreeSet<String> = house
                    .hospital
                    .resources(kind.as_str())
                    .iter()
                    .filter(|it| {
                        let subject = it["subject"]["reference"].as_str().or(it["patient"]["reference"].as_str());
                        subject.is_some_and(|it| active(&house, it.trim_start_matches("Patient/"), &whom))
                    })
                    .map(|it| it["id"].as_str().unwrap().to_owned())
                    .collect();
                let missing: Vec<_> = there.difference(&mirrored(&house, kind).await).cloned().collect();
                assert_eq!(missing, Vec::<String>::new(), "{kind}");
            }
            // Whoever is named by what was read is read too.
            assert!(!mirrored(&house, ResourceType::Practitioner).await.is_empty());
            let covered = house.view().covered_types(&house.ehr).await.unwrap();
            let is_covered = |kind| covered.iter().any(|(of, _)| *of == kind);
            assert!(CLINICAL.into_iter().all(is_covered));
            let of_staff = report.of(ResourceType::Practitioner).unwrap();
            assert_eq!(is_covered(ResourceType::Practitioner), of_staff.how != "by id", "{of_staff:?}");
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
}

/// Nobody is asked for a chart whose record is not in use.
fn active(house: &House, patient: &str, mirrored: &BTreeSet<String>) -> bool {
    let record = house.hospital.resource("Patient", patient).unwrap_or_default();
    let dead = record["deceasedBoolean"] == true || record["deceasedDateTime"].is_string();
    mirrored.contains(patient) && record["active"] != false && !dead && record.get("link").is_none()
}

#[tokio::test]
async fn a_clinics_day_brings_its_patients_along_instead_of_one_read_for_each() {
    each_house_with(oracle(), async |house| {
        for n in 0..5 {
            let id = format!("p{n}");
            house.patient(&id, mobile(&format!("+1312555012{n}")));
            house.book(&format!("v{n}"), &id, house.now() + TimeDelta::days(4));
        }
        house.call_the_roll().await;
        let report = house.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        assert_eq!(house.asked("GET", "/fhir/Patient/"), 0, "they came with the appointments");
        for n in 0..5 {
            assert!(!house.reminders(&format!("p{n}")).await.is_empty());
        }
        house.close().await;
    })
    .await;
}

#[test]
fn scopes_are_added_only_where_they_are_not_allowed_already() {
    let own = ScopeSet::for_backend("system/*.r system/Observation.rs").unwrap();
    let more = ScopeSet::for_backend("system/Observation.rs system/Encounter.rs").unwrap();
    assert_eq!(own.with(&more).to_string(), "system/*.r system/Encounter.s system/Observation.rs");
}
