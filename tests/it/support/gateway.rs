//! A gateway's pages on a port of their own, and a browser that keeps cookies and form tokens.

use std::net::TcpListener;
use std::sync::Arc;

use beckon::clock::{Entropy, SystemEntropy};
use beckon::config::load_text;
use beckon::domain::{Actor, Role};
use beckon::outbox::{Intake, Providers};
use beckon::store::NewStaff;
use beckon::web::{Demo, WebState, auth, serve};
use reqwest::header::{HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use secrecy::SecretString;

use super::{ROOT_KEY, TestStore};

pub const PASSWORD: &str = "correct horse battery";

/// How the gateway under test is set up.
#[derive(Default)]
pub struct Setup {
    /// What browsers are told the gateway is called; default: where it listens.
    pub public_url: Option<&'static str>,
    /// The simulated hospital's admin address: makes it a demo.
    pub demo: Option<String>,
    /// The phone company that texts go through: its webhooks are taken in.
    pub phone: Option<PhoneCompany>,
}

pub struct PhoneCompany {
    pub base_url: String,
    pub account_sid: String,
    pub auth_token: String,
    pub number: String,
}

/// The unguessable part of the webhooks' addresses.
pub const HOOK_SECRET: &str = "5f2b1c9e8d7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c";

pub struct Gateway {
    pub t: TestStore,
    pub state: WebState,
    /// Where it listens.
    pub url: String,
    /// The origin that browsers see.
    pub origin: String,
    handle: actix_web::dev::ServerHandle,
}

impl Gateway {
    pub async fn start(t: TestStore) -> Self {
        Self::start_with(t, Setup::default()).await
    }

    pub async fn start_with(t: TestStore, setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let origin = setup.public_url.map_or_else(|| url.clone(), str::to_owned);
        let mut settings = format!(
            "[server]\npublic_url = \"{origin}\"\n[seal]\nroot_key = \"{ROOT_KEY}\"\n[organisation]\nname = \
             \"Test Clinic\"\nphone = \"+15125550199\"\nzone = \"America/Chicago\"\n"
        );
        if let Some(phone) = &setup.phone {
            settings += &format!(
                "[sms]\nbase_url = \"{}\"\naccount_sid = \"{}\"\nsecret = \"{token}\"\nwebhook_token = \"{token}\"\n\
                 from = \"{}\"\nhook_secret = \"{HOOK_SECRET}\"\n",
                phone.base_url,
                phone.account_sid,
                phone.number,
                token = phone.auth_token,
            );
        }
        let settings = Arc::new(load_text(&settings).unwrap());
        let mut state = WebState::new(t.store.clone(), t.tenant.clone(), settings);
        if setup.phone.is_some() {
            let providers = Arc::new(Providers::from_settings(&state.settings).unwrap());
            let (store, tenant) = (t.store.clone(), t.tenant.clone());
            state.intake = Some(Intake::new(store, tenant, state.settings.clone(), providers));
        }
        state.metrics = Some(Arc::new(|| "up 1\n".to_owned()));
        if let Some(admin_url) = setup.demo {
            state.demo = Some(Arc::new(Demo { admin_url, http: http() }));
            auth::prepare_demo_accounts(&state).await.unwrap();
        }
        let server = serve(state.clone(), listener, 1).unwrap();
        let handle = server.handle();
        tokio::spawn(server);
        Self { t, state, url, origin, handle }
    }

    /// An account whose password is `PASSWORD`.
    pub async fn add_staff(&self, login: &str, roles: &[Role]) {
        add_staff(&self.t, login, roles).await;
    }

    pub fn browser(&self) -> Browser {
        Browser {
            http: http(),
            url: self.url.clone(),
            origin: Some(self.origin.clone()),
            cookie: None,
            done: None,
            csrf: None,
        }
    }

    /// A browser that an account with this role has signed in with.
    pub async fn signed_in(&self, role: Role) -> Browser {
        let login = format!("{}-{}", role.as_str(), self.t.store.new_id().simple());
        self.add_staff(&login, &[role]).await;
        let mut browser = self.browser();
        let entered = browser.sign_in(&login, PASSWORD).await;
        assert_eq!(entered.status, 303, "{}", entered.body);
        browser.get("/").await;
        browser
    }

    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

/// An account whose password is `PASSWORD`.
pub async fn add_staff(t: &TestStore, login: &str, roles: &[Role]) {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let new: NewStaff =
        auth::new_account(login, &format!("{login}'s name"), roles, SecretString::from(PASSWORD), &entropy)
            .await
            .unwrap();
    let mut tx = t.store.write(&t.tenant).await.unwrap();
    tx.add_staff(Actor::Cli("test".to_owned()), new).await.unwrap();
    tx.commit().await.unwrap();
}

/// What came back.
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn leads_to(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    pub fn shows(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    url: String,
    /// What it names as the origin of its forms; `None` sends none.
    pub origin: Option<String>,
    pub cookie: Option<String>,
    /// The cookie that tells the next page what was just done.
    done: Option<String>,
    /// The token of the last page with a form.
    pub csrf: Option<String>,
}

impl Browser {
    pub async fn get(&mut self, path: &str) -> Page {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Sends a form with the session's token.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut fields = fields.to_vec();
        let csrf = self.csrf.clone();
        if let Some(csrf) = &csrf {
            fields.push(("csrf", csrf));
        }
        let mut request = self.http.post(format!("{}{path}", self.url)).form(&fields);
        if let Some(origin) = &self.origin {
            request = request.header(ORIGIN, origin);
        }
        self.send(request).await
    }

    pub async fn sign_in(&mut self, login: &str, password: &str) -> Page {
        self.post("/sign-in", &[("login", login), ("password", password)]).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<&str> = [&self.cookie, &self.done].into_iter().flatten().map(String::as_str).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let kept = if pair.starts_with("beckon-done=") { &mut self.done } else { &mut self.cookie };
            *kept = (!pair.ends_with('=')).then_some(pair);
        }
        let body = response.text().await.unwrap();
        if let Some(at) = body.find("name=\"csrf\" value=\"") {
            self.csrf = body[at + 19..].split('"').next().map(str::to_owned);
        }
        Page { status, headers, body }
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}
