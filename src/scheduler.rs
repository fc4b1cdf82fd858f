//! What happens by the clock: pull each EHR at its interval, plan patients whose time has come, and reconcile each day
//! once it is over. Over all replicas
//! one leads at a time; the lead is a row in the database with an end.

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::watch;
use uuid::Uuid;

use crate::config::Settings;
use crate::domain::{EhrId, TenantId};
use crate::ehr::clients::Clients;
use crate::ehr::connect::{self, ConnectError};
use crate::pull::{self, Mode, PullError, PullOptions};
use crate::store::{Store, StoreError};

/// How long a lead holds without being renewed.
const LEAD: TimeDelta = TimeDelta::minutes(2);
/// Between two looks at the clock.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum SchedulerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// The scheduler of one tenant on this replica.
#[derive(Debug, Clone)]
pub struct Scheduler {
    store: Store,
    tenant: TenantId,
    settings: Arc<Settings>,
    clients: Clients,
    holder: Uuid,
}

impl Scheduler {
    pub fn new(store: Store, tenant: TenantId, settings: Arc<Settings>, clients: Clients) -> Self {
        let holder = store.new_id();
        Self { store, tenant, settings, clients, holder }
    }

    /// Looks at the clock until `stop` is set. Each EHR is looked after by itself: one that fails delays no other.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            match connect::list(&self.store, &self.tenant).await {
                Ok(ehrs) => {
                    let looks = ehrs.into_iter().map(|ehr| async move {
                        if let Err(error) = Box::pin(self.look_after(&ehr.id)).await {
                            tracing::error!(%error, ehr = %ehr.id, "an EHR could not be looked after; it is tried again");
                        }
                    });
                    futures_util::future::join_all(looks).await;
                }
                Err(error) => tracing::error!(%error, "the EHR connections cannot be read"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }

    async fn look_after(&self, ehr: &EhrId) -> Result<(), SchedulerError> {
        let role = format!("pull/{}/{ehr}", self.tenant);
        if !self.store.lead(&role, self.holder, LEAD).await? {
            return Ok(());
        }
        let options = PullOptions::new(&self.settings, Mode::Increment, "scheduler");
        let last = self.store.view(&self.tenant).pull_runs(ehr, 1).await?.pop();
        let interval = TimeDelta::minutes(self.settings.pull.interval_minutes.into());
        let due = last.is_none_or(|run| self.store.clock().now() - run.started_at >= interval);
        if due {
            let client = self.clients.current(ehr).await?;
            let pulled = pull::run(&self.store, &client, &options, &|_| {});
            Box::pin(self.keeping_lead(&role, pulled)).await?;
            // On what was just pulled; an EHR that does not answer is in the report, and asked again after a later pull.
            let reconciled = pull::reconcile_when_due(&self.store, &client, &options);
            Box::pin(self.keeping_lead(&role, reconciled)).await?;
        } else {
            if let Err(error) = Box::pin(self.listen(ehr, &role, &options)).await {
                tracing::warn!(%error, %ehr, "what the EHR tells or prepares could not be looked at; it is tried again");
            }
            // Time alone can make a plan due: a birthday, a repetition, a rule that went live.
            pull::plan_due(&self.store, &self.tenant, ehr, &options, &|_| {}).await?;
        }
        Ok(())
    }

    /// What the EHR told by itself since, and exports that it prepares.
    async fn listen(&self, ehr: &EhrId, role: &str, options: &PullOptions) -> Result<(), SchedulerError> {
        let client = self.clients.get(ehr).await?;
        Box::pin(self.keeping_lead(role, pull::heed(&self.store, &client, options))).await?;
        Box::pin(self.keeping_lead(role, pull::go_on(&self.store, &client, options))).await?;
        Ok(())
    }

    /// Renews the lead while long work goes on.
    async fn keeping_lead<T>(
        &self,
        role: &str,
        work: impl Future<Output = Result<T, PullError>>,
    ) -> Result<T, SchedulerError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done?),
                () = tokio::time::sleep(std::time::Duration::from_secs(30)) => {
                    self.store.lead(role, self.holder, LEAD).await?;
                }
            }
        }
    }
}
