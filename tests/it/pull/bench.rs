//! A gateway's store and a hospital on one clock, connected, with the starter rules live.
//!
//! ```text
//! each_hospital(0, async |b| { b.book("a1", "ada", 3).await; b.sync().await; … }).await;
//! ```

use std::collections::BTreeMap;

use beckon::clock::Clock as _;
use beckon::domain::{Actor, EhrId, PatientId, Reminder, ReminderState, ResourceKey, ResourceType};
use beckon::ehr::client::FhirClient;
use beckon::ehr::connect;
use beckon::ehr::connection::EhrConnection;
use beckon::ehr::scopes::ScopeSet;
use beckon::pull::{self, Mode, PullOptions, RunReport, TypeReport};
use beckon::rules::CompiledRule;
use beckon::sandbox::{Hospital, HospitalOptions, JwksSource};
use beckon::store::Quarantined;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::ehr::support::{CLIENT, Naps, connection};
use crate::support::{TestStore, each_database};

pub struct Bench {
    pub t: TestStore,
    pub hospital: Hospital,
    pub client: FhirClient,
    pub ehr: EhrId,
}

/// Runs a test on every database, with so many generated patients at the hospital.
pub async fn each_hospital(patients: u32, test: impl AsyncFn(Bench)) {
    each_database(async |t| test(Bench::new(t, patients, |_| {}, &starter()).await).await).await;
}

/// One SQLite bench with a connection of the test's making.
pub async fn bench(change: impl FnOnce(&mut EhrConnection)) -> Bench {
    Bench::new(TestStore::sqlite().await, 0, change, &starter()).await
}

/// The same with one rule of the test's making instead of the starter rules.
pub async fn bench_with(change: impl FnOnce(&mut EhrConnection), rule: &str) -> Bench {
    Bench::new(TestStore::sqlite().await, 0, change, &only(rule)).await
}

/// As [`each_hospital`], with one rule of the test's making, which may read everything.
pub async fn each_hospital_with_rule(patients: u32, rule: &str, test: impl AsyncFn(Bench)) {
    let everything = |ehr: &mut EhrConnection| ehr.scopes = ScopeSet::for_backend("system/*.cruds").unwrap();
    each_database(async |t| test(Bench::new(t, patients, everything, &only(rule)).await).await).await;
}

/// A folder of one rule that says nothing in particular.
pub fn write_rule(folder: &std::path::Path, rule: &str) {
    let folder = folder.join("test-rule");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("rule.toml"), rule).unwrap();
    let text = "{{ organisation_name }} has a note for you. Please call us.";
    std::fs::write(folder.join("en.sms.visit.txt"), text).unwrap();
}

fn only(rule: &str) -> Vec<CompiledRule> {
    let folder = tempfile::tempdir().unwrap();
    write_rule(folder.path(), rule);
    let (rules, problems) = beckon::rules::load_folder(folder.path());
    assert!(problems.iter().all(|it| it.severity == beckon::rules::Severity::Warning), "{problems:?}");
    rules
}

fn starter() -> Vec<CompiledRule> {
    let (mut rules, problems) = beckon::rules::starter_rules();
    assert!(problems.is_empty(), "{problems:?}");
    // What the pull brings is told by those that rest on visits and conditions alone.
    rules.retain(|it| ["appointment-reminder", "diabetes-check-up", "no-show-follow-up"].contains(&it.id().as_str()));
    rules
}

impl Bench {
    async fn new(t: TestStore, patients: u32, change: impl FnOnce(&mut EhrConnection), rules: &[CompiledRule]) -> Self {
        let mut options = HospitalOptions::new(t.clock.clone());
        options.patients = patients;
        let hospital = Hospital::start(options).await.unwrap();
        let mut ehr = connection(&hospital.fhir_base());
        change(&mut ehr);
        let actor = Actor::Cli("root".to_owned());
        let ring = connect::add(&t.store, &ehr, actor.clone()).await.unwrap();
        let jwks = JwksSource::Inline(ring.jwks(t.clock.now()));
        hospital.register_client(CLIENT, jwks, "system/*.cruds");
        let mut tx = t.store.write(&t.tenant).await.unwrap();
        for rule in rules {
            tx.add_rule_version(rule.rule(), &actor).await.unwrap();
        }
        let live: Vec<_> = rules.iter().map(|rule| (rule.id().clone(), rule.version().clone())).collect();
        tx.set_live_rules(&live, &actor).await.unwrap();
        tx.commit().await.unwrap();
        let client = connect::open(&t.store, &t.tenant, &ehr.id, Naps::new(t.clock.clone())).await.unwrap();
        Self { ehr: ehr.id, t, hospital, client }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.t.clock.now()
    }

    pub fn options(mode: Mode) -> PullOptions {
        PullOptions {
            mode,
            overlap: TimeDelta::minutes(10),
            full_every: TimeDelta::hours(24),
            page_size: 20,
            region: "US".to_owned(),
            triggered_by: "test".to_owned(),
            organisation: "Test Clinic".to_owned(),
            patience: std::time::Duration::ZERO,
            public_url: None,
            zone: Some(chrono_tz::America::Chicago),
            location_zones: BTreeMap::new(),
        }
    }

    pub async fn pull(&self, mode: Mode) -> RunReport {
        pull::run(&self.t.store, &self.client, &Self::options(mode), &|_| {}).await.unwrap()
    }

    pub async fn sync(&self) -> RunReport {
        self.pull(Mode::Increment).await
    }

    pub fn patient(&self, id: &str) {
        self.hospital
            .put(json!({"resourceType": "Patient", "id": id, "active": true, "birthDate": "1980-02-03",
                "name": [{"family": "Lovelace", "given": ["Ada"]}],
                "telecom": [{"system": "phone", "use": "mobile", "value": "+13125550123"}],
                "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}, "preferred": true}]}))
            .unwrap();
    }

    /// A booked appointment in so many days, made two weeks ago.
    pub fn appointment(&self, id: &str, patient: &str, days: i64) -> Value {
        let start = self.now() + TimeDelta::days(days);
        json!({"resourceType": "Appointment", "id": id, "status": "booked",
            "created": (self.now() - TimeDelta::days(14)).to_rfc3339(),
            "start": start.to_rfc3339(), "end": (start + TimeDelta::minutes(30)).to_rfc3339(),
            "participant": [
                {"actor": {"reference": format!("Patient/{patient}")}, "status": "accepted"},
                {"actor": {"reference": "Location/loc-boston"}, "status": "accepted"}]})
    }

    pub fn book(&self, id: &str, patient: &str, days: i64) {
        self.hospital.put(self.appointment(id, patient, days)).unwrap();
    }

    pub async fn mirrored(&self, kind: ResourceType, id: &str) -> bool {
        let key = ResourceKey::new(kind, id);
        self.t.store.view(&self.t.tenant).mirror_resource(&self.ehr, &key).await.unwrap().is_some()
    }

    pub async fn reminders(&self, patient: &str) -> Vec<Reminder> {
        let patient = PatientId::new(patient);
        let view = self.t.store.view(&self.t.tenant);
        let mut all = view.reminders_of_patients(&self.ehr, std::slice::from_ref(&patient)).await.unwrap();
        all.remove(&patient).unwrap_or_default()
    }

    pub async fn open_reminders(&self, patient: &str) -> usize {
        let reminders = self.reminders(patient).await;
        reminders.iter().filter(|it| it.state == ReminderState::Planned).count()
    }

    pub async fn quarantined(&self) -> Vec<Quarantined> {
        self.t.store.view(&self.t.tenant).quarantined(&self.ehr, 1000).await.unwrap()
    }

    pub async fn since(&self, kind: ResourceType) -> Option<DateTime<Utc>> {
        self.t.store.view(&self.t.tenant).watermarks(&self.ehr).await.unwrap().get(&kind)?.since
    }

    /// Searches of a type since the hospital opened.
    pub fn searches(&self, kind: &str) -> Vec<String> {
        let path = format!("/fhir/{kind}?");
        self.hospital.requests().into_iter().map(|seen| seen.path).filter(|seen| seen.starts_with(&path)).collect()
    }
}

pub fn of(report: &RunReport, kind: ResourceType) -> TypeReport {
    report.of(kind).unwrap_or_else(|| panic!("{kind} was not pulled: {report:?}")).clone()
}
