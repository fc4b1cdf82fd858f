//! A whole house on one clock: a simulated hospital with its phone and mailbox, and a real gateway beside it with its own
//! web server, connected as an operator would connect them. The test moves the clock and says what the hospital does.

use std::net::TcpListener;
use std::sync::Arc;

use beckon::app::{Gateway, accounts};
use beckon::clock::Clock as _;
use beckon::config::{Settings, load_text};
use beckon::domain::{Actor, EhrId, MessageState, PatientId, Reason, Reminder, ReminderState};
use beckon::ehr::connect;
use beckon::ehr::connection::EhrConnection;
use beckon::outbox::Turn;
use beckon::pull::{self, DayReport, Mode, PullOptions, RunReport};
use beckon::sandbox::{Hospital, HospitalOptions, JwksSource, Mail, Text};
use beckon::store::{Delivery, HaltScope, MessageFilter, SendMode, View};
use beckon::web;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use super::{ROOT_KEY, TestStore, each_database, gateway_without_waits, open_store};
use crate::ehr::support::{CLIENT, connection};

/// The unguessable part of the webhook addresses.
pub const HOOK: &str = "0123456789abcdef0123456789abcdef";
/// What a patient of these tests is called by.
pub const ADA: &str = "ada";
pub const ADA_PHONE: &str = "+13125550123";

/// What a test wants to be different.
#[derive(Clone)]
pub struct Setup {
    /// Lines of `[send]`.
    pub send: String,
    pub mode: SendMode,
    pub rules: Vec<&'static str>,
    /// A folder of rules instead of the starter rules.
    pub rules_folder: Option<std::path::PathBuf>,
    pub connection: fn(&mut EhrConnection),
    pub hospital: fn(&mut HospitalOptions),
    /// A relay for mail instead of the hospital's mailbox.
    pub relay: Option<Relay>,
}

/// Where a relay listens on this machine, and the authority that its certificate is of.
#[derive(Clone)]
pub struct Relay {
    pub port: u16,
    pub ca: std::path::PathBuf,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            send: String::new(),
            mode: SendMode::Live,
            rules: vec!["appointment-reminder"],
            rules_folder: None,
            connection: |_| {},
            hospital: |_| {},
            relay: None,
        }
    }
}

pub struct House {
    pub t: TestStore,
    pub hospital: Hospital,
    pub gateway: Gateway,
    pub ehr: EhrId,
    /// Where the gateway's web server listens.
    pub url: String,
    settings: Arc<Settings>,
    server: actix_web::dev::ServerHandle,
    _folder: tempfile::TempDir,
}

/// Runs a test in a house of its own on every database.
pub async fn each_house(test: impl AsyncFn(House)) {
    each_house_with(Setup::default(), test).await;
}

pub async fn each_house_with(setup: Setup, test: impl AsyncFn(House)) {
    each_database(async |t| test(House::open(t, &setup).await).await).await;
}

impl House {
    pub async fn open(t: TestStore, setup: &Setup) -> Self {
        let mut options = HospitalOptions::new(t.clock.clone());
        (options.patients, options.script, options.patients_reply) = (0, false, false);
        (setup.hospital)(&mut options);
        let hospital = Hospital::start(options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let settings = Arc::new(load_text(&settings_text(&hospital, &url, &t.url, folder.path(), setup)).unwrap());
        hospital.set_inbound_url(&settings.sms.as_ref().unwrap().inbound_url(&settings.server));

        let mut ehr = connection(&hospital.fhir_base());
        (setup.connection)(&mut ehr);
        connect::add(&t.store, &ehr, Actor::Cli("root".to_owned())).await.unwrap();
        let scopes = format!("{} {}", EhrConnection::DEFAULT_SCOPES, ehr.scopes);
        hospital.register_client(CLIENT, JwksSource::Url(format!("{url}/ehr/{}/jwks.json", ehr.id)), &scopes);
        let gateway = gateway_without_waits(t.store.clone(), &t.tenant, &settings).await;
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        tx.set_send_mode(setup.mode, &Actor::Cli("root".to_owned())).await.unwrap();
        tx.commit().await.unwrap();
        let web = web::serve(gateway.web_state(), listener, 1).unwrap();
        let server = web.handle();
        tokio::spawn(web);
        Self { ehr: ehr.id, t, hospital, gateway, url, settings, server, _folder: folder }
    }

    /// A second replica on the same database.
    pub async fn second(&self) -> Gateway {
        let store = open_store(&self.t.url, self.t.clock.clone()).await;
        gateway_without_waits(store, &self.t.tenant, &self.settings).await
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.t.clock.now()
    }

    pub fn later(&self, by: TimeDelta) {
        self.t.clock.advance(by);
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn view(&self) -> View<'_> {
        self.t.store.view(&self.t.tenant)
    }

    /// A grown-up in Chicago who reads English.
    pub fn patient(&self, id: &str, telecom: Value) {
        self.hospital.put(patient(id, telecom)).unwrap();
    }

    pub fn ada(&self) {
        self.patient(ADA, mobile(ADA_PHONE));
    }

    /// So many patients with a phone each and a visit each, whose reminders fall due in an hour.
    pub async fn crowd_is_due_in_an_hour(&self, count: usize) {
        assert!(count <= 60, "numbers above these have other fates");
        for n in 0..count {
            let id = format!("p{n}");
            self.patient(&id, mobile(&format!("+131255501{n:02}")));
            self.book(&format!("visit-{n}"), &id, self.now() + TimeDelta::days(3) + TimeDelta::hours(1));
        }
        self.sync().await;
    }

    /// A booked appointment in Chicago, made two weeks ago.
    pub fn book(&self, id: &str, patient: &str, start: DateTime<Utc>) {
        self.appointment(id, patient, start, "booked");
    }

    pub fn appointment(&self, id: &str, patient: &str, start: DateTime<Utc>, status: &str) {
        self.hospital.put(appointment(id, patient, start, status, self.now() - TimeDelta::days(14))).unwrap();
    }

    /// Ada has a phone and a visit; the reminder of three days before falls due in an hour.
    pub async fn ada_is_due_in_an_hour(&self) -> DateTime<Utc> {
        self.ada();
        let start = self.now() + TimeDelta::days(3) + TimeDelta::hours(1);
        self.book("visit", ADA, start);
        self.sync().await;
        start
    }

    pub async fn sync(&self) -> RunReport {
        self.pull(Mode::Increment).await
    }

    pub async fn pull(&self, mode: Mode) -> RunReport {
        let client = self.gateway.clients.get(&self.ehr).await.unwrap();
        let options = PullOptions::new(&self.settings, mode, "test");
        pull::run(&self.t.store, &client, &options, &|_| {}).await.unwrap()
    }

    /// Reconciles a day as the command does.
    pub async fn reconcile(&self, day: &str) -> DayReport {
        let client = self.gateway.clients.get(&self.ehr).await.unwrap();
        let options = PullOptions::new(&self.settings, Mode::Increment, "test");
        pull::reconcile_day(&self.t.store, &client, &options, day.parse().unwrap(), &operator()).await.unwrap()
    }

    /// The daily job, as the scheduler looks at it.
    pub async fn reconcile_when_due(&self) -> Option<DayReport> {
        let client = self.gateway.clients.get(&self.ehr).await.unwrap();
        let options = PullOptions::new(&self.settings, Mode::Increment, "test");
        pull::reconcile_when_due(&self.t.store, &client, &options).await.unwrap()
    }

    /// Somebody at the database, behind the gateway's back.
    pub async fn sql(&self, statement: &str) {
        let db = sea_orm::Database::connect(&self.t.url).await.unwrap();
        db.execute_unprepared(statement).await.unwrap();
        db.close().await.unwrap();
    }

    pub async fn turn(&self) -> Turn {
        self.gateway.outbox.turn().await.unwrap()
    }

    /// Turns while there is something to do; the phone's callbacks and the patients' answers come in between.
    pub async fn settle(&self) {
        let options = PullOptions::new(&self.settings, Mode::Increment, "test");
        for _ in 0..100 {
            let mut turns = 0;
            while !self.turn().await.is_idle() {
                turns += 1;
                assert!(turns < 100, "the outbox finds no rest at {}", self.now());
            }
            let came = self.hospital.advance_to(self.now()).await;
            pull::plan_due(&self.t.store, &self.t.tenant, &self.ehr, &options, &|_| {}).await.unwrap();
            if came.callbacks + came.replies == 0 && self.turn().await.is_idle() {
                return;
            }
        }
        panic!("the house finds no rest at {}", self.now());
    }

    /// Moves the clock to each next moment at which something waits, until `end`. What is overdue and yet does not move
    /// (a halt holds it) is looked at in ever longer steps.
    pub async fn live_until(&self, end: DateTime<Utc>) {
        let mut step = TimeDelta::seconds(5);
        loop {
            self.settle().await;
            if self.now() >= end {
                return;
            }
            let next = self.gateway.outbox.next_at().await.unwrap().unwrap_or(end);
            step = if next > self.now() { TimeDelta::seconds(5) } else { (step * 2).min(TimeDelta::minutes(5)) };
            self.t.clock.set(next.max(self.now() + step).min(end));
        }
    }

    pub async fn live(&self, long: TimeDelta) {
        self.live_until(self.now() + long).await;
    }

    /// What the gateway texted, in order.
    pub fn texts(&self) -> Vec<Text> {
        self.hospital.texts().into_iter().filter(|text| text.direction == "outbound-api").collect()
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.hospital.mails()
    }

    pub async fn reminders(&self, patient: &str) -> Vec<Reminder> {
        let patient = PatientId::new(patient);
        let mut all = self.view().reminders_of_patients(&self.ehr, std::slice::from_ref(&patient)).await.unwrap();
        all.remove(&patient).unwrap_or_default()
    }

    /// The first reminder of a patient: the one that falls due first.
    pub async fn reminder(&self, patient: &str) -> Reminder {
        self.reminders(patient).await.remove(0)
    }

    pub async fn stands(&self, patient: &str) -> (ReminderState, Option<Reason>) {
        let reminder = self.reminder(patient).await;
        (reminder.state, reminder.reason)
    }

    /// All messages, oldest first.
    pub async fn messages(&self) -> Vec<Delivery> {
        let filter = MessageFilter { limit: 10_000, ..MessageFilter::default() };
        let mut ids: Vec<_> = self.view().list_messages(&filter).await.unwrap().iter().map(|it| it.id).collect();
        ids.reverse();
        self.view().deliveries(&ids).await.unwrap()
    }

    pub async fn message_states(&self) -> Vec<MessageState> {
        self.messages().await.iter().map(|it| it.state).collect()
    }

    pub async fn unexplained(&self) -> Vec<String> {
        accounts::of_ehr(&self.t.store, &self.t.tenant, &self.settings, &self.ehr).await.unwrap().unexplained
    }

    pub async fn set_mode(&self, mode: SendMode) {
        let mut tx = self.t.store.write(&self.t.tenant).await.unwrap();
        tx.set_send_mode(mode, &operator()).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn halt(&self, scope: HaltScope) {
        let mut tx = self.t.store.write(&self.t.tenant).await.unwrap();
        tx.halt(&scope, "a test halts", &operator()).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn resume(&self, scope: HaltScope) {
        let mut tx = self.t.store.write(&self.t.tenant).await.unwrap();
        assert!(tx.resume(&scope, &operator()).await.unwrap());
        tx.commit().await.unwrap();
    }

    /// Requests that the gateway made, whose path begins so.
    pub fn asked(&self, method: &str, prefix: &str) -> usize {
        self.hospital.requests().iter().filter(|it| it.method == method && it.path.starts_with(prefix)).count()
    }

    pub async fn close(self) {
        self.server.stop(false).await;
        self.hospital.stop().await;
    }
}

pub fn operator() -> Actor {
    Actor::Cli("root".to_owned())
}

/// A telecom list of one mobile phone.
pub fn mobile(number: &str) -> Value {
    json!([{"system": "phone", "use": "mobile", "value": number}])
}

pub fn patient(id: &str, telecom: Value) -> Value {
    json!({
        "resourceType": "Patient", "id": id, "active": true, "birthDate": "1980-02-03",
        "name": [{"family": "Lovelace", "given": [id]}], "telecom": telecom,
        "address": [{"use": "home", "city": "Chicago", "state": "IL", "postalCode": "60601", "country": "US"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}, "preferred": true}]
    })
}

pub fn appointment(id: &str, patient: &str, start: DateTime<Utc>, status: &str, created: DateTime<Utc>) -> Value {
    json!({
        "resourceType": "Appointment", "id": id, "status": status, "created": created.to_rfc3339(),
        "start": start.to_rfc3339(), "end": (start + TimeDelta::minutes(30)).to_rfc3339(),
        "participant": [
            {"actor": {"reference": format!("Patient/{patient}")}, "status": "needs-action"},
            {"actor": {"reference": "Location/loc-chicago"}, "status": "accepted"}]
    })
}

/// The settings file of a gateway whose EHR, phone and mailbox are this hospital's.
pub fn settings_text(
    hospital: &Hospital,
    url: &str,
    database: &str,
    folder: &std::path::Path,
    setup: &Setup,
) -> String {
    let (smtp_host, smtp_port, ca) = match &setup.relay {
        Some(relay) => ("localhost".to_owned(), relay.port, relay.ca.clone()),
        None => {
            let ca = folder.join("mailbox-ca.pem");
            std::fs::write(&ca, hospital.smtp_ca_pem()).unwrap();
            (hospital.smtp_host(), hospital.smtp_port(), ca)
        }
    };
    let rules_folder =
        setup.rules_folder.as_ref().map_or_else(String::new, |folder| format!("folder = {:?}", folder.display()));
    format!(
        r#"
[server]
listen = "{listen}"
public_url = "{url}"
[database]
url = "{database}"
max_connections = 5
[seal]
root_key = "{ROOT_KEY}"
[organisation]
name = "Test Clinic"
phone = "+1 512 555 0199"
[send]
{send}
[smtp]
host = "{smtp_host}"
port = {smtp_port}
from = "reminders@clinic.example"
ca_file = "{ca}"
timeout_seconds = 5
[sms]
base_url = "{phone}"
account_sid = "{sid}"
secret = "{token}"
from = "{from}"
hook_secret = "{HOOK}"
timeout_seconds = 5
[rules]
{rules_folder}
live = {rules:?}
"#,
        listen = url.trim_start_matches("http://"),
        send = setup.send,
        ca = ca.display(),
        phone = hospital.phone_base(),
        sid = hospital.account_sid(),
        token = hospital.auth_token(),
        from = hospital.sender_number(),
        rules = setup.rules,
    )
}
