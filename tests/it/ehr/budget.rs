//! What a connection may use of an EHR, over all replicas: calls at once, a rate, a day's calls, pauses and the circuit;
//! and the ledger of what was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use beckon::clock::{Clock as _, ManualClock};
use beckon::domain::{Actor, AlertKind, EhrId, ResourceKey, ResourceType};
use beckon::ehr::budget::PausedWhy;
use beckon::ehr::client::FhirClient;
use beckon::ehr::connect;
use beckon::ehr::connection::{EhrConnection, EhrSettings};
use beckon::ehr::error::EhrError;
use beckon::ehr::retry::Sleeper;
use beckon::ehr::search::Search;
use beckon::store::{CallLimits, LeaseAsk, RequestFilter, Store};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::canned::{Answer, with_token};
use super::support::{Naps, connection};
use crate::support::{TestStore, each_database, open_store};

const LOCATION: ResourceType = ResourceType::Location;

fn location() -> Answer {
    Answer::json(200, &json!({"resourceType": "Location", "id": "l"}))
}

async fn connected(t: &TestStore, origin: &str, change: impl FnOnce(&mut EhrSettings)) -> EhrConnection {
    let mut ehr = connection(&format!("{origin}/fhir"));
    change(&mut ehr.settings);
    connect::add(&t.store, &ehr, Actor::Cli("root".to_owned())).await.unwrap();
    ehr
}

async fn client(store: &Store, t: &TestStore, sleeper: Arc<dyn Sleeper>) -> FhirClient {
    connect::open(store, &t.tenant, &EhrId::new("test"), sleeper).await.unwrap()
}

async fn read(client: &FhirClient) -> Result<(), EhrError> {
    client.read(&ResourceKey::new(LOCATION, "l"), None).await.map(|_| ())
}

fn why(result: Result<(), EhrError>) -> PausedWhy {
    match result {
        Err(EhrError::Paused { why, .. }) => why,
        other => panic!("not held back: {other:?}"),
    }
}

async fn open_alerts(t: &TestStore) -> Vec<AlertKind> {
    t.store.view(&t.tenant).alerts(true, None, 50).await.unwrap().iter().map(|alert| alert.kind).collect()
}

/// Sleeps a hundredth of what it is told, while the clock runs a hundred times too fast.
#[derive(Debug)]
struct Hasty;

#[async_trait::async_trait]
impl Sleeper for Hasty {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / 100).await;
    }
}

async fn hurry(clock: Arc<ManualClock>, stop: Arc<AtomicBool>) {
    while !stop.load(SeqCst) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        clock.advance(TimeDelta::milliseconds(200));
    }
}

/// A server that takes its time, and knows how many calls it had at once at most.
struct Busy {
    origin: String,
    most: Arc<AtomicI64>,
    calls: Arc<AtomicI64>,
}

impl Busy {
    async fn start() -> Self {
        let (now, most, calls) = <(Arc<AtomicI64>, Arc<AtomicI64>, Arc<AtomicI64>)>::default();
        let (peak, count) = (most.clone(), calls.clone());
        let server = actix_web::HttpServer::new(move || {
            let (now, peak, count) = (now.clone(), peak.clone(), count.clone());
            actix_web::App::new().default_service(actix_web::web::to(move |request: actix_web::HttpRequest| {
                let (now, peak, count) = (now.clone(), peak.clone(), count.clone());
                async move {
                    let origin = format!("http://{}", request.app_config().local_addr());
                    peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    tokio::time::sleep(Duration::from_millis(4)).await;
                    now.fetch_sub(1, SeqCst);
                    let body = match request.path() {
                        "/token" => json!({"access_token": "good", "token_type": "bearer", "scope": "system/*.rs"}),
                        path if path.ends_with("configuration") => json!({"token_endpoint": format!("{origin}/token")}),
                        _ => {
                            count.fetch_add(1, SeqCst);
                            json!({"resourceType": "Location", "id": "l"})
                        }
                    };
                    actix_web::HttpResponse::Ok().json(body)
                }
            }))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let origin = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { origin, most, calls }
    }
}

#[tokio::test]
async fn two_replicas_together_have_no_more_calls_under_way_than_allowed_and_both_get_their_turn() {
    each_database(async |t| {
        let server = Busy::start().await;
        connected(&t, &server.origin, |settings| settings.concurrency = 2).await;
        let other = open_store(&t.url, t.clock.clone()).await;
        let (one, two) = (client(&t.store, &t, Arc::new(Hasty)).await, client(&other, &t, Arc::new(Hasty)).await);
        let stop = Arc::new(AtomicBool::new(false));
        let clock = tokio::spawn(hurry(t.clock.clone(), stop.clone()));
        let reads = (0..20).flat_map(|_| [read(&one), read(&two)]);
        let ends = futures_util::future::join_all(reads).await;
        stop.store(true, SeqCst);
        clock.await.unwrap();
        let failed: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!((server.calls.load(SeqCst), server.most.load(SeqCst)), (40, 2));
    })
    .await;
}

fn limits(concurrency: u32) -> CallLimits {
    CallLimits {
        concurrency,
        interval: None,
        background_interval: None,
        per_day: None,
        background_per_day: None,
        day: NaiveDate::from_ymd_opt(2026, 3, 2).unwrap(),
    }
}

fn ask(holder: u128, slots: u32, limits: &CallLimits) -> LeaseAsk<'_> {
    LeaseAsk {
        holder: Uuid::from_u128(holder),
        in_flight: 0,
        slots,
        calls: 0,
        unspent: 0,
        background: false,
        limits,
        length: TimeDelta::seconds(20),
    }
}

async fn lease(t: &TestStore, ask: &LeaseAsk<'_>) -> beckon::store::Lease {
    let mut tx = t.store.write(&t.tenant).await.unwrap();
    let lease = tx.lease_calls(&EhrId::new("test"), ask).await.unwrap();
    tx.commit().await.unwrap();
    lease
}

#[tokio::test]
async fn places_are_shared_fairly_and_those_of_a_dead_replica_come_back() {
    each_database(async |t| {
        let four = limits(4);
        assert_eq!(lease(&t, &ask(1, 4, &four)).await.slots, 4, "alone it takes what it needs");
        assert_eq!(lease(&t, &ask(2, 3, &four)).await.slots, 0, "nothing is left");
        let busy = LeaseAsk { in_flight: 3, ..ask(1, 4, &four) };
        assert_eq!(lease(&t, &busy).await.slots, 3, "what is under way is kept");
        assert_eq!(lease(&t, &ask(2, 3, &four)).await.slots, 1);
        assert_eq!(lease(&t, &ask(1, 4, &four)).await.slots, 2, "an equal part, because another one waits");
        assert_eq!(lease(&t, &ask(2, 3, &four)).await.slots, 2);
        t.clock.advance(TimeDelta::seconds(21));
        assert_eq!(lease(&t, &ask(2, 4, &four)).await.slots, 4, "the lease of the first one has ended");
        // More replicas than places: who has the place gives it up between two calls.
        let one = limits(1);
        t.clock.advance(TimeDelta::seconds(21));
        assert_eq!(lease(&t, &ask(1, 1, &one)).await.slots, 1);
        assert_eq!(lease(&t, &ask(2, 1, &one)).await.slots, 0);
        assert_eq!(lease(&t, &ask(1, 1, &one)).await.slots, 0);
        assert_eq!(lease(&t, &ask(2, 1, &one)).await.slots, 1);
    })
    .await;
}

#[tokio::test]
async fn the_rate_holds_over_all_replicas_and_work_that_can_wait_gets_its_part_of_it() {
    each_database(async |t| {
        let rate = CallLimits {
            interval: Some(TimeDelta::milliseconds(100)),
            background_interval: Some(TimeDelta::milliseconds(500)),
            ..limits(4)
        };
        let now = t.clock.now();
        let after = |lease: beckon::store::Lease| (lease.first_at - now).num_milliseconds();
        assert_eq!(after(lease(&t, &LeaseAsk { calls: 10, ..ask(1, 1, &rate) }).await), 0);
        assert_eq!(after(lease(&t, &LeaseAsk { calls: 2, ..ask(2, 1, &rate) }).await), 1000);
        let waits = |holder| LeaseAsk { calls: 2, background: true, ..ask(holder, 1, &rate) };
        assert_eq!(after(lease(&t, &waits(1)).await), 1200);
        assert_eq!(after(lease(&t, &waits(2)).await), 2200, "its own rate is slower");
        assert_eq!(after(lease(&t, &LeaseAsk { calls: 1, ..ask(1, 1, &rate) }).await), 1600, "others are not slowed");
        t.clock.advance(TimeDelta::seconds(10));
        assert_eq!(after(lease(&t, &LeaseAsk { calls: 1, ..ask(1, 1, &rate) }).await), 10_000, "nothing is saved up");
    })
    .await;
}

#[tokio::test]
async fn calls_go_out_at_the_rate_of_the_connection() {
    let t = TestStore::sqlite().await;
    let server = with_token(|_, _| location()).await;
    connected(&t, &server.origin, |settings| settings.budget.calls_per_second = Some(2.0)).await;
    let client = client(&t.store, &t, Naps::new(t.clock.clone())).await;
    let began = t.clock.now();
    for _ in 0..9 {
        read(&client).await.unwrap();
    }
    // Discovery and the token are calls too.
    let took = (t.clock.now() - began).num_milliseconds();
    assert!((5_000..=6_500).contains(&took), "11 calls at two a second took {took} ms");
}

#[tokio::test]
async fn the_last_calls_of_a_day_are_kept_for_what_cannot_wait() {
    each_database(async |t| {
        let server = with_token(|_, _| location()).await;
        connected(&t, &server.origin, |settings| settings.budget.calls_per_day = Some(100)).await;
        let urgent = client(&t.store, &t, Naps::new(t.clock.clone())).await;
        let patient = urgent.in_background();
        let mut made = 0;
        let held_back = loop {
            match read(&patient).await {
                Ok(()) => made += 1,
                held_back => break held_back,
            }
        };
        assert_eq!(made, 78, "80 % of the day, with discovery and token");
        let words = held_back.as_ref().unwrap_err().to_string();
        assert!(words.contains("not asked before 2026-03-03 00:00:00 UTC"), "{words}");
        assert!(held_back.as_ref().unwrap_err().is_transient());
        assert_eq!(why(held_back), PausedWhy::DaySpent);
        assert_eq!(open_alerts(&t).await, [AlertKind::EhrBudgetSpent]);
        for _ in 0..20 {
            read(&urgent).await.unwrap();
        }
        assert_eq!(why(read(&urgent).await), PausedWhy::DaySpent);
        // A second replica does not begin from nought, and the next day does.
        let other = open_store(&t.url, t.clock.clone()).await;
        let other = client(&other, &t, Naps::new(t.clock.clone())).await;
        let error = read(&other).await.unwrap_err();
        assert!(error.to_string().contains("used up"), "{error}");
        let asked = server.asked().len();
        assert_eq!(asked, 100);
        t.clock.set("2026-03-03T00:00:01Z".parse().unwrap());
        read(&patient).await.unwrap();
        assert!(open_alerts(&t).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it_from_every_replica() {
    each_database(async |t| {
        let throttles = Arc::new(AtomicBool::new(false));
        let now = throttles.clone();
        let server = with_token(move |_, _| {
            let slow_down = || Answer::json(429, &json!({})).with("retry-after", "600");
            if now.load(SeqCst) { slow_down() } else { location() }
        })
        .await;
        connected(&t, &server.origin, |_| {}).await;
        let other = open_store(&t.url, t.clock.clone()).await;
        let one = client(&t.store, &t, Naps::new(t.clock.clone())).await;
        let two = client(&other, &t, Naps::new(t.clock.clone())).await;
        read(&one).await.unwrap();
        throttles.store(true, SeqCst);
        assert!(matches!(read(&one).await, Err(EhrError::Throttled { .. })));
        throttles.store(false, SeqCst);
        let asked = server.asked().len();
        let error = read(&two).await.unwrap_err();
        assert!(error.to_string().contains("asked us to slow down"), "{error}");
        assert!((595..=600).contains(&error.retry_after().unwrap().as_secs()), "{error}");
        assert_eq!(why(read(&one).await), PausedWhy::Asked);
        assert_eq!(server.asked().len(), asked, "nobody asked meanwhile");
        t.clock.advance(TimeDelta::minutes(10));
        read(&two).await.unwrap();
        read(&one).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_ehr_that_fails_again_and_again_is_left_alone_and_then_tried_by_one_call() {
    each_database(async |t| {
        let fails = Arc::new(AtomicBool::new(false));
        let now = fails.clone();
        let server = with_token(move |_, _| {
            let broken = || Answer::json(500, &json!({}));
            if now.load(SeqCst) { broken() } else { location() }
        })
        .await;
        connected(&t, &server.origin, |_| {}).await;
        let other = open_store(&t.url, t.clock.clone()).await;
        let one = client(&t.store, &t, Naps::new(t.clock.clone())).await;
        let two = client(&other, &t, Naps::new(t.clock.clone())).await;
        read(&one).await.unwrap();
        fails.store(true, SeqCst);
        let mut calls = 0;
        while !matches!(read(&one).await, Err(EhrError::Paused { .. })) {
            calls += 1;
            assert!(calls < 5, "it is asked on and on");
        }
        assert_eq!(server.count("/fhir/Location"), 1 + 10);
        assert_eq!(open_alerts(&t).await, [AlertKind::EhrDown]);
        let error = read(&two).await.unwrap_err();
        assert!(error.to_string().contains("failed so often"), "{error}");

        // After the rest one call tries; it fails, and the next rest is longer.
        t.clock.advance(TimeDelta::seconds(40));
        let asked = server.count("/fhir/Location");
        assert!(read(&one).await.is_err());
        assert_eq!(server.count("/fhir/Location"), asked + 1);
        let budget = t.store.view(&t.tenant).call_budget(&EhrId::new("test")).await.unwrap().unwrap();
        assert_eq!(budget.circuit_level, 2);
        assert!((60..=75).contains(&(budget.pause.unwrap().until - t.clock.now()).num_seconds()));

        fails.store(false, SeqCst);
        t.clock.advance(TimeDelta::seconds(80));
        read(&two).await.unwrap();
        read(&one).await.unwrap();
        assert!(open_alerts(&t).await.is_empty(), "it is over by itself");
        let budget = t.store.view(&t.tenant).call_budget(&EhrId::new("test")).await.unwrap().unwrap();
        assert_eq!((budget.circuit_level, budget.pause, budget.circuit_since), (0, None, None));
    })
    .await;
}

#[tokio::test]
async fn the_ledger_says_what_was_asked_and_not_of_whom() {
    each_database(async |t| {
        let server = with_token(|asked, _| match asked.path.as_str() {
            "/fhir/Appointment" => Answer::json(200, &json!({"resourceType": "Bundle", "type": "searchset"})),
            "/fhir/Patient/ada-lovelace" => {
                Answer::json(404, &json!({"resourceType": "OperationOutcome", "issue": []}))
            }
            _ => location(),
        })
        .await;
        let ehr = connected(&t, &server.origin, |_| {}).await;
        let client = client(&t.store, &t, Naps::new(t.clock.clone())).await;
        let search = Search::new(ResourceType::Appointment).with("patient", "ada-lovelace").with("date", "ge2026");
        client.find(search).await.unwrap();
        client.read(&ResourceKey::new(ResourceType::Patient, "ada-lovelace"), None).await.unwrap();
        client.flush_ledger().await;
        let view = t.store.view(&t.tenant);
        let all = view.ehr_requests(&ehr.id, &RequestFilter { limit: 10, ..RequestFilter::default() }).await.unwrap();
        let lines: Vec<_> =
            all.iter().rev().map(|it| (it.method.as_str(), it.route.as_str(), it.status, it.token.as_str())).collect();
        assert_eq!(
            lines,
            [
                ("GET", "/.well-known/smart-configuration", Some(200), "none"),
                ("POST", "(token endpoint)", Some(200), "assertion"),
                ("GET", "/Appointment?patient&date", Some(200), "token"),
                ("GET", "/Patient/{id}", Some(404), "token"),
            ]
        );
        let troubled = RequestFilter { troubled: true, limit: 10, ..RequestFilter::default() };
        assert_eq!(view.ehr_requests(&ehr.id, &troubled).await.unwrap().len(), 1);
        let before = RequestFilter { before: Some(all[1].id), limit: 10, ..RequestFilter::default() };
        assert_eq!(view.ehr_requests(&ehr.id, &before).await.unwrap(), all[2..]);

        // A server that is not there leaves a line too.
        drop(server);
        t.clock.advance(TimeDelta::hours(1));
        let day_before: DateTime<Utc> = t.clock.now() - TimeDelta::days(1);
        while read(&client).await.is_ok() {}
        client.flush_ledger().await;
        let last = view.ehr_requests(&ehr.id, &RequestFilter { limit: 1, ..RequestFilter::default() }).await.unwrap();
        assert_eq!((last[0].status, last[0].is_retry), (None, true));
        let usage = view.ehr_usage(&ehr.id, day_before).await.unwrap();
        assert_eq!(usage.len(), 2, "two hours");
        assert_eq!((usage[0].requests, usage[0].failed), (4, 0));
        assert!(usage[1].failed > 0 && usage[1].retries > 0);

        t.clock.advance(TimeDelta::days(3));
        let now = t.clock.now();
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        assert!(tx.forget_ehr_requests(now - TimeDelta::days(2), now - TimeDelta::days(90)).await.unwrap() > 4);
        tx.commit().await.unwrap();
        let none = view.ehr_requests(&ehr.id, &RequestFilter { limit: 9, ..RequestFilter::default() }).await.unwrap();
        assert!(none.is_empty());
        assert_eq!(view.ehr_usage(&ehr.id, day_before).await.unwrap().len(), 2, "sums are kept longer");
    })
    .await;
}
