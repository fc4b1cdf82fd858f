//! The token endpoint refuses what the SMART specification forbids.

use beckon::sandbox::{Fault, FaultKind, JwksSource};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use super::support::{CLIENT, Site, answer, elliptic_key, rsa_key};

const SCOPE: &str = "system/Patient.rs";

#[tokio::test]
async fn discovery_names_the_token_endpoint() {
    let site = Site::empty().await;
    let reply = answer(site.http.get(site.url("/.well-known/smart-configuration"))).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["token_endpoint"], site.hospital.token_url());
    assert_eq!(reply.body["code_challenge_methods_supported"], json!(["S256"]));
}

#[tokio::test]
async fn a_good_assertion_gets_a_short_token_and_the_scopes_that_are_registered() {
    let site = Site::empty().await;
    site.hospital.register_client(
        CLIENT,
        JwksSource::Inline(json!({"keys": [elliptic_key("other").1]})),
        "system/Patient.rs",
    );
    let (key, jwk) = rsa_key("r1");
    site.hospital.register_client(
        "rsa-client",
        JwksSource::Inline(json!({"keys": [jwk]})),
        "system/Patient.r system/Appointment.rs",
    );
    let mut header = Header::new(Algorithm::RS384);
    header.kid = Some("r1".to_owned());
    let mut claims = site.claims();
    claims["iss"] = json!("rsa-client");
    claims["sub"] = json!("rsa-client");
    let assertion = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    let reply = site.ask_token(&assertion, "system/Patient.rs system/Appointment.read system/Communication.c").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["token_type"], "bearer");
    assert_eq!(reply.body["expires_in"], 300);
    assert_eq!(reply.body["scope"], "system/Appointment.rs system/Patient.r");
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test]
async fn every_broken_claim_is_refused() {
    let site = Site::empty().await;
    let now = super::support::monday().timestamp();
    let cases: [(&str, &str, Value); 13] = [
        ("iss of another", "iss", json!("somebody")),
        ("sub of another", "sub", json!("somebody")),
        ("aud as array", "aud", json!([site.hospital.token_url()])),
        ("aud with a slash more", "aud", json!(format!("{}/", site.hospital.token_url()))),
        ("aud of the FHIR base", "aud", json!(site.hospital.fhir_base())),
        ("exp too far", "exp", json!(now + 301)),
        ("exp passed", "exp", json!(now)),
        ("exp as text", "exp", json!((now + 100).to_string())),
        ("exp missing", "exp", Value::Null),
        ("jti missing", "jti", Value::Null),
        ("jti empty", "jti", json!("")),
        ("nbf ahead", "nbf", json!(now + 100)),
        ("iat ahead", "iat", json!(now + 100)),
    ];
    for (label, claim, value) in cases {
        let mut claims = site.claims();
        claims[claim] = value;
        let reply = site.ask_token(&site.sign(&Site::header(), &claims), SCOPE).await;
        assert_eq!(
            (reply.status, reply.body["error"].as_str()),
            (401, Some("invalid_client")),
            "{label}: {}",
            reply.body
        );
    }
}

#[tokio::test]
async fn every_broken_header_is_refused() {
    let site = Site::empty().await;
    let with = |change: fn(&mut Header)| {
        let mut header = Site::header();
        change(&mut header);
        header
    };
    for (label, header) in [
        ("no typ", with(|header| header.typ = None)),
        ("another typ", with(|header| header.typ = Some("at+jwt".to_owned()))),
        ("no kid", with(|header| header.kid = None)),
        ("unknown kid", with(|header| header.kid = Some("k2".to_owned()))),
        ("jku that is not registered", with(|header| header.jku = Some("https://evil.example/jwks".to_owned()))),
    ] {
        let reply = site.ask_token(&site.sign(&header, &site.claims()), SCOPE).await;
        assert_eq!(
            (reply.status, reply.body["error"].as_str()),
            (401, Some("invalid_client")),
            "{label}: {}",
            reply.body
        );
    }
    let (other, _) = elliptic_key("k1");
    let forged = jsonwebtoken::encode(&Site::header(), &site.claims(), &other).unwrap();
    assert_eq!(site.ask_token(&forged, SCOPE).await.status, 401, "a key of the same kid that is not registered");
    let shared = jsonwebtoken::encode(
        &Header::new(Algorithm::HS384),
        &site.claims(),
        &jsonwebtoken::EncodingKey::from_secret(b"s"),
    )
    .unwrap();
    assert_eq!(site.ask_token(&shared, SCOPE).await.status, 401, "a shared secret");
    assert_eq!(site.ask_token("not.a.jwt", SCOPE).await.status, 401);
    assert_eq!(site.ask_token("", SCOPE).await.status, 401);
}

#[tokio::test]
async fn an_assertion_works_once() {
    let site = Site::empty().await;
    let assertion = site.sign(&Site::header(), &site.claims());
    assert_eq!(site.ask_token(&assertion, SCOPE).await.status, 200);
    let again = site.ask_token(&assertion, SCOPE).await;
    assert_eq!((again.status, again.body["error"].as_str()), (401, Some("invalid_client")));
}

#[tokio::test]
async fn scopes_outside_the_grammar_or_the_registration_are_refused() {
    let site = Site::empty().await;
    site.hospital.register_client("narrow", JwksSource::Inline(json!({"keys": []})), "system/Patient.r");
    for scope in ["system/Patient.sr", "patient/Patient.rs", "system/Patient", ""] {
        let reply = site.ask_token(&site.sign(&Site::header(), &site.claims()), scope).await;
        assert_eq!((reply.status, reply.body["error"].as_str()), (400, Some("invalid_scope")), "{scope}");
    }
    let form = [("grant_type", "password")];
    assert_eq!(
        answer(site.http.post(site.hospital.token_url()).form(&form)).await.body["error"],
        "unsupported_grant_type"
    );
    let form = [("grant_type", "client_credentials"), ("grant_type", "client_credentials")];
    assert_eq!(answer(site.http.post(site.hospital.token_url()).form(&form)).await.body["error"], "invalid_request");
    let json = site.http.post(site.hospital.token_url()).json(&json!({"grant_type": "client_credentials"}));
    assert_eq!(answer(json).await.body["error"], "invalid_request");
}

#[tokio::test]
async fn keys_are_fetched_from_the_clients_url() {
    let site = Site::empty().await;
    let (key, jwk) = elliptic_key("u1");
    // A small web server of the client's.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let body = json!({"keys": [jwk]}).to_string();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let _read = stream.read(&mut [0; 2048]).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
    });
    site.hospital.register_client("by-url", JwksSource::Url(url.clone()), "system/*.rs");
    let mut claims = site.claims();
    claims["iss"] = json!("by-url");
    claims["sub"] = json!("by-url");
    let mut header = Header::new(Algorithm::ES384);
    header.kid = Some("u1".to_owned());
    header.jku = Some(url);
    let reply = site.ask_token(&jsonwebtoken::encode(&header, &claims, &key).unwrap(), SCOPE).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    claims["jti"] = json!("second");
    let reply = site.ask_token(&jsonwebtoken::encode(&header, &claims, &key).unwrap(), SCOPE).await;
    assert_eq!(reply.status, 401, "the web server is gone: {}", reply.body);
}

#[tokio::test]
async fn a_token_expires_and_opens_only_what_it_names() {
    let site = Site::empty().await;
    let token = site.token("system/Location.r system/Patient.s").await;
    assert_eq!(site.get("/Location/loc-boston", &token).await.status, 200);
    for (path, needed) in [
        ("/Location?name=x", "system/Location.s"),
        ("/Patient/p1", "system/Patient.r"),
        ("/Condition/c", "system/Condition.r"),
    ] {
        let reply = site.get(path, &token).await;
        assert_eq!(reply.status, 403, "{path}");
        assert!(
            reply.header("www-authenticate").contains("insufficient_scope")
                && reply.header("www-authenticate").contains(needed),
            "{path}"
        );
        assert_eq!(reply.body["issue"][0]["code"], "forbidden");
    }
    let none = answer(site.http.get(site.url("/Patient"))).await;
    assert_eq!(none.status, 401);
    assert!(
        none.header("www-authenticate").starts_with("Bearer") && !none.header("www-authenticate").contains("error")
    );
    site.clock.advance(TimeDelta::seconds(301));
    let late = site.get("/Location/loc-boston", &token).await;
    assert_eq!(late.status, 401);
    assert!(late.header("www-authenticate").contains("invalid_token"));
}

#[tokio::test]
async fn wrong_scopes_are_granted_on_request() {
    let site = Site::empty().await;
    site.hospital.inject(Fault::new(FaultKind::GrantScopes { scopes: "system/Condition.rs".to_owned() }));
    let reply = site.ask_token(&site.sign(&Site::header(), &site.claims()), SCOPE).await;
    assert_eq!(reply.body["scope"], "system/Condition.rs");
    let token = reply.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.get("/Patient", &token).await.status, 403);
    assert_eq!(site.get("/Condition", &token).await.status, 200);
}
