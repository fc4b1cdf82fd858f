//! The only room that knows SQL. It takes and returns domain types; PHI goes in and out sealed. Every read is a `View`
//! and every write a `Tx` of one tenant, so that no query can forget whose data it is.

mod alerts;
mod alike;
mod answers;
mod asked;
mod audit;
mod backup;
mod checkpoints;
mod choices;
mod codes;
mod cohorts;
mod conditions;
mod connect;
mod counts;
mod coverage;
mod ehr_calls;
mod ehr_requests;
mod ehr_watch;
mod ehrs;
mod enrolments;
mod events;
mod evidence;
mod exports;
mod feed;
mod keyring;
mod listings;
mod merges;
mod messages;
mod mirror;
mod notices;
mod numbering;
mod patients;
mod plain_events;
mod pull_runs;
mod quarantine;
mod reconciliations;
mod reconciling;
mod reminders;
mod roster;
mod rule_changes;
mod rules;
mod saved;
mod second_looks;
mod sending;
mod staff;
mod staff_sessions;
mod staff_tasks;
mod statistics;
mod stuck;
mod subscriptions;
mod tables;
mod tenants;
mod text_reviews;
mod tx;
mod write_backs;
mod yardstick;

use std::sync::Arc;

use sea_orm::{DatabaseBackend, DatabaseConnection, DatabaseExecutor, DbErr};

use crate::clock::{Clock, Entropy};
use crate::domain::TenantId;
use crate::seal::{RootKey, SealError};

pub use alerts::ACKNOWLEDGED_FOR;
pub use audit::{AuditPage, AuditedRow, Content, DestroyedKey};
pub use backup::{Dump, DumpError, DumpHead, inspect};
pub use checkpoints::{CheckpointRow, LogKey, Publication};
pub use cohorts::CohortStep;
pub use conditions::AttemptEnd;
pub use coverage::{BY_ID, Hidden};
pub use ehr_calls::{CallBudget, CallLimits, Lease, LeaseAsk, Pause, PauseReason};
pub use ehr_requests::{EhrRequest, HourUsage, RequestFilter};
pub use ehr_watch::{EhrWatch, PullWish, RetryWish};
pub use ehrs::{EhrKeyRow, EhrRow, EhrStamp};
pub use events::{AboutFilter, EventCursor, EventFilter};
pub use evidence::Evidence;
pub use exports::{ExportFileRow, ExportRow, ExportState};
pub use feed::{FeedMessage, FeedState};
pub use keyring::Class;
pub use listings::{
    DayCounts, DueCursor, MessageFilter, MessageLine, QuarantineLine, ReminderFilter, ReplyFilter, ReplyLine,
    WriteBackQueue, WriteBackTrouble,
};
pub use merges::MergeSource;
pub use messages::{Delivery, Settlement};
pub use mirror::{MirrorChange, MirrorRow, SealedMirror};
pub use notices::NoticeRow;
pub use numbering::{Head, Tile};
pub use patients::normalised_name;
pub use plain_events::PlainEvent;
pub use pull_runs::{PullRunRow, Watermark};
pub use quarantine::{Quarantined, Unusable};
pub use reconciliations::{PlanningState, Reconciliation, Standing};
pub use reconciling::SentBefore;
pub use reminders::Decided;
pub use roster::{RosterChange, Whose};
pub use rule_changes::RuleVersionLine;
pub use saved::SavedQuestion;
pub use sending::{Halt, HaltScope, SendMode, Sending};
pub use staff::{NewStaff, SIGN_IN_REST, SIGN_IN_TRIES, SignInTry};
pub use staff_sessions::{NewSession, StaffSession};
pub use stuck::Stuck;
pub use subscriptions::{SubscriptionRow, SubscriptionSecrets, SubscriptionState};
pub use tx::Tx;
pub use write_backs::{WriteBack, WriteBackResult, WriteBackSubject};
pub use yardstick::ScratchDatabase;

/// Why the store could not do what it was asked. Statements and values are never part of the text.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database refused: {0}")]
    Database(String),
    #[error("the database cannot be opened: {0}")]
    Open(String),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the key of this data was destroyed, as the retention policy asked; it cannot be read any more")]
    Shredded,
    #[error("a stored {what} cannot be read: {reason}")]
    Corrupt { what: &'static str, reason: String },
    #[error("there is no tenant {0:?}; `beckon tenant list` shows those there are")]
    NoTenant(String),
    #[error("{0}")]
    Conflict(String),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        // A statement's literals may be PHI: keep the kind of failure, drop what it was about.
        let words = match &error {
            DbErr::ConnectionAcquire(_) => "no connection became free in time".to_owned(),
            DbErr::RecordNotFound(_) => "the row is not there".to_owned(),
            DbErr::Exec(inner) | DbErr::Query(inner) | DbErr::Conn(inner) => brief(&inner.to_string()),
            DbErr::Type(_) | DbErr::Json(_) => "a column holds an unexpected type".to_owned(),
            other => brief(&other.to_string()),
        };
        Self::Database(words)
    }
}

/// The first line of a driver's message, without quoted values.
fn brief(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut plain = String::new();
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            other => plain.push(other),
        }
    }
    plain
}

/// One database with the keys to it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Where reads go.
    db: DatabaseConnection,
    /// Where writes go: on SQLite one connection of its own, on PostgreSQL the same pool.
    writing: DatabaseConnection,
    keys: keyring::KeyRing,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// SQLite has one writer; waiting here is fair, waiting in SQLite is not.
    writer: tokio::sync::Semaphore,
    /// Millisecond and counter of the last id.
    last_id: std::sync::Mutex<(u64, u16)>,
}

/// Reading access to one tenant's data.
pub struct View<'a> {
    store: &'a Store,
    tenant: &'a TenantId,
    conn: DatabaseExecutor<'a>,
}

impl Store {
    fn new(
        db: DatabaseConnection,
        writing: DatabaseConnection,
        root: RootKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let writers = if db.get_database_backend() == DatabaseBackend::Sqlite { 1 } else { 1 << 16 };
        Self {
            inner: Arc::new(Inner {
                db,
                writing,
                keys: keyring::KeyRing::new(root, keyring::KEPT_KEYS),
                clock,
                entropy,
                writer: tokio::sync::Semaphore::new(writers),
                last_id: std::sync::Mutex::default(),
            }),
        }
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.inner.entropy
    }

    /// A time-ordered id (RFC 9562, version 7), greater than every id that this process gave before: a counter stands
    /// where the standard allows one (section 6.2, method 1), so that what one transaction writes keeps its order.
    pub fn new_id(&self) -> uuid::Uuid {
        let millis = u64::try_from(self.inner.clock.now().timestamp_millis()).unwrap_or_default();
        let (millis, counter) = {
            let mut last = self.inner.last_id.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *last = match *last {
                (before, _) if millis > before => (millis, 0),
                (before, counter) if counter < 0x0FFF => (before, counter + 1),
                (before, _) => (before + 1, 0),
            };
            *last
        };
        let mut rest = [0_u8; 10];
        self.inner.entropy.fill(&mut rest);
        rest[..2].copy_from_slice(&counter.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }

    fn is_sqlite(&self) -> bool {
        self.inner.db.get_database_backend() == DatabaseBackend::Sqlite
    }

    /// Reads of `tenant`'s data, outside any transaction.
    pub fn view<'a>(&'a self, tenant: &'a TenantId) -> View<'a> {
        View { store: self, tenant, conn: DatabaseExecutor::Connection(&self.inner.db) }
    }
}

impl View<'_> {
    pub fn tenant(&self) -> &TenantId {
        self.tenant
    }
}

/// Rows of one EHR, or of all.
fn of_ehr(column: impl sea_orm::ColumnTrait, only: Option<&crate::domain::EhrId>) -> sea_orm::Condition {
    sea_orm::Condition::all().add_option(only.map(|ehr| column.eq(ehr.as_str())))
}

/// Whose data key seals what belongs to one patient of one EHR.
fn patient_subject(ehr: &crate::domain::EhrId, patient: &crate::domain::PatientId) -> String {
    format!("{ehr}/{patient}")
}
