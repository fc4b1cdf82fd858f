//! What tests stand on. `each_database` runs a test on SQLite and, where `BECKON_TEST_POSTGRES` names a server, on
//! PostgreSQL: `tests/run` starts one and sets it. Time comes from a `ManualClock` that the test moves.

pub mod clinic;
pub mod fields;
pub mod gateway;
pub mod house;
pub mod live;
pub mod tools;

use std::sync::Arc;

use beckon::app::Gateway;
use beckon::clock::{ManualClock, SystemEntropy};
use beckon::config::{Database, Settings};
use beckon::domain::TenantId;
use beckon::ehr::retry::Sleeper;
use beckon::seal::RootKey;
use beckon::store::Store;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Database as Connect};
use secrecy::SecretString;

/// The root key of tests: 32 known bytes.
pub const ROOT_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A Monday noon in Chicago, well inside the hours in which people may be contacted.
pub fn monday_noon() -> DateTime<Utc> {
    "2026-03-02T18:00:00Z".parse().unwrap()
}

/// A store with the tenant `main`, its clock, and what keeps its database alive.
pub struct TestStore {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub tenant: TenantId,
    /// Where the database is: a second process or replica opens it by this.
    pub url: String,
    _folder: tempfile::TempDir,
}

impl TestStore {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("beckon.sqlite").display());
        Self::open(url, folder).await
    }

    /// A fresh database on the test server, if there is one.
    pub async fn postgres() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "the test script hands the server's address over this way")]
        let server = std::env::var("BECKON_TEST_POSTGRES").ok()?;
        let name = format!("beckon_{}", uuid::Uuid::from_u128(rand_u128()).simple());
        let admin = Connect::connect(format!("{server}/postgres")).await.unwrap();
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        admin.close().await.unwrap();
        Some(Self::open(format!("{server}/{name}"), tempfile::tempdir().unwrap()).await)
    }

    async fn open(url: String, folder: tempfile::TempDir) -> Self {
        let clock = Arc::new(ManualClock::at(monday_noon()));
        let store = open_store(&url, clock.clone()).await;
        let tenant = TenantId::main();
        store.add_tenant(&tenant, "Test Clinic").await.unwrap();
        Self { store, clock, tenant, url, _folder: folder }
    }
}

/// Opens a store on an existing database: a second replica.
pub async fn open_store(url: &str, clock: Arc<ManualClock>) -> Store {
    let root = RootKey::parse(&SecretString::from(ROOT_KEY)).unwrap();
    let database = Database { url: SecretString::from(url.to_owned()), max_connections: 5 };
    Store::open(&database, root, clock, Arc::new(SystemEntropy)).await.unwrap()
}

/// Runs a test on every database that is here, and says which.
pub async fn each_database(test: impl AsyncFn(TestStore)) {
    test(TestStore::sqlite().await).await;
    match TestStore::postgres().await {
        Some(store) => test(store).await,
        None => eprintln!("BECKON_TEST_POSTGRES is not set: ran on SQLite only"),
    }
}

/// Between two tries at an EHR no time passes: the test alone moves the clock.
#[derive(Debug)]
struct NoWait;

#[async_trait::async_trait]
impl Sleeper for NoWait {
    async fn sleep(&self, _: std::time::Duration) {}
}

/// A gateway that waits for nothing in real time, and looks before every call whether it was halted.
pub async fn gateway_without_waits(store: Store, tenant: &TenantId, settings: &Arc<Settings>) -> Gateway {
    let mut gateway = Gateway::with_sleeper(store, tenant.clone(), settings.clone(), Arc::new(NoWait)).await.unwrap();
    gateway.outbox = gateway.outbox.looking_before_each_call();
    clear_texts(&gateway).await;
    gateway
}

/// Records that somebody read every translation over, as a hospital must before a text goes out.
async fn clear_texts(gateway: &Gateway) {
    let mut tx = gateway.store.write(&gateway.tenant).await.unwrap();
    for rule in beckon::app::load_rules(&gateway.settings).0 {
        for language in rule.languages() {
            let texts = rule.text_version(language).unwrap();
            let by = beckon::domain::Actor::system("test");
            tx.record_text_review(rule.id(), language, texts, "Test Reader", "reads it", &by).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
}

fn rand_u128() -> u128 {
    use beckon::clock::Entropy as _;
    let mut bytes = [0_u8; 16];
    SystemEntropy.fill(&mut bytes);
    u128::from_be_bytes(bytes)
}
