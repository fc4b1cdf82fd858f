//! Every fault does what its name says, as often as asked, where asked.

use std::time::{Duration, Instant};

use beckon::sandbox::{Fault, FaultKind, RetryAfter};
use reqwest::Method;
use serde_json::json;

use super::support::{Site, answer, link};

#[tokio::test]
async fn throttling_comes_with_seconds_a_date_or_nothing() {
    let site = Site::empty().await;
    let token = site.token("system/*.rs").await;
    for (retry_after, header) in [
        (None, ""),
        (Some(RetryAfter::Seconds(7)), "7"),
        (Some(RetryAfter::DateIn(60)), "Mon, 02 Mar 2026 12:01:00 GMT"),
    ] {
        site.hospital.inject(Fault::new(FaultKind::TooManyRequests { retry_after }).on("/fhir/Location"));
        assert_eq!(site.get("/Patient", &token).await.status, 200, "elsewhere all is well");
        let reply = site.get("/Location", &token).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, header));
        assert_eq!(reply.body["issue"][0]["code"], "throttled");
        assert_eq!(site.get("/Location", &token).await.status, 200, "once");
    }
}

#[tokio::test]
async fn a_storm_lasts_as_long_as_asked() {
    let site = Site::empty().await;
    let token = site.token("system/*.rs").await;
    site.hospital
        .inject(Fault::new(FaultKind::ServerError { status: 503, retry_after: None }).on("/fhir").after(1).times(2));
    let mut states = Vec::new();
    for _ in 0..4 {
        states.push(site.get("/Location", &token).await.status);
    }
    assert_eq!(states, [200, 503, 503, 200]);
    let storm = json!({"kind": "server_error", "status": 500, "on": "/fhir", "method": "GET", "times": null});
    assert_eq!(site.admin(Method::POST, "/faults", &storm).await.status, 204, "from another process");
    for _ in 0..3 {
        assert_eq!(site.get("/Location", &token).await.status, 500);
    }
    assert_eq!(site.admin(Method::DELETE, "/faults", &json!(null)).await.status, 204);
    assert_eq!(site.get("/Location", &token).await.status, 200);
    let bad = site.admin(Method::POST, "/faults", &json!({"kind": "earthquake"})).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn bodies_are_spoiled_as_asked() {
    let site = Site::empty().await;
    let token = site.token("system/*.rs").await;
    let fetch = |kind: FaultKind| {
        site.hospital.inject(Fault::new(kind).on("/fhir/Location"));
        site.http.get(site.url("/Location/loc-boston")).bearer_auth(&token).send()
    };
    let reply = fetch(FaultKind::TruncatedJson).await.unwrap();
    assert_eq!(reply.status(), 200);
    let text = reply.text().await.unwrap();
    assert!(text.starts_with('{') && serde_json::from_str::<serde_json::Value>(&text).is_err());
    let reply = fetch(FaultKind::HtmlInsteadOfJson).await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), reply.headers()["content-type"].to_str().unwrap()),
        (200, "text/html; charset=utf-8")
    );
    let reply = fetch(FaultKind::WrongContentType { content_type: "text/plain".to_owned() }).await.unwrap();
    assert_eq!(reply.headers()["content-type"], "text/plain");
    assert!(reply.json::<serde_json::Value>().await.unwrap()["id"] == "loc-boston");
    let started = Instant::now();
    let reply = fetch(FaultKind::SlowBody { chunk: 200, millis: 30 }).await.unwrap();
    assert_eq!(reply.json::<serde_json::Value>().await.unwrap()["id"], "loc-boston");
    assert!(started.elapsed() > Duration::from_millis(60));
    let reply = fetch(FaultKind::HugeBody { megabytes: 3 }).await.unwrap();
    assert!(reply.bytes().await.unwrap().len() > 3 << 20);
    let reply = fetch(FaultKind::ClockSkew { seconds: -600 }).await.unwrap();
    assert_eq!(reply.headers()["date"], "Mon, 02 Mar 2026 11:50:00 GMT");
}

#[tokio::test]
async fn paging_goes_wrong_as_asked() {
    let site = Site::with_patients(30).await;
    let token = site.token("system/*.rs").await;
    site.hospital.inject(Fault::new(FaultKind::NextOnOtherOrigin { origin: "http://127.0.0.2:9".to_owned() }));
    let reply = site.get("/Patient?_count=5", &token).await;
    assert!(link(&reply.body, "next").unwrap().starts_with("http://127.0.0.2:9/"));
    let first = site.get("/Patient?_count=5", &token).await;
    let next = link(&first.body, "next").unwrap();
    site.hospital.inject(Fault::new(FaultKind::NextLoop));
    let second = site.get(&next, &token).await;
    assert_eq!(link(&second.body, "next").unwrap(), next, "the page leads to itself");
    site.hospital.inject(Fault::new(FaultKind::ExpiredPaging));
    assert_eq!(site.get(&next, &token).await.status, 410);
    assert_eq!(site.get(&next, &token).await.status, 200);
    site.hospital.inject(Fault::new(FaultKind::DuplicateEntries).after(1));
    site.hospital.inject(Fault::new(FaultKind::PageWithoutMatch).after(2));
    let ids: Vec<String> =
        site.all("/Patient?_count=5", &token).await.iter().map(|patient| patient["id"].to_string()).collect();
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (35, 30), "five come twice, none is missing");
    site.hospital.inject(Fault::new(FaultKind::IgnoreParameter { name: "_lastUpdated".to_owned() }));
    let deaf = site.get("/Patient?_lastUpdated=gt2030-01-01", &token).await;
    assert_eq!(deaf.body["total"], 30);
    assert!(!link(&deaf.body, "self").unwrap().contains("_lastUpdated"));
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_kept() {
    let site = Site::empty().await;
    let token = site.token("system/*.cruds").await;
    site.hospital.inject(Fault::new(FaultKind::LostReply).on("/fhir/Communication").method("POST"));
    let body = json!({"resourceType": "Communication", "status": "completed"});
    let lost = site.write(Method::POST, "/Communication", &token, &body).send().await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(site.hospital.communications().len(), 1);
    assert_eq!(answer(site.write(Method::POST, "/Communication", &token, &body)).await.status, 201);
}

#[tokio::test]
async fn a_good_token_is_refused_once_or_always() {
    let site = Site::empty().await;
    let token = site.token("system/*.rs").await;
    site.hospital.inject(Fault::new(FaultKind::Unauthorized));
    assert_eq!(site.get("/Location", &token).await.status, 401);
    assert_eq!(site.get("/Location", &token).await.status, 200);
    site.hospital.inject(Fault::new(FaultKind::Unauthorized).always());
    for _ in 0..3 {
        assert_eq!(site.get("/Location", &token).await.status, 401);
    }
    site.hospital.clear_faults();
    let seen: Vec<u16> = site.hospital.requests().iter().map(|request| request.status).collect();
    assert_eq!(seen, [200, 401, 200, 401, 401, 401]);
}

#[tokio::test]
async fn discovery_can_name_another_token_endpoint() {
    let site = Site::empty().await;
    let url = "https://elsewhere.example/token";
    site.hospital.inject(Fault::new(FaultKind::OtherTokenEndpoint { url: url.to_owned() }));
    let discovery = site.url("/.well-known/smart-configuration");
    assert_eq!(answer(site.http.get(&discovery)).await.body["token_endpoint"], url);
    assert_eq!(answer(site.http.get(&discovery)).await.body["token_endpoint"], site.hospital.token_url());
}
