//! Discovery: where it is looked for, and which answers are believed.

use beckon::ehr::discovery::DiscoveryError;
use beckon::ehr::keys::SigningAlg;
use beckon::ehr::scopes::ScopeStyle;
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::json;

use super::canned::{Answer, Canned};
use super::support::{Gate, Site};

#[tokio::test]
async fn it_is_asked_below_the_whole_base_without_a_token_and_kept_for_a_day() {
    let server = Canned::start(|asked, origin| {
        assert_eq!(asked.path, "/apis/fhir/.well-known/smart-configuration");
        assert_eq!(asked.authorization, None);
        Answer::json(200, &json!({"token_endpoint": format!("{origin}/hosts/x/token")}))
    })
    .await;
    let gate = Gate::to(&format!("{}/apis/fhir/", server.origin), |_| {});
    for (hours, fetches) in [(0, 1), (23, 1), (2, 2)] {
        gate.clock.advance(TimeDelta::hours(hours));
        let configuration = gate.client.discovery().get().await.unwrap();
        assert_eq!(configuration.token_endpoint, format!("{}/hosts/x/token", server.origin));
        assert_eq!(server.asked().len(), fetches);
    }
}

#[tokio::test]
async fn missing_optional_fields_have_safe_meanings() {
    let server = Canned::start(|_, origin| Answer::json(200, &json!({"token_endpoint": format!("{origin}/t")}))).await;
    let gate = Gate::to(&server.origin, |_| {});
    let configuration = gate.client.discovery().get().await.unwrap();
    assert_eq!(configuration.signing_alg(None), SigningAlg::Rs384);
    assert_eq!(configuration.signing_alg(Some(SigningAlg::Es384)), SigningAlg::Es384);
    assert_eq!(configuration.scope_style(None), ScopeStyle::V1);
    assert_eq!(configuration.authorization_endpoint, None);
}

#[tokio::test]
async fn a_relative_endpoint_is_resolved_against_the_base() {
    for (written, expected) in [("/oauth/token", "/oauth/token"), ("oauth/token", "/apis/fhir/oauth/token")] {
        let server = Canned::start(move |_, _| Answer::json(200, &json!({"token_endpoint": written}))).await;
        let gate = Gate::to(&format!("{}/apis/fhir", server.origin), |_| {});
        let configuration = gate.client.discovery().get().await.unwrap();
        assert_eq!(configuration.token_endpoint, format!("{}{expected}", server.origin));
    }
}

#[tokio::test]
async fn a_token_endpoint_on_another_host_needs_to_be_allowed() {
    let server =
        Canned::start(|_, _| Answer::json(200, &json!({"token_endpoint": "https://login.evil.example/token"}))).await;
    let gate = Gate::to(&server.origin, |_| {});
    let error = gate.client.discovery().get().await.unwrap_err();
    assert!(matches!(&error, DiscoveryError::ForeignTokenHost { host } if host == "login.evil.example"), "{error}");
    assert!(gate.client.tokens().get().await.is_err());
    let gate = Gate::to(&server.origin, |ehr| ehr.settings.token_hosts = vec!["Login.evil.example".to_owned()]);
    gate.client.discovery().get().await.unwrap();
}

#[tokio::test]
async fn a_token_endpoint_in_the_clear_is_refused() {
    let server = Canned::start(|_, _| Answer::json(200, &json!({"token_endpoint": "http://ehr.example/token"}))).await;
    let gate = Gate::to(&server.origin, |ehr| ehr.settings.token_hosts = vec!["ehr.example".to_owned()]);
    let error = gate.client.discovery().get().await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Insecure(_)), "{error}");
}

#[tokio::test]
async fn pages_for_people_and_half_documents_are_no_discovery() {
    type Case = (&'static str, fn() -> Answer);
    let cases: [Case; 5] = [
        ("html with 200", || Answer::html(200)),
        ("html with 404", || Answer::html(404)),
        ("a redirect", || Answer::html(302).with("location", "https://login.example/")),
        ("a list", || Answer::json(200, &json!([1]))),
        ("no token endpoint", || Answer::json(200, &json!({"capabilities": []}))),
    ];
    for (label, answer) in cases {
        let server = Canned::start(move |_, _| answer()).await;
        let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
        let error = gate.client.discovery().get().await.unwrap_err();
        let named = matches!(error, DiscoveryError::Missing { .. } | DiscoveryError::NoTokenEndpoint { .. });
        assert!(named, "{label}: {error}");
        assert!(error.to_string().contains("/fhir/.well-known/smart-configuration"), "{label}: {error}");
    }
}

#[tokio::test]
async fn an_old_server_is_found_by_its_metadata() {
    let server = Canned::start(|asked, origin| match asked.path.as_str() {
        "/fhir/metadata" => Answer::json(
            200,
            &json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [{"mode": "server", "security": {"extension": [
                {"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                 "extension": [{"url": "token", "valueUri": format!("{origin}/old/token")}]}]}}]}),
        ),
        _ => Answer::html(404),
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    let configuration = gate.client.discovery().get().await.unwrap();
    assert!(configuration.from_metadata);
    assert_eq!(configuration.token_endpoint, format!("{}/old/token", server.origin));
}

#[tokio::test]
async fn a_clock_that_is_off_is_noticed() {
    let site = Site::open().await;
    site.hospital.inject(Fault::new(FaultKind::ClockSkew { seconds: -600 }).on("/fhir/.well-known"));
    site.client.discovery().get().await.unwrap();
    let skew = site.client.discovery().skew().await.unwrap();
    assert!((-602..=-598).contains(&skew.num_seconds()), "{skew}");
}
