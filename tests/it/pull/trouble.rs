//! Bad input and bad weather: each has its place named, the run goes on, and nothing else is lost.

use beckon::domain::{AlertKind, ResourceType};
use beckon::pull::{PullError, RunState};
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::json;

use super::bench::{Bench, bench, each_hospital, of};

const APPOINTMENT: ResourceType = ResourceType::Appointment;

/// Forty appointments: two pages.
fn fill(b: &Bench) {
    b.patient("ada");
    for number in 0..40 {
        b.book(&format!("a{number:02}"), "ada", 2 + number);
    }
}

#[tokio::test]
async fn an_error_in_one_type_does_not_lose_the_others() {
    let faults = [
        (FaultKind::HtmlInsteadOfJson, "HTML page"),
        (FaultKind::TruncatedJson, "ends too early"),
        (FaultKind::ServerError { status: 500, retry_after: None }, "status 500"),
        (FaultKind::WrongContentType { content_type: "text/plain".to_owned() }, "content type text/plain"),
        (FaultKind::NextOnOtherOrigin { origin: "https://evil.example".to_owned() }, "https://evil.example"),
    ];
    for (kind, words) in faults {
        let b = bench(|_| {}).await;
        fill(&b);
        b.hospital.inject(Fault::new(kind).on("/fhir/Appointment").always());
        let report = b.sync().await;
        assert_eq!(report.state, RunState::Partial, "{words}");
        let error = of(&report, APPOINTMENT).error.unwrap();
        assert!(error.contains(words) && error.contains("/fhir/Appointment"), "{words}: {error}");
        assert_eq!(b.since(APPOINTMENT).await, None, "{words}: no watermark without a last page");
        for kind in [ResourceType::Location, ResourceType::Patient, ResourceType::Condition] {
            assert!(of(&report, kind).complete && b.since(kind).await.is_some(), "{words}: {kind}");
        }
        let runs = b.t.store.view(&b.t.tenant).pull_runs(&b.ehr, 1).await.unwrap();
        assert!(runs[0].error.as_ref().unwrap().starts_with("Appointment: "), "{:?}", runs[0].error);
        b.hospital.clear_faults();
        let report = b.sync().await;
        assert_eq!((report.state, of(&report, APPOINTMENT).read), (RunState::Done, 40), "{words}");
    }
}

#[tokio::test]
async fn a_run_cut_off_in_the_middle_keeps_its_pages_and_not_its_watermark() {
    each_hospital(0, async |b| {
        fill(&b);
        // The second page is never to be had, however often the search starts again.
        b.hospital.inject(Fault::new(FaultKind::ExpiredPaging).always());
        let report = of(&b.sync().await, APPOINTMENT);
        assert_eq!((report.pages, report.changed, report.complete), (3, 20, false), "{report:?}");
        assert!(report.error.unwrap().contains("must start again"));
        assert_eq!(b.since(APPOINTMENT).await, None);
        b.hospital.clear_faults();
        let report = of(&b.sync().await, APPOINTMENT);
        assert_eq!((report.read, report.changed, report.unchanged), (40, 20, 20), "{report:?}");
        assert!(b.since(APPOINTMENT).await.is_some());
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_search_whose_pages_were_forgotten_starts_again() {
    let b = bench(|_| {}).await;
    fill(&b);
    b.sync().await;
    b.hospital.inject(Fault::new(FaultKind::ExpiredPaging));
    let report = b.pull(beckon::pull::Mode::Full).await;
    assert_eq!(report.state, RunState::Done, "{report:#?}");
    assert_eq!(of(&report, APPOINTMENT).gone, 0);
}

#[tokio::test]
async fn a_scope_that_was_not_granted_is_not_an_empty_ehr() {
    let b = bench(|_| {}).await;
    fill(&b);
    b.sync().await;
    b.t.clock.advance(TimeDelta::hours(25));
    let scopes = "system/Patient.rs system/Location.rs system/Condition.rs".to_owned();
    b.hospital.inject(Fault::new(FaultKind::GrantScopes { scopes }).always());
    let open = b.open_reminders("ada").await;
    let asked = b.searches("Appointment").len();
    let report = b.sync().await;
    assert_eq!(b.searches("Appointment").len(), asked, "a server might answer with nothing");
    let error = of(&report, APPOINTMENT).error.unwrap();
    assert!(error.contains("scope") && error.contains("Appointment"), "{error}");
    assert_eq!(of(&report, APPOINTMENT).gone, 0);
    assert_eq!(b.open_reminders("ada").await, open);
}

#[tokio::test]
async fn what_cannot_be_used_is_set_aside_and_let_out_when_it_is_mended() {
    each_hospital(0, async |b| {
        b.patient("ada");
        b.book("good", "ada", 3);
        let mut nobody = b.appointment("nobody", "ada", 3);
        nobody.as_object_mut().unwrap().remove("participant");
        b.hospital.put(nobody).unwrap();
        b.book("stranger", "never-was", 3);
        let report = b.sync().await;
        assert_eq!(report.state, RunState::Done, "{report:#?}");
        assert!(b.mirrored(APPOINTMENT, "good").await && !b.mirrored(APPOINTMENT, "nobody").await);
        let aside = b.quarantined().await;
        let named: Vec<String> = aside.iter().map(|it| format!("{}/{}", it.resource_type, it.resource_id)).collect();
        assert!(named.contains(&"Appointment/nobody".to_owned()), "{aside:?}");
        assert!(named.contains(&"Patient/never-was".to_owned()), "{aside:?}");
        let nobody = aside.iter().find(|it| it.resource_id == "nobody").unwrap();
        assert!(nobody.path.starts_with("Appointment"), "{nobody:?}");

        b.t.clock.advance(TimeDelta::minutes(5));
        b.book("nobody", "ada", 3);
        b.patient("never-was");
        b.sync().await;
        assert_eq!(b.quarantined().await, []);
        assert!(b.open_reminders("never-was").await > 0, "the appointment waited for its patient");
        b.hospital.stop().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_token_nothing_is_pulled_and_the_run_says_why() {
    let b = bench(|ehr| ehr.client_id = "nobody".to_owned()).await;
    let options = Bench::options(beckon::pull::Mode::Increment);
    let error = beckon::pull::run(&b.t.store, &b.client, &options, &|_| {}).await.unwrap_err();
    assert!(matches!(error, PullError::Ehr(_)), "{error}");
    let runs = b.t.store.view(&b.t.tenant).pull_runs(&b.ehr, 1).await.unwrap();
    assert_eq!(runs[0].state, "failed");
    assert!(runs[0].error.as_ref().unwrap().contains("does not accept this client"), "{:?}", runs[0].error);
}

#[tokio::test]
async fn people_are_told_of_refused_tokens_missing_scopes_and_a_full_quarantine_until_it_is_well_again() {
    let kinds = async |b: &Bench| -> Vec<AlertKind> {
        let alerts = b.t.store.view(&b.t.tenant).alerts(true, None, 10).await.unwrap();
        alerts.into_iter().filter(|alert| alert.resolved_at.is_none()).map(|alert| alert.kind).collect()
    };
    let b = bench(|_| {}).await;
    b.patient("ada");
    for number in 0..30 {
        let mut nobody = b.appointment(&format!("n{number}"), "ada", 3);
        nobody.as_object_mut().unwrap().remove("participant");
        b.hospital.put(nobody).unwrap();
    }
    b.sync().await;
    assert_eq!(kinds(&b).await, [AlertKind::QuarantineSpike]);
    for number in 0..30 {
        b.book(&format!("n{number}"), "ada", 3);
    }
    b.t.clock.advance(TimeDelta::hours(1));
    let scopes = "system/Patient.rs system/Appointment.rs system/Location.rs system/Condition.rs".to_owned();
    b.hospital.inject(Fault::new(FaultKind::GrantScopes { scopes }));
    b.sync().await;
    assert_eq!(kinds(&b).await, [AlertKind::ScopesMissing]);
    b.t.clock.advance(TimeDelta::hours(1));
    b.sync().await;
    assert_eq!(kinds(&b).await, []);

    let stranger = bench(|ehr| ehr.client_id = "nobody".to_owned()).await;
    let options = Bench::options(beckon::pull::Mode::Increment);
    beckon::pull::run(&stranger.t.store, &stranger.client, &options, &|_| {}).await.unwrap_err();
    assert_eq!(kinds(&stranger).await, [AlertKind::TokenRefused]);
}

#[tokio::test]
async fn appointments_as_awkward_as_life_are_named_with_their_place() {
    let b = bench(|_| {}).await;
    b.patient("ada");
    let mut backwards = b.appointment("backwards", "ada", 3);
    backwards["end"] = json!((b.now() + TimeDelta::days(2)).to_rfc3339());
    b.hospital.put(backwards).unwrap();
    let mut odd = b.appointment("odd", "ada", 3);
    odd["status"] = json!("maybe");
    b.hospital.put(odd).unwrap();
    let report = b.sync().await;
    assert_eq!(report.state, RunState::Done);
    let aside = b.quarantined().await;
    let odd = aside.iter().find(|it| it.resource_id == "odd").unwrap();
    assert_eq!(odd.path, "Appointment.status");
    assert!(aside.iter().any(|it| it.resource_id == "backwards") || b.mirrored(APPOINTMENT, "backwards").await);
}
