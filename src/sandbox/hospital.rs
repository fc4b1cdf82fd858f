//! The hospital as a whole: start it, ask it what it knows, let time pass, make something go wrong.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use thiserror::Error;
use tokio::task::JoinHandle;

use super::advance::{Advanced, advance};
use super::days::Script;
use super::ehr::{Archive, Authority, Ehr, JwksSource, Personality};
use super::faults::{Fault, Faults};
use super::front;
use super::generator::{Awkward, Generator};
use super::mailbox::{self, Certificates, Mail, MailPorts, Mailbox};
use super::phone::{Phone, PhoneAccount, Text};
use super::seen::{Seen, SeenRequest};
use super::world::{Truth, World};
use crate::clock::{Clock, Entropy, SeededEntropy};

/// What a hospital is started with. [`HospitalOptions::new`] fills in what a demo wants.
#[derive(Debug, Clone)]
pub struct HospitalOptions {
    /// How many patients; 0 leaves organization, locations and practitioners only.
    pub patients: u32,
    pub seed: u64,
    pub personality: Personality,
    /// The clock that stamps, expires and lets days pass.
    pub clock: Arc<dyn Clock>,
    pub listen: IpAddr,
    /// 0 takes a free port, here and below.
    pub http_port: u16,
    pub smtp_port: u16,
    pub smtps_port: u16,
    /// How long an access token lives.
    pub token_life: TimeDelta,
    /// From a text to its first status callback, and from that to the second.
    pub callback_delay: TimeDelta,
    /// Whether appointments move, are kept and missed as time passes.
    pub script: bool,
    /// Whether some patients answer texts.
    pub patients_reply: bool,
    /// Login and password that the mail server asks for.
    pub smtp_login: Option<(String, String)>,
    /// Where what patients write is posted.
    pub inbound_url: Option<String>,
    /// How often time passes by itself; otherwise only through [`Hospital::advance_to`].
    pub tick_every: Option<std::time::Duration>,
}

impl HospitalOptions {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            patients: 100,
            seed: 1,
            personality: Personality::hapi(),
            clock,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            smtp_port: 0,
            smtps_port: 0,
            token_life: TimeDelta::seconds(300),
            callback_delay: TimeDelta::seconds(2),
            script: true,
            patients_reply: true,
            smtp_login: None,
            inbound_url: None,
            tick_every: None,
        }
    }
}

#[derive(Debug, Error)]
pub enum SandboxError {
    #[error("the simulated hospital cannot listen on {address}: {source}; choose another port or address")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the simulated hospital cannot make an HTTP client: {0}")]
    HttpClient(#[from] reqwest::Error),
    #[error("the simulated mail server cannot make its certificates: {0}")]
    Certificates(String),
    #[error("line {line} is not a FHIR resource with resourceType and id")]
    Resource { line: usize },
    #[error("the webhook for what patients write is not set or did not answer")]
    Webhook,
}

/// A running hospital. Dropping it stops its servers without waiting for them.
pub struct Hospital {
    world: Arc<World>,
    http: SocketAddr,
    smtp: SocketAddr,
    smtps: SocketAddr,
    ca_pem: String,
    server: ServerHandle,
    mail: MailPorts,
    tasks: Vec<JoinHandle<()>>,
}

fn bind(listen: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), SandboxError> {
    let address = SocketAddr::new(listen, port);
    let wrap = |source| SandboxError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(wrap)?;
    let bound = listener.local_addr().map_err(wrap)?;
    Ok((listener, bound))
}

impl Hospital {
    /// Makes the patients and starts all servers. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub async fn start(options: HospitalOptions) -> Result<Self, SandboxError> {
        let HospitalOptions { clock, listen, .. } = options.clone();
        let (http_listener, http) = bind(listen, options.http_port)?;
        let (smtp_listener, smtp) = bind(listen, options.smtp_port)?;
        let (smtps_listener, smtps) = bind(listen, options.smtps_port)?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(std::time::Duration::from_secs(15))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let certificates =
            Arc::new(Certificates::make(listen).map_err(|error| SandboxError::Certificates(error.to_string()))?);
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(options.seed));
        let faults = Arc::new(Faults::default());
        let archive = Arc::new(Archive::new(clock.clone()));

        let generator = Generator::new(options.seed, clock.now().date_naive());
        let mut events = Vec::new();
        let mut awkward = Vec::new();
        for resource in generator.sites() {
            store(&archive, resource);
        }
        for chart in generator.charts(options.patients) {
            events.extend(chart.events);
            awkward.extend(chart.awkward);
            for resource in chart.resources {
                store(&archive, resource);
            }
        }

        let origin = format!("http://{http}");
        let token_url = format!("{origin}/oauth2/token");
        let authority = Authority::new(
            token_url,
            options.token_life,
            clock.clone(),
            entropy.clone(),
            client.clone(),
            faults.clone(),
        );
        let ehr = Ehr {
            base: format!("{origin}/fhir"),
            personality: options.personality.clone(),
            archive,
            authority,
            pages: Default::default(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            faults: faults.clone(),
        };
        let phone = Phone::new(
            clock.clone(),
            entropy,
            client,
            faults.clone(),
            options.callback_delay,
            options.inbound_url.clone(),
        );
        let mailbox = Arc::new(Mailbox::new(clock.clone(), faults.clone(), options.smtp_login.clone()));
        let script = Script::new(events, options.script, options.patients_reply);
        let world = Arc::new(World {
            clock,
            ehr,
            phone,
            mailbox: mailbox.clone(),
            script,
            awkward,
            faults,
            seen: Seen::default(),
        });

        let ca_pem = certificates.ca_pem.clone();
        let mail = mailbox::serve(&mailbox, &certificates, smtp_listener, smtps_listener)
            .map_err(|source| SandboxError::Listen { address: smtp, source })?;
        let (running, server) = front::serve(world.clone(), http_listener)
            .map_err(|source| SandboxError::Listen { address: http, source })?;
        let mut tasks = vec![tokio::spawn(async move {
            if let Err(error) = running.await {
                tracing::error!(%error, "the simulated hospital's HTTP server ended");
            }
        })];
        if let Some(every) = options.tick_every {
            let world = world.clone();
            tasks.push(tokio::spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    advance(&world, world.clock.now()).await;
                }
            }));
        }
        Ok(Self { world, http, smtp, smtps, ca_pem, server, mail, tasks })
    }

    /// The FHIR base URL, without a slash at the end.
    pub fn fhir_base(&self) -> String {
        self.world.ehr.base.clone()
    }

    /// The token endpoint: what `aud` must be.
    pub fn token_url(&self) -> String {
        self.world.ehr.authority.token_url.clone()
    }

    pub fn admin_url(&self) -> String {
        format!("http://{}{}", self.http, super::admin::ROOT)
    }

    /// The base of the text service; the API's paths begin with `/2010-04-01`.
    pub fn phone_base(&self) -> String {
        format!("http://{}", self.http)
    }

    pub fn phone_account(&self) -> &PhoneAccount {
        &self.world.phone.account
    }

    pub fn account_sid(&self) -> &str {
        &self.phone_account().sid
    }

    pub fn auth_token(&self) -> &str {
        &self.phone_account().auth_token
    }

    /// The hospital's own number, from which texts go out.
    pub fn sender_number(&self) -> &str {
        &self.phone_account().number
    }

    /// The address of the mail server. Its certificate names it, and `localhost`.
    pub fn smtp_host(&self) -> String {
        self.smtp.ip().to_string()
    }

    /// STARTTLS.
    pub fn smtp_port(&self) -> u16 {
        self.smtp.port()
    }

    /// TLS from the first byte.
    pub fn smtps_port(&self) -> u16 {
        self.smtps.port()
    }

    /// The authority of the mail server's certificate.
    pub fn smtp_ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Registers a backend client, or replaces it. `scopes` is what it may be granted, separated by blanks.
    pub fn register_client(&self, client_id: &str, jwks: JwksSource, scopes: &str) {
        self.world.ehr.authority.register(client_id, jwks, scopes);
    }

    /// Ends every access token that is out.
    pub fn forget_tokens(&self) {
        self.world.ehr.authority.forget_tokens();
    }

    pub fn set_inbound_url(&self, url: &str) {
        self.world.phone.state().inbound_url = Some(url.to_owned());
    }

    /// A patient writes to the hospital; answers with the webhook's HTTP status.
    ///
    /// # Errors
    /// When no webhook is set or it cannot be reached. The text is kept, and STOP honoured, all the same.
    pub async fn reply_as(&self, patient_number: &str, to: &str, body: &str) -> Result<u16, SandboxError> {
        self.world.phone.reply_as(patient_number, to, body).await.ok_or(SandboxError::Webhook)
    }

    /// Lets everything happen that is due by `now`: the script, appointments passing, status callbacks, patients' answers.
    /// Nothing happens twice. Changes are stamped with the shared clock, so move that first.
    pub async fn advance_to(&self, now: DateTime<Utc>) -> Advanced {
        advance(&self.world, now).await
    }

    pub fn inject(&self, fault: Fault) {
        self.world.faults.inject(fault);
    }

    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Stores a new version of a resource that has resourceType and id.
    ///
    /// # Errors
    /// When it lacks them.
    pub fn put(&self, resource: Value) -> Result<(), SandboxError> {
        if store(&self.world.ehr.archive, resource) { Ok(()) } else { Err(SandboxError::Resource { line: 1 }) }
    }

    /// Deletes a resource: reads answer 410 from now on.
    pub fn delete(&self, kind: &str, id: &str) -> bool {
        self.world.ehr.archive.delete(kind, id)
    }

    /// Stores one resource a line; says how many.
    ///
    /// # Errors
    /// At the first line that is no resource; the lines before it are stored.
    pub fn load_ndjson(&self, text: &str) -> Result<usize, SandboxError> {
        let mut count = 0;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let resource = serde_json::from_str(line).unwrap_or(Value::Null);
            if !store(&self.world.ehr.archive, resource) {
                return Err(SandboxError::Resource { line: at + 1 });
            }
            count += 1;
        }
        Ok(count)
    }

    /// A resource as it stands now.
    pub fn resource(&self, kind: &str, id: &str) -> Option<Value> {
        self.resources(kind).into_iter().find(|resource| resource["id"] == id)
    }

    /// Every live resource of a type, by id.
    pub fn resources(&self, kind: &str) -> Vec<Value> {
        self.world.resources(kind)
    }

    pub fn texts(&self) -> Vec<Text> {
        self.world.phone.texts()
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.world.mailbox.mails()
    }

    /// The Communication resources that were written.
    pub fn communications(&self) -> Vec<Value> {
        self.resources("Communication")
    }

    pub fn awkward(&self) -> Vec<Awkward> {
        self.world.awkward.clone()
    }

    pub fn truth(&self) -> Truth {
        self.world.truth()
    }

    /// The last 10,000 requests to the EHR, the token endpoint and the phone, newest last.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.world.seen.all()
    }

    /// Stops all servers and frees their ports.
    pub async fn stop(self) {
        self.server.stop(true).await;
    }
}

impl Drop for Hospital {
    fn drop(&mut self) {
        self.mail.stop();
        // Sends the stop command at once; the future only waits for its end.
        drop(self.server.stop(false));
        for task in self.tasks.drain(1..) {
            task.abort();
        }
    }
}

fn store(archive: &Archive, resource: Value) -> bool {
    let (Some(kind), Some(id)) =
        (resource["resourceType"].as_str().map(str::to_owned), resource["id"].as_str().map(str::to_owned))
    else {
        return false;
    };
    archive.put(&kind, &id, resource, None).is_ok()
}
