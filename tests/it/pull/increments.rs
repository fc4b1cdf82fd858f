//! What is asked for, and what a run makes of the mirror.

use std::sync::Mutex;

use beckon::domain::{EventKind, ResourceType};
use beckon::ehr::plan::{Ask, Changes};
use beckon::pull::{self, Mode, Progress, RunState};
use beckon::sandbox::{Fault, FaultKind};
use beckon::store::EventFilter;
use chrono::TimeDelta;
use serde_json::json;

use super::bench::{Bench, bench, each_hospital, of};

#[tokio::test]
async fn everything_at_the_ehr_is_mirrored_or_in_quarantine_with_its_reason() {
    each_hospital(100, async |b| {
        let report = b.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        let truth = b.hospital.truth();
        let quarantined = b.quarantined().await;
        for kind in [ResourceType::Patient, ResourceType::Appointment, ResourceType::Condition, ResourceType::Location]
        {
            let of_type = of(&report, kind);
            let at_ehr = truth.by_type[kind.as_str()];
            assert_eq!(of_type.read, at_ehr, "{kind}");
            let mut accounted = 0;
            for resource in b.hospital.resources(kind.as_str()) {
                let id = resource["id"].as_str().unwrap();
                let aside = quarantined.iter().any(|it| it.resource_type == kind.as_str() && it.resource_id == id);
                accounted += usize::from(b.mirrored(kind, id).await || aside);
            }
            assert_eq!(accounted, at_ehr, "{kind}: {quarantined:#?}");
        }
        assert!(quarantined.iter().all(|it| !it.path.is_empty() && !it.reason.is_empty()));
        let listed = of(&report, ResourceType::Patient);
        assert!(listed.pages > 1 && listed.how == "everything" && listed.complete, "{listed:?}");
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_second_run_asks_for_changes_only_and_changes_nothing() {
    each_hospital(30, async |b| {
        let first = b.sync().await;
        assert!(first.planned.planned > 0, "{first:#?}");
        let before = b.searches("Appointment").len();
        b.t.clock.advance(TimeDelta::minutes(30));
        let second = b.sync().await;
        assert_eq!(second.state, RunState::Done, "{second:#?}");
        assert!(
            second.types.iter().all(|(_, of_type)| of_type.changed == 0 && of_type.how == "increment"),
            "{second:#?}"
        );
        assert_eq!((second.planned.planned, second.planned.ended), (0, 0));
        let asked = b.searches("Appointment").split_off(before);
        assert_eq!(asked.len(), 1);
        // 18:00 by the server's clock, less the overlap.
        assert!(asked[0].contains("_lastUpdated=ge2026-03-02T17%3A50%3A00Z"), "{asked:?}");
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_page_that_comes_twice_changes_nothing() {
    let b = bench(|_| {}).await;
    b.patient("ada");
    b.book("a1", "ada", 3);
    b.sync().await;
    let planned = b.reminders("ada").await;
    assert!(!planned.is_empty());
    for _ in 0..2 {
        let again = b.pull(Mode::Full).await;
        assert_eq!(of(&again, ResourceType::Appointment).changed, 0);
    }
    assert_eq!(b.reminders("ada").await, planned);
}

#[tokio::test]
async fn what_was_deleted_is_found_by_a_full_listing_and_only_after_a_look() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.book("a1", "ada", 3);
        b.book("a2", "ada", 5);
        b.sync().await;
        assert!(b.hospital.delete("Appointment", "a1"));
        b.t.clock.advance(TimeDelta::minutes(30));
        b.sync().await;
        assert!(b.mirrored(ResourceType::Appointment, "a1").await, "a search never shows what was deleted");
        let open = b.open_reminders("ada").await;

        // Nobody answers when it is looked up: it stays, and the full listing does not count as one.
        let down = FaultKind::ServerError { status: 500, retry_after: None };
        b.hospital.inject(Fault::new(down).on("/fhir/Appointment/a1").always());
        let report = b.pull(Mode::Full).await;
        assert!(of(&report, ResourceType::Appointment).note.unwrap().contains("could not all be looked up"));
        assert!(b.mirrored(ResourceType::Appointment, "a1").await);
        b.hospital.clear_faults();

        let report = b.pull(Mode::Full).await;
        assert_eq!(of(&report, ResourceType::Appointment).gone, 1);
        assert!(!b.mirrored(ResourceType::Appointment, "a1").await);
        assert!(b.mirrored(ResourceType::Appointment, "a2").await);
        assert!(b.open_reminders("ada").await < open);
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_full_listing_is_made_every_day() {
    let b = bench(|_| {}).await;
    b.sync().await;
    b.t.clock.advance(TimeDelta::hours(23));
    assert_eq!(of(&b.sync().await, ResourceType::Patient).how, "increment");
    b.t.clock.advance(TimeDelta::hours(2));
    assert_eq!(of(&b.sync().await, ResourceType::Patient).how, "everything");
}

#[tokio::test]
async fn a_server_that_ignores_the_window_is_not_believed_again() {
    let b = bench(|_| {}).await;
    b.patient("ada");
    b.book("a1", "ada", 3);
    b.sync().await;
    b.t.clock.advance(TimeDelta::hours(1));
    b.hospital
        .inject(Fault::new(FaultKind::IgnoreParameter { name: "_lastUpdated".to_owned() }).on("/fhir/Appointment"));
    let report = of(&b.sync().await, ResourceType::Appointment);
    assert!(report.note.unwrap().contains("_lastUpdated"));
    b.t.clock.advance(TimeDelta::hours(1));
    let report = b.sync().await;
    assert_eq!(of(&report, ResourceType::Appointment).how, "everything");
    assert_eq!(of(&report, ResourceType::Patient).how, "increment", "other types are still believed");
}

#[tokio::test]
async fn a_server_without_last_updated_is_compared_by_content() {
    let b = bench(|ehr| {
        for kind in [ResourceType::Patient, ResourceType::Appointment] {
            ehr.settings.plan.changes.insert(kind, Changes::Snapshot);
        }
    })
    .await;
    b.patient("ada");
    b.book("a1", "ada", 3);
    b.book("a2", "ada", 9);
    b.sync().await;
    b.t.clock.advance(TimeDelta::hours(1));
    let mut moved = b.appointment("a1", "ada", 4);
    moved["description"] = json!("moved");
    b.hospital.put(moved).unwrap();
    let report = of(&b.sync().await, ResourceType::Appointment);
    assert_eq!((report.how, report.read, report.changed, report.unchanged), ("everything", 2, 1, 1));
}

#[tokio::test]
async fn servers_that_search_by_patient_or_not_at_all_are_read_too() {
    let b = bench(|ehr| {
        ehr.settings.plan.ask.insert(ResourceType::Patient, Ask::ById);
        ehr.settings.plan.ask.insert(ResourceType::Location, Ask::ById);
        ehr.settings.plan.ask.insert(ResourceType::Condition, Ask::ByPatient);
    })
    .await;
    b.patient("ada");
    b.book("a1", "ada", 3);
    b.hospital
        .put(json!({"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/ada"},
            "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]}}))
        .unwrap();
    let report = b.sync().await;
    assert_eq!(report.state, RunState::Done, "{report:#?}");
    assert!(b.mirrored(ResourceType::Patient, "ada").await, "an appointment named her");
    assert!(b.mirrored(ResourceType::Location, "loc-boston").await);
    assert!(b.mirrored(ResourceType::Condition, "c1").await);
    assert!(b.searches("Patient").is_empty() && b.searches("Condition")[0].contains("patient=ada"));
    b.hospital.delete("Patient", "ada");
    b.t.clock.advance(TimeDelta::hours(12));
    let report = b.sync().await;
    assert_eq!(of(&report, ResourceType::Patient).gone, 1, "twice a day everything known is read again");
    assert_eq!(b.open_reminders("ada").await, 0, "nobody is reminded whose record is gone");
}

#[tokio::test]
async fn a_run_is_told_while_it_goes_and_recorded_when_it_ends() {
    let b = bench(|_| {}).await;
    b.patient("ada");
    b.book("a1", "ada", 3);
    let told: Mutex<Vec<Progress>> = Mutex::default();
    let watch = |progress: &Progress| told.lock().unwrap().push(progress.clone());
    let report = pull::run(&b.t.store, &b.client, &Bench::options(Mode::Increment), &watch).await.unwrap();
    let told = told.into_inner().unwrap();
    assert!(matches!(told[0], Progress::Began { kind: ResourceType::Location, .. }), "{told:?}");
    assert!(
        told.iter().any(|it| matches!(it, Progress::Page { kind: ResourceType::Appointment, read: 1, total: Some(1) }))
    );
    assert!(matches!(told.last(), Some(Progress::Planned { patients: 1 })), "{told:?}");
    let view = b.t.store.view(&b.t.tenant);
    let runs = view.pull_runs(&b.ehr, 5).await.unwrap();
    assert_eq!((runs.len(), runs[0].id, runs[0].state.as_str()), (1, report.id, "done"));
    assert!(runs[0].finished_at.is_some() && runs[0].counts["planned"]["patients"] == 1, "{}", runs[0].counts);
    let kinds = vec![EventKind::PullStarted, EventKind::PullFinished];
    let events = view.events(&EventFilter { kinds, limit: 10, ..EventFilter::default() }).await.unwrap();
    assert_eq!(events.len(), 2);
    assert!(view.ehr(&b.ehr).await.unwrap().unwrap().granted_scopes.unwrap().contains("system/Appointment"));
}
