//! The back door: what a test in another process and the demo's pages do over HTTP.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{CLIENT, Hook, Site, monday};

#[tokio::test]
async fn everything_can_be_done_from_another_process() {
    let site = Site::with_patients(90).await;
    let get = |path: &'static str| {
        let url = format!("{}{path}", site.hospital.admin_url());
        let request = site.http.get(url).send();
        async move { request.await.unwrap().json::<Value>().await.unwrap() }
    };
    let info = get("/info").await;
    assert_eq!(
        (&info["fhir_base"], &info["phone"]["sid"]),
        (&json!(site.hospital.fhir_base()), &json!(site.hospital.account_sid()))
    );
    assert_eq!(get("/awkward").await.as_array().unwrap().len(), 45);
    assert_eq!(get("/truth").await, serde_json::to_value(site.hospital.truth()).unwrap());

    let hook = Hook::listen();
    assert_eq!(site.admin(Method::PUT, "/inbound-url", &json!({"url": hook.url})).await.status, 204);
    let reply = site.admin(Method::POST, "/replies", &json!({"from": "+16175550123", "body": "STOP"})).await;
    assert_eq!(reply.body, json!({"webhook_status": 204}));
    assert_eq!(hook.posts(site.hospital.auth_token())[0]["Body"], "STOP");
    let texts = get("/texts").await;
    let directions: Vec<&str> =
        texts.as_array().unwrap().iter().filter_map(|text| text["direction"].as_str()).collect();
    assert_eq!(directions, ["inbound", "outbound-reply"]);

    let communication = json!({"resourceType": "Communication", "id": "c1", "status": "completed"});
    assert_eq!(site.admin(Method::PUT, "/resources/Communication/c1", &communication).await.status, 204);
    assert_eq!(site.admin(Method::PUT, "/resources/Communication/c2", &communication).await.status, 400);
    assert_eq!(get("/communications").await[0]["id"], "c1");
    assert_eq!(site.admin(Method::DELETE, "/resources/Communication/c1", &json!(null)).await.status, 204);
    assert_eq!(get("/communications").await, json!([]));

    site.clock.advance(TimeDelta::days(20));
    let day = json!({"now": monday() + TimeDelta::days(20)});
    let advanced = site.admin(Method::POST, "/advance", &day).await;
    assert!(advanced.body["changes"].as_u64().unwrap() > 10, "{}", advanced.body);
    assert_eq!(site.admin(Method::POST, "/advance", &day).await.body["changes"], 0);

    let narrow = json!({"client_id": CLIENT, "jwks": {"keys": []}, "scopes": "system/Patient.r"});
    assert_eq!(site.admin(Method::POST, "/clients", &narrow).await.status, 204);
    let refused = site.ask_token(&site.sign(&Site::header(), &site.claims()), "system/Patient.r").await;
    assert_eq!(refused.status, 401, "its keys are gone");
    assert!(get("/requests").await.as_array().unwrap().iter().any(|request| request["path"] == "/oauth2/token"));
}

#[tokio::test]
async fn time_can_pass_by_itself() {
    let site = Site::with(|options| {
        options.patients = 40;
        options.tick_every = Some(Duration::from_millis(10));
    })
    .await;
    let before = site.hospital.truth();
    site.clock.advance(TimeDelta::days(20));
    let started = Instant::now();
    while site.hospital.truth() == before {
        assert!(started.elapsed() < Duration::from_secs(20), "nothing happened");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
