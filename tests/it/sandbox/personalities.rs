//! The simulated hospital refuses what each vendor refuses.

use beckon::sandbox::{HospitalOptions, JwksSource, Personality};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Site, answer};

/// A site of a personality that takes the tests' key by value.
async fn site(personality: Personality, patients: u32) -> Site {
    Site::with(|options: &mut HospitalOptions| {
        options.patients = patients;
        options.personality = Personality { jwks_by_address: false, ..personality };
    })
    .await
}

/// Asks each question, and holds status and vendor's number against what is expected.
async fn hold(site: &Site, cases: &[(&str, u16, &str)]) {
    let token = site.token("system/*.cruds").await;
    for (question, status, number) in cases {
        let reply = site.get(question, &token).await;
        assert_eq!(reply.status, *status, "{question}: {}", reply.body);
        assert!(reply.body.to_string().contains(number), "{question}: no {number} in {}", reply.body);
    }
}

fn offered(statement: &Value, kind: &str) -> (Vec<String>, Vec<String>) {
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let Some(resource) = resources.iter().find(|it| it["type"] == kind) else { return (Vec::new(), Vec::new()) };
    let list = |field: &str, name: &str| -> Vec<String> {
        let items = resource[field].as_array().unwrap();
        items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
    };
    (list("interaction", "code"), list("searchParam", "name"))
}

async fn statement(site: &Site) -> Value {
    answer(site.http.get(site.url("/metadata"))).await.body
}

#[tokio::test]
async fn epic_searches_nothing_without_a_patient_and_creates_no_appointment() {
    let site = site(Personality::epic(), 5).await;
    hold(
        &site,
        &[
            ("/Appointment?date=ge2026-03-01", 400, "4111"),
            ("/Appointment?patient=none", 200, "4101"),
            ("/Appointment?patient=p1&location=loc-boston", 200, "4122"),
            ("/Appointment?patient=p1&date=sa2026-03-01", 400, "invalid"),
            ("/Condition?_lastUpdated=ge2026-01-01", 400, "4111"),
            ("/Communication?identifier=x", 400, "4111"),
            ("/Patient?name=a", 400, "4111"),
            ("/Location?name=a", 400, "4111"),
            ("/Group?_id=registry", 405, "not-supported"),
            ("/Group/registry", 200, "\"quantity\":5"),
            ("/AppointmentResponse?patient=p1", 404, "not-supported"),
        ],
    )
    .await;
    let token = site.token("system/*.cruds").await;
    for (kind, status) in [("Appointment", 405), ("Task", 405), ("Communication", 201), ("DocumentReference", 201)] {
        let reply = answer(site.write(Method::POST, &format!("/{kind}"), &token, &json!({"resourceType": kind}))).await;
        assert_eq!(reply.status, status, "{kind}");
    }
    // A conditional create is not honoured: the condition is not read.
    let again = site.write(Method::POST, "/Communication", &token, &json!({"resourceType": "Communication"}));
    assert_eq!(answer(again.header("if-none-exist", "_id=1000")).await.status, 201);
    let one = json!({"resourceType": "Communication", "id": "1000"});
    assert_eq!(answer(site.write(Method::PUT, "/Communication/1000", &token, &one)).await.status, 405);
    let batch = json!({"resourceType": "Bundle", "type": "batch"});
    assert_eq!(answer(site.write(Method::POST, "", &token, &batch)).await.status, 405);

    let statement = statement(&site).await;
    assert!(!statement.to_string().contains("_lastUpdated"));
    let (interactions, parameters) = offered(&statement, "Communication");
    assert_eq!(interactions, ["read", "vread", "search-type", "create"]);
    assert!(!parameters.contains(&"identifier".to_owned()));
}

#[tokio::test]
async fn epic_reads_keys_by_address_only_and_tells_no_algorithms() {
    let site = Site::with(|options| options.personality = Personality::epic()).await;
    let reply = site.ask_token(&site.sign(&Site::header(), &site.claims()), "system/*.rs").await;
    assert_eq!((reply.status, reply.body["error"].as_str()), (401, Some("invalid_client")));
    let configuration = answer(site.http.get(site.url("/.well-known/smart-configuration"))).await.body;
    assert!(configuration["token_endpoint_auth_signing_alg_values_supported"].is_null(), "{configuration}");
    site.hospital.register_client(
        super::support::CLIENT,
        JwksSource::Url("http://127.0.0.1:9/jwks".to_owned()),
        "system/*.rs",
    );
    let reply = site.ask_token(&site.sign(&Site::header(), &site.claims()), "system/*.rs").await;
    assert_eq!(reply.status, 401, "an address that does not answer gives no key");
}

#[tokio::test]
async fn oracle_searches_appointments_by_place_and_time_and_takes_communications_to_staff_only() {
    let site = site(Personality::oracle(), 5).await;
    hold(
        &site,
        &[
            ("/Appointment?date=ge2026-03-01T00:00:00Z", 400, "required"),
            ("/Appointment?location=loc-boston", 400, "required"),
            ("/Appointment?location=loc-boston&date=2026-03-01", 400, "ge or lt"),
            ("/Appointment?location=loc-boston,loc-chicago&date=ge2026-03-01T00:00:00Z", 200, "searchset"),
            ("/Appointment?location=a,b&date=ge2026-03-01T00:00:00Z&status=booked,arrived", 400, "one parameter"),
            ("/Condition?patient=p1&_lastUpdated=ge2026-01-01", 200, "_lastUpdated"),
            ("/Observation?patient=p1&date=ge2026-01-01&_lastUpdated=ge2026-01-01", 400, "combined"),
            ("/Patient?_lastUpdated=ge2026-01-01", 400, "required"),
            ("/Communication?patient=p1", 400, "required"),
            ("/Flag?patient=p1", 404, "not-supported"),
        ],
    )
    .await;
    let token = site.token("system/*.cruds").await;
    let outreach = json!({"resourceType": "Communication", "status": "completed",
        "recipient": [{"reference": "Patient/p1"}], "payload": [{"contentString": "x"}]});
    let refused = answer(site.write(Method::POST, "/Communication", &token, &outreach)).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let notice = json!({"resourceType": "Communication", "status": "completed",
        "recipient": [{"reference": "Practitioner/dr1"}], "sender": {"reference": "Practitioner/dr2"},
        "payload": [{"contentAttachment": {"contentType": "text/plain", "data": "eA=="}}]});
    let taken = answer(site.write(Method::POST, "/Communication", &token, &notice)).await;
    assert_eq!((taken.status, &taken.body), (201, &Value::Null), "a create answers with an empty body");
    let plain = json!({"resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "eA=="}}]});
    assert_eq!(answer(site.write(Method::POST, "/DocumentReference", &token, &plain)).await.status, 422);
    let xml = answer(site.http.get(site.url("/Condition?patient=p1")).bearer_auth(&token).header("accept", "text/xml"));
    assert_eq!(xml.await.status, 406);
    let (_, parameters) = offered(&statement(&site).await, "Appointment");
    assert!(!parameters.contains(&"_lastUpdated".to_owned()) && parameters.contains(&"location".to_owned()));
}

#[tokio::test]
async fn athena_finds_appointments_by_id_only_and_has_no_communication() {
    let site = site(Personality::athena(), 30).await;
    let id = site.hospital.resources("Appointment")[0]["id"].as_str().unwrap().to_owned();
    let practice = "ah-practice=Organization/a-1.Practice-1";
    hold(
        &site,
        &[
            ("/Patient", 400, "ah-practice"),
            (&format!("/Patient?{practice}&_lastUpdated=ge2026-01-01"), 200, "ah-practice"),
            (&format!("/Appointment?{practice}"), 400, "required"),
            (&format!("/Appointment?{practice}&patient=p1"), 400, "required"),
            (&format!("/Appointment?{practice}&_id={id}"), 200, &id),
            (&format!("/Appointment/{id}"), 200, &id),
            (&format!("/Consent?{practice}&patient=p1"), 404, "not-supported"),
            (&format!("/Communication?{practice}&patient=p1"), 404, "not-supported"),
        ],
    )
    .await;
    let statement = statement(&site).await;
    assert_eq!(offered(&statement, "Communication").0, Vec::<String>::new());
    assert_eq!(offered(&statement, "Appointment").1, ["_id"]);
    let kinds = statement["rest"][0]["resource"].as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap());
    let created: Vec<&str> = kinds.filter(|kind| offered(&statement, kind).0.contains(&"create".to_owned())).collect();
    assert_eq!(created, ["Subscription"], "nothing else can be created");
}
