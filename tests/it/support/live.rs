//! A whole gateway beside a simulated hospital, on a given database and a clock that the test moves.

use std::net::TcpListener;
use std::sync::Arc;

use beckon::app::Gateway;
use beckon::clock::{Clock as _, ManualClock};
use beckon::config::{Settings, load_text};
use beckon::domain::{Actor, EhrId};
use beckon::ehr::connect;
use beckon::ehr::connection::{BaseUrl, EhrConnection, EhrSettings, Vendor};
use beckon::ehr::scopes::ScopeSet;
use beckon::pull::{self, Mode, PullOptions};
use beckon::sandbox::{Hospital, HospitalOptions, JwksSource};
use beckon::store::{SendMode, Store};
use beckon::web;
use chrono::TimeDelta;
use serde_json::json;

use super::{ROOT_KEY, TestStore, gateway_without_waits};

const CLIENT: &str = "beckon-test";

pub struct Live {
    pub t: TestStore,
    pub clock: Arc<ManualClock>,
    pub hospital: Hospital,
    pub gateway: Gateway,
    pub settings: Arc<Settings>,
    pub ehr: EhrId,
    server: actix_web::dev::ServerHandle,
    _folder: tempfile::TempDir,
}

impl Live {
    /// `more` is further settings, as they stand in the file.
    pub async fn open(t: TestStore, patients: u32, more: &str) -> Self {
        let clock = t.clock.clone();
        let mut options = HospitalOptions::new(clock.clone());
        (options.patients, options.script, options.patients_reply) = (patients, false, true);
        let hospital = Hospital::start(options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, hospital.smtp_ca_pem()).unwrap();
        let text = format!(
            r#"
[server]
public_url = "http://{address}"
[database]
url = "{database}"
[seal]
root_key = "{ROOT_KEY}"
[organisation]
name = "Willow Creek Clinic"
phone = "+1 512 555 0199"
[send]
flood_floor = 10000
[smtp]
host = "{smtp_host}"
port = {smtp_port}
from = "reminders@willow-creek.example"
ca_file = "{ca}"
[sms]
base_url = "{phone}"
account_sid = "{sid}"
secret = "{token}"
from = "{from}"
hook_secret = "0123456789abcdef0123456789abcdef"
[rules]
live = ["appointment-reminder", "no-show-follow-up", "diabetes-check-up"]
{more}
"#,
            database = t.url,
            smtp_host = hospital.smtp_host(),
            smtp_port = hospital.smtp_port(),
            ca = ca.display(),
            phone = hospital.phone_base(),
            sid = hospital.account_sid(),
            token = hospital.auth_token(),
            from = hospital.sender_number(),
        );
        let settings = Arc::new(load_text(&text).unwrap());
        let gateway = gateway_without_waits(t.store.clone(), &t.tenant, &settings).await;
        let ehr = EhrId::new("main");
        let connection = EhrConnection {
            tenant: t.tenant.clone(),
            id: ehr.clone(),
            base_url: BaseUrl::parse(&hospital.fhir_base()).unwrap(),
            vendor: Vendor::Hapi,
            client_id: CLIENT.to_owned(),
            scopes: ScopeSet::for_backend(EhrConnection::DEFAULT_SCOPES).unwrap(),
            settings: EhrSettings::default(),
        };
        let keys = connect::add(&t.store, &connection, Actor::system("test")).await.unwrap();
        let jwks = JwksSource::Inline(keys.jwks(t.store.clock().now()));
        hospital.register_client(CLIENT, jwks, EhrConnection::DEFAULT_SCOPES);
        hospital.set_inbound_url(&settings.sms.as_ref().unwrap().inbound_url(&settings.server));
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        tx.set_send_mode(SendMode::Live, &Actor::system("test")).await.unwrap();
        tx.commit().await.unwrap();
        let running = web::serve(gateway.web_state(), listener, 1).unwrap();
        let server = running.handle();
        tokio::spawn(running);
        Self { clock, hospital, gateway, settings, ehr, server, t, _folder: folder }
    }

    /// Books 24 visits, half of people with a phone and half with mail only. Their first reminders fall due one after
    /// the other in the next seven hours, and from hour 22 to hour 26.
    pub fn book(&self) {
        let now = self.clock.now();
        let hours = [1, 2, 3, 4, 5, 6, 7, 22, 23, 24, 25, 26];
        for (n, hour) in (0_usize..24).zip(hours.into_iter().flat_map(|hour| [hour, hour])) {
            let given = ["Marguerite", "Theophilus", "Anneliese", "Bartholomew"][n % 4];
            let family = ["Vandersloot", "Okonkwo", "Takahashi", "Fitzgerald", "Castellanos"][n % 5];
            let telecom = if n % 2 == 0 {
                json!([{"system": "phone", "value": format!("(713) 555-01{}", 20 + n), "use": "mobile"}])
            } else {
                json!([{"system": "email", "value": format!("{}.{n}@mail.example", family.to_lowercase())}])
            };
            self.hospital
                .put(json!({
                    "resourceType": "Patient", "id": format!("booked-{n}"), "active": true,
                    "identifier": [{
                        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
                        "system": "http://hospital.example/mrn", "value": format!("MRN-7700{n:02}"),
                    }],
                    "name": [{"use": "official", "family": family, "given": [given], "text": format!("{given} {family}")}],
                    "telecom": telecom, "birthDate": format!("19{}-04-1{}", 50 + n, n % 10),
                    "address": [{"use": "home", "line": [format!("{} Sycamore Crescent", 4100 + n)], "city": "Houston",
                                 "state": "TX", "postalCode": "77002", "country": "US"}],
                    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}}],
                }))
                .unwrap();
            let start = now + TimeDelta::days(3) + TimeDelta::hours(hour);
            self.hospital
                .put(json!({
                    "resourceType": "Appointment", "id": format!("visit-{n}"), "status": "booked",
                    "created": "2026-01-05T15:00:00Z", "start": start.to_rfc3339(),
                    "end": (start + TimeDelta::minutes(20)).to_rfc3339(),
                    "participant": [
                        {"actor": {"reference": format!("Patient/booked-{n}")}, "status": "needs-action"},
                        {"actor": {"reference": "Location/loc-houston"}, "status": "accepted"},
                    ],
                }))
                .unwrap();
        }
    }

    /// A gateway of the same settings on another database.
    pub async fn gateway_on(&self, store: Store) -> Gateway {
        gateway_without_waits(store, &self.t.tenant, &self.settings).await
    }

    /// Everything that can happen now.
    pub async fn settle(&self) {
        settle(&self.gateway, &self.hospital, &self.ehr).await;
    }

    /// Lets time pass in steps of an hour.
    pub async fn pass(&self, hours: i64) {
        pass(&self.gateway, &self.hospital, &self.ehr, &self.clock, hours).await;
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
        self.hospital.stop().await;
    }
}

pub async fn pass(gateway: &Gateway, hospital: &Hospital, ehr: &EhrId, clock: &ManualClock, hours: i64) {
    for _ in 0..hours {
        settle(gateway, hospital, ehr).await;
        clock.advance(TimeDelta::hours(1));
    }
    settle(gateway, hospital, ehr).await;
}

pub async fn settle(gateway: &Gateway, hospital: &Hospital, ehr: &EhrId) {
    let client = gateway.clients.get(ehr).await.unwrap();
    let options = PullOptions::new(&gateway.settings, Mode::Increment, "test");
    hospital.advance_to(gateway.store.clock().now()).await;
    pull::run(&gateway.store, &client, &options, &|_| {}).await.unwrap();
    loop {
        while !gateway.outbox.turn().await.unwrap().is_idle() {}
        let came = hospital.advance_to(gateway.store.clock().now()).await;
        pull::plan_due(&gateway.store, &gateway.tenant, ehr, &options, &|_| {}).await.unwrap();
        if came.callbacks + came.replies == 0 && gateway.outbox.turn().await.unwrap().is_idle() {
            return;
        }
    }
}
