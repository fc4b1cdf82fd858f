//! The FHIR server reads, searches, pages and writes as R4 says.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Site, answer, link};

fn communication(key: &str) -> Value {
    json!({"resourceType": "Communication", "identifier": [{"system": "https://gw.example/fhir/sid/outreach-id", "value": key}],
           "status": "in-progress", "subject": {"reference": "Patient/p1"}})
}

async fn create(site: &Site, token: &str, key: &str, condition: Option<&str>) -> Answer {
    let mut request = site.write(Method::POST, "/Communication", token, &communication(key));
    if let Some(condition) = condition {
        request = request.header("if-none-exist", condition);
    }
    answer(request).await
}

#[tokio::test]
async fn the_capability_statement_lists_what_works() {
    let site = Site::empty().await;
    let reply = answer(site.http.get(site.url("/metadata"))).await;
    assert_eq!(reply.body["fhirVersion"], "4.0.1");
    let resources = reply.body["rest"][0]["resource"].as_array().unwrap();
    let appointment = resources.iter().find(|r| r["type"] == "Appointment").unwrap();
    let params: BTreeSet<&str> =
        appointment["searchParam"].as_array().unwrap().iter().filter_map(|p| p["name"].as_str()).collect();
    for name in ["_lastUpdated", "patient", "date", "status", "location", "actor", "identifier", "_id"] {
        assert!(params.contains(name), "{name} in {params:?}");
    }
    assert_eq!(appointment["conditionalCreate"], true);
}

#[tokio::test]
async fn pages_hold_everything_once_and_the_first_link_is_opaque() {
    let site = Site::with_patients(100).await;
    let token = site.token("system/*.rs").await;
    let all = site.all("/Patient?_count=7&_sort=_lastUpdated", &token).await;
    let ids: BTreeSet<&str> = all.iter().filter_map(|patient| patient["id"].as_str()).collect();
    assert_eq!((all.len(), ids.len()), (100, 100));
    let truth = site.hospital.truth();
    for kind in ["Appointment", "Condition", "Observation"] {
        assert_eq!(site.all(&format!("/{kind}?_count=200"), &token).await.len(), truth.by_type[kind], "{kind}");
    }
    for (status, count) in &truth.appointments_by_status {
        let reply = site.get(&format!("/Appointment?status={status}&_summary=count"), &token).await;
        assert_eq!(reply.body["total"], *count, "{status}");
        assert!(reply.body.get("entry").is_none());
    }
    let first = site.get("/Patient?_count=50", &token).await;
    let next = link(&first.body, "next").unwrap();
    site.clock.advance(TimeDelta::minutes(61));
    let token = site.token("system/*.rs").await;
    let gone = site.get(&next, &token).await;
    assert_eq!((gone.status, gone.body["resourceType"].as_str()), (410, Some("OperationOutcome")));
}

#[tokio::test]
async fn an_increment_shows_what_changed_and_only_that() {
    let site = Site::with_patients(60).await;
    let token = site.token("system/*.rs").await;
    site.clock.advance(TimeDelta::minutes(1));
    let mark = "2026-03-02T12:00:30Z";
    assert!(site.all(&format!("/Appointment?_lastUpdated=ge{mark}"), &token).await.is_empty());
    let mut moved = site.hospital.resources("Appointment")[0].clone();
    moved["comment"] = json!("moved");
    site.hospital.put(moved.clone()).unwrap();
    let changed =
        site.all(&format!("/Appointment?_lastUpdated=ge{mark}&_lastUpdated=lt2026-03-02T12:05:00Z"), &token).await;
    assert_eq!(changed.len(), 1);
    assert_eq!((&changed[0]["id"], &changed[0]["meta"]["versionId"]), (&moved["id"], &json!("2")));
    assert!(
        site.all(&format!("/Appointment?_lastUpdated=ge{mark}&_lastUpdated=lt2026-03-02T12:00:45Z"), &token)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_late_commit_carries_its_own_time() {
    let site = Site::empty().await;
    let token = site.token("system/*.rs").await;
    site.clock.advance(TimeDelta::minutes(3));
    let late = json!({"resourceType": "Appointment", "id": "late", "status": "booked"});
    site.hospital.put_late(late, super::support::monday() + TimeDelta::minutes(1)).unwrap();
    let since = |at: &str| format!("/Appointment?_lastUpdated=ge2026-03-02T12:0{at}:00Z");
    assert_eq!(site.all(&since("1"), &token).await.len(), 1);
    assert!(site.all(&since("2"), &token).await.is_empty());
    let reply = site.get("/Appointment/late", &token).await;
    assert_eq!(reply.header("date"), "Mon, 02 Mar 2026 12:03:00 GMT", "the hospital tells its own time");
}

#[tokio::test]
async fn another_personality_refuses_what_it_does_not_offer() {
    let site = Site::with(|options| {
        options.patients = 3;
        options.personality.last_updated = false;
        options.personality.conditional_create = false;
        options.personality.stale_status = 409;
        options.personality.empty_created = true;
    })
    .await;
    let token = site.token("system/*.cruds").await;
    let reply = site.get("/Patient?_lastUpdated=gt2030-01-01", &token).await;
    assert_eq!(reply.body["total"], 3);
    assert!(!link(&reply.body, "self").unwrap().contains("_lastUpdated"));
    for _ in 0..2 {
        let reply = create(&site, &token, "o-1", Some("identifier=o-1")).await;
        assert_eq!((reply.status, &reply.body, reply.header("etag")), (201, &Value::Null, "W/\"1\""));
    }
    assert_eq!(site.hospital.communications().len(), 2);
    let mut one = site.hospital.communications()[0].clone();
    one["status"] = json!("completed");
    let path = format!("/Communication/{}", one["id"].as_str().unwrap());
    let stale = answer(site.write(Method::PUT, &path, &token, &one).header("if-match", "W/\"7\"")).await;
    assert_eq!(stale.status, 409);
    let statement = answer(site.http.get(site.url("/metadata"))).await.body.to_string();
    assert!(!statement.contains("_lastUpdated") && !statement.contains("\"conditionalCreate\":true"));
}

#[tokio::test]
async fn search_understands_what_a_gateway_asks() {
    let site = Site::with_patients(60).await;
    let token = site.token("system/*.rs").await;
    let appointments = site.hospital.resources("Appointment");
    let booked = appointments
        .iter()
        .find(|a| {
            a["status"] == "booked"
                && a["participant"][0]["actor"]["reference"].as_str().is_some_and(|r| r.starts_with("Patient/"))
        })
        .unwrap();
    let reference = booked["participant"][0]["actor"]["reference"].as_str().unwrap();
    let id = reference.strip_prefix("Patient/").unwrap();
    for query in [
        format!("patient={id}"),
        format!("patient={reference}&status=booked,pending"),
        format!("actor={reference}"),
        format!("_id={}", booked["id"].as_str().unwrap()),
        format!("patient={}/{reference}&date=ge2020-01-01", site.hospital.fhir_base()),
    ] {
        let found = site.all(&format!("/Appointment?{query}"), &token).await;
        assert!(found.iter().any(|a| a["id"] == booked["id"]), "{query}");
        assert!(found.iter().all(|a| a["participant"].to_string().contains(reference)), "{query}");
    }
    let patient = site.get(&format!("/{reference}"), &token).await.body;
    let mrn = patient["identifier"][0]["value"].as_str().unwrap();
    let form = [("identifier", format!("http://hospital.example/mrn|{mrn}"))];
    let found = answer(site.http.post(site.url("/Patient/_search")).bearer_auth(&token).form(&form)).await;
    assert_eq!((found.status, &found.body["total"]), (200, &json!(1)), "{}", found.body);
    let diabetic = site.all("/Condition?code=http://snomed.info/sct%7C44054006&clinical-status=active", &token).await;
    assert!(!diabetic.is_empty());
    let included = site
        .get(
            &format!(
                "/Appointment?_id={}&_include=Appointment:patient&_include=Appointment:location",
                booked["id"].as_str().unwrap()
            ),
            &token,
        )
        .await;
    let modes: Vec<&str> =
        included.body["entry"].as_array().unwrap().iter().filter_map(|e| e["search"]["mode"].as_str()).collect();
    assert_eq!(modes, ["match", "include", "include"]);
    let later = site.all("/Appointment?date=ge2026-03-02&_sort=date&status=booked", &token).await;
    let starts: Vec<chrono::DateTime<chrono::Utc>> =
        later.iter().filter_map(|a| a["start"].as_str()?.parse().ok()).collect();
    assert!(starts.len() > 5 && starts.is_sorted());
    assert_eq!(site.get("/Appointment?date=geyesterday", &token).await.status, 400);
    assert_eq!(site.get("/Banana", &token).await.status, 404);
}

#[tokio::test]
async fn the_self_link_tells_what_was_not_understood() {
    let site = Site::with_patients(3).await;
    let token = site.token("system/*.rs").await;
    let reply = site.get("/Patient?gender=female&favourite-colour=red", &token).await;
    assert_eq!(reply.status, 200);
    let own = link(&reply.body, "self").unwrap();
    assert!(own.contains("gender=female") && !own.contains("favourite"), "{own}");
    assert!(reply.body["entry"].as_array().unwrap().iter().any(|entry| entry["search"]["mode"] == "outcome"));
    let strict = site
        .http
        .get(site.url("/Patient?favourite-colour=red"))
        .bearer_auth(&token)
        .header("prefer", "handling=strict");
    assert_eq!(answer(strict).await.status, 400);
}

#[tokio::test]
async fn a_conditional_create_makes_one_copy() {
    let site = Site::empty().await;
    let token = site.token("system/*.cruds").await;
    let condition = "identifier=https%3A%2F%2Fgw.example%2Ffhir%2Fsid%2Foutreach-id%7Co-1";
    let first = create(&site, &token, "o-1", Some(condition)).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("etag"), "W/\"1\"");
    assert!(
        first.header("location").starts_with(&site.url("/Communication/"))
            && first.header("location").ends_with("/_history/1")
    );
    let second = create(&site, &token, "o-1", Some(condition)).await;
    assert_eq!((second.status, &second.body["id"]), (200, &first.body["id"]));
    assert_eq!(site.hospital.communications().len(), 1);
    assert_eq!(create(&site, &token, "o-1", None).await.status, 201);
    let several = create(&site, &token, "o-1", Some(condition)).await;
    assert_eq!((several.status, several.body["issue"][0]["code"].as_str()), (412, Some("multiple-matches")));
    assert_eq!(
        create(&site, &token, "o-2", Some("shoe-size=43")).await.status,
        400,
        "an unknown condition must not create"
    );
}

#[tokio::test]
async fn an_update_needs_the_version_that_is_there() {
    let site = Site::empty().await;
    let token = site.token("system/*.cruds").await;
    let made = create(&site, &token, "o-1", None).await.body;
    let path = format!("/Communication/{}", made["id"].as_str().unwrap());
    let mut next = made.clone();
    next["status"] = json!("completed");
    let put = |tag: &'static str| answer(site.write(Method::PUT, &path, &token, &next).header("if-match", tag));
    let updated = put("W/\"1\"").await;
    assert_eq!(
        (updated.status, updated.header("etag"), updated.body["status"].as_str()),
        (200, "W/\"2\"", Some("completed"))
    );
    assert_eq!(put("W/\"1\"").await.status, 412);
    let fresh = site.http.get(site.url(&path)).bearer_auth(&token).header("if-none-match", "W/\"2\"");
    assert_eq!(answer(fresh).await.status, 304);
    let old = site.get(&format!("{path}/_history/1"), &token).await;
    assert_eq!((old.status, old.body["status"].as_str()), (200, Some("in-progress")));
    assert!(site.hospital.delete("Communication", made["id"].as_str().unwrap()));
    assert_eq!(site.get(&path, &token).await.status, 410);
    assert_eq!(site.get("/Communication/none", &token).await.status, 404);
}

#[tokio::test]
async fn a_batch_answers_each_entry_under_the_scopes() {
    let site = Site::with_patients(5).await;
    let token = site.token("system/Patient.rs system/Appointment.r").await;
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient/p0000001"}},
        {"request": {"method": "GET", "url": "Patient?_count=2"}},
        {"request": {"method": "GET", "url": "Condition?patient=p0000001"}},
        {"request": {"method": "GET", "url": "Appointment/none"}},
        {"request": {"method": "GET", "url": "Patient/p0000001", "ifNoneMatch": "W/\"1\""}}]});
    let reply = answer(site.write(Method::POST, "", &token, &batch)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let states: Vec<&str> =
        reply.body["entry"].as_array().unwrap().iter().filter_map(|e| e["response"]["status"].as_str()).collect();
    assert_eq!(states, ["200", "200", "403", "404", "304"]);
    assert_eq!(reply.body["entry"][0]["resource"]["id"], "p0000001");
    assert_eq!(reply.body["entry"][2]["response"]["outcome"]["issue"][0]["code"], "forbidden");
}

#[tokio::test]
async fn the_days_pass_the_same_way_and_only_once() {
    let site = Site::with_patients(100).await;
    let rescheduled = site
        .hospital
        .awkward()
        .into_iter()
        .find(|case| case.kind == beckon::sandbox::AwkwardKind::Rescheduled)
        .unwrap();
    let rebooked = site
        .hospital
        .awkward()
        .into_iter()
        .find(|case| case.kind == beckon::sandbox::AwkwardKind::CancelledAndRebooked)
        .unwrap();
    let id = |case: &beckon::sandbox::Awkward| case.resource.clone().unwrap().split_once('/').unwrap().1.to_owned();
    let start = |id: &str| site.hospital.resource("Appointment", id).unwrap()["start"].clone();
    let before = start(&id(&rescheduled));
    for day in 1..=14 {
        site.clock.advance(TimeDelta::days(1));
        let first = site.hospital.advance_to(super::support::monday() + TimeDelta::days(day)).await;
        let again = site.hospital.advance_to(super::support::monday() + TimeDelta::days(day)).await;
        assert!(again.is_nothing(), "day {day}: {first:?} then {again:?}");
    }
    assert_ne!(start(&id(&rescheduled)), before, "moved under the same id");
    assert_eq!(site.hospital.resource("Appointment", &id(&rebooked)).unwrap()["status"], "cancelled");
    let truth = site.hospital.truth();
    assert!(truth.appointments_by_status["fulfilled"] > 10 && truth.appointments_by_status["noshow"] > 1, "{truth:?}");

    let twin = Site::with_patients(100).await;
    twin.clock.advance(TimeDelta::days(14));
    twin.hospital.advance_to(super::support::monday() + TimeDelta::days(14)).await;
    assert_eq!(twin.hospital.truth(), truth, "in one leap as day by day");
}
