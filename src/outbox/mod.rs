//! Everything that leaves and comes back: claim what is due, decide on fresh facts, open an attempt, call the provider,
//! settle; take in receipts and replies; write back to the EHR. The row is the queue, so that a replica can die at any
//! instant. No transaction and no connection is held while a provider or an EHR is called. Knows no HTTP statuses of
//! ours and no pages.

mod by_ehr;
mod deliver;
mod escalation;
mod facts;
mod flood;
mod intake;
mod lane;
mod providers;
mod receipts;
mod release;
mod replies;
mod reread;
mod retry;
mod same_day;
mod stages;
mod write_back;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::config::Settings;
use crate::domain::{EhrId, RuleId, RuleVersionId, TenantId};
use crate::ehr::clients::Clients;
use crate::ehr::connect::ConnectError;
use crate::rules::{self, CompiledRule};
use crate::store::{Store, StoreError};

pub use facts::deciding;
pub use intake::{Intake, IntakeError, Report};
pub use providers::{ProviderError, Providers};
pub use stages::{Stage, Watch};

/// Why a turn of the outbox could not be finished. What it had not settled is due again when its lease runs out.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("what calls the providers ended unexpectedly: {0}")]
    Carrier(String),
}

/// How many rows one turn takes of each kind.
const BATCH: u64 = 400;
/// How long a claimed reminder is held while the EHR is asked and a decision is made.
const DECIDE_LEASE: TimeDelta = TimeDelta::minutes(5);
/// How long a message is held while its provider is called; longer than the longest call, which is a mail relay's ten
/// minutes after the final dot (RFC 5321, 4.5.3.2.6): a lease that ended earlier would invite a second sender.
const SEND_LEASE: TimeDelta = TimeDelta::minutes(15);

/// What one turn did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    pub decided: usize,
    pub sent: usize,
    pub answers: usize,
    pub written: usize,
}

impl Turn {
    pub const fn is_idle(&self) -> bool {
        self.decided + self.sent + self.answers + self.written == 0
    }
}

/// The outbox of one tenant on this replica.
#[derive(Debug, Clone)]
pub struct Outbox {
    store: Store,
    tenant: TenantId,
    settings: Arc<Settings>,
    deciding: Arc<rules::Settings>,
    providers: Arc<Providers>,
    ehrs: Clients,
    /// This replica: what it holds, others leave alone.
    holder: Uuid,
    /// The rows of this EHR alone; `None` for all.
    only: Option<EhrId>,
    answering: Arc<tokio::sync::Mutex<()>>,
    watcher: stages::Watcher,
    /// Where opened messages are handed to; without one they are called before a turn goes on.
    lane: Option<lane::Lane>,
    look_shared_for: std::time::Duration,
    /// Live rules as they were compiled; a version never changes.
    compiled: Arc<Mutex<BTreeMap<(RuleId, RuleVersionId), CompiledRule>>>,
}

impl Outbox {
    pub fn new(
        store: Store,
        tenant: TenantId,
        settings: Arc<Settings>,
        providers: Arc<Providers>,
        ehrs: Clients,
    ) -> Self {
        let holder = store.new_id();
        let deciding = Arc::new(facts::deciding(&settings, &providers));
        Self {
            store,
            tenant,
            settings,
            deciding,
            providers,
            ehrs,
            holder,
            only: None,
            answering: Arc::default(),
            watcher: stages::Watcher::default(),
            lane: None,
            look_shared_for: deliver::LOOK_SHARED_FOR,
            compiled: Arc::default(),
        }
    }

    /// Tells `watch` of the stages of what falls due.
    pub fn watched_by(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watcher = stages::Watcher(Some(watch));
        self
    }

    /// Looks anew before every call whether something was halted: slower, and exact.
    pub fn looking_before_each_call(mut self) -> Self {
        self.look_shared_for = std::time::Duration::ZERO;
        self
    }

    /// One turn: answers first (a STOP is honoured before anything else), then what falls due, then write-back.
    pub async fn turn(&self) -> Result<Turn, OutboxError> {
        let answers = self.process_replies().await? + self.process_receipts().await?;
        let (released, sent) = self.release_due().await?;
        let retried = self.retry_due().await?;
        let written = self.write_back_due().await?;
        Ok(Turn { decided: released, sent: sent + retried, answers, written })
    }

    /// The next instant at which there is something to do, if anything waits.
    pub async fn next_at(&self) -> Result<Option<DateTime<Utc>>, OutboxError> {
        let view = self.store.view(&self.tenant);
        let next = [view.next_reminder_at().await?, view.next_message_at().await?, view.next_write_back_at().await?];
        Ok(next.into_iter().flatten().min())
    }

    /// Releases everything that is due, batch after batch, while the providers are called beside it; answers how many
    /// reminders were decided and how many messages were opened, when all of them are settled.
    ///
    /// # Errors
    /// As [`Outbox::release_due`].
    pub async fn release_all_due(&self) -> Result<(usize, usize), OutboxError> {
        let (releasing, carrier) = self.with_lane();
        let mut all = (0, 0);
        let mut released = Ok(());
        while !carrier.has_ended() {
            match releasing.release_due().await {
                Ok((0, _)) => break,
                Ok((decided, sent)) => all = (all.0 + decided, all.1 + sent),
                Err(error) => {
                    released = Err(error);
                    break;
                }
            }
        }
        drop(releasing);
        carrier.finish().await?;
        released.map(|()| all)
    }

    fn now(&self) -> DateTime<Utc> {
        self.store.clock().now()
    }
}
