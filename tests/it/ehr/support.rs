//! A client of ours with a clock that the test moves and a sleeper that only notes the wish.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use beckon::clock::{ManualClock, SystemEntropy};
use beckon::domain::{EhrId, TenantId};
use beckon::ehr::client::FhirClient;
use beckon::ehr::connection::{BaseUrl, EhrConnection, EhrSettings, Vendor};
use beckon::ehr::keys::KeyRing;
use beckon::ehr::retry::Sleeper;
use beckon::ehr::scopes::ScopeSet;
use beckon::sandbox::{Hospital, HospitalOptions, JwksSource};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::monday_noon;

pub const CLIENT: &str = "beckon-test";

/// Sleeps by moving the clock.
#[derive(Debug)]
pub struct Naps {
    clock: Arc<ManualClock>,
    taken: Mutex<Vec<Duration>>,
}

impl Naps {
    pub fn new(clock: Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self { clock, taken: Mutex::default() })
    }

    pub fn taken(&self) -> Vec<Duration> {
        self.taken.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Sleeper for Naps {
    async fn sleep(&self, duration: Duration) {
        self.taken.lock().unwrap().push(duration);
        self.clock.advance(TimeDelta::from_std(duration).unwrap());
    }
}

/// One ring for all tests: an RSA key takes its time.
pub fn ring() -> KeyRing {
    static RING: OnceLock<KeyRing> = OnceLock::new();
    RING.get_or_init(|| KeyRing::first(monday_noon() - TimeDelta::days(1)).unwrap()).clone()
}

pub fn connection(base: &str) -> EhrConnection {
    EhrConnection {
        tenant: TenantId::main(),
        id: EhrId::new("test"),
        base_url: BaseUrl::parse(base).unwrap(),
        vendor: Vendor::Generic,
        client_id: CLIENT.to_owned(),
        scopes: ScopeSet::for_backend(EhrConnection::DEFAULT_SCOPES).unwrap(),
        settings: EhrSettings::default(),
    }
}

pub struct Gate {
    pub client: FhirClient,
    pub clock: Arc<ManualClock>,
    pub naps: Arc<Naps>,
}

impl Gate {
    pub fn to(base: &str, change: impl FnOnce(&mut EhrConnection)) -> Self {
        let mut ehr = connection(base);
        change(&mut ehr);
        Self::with_clock(ehr, Arc::new(ManualClock::at(monday_noon())))
    }

    pub fn with_clock(ehr: EhrConnection, clock: Arc<ManualClock>) -> Self {
        let naps = Naps::new(clock.clone());
        let client = FhirClient::new(ehr, ring(), clock.clone(), Arc::new(SystemEntropy), naps.clone()).unwrap();
        Self { client, clock, naps }
    }
}

/// A hospital without patients, and a client that it knows.
pub struct Site {
    pub hospital: Hospital,
    pub gate: Gate,
}

impl std::ops::Deref for Site {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.gate
    }
}

impl Site {
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut EhrConnection)) -> Self {
        let clock = Arc::new(ManualClock::at(monday_noon()));
        let mut options = HospitalOptions::new(clock.clone());
        options.patients = 0;
        let hospital = Hospital::start(options).await.unwrap();
        let jwks = ring().jwks(monday_noon());
        hospital.register_client(CLIENT, JwksSource::Inline(jwks), "system/*.cruds");
        let mut ehr = connection(&hospital.fhir_base());
        change(&mut ehr);
        Self { gate: Gate::with_clock(ehr, clock), hospital }
    }

    pub fn patient(&self, id: &str) {
        self.hospital.put(json!({"resourceType": "Patient", "id": id, "active": true})).unwrap();
    }

    /// How often a path that begins so was asked for by this method.
    pub fn asked(&self, method: &str, prefix: &str) -> usize {
        let requests = self.hospital.requests();
        requests.iter().filter(|seen| seen.method == method && seen.path.starts_with(prefix)).count()
    }
}

pub fn ids(resources: &[Value]) -> Vec<&str> {
    resources.iter().map(|resource| resource["id"].as_str().unwrap()).collect()
}
