//! Checkpoints leave the house: over every way that the settings name, each once, and until they get through.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use beckon::domain::{Actor, AlertKind};
use beckon::history::checkpoint;
use chrono::TimeDelta;

use crate::support::each_database;
use crate::support::live::Live;

const ACCESS_KEY: &str = "AKIATEST";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// Takes whatever is posted or put, as (method, path, body).
#[derive(Clone)]
struct Keeper {
    url: String,
    got: Arc<Mutex<Vec<(String, String, String)>>>,
    status: Arc<Mutex<u16>>,
}

impl Keeper {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let it = Self { url, got: Arc::default(), status: Arc::new(Mutex::new(200)) };
        let shared = it.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(shared.clone())).default_service(web::to(
                |request: HttpRequest, body: web::Bytes, it: web::Data<Keeper>| async move {
                    let status = *it.status.lock().unwrap();
                    if request.method() == "PUT" && !is_signed_for_a_bucket(&request) {
                        return HttpResponse::Forbidden().finish();
                    }
                    if status == 200 {
                        let text = String::from_utf8(body.to_vec()).unwrap();
                        let path = request.path().to_owned();
                        it.got.lock().unwrap().push((request.method().to_string(), path, text));
                    }
                    HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish()
                },
            ))
        });
        tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        it
    }

    fn got(&self) -> Vec<(String, String, String)> {
        self.got.lock().unwrap().clone()
    }
}

/// The other side of AWS Signature Version 4, as a bucket checks a presigned request.
fn is_signed_for_a_bucket(request: &HttpRequest) -> bool {
    let mut query: Vec<(String, String)> = request
        .query_string()
        .split('&')
        .filter_map(|it| it.split_once('='))
        .map(|(a, b)| (a.into(), b.into()))
        .collect();
    let at = query.iter().position(|(name, _)| name == "X-Amz-Signature").unwrap();
    let (_, signature) = query.remove(at);
    query.sort();
    let of = |name: &str| query.iter().find(|(it, _)| it == name).unwrap().1.clone();
    assert_eq!(of("X-Amz-SignedHeaders"), "host");
    let (date, scope) = (of("X-Amz-Date"), of("X-Amz-Credential").replace("%2F", "/"));
    let (key, scope) = scope.split_once('/').unwrap();
    assert_eq!(key, ACCESS_KEY);
    let joined = query.iter().map(|(a, b)| format!("{a}={b}")).collect::<Vec<_>>().join("&");
    let host = request.headers().get("host").unwrap().to_str().unwrap();
    let canonical = format!("PUT\n{}\n{joined}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD", request.path());
    let hex = |bytes: &[u8]| beckon::clock::hexadecimal(bytes);
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes()).as_ref()));
    let mac =
        |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec();
    let key = scope.split('/').fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| mac(&key, part));
    signature == hex(&mac(&key, &to_sign))
}

async fn live(t: crate::support::TestStore, keeper: &Keeper, folder: &std::path::Path) -> Live {
    let settings = format!(
        "[history]\ncheckpoint_folder = \"{folder}\"\ncheckpoint_url = \"{url}/witness\"\ncheckpoint_email = \
         \"privacy@hospital.example\"\nbucket = \"evidence\"\nbucket_url = \"{url}\"\nbucket_region = \"eu-central-1\"\n\
         bucket_prefix = \"beckon/\"\nbucket_access_key = \"{ACCESS_KEY}\"\nbucket_secret_key = \"{SECRET_KEY}\"\n",
        url = keeper.url,
        folder = folder.display(),
    );
    Live::open(t, 0, &settings).await
}

async fn sign(live: &Live) -> String {
    let origin = checkpoint::origin(&live.settings, &live.t.tenant);
    checkpoint::sign(&live.t.store, &live.t.tenant, &origin, Actor::system("test")).await.unwrap().0.note
}

#[tokio::test]
async fn a_checkpoint_reaches_a_folder_an_address_a_mailbox_and_a_bucket_once_each() {
    each_database(async |t| {
        let (keeper, folder) = (Keeper::start(), tempfile::tempdir().unwrap());
        let live = live(t, &keeper, folder.path()).await;
        let publishing = live.gateway.publishing().unwrap();
        assert_eq!(publishing.turn().await.unwrap(), 0, "nothing was signed yet");
        let note = sign(&live).await;
        assert_eq!(publishing.turn().await.unwrap(), 4);
        assert_eq!(publishing.turn().await.unwrap(), 0, "once");

        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), note);
        let name = files[0].file_name().unwrap().to_str().unwrap();
        let got = keeper.got();
        assert_eq!(got.len(), 2);
        assert_eq!(got[0], ("POST".to_owned(), "/witness".to_owned(), note.clone()));
        assert_eq!(got[1], ("PUT".to_owned(), format!("/evidence/beckon/{name}"), note.clone()));
        let mails = live.hospital.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].recipients, ["privacy@hospital.example"]);
        let text = mails[0].text.clone().unwrap().replace("\r\n", "\n");
        let kept = text.split("----------\n").nth(1).unwrap();
        assert_eq!(kept, note, "what is between the lines is the note, byte for byte");
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_keeper_that_is_down_gets_the_newest_one_later_and_a_person_is_told() {
    each_database(async |t| {
        let (keeper, folder) = (Keeper::start(), tempfile::tempdir().unwrap());
        let live = live(t, &keeper, folder.path()).await;
        let (publishing, alerting) = (live.gateway.publishing().unwrap(), live.gateway.alerting().unwrap());
        *keeper.status.lock().unwrap() = 503;
        sign(&live).await;
        assert_eq!(publishing.turn().await.unwrap(), 2, "folder and mailbox");
        assert_eq!(publishing.turn().await.unwrap(), 0, "the others rest");
        let told = async || {
            beckon::history::number::number_all(&live.t.store, &live.t.tenant).await.unwrap();
            alerting.turn().await.unwrap();
            let alerts = live.t.store.view(&live.t.tenant).alerts(true, None, 50).await.unwrap();
            alerts
                .into_iter()
                .filter(|it| it.kind == AlertKind::CheckpointMissing)
                .map(|it| it.words)
                .collect::<Vec<_>>()
        };
        assert!(told().await.is_empty());
        for minutes in [2, 6] {
            live.clock.advance(TimeDelta::minutes(minutes));
            publishing.turn().await.unwrap();
        }
        let words = told().await;
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words.iter().all(|it| it.contains("status 503")), "{words:?}");
        live.book();
        live.settle().await;
        let newest = sign(&live).await;
        *keeper.status.lock().unwrap() = 200;
        live.clock.advance(TimeDelta::minutes(16));
        publishing.turn().await.unwrap();
        assert!(keeper.got().iter().all(|(_, _, body)| *body == newest) && keeper.got().len() == 2);
        assert!(told().await.is_empty());
        live.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_kept_checkpoint_is_never_written_over() {
    let t = crate::support::TestStore::sqlite().await;
    let (keeper, folder) = (Keeper::start(), tempfile::tempdir().unwrap());
    let live = live(t, &keeper, folder.path()).await;
    let publishing = live.gateway.publishing().unwrap();
    sign(&live).await;
    publishing.turn().await.unwrap();
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "what was kept before").unwrap();
    let db = sea_orm::Database::connect(&live.t.url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&db, "DELETE FROM history_publication").await.unwrap();
    assert_eq!(publishing.turn().await.unwrap(), 3, "all but the folder");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "what was kept before");
    let known = live.t.store.view(&live.t.tenant).publications().await.unwrap();
    assert!(known.iter().any(|it| it.way == "folder" && it.problem.as_deref().unwrap().contains("another checkpoint")));
    live.stop().await;
}
