//! What is still to be written into an EHR, and what it does not take.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::{EhrId, WriteBackState};
use crate::store::codes::decode;
use crate::store::tables::write_back;
use crate::store::{StoreError, View};

/// How the queue of an EHR stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteBackQueue {
    pub pending: u64,
    pub failed: u64,
    /// Since when the oldest pending line waits.
    pub oldest: Option<DateTime<Utc>>,
}

/// A line that did not go well; it names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBackTrouble {
    /// `message` or `reply`.
    pub subject_kind: String,
    pub state: WriteBackState,
    pub tries: u32,
    pub error: String,
    pub next_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
}

impl View<'_> {
    pub async fn write_back_queue(&self, ehr: &EhrId) -> Result<WriteBackQueue, StoreError> {
        use write_back::Column as C;
        let of = |state: WriteBackState| {
            write_back::Entity::find()
                .filter(C::Tenant.eq(self.tenant.as_str()))
                .filter(C::Ehr.eq(ehr.as_str()))
                .filter(C::State.eq(state.as_str()))
        };
        let oldest: Option<DateTime<Utc>> = of(WriteBackState::Pending)
            .select_only()
            .column(C::CreatedAt)
            .order_by_asc(C::CreatedAt)
            .limit(1)
            .into_tuple()
            .one(&self.conn)
            .await?;
        Ok(WriteBackQueue {
            pending: of(WriteBackState::Pending).count(&self.conn).await?,
            failed: of(WriteBackState::Failed).count(&self.conn).await?,
            oldest,
        })
    }

    /// Lines with an error that are not written, latest first.
    pub async fn write_back_troubles(&self, ehr: &EhrId, limit: u64) -> Result<Vec<WriteBackTrouble>, StoreError> {
        use write_back::Column as C;
        let open = [WriteBackState::Pending, WriteBackState::Failed];
        let rows = write_back::Entity::find()
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .filter(C::Ehr.eq(ehr.as_str()))
            .filter(C::State.is_in(open.map(WriteBackState::as_str)))
            .filter(C::LastError.is_not_null())
            .order_by_desc(C::UpdatedAt)
            .limit(limit)
            .all(&self.conn)
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(WriteBackTrouble {
                    state: decode("write-back state", &row.state)?,
                    subject_kind: row.subject_kind,
                    tries: row.tries as u32,
                    error: row.last_error.unwrap_or_default(),
                    next_at: row.next_at,
                    updated_at: row.updated_at,
                })
            })
            .collect()
    }
}
