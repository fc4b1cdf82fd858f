//! Servers in trouble: what is tried again, for how long, and what is said in the end.

use std::time::Duration;

use beckon::domain::{ResourceKey, ResourceType};
use beckon::ehr::error::{EhrError, NotFhir, Refusal};
use beckon::ehr::search::Search;
use beckon::sandbox::{Fault, FaultKind, RetryAfter};
use serde_json::json;

use super::canned::{Answer, with_token};
use super::support::{Gate, Site};

const LOCATION: ResourceType = ResourceType::Location;

async fn find(site: &Site, kind: FaultKind, times: u32) -> Result<usize, EhrError> {
    site.hospital.inject(Fault::new(kind).on("/fhir/Location").times(times));
    let found = site.client.find(Search::new(LOCATION)).await.map(|found| found.len());
    site.hospital.clear_faults();
    found
}

#[tokio::test]
async fn a_passing_storm_is_waited_out() {
    let site = Site::open().await;
    let all = site.client.find(Search::new(LOCATION)).await.unwrap().len();
    for kind in [
        FaultKind::ServerError { status: 500, retry_after: None },
        FaultKind::ServerError { status: 502, retry_after: None },
        FaultKind::TooManyRequests { retry_after: None },
        FaultKind::LostReply,
    ] {
        let before = site.naps.taken().len();
        assert_eq!(find(&site, kind.clone(), 3).await.unwrap(), all, "{kind:?}");
        assert_eq!(site.naps.taken().len() - before, 3, "{kind:?}");
    }
    let usage = site.client.usage();
    assert_eq!((usage.retries, usage.throttled), (12, 3));
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_kept() {
    let site = Site::open().await;
    for retry_after in [RetryAfter::Seconds(30), RetryAfter::DateIn(30)] {
        let before = site.naps.taken().len();
        find(&site, FaultKind::TooManyRequests { retry_after: Some(retry_after) }, 1).await.unwrap();
        let nap = site.naps.taken()[before];
        assert!((29..=31).contains(&nap.as_secs()), "{retry_after:?}: {nap:?}");
    }
    let before = site.naps.taken().len();
    let long = FaultKind::TooManyRequests { retry_after: Some(RetryAfter::Seconds(600)) };
    let error = find(&site, long, 1).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_mins(10)), "the caller comes back later: {error}");
    assert_eq!(site.naps.taken().len(), before);
}

#[tokio::test]
async fn a_storm_without_end_is_an_error_that_passes() {
    let site = Site::open().await;
    let error = find(&site, FaultKind::ServerError { status: 500, retry_after: None }, 9).await.unwrap_err();
    assert!(matches!(error, EhrError::Refused { status: 500, refusal: Refusal::ServerFault, .. }), "{error}");
    assert!(error.is_transient());
    assert_eq!(site.asked("GET", "/fhir/Location"), 4);
}

#[tokio::test]
async fn spoiled_answers_are_named_with_their_place_and_without_the_question() {
    let site = Site::open().await;
    let cases = [
        (FaultKind::HtmlInsteadOfJson, NotFhir::Html),
        (FaultKind::TruncatedJson, NotFhir::Truncated),
        (FaultKind::WrongContentType { content_type: "text/plain".to_owned() }, NotFhir::WrongContentType),
    ];
    for (kind, expected) in cases {
        site.hospital.inject(Fault::new(kind.clone()).on("/fhir/Location"));
        let error = site.client.find(Search::new(LOCATION).with("name", "Secret")).await.unwrap_err();
        assert!(
            matches!(&error, EhrError::NotFhir { status: 200, what, .. } if *what == expected),
            "{kind:?}: {error}"
        );
        let words = error.to_string();
        assert!(words.contains("GET http://127.0.0.1") && words.contains("/fhir/Location"), "{words}");
        assert!(words.contains("status 200") && words.contains("content type "), "{words}");
        assert!(!format!("{error:?}{words}").contains("Secret"), "{words}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let site = Site::with(|ehr| ehr.settings.max_body_megabytes = 1).await;
    let error = find(&site, FaultKind::HugeBody { megabytes: 3 }, 1).await.unwrap_err();
    assert!(matches!(error, EhrError::TooLarge { limit: 1_048_576, .. }), "{error}");
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let site = Site::with(|ehr| ehr.settings.timeout_seconds = 1).await;
    let error = find(&site, FaultKind::SlowBody { chunk: 1, millis: 50 }, 9).await.unwrap_err();
    assert!(matches!(error, EhrError::TimedOut { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_told_without_the_question() {
    let site = Site::open().await;
    site.client.tokens().get().await.unwrap();
    let gate = Gate::to("http://127.0.0.1:9/fhir", |_| {});
    let error = gate.client.capability().await.unwrap_err();
    assert!(matches!(error, EhrError::Unreachable { .. }), "{error}");
    assert_eq!(gate.naps.taken().len(), 3);
}

#[tokio::test]
async fn outcomes_say_what_to_do() {
    let outcome = |status: u16, code: &str| {
        Answer::json(
            status,
            &json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}),
        )
    };
    let cases: [(u16, &str, bool, usize); 6] = [
        (400, "throttled", true, 4),
        (409, "lock-error", false, 4),
        (422, "too-costly", false, 1),
        (400, "invalid", false, 1),
        (501, "not-supported", false, 1),
        (200, "too-costly", false, 1),
    ];
    for (status, code, transient, tries) in cases {
        let server = with_token(move |_, _| outcome(status, code)).await;
        let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
        let error = gate.client.find(Search::new(LOCATION)).await.unwrap_err();
        assert_eq!(
            (error.is_transient(), server.count("/fhir/Location")),
            (transient, tries),
            "{status} {code}: {error}"
        );
        if code == "too-costly" {
            assert!(matches!(error, EhrError::Refused { refusal: Refusal::TooCostly, .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_the_budget_allows() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
    let (now, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (in_flight, peak) = (now.clone(), most.clone());
    let server = with_token(move |_, _| {
        peak.fetch_max(in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        in_flight.fetch_sub(1, SeqCst);
        Answer::json(200, &json!({"resourceType": "Location", "id": "l"}))
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |ehr| ehr.settings.concurrency = 1);
    let key = ResourceKey::new(LOCATION, "l");
    let reads = (0..8).map(|_| gate.client.read(&key, None));
    assert!(futures_util::future::join_all(reads).await.into_iter().all(|read| read.is_ok()));
    assert_eq!(most.load(SeqCst), 1);
    assert_eq!(gate.client.usage().requests, 8 + 2, "discovery and token are calls too");
}
