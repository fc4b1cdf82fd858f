//! Searching through pages: all of it or an error, never a part that looks like all of it.

use beckon::domain::ResourceType;
use beckon::ehr::error::EhrError;
use beckon::ehr::search::Search;
use beckon::sandbox::{Fault, FaultKind};
use serde_json::{Value, json};

use super::canned::{Answer, with_token};
use super::support::{Gate, Site, ids};

const PATIENT: ResourceType = ResourceType::Patient;

async fn site_with(patients: usize) -> Site {
    let site = Site::with(|ehr| ehr.settings.page_size = Some(10)).await;
    for number in 0..patients {
        site.patient(&format!("p{number:03}"));
    }
    site
}

#[tokio::test]
async fn every_page_is_read_until_the_last() {
    let site = site_with(35).await;
    let mut pages = site.client.search(Search::new(PATIENT));
    let (mut found, mut last) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        found.extend(ids(&page.matches).into_iter().map(str::to_owned));
        last.push(page.is_last);
        assert!(page.server_now.is_some());
    }
    found.sort();
    found.dedup();
    assert_eq!((found.len(), last), (35, vec![false, false, false, true]));
    assert!(pages.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_search_by_post_keeps_its_question_out_of_the_address() {
    let site = site_with(0).await;
    let mrn = json!([{"system": "http://h.example/mrn", "value": "4711"}]);
    site.hospital.put(json!({"resourceType": "Patient", "id": "ada", "identifier": mrn})).unwrap();
    let search = Search::new(PATIENT).with_token("identifier", "http://h.example/mrn", "4711").by_post();
    assert_eq!(ids(&site.client.find(search).await.unwrap()), ["ada"]);
    let seen: Vec<_> = site.hospital.requests().into_iter().filter(|seen| seen.path.contains("Patient")).collect();
    assert_eq!((seen.len(), seen[0].method.as_str(), seen[0].path.as_str()), (1, "POST", "/fhir/Patient/_search"));
}

#[tokio::test]
async fn a_page_that_is_gone_means_starting_again() {
    let site = site_with(25).await;
    site.hospital.inject(Fault::new(FaultKind::ExpiredPaging));
    let mut pages = site.client.search(Search::new(PATIENT));
    pages.next().await.unwrap().unwrap();
    let error = pages.next().await.unwrap_err();
    assert!(matches!(error, EhrError::PagingExpired { status: 410, .. }) && error.is_transient(), "{error}");
    assert!(pages.next().await.unwrap().is_none(), "a broken search yields nothing more");
}

#[tokio::test]
async fn the_token_never_goes_to_another_origin() {
    let elsewhere = with_token(|_, _| Answer::json(200, &json!({}))).await;
    let site = site_with(25).await;
    site.hospital.inject(Fault::new(FaultKind::NextOnOtherOrigin { origin: elsewhere.origin.clone() }));
    let error = site.client.find(Search::new(PATIENT).with("active", "true")).await.unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, EhrError::OtherOrigin { .. }), "{error}");
    let base = site.hospital.fhir_base();
    assert!(words.contains(&elsewhere.origin) && words.contains(base.trim_end_matches("/fhir")), "{words}");
    assert!(!words.contains("active"), "the question is not repeated: {words}");
    assert_eq!(elsewhere.asked().len(), 0);
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed() {
    let elsewhere = with_token(|_, _| Answer::json(200, &json!({}))).await;
    let target = format!("{}/fhir/Patient", elsewhere.origin);
    let server = with_token(move |_, _| Answer::html(302).with("location", &target)).await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    let error = gate.client.find(Search::new(PATIENT)).await.unwrap_err();
    assert!(matches!(error, EhrError::OtherOrigin { what: "a redirect", .. }), "{error}");
    assert_eq!(elsewhere.asked().len(), 0);
}

#[tokio::test]
async fn a_circle_of_pages_is_noticed() {
    let site = site_with(25).await;
    site.hospital.inject(Fault::new(FaultKind::NextLoop).always());
    let error = site.client.find(Search::new(PATIENT)).await.unwrap_err();
    assert!(matches!(error, EhrError::PagingLoop { .. }), "{error}");
}

fn page(next: Option<&str>, ids: &[&str]) -> Value {
    let entries: Vec<Value> = ids
        .iter()
        .map(|id| json!({"resource": {"resourceType": "Patient", "id": id}, "search": {"mode": "match"}}))
        .collect();
    let links: Vec<Value> = next.iter().map(|url| json!({"relation": "next", "url": url})).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})
}

#[tokio::test]
async fn an_endless_search_ends_at_the_cap() {
    let server = with_token(|asked, _| {
        let number: u32 = asked.query.rsplit('=').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Answer::json(200, &page(Some(&format!("?p={}", number + 1)), &[]))
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |ehr| ehr.settings.max_pages = 5);
    let error = gate.client.find(Search::new(PATIENT)).await.unwrap_err();
    assert!(matches!(error, EhrError::TooManyPages { limit: 5, .. }), "{error}");
    assert_eq!(server.count("/fhir/Patient"), 5);
}

#[tokio::test]
async fn an_empty_page_is_not_the_end_and_links_are_taken_as_they_are() {
    let server = with_token(|asked, origin| match (asked.path.as_str(), asked.query.as_str()) {
        ("/fhir/Patient", "") => Answer::json(200, &page(Some("/other/path?_getpages=a%2Fb&x"), &["one"])),
        ("/other/path", "_getpages=a%2Fb&x") => Answer::json(200, &page(Some(&format!("{origin}/last?")), &[])),
        ("/last", "") => Answer::json(200, &page(None, &["two"])),
        _ => Answer::html(404),
    })
    .await;
    let gate = Gate::to(&format!("{}/fhir", server.origin), |_| {});
    assert_eq!(ids(&gate.client.find(Search::new(PATIENT)).await.unwrap()), ["one", "two"]);
    let data: Vec<_> = server.asked().into_iter().filter(|asked| asked.authorization.is_some()).collect();
    assert_eq!(data.len(), 3);
    assert!(data.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer good")));
    assert!(
        data.iter()
            .all(|asked| asked.headers.iter().any(|(name, value)| name == "accept-encoding" && value.contains("gzip")))
    );
}

#[tokio::test]
async fn an_ignored_parameter_is_noticed() {
    let site = site_with(3).await;
    let mut pages = site.client.search(Search::new(PATIENT).with("_lastUpdated", "ge2027-01-01T00:00:00Z"));
    assert_eq!(pages.next().await.unwrap().unwrap().ignored, [""; 0]);
    site.hospital.inject(Fault::new(FaultKind::IgnoreParameter { name: "_lastUpdated".to_owned() }));
    let mut pages = site.client.search(Search::new(PATIENT).with("_lastUpdated", "ge2027-01-01T00:00:00Z"));
    assert_eq!(pages.next().await.unwrap().unwrap().ignored, ["_lastUpdated"]);
}
