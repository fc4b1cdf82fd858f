//! A FHIR server that is not ours: sekmet-fhir, with SMART Backend Services on. It validates what it is sent, refuses what
//! the scopes do not cover, and takes no assertion twice. Its clock is the test's (libfaketime reads it from a file).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::tools::{Running, fake_time, free_port, python, wait_for};

/// By which the hospital itself writes into its server.
const STAFF: &str = "the-hospital-itself";
pub const CLIENT: &str = "beckon-gateway";

pub struct FhirServer {
    program: Option<Running>,
    python: PathBuf,
    library: PathBuf,
    port: u16,
    folder: tempfile::TempDir,
    http: reqwest::Client,
}

impl FhirServer {
    /// One that has its address and does not answer yet; `None` where it is not installed.
    pub fn at(now: DateTime<Utc>) -> Option<Self> {
        let (python, library) = (python("sekmet")?, fake_time()?);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = Self { program: None, python, library, port: free_port(), folder, http };
        server.tell_time(now);
        Some(server)
    }

    /// Starts it with one client, by the keys and scopes that were agreed on.
    pub async fn open(&mut self, jwks: Value, scopes: &str) {
        let settings = json!({
            "base_url": self.base(), "host": "127.0.0.1", "port": self.port,
            "data_dir": self.folder.path().join("data"),
            "own_private_key_path": self.folder.path().join("own.pem"),
            // It would answer bookings by itself.
            "simulator": {"enabled": false},
            "server_auth": {
                "types": ["smart", "bearer"], "tokens": [STAFF],
                "smart_clients": [{"client_id": CLIENT, "jwks": jwks, "scopes": scopes}],
            },
        });
        // JSON is YAML.
        std::fs::write(self.settings(), settings.to_string()).unwrap();
        self.up().await;
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("settings.yaml")
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/fhir", self.port)
    }

    /// Sets its clock, which stands until the next call.
    pub fn tell_time(&self, now: DateTime<Utc>) {
        let (next, file) = (self.folder.path().join("time.next"), self.folder.path().join("time"));
        std::fs::write(&next, now.format("%Y-%m-%d %H:%M:%S\n").to_string()).unwrap();
        std::fs::rename(next, file).unwrap();
    }

    pub fn down(&mut self) {
        self.program = None;
    }

    /// Starts it on what it kept.
    pub async fn up(&mut self) {
        let log = self.folder.path().join("log");
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut program = Running::start(
            Command::new(&self.python)
                .args(["-c", "from sekmet.cli import app; app()", "serve", "--config"])
                .arg(self.settings())
                .current_dir(self.folder.path())
                .env("LD_PRELOAD", &self.library)
                .env("FAKETIME_TIMESTAMP_FILE", self.folder.path().join("time"))
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("TZ", "UTC")
                .stdin(Stdio::null())
                .stdout(file.try_clone().unwrap())
                .stderr(file),
        );
        wait_for("the FHIR server answers", async || {
            assert!(!program.has_ended(), "the FHIR server ended: {}", std::fs::read_to_string(&log).unwrap());
            let answer = self.http.get(format!("{}/metadata", self.base())).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        self.program = Some(program);
    }

    /// What the hospital's own staff write.
    pub async fn put(&self, resource: Value) {
        let url = format!(
            "{}/{}/{}",
            self.base(),
            resource["resourceType"].as_str().unwrap(),
            resource["id"].as_str().unwrap()
        );
        let answer = self.http.put(url).bearer_auth(STAFF).json(&resource).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status} {}", answer.text().await.unwrap());
    }

    /// What it holds of a type, by the search that is given.
    pub async fn search(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/{query}", self.base());
        let answer = self.http.get(url).bearer_auth(STAFF).send().await.unwrap();
        let bundle: Value = answer.json().await.unwrap();
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| entry["resource"].clone()).collect()
    }

    /// What its own validator says of a resource: the errors.
    pub async fn faults_of(&self, resource: &Value) -> Vec<Value> {
        let kind = resource["resourceType"].as_str().unwrap();
        let url = format!("{}/{kind}/$validate", self.base());
        let answer = self.http.post(url).bearer_auth(STAFF).json(resource).send().await.unwrap();
        let outcome: Value = answer.json().await.unwrap();
        let issues = outcome["issue"].as_array().cloned().unwrap_or_else(|| panic!("{outcome}"));
        issues.into_iter().filter(|it| it["severity"] == "error" || it["severity"] == "fatal").collect()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}
