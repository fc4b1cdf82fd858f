//! A gateway's store for one measurement, on a database that is removed afterwards.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use chrono::{DateTime, Utc};

use super::clock::BenchClock;
use crate::app::{AppError, open_store};
use crate::clock::{Entropy as _, SystemEntropy};
use crate::config::{self, Settings};
use crate::domain::{Actor, EhrId, ResourceType, RunId, TenantId};
use crate::rules::CompiledRule;
use crate::store::{ScratchDatabase, Store, StoreError, Watermark};

/// Which database is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BenchDatabase {
    /// A new file, with the settings of the product.
    Sqlite,
    /// A new database on this server: `postgres://user@host:port`.
    Postgres(String),
}

impl BenchDatabase {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// A folder of the bench's own, removed when dropped.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
}

impl Place {
    /// Makes it inside `parent`, or inside the machine's folder for temporary files.
    pub fn make(parent: Option<&Path>) -> Result<Self, AppError> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let mut name = [0_u8; 8];
        SystemEntropy.fill(&mut name);
        let folder = parent.join(format!("beckon-bench-{:016x}", u64::from_be_bytes(name)));
        std::fs::create_dir_all(&folder).map_err(|error| file("the bench's folder", error))?;
        Ok(Self { folder })
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed now goes with the machine's temporary files.
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn file(what: &str, error: std::io::Error) -> AppError {
    AppError::File { what: what.to_owned(), error }
}

/// A Monday morning in Chicago: people may be contacted, and the clinic is open.
pub(super) fn monday() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_463_600, 0).unwrap_or_default()
}

/// One tenant on one fresh database.
pub(super) struct House {
    pub(super) store: Store,
    pub(super) clock: Arc<BenchClock>,
    pub(super) tenant: TenantId,
    pub(super) ehr: EhrId,
    pub(super) settings: Arc<Settings>,
    scratch: Option<ScratchDatabase>,
    files: Vec<PathBuf>,
}

impl House {
    /// `more` are further lines of settings.
    pub(super) async fn build(database: &BenchDatabase, place: &Place, more: &str) -> Result<Self, AppError> {
        let mut key = [0_u8; 32];
        SystemEntropy.fill(&mut key);
        let (scratch, url, files) = match database {
            BenchDatabase::Sqlite => {
                let path = place.join("beckon.sqlite");
                let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
                (None, format!("sqlite://{}", path.display()), vec![path.clone(), beside("-wal"), beside("-shm")])
            }
            BenchDatabase::Postgres(server) => {
                let mut name = [0_u8; 8];
                SystemEntropy.fill(&mut name);
                let name = format!("beckon_bench_{:016x}", u64::from_be_bytes(name));
                let scratch = ScratchDatabase::create(server, &name).await?;
                let url = scratch.url();
                (Some(scratch), url, Vec::new())
            }
        };
        let text = format!(
            "[server]\npublic_url = \"https://beckon.bench.example\"\n[database]\nurl = \"{url}\"\n[seal]\nroot_key = \
             \"{}\"\n[organisation]\nname = \"Willow Creek Clinic\"\nphone = \"+1 512 555 0199\"\nzone = \
             \"America/Chicago\"\n[send]\nflood_floor = 1000000\n{more}",
            base64::engine::general_purpose::STANDARD.encode(key)
        );
        let settings = config::load_text(&text).map_err(|error| AppError::BenchSettings(error.to_string()))?;
        let clock = Arc::new(BenchClock::at(monday()));
        let store = open_store(&settings, clock.clone(), Arc::new(SystemEntropy)).await?;
        let tenant = TenantId::main();
        store.add_tenant(&tenant, &settings.organisation.name).await?;
        Ok(Self { store, clock, tenant, ehr: EhrId::new("bench"), settings: Arc::new(settings), scratch, files })
    }

    /// Makes exactly these rules live.
    pub(super) async fn publish(&self, rules: &[CompiledRule]) -> Result<(), StoreError> {
        let by = Actor::system("bench");
        let mut tx = self.store.write(&self.tenant).await?;
        let mut live = Vec::with_capacity(rules.len());
        for rule in rules {
            tx.add_rule_version(rule.rule(), &by).await?;
            live.push((rule.id().clone(), rule.version().clone()));
        }
        tx.set_live_rules(&live, &by).await?;
        tx.commit().await
    }

    /// Opens the record of a pull run.
    pub(super) async fn begin_run(&self) -> Result<RunId, StoreError> {
        let mut tx = self.store.write(&self.tenant).await?;
        let now = tx.now();
        let run = tx.begin_pull_run(&self.ehr, "bench", now).await?;
        tx.commit().await?;
        Ok(run)
    }

    /// Records, as a pull does after the last page, that all of a type is here.
    pub(super) async fn complete(&self, kind: ResourceType, run: RunId) -> Result<(), StoreError> {
        let mut tx = self.store.write(&self.tenant).await?;
        let now = tx.now();
        let mark = Watermark {
            mode: "everything".to_owned(),
            since: Some(now),
            completed_run: Some(run),
            completed_at: Some(now),
            full_completed_at: Some(now),
        };
        tx.set_watermark(&self.ehr, kind, &mark).await?;
        tx.commit().await
    }

    /// Closes and removes the database.
    pub(super) async fn remove(self) -> Result<(), AppError> {
        self.store.close().await?;
        if let Some(scratch) = self.scratch {
            scratch.remove().await?;
        }
        for path in self.files {
            // The write-ahead log is there only sometimes.
            let _not_there = std::fs::remove_file(path);
        }
        Ok(())
    }
}
