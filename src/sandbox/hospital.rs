//! The hospital as a whole: start it, ask it what it knows, let time pass, make something go wrong.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::advance::{Advanced, advance};
use super::days::Script;
use super::ehr::{Archive, Authority, Ehr, Found, JwksSource};
use super::faults::{Fault, Faults};
use super::front;
use super::generator::{Awkward, Generator};
use super::mailbox::{self, Certificates, Mail, MailPorts, Mailbox};
use super::options::{HospitalOptions, SandboxError};
use super::phone::{Phone, PhoneAccount, Text};
use super::seen::{Seen, SeenRequest};
use super::world::{Truth, World};
use crate::clock::{Entropy, SeededEntropy};

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
        let (storage_listener, storage) = bind(listen, 0)?;
        let (smtp_listener, smtp) = bind(listen, options.smtp_port)?;
        let (smtps_listener, smtps) = bind(listen, options.smtps_port)?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(std::time::Duration::from_secs(15))
            .redirect(reqwest::redirect::Policy::none())
            // The gateway under test may be killed and started again: no connection outlives its post.
            .pool_max_idle_per_host(0)
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
        let mut registered = Vec::new();
        for chart in generator.charts(options.patients) {
            registered.push(json!({"entity": {"reference": format!("Patient/{}", chart.patient)}}));
            events.extend(chart.events);
            awkward.extend(chart.awkward);
            for resource in chart.resources {
                store(&archive, resource);
            }
        }

        if let Some(id) = options.personality.registry {
            let group = json!({"resourceType": "Group", "id": id, "type": "person", "actual": true, "active": true,
                "name": "Patients to remind", "quantity": registered.len(), "member": registered});
            store(&archive, group);
        }

        let origin = format!("http://{http}");
        let token_url = format!("{origin}/oauth2/token");
        let hooks_client = client.clone();
        let mut authority = Authority::new(
            token_url,
            options.token_life,
            clock.clone(),
            entropy.clone(),
            client.clone(),
            faults.clone(),
        );
        authority.jwks_by_address = options.personality.jwks_by_address;
        authority.lists_algorithms = options.personality.lists_algorithms;
        let ehr = Ehr {
            base: format!("{origin}/fhir"),
            personality: options.personality.clone(),
            archive,
            authority,
            pages: Default::default(),
            exports: Default::default(),
            hooks: Default::default(),
            storage: format!("http://{storage}"),
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
            http: hooks_client,
            script,
            awkward,
            faults,
            seen: Seen::default(),
        });

        let ca_pem = certificates.ca_pem.clone();
        let mail = mailbox::serve(&mailbox, &certificates, smtp_listener, smtps_listener)
            .map_err(|source| SandboxError::Listen { address: smtp, source })?;
        let (running, server) = front::serve(world.clone(), http_listener, storage_listener)
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

    /// As [`Hospital::put`], but `meta.lastUpdated` is `updated`: a commit that becomes visible late.
    ///
    /// # Errors
    /// When it lacks resourceType or id.
    pub fn put_late(&self, resource: Value, updated: DateTime<Utc>) -> Result<(), SandboxError> {
        let (kind, id) = name(&resource).ok_or(SandboxError::Resource { line: 1 })?;
        // Without an expected version nothing is stale.
        let _stored = self.world.ehr.archive.put_at(&kind, &id, resource, None, updated);
        Ok(())
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
        match self.world.ehr.archive.read(kind, id) {
            Found::Here(version) => version.resource.clone(),
            Found::Gone | Found::Never => None,
        }
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

    /// Bulk exports that are kept now, and that were ever asked for.
    pub fn exports(&self) -> (usize, u32) {
        self.world.ehr.exports.counts()
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

/// Type and id of a resource that has both.
fn name(resource: &Value) -> Option<(String, String)> {
    Some((resource["resourceType"].as_str()?.to_owned(), resource["id"].as_str()?.to_owned()))
}

fn store(archive: &Archive, resource: Value) -> bool {
    name(&resource).is_some_and(|(kind, id)| archive.put(&kind, &id, resource, None).is_ok())
}
