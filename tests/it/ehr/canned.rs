//! A server that answers as the test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, headers: vec![("content-type", "application/fhir+json".into())], body: body.to_string() }
    }

    pub fn html(status: u16) -> Self {
        let body = "<!DOCTYPE html><html><title>Sign in</title></html>".to_owned();
        Self { status, headers: vec![("content-type", "text/html".into())], body }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Script = dyn Fn(&Asked, &str) -> Answer + Send + Sync;

pub struct Canned {
    pub origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    handle: actix_web::dev::ServerHandle,
}

impl Drop for Canned {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

impl Canned {
    /// The script gets the request and this server's own origin.
    pub async fn start(script: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, script): (_, Arc<Script>) = (asked.clone(), Arc::new(script));
        let server = HttpServer::new(move || {
            let (log, script) = (log.clone(), script.clone());
            App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
                let (log, script) = (log.clone(), script.clone());
                async move { respond(&request, &body, &log, &*script) }
            }))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let origin = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { origin, asked, handle }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Requests to a path that begins so.
    pub fn count(&self, prefix: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path.starts_with(prefix)).count()
    }
}

fn respond(request: &HttpRequest, body: &web::Bytes, log: &Mutex<Vec<Asked>>, script: &Script) -> HttpResponse {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let asked = Asked {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        authorization: headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone()),
        headers,
        body: String::from_utf8_lossy(body).into_owned(),
    };
    log.lock().unwrap().push(asked.clone());
    let origin = format!("http://{}", request.app_config().local_addr());
    let answer = script(&asked, &origin);
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap());
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    response.body(answer.body)
}

/// Discovery and a token that everybody gets; everything else is the test's.
pub async fn with_token(script: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Canned {
    Canned::start(move |asked, origin| match asked.path.as_str() {
        "/fhir/.well-known/smart-configuration" => {
            Answer::json(200, &serde_json::json!({"token_endpoint": format!("{origin}/token")}))
        }
        "/token" => Answer::json(
            200,
            &serde_json::json!({"access_token": "good", "token_type": "bearer", "expires_in": 300, "scope": "system/*.cruds"}),
        ),
        _ => script(asked, origin),
    })
    .await
}
