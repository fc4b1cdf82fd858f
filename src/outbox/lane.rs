//! The lane between what releases messages and what calls the providers, so that neither waits for the other: while
//! providers are called and answers are settled, the next reminders are decided on and their messages opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::deliver::Ready;
use super::{BATCH, Outbox, OutboxError};

/// Opened messages on their way to the calls. A full lane makes the releasing side wait, so that few are opened long
/// before they are called.
#[derive(Debug, Clone)]
pub(super) struct Lane(mpsc::Sender<Ready>);

impl Lane {
    /// Hands messages over, as fast as there is room for them.
    pub(super) async fn take(&self, ready: Vec<Ready>) {
        for it in ready {
            if self.0.send(it).await.is_err() {
                // The other end failed and said why. Their leases end, and they are looked up before anything else.
                tracing::error!("opened messages were not called; they are looked up when their leases end");
                return;
            }
        }
    }
}

/// Set when the process ends: what is in the lane and was not called yet is put back instead.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopping(Arc<AtomicBool>);

impl Stopping {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The calling end of a lane.
pub(super) struct Carrier {
    task: JoinHandle<Result<(), OutboxError>>,
    stopping: Stopping,
}

impl Outbox {
    /// An outbox of the same rows that hands opened messages to a carrier working beside it.
    pub(super) fn with_lane(&self) -> (Self, Carrier) {
        let (sender, receiver) = mpsc::channel(BATCH as usize);
        let stopping = Stopping::default();
        let (carrying, until) = (self.clone(), stopping.clone());
        let task = tokio::spawn(async move {
            let ready = stream::unfold(receiver, |mut receiver| async move {
                let next = receiver.recv().await?;
                Some((next, receiver))
            });
            carrying.carry(ready, &until).await
        });
        (Self { lane: Some(Lane(sender)), ..self.clone() }, Carrier { task, stopping })
    }
}

impl Carrier {
    /// Waits until everything that was handed over is called and settled.
    pub(super) async fn finish(self) -> Result<(), OutboxError> {
        match self.task.await {
            Ok(carried) => carried,
            Err(error) => Err(OutboxError::Carrier(error.to_string())),
        }
    }

    /// Ends the calls that are under way, puts back what was not called, and settles both.
    pub(super) async fn stop(self) -> Result<(), OutboxError> {
        self.stopping.0.store(true, Ordering::Relaxed);
        self.finish().await
    }

    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}
