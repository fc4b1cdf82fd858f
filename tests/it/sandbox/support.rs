//! A hospital on a clock that stands still, and a client with keys of its own. The client is built from an HTTP library and
//! a JWT library, not from the gateway.
//!
//! ```text
//! let site = Site::empty().await;                    // or Site::with_patients(100)
//! let token = site.token("system/*.cruds").await;
//! let reply = site.get("/Patient?_count=5", &token).await;   // Answer { status, body, headers }
//! ```

use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use beckon::clock::{Clock, ManualClock};
use beckon::sandbox::{Hospital, HospitalOptions, JwksSource, sign};
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// A Monday morning at the hospital.
pub fn monday() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

pub struct Site {
    pub hospital: Hospital,
    pub clock: Arc<ManualClock>,
    pub http: reqwest::Client,
    pub key: EncodingKey,
    nonce: std::sync::atomic::AtomicU32,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub const CLIENT: &str = "beckon-test";

/// An ES384 key pair: the private key and its public JWK under the given `kid`.
pub fn elliptic_key(kid: &str) -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let jwk = public(&key, Algorithm::ES384, kid);
    (key, jwk)
}

/// An RS384 key pair.
pub fn rsa_key(kid: &str) -> (EncodingKey, Value) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let jwk = public(&key, Algorithm::RS384, kid);
    (key, jwk)
}

fn public(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    jwk["use"] = json!("sig");
    jwk
}

impl Site {
    pub async fn empty() -> Self {
        Self::with(|options| options.patients = 0).await
    }

    pub async fn with_patients(patients: u32) -> Self {
        Self::with(|options| options.patients = patients).await
    }

    pub async fn with(change: impl FnOnce(&mut HospitalOptions)) -> Self {
        let clock = Arc::new(ManualClock::at(monday()));
        let mut options = HospitalOptions::new(clock.clone());
        change(&mut options);
        let hospital = Hospital::start(options).await.unwrap();
        let (key, jwk) = elliptic_key("k1");
        hospital.register_client(CLIENT, JwksSource::Inline(json!({"keys": [jwk]})), "system/*.cruds");
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { hospital, clock, http, key, nonce: Default::default() }
    }

    /// Good claims; a test spoils one of them.
    pub fn claims(&self) -> Value {
        let nonce = self.nonce.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        json!({"iss": CLIENT, "sub": CLIENT, "aud": self.hospital.token_url(), "exp": self.clock.now().timestamp() + 240, "jti": format!("jti-{nonce}")})
    }

    pub fn header() -> Header {
        let mut header = Header::new(Algorithm::ES384);
        header.kid = Some("k1".to_owned());
        header
    }

    pub fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }

    pub async fn ask_token(&self, assertion: &str, scope: &str) -> Answer {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        answer(self.http.post(self.hospital.token_url()).form(&form)).await
    }

    pub async fn token(&self, scope: &str) -> String {
        let assertion = self.sign(&Self::header(), &self.claims());
        let reply = self.ask_token(&assertion, scope).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    /// A path below the FHIR base, or a whole URL.
    pub fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.hospital.fhir_base()) }
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        answer(self.http.get(self.url(path)).bearer_auth(token)).await
    }

    pub fn write(&self, method: reqwest::Method, path: &str, token: &str, body: &Value) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url(path)).bearer_auth(token);
        request.header("content-type", "application/fhir+json").body(body.to_string())
    }

    /// All matches of a search, page after page.
    pub async fn all(&self, path: &str, token: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(url) = next {
            let reply = self.get(&url, token).await;
            assert_eq!(reply.status, 200, "{url}: {}", reply.body);
            let entries = reply.body["entry"].as_array().cloned().unwrap_or_default();
            found.extend(
                entries
                    .into_iter()
                    .filter(|entry| entry["search"]["mode"] == "match")
                    .map(|entry| entry["resource"].clone()),
            );
            next = link(&reply.body, "next");
        }
        found
    }

    /// A POST to the hospital's back door.
    pub async fn admin(&self, method: reqwest::Method, path: &str, body: &Value) -> Answer {
        answer(self.http.request(method, format!("{}{path}", self.hospital.admin_url())).json(body)).await
    }
}

pub fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    links.iter().find(|link| link["relation"] == relation)?["url"].as_str().map(str::to_owned)
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let reply = request.send().await.unwrap();
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    let body = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap_or(Value::Null);
    Answer { status, headers, body }
}

/// Form fields and the signature.
type Post = (Vec<(String, String)>, String);

/// A webhook of the gateway's: keeps the form fields and the signature of every post.
pub struct Hook {
    pub url: String,
    seen: Arc<Mutex<Vec<Post>>>,
}

impl Hook {
    pub fn listen() -> Self {
        use std::io::{BufRead, BufReader, Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks/twilio/secret?x=1", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Post>>> = Arc::default();
        let kept = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut length, mut signature) = (0, String::new());
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    let (name, value) = line.trim().split_once(": ").unwrap_or((line.trim(), ""));
                    match name.to_ascii_lowercase().as_str() {
                        "" => break,
                        "content-length" => length = value.parse().unwrap(),
                        "x-twilio-signature" => value.clone_into(&mut signature),
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let fields =
                    url::form_urlencoded::parse(&body).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
                kept.lock().unwrap().push((fields, signature));
                stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            }
        });
        Self { url, seen }
    }

    /// The posts so far, each with a signature that verified.
    pub fn posts(&self, auth_token: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        let check = |(fields, signature): &Post| {
            assert_eq!(&sign(auth_token, &self.url, fields), signature);
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
        };
        seen.iter().map(check).collect()
    }
}
