//! EHR connections as an administrator meets them: the page, what it changes, and that one EHR delays no other.

use std::time::Duration;

use beckon::clock::Clock as _;
use beckon::domain::{Actor, AlertKind, EhrId, EventKind, PatientId, ResourceType, Role};
use beckon::ehr::connect;
use beckon::ehr::connection::{BaseUrl, EhrConnection, EhrSettings};
use beckon::ehr::plan::Ask;
use beckon::pull::{self, Mode, PullOptions};
use beckon::sandbox::JwksSource;
use beckon::store::{EhrRequest, EventFilter};
use chrono::TimeDelta;
use serde_json::json;

use crate::ehr::support::connection;
use crate::support::gateway::{Browser, Gateway};
use crate::support::house::{ADA, House, appointment, each_house};
use crate::support::tools::wait_for;
use crate::support::{TestStore, each_database};

fn actor() -> Actor {
    Actor::Cli("root".to_owned())
}

async fn open(t: TestStore) -> (Gateway, EhrConnection, Browser) {
    let ehr = connection("https://ehr.example/fhir");
    connect::add(&t.store, &ehr, actor()).await.unwrap();
    let gateway = Gateway::start(t).await;
    let admin = gateway.signed_in(Role::Admin).await;
    (gateway, ehr, admin)
}

async fn events(t: &TestStore, kind: EventKind) -> usize {
    let filter = EventFilter { kinds: vec![kind], limit: 50, ..EventFilter::default() };
    t.store.view(&t.tenant).events(&filter).await.unwrap().len()
}

#[tokio::test]
async fn the_page_of_a_connection_shows_how_far_a_pull_is_what_was_asked_and_what_is_missing() {
    each_database(async |t| {
        let (gateway, ehr, mut admin) = open(t).await;
        let t = &gateway.t;
        let page = admin.get("/connections").await;
        assert!(page.shows("<a href=\"/connections/test\">test</a>") && page.shows("Never pulled"), "{}", page.body);
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        let run = tx.begin_pull_run(&ehr.id, "scheduler", t.clock.now() - TimeDelta::hours(6)).await.unwrap();
        let told = json!({
            "types": [["Patient", {"read": 1200, "changed": 3}]],
            "now": {"kind": "Appointment", "how": "increment", "read": 150, "total": 600},
        });
        tx.note_pull_run(run, &told).await.unwrap();
        tx.set_granted_scopes(&ehr.id, "system/Patient.rs system/Appointment.r").await.unwrap();
        let request = EhrRequest {
            id: t.store.new_id(),
            at: t.clock.now(),
            method: "GET".to_owned(),
            route: "/Appointment?date".to_owned(),
            status: Some(500),
            outcome: "answered".to_owned(),
            millis: 1234,
            bytes: 10,
            token: "token".to_owned(),
            is_retry: true,
        };
        tx.keep_ehr_requests(&ehr.id, &[request]).await.unwrap();
        tx.commit().await.unwrap();

        let page = admin.get("/connections/test").await;
        for words in [
            "Pulling now",
            "http-equiv=\"refresh\"",
            "Appointment, increment: 150 of about 600",
            "Patient: 1\u{202f}200 read, 3 changed",
            "<span>Granted</span></span> system/Patient.rs",
            "<span>Granted in part</span></span> system/Appointment.rs",
            "<span>Not granted</span></span> system/Consent.rs",
            "GET /Appointment?date",
            "500, repeated",
            "1234 ms",
        ] {
            assert!(page.shows(words), "{words} in {}", page.body);
        }
        let ledger = admin.get("/connections/test/requests?troubled=yes").await;
        assert!(ledger.shows("GET /Appointment?date") && ledger.shows("Failed there"), "{}", ledger.body);
        assert_eq!(admin.get("/connections/nowhere").await.status, 404);
        assert_eq!(gateway.signed_in(Role::Clinician).await.get("/connections/test").await.status, 403);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn scopes_budget_and_keys_are_changed_on_the_page_and_nonsense_changes_nothing() {
    each_database(async |t| {
        let (gateway, ehr, mut admin) = open(t).await;
        let t = &gateway.t;
        let load = async || connect::load(&t.store, &t.tenant, &ehr.id).await.unwrap();
        admin.get("/connections/test").await;
        let page = admin.post("/connections/test/scopes", &[("scopes", "system/Patient.sr")]).await;
        assert_eq!(page.status, 422);
        assert!(page.shows("names no access that SMART knows"), "{}", page.body);
        assert_eq!(admin.post("/connections/test/scopes", &[("scopes", " ")]).await.status, 422);
        assert_eq!(load().await, ehr);
        let page = admin.post("/connections/test/scopes", &[("scopes", "system/Patient.rs system/Consent.rs")]).await;
        assert_eq!((page.status, page.leads_to()), (303, "/connections/test?done=scopes"));
        assert_eq!(load().await.scopes.to_string(), "system/Consent.rs system/Patient.rs");

        let fields = |per_day: &'static str, zone: &'static str| {
            [
                ("at_once", "2"),
                ("per_second", "2.5"),
                ("per_day", per_day),
                ("peak_from", "8"),
                ("peak_until", "18"),
                ("peak_share", "10"),
                ("zone", zone),
            ]
        };
        for (per_day, zone) in [("12", "America/Chicago"), ("many", "America/Chicago"), ("5000", "Atlantis")] {
            assert_eq!(
                admin.post("/connections/test/budget", &fields(per_day, zone)).await.status,
                422,
                "{per_day} {zone}"
            );
        }
        assert_eq!(admin.post("/connections/test/budget", &fields("5000", "America/Chicago")).await.status, 303);
        let settings = load().await.settings;
        assert_eq!((settings.concurrency, settings.budget.calls_per_second), (2, Some(2.5)));
        assert_eq!((settings.budget.calls_per_day, settings.budget.peak_share_percent), (Some(5000), Some(10)));
        assert_eq!(events(t, EventKind::EhrChanged).await, 2);

        assert_eq!(admin.post("/connections/test/keys", &[("how", "emergency")]).await.status, 422, "not confirmed");
        let before = connect::keys(&t.store, &t.tenant, &ehr.id).await.unwrap().jwks(t.clock.now());
        let page = admin.post("/connections/test/keys", &[("how", "emergency"), ("confirmed", "yes")]).await;
        assert_eq!(page.leads_to(), "/connections/test?done=emergency");
        let after = connect::keys(&t.store, &t.tenant, &ehr.id).await.unwrap().jwks(t.clock.now());
        for key in before["keys"].as_array().unwrap() {
            assert!(!after.to_string().contains(key["kid"].as_str().unwrap()), "{after}");
        }
        assert_eq!(events(t, EventKind::EhrKeyWithdrawn).await, 2);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_published_keys_may_be_cached_and_that_they_were_fetched_is_noted() {
    each_database(async |t| {
        let (gateway, ehr, _) = open(t).await;
        let http = reqwest::Client::builder().build().unwrap();
        let url = format!("{}/ehr/test/jwks.json", gateway.url);
        let answer = http.get(&url).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((answer.status().as_u16(), header("cache-control")), (200, "public, max-age=900".to_owned()));
        let etag = header("etag");
        let unchanged = http.get(&url).header("if-none-match", &etag).send().await.unwrap();
        assert_eq!(unchanged.status().as_u16(), 304);
        let watch = gateway.t.store.view(&gateway.t.tenant).ehr_watch(&ehr.id).await.unwrap();
        assert_eq!(watch.jwks_fetched_at, Some(gateway.t.clock.now()));
        let (store, tenant) = (&gateway.t.store, &gateway.t.tenant);
        let alg = beckon::ehr::keys::SigningAlg::Es384;
        connect::rotate(store, tenant, &ehr.id, alg, TimeDelta::hours(1), actor()).await.unwrap();
        let changed = http.get(&url).header("if-none-match", &etag).send().await.unwrap();
        assert_eq!(changed.status().as_u16(), 200);
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_corrected_in_the_ehr_leaves_the_quarantine_when_somebody_asks() {
    each_house(async |house: House| {
        house.ada();
        let start = house.now() + TimeDelta::days(5);
        let mut broken = appointment("visit", ADA, start, "booked", house.now());
        broken.as_object_mut().unwrap().remove("start");
        let mut hopeless = broken.clone();
        hopeless["id"] = json!("hopeless");
        house.hospital.put(broken).unwrap();
        house.hospital.put(hopeless).unwrap();
        house.sync().await;
        assert_eq!(house.view().quarantined_in_all(&house.ehr).await.unwrap(), 2);
        house.book("visit", ADA, start);
        let mut tx = house.t.store.write(&house.t.tenant).await.unwrap();
        assert_eq!(tx.wish_retry(&house.ehr, None, &actor()).await.unwrap(), 2);
        tx.commit().await.unwrap();
        let client = house.gateway.clients.get(&house.ehr).await.unwrap();
        let options = PullOptions::new(&house.gateway.settings, Mode::Increment, "test");
        assert_eq!(pull::retry_quarantined(&house.t.store, &client, &options).await.unwrap(), 2);
        let left = house.view().quarantined(&house.ehr, 9).await.unwrap();
        assert_eq!(left.iter().map(|it| it.resource_id.as_str()).collect::<Vec<_>>(), ["hopeless"]);
        assert_eq!(events(&house.t, EventKind::QuarantineRetried).await, 2);
        assert!(house.view().retry_wishes(&house.ehr, 9).await.unwrap().is_empty());
        pull::plan_due(&house.t.store, &house.t.tenant, &house.ehr, &options, &|_| {}).await.unwrap();
        assert!(!house.reminders(ADA).await.is_empty(), "the corrected visit is reminded of");
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_ehr_that_is_suddenly_asked_in_another_way_is_told_to_a_person() {
    each_house(async |house: House| {
        house.ada_is_due_in_an_hour().await;
        let alerts = async || {
            let open = house.view().alerts(true, None, 50).await.unwrap();
            open.into_iter().filter(|it| it.kind == AlertKind::PlanChanged).collect::<Vec<_>>()
        };
        assert!(alerts().await.is_empty(), "the first plan is no change");
        let change = |settings: &mut EhrSettings| {
            settings.plan.ask.insert(ResourceType::Condition, Ask::ByPatient);
        };
        let (store, tenant) = (&house.t.store, &house.t.tenant);
        connect::change_settings(store, tenant, &house.ehr, change, json!({}), actor()).await.unwrap();
        house.gateway.clients.refresh().await;
        house.sync().await;
        let open = alerts().await;
        let words = "Condition: was searched as a whole, is now searched patient by patient (the operator said so)";
        assert!(open[0].words.contains(words), "{}", open[0].words);
        assert_eq!(events(&house.t, EventKind::EhrPlanChanged).await, 1);
        house.sync().await;
        assert_eq!(alerts().await.len(), 1, "it waits to be seen");
        let mut tx = store.write(tenant).await.unwrap();
        tx.acknowledge_alert(open[0].id, &actor()).await.unwrap();
        tx.commit().await.unwrap();
        house.sync().await;
        assert!(alerts().await.is_empty());
        house.close().await;
    })
    .await;
}

/// A server that takes every connection and never answers.
async fn silent_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    origin
}

#[tokio::test]
async fn an_ehr_that_never_answers_and_one_that_is_set_up_wrongly_delay_no_other() {
    each_house(async |house: House| {
        house.ada();
        house.book("visit", ADA, house.now() + TimeDelta::days(5));
        let (store, tenant) = (&house.t.store, &house.t.tenant);
        let mut silent = connection(&format!("{}/fhir", silent_server().await));
        silent.id = EhrId::new("a-silent");
        connect::add(store, &silent, actor()).await.unwrap();
        let mut wrong = connection("https://ehr.example/fhir");
        wrong.id = EhrId::new("a-wrong");
        connect::add(store, &wrong, actor()).await.unwrap();
        let mut tx = store.write(tenant).await.unwrap();
        tx.set_ehr_settings(&wrong.id, &json!({"scopes": "system/Patient.rs", "settings": {"nonsense": 1}}))
            .await
            .unwrap();
        tx.commit().await.unwrap();

        let (tell, told) = tokio::sync::watch::channel(false);
        let scheduler = house.gateway.scheduler();
        let running = tokio::spawn(async move { scheduler.run(told).await });
        let pulled = async |count: usize| {
            wait_for("the other EHR is pulled", async || {
                let runs = house.view().pull_runs(&house.ehr, 9).await.unwrap();
                (runs.iter().filter(|run| run.state == "done").count() >= count).then_some(())
            })
            .await;
        };
        pulled(1).await;
        let mut tx = store.write(tenant).await.unwrap();
        tx.wish_pull(&house.ehr, true, &actor()).await.unwrap();
        tx.commit().await.unwrap();
        pulled(2).await;
        let runs = house.view().pull_runs(&silent.id, 9).await.unwrap();
        assert!(runs.iter().all(|run| run.state == "running"), "it is still being waited for: {runs:?}");
        let last = house.view().pull_runs(&house.ehr, 1).await.unwrap().remove(0);
        assert_eq!(last.triggered_by, "cli:root");
        assert_eq!(house.view().ehr_watch(&house.ehr).await.unwrap().pull_wish, None);
        tell.send(true).unwrap();
        running.abort();
        tokio::time::timeout(Duration::from_secs(1), running).await.unwrap().unwrap_err();
        house.close().await;
    })
    .await;
}

#[tokio::test]
async fn reminders_of_one_ehr_go_out_while_another_one_never_answers() {
    each_house(async |house: House| {
        house.ada_is_due_in_an_hour().await;
        let (store, tenant) = (&house.t.store, &house.t.tenant);
        // It was pulled while it still answered.
        let mut silent = connection(&house.hospital.fhir_base());
        (silent.id, silent.client_id) = (EhrId::new("a-silent"), "silent".to_owned());
        let keys = connect::add(store, &silent, actor()).await.unwrap().jwks(house.now());
        house.hospital.register_client("silent", JwksSource::Inline(keys), "system/*.cruds");
        let options = PullOptions::new(&house.gateway.settings, Mode::Increment, "test");
        let client = house.gateway.clients.get(&silent.id).await.unwrap();
        pull::run(store, &client, &options, &|_| {}).await.unwrap();
        let planned = house.view().reminders_of_patients(&silent.id, &[PatientId::new(ADA)]).await.unwrap();
        assert!(!planned.is_empty(), "there is something that rests on it");
        let nowhere = BaseUrl::parse(&format!("{}/fhir", silent_server().await)).unwrap();
        connect::move_to(store, tenant, &silent.id, &nowhere, actor()).await.unwrap();
        house.gateway.clients.refresh().await;

        house.later(TimeDelta::hours(1));
        let (tell, told) = tokio::sync::watch::channel(false);
        let outbox = house.gateway.outbox.clone();
        let running = tokio::spawn(async move { outbox.run(told).await });
        wait_for("the text goes out", async || (!house.texts().is_empty()).then_some(())).await;
        wait_for("the EHR is told", async || (house.asked("POST", "/fhir/Communication") > 0).then_some(())).await;
        tell.send(true).unwrap();
        running.abort();
        house.close().await;
    })
    .await;
}
