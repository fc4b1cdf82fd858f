//! The only wiring: builds every part from the settings, runs them, and drains them on a signal. Knows every room and
//! decides nothing itself.

pub mod accounts;
pub mod alerting;
pub mod backup;
pub mod bench;
pub mod demo;
pub mod doctor;
pub mod publishing;
pub mod reconcile;
mod serve;
pub mod simulate;

use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, Entropy};
use crate::config::Settings;
use crate::domain::{Actor, RuleStage, TenantId};
use crate::ehr::clients::Clients;
use crate::ehr::retry::{RealSleeper, Sleeper};
use crate::outbox::{Outbox, ProviderError, Providers};
use crate::pull::PullError;
use crate::rules::{self, CompiledRule, RuleProblem};
use crate::seal::{RootKey, SealError};
use crate::store::{Store, StoreError};

/// Why the gateway could not be put together or stopped running.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("seal.root_key: {0}")]
    RootKey(#[from] SealError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error(transparent)]
    Outbox(#[from] crate::outbox::OutboxError),
    #[error(transparent)]
    Connect(#[from] crate::ehr::connect::ConnectError),
    #[error("server.listen: {0}")]
    Listen(std::io::Error),
    #[error("rules.live names {0:?}, and no rule that can be used is called so; `beckon rules check` says why")]
    NoSuchRule(String),
    #[error("the rule {rule} cannot be used: {problem}; `beckon rules check` says where")]
    BrokenRule { rule: String, problem: String },
    #[error("the simulated hospital: {0}")]
    Sandbox(#[from] crate::sandbox::SandboxError),
    #[error("{what}: {error}")]
    File { what: String, error: std::io::Error },
    #[error("the demo's own settings are wrong: {0}")]
    DemoSettings(String),
    #[error("the bench's own settings are wrong: {0}")]
    BenchSettings(String),
    #[error("the bench did not do what it measures: {0}")]
    Bench(String),
    #[error("history.bucket_url: {0:?} is no address of a bucket")]
    Bucket(String),
    #[error(transparent)]
    History(#[from] crate::history::HistoryError),
    #[error("web: {0}")]
    Web(String),
    #[error(transparent)]
    Hl7(#[from] crate::pull::hl7::ListenerError),
}

/// Opens the database that the settings name.
pub async fn open_store(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Store, AppError> {
    let root = RootKey::parse(&settings.seal.root_key)?;
    Ok(Store::open(&settings.database, root, clock, entropy).await?)
}

/// The rules that the settings point to, with everything that is wrong with them.
pub fn load_rules(settings: &Settings) -> (Vec<CompiledRule>, Vec<RuleProblem>) {
    match &settings.rules.folder {
        Some(folder) => rules::load_folder(Path::new(folder)),
        None => rules::starter_rules(),
    }
}

/// One tenant's gateway on this replica.
pub struct Gateway {
    pub store: Store,
    pub tenant: TenantId,
    pub settings: Arc<Settings>,
    pub providers: Arc<Providers>,
    pub clients: Clients,
    pub outbox: Outbox,
}

impl Gateway {
    /// Puts the parts together and makes the rules of the settings live.
    pub async fn new(store: Store, tenant: TenantId, settings: Arc<Settings>) -> Result<Self, AppError> {
        Self::with_sleeper(store, tenant, settings, Arc::new(RealSleeper)).await
    }

    /// As [`Gateway::new`]; `sleeper` waits between two tries at an EHR.
    pub async fn with_sleeper(
        store: Store,
        tenant: TenantId,
        settings: Arc<Settings>,
        sleeper: Arc<dyn Sleeper>,
    ) -> Result<Self, AppError> {
        let providers = Arc::new(Providers::from_settings(&settings)?);
        let clients = Clients::new(store.clone(), tenant.clone(), sleeper);
        let outbox = Outbox::new(store.clone(), tenant.clone(), settings.clone(), providers.clone(), clients.clone());
        let gateway = Self { store, tenant, settings, providers, clients, outbox };
        gateway.publish_rules().await?;
        Ok(gateway)
    }

    /// Keeps the versions of all usable rules. At the first start those that the settings name go live, on the word of
    /// the settings alone and recorded so; afterwards a rule goes live only by two people. A rule that cannot be used is
    /// reported and stays as it was; it stops no other rule.
    async fn publish_rules(&self) -> Result<(), AppError> {
        let (rules, problems) = keep_versions(&self.store, &self.tenant, &self.settings).await?;
        for problem in &problems {
            tracing::warn!(%problem, "a rule must be put right");
        }
        let mut tx = self.store.write(&self.tenant).await?;
        let known = tx.view().rule_versions(None).await?;
        let mut live = Vec::new();
        for id in &self.settings.rules.live {
            match rules.iter().find(|rule| rule.id().as_str() == id) {
                Some(rule) => live.push((rule.id().clone(), rule.version().clone())),
                None if known.iter().any(|it| it.rule.id.as_str() == id) => {}
                None => return Err(AppError::NoSuchRule(id.clone())),
            }
        }
        if tx.view().was_any_rule_live().await? {
            for line in &known {
                let of_folder = rules.iter().any(|rule| *rule.version() == line.rule.version);
                if of_folder && matches!(line.stage, RuleStage::Draft | RuleStage::Reviewed) {
                    tracing::info!(
                        rule = %line.rule.id, stage = line.stage.as_str(),
                        "a version of this rule is not live; it takes a review and a second person (beckon rules status)"
                    );
                }
            }
        } else {
            tx.set_live_rules(&live, &Actor::system("settings")).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Keeps every usable rule of the settings' folder as a version; one that is new is a draft. Answers them with
/// everything that is wrong with the others.
///
/// # Errors
/// The store refuses.
pub async fn keep_versions(
    store: &Store,
    tenant: &TenantId,
    settings: &Settings,
) -> Result<(Vec<CompiledRule>, Vec<RuleProblem>), AppError> {
    let (rules, problems) = load_rules(settings);
    let mut tx = store.write(tenant).await?;
    for rule in &rules {
        tx.add_rule_version(rule.rule(), &Actor::system("rules")).await?;
    }
    tx.commit().await?;
    Ok((rules, problems))
}
