//! The demo: a simulated hospital and a real gateway beside it, in one process, on one SQLite file. The gateway knows
//! nothing of the hospital but its addresses, exactly as it would of a real one.

mod connection;
mod reach;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use reach::Reach;
use tokio::sync::Mutex;

use super::{AppError, Gateway, accounts, open_store};
use crate::clock::{Clock, Entropy as _, ManualClock, SystemClock, SystemEntropy};
use crate::config::{self, Settings};
use crate::domain::{Actor, EhrId, ResourceType, TenantId};
use crate::ehr::connect::ConnectError;
use crate::pull::{self, Mode, PullOptions};
use crate::sandbox::{Hospital, HospitalOptions, Personality};
use crate::store::SendMode;
use crate::web::{self, Demo, WebState};

/// How many patients, where, and how the clock runs.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    pub patients: u32,
    pub seed: u64,
    /// Whose EHR the hospital has.
    pub personality: Personality,
    /// Keeps database and key; a later demo in the same folder goes on from there.
    pub folder: PathBuf,
    pub listen: IpAddr,
    /// Port of the pages; 0 lets the system choose.
    pub port: u16,
}

/// A hospital and a gateway that know each other.
pub struct DemoHouse {
    pub hospital: Hospital,
    pub gateway: Gateway,
    pub address: SocketAddr,
    listener: TcpListener,
    ehr: EhrId,
    /// When the gateway first looked at the hospital, and when it last did.
    began: DateTime<Utc>,
    pulled: Mutex<Option<DateTime<Utc>>>,
}

/// The id of the one EHR connection of the demo.
const EHR: &str = "demo";

impl DemoHouse {
    /// Builds both on `clock`.
    pub async fn build(options: &DemoOptions, clock: Arc<dyn Clock>, patients_reply: bool) -> Result<Self, AppError> {
        let mut hospital_options = HospitalOptions::new(clock.clone());
        hospital_options.patients = options.patients;
        hospital_options.seed = options.seed;
        hospital_options.listen = options.listen;
        hospital_options.script = true;
        hospital_options.patients_reply = patients_reply;
        hospital_options.personality = options.personality.clone();
        let hospital = Hospital::start(hospital_options).await?;
        let listener = TcpListener::bind((options.listen, options.port)).map_err(AppError::Listen)?;
        let address = listener.local_addr().map_err(AppError::Listen)?;
        let settings = Arc::new(settings(options, &hospital, address)?);
        let began = clock.now();
        let store = open_store(&settings, clock, Arc::new(SystemEntropy)).await?;
        let tenant = TenantId::main();
        store.add_tenant(&tenant, &settings.organisation.name).await?;
        let gateway = Gateway::new(store, tenant, settings).await?;
        let ehr = EhrId::new(EHR);
        connection::connect(&gateway, &hospital, &ehr, &options.personality).await?;
        if let Some(sms) = &gateway.settings.sms {
            hospital.set_inbound_url(&sms.inbound_url(&gateway.settings.server));
        }
        let mut tx = gateway.store.write(&gateway.tenant).await?;
        if tx.view().sending().await?.mode == SendMode::Off {
            // Everything that the demo reaches is simulated.
            tx.set_send_mode(SendMode::Live, &Actor::system("demo")).await?;
        }
        // Its patients read Spanish too, and are nobody: in earnest a qualified person reads the texts first.
        for rule in super::load_rules(&gateway.settings).0 {
            for (language, texts) in rule.languages().filter_map(|it| Some((it, rule.text_version(it)?))) {
                let by = Actor::system("demo");
                tx.record_text_review(rule.id(), language, texts, "nobody: this is a demo", "none", &by).await?;
            }
        }
        tx.commit().await?;
        Ok(Self { hospital, gateway, address, listener, ehr, began, pulled: Mutex::default() })
    }

    fn web_state(&self) -> Result<WebState, AppError> {
        let mut state = self.gateway.web_state();
        let http = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(10))
            .build()
            .map_err(|error| AppError::Web(error.to_string()))?;
        state.demo = Some(Arc::new(Demo { admin_url: self.hospital.admin_url(), http }));
        Ok(state)
    }

    /// Catches up with the machine's clock, then follows it until `stop`: a visitor finds days of history, and sees the
    /// present happen.
    pub async fn run(
        self,
        clock: &DemoClock,
        tell: &dyn Fn(i64),
        ready: impl FnOnce(),
        stop: impl Future<Output = ()>,
    ) -> Result<(), AppError> {
        let state = self.web_state()?;
        web::auth::prepare_demo_accounts(&state).await.map_err(|error| AppError::Web(error.to_string()))?;
        let pages = self.serve_pages(state)?;
        self.pass_until(&clock.manual, SystemClock.now(), tell).await?;
        clock.follow();
        ready();
        let hospital = self.hospital;
        let ticks = async {
            loop {
                hospital.advance_to(clock.now()).await;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        };
        let done = tokio::select! {
            done = self.gateway.run(None, true, stop) => done,
            () = ticks => Ok(()),
        };
        pages.stop(true).await;
        done
    }

    /// Runs the whole loop with the clock moved forward, then counts. `tell` hears of each day that passed.
    pub async fn run_days(
        self,
        clock: &ManualClock,
        days: i64,
        tell: &dyn Fn(i64),
    ) -> Result<accounts::Accounts, AppError> {
        let pages = self.serve_pages(self.web_state()?)?;
        self.pass_until(clock, clock.now() + TimeDelta::days(days), tell).await?;
        let mut counted =
            accounts::of_ehr(&self.gateway.store, &self.gateway.tenant, &self.gateway.settings, &self.ehr).await?;
        self.hold_against_the_hospital(&mut counted).await?;
        pages.stop(false).await;
        self.hospital.stop().await;
        Ok(counted)
    }

    /// The pages and webhooks of the gateway, on the address that the hospital was told.
    fn serve_pages(&self, state: WebState) -> Result<actix_web::dev::ServerHandle, AppError> {
        let listener = self.listener.try_clone().map_err(AppError::Listen)?;
        let server = web::serve(state, listener, 1).map_err(|error| AppError::Web(error.to_string()))?;
        let handle = server.handle();
        tokio::spawn(server);
        Ok(handle)
    }

    /// Lets time pass, stopping wherever something can happen.
    async fn pass_until(&self, clock: &ManualClock, end: DateTime<Utc>, tell: &dyn Fn(i64)) -> Result<(), AppError> {
        let begin = clock.now();
        let mut told = 0;
        while clock.now() < end {
            self.settle(false).await?;
            let next = self.next_moment(clock.now(), end).await?;
            clock.set(next);
            let day = (clock.now() - begin).num_days();
            if day > told {
                told = day;
                tell(day);
            }
        }
        self.settle(true).await
    }

    /// Everything that can happen at this instant: the hospital's day, a pull where an hour has passed (or `pull` says
    /// so), plans, messages, answers, write-back.
    async fn settle(&self, pull: bool) -> Result<(), AppError> {
        let now = self.gateway.store.clock().now();
        let client = self.gateway.clients.get(&self.ehr).await?;
        let options = PullOptions::new(&self.gateway.settings, Mode::Increment, "demo");
        self.hospital.advance_to(now).await;
        let mut pulled = self.pulled.lock().await;
        if pull || pulled.is_none_or(|at| now - at >= TimeDelta::hours(1)) {
            pull::run(&self.gateway.store, &client, &options, &|_| {}).await?;
            *pulled = Some(now);
        }
        drop(pulled);
        loop {
            // What the EHR told by itself.
            pull::heed(&self.gateway.store, &client, &options).await?;
            while !self.gateway.outbox.turn().await?.is_idle() {}
            // Callbacks and replies come back through the gateway's own web server.
            let came = self.hospital.advance_to(now).await;
            pull::plan_due(&self.gateway.store, &self.gateway.tenant, &self.ehr, &options, &|_| {}).await?;
            if came.callbacks + came.replies + came.notices == 0 && self.gateway.outbox.turn().await?.is_idle() {
                return Ok(());
            }
        }
    }

    /// When something can happen next: what the outbox waits for, at the latest the next full hour's pull.
    async fn next_moment(&self, now: DateTime<Utc>, end: DateTime<Utc>) -> Result<DateTime<Utc>, AppError> {
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now) + TimeDelta::hours(1);
        let soonest = now + TimeDelta::seconds(5);
        let next = self.gateway.outbox.next_at().await?.map_or(hour, |at| at.clamp(soonest, hour));
        Ok(next.min(end))
    }

    /// What the gateway says must be what the hospital, the phone and the mailbox saw.
    async fn hold_against_the_hospital(&self, counted: &mut accounts::Accounts) -> Result<(), AppError> {
        let view = self.gateway.store.view(&self.gateway.tenant);
        let client = self.gateway.clients.get(&self.ehr).await?;
        let plan = client.plan().await.map_err(ConnectError::from)?;
        let reach = Reach::of(&self.hospital, &self.gateway, &client, &plan, self.began).await?;
        for kind in [ResourceType::Patient, ResourceType::Appointment] {
            let mirrored = view.mirrored_ids(&self.ehr, kind).await?;
            let set_aside = view.quarantined_ids(&self.ehr, kind).await?;
            let mut at_ehr = BTreeSet::new();
            for resource in self.hospital.resources(kind.as_str()) {
                let id = resource["id"].as_str().unwrap_or_default().to_owned();
                if !mirrored.contains(&id) && !set_aside.contains(&id) {
                    if reach.is_beyond(kind, &resource) {
                        *counted.out_of_roster.entry(kind.to_string()).or_default() += 1;
                    } else {
                        let words = format!("{kind}/{id} is at the EHR, and neither mirrored nor set aside");
                        counted.unexplained.push(words);
                    }
                }
                at_ehr.insert(id);
            }
            for id in mirrored.iter().filter(|id| !at_ehr.contains(*id)) {
                counted.unexplained.push(format!("{kind}/{id} is mirrored, and not at the EHR any more"));
            }
        }
        let texts = self.hospital.texts();
        let ours = texts.iter().filter(|text| text.direction == "outbound-api").count() as u64;
        let accepted = view.count_taken_attempts("sms").await?;
        if ours != accepted {
            counted.unexplained.push(format!("the phone company took {ours} texts, the gateway knows of {accepted}"));
        }
        let mails = self.hospital.mails().len() as u64;
        let handed = view.count_taken_attempts("email").await?;
        if mails != handed {
            counted.unexplained.push(format!("the mailbox took {mails} mails, the gateway knows of {handed}"));
        }
        let what = plan.write_back.value.writes();
        let written = what.map_or(0, |what| self.hospital.resources(what).len()) as u64;
        if written != counted.written() {
            let (what, known) = (what.unwrap_or("Communication"), counted.written());
            counted.unexplained.push(format!("the EHR has {written} of type {what}, the ledger {known}"));
        }
        Ok(())
    }
}

/// The settings of a gateway whose providers are simulated.
fn settings(options: &DemoOptions, hospital: &Hospital, address: SocketAddr) -> Result<Settings, AppError> {
    let file = |what: &str| {
        let what = what.to_owned();
        move |error| AppError::File { what, error }
    };
    std::fs::create_dir_all(&options.folder).map_err(file("the demo's folder"))?;
    let ca = options.folder.join("mailbox-ca.pem");
    std::fs::write(&ca, hospital.smtp_ca_pem()).map_err(file("the mailbox's certificate"))?;
    let key = root_key(&options.folder).map_err(file("the demo's root key"))?;
    let database = options.folder.join("beckon.sqlite");
    let text = format!(
        r#"
[server]
listen = "{address}"
public_url = "http://{address}"
[database]
url = "sqlite://{database}"
[seal]
root_key_file = "{key}"
[organisation]
name = "Willow Creek Clinic"
phone = "+1 512 555 0199"
zone = "America/Chicago"
[send]
flood_floor = 10000
[smtp]
host = "{smtp_host}"
port = {smtp_port}
from = "reminders@willow-creek.example"
from_name = "Willow Creek Clinic"
ca_file = "{ca}"
[sms]
base_url = "{phone}"
account_sid = "{sid}"
secret = "{token}"
from = "{from}"
hook_secret = "{hook}"
[rules]
live = ["appointment-reminder", "no-show-follow-up", "diabetes-check-up"]
"#,
        database = database.display(),
        key = key.display(),
        ca = ca.display(),
        smtp_host = hospital.smtp_host(),
        smtp_port = hospital.smtp_port(),
        phone = hospital.phone_base(),
        sid = hospital.account_sid(),
        token = hospital.auth_token(),
        from = hospital.sender_number(),
        hook = SystemEntropy.token(),
    );
    config::load_text(&text).map_err(|error| AppError::DemoSettings(error.to_string()))
}

/// The root key of the demo's folder, made when the folder is new.
fn root_key(folder: &Path) -> std::io::Result<PathBuf> {
    use base64::Engine as _;
    let path = folder.join("root-key");
    if !path.exists() {
        let mut key = [0_u8; 32];
        SystemEntropy.fill(&mut key);
        std::fs::write(&path, base64::engine::general_purpose::STANDARD.encode(key))?;
    }
    Ok(path)
}

/// A clock that begins some days ago, is moved forward by hand, and then follows the machine's.
#[derive(Debug)]
pub struct DemoClock {
    manual: ManualClock,
    follows: AtomicBool,
}

impl DemoClock {
    pub fn days_ago(days: i64) -> Self {
        Self { manual: ManualClock::at(SystemClock.now() - TimeDelta::days(days)), follows: AtomicBool::new(false) }
    }

    fn follow(&self) {
        self.follows.store(true, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> DateTime<Utc> {
        if self.follows.load(Ordering::SeqCst) { SystemClock.now() } else { self.manual.now() }
    }
}
