//! Working on: the rows of each EHR by themselves, because each decision and each write-back asks an EHR, and one that is
//! slow or down must delay nobody's reminders but its own; what comes back from patients and providers asks none.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Outbox, OutboxError};
use crate::domain::EhrId;

/// Rest after a turn that found nothing to do, and after one that failed.
const IDLE: Duration = Duration::from_millis(500);
const FAILED: Duration = Duration::from_secs(5);
/// How often it is looked whether an EHR was connected.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Outbox {
    /// Works until `stop` is done: turns while there is work, then a short rest. An error of one turn is logged and
    /// the next one tries again.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let answers = tokio::spawn(self.clone().answers(stop.clone()));
        let mut parts: HashMap<EhrId, [JoinHandle<()>; 2]> = HashMap::new();
        while !*stop.borrow() {
            match self.store.view(&self.tenant).ehrs().await {
                // Of a disabled connection there may still be something to be said to patients.
                Ok(rows) => {
                    for ehr in rows.into_iter().map(|row| row.id) {
                        let work = self.of_ehr(&ehr);
                        let stop = &stop;
                        parts.entry(ehr).or_insert_with(|| {
                            [tokio::spawn(work.clone().sends(stop.clone())), tokio::spawn(work.writes(stop.clone()))]
                        });
                    }
                }
                Err(error) => tracing::error!(%error, tenant = %self.tenant, "the EHR connections cannot be read"),
            }
            rest(&mut stop, LOOK_EVERY).await;
        }
        for part in parts.into_values().flatten().chain([answers]) {
            if let Err(error) = part.await {
                tracing::error!(%error, tenant = %self.tenant, "a part of the outbox did not end well");
            }
        }
    }

    /// The same outbox for the rows of one EHR.
    fn of_ehr(&self, ehr: &EhrId) -> Self {
        Self { only: Some(ehr.clone()), ..self.clone() }
    }

    async fn answers(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let turn = self.answer_turn().await;
            self.pause_after(turn, &mut stop).await;
        }
    }

    async fn sends(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let (working, carrier) = self.with_lane();
            // Until the carrier ended: it is begun anew then.
            while !*stop.borrow() && !carrier.has_ended() {
                let turn = Box::pin(working.send_turn()).await;
                working.pause_after(turn, &mut stop).await;
            }
            drop(working);
            if let Err(error) = carrier.stop().await {
                tracing::error!(%error, tenant = %self.tenant, "answers of providers could not be settled");
            }
        }
    }

    /// One at a time in this process: what each of two would find is the same.
    async fn answer_turn(&self) -> Result<usize, OutboxError> {
        let _one = self.answering.lock().await;
        Ok(self.process_replies().await? + self.process_receipts().await?)
    }

    /// Answers first: a STOP is honoured before anything else.
    async fn send_turn(&self) -> Result<usize, OutboxError> {
        let answers = self.answer_turn().await?;
        let (decided, sent) = self.release_due().await?;
        Ok(answers + decided + sent + self.retry_due().await?)
    }

    async fn writes(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let turn = Box::pin(self.write_back_due()).await;
            self.pause_after(turn, &mut stop).await;
        }
    }

    /// Goes on at once where there was something to do.
    async fn pause_after(&self, turn: Result<usize, OutboxError>, stop: &mut watch::Receiver<bool>) {
        match turn {
            Ok(0) => rest(stop, IDLE).await,
            Ok(_) => {}
            Err(error) => {
                let ehr = self.only.as_ref().map(EhrId::as_str);
                tracing::error!(%error, tenant = %self.tenant, ehr, "an outbox turn failed; it will be tried again");
                rest(stop, FAILED).await;
            }
        }
    }
}

async fn rest(stop: &mut watch::Receiver<bool>, long: Duration) {
    tokio::select! {
        () = tokio::time::sleep(long) => {}
        _ = stop.changed() => {}
    }
}
