//! Hands each signed checkpoint of the history to whoever the settings name: a folder, an address that takes it by POST,
//! a mailbox, a bucket. Once it is out of the house, nobody here can rewrite what was before it without being found out.
//! Over all replicas one publishes at a time. A checkpoint says nothing of a patient.

mod keepers;

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::watch;
use uuid::Uuid;

use super::AppError;
use crate::config::Settings;
use crate::domain::TenantId;
use crate::outbox::Providers;
use crate::store::{CheckpointRow, Publication, Store};
use keepers::Keepers;
pub use keepers::Way;

const LEAD: TimeDelta = TimeDelta::minutes(2);
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(10);
/// Waits after checkpoints that did not get through, in minutes.
const RETRY_MINUTES: [i64; 4] = [1, 5, 15, 60];

/// The publishing of one tenant's checkpoints on this replica.
#[derive(Debug, Clone)]
pub struct Publishing {
    store: Store,
    tenant: TenantId,
    keepers: Arc<Keepers>,
    holder: Uuid,
}

impl Publishing {
    /// # Errors
    /// The bucket's address makes no sense, or no HTTP client can be made.
    pub fn new(
        store: Store,
        tenant: TenantId,
        settings: Arc<Settings>,
        providers: Arc<Providers>,
    ) -> Result<Self, AppError> {
        let holder = store.new_id();
        let keepers = Arc::new(Keepers::new(settings, providers, tenant.clone())?);
        Ok(Self { store, tenant, keepers, holder })
    }

    /// Publishes until `stop` is set.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Err(error) = self.turn().await {
                metrics::counter!("beckon_publishing_failures_total").increment(1);
                tracing::error!(%error, tenant = %self.tenant, "checkpoints cannot be published; it is tried again");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Hands the newest checkpoint to every keeper that does not have it; answers how many took it.
    ///
    /// # Errors
    /// The database. A keeper that does not answer is no error: it is tried again.
    pub async fn turn(&self) -> Result<usize, AppError> {
        let view = self.store.view(&self.tenant);
        let ways = self.keepers.ways();
        let Some(checkpoint) = view.last_checkpoint().await?.filter(|_| !ways.is_empty()) else { return Ok(0) };
        let known = view.publications().await?;
        let now = self.store.clock().now();
        let due: Vec<(Way, Option<Publication>)> = ways
            .into_iter()
            .map(|way| (way, known.iter().find(|it| it.way == way.as_str()).cloned()))
            .filter(|(_, it)| {
                it.as_ref().is_none_or(|it| it.size < checkpoint.size && it.next_at.is_none_or(|at| at <= now))
            })
            .collect();
        if due.is_empty() || !self.store.lead(&format!("publishing/{}", self.tenant), self.holder, LEAD).await? {
            return Ok(0);
        }
        let mut taken = 0;
        for (way, before) in due {
            let outcome = self.keepers.hand_over(way, &checkpoint, now).await;
            let told = if outcome.is_ok() { "taken" } else { "failed" };
            metrics::counter!("beckon_checkpoints_published_total", "way" => way.as_str(), "outcome" => told)
                .increment(1);
            taken += usize::from(outcome.is_ok());
            let after = self.after(way, before, &checkpoint, outcome.map_err(|problem| problem.to_string()));
            let mut tx = self.store.write(&self.tenant).await?;
            tx.set_publication(&after).await?;
            tx.commit().await?;
        }
        Ok(taken)
    }

    fn after(
        &self,
        way: Way,
        before: Option<Publication>,
        checkpoint: &CheckpointRow,
        outcome: Result<(), String>,
    ) -> Publication {
        let now = self.store.clock().now();
        let way = way.as_str().to_owned();
        let (size, published_at, failures) = before.map_or((0, None, 0), |it| (it.size, it.published_at, it.failures));
        match outcome {
            Ok(()) => Publication {
                way,
                size: checkpoint.size,
                published_at: Some(now),
                failures: 0,
                problem: None,
                next_at: None,
            },
            Err(problem) => {
                tracing::warn!(way, %problem, "a checkpoint could not be handed over; it is tried again");
                let minutes = RETRY_MINUTES[(failures as usize).min(RETRY_MINUTES.len() - 1)];
                let next_at = Some(now + TimeDelta::minutes(minutes));
                Publication { way, size, published_at, failures: failures + 1, problem: Some(problem), next_at }
            }
        }
    }
}
