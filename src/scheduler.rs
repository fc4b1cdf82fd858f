//! What happens by the clock: pull each EHR at its interval or when somebody wishes it, plan patients whose time has come,
//! tend the keys, reconcile each day once it is over, number the history, forget old requests. Each EHR has tasks of its
//! own, so that one that is slow, fails or is set up wrongly delays no other. Over all replicas one leads each of them at
//! a time; the lead is a row in the database with an end.

mod history;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::config::Settings;
use crate::domain::{EhrId, TenantId};
use crate::ehr::clients::Clients;
use crate::ehr::connect::ConnectError;
use crate::ehr::rotation;
use crate::pull::{self, Mode, PullError, PullOptions};
use crate::store::{Store, StoreError};

/// How long a lead holds without being renewed.
const LEAD: TimeDelta = TimeDelta::minutes(2);
/// Between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at the keys of an EHR.
const KEYS_EVERY: Duration = Duration::from_mins(1);
/// Between two looks at what is old enough to be forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// How long single requests are kept, and their sums by the hour.
const REQUESTS_KEPT: TimeDelta = TimeDelta::days(7);
const SUMS_KEPT: TimeDelta = TimeDelta::days(90);

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

    /// Looks at the clock until `stop` is set, then lets what is under way end.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut tasks: HashMap<EhrId, [JoinHandle<()>; 2]> = HashMap::new();
        let forgetting = tokio::spawn(self.clone().forget(stop.clone()));
        while !*stop.borrow() {
            match self.connected().await {
                Ok(ehrs) => {
                    for ehr in ehrs {
                        // A task that has ended ended because its EHR was gone; here it is again.
                        if tasks.get(&ehr).is_none_or(|tasks| tasks.iter().all(JoinHandle::is_finished)) {
                            let pulls = tokio::spawn(self.clone().pulls(ehr.clone(), stop.clone()));
                            let keys = tokio::spawn(self.clone().keys(ehr.clone(), stop.clone()));
                            tasks.insert(ehr, [pulls, keys]);
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "the EHR connections cannot be read"),
            }
            self.clients.refresh().await;
            rest(&mut stop, LOOK_EVERY).await;
        }
        for task in tasks.into_values().flatten().chain([forgetting]) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the scheduler did not end well");
            }
        }
        self.clients.refresh().await;
    }

    /// Only the ids: a connection whose settings cannot be read is that connection's trouble.
    async fn connected(&self) -> Result<Vec<EhrId>, StoreError> {
        let rows = self.store.view(&self.tenant).ehrs().await?;
        Ok(rows.into_iter().filter(|row| row.disabled_at.is_none()).map(|row| row.id).collect())
    }

    async fn is_connected(&self, ehr: &EhrId) -> bool {
        match self.store.view(&self.tenant).ehr_stamp(ehr).await {
            Ok(stamp) => stamp.is_some(),
            Err(error) => {
                tracing::error!(%error, %ehr, "a connection cannot be read");
                true
            }
        }
    }

    async fn pulls(self, ehr: EhrId, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() && self.is_connected(&ehr).await {
            if let Err(error) = Box::pin(self.look_after(&ehr)).await {
                tracing::error!(%error, %ehr, "an EHR could not be looked after; it is tried again");
            }
            rest(&mut stop, LOOK_EVERY).await;
        }
    }

    async fn keys(self, ehr: EhrId, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() && self.is_connected(&ehr).await {
            if let Err(error) = Box::pin(self.tend_keys(&ehr)).await {
                tracing::error!(%error, %ehr, "the keys of an EHR could not be tended; it is tried again");
            }
            rest(&mut stop, KEYS_EVERY).await;
        }
    }

    async fn tend_keys(&self, ehr: &EhrId) -> Result<(), SchedulerError> {
        let role = format!("keys/{}/{ehr}", self.tenant);
        if !self.store.lead(&role, self.holder, LEAD).await? {
            return Ok(());
        }
        let refused = self.clients.get(ehr).await?.tokens().refused_key();
        for step in rotation::tend(&self.store, &self.tenant, ehr, refused.as_deref()).await? {
            tracing::info!(%ehr, ?step, "a step of a key's life");
        }
        Ok(())
    }

    async fn forget(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Err(error) = self.forget_old_requests().await {
                tracing::error!(%error, "old requests could not be forgotten; it is tried again");
            }
            rest(&mut stop, FORGET_EVERY).await;
        }
    }

    async fn forget_old_requests(&self) -> Result<(), StoreError> {
        if !self.store.lead(&format!("forget/{}", self.tenant), self.holder, LEAD).await? {
            return Ok(());
        }
        let mut tx = self.store.write(&self.tenant).await?;
        let now = tx.now();
        tx.forget_ehr_requests(now - REQUESTS_KEPT, now - SUMS_KEPT).await?;
        tx.commit().await
    }

    async fn look_after(&self, ehr: &EhrId) -> Result<(), SchedulerError> {
        let role = format!("pull/{}/{ehr}", self.tenant);
        if !self.store.lead(&role, self.holder, LEAD).await? {
            return Ok(());
        }
        let mut options = PullOptions::new(&self.settings, Mode::Increment, "scheduler");
        let view = self.store.view(&self.tenant);
        let last = view.pull_runs(ehr, 1).await?.pop();
        let interval = TimeDelta::minutes(self.settings.pull.interval_minutes.into());
        let mut due = last.is_none_or(|run| self.store.clock().now() - run.started_at >= interval);
        if view.ehr_watch(ehr).await?.pull_wish.is_some() {
            let mut tx = self.store.write(&self.tenant).await?;
            if let Some(wish) = tx.take_pull_wish(ehr).await? {
                options.triggered_by = wish.by;
                options.mode = if wish.full { Mode::Full } else { Mode::Increment };
                due = true;
            }
            tx.commit().await?;
        }
        let retries = !view.retry_wishes(ehr, 1).await?.is_empty();
        if due {
            let client = self.clients.current(ehr).await?;
            let pulled = pull::run(&self.store, &client, &options, &|_| {});
            Box::pin(self.keeping_lead(&role, pulled)).await?;
            // On what was just pulled; an EHR that does not answer is in the report, and asked again after a later pull.
            let reconciled = pull::reconcile_when_due(&self.store, &client, &options);
            Box::pin(self.keeping_lead(&role, reconciled)).await?;
        } else if retries {
            let client = self.clients.get(ehr).await?;
            let retried = pull::retry_quarantined(&self.store, &client, &options);
            Box::pin(self.keeping_lead(&role, retried)).await?;
            pull::plan_due(&self.store, &self.tenant, ehr, &options, &|_| {}).await?;
        } else {
            if let Some(hl7) = self.settings.hl7.as_ref().filter(|hl7| hl7.ehr == ehr.as_str()) {
                let client = self.clients.current(ehr).await?;
                let followed = pull::hl7::follow(&self.store, &client, &options, hl7);
                Box::pin(self.keeping_lead(&role, followed)).await?;
            }
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
        let renewing = async {
            loop {
                tokio::time::sleep(Duration::from_secs(30)).await;
                if let Err(error) = self.store.lead(role, self.holder, LEAD).await {
                    return error;
                }
            }
        };
        // Both go on side by side: the work may hold what the renewal waits for.
        tokio::select! {
            done = work => Ok(done?),
            error = renewing => Err(error.into()),
        }
    }
}

async fn rest(stop: &mut watch::Receiver<bool>, long: Duration) {
    tokio::select! {
        () = tokio::time::sleep(long) => {}
        _ = stop.changed() => {}
    }
}
