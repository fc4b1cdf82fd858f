//! The one HTTP listener: which simulated server answers, what goes wrong on request, and a log of what was asked.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::middleware::Compress;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream;
use serde_json::json;

use super::admin;
use super::ehr::from_storage;
use super::faults::{FaultKind, RetryAfter};
use super::http::{Reply, Request, http_date};
use super::seen::SeenRequest;
use super::world::World;

/// Serves `world` on bound listeners until the handle stops it; the second one is the storage's origin.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(world: Arc<World>, listener: TcpListener, storage: TcpListener) -> io::Result<(Server, ServerHandle)> {
    let data = Data::from(world);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(64 << 20))
            .wrap(Compress::default())
            .default_service(web::to(answer))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .listen(storage)?
    .run();
    let handle = server.handle();
    Ok((server, handle))
}

async fn answer(world: Data<World>, http: HttpRequest, body: Bytes) -> HttpResponse {
    let request = Request {
        method: http.method().as_str().to_owned(),
        path: http.path().to_owned(),
        query: http.query_string().to_owned(),
        headers: http.headers().clone(),
        body,
    };
    if request.path.starts_with(admin::ROOT) {
        return plain(admin::answer(&world, &request).await);
    }
    let reply = match refused(&world, &request) {
        Some(reply) => reply,
        None => dispatch(&world, &request).await,
    };
    let path = http.uri().path_and_query().map_or_else(|| request.path.clone(), ToString::to_string);
    world.seen.note(SeenRequest { at: world.clock.now(), method: request.method.clone(), path, status: reply.status });
    // The hospital tells its own time, which may not be the machine's.
    let reply = reply.with("date", http_date(world.clock.now()));
    spoiled(&world, &request, reply).await
}

async fn dispatch(world: &World, request: &Request) -> Reply {
    let path = request.path.as_str();
    if path == "/oauth2/token" {
        world.ehr.authority.token(request).await
    } else if path == "/fhir" || path.starts_with("/fhir/") {
        world.ehr.answer(request).await
    } else if path.starts_with("/_storage/") {
        from_storage(&world.ehr, request)
    } else if path.starts_with("/2010-04-01/") {
        world.phone.answer(request)
    } else {
        Reply::json(404, &json!({"error": "nothing here"}))
    }
}

fn retry(reply: Reply, after: Option<RetryAfter>, now: DateTime<Utc>) -> Reply {
    match after {
        None => reply,
        Some(RetryAfter::Seconds(seconds)) => reply.with("retry-after", seconds.to_string()),
        Some(RetryAfter::DateIn(seconds)) => {
            reply.with("retry-after", http_date(now + TimeDelta::seconds(i64::from(seconds))))
        }
    }
}

/// An error as the server behind the path spells it.
fn error(path: &str, status: u16, code: &str) -> Reply {
    if path.starts_with("/2010-04-01/") {
        let number = if status == 429 { 20429 } else { 20500 };
        Reply::json(status, &json!({"code": number, "message": "simulated fault", "more_info": "", "status": status}))
    } else if path.starts_with("/oauth2/") {
        Reply::json(status, &json!({"error": "temporarily_unavailable"}))
    } else {
        let issue = json!({"severity": "error", "code": code, "diagnostics": "simulated fault"});
        Reply::fhir(status, &json!({"resourceType": "OperationOutcome", "issue": [issue]}))
    }
}

/// A fault that strikes before any work is done.
fn refused(world: &World, request: &Request) -> Option<Reply> {
    let before = |kind: &FaultKind| {
        matches!(kind, FaultKind::TooManyRequests { .. } | FaultKind::ServerError { .. } | FaultKind::HtmlInsteadOfJson)
    };
    let now = world.clock.now();
    match world.faults.strike(&request.method, &request.path, before)? {
        FaultKind::TooManyRequests { retry_after } => {
            Some(retry(error(&request.path, 429, "throttled"), retry_after, now))
        }
        FaultKind::ServerError { status, retry_after } => {
            Some(retry(error(&request.path, status, "transient"), retry_after, now))
        }
        _ => {
            Some(Reply::typed(200, "text/html; charset=utf-8", "<!doctype html><title>Sign in</title><h1>Sign in</h1>"))
        }
    }
}

/// The reply as it leaves, with what goes wrong on its way.
async fn spoiled(world: &World, request: &Request, mut reply: Reply) -> HttpResponse {
    let after = |kind: &FaultKind| {
        matches!(
            kind,
            FaultKind::SlowBody { .. }
                | FaultKind::Held
                | FaultKind::HugeBody { .. }
                | FaultKind::TruncatedJson
                | FaultKind::WrongContentType { .. }
                | FaultKind::ClockSkew { .. }
                | FaultKind::LostReply
        )
    };
    // The hospital's clock, which may be fast-forwarded: the listener would write the machine's.
    reply = reply.with("date", http_date(world.clock.now()));
    let cleared = world.faults.until_cleared();
    match world.faults.strike(&request.method, &request.path, after) {
        Some(FaultKind::Held) => cleared.await,
        Some(FaultKind::TruncatedJson) => reply.body.truncate(reply.body.len() / 2),
        Some(FaultKind::WrongContentType { content_type }) => {
            reply.headers.retain(|(name, _)| *name != "content-type");
            reply = reply.with("content-type", content_type);
        }
        Some(FaultKind::ClockSkew { seconds }) => {
            reply.headers.retain(|(name, _)| *name != "date");
            reply = reply.with("date", http_date(world.clock.now() + TimeDelta::seconds(seconds)));
        }
        Some(FaultKind::LostReply) => {
            // A body that fails at once makes the server drop the connection before it has written anything.
            let failing = stream::once(async { Err::<Bytes, io::Error>(io::ErrorKind::ConnectionAborted.into()) });
            return HttpResponse::Ok().insert_header(("content-encoding", "identity")).streaming(failing);
        }
        Some(FaultKind::SlowBody { chunk, millis }) => {
            let pieces: Vec<Bytes> = reply.body.chunks(chunk.max(1)).map(Bytes::copy_from_slice).collect();
            let slow = stream::unfold(pieces.into_iter(), move |mut pieces| async move {
                let piece = pieces.next()?;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Some((Ok::<_, io::Error>(piece), pieces))
            });
            return head(&reply).insert_header(("content-encoding", "identity")).streaming(slow);
        }
        Some(FaultKind::HugeBody { megabytes }) => {
            let blank = Bytes::from(vec![b' '; 1 << 20]);
            let pieces =
                std::iter::once(Bytes::from(reply.body.clone())).chain((0..megabytes).map(move |_| blank.clone()));
            return head(&reply).streaming(stream::iter(pieces.map(Ok::<_, io::Error>)));
        }
        _ => {}
    }
    plain(reply)
}

fn head(reply: &Reply) -> actix_web::HttpResponseBuilder {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        builder.insert_header((*name, value.as_str()));
    }
    builder
}

fn plain(reply: Reply) -> HttpResponse {
    head(&reply).body(reply.body)
}
