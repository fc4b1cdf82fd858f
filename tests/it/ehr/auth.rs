//! Tokens: who gets one, how often, and what is said when there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use beckon::domain::ResourceType;
use beckon::ehr::error::{EhrError, Refusal};
use beckon::ehr::keys::SigningAlg;
use beckon::ehr::search::Search;
use beckon::ehr::token::TokenError;
use beckon::sandbox::{Fault, FaultKind, RetryAfter};
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::canned::{Answer, Canned};
use super::support::{Gate, Site};

#[tokio::test]
async fn both_algorithms_are_believed_by_a_server_that_checks_everything() {
    for alg in SigningAlg::ALL {
        let site = Site::with(|ehr| ehr.settings.signing_alg = Some(alg)).await;
        let token = site.client.tokens().get().await.unwrap();
        assert!(token.missing.is_empty(), "{alg}");
        assert_eq!(token.life().as_secs(), 300);
    }
}

#[tokio::test]
async fn many_callers_share_one_token_request() {
    let site = Site::open().await;
    let calls = (0..50).map(|_| site.client.find(Search::new(ResourceType::Location)));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(site.asked("POST", "/oauth2/token"), 1);
    assert_eq!(site.asked("GET", "/fhir/.well-known"), 1);
}

#[tokio::test]
async fn callers_that_waited_for_a_failed_request_share_its_failure() {
    let site = Site::with(|ehr| ehr.client_id = "nobody".to_owned()).await;
    let calls = (0..20).map(|_| site.client.tokens().get());
    for result in futures_util::future::join_all(calls).await {
        assert!(matches!(result, Err(TokenError::InvalidClient { .. } | TokenError::CircuitOpen { .. })));
    }
    assert_eq!(site.asked("POST", "/oauth2/token"), 2, "one try and one more with a new assertion");
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_not_stormed_by_those_who_wait() {
    let site = Site::open().await;
    let down = FaultKind::ServerError { status: 503, retry_after: None };
    site.hospital.inject(Fault::new(down).on("/oauth2/token").always());
    let calls = (0..20).map(|_| site.client.tokens().get());
    for result in futures_util::future::join_all(calls).await {
        assert!(matches!(result, Err(TokenError::Throttled { status: 503, .. })));
    }
    assert_eq!(site.asked("POST", "/oauth2/token"), 4, "the tries of one caller");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_not_long_before() {
    let site = Site::open().await;
    let first = site.client.tokens().get().await.unwrap();
    site.clock.advance(TimeDelta::seconds(235));
    assert!(Arc::ptr_eq(&first, &site.client.tokens().get().await.unwrap()));
    site.clock.advance(TimeDelta::seconds(6));
    assert!(!Arc::ptr_eq(&first, &site.client.tokens().get().await.unwrap()), "less than a fifth of its life is left");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let site = Site::open().await;
    site.client.find(Search::new(ResourceType::Location)).await.unwrap();
    site.hospital.forget_tokens();
    site.client.find(Search::new(ResourceType::Location)).await.unwrap();
    assert_eq!(site.asked("POST", "/oauth2/token"), 2);

    site.hospital.inject(Fault::new(FaultKind::Unauthorized).on("/fhir/Location").always());
    let error = site.client.find(Search::new(ResourceType::Location)).await.unwrap_err();
    assert!(matches!(error, EhrError::Refused { status: 401, refusal: Refusal::Unauthorized, .. }), "{error}");
    assert_eq!(site.asked("POST", "/oauth2/token"), 3, "no loop");
}

#[tokio::test]
async fn an_old_refusal_does_not_throw_away_a_new_token() {
    let site = Site::open().await;
    let old = site.client.tokens().get().await.unwrap();
    site.client.tokens().invalidate(&old).await;
    let new = site.client.tokens().get().await.unwrap();
    site.client.tokens().invalidate(&old).await;
    assert!(Arc::ptr_eq(&new, &site.client.tokens().get().await.unwrap()));
}

#[tokio::test]
async fn what_was_not_granted_is_told() {
    let site = Site::open().await;
    site.hospital.inject(Fault::new(FaultKind::GrantScopes {
        scopes: "system/Patient.read system/Communication.rs system/Condition.rs".to_owned(),
    }));
    let token = site.client.tokens().get().await.unwrap();
    let missing: Vec<String> = token.missing.iter().map(ToString::to_string).collect();
    assert!(missing.contains(&"system/Appointment.rs".to_owned()), "{missing:?}");
    assert!(missing.contains(&"system/Communication.cu".to_owned()), "{missing:?}");
    assert!(!missing.iter().any(|scope| scope.contains("Patient") || scope.contains("Condition")), "{missing:?}");
}

#[tokio::test]
async fn an_unknown_client_gets_a_checklist_and_is_left_alone_for_a_while() {
    let site = Site::with(|ehr| ehr.client_id = "nobody".to_owned()).await;
    let error = site.client.tokens().get().await.unwrap_err();
    assert!(matches!(error, TokenError::InvalidClient { .. }), "{error}");
    assert!(error.advice().len() >= 4);
    let naps = site.naps.taken();
    assert_eq!(naps.len(), 1);
    assert!((1..=5).contains(&naps[0].as_secs()), "{naps:?}");
    let before = site.asked("POST", "/oauth2/token");
    let error = site.client.tokens().get().await.unwrap_err();
    assert!(matches!(error, TokenError::CircuitOpen { .. }), "{error}");
    assert_eq!(site.asked("POST", "/oauth2/token"), before);
    site.clock.advance(TimeDelta::minutes(16));
    assert!(matches!(site.client.tokens().get().await, Err(TokenError::InvalidClient { .. })));
}

#[tokio::test]
async fn a_throttled_token_endpoint_is_given_the_time_it_asks_for() {
    let site = Site::open().await;
    let fault = FaultKind::TooManyRequests { retry_after: Some(RetryAfter::Seconds(20)) };
    site.hospital.inject(Fault::new(fault).on("/oauth2/token").times(2));
    site.client.tokens().get().await.unwrap();
    let naps = site.naps.taken();
    assert_eq!(naps.len(), 2);
    assert!(naps.iter().all(|nap| nap.as_secs() >= 20), "{naps:?}");
}

/// A token endpoint that answers each request with the next of these.
async fn endpoint(answers: Vec<Answer>) -> Canned {
    let (next, answers) = (AtomicU64::new(0), answers);
    Canned::start(move |asked, origin| match asked.path.as_str() {
        "/fhir/.well-known/smart-configuration" => {
            Answer::json(200, &json!({"token_endpoint": format!("{origin}/token"), "capabilities": ["permission-v2"]}))
        }
        _ => {
            let at = usize::try_from(next.fetch_add(1, Ordering::SeqCst)).unwrap().min(answers.len() - 1);
            let answer = &answers[at];
            Answer { status: answer.status, headers: answer.headers.clone(), body: answer.body.clone() }
        }
    })
    .await
}

fn grant(change: impl FnOnce(&mut Value)) -> Answer {
    let mut body = json!({"access_token": "t", "token_type": "bearer", "expires_in": 600, "scope": "system/*.cruds"});
    change(&mut body);
    Answer::json(200, &body)
}

#[tokio::test]
async fn replies_are_read_as_servers_write_them() {
    let cases: Vec<(&str, Answer, u64)> = vec![
        ("a number", grant(|_| {}), 600),
        ("as text", grant(|body| body["expires_in"] = json!("300")), 300),
        ("missing", grant(|body| _ = body.as_object_mut().unwrap().remove("expires_in")), 300),
        ("null", grant(|body| body["expires_in"] = Value::Null), 300),
        ("negative", grant(|body| body["expires_in"] = json!(-1)), 60),
        ("absurd", grant(|body| body["expires_in"] = json!(99_999_999)), 86_400),
        ("Bearer", grant(|body| body["token_type"] = json!("Bearer")), 600),
        ("no scope: all of it", grant(|body| _ = body.as_object_mut().unwrap().remove("scope")), 600),
        ("a refresh token is ignored", grant(|body| body["refresh_token"] = json!("r")), 600),
    ];
    for (label, answer, life) in cases {
        let server = endpoint(vec![answer]).await;
        let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
        let token = gate.client.tokens().get().await.unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(token.life().as_secs(), life, "{label}");
        assert!(token.missing.is_empty(), "{label}");
    }
}

#[tokio::test]
async fn every_refusal_has_a_name_whatever_its_status() {
    let error = |status: u16, code: &str| {
        Answer::json(status, &json!({"error": code, "error_description": "no eyJhbGciOiJub25lIn0.e30.x"}))
    };
    let cases: Vec<(Answer, &str)> = vec![
        (error(400, "invalid_client"), "InvalidClient"),
        (error(401, "invalid_client"), "InvalidClient"),
        (error(400, "invalid_grant"), "InvalidClient"),
        (error(400, "invalid_request"), "InvalidClient"),
        (error(400, "invalid_scope"), "InvalidScope"),
        (error(400, "unauthorized_client"), "UnauthorizedClient"),
        (error(403, "Tenant not valid or accessible"), "NotEnabled"),
        (Answer::html(200), "NotATokenEndpoint"),
        (Answer::html(302).with("location", "https://login.example/"), "NotATokenEndpoint"),
        (grant(|body| body["access_token"] = json!("")), "BadReply"),
        (grant(|body| body["token_type"] = json!("mac")), "BadReply"),
        (grant(|body| body["access_token"] = json!("a\nb")), "BadReply"),
        (Answer::json(503, &json!({})), "Throttled"),
    ];
    for (answer, expected) in cases {
        let status = answer.status;
        let server = endpoint(vec![answer]).await;
        let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
        let error = gate.client.tokens().get().await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{status}: {error:?}");
        assert!(!error.advice().is_empty());
        assert!(!format!("{error} {error:?}").contains("eyJ"), "a credential must not be repeated: {error}");
    }
}

#[tokio::test]
async fn every_attempt_carries_a_new_assertion() {
    let server = endpoint(vec![Answer::json(503, &json!({})), Answer::json(500, &json!({})), grant(|_| {})]).await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    gate.client.tokens().get().await.unwrap();
    let bodies: Vec<String> =
        server.asked().into_iter().filter(|asked| asked.path == "/token").map(|asked| asked.body).collect();
    assert_eq!(bodies.len(), 3);
    let assertion = |body: &String| {
        url::form_urlencoded::parse(body.as_bytes())
            .find(|(name, _)| name == "client_assertion")
            .unwrap()
            .1
            .into_owned()
    };
    assert!(assertion(&bodies[0]) != assertion(&bodies[1]) && assertion(&bodies[1]) != assertion(&bodies[2]));
    assert!(bodies[0].starts_with("grant_type=client_credentials&scope=system%2FAppointment.rs+"), "{}", bodies[0]);
}
