//! People are told: raised by the clock, carried by mail and by a signed webhook, once, and until they get through.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::hmac;
use beckon::app::alerting::Look;
use beckon::domain::{Actor, Alert, AlertKind};
use beckon::pull::{self, Mode, PullOptions};
use beckon::sandbox::{Fault, FaultKind};
use chrono::TimeDelta;
use serde_json::Value;

use crate::support::each_database;
use crate::support::live::Live;

const SECRET: &str = "the receiver knows this";

#[derive(Clone)]
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<(String, Vec<u8>)>>>,
    status: Arc<Mutex<u16>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/beckon", listener.local_addr().unwrap());
        let it = Self { url, got: Arc::default(), status: Arc::new(Mutex::new(204)) };
        let shared = it.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(shared.clone())).route(
                "/beckon",
                web::post().to(|request: HttpRequest, body: web::Bytes, it: web::Data<Receiver>| async move {
                    let signature = request.headers().get("X-Beckon-Signature").unwrap().to_str().unwrap().to_owned();
                    it.got.lock().unwrap().push((signature, body.to_vec()));
                    let status = *it.status.lock().unwrap();
                    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).finish()
                }),
            )
        });
        tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        it
    }

    fn settings(&self) -> String {
        format!(
            "[alerts]\nemail = \"oncall@hospital.example\"\nwebhook_url = \"{}\"\nwebhook_secret = \"{SECRET}\"\n",
            self.url
        )
    }

    fn calls(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// The last body, whose signature is checked as a receiver would.
    fn last(&self) -> Value {
        let (signature, body) = self.got.lock().unwrap().last().unwrap().clone();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let digits = signature.strip_prefix("sha256=").unwrap();
        let tag: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        hmac::verify(&key, &body, &tag).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn answers(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }
}

async fn open_alerts(live: &Live) -> Vec<Alert> {
    live.t.store.view(&live.t.tenant).alerts(true, None, 100).await.unwrap()
}

async fn has(live: &Live, kind: AlertKind) -> bool {
    open_alerts(live).await.iter().any(|alert| alert.kind == kind)
}

fn to_oncall(live: &Live) -> Vec<String> {
    let mails = live.hospital.mails();
    let ours = mails.iter().filter(|mail| mail.recipients.iter().any(|to| to == "oncall@hospital.example"));
    ours.map(|mail| format!("{}\n{}", mail.subject, mail.text.clone().unwrap_or_default())).collect()
}

#[tokio::test]
async fn an_overdue_pull_is_told_once_by_mail_and_by_webhook_and_ends_with_the_next_pull() {
    each_database(async |t| {
        let receiver = Receiver::start();
        let live = Live::open(t, 5, &receiver.settings()).await;
        let alerting = live.gateway.alerting().unwrap();
        live.settle().await;
        assert_eq!(alerting.turn().await.unwrap(), Look { led: true, ..Look::default() }, "all is well");

        live.clock.advance(TimeDelta::minutes(21));
        let look = alerting.turn().await.unwrap();
        assert_eq!((look.raised, look.told), (1, 1));
        let body = receiver.last();
        assert_eq!(body["alerts"][0]["kind"], "pull_overdue");
        assert_eq!(body["alerts"][0]["subject"], "main");
        let mails = to_oncall(&live);
        assert_eq!(mails.len(), 1);
        assert!(mails[0].contains("pull overdue (main)") && mails[0].contains("/worklist"), "{}", mails[0]);

        for _ in 0..5 {
            live.clock.advance(TimeDelta::minutes(30));
            alerting.turn().await.unwrap();
        }
        assert_eq!((receiver.calls(), to_oncall(&live).len()), (1, 1), "told once, however long it lasts");
        assert!(open_alerts(&live).await[0].count >= 2, "and counted");

        live.settle().await;
        assert_eq!(alerting.turn().await.unwrap().resolved, 1);
        assert!(open_alerts(&live).await.is_empty());
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_is_down_is_tried_again_and_nobody_is_mailed_twice() {
    each_database(async |t| {
        let receiver = Receiver::start();
        let live = Live::open(t, 0, &receiver.settings()).await;
        let alerting = live.gateway.alerting().unwrap();
        receiver.answers(503);
        live.clock.advance(TimeDelta::hours(1));
        assert_eq!(alerting.turn().await.unwrap().told, 0);
        assert_eq!((receiver.calls(), to_oncall(&live).len()), (1, 1));
        alerting.turn().await.unwrap();
        assert_eq!(receiver.calls(), 1, "it rests before it is tried again");
        receiver.answers(200);
        live.clock.advance(TimeDelta::minutes(2));
        assert_eq!(alerting.turn().await.unwrap().told, 1);
        assert_eq!((receiver.calls(), to_oncall(&live).len()), (2, 1));
        live.clock.advance(TimeDelta::minutes(2));
        assert_eq!(alerting.turn().await.unwrap().told, 0);
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_acknowledged_alert_that_goes_on_asks_again_the_next_day() {
    each_database(async |t| {
        let receiver = Receiver::start();
        let live = Live::open(t, 0, &receiver.settings()).await;
        let alerting = live.gateway.alerting().unwrap();
        live.clock.advance(TimeDelta::hours(1));
        alerting.turn().await.unwrap();
        let alert = open_alerts(&live).await.remove(0);
        let mut tx = live.t.store.write(&live.t.tenant).await.unwrap();
        assert!(tx.acknowledge_alert(alert.id, &Actor::Staff("ada".to_owned())).await.unwrap());
        tx.commit().await.unwrap();
        live.clock.advance(TimeDelta::hours(23));
        alerting.turn().await.unwrap();
        assert_eq!(receiver.calls(), 1);
        live.clock.advance(TimeDelta::hours(2));
        assert_eq!(alerting.turn().await.unwrap().told, 1);
        assert_eq!(receiver.calls(), 2);
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_refuses_everything_is_reported_through_the_other_way() {
    each_database(async |t| {
        let receiver = Receiver::start();
        let live = Live::open(t, 0, &receiver.settings()).await;
        live.book();
        live.hospital.inject(Fault::new(FaultKind::DeferMail).always());
        for _ in 0..12 {
            live.settle().await;
            live.clock.advance(TimeDelta::minutes(20));
        }
        live.settle().await;
        let alerting = live.gateway.alerting().unwrap();
        alerting.turn().await.unwrap();
        assert!(has(&live, AlertKind::ProviderDown).await, "{:?}", open_alerts(&live).await);
        let body = receiver.last();
        let told: Vec<_> = body["alerts"].as_array().unwrap().iter().map(|it| (&it["kind"], &it["subject"])).collect();
        assert!(told.contains(&(&"provider_down".into(), &"smtp".into())), "{told:?}");
        assert!(to_oncall(&live).is_empty());

        live.hospital.clear_faults();
        live.clock.advance(TimeDelta::minutes(65));
        live.settle().await;
        alerting.turn().await.unwrap();
        assert!(!has(&live, AlertKind::ProviderDown).await, "mail goes out again");
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn one_replica_watches_at_a_time() {
    each_database(async |t| {
        let receiver = Receiver::start();
        let live = Live::open(t, 0, &receiver.settings()).await;
        let (first, second) = (live.gateway.alerting().unwrap(), live.gateway.alerting().unwrap());
        live.clock.advance(TimeDelta::hours(1));
        assert!(first.turn().await.unwrap().led);
        assert!(!second.turn().await.unwrap().led);
        live.clock.advance(TimeDelta::minutes(3));
        assert!(second.turn().await.unwrap().led, "the first one went away");
        assert_eq!(receiver.calls(), 1);
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn write_back_in_vain_and_a_full_disk_call_a_person() {
    each_database(async |t| {
        let receiver = Receiver::start();
        let live = Live::open(t, 0, &receiver.settings()).await;
        live.book();
        let broken = Fault::new(FaultKind::ServerError { status: 500, retry_after: None });
        live.hospital.inject(broken.on("/fhir/Communication").method("POST").always());
        live.pass(8).await;
        let mut alerting = live.gateway.alerting().unwrap();
        alerting.turn().await.unwrap();
        assert!(has(&live, AlertKind::WriteBackStuck).await);
        live.hospital.clear_faults();
        live.pass(7).await;
        alerting.turn().await.unwrap();
        assert!(!has(&live, AlertKind::WriteBackStuck).await, "everything is written now");

        let embedded = live.t.url.starts_with("sqlite:");
        alerting.disk_floor = u64::MAX;
        alerting.turn().await.unwrap();
        assert_eq!(has(&live, AlertKind::DiskTrouble).await, embedded);
        alerting.disk_floor = 0;
        alerting.turn().await.unwrap();
        assert!(!has(&live, AlertKind::DiskTrouble).await);
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_token_is_told_too() {
    each_database(async |t| {
        let receiver = Receiver::start();
        let live = Live::open(t, 0, &receiver.settings()).await;
        live.hospital.register_client(
            "beckon-test",
            beckon::sandbox::JwksSource::Inline(serde_json::json!({"keys": []})),
            "",
        );
        let client = live.gateway.clients.get(&live.ehr).await.unwrap();
        let options = PullOptions::new(&live.settings, Mode::Increment, "test");
        pull::run(&live.t.store, &client, &options, &|_| {}).await.unwrap_err();
        let alerting = live.gateway.alerting().unwrap();
        assert_eq!(alerting.turn().await.unwrap().told, 1);
        assert_eq!(receiver.last()["alerts"][0]["kind"], "token_refused");
        live.stop().await;
    })
    .await;
}
