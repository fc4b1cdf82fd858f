//! What an EHR was asked: counters of this process, and the ledger in the database, which is written some requests at a
//! time. A ledger that cannot be written stops no call: what must be proven stands in the history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::admission::Shared;
use crate::ehr::error::EhrError;
use crate::store::EhrRequest;

/// Requests that are written in one go at most, and how long they wait for others.
const AT_ONCE: usize = 64;
const WAIT: Duration = Duration::from_secs(1);
/// Requests that wait while the database does not take them.
const KEPT: usize = 5_000;

/// What proves to the EHR who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proof {
    #[default]
    None,
    Token,
    /// A signed assertion, in exchange for a token.
    Assertion,
}

impl Proof {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Assertion => "assertion",
        }
    }
}

/// A request that is under way.
#[derive(Debug, Clone)]
pub(in crate::ehr) struct Draft {
    pub at: DateTime<Utc>,
    pub method: String,
    pub route: String,
    pub proof: Proof,
    pub is_retry: bool,
    pub began: Instant,
}

impl Draft {
    /// How it ended; `None` where no answer came.
    pub fn end(self, status: Option<u16>, bytes: usize, error: Option<&EhrError>) -> Ended {
        let outcome = match error {
            None => "answered",
            Some(EhrError::Unreachable { .. }) => "unreachable",
            Some(EhrError::TimedOut { .. }) => "timed_out",
            Some(EhrError::TooLarge { .. }) => "too_large",
            Some(_) => "interrupted",
        };
        let millis = u32::try_from(self.began.elapsed().as_millis()).unwrap_or(u32::MAX);
        Ended { draft: self, status, outcome, millis, bytes: bytes as u64 }
    }
}

/// A request that has ended.
#[derive(Debug, Clone)]
pub(in crate::ehr) struct Ended {
    draft: Draft,
    status: Option<u16>,
    outcome: &'static str,
    millis: u32,
    bytes: u64,
}

/// What a connection has used since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Everything that was asked, discovery and tokens too.
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

#[derive(Debug)]
pub(super) struct Ledger {
    shared: Option<Shared>,
    waiting: Mutex<(Vec<Ended>, Instant)>,
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
}

impl Ledger {
    pub fn new(shared: Option<Shared>) -> Self {
        Self {
            shared,
            waiting: Mutex::new((Vec::new(), Instant::now())),
            requests: AtomicU64::default(),
            retries: AtomicU64::default(),
            throttled: AtomicU64::default(),
            failed: AtomicU64::default(),
            bytes: AtomicU64::default(),
        }
    }

    /// Notes a request; answers whether enough of them wait to be written.
    pub fn note(&self, ended: Ended) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.retries.fetch_add(u64::from(ended.draft.is_retry), Ordering::Relaxed);
        self.throttled.fetch_add(u64::from(matches!(ended.status, Some(429 | 503))), Ordering::Relaxed);
        self.failed.fetch_add(u64::from(ended.status.is_none_or(|status| status >= 500)), Ordering::Relaxed);
        self.bytes.fetch_add(ended.bytes, Ordering::Relaxed);
        if self.shared.is_none() {
            return false;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.0.len() < KEPT {
            waiting.0.push(ended);
        }
        waiting.0.len() >= AT_ONCE || waiting.1.elapsed() >= WAIT
    }

    /// Writes what waits.
    pub async fn flush(&self) {
        let Some(shared) = &self.shared else { return };
        let ended = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.1 = Instant::now();
            std::mem::take(&mut waiting.0)
        };
        if ended.is_empty() {
            return;
        }
        if let Err(error) = write(shared, &ended).await {
            tracing::warn!(%error, ehr = %shared.ehr, "the ledger of requests cannot be written; it is tried again");
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT.saturating_sub(waiting.0.len());
            waiting.0.extend(ended.into_iter().take(room));
        }
    }

    pub fn usage(&self) -> Usage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            requests: read(&self.requests),
            retries: read(&self.retries),
            throttled: read(&self.throttled),
            failed: read(&self.failed),
            bytes: read(&self.bytes),
        }
    }
}

async fn write(shared: &Shared, ended: &[Ended]) -> Result<(), crate::store::StoreError> {
    let requests: Vec<EhrRequest> = ended
        .iter()
        .map(|it| EhrRequest {
            id: shared.store.new_id(),
            at: it.draft.at,
            method: it.draft.method.clone(),
            route: it.draft.route.clone(),
            status: it.status,
            outcome: it.outcome.to_owned(),
            millis: it.millis,
            bytes: it.bytes,
            token: it.draft.proof.as_str().to_owned(),
            is_retry: it.draft.is_retry,
        })
        .collect();
    let mut tx = shared.store.write(&shared.tenant).await?;
    tx.keep_ehr_requests(&shared.ehr, &requests).await?;
    tx.commit().await
}
