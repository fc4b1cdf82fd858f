//! How much of an EHR we use: a limit on calls in flight, and counters of what was asked.
//!
//! The limit holds within one process. Calls an hour, shared by all replicas, are leased from the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limit and counters of one connection; clones share them.
#[derive(Debug, Clone)]
pub struct Budget {
    in_flight: Arc<Semaphore>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
}

/// What a connection has used since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub requests: u64,
    /// Requests that were a repeat of an earlier one.
    pub retries: u64,
    /// Answers with status 429 or 503.
    pub throttled: u64,
    /// Requests without any answer, or with status 5xx.
    pub failed: u64,
    /// Bytes of answers, after decompression.
    pub bytes: u64,
}

impl Budget {
    /// At least one call in flight, whatever is asked for.
    pub fn new(concurrency: u32) -> Self {
        let permits = usize::try_from(concurrency.max(1)).unwrap_or(1);
        Self { in_flight: Arc::new(Semaphore::new(permits)), ledger: Arc::default() }
    }

    /// Waits for a free place; it is freed when the permit is dropped.
    pub(super) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so a permit always comes.
        Arc::clone(&self.in_flight).acquire_owned().await.ok()
    }

    pub(super) fn count_request(&self, is_retry: bool) {
        self.ledger.requests.fetch_add(1, Ordering::Relaxed);
        self.ledger.retries.fetch_add(u64::from(is_retry), Ordering::Relaxed);
    }

    pub(super) fn count_answer(&self, status: Option<u16>, bytes: usize) {
        let throttled = matches!(status, Some(429 | 503));
        let failed = status.is_none_or(|status| status >= 500);
        self.ledger.throttled.fetch_add(u64::from(throttled), Ordering::Relaxed);
        self.ledger.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.ledger.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn usage(&self) -> Usage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            requests: read(&self.ledger.requests),
            retries: read(&self.ledger.retries),
            throttled: read(&self.ledger.throttled),
            failed: read(&self.ledger.failed),
            bytes: read(&self.ledger.bytes),
        }
    }
}
