//! Bulk exports, at a server that is slow, busy, forgetful, wrong about its counts, or keeps its files elsewhere.

use beckon::domain::{ResourceKey, ResourceType};
use beckon::ehr::connection::EhrConnection;
use beckon::ehr::plan::{Ask, Export};
use beckon::ehr::scopes::ScopeSet;
use beckon::pull::{self, Mode, RunReport, RunState, TypeReport};
use beckon::sandbox::{ExportManner, Fault, FaultKind, HospitalOptions, RetryAfter, Storage};
use beckon::store::{ExportRow, ExportState};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::house::{ADA, House, Setup, each_house_with, mobile, operator};

const CONDITION: ResourceType = ResourceType::Condition;

fn by_patient(ehr: &mut EhrConnection) {
    ehr.settings.plan.export = Some(Export::Patient);
}

fn setup(connection: fn(&mut EhrConnection), hospital: fn(&mut HospitalOptions)) -> Setup {
    Setup { connection, hospital, ..Setup::default() }
}

fn plain() -> Setup {
    setup(by_patient, |_| {})
}

fn condition(id: &str, patient: &str) -> Value {
    json!({"resourceType": "Condition", "id": id, "subject": {"reference": format!("Patient/{patient}")},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]}})
}

/// Ada has two conditions and Bo one.
fn admit(house: &House) {
    house.ada();
    house.patient("bo", mobile("+13125550124"));
    for (id, patient) in [("c1", ADA), ("c2", ADA), ("c3", "bo")] {
        house.hospital.put(condition(id, patient)).unwrap();
    }
}

fn of(report: &RunReport) -> TypeReport {
    report.of(CONDITION).unwrap_or_else(|| panic!("no conditions: {report:?}")).clone()
}

async fn mirrored(house: &House) -> Vec<String> {
    let mut ids: Vec<String> = house.view().mirrored_ids(&house.ehr, CONDITION).await.unwrap().into_iter().collect();
    ids.sort();
    ids
}

async fn last(house: &House) -> ExportRow {
    house.view().exports(&house.ehr, None, 1).await.unwrap().remove(0)
}

async fn is_covered(house: &House) -> bool {
    let covered = house.view().covered_types(&house.ehr).await.unwrap();
    covered.iter().any(|(kind, _)| *kind == CONDITION)
}

fn kick_offs(house: &House) -> Vec<String> {
    let requests = house.hospital.requests();
    requests.into_iter().filter(|it| it.path.contains("$export?") && it.status == 202).map(|it| it.path).collect()
}

#[tokio::test]
async fn an_export_of_each_level_brings_everything_and_leaves_nothing_at_the_server() {
    fn by_group(ehr: &mut EhrConnection) {
        ehr.settings.plan.export = Some(Export::Group);
        ehr.scopes = ScopeSet::for_backend(&format!("{} system/Group.r", EhrConnection::DEFAULT_SCOPES)).unwrap();
    }
    let levels: [(fn(&mut EhrConnection), &str); 3] = [
        (by_patient, "/fhir/Patient/$export"),
        (|ehr| ehr.settings.plan.export = Some(Export::System), "/fhir/$export"),
        (by_group, "/fhir/Group/registry/$export"),
    ];
    for (level, path) in levels {
        each_house_with(setup(level, |_| {}), async |house| {
            admit(&house);
            let members = json!([{"entity": {"reference": "Patient/ada"}}, {"entity": {"reference": "Patient/bo"}}]);
            house
                .hospital
                .put(json!({"resourceType": "Group", "id": "registry", "type": "person", "member": members}))
                .unwrap();
            let group = [ResourceKey::new(ResourceType::Group, "registry")].into();
            pull::import_roster(&house.t.store, &house.t.tenant, &house.ehr, &group, true, operator()).await.unwrap();
            let report = house.sync().await;
            let it = of(&report);
            assert_eq!((it.how, it.complete, it.read, it.changed), ("bulk export", true, 3, 3), "{path} {report:#?}");
            assert_eq!(mirrored(&house).await, ["c1", "c2", "c3"]);
            assert!(is_covered(&house).await);
            assert_eq!(house.asked("GET", path), 1, "{:?}", house.hospital.requests());
            assert_eq!(house.asked("GET", "/fhir/Condition?"), 0);
            assert_eq!(house.asked("DELETE", "/fhir/_export/"), 1, "the server may forget it");
            assert_eq!(house.hospital.exports(), (0, 1));
            // The next run has nothing to export yet.
            house.later(TimeDelta::hours(1));
            assert!(of(&house.sync().await).complete);
            assert_eq!(house.hospital.exports(), (0, 1));
            house.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_changed_and_what_was_deleted_comes_with_the_next_export() {
    each_house_with(plain(), async |house| {
        admit(&house);
        house.sync().await;
        house.later(TimeDelta::hours(13));
        house.hospital.put(condition("c4", "bo")).unwrap();
        assert!(house.hospital.delete("Condition", "c1"));
        assert!(house.hospital.delete("Condition", "c2"));
        // It came back while the export was prepared.
        house.hospital.inject(Fault::new(FaultKind::ExportUnderWay).on("/fhir/_export"));
        let waiting = of(&house.sync().await);
        assert!(!waiting.complete && waiting.error.is_none(), "{waiting:?}");
        house.hospital.put(condition("c2", ADA)).unwrap();
        house.later(TimeDelta::minutes(10));
        let it = of(&house.sync().await);
        assert!(it.complete, "{it:?}");
        assert_eq!((it.gone, mirrored(&house).await), (1, vec!["c2".to_owned(), "c3".to_owned(), "c4".to_owned()]));
        let asked = kick_offs(&house);
        assert!(asked.len() == 2 && !asked[0].contains("_since") && asked[1].contains("_since="), "{asked:?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_export_that_takes_its_time_is_asked_for_once_and_waited_for_by_later_runs() {
    each_house_with(plain(), async |house| {
        admit(&house);
        house.hospital.inject(Fault::new(FaultKind::ExportUnderWay).on("/fhir/_export").times(3));
        for _ in 0..3 {
            let report = house.sync().await;
            assert_eq!((report.state, of(&report).complete), (RunState::Done, false), "{report:#?}");
            assert!(of(&report).note.unwrap().contains("prepares it since"), "{report:#?}");
            assert!(!is_covered(&house).await, "absence is not proven meanwhile");
            house.later(TimeDelta::minutes(10));
        }
        assert_eq!(last(&house).await.state, ExportState::Running);
        assert!(of(&house.sync().await).complete);
        assert_eq!(house.hospital.exports(), (0, 1), "one export in all");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_so_and_not_before() {
    each_house_with(plain(), async |house| {
        admit(&house);
        let busy = |path: &str| {
            let wait = Some(RetryAfter::Seconds(1800));
            house.hospital.inject(Fault::new(FaultKind::TooManyRequests { retry_after: wait }).on(path));
        };
        busy("/fhir/Patient/$export");
        let report = house.sync().await;
        assert!(of(&report).error.is_some());
        let others = report.of(ResourceType::Appointment).unwrap();
        assert!(others.complete, "what is no export goes on: {report:#?}");
        house.later(TimeDelta::minutes(10));
        house.sync().await;
        assert_eq!((house.hospital.exports().1, house.asked("GET", "/fhir/Patient/$export")), (0, 1), "too early");
        house.later(TimeDelta::minutes(25));
        busy("/fhir/_export");
        house.sync().await;
        let polls = house.asked("GET", "/fhir/_export");
        house.later(TimeDelta::minutes(10));
        house.sync().await;
        assert_eq!(house.asked("GET", "/fhir/_export"), polls, "too early");
        house.later(TimeDelta::minutes(25));
        assert!(of(&house.sync().await).complete);
        assert_eq!(house.hospital.exports(), (0, 1));
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_the_server_forgot_is_exported_anew_from_where_that_export_began() {
    each_house_with(plain(), async |house| {
        admit(&house);
        house.sync().await;
        for (kind, from) in [(FaultKind::ExportFileGone, 1), (FaultKind::ExportForgotten, 3)] {
            house.later(TimeDelta::hours(13));
            house.hospital.put(condition(&format!("new-{from}"), ADA)).unwrap();
            house.hospital.inject(Fault::new(kind).on("/fhir/_export"));
            let it = of(&house.sync().await);
            assert!(it.complete, "{it:?}");
            let asked = kick_offs(&house);
            assert_eq!(asked.len(), from + 2);
            assert_eq!(asked[from], asked[from + 1], "the same question");
            assert!(mirrored(&house).await.contains(&format!("new-{from}")));
        }
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_that_lacks_what_was_announced_proves_nothing_and_costs_nothing() {
    each_house_with(plain(), async |house| {
        admit(&house);
        house.hospital.inject(Fault::new(FaultKind::ExportCountWrong).on("/fhir/_export"));
        let report = house.sync().await;
        let it = of(&report);
        assert_eq!((it.complete, report.state), (false, RunState::Partial), "{report:#?}");
        assert!(it.error.unwrap().contains("announced 4 of Condition in a file, and 3 came"));
        assert_eq!(mirrored(&house).await.len(), 3, "what came is kept");
        assert!(!is_covered(&house).await);
        house.later(TimeDelta::hours(2));
        assert!(of(&house.sync().await).complete, "and it is tried again from the beginning");
        assert!(kick_offs(&house).iter().all(|path| !path.contains("_since")));

        // A transfer that was cut short is read again at once.
        house.later(TimeDelta::days(8));
        house.hospital.inject(Fault::new(FaultKind::TruncatedJson).on("/fhir/_export").after(1));
        let it = of(&house.sync().await);
        assert!(it.complete, "{it:?}");
        assert_eq!(mirrored(&house).await.len(), 3);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn files_in_a_storage_are_fetched_without_our_token_and_only_where_that_is_allowed() {
    fn redirecting(options: &mut HospitalOptions) {
        options.personality.export = Some(ExportManner { storage: Storage::Redirect, ..ExportManner::EVERYTHING });
    }
    fn elsewhere(options: &mut HospitalOptions) {
        let elsewhere = ExportManner { storage: Storage::Elsewhere, requires_token: false, ..ExportManner::EVERYTHING };
        options.personality.export = Some(elsewhere);
    }
    fn allowing(ehr: &mut EhrConnection) {
        by_patient(ehr);
        ehr.settings.file_hosts = vec!["127.0.0.1".to_owned()];
    }
    for storage in [redirecting as fn(&mut HospitalOptions), elsewhere] {
        each_house_with(setup(allowing, storage), async |house| {
            admit(&house);
            let it = of(&house.sync().await);
            // The storage refuses whoever shows a token besides the signature.
            assert!(it.complete && it.read == 3, "{it:?}");
            assert!(house.asked("GET", "/_storage/") >= 1);
            house.close().await;
        })
        .await;
        each_house_with(setup(by_patient, storage), async |house| {
            admit(&house);
            let it = of(&house.sync().await);
            let words = it.error.unwrap();
            assert!(words.contains("beckon ehr set") && words.contains("127.0.0.1"), "{words}");
            assert_eq!(house.asked("GET", "/_storage/"), 0, "nothing is fetched from there");
            house.close().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_token_that_is_not_wanted_is_not_sent() {
    fn open(options: &mut HospitalOptions) {
        options.personality.export = Some(ExportManner { requires_token: false, ..ExportManner::EVERYTHING });
    }
    each_house_with(setup(by_patient, open), async |house| {
        admit(&house);
        let it = of(&house.sync().await);
        assert!(it.complete && it.read == 3, "{it:?}");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_draft_of_the_fourth_edition_is_spoken_too() {
    fn draft(options: &mut HospitalOptions) {
        let manner =
            ExportManner { by_get: false, draft: true, part: Some(1), per_file: 2, ..ExportManner::EVERYTHING };
        options.personality.export = Some(manner);
    }
    each_house_with(setup(by_patient, draft), async |house| {
        admit(&house);
        house.hospital.inject(Fault::new(FaultKind::ExportOutcome { severity: "warning".to_owned() }));
        let it = of(&house.sync().await);
        assert!(it.complete && it.read == 3, "{it:?}");
        assert!(it.note.unwrap().contains("warning"), "a warning is shown and costs nothing");
        assert_eq!(house.asked("POST", "/fhir/Patient/$export"), 1);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_export_with_errors_of_the_server_is_kept_and_not_taken_for_whole() {
    each_house_with(plain(), async |house| {
        admit(&house);
        house.hospital.inject(Fault::new(FaultKind::ExportOutcome { severity: "error".to_owned() }));
        let it = of(&house.sync().await);
        let words = it.error.unwrap();
        assert!(words.contains("error processing") && !words.contains("Lovelace"), "{words}");
        assert_eq!(mirrored(&house).await.len(), 3);
        assert!(!is_covered(&house).await);
        assert_eq!(last(&house).await.state, ExportState::Faulty);
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn where_no_export_can_be_had_patients_are_asked_for_one_by_one() {
    fn none(options: &mut HospitalOptions) {
        options.personality.export = None;
    }
    fn one_by_one(ehr: &mut EhrConnection) {
        by_patient(ehr);
        ehr.settings.plan.ask.insert(CONDITION, Ask::ByPatient);
    }
    each_house_with(setup(one_by_one, none), async |house| {
        admit(&house);
        let it = of(&house.sync().await);
        assert_eq!((it.how, it.complete, it.read), ("patient by patient", true, 3), "{it:?}");
        assert!(it.note.unwrap().contains("no bulk export"));
        house.later(TimeDelta::hours(1));
        house.sync().await;
        assert_eq!(house.asked("GET", "/fhir/Patient/$export"), 1, "the answer is believed for a day");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_new_patient_does_not_wait_for_the_next_export() {
    each_house_with(plain(), async |house| {
        admit(&house);
        house.sync().await;
        house.later(TimeDelta::hours(1));
        house.patient("cy", mobile("+13125550125"));
        house.hospital.put(condition("c9", "cy")).unwrap();
        house.sync().await;
        assert!(mirrored(&house).await.contains(&"c9".to_owned()));
        assert_eq!((house.hospital.exports().1, house.asked("GET", "/fhir/Condition?")), (1, 1), "hers alone");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_condition_that_left_the_chart_is_noticed_by_a_full_export() {
    each_house_with(plain(), async |house| {
        admit(&house);
        house.sync().await;
        assert!(house.hospital.delete("Condition", "c3"));
        house.later(TimeDelta::minutes(5));
        let it = of(&house.pull(Mode::Full).await);
        assert_eq!((it.gone, mirrored(&house).await.len()), (1, 2), "{it:?}");
        house.close().await;
    })
    .await;
}
