//! A server that exports prepared files and nothing else: the other end of the bulk bench. It streams from the disk on a
//! thread of its own, so that neither its work nor its memory is the gateway's.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::house::file;
use super::meter::FOREIGN;
use crate::app::AppError;
use crate::domain::ResourceType;

#[derive(Debug)]
pub(super) struct Exporter {
    /// `http://127.0.0.1:port/fhir`.
    pub(super) base: String,
    /// Dropped with the server, which ends its thread.
    _stop: oneshot::Sender<()>,
}

/// What it serves.
struct Served {
    origin: String,
    files: Vec<(ResourceType, PathBuf)>,
}

impl Exporter {
    pub(super) fn start(files: Vec<(ResourceType, PathBuf)>) -> Result<Self, AppError> {
        let failed = |error| file("the bench's export server", error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let origin = format!("http://{}", listener.local_addr().map_err(failed)?);
        listener.set_nonblocking(true).map_err(failed)?;
        let base = format!("{origin}/fhir");
        let served = Arc::new(Served { origin, files });
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    // A listener that fails leaves the gateway to say so.
                    _ = accept(listener, served) => {}
                }
            });
        };
        std::thread::Builder::new().name(format!("{FOREIGN}ehr")).spawn(serve).map_err(failed)?;
        Ok(Self { base, _stop: stop })
    }
}

async fn accept(listener: TcpListener, served: Arc<Served>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            // A connection that breaks is the gateway's to notice.
            let _broken = converse(stream, &served).await;
        });
    }
}

/// One connection: request after request, each with its head only or with a small body.
async fn converse(stream: TcpStream, served: &Served) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ');
        let (method, target) =
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let mut length = 0_u64;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = Vec::new();
        (&mut stream).take(length).read_to_end(&mut body).await?;
        let path = target.split('?').next().unwrap_or_default();
        let exported = path.strip_prefix("/fhir/_export/1/").and_then(|name| name.strip_suffix(".ndjson"));
        let found = exported.and_then(|name| served.files.iter().find(|(kind, _)| kind.as_str() == name));
        if let Some((_, path)) = found {
            let mut input = tokio::fs::File::open(path).await?;
            let length = input.metadata().await?.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/fhir+ndjson\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            tokio::io::copy(&mut input, stream.get_mut()).await?;
            continue;
        }
        let (status, more, body) = answer(&method, path, served);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/fhir+json\r\n{more}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
    }
}

/// Status, further header lines, body.
fn answer(method: &str, path: &str, served: &Served) -> (u16, String, Value) {
    let origin = &served.origin;
    match (method, path) {
        ("GET", "/fhir/.well-known/smart-configuration") => {
            (200, String::new(), json!({"token_endpoint": format!("{origin}/token")}))
        }
        ("POST", "/token") => {
            let token =
                json!({"access_token": "bench", "token_type": "bearer", "expires_in": 86_400, "scope": "system/*.rs"});
            (200, String::new(), token)
        }
        ("GET", "/fhir/metadata") => {
            let types: Vec<Value> = served
                .files
                .iter()
                .map(|(kind, _)| json!({"type": kind, "interaction": [{"code": "read"}, {"code": "search-type"}]}))
                .collect();
            let rest = json!([{"mode": "server", "operation": [{"name": "export"}], "resource": types}]);
            (200, String::new(), json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}))
        }
        ("GET", "/fhir/$export") => (202, format!("content-location: {origin}/fhir/_export/1\r\n"), json!({})),
        ("GET", "/fhir/_export/1") => {
            let output: Vec<Value> = served
                .files
                .iter()
                .map(|(kind, _)| json!({"type": kind, "url": format!("{origin}/fhir/_export/1/{kind}.ndjson")}))
                .collect();
            let manifest = json!({"transactionTime": "2026-03-02T12:00:00Z", "request": "", "requiresAccessToken": true,
                "output": output, "error": []});
            (200, String::new(), manifest)
        }
        ("DELETE", _) => (202, String::new(), json!({})),
        _ => (200, String::new(), json!({"resourceType": "Bundle", "type": "searchset", "total": 0})),
    }
}
