//! The lane from what decides to what calls the providers, so that none waits for the others: while providers are called
//! and their answers settled, messages are opened, and the next reminders are decided on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::deliver::Ready;
use super::release::Judged;
use super::{BATCH, Outbox, OutboxError};

/// Where decided and opened messages go. A full lane makes the deciding side wait, so that little is decided or opened
/// long before it is called.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    judged: mpsc::Sender<Judged>,
    opened: mpsc::Sender<Ready>,
}

impl Lane {
    /// Hands over what was released; answers how many messages that may be.
    pub(super) async fn open(&self, judged: Judged) -> usize {
        let count = judged.ready.len();
        // Where the other end failed it said why; the leases end, and the reminders are decided anew.
        if self.judged.send(judged).await.is_ok() { count } else { 0 }
    }

    /// Hands over messages whose attempts are opened.
    pub(super) async fn take(&self, ready: Vec<Ready>) {
        pass_on(&self.opened, ready).await;
    }
}

async fn pass_on(opened: &mpsc::Sender<Ready>, ready: Vec<Ready>) {
    for it in ready {
        if opened.send(it).await.is_err() {
            // The other end failed and said why. Their leases end, and they are looked up before anything else.
            tracing::error!("opened messages were not called; they are looked up when their leases end");
            return;
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

/// The far end of a lane.
pub(super) struct Carrier {
    opening: JoinHandle<Result<(), OutboxError>>,
    calling: JoinHandle<Result<(), OutboxError>>,
    stopping: Stopping,
}

impl Outbox {
    /// An outbox of the same rows that hands what it releases to a carrier working beside it.
    pub(super) fn with_lane(&self) -> (Self, Carrier) {
        // One batch waits while one is opened.
        let (judged, mut to_open) = mpsc::channel::<Judged>(1);
        let (opened, to_call) = mpsc::channel::<Ready>(BATCH as usize);
        let stopping = Stopping::default();
        let (outbox, until, for_calls) = (self.clone(), stopping.clone(), opened.clone());
        let opening = tokio::spawn(async move {
            while let Some(judged) = to_open.recv().await {
                // What is not opened is not sent: when its lease ends another replica decides on it.
                if !until.is_set() {
                    pass_on(&for_calls, outbox.open(judged).await?).await;
                }
            }
            Ok(())
        });
        let (outbox, until) = (self.clone(), stopping.clone());
        let calling = tokio::spawn(async move {
            let ready = stream::unfold(to_call, |mut to_call| async move {
                let next = to_call.recv().await?;
                Some((next, to_call))
            });
            outbox.carry(ready, &until).await
        });
        (Self { lane: Some(Lane { judged, opened }), ..self.clone() }, Carrier { opening, calling, stopping })
    }
}

impl Carrier {
    /// Waits until everything that was handed over is opened, called and settled.
    pub(super) async fn finish(self) -> Result<(), OutboxError> {
        let (opened, called) = futures_util::join!(self.opening, self.calling);
        for ended in [opened, called] {
            ended.map_err(|error| OutboxError::Carrier(error.to_string()))??;
        }
        Ok(())
    }

    /// Ends the calls that are under way, puts back what was not called, and settles both.
    pub(super) async fn stop(self) -> Result<(), OutboxError> {
        self.stopping.0.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Whether a part of it gave up.
    pub(super) fn has_ended(&self) -> bool {
        self.opening.is_finished() || self.calling.is_finished()
    }
}
