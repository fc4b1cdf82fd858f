//! The parts of a turn that brings due reminders out, for who wants to know what each of them costs.

use std::sync::Arc;

/// One after the other, batch by batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Due reminders are leased, and what may go out is read.
    Claim,
    /// The EHR is read again, and the mirror and the ledgers.
    Gather,
    /// Verdicts and texts.
    Decide,
    /// Messages, attempts, decisions and events are stored: from here on a provider may be called.
    Open,
    /// The providers are called.
    Deliver,
    /// Their answers are stored, and the write-back is queued.
    Settle,
}

impl Stage {
    pub const ALL: [Self; 6] = [Self::Claim, Self::Gather, Self::Decide, Self::Open, Self::Deliver, Self::Settle];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Gather => "gather",
            Self::Decide => "decide",
            Self::Open => "open",
            Self::Deliver => "deliver",
            Self::Settle => "settle",
        }
    }
}

/// Hears when a stage of a batch has ended.
pub trait Watch: Send + Sync + std::fmt::Debug {
    fn ended(&self, stage: Stage);
}

/// Nobody listens, unless a measurement does.
#[derive(Debug, Clone, Default)]
pub(super) struct Watcher(pub(super) Option<Arc<dyn Watch>>);

impl Watcher {
    pub(super) fn ended(&self, stage: Stage) {
        if let Some(watch) = &self.0 {
            watch.ended(stage);
        }
    }
}
