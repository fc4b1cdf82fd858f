//! The history by the clock: each event gets its place within a second, also when nothing else happens, and the head is
//! signed as often as the settings say.

use chrono::TimeDelta;
use tokio::sync::watch;

use super::Scheduler;
use crate::domain::AlertKind;
use crate::history::{HistoryError, checkpoint, number};

/// Between two looks for events without a number.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(400);
/// After a failure there is time for a person to look.
const REST: std::time::Duration = std::time::Duration::from_secs(30);
const LEAD: TimeDelta = TimeDelta::seconds(30);
/// Looks between two looks at the checkpoint.
const CHECKPOINT_LOOKS: u32 = 12;

impl Scheduler {
    /// Numbers and signs until `stop` is set.
    pub async fn keep_history(&self, mut stop: watch::Receiver<bool>) {
        let mut looks = 0_u32;
        while !*stop.borrow() {
            let signing = looks.is_multiple_of(CHECKPOINT_LOOKS);
            looks = looks.wrapping_add(1);
            let rest = match self.history_turn(signing).await {
                // More may wait than one batch takes.
                Ok(number::BATCH) => continue,
                Ok(_) => LOOK_EVERY,
                Err(error) => {
                    metrics::counter!("beckon_history_failures_total").increment(1);
                    tracing::error!(%error, tenant = %self.tenant, "the history cannot be numbered or signed");
                    self.tell(&error).await;
                    REST
                }
            };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// One look; answers how many events got a number.
    ///
    /// # Errors
    /// The database; or the log was changed from outside.
    pub async fn history_turn(&self, signing: bool) -> Result<u64, HistoryError> {
        let view = self.store.view(&self.tenant);
        let waiting = view.has_unnumbered_events().await?;
        if !waiting && !signing {
            return Ok(0);
        }
        let role = format!("history/{}", self.tenant);
        if !self.store.lead(&role, self.holder, LEAD).await? {
            return Ok(0);
        }
        let numbered = if waiting { number::number(&self.store, &self.tenant).await? } else { 0 };
        if signing {
            let every = TimeDelta::minutes(self.settings.history.checkpoint_minutes.into());
            let origin = checkpoint::origin(&self.settings, &self.tenant);
            checkpoint::sign_when_due(&self.store, &self.tenant, &origin, every).await?;
        }
        Ok(numbered)
    }

    /// Somebody must look when the log does not go on; a database that does not answer is told elsewhere.
    async fn tell(&self, error: &HistoryError) {
        if matches!(error, HistoryError::Store(_)) {
            return;
        }
        let raised = async {
            let mut tx = self.store.write(&self.tenant).await?;
            tx.raise_alert(AlertKind::CheckpointMissing, "history", &error.to_string()).await?;
            tx.commit().await
        };
        if let Err(error) = raised.await {
            tracing::error!(%error, "an alert of the history could not be raised");
        }
    }
}
