//! From the table of routes to a running server.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::rc::Rc;

use actix_web::dev::Server;
use actix_web::http::{Method, header};
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::error::WebError;
use super::guard::{Declared, answer};
use super::routes::table;
use super::state::WebState;

/// Seconds that open requests get when the server is told to stop.
const DRAIN_SECONDS: u64 = 30;

/// Serves the pages on `listener` with this many worker threads. The caller awaits the server, and stops it through
/// `handle().stop(true)`, which lets open requests finish; no signal is handled here.
pub fn serve(state: WebState, listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        let state = state.clone();
        App::new().wrap(headers(state.is_secure())).configure(move |config| configure(config, &state))
    })
    .workers(workers.max(1))
    .shutdown_timeout(DRAIN_SECONDS)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

/// Every route of the table, and a calm page for everything else.
fn configure(config: &mut web::ServiceConfig, state: &WebState) {
    let mut by_path: BTreeMap<&'static str, Vec<Declared>> = BTreeMap::new();
    for declared in table() {
        by_path.entry(declared.info.path).or_default().push(declared);
    }
    for (path, declared) in by_path {
        let mut resource = web::resource(path);
        for declared in declared {
            let method = Method::from_bytes(declared.info.method.as_bytes()).unwrap_or(Method::GET);
            let (state, declared) = (state.clone(), Rc::new(declared));
            resource = resource.route(web::method(method).to(move |request: HttpRequest, payload: web::Payload| {
                let (state, declared) = (state.clone(), declared.clone());
                async move { answer(&state, &declared, request, payload).await }
            }));
        }
        config.service(resource.default_service(refuse(state, || WebError::WrongMethod)));
    }
    config.default_service(refuse(state, || WebError::NotFound));
}

fn refuse(state: &WebState, error: fn() -> WebError) -> actix_web::Route {
    let state = state.clone();
    web::to(move |request: HttpRequest| {
        let response: HttpResponse = error().into_response(&state, None, &request);
        async move { response }
    })
}

/// What every answer carries (ASVS 5.0, 3.4 and 14.3.2). There is no script on any page, so none is allowed.
fn headers(secure: bool) -> DefaultHeaders {
    let policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                  frame-ancestors 'none'; base-uri 'none'";
    let headers = DefaultHeaders::new()
        .add((header::CONTENT_SECURITY_POLICY, policy))
        // Not `no-referrer`: with it browsers send `Origin: null` with our own forms, and the origin check needs it.
        .add((header::REFERRER_POLICY, "same-origin"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::CACHE_CONTROL, "no-store"))
        .add(("cross-origin-opener-policy", "same-origin"))
        .add(("cross-origin-resource-policy", "same-origin"));
    if secure {
        headers.add((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"))
    } else {
        headers
    }
}
