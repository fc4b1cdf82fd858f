//! What shows that something is wrong: counts and last outcomes that alerts rest on.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::alike::padded;
use super::codes::decode;
use super::tables::{attempt, message, reminder, write_back};
use super::{StoreError, View};
use crate::domain::{AttemptState, EhrId, Reason};

/// How one try ended, without whom it was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    pub state: AttemptState,
    pub code: Option<String>,
    /// Why its message was closed, if it was.
    pub reason: Option<Reason>,
}

impl View<'_> {
    /// The last tries over one provider since `since`, newest first.
    pub async fn attempt_ends(
        &self,
        provider: &str,
        since: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<AttemptEnd>, StoreError> {
        let rows = attempt::Entity::find()
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(attempt::Column::Provider.eq(provider))
            .filter(attempt::Column::OpenedAt.gte(since))
            .filter(attempt::Column::State.ne(AttemptState::Opened.as_str()))
            .order_by_desc(attempt::Column::OpenedAt)
            .limit(limit)
            .all(&self.conn)
            .await?;
        let reasons: Vec<(Uuid, Option<String>)> = message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .column(message::Column::Reason)
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::Id.is_in(padded(rows.iter().map(|row| row.message))))
            .into_tuple()
            .all(&self.conn)
            .await?;
        rows.into_iter()
            .map(|row| {
                let reason = reasons.iter().find(|(id, _)| *id == row.message).and_then(|(_, reason)| reason.clone());
                Ok(AttemptEnd {
                    state: decode("attempt state", &row.state)?,
                    code: row.code,
                    reason: reason.as_deref().and_then(Reason::parse),
                })
            })
            .collect()
    }

    /// Write-backs of an EHR that were tried in vain at least `tries` times, or that failed for good since `since`.
    pub async fn stuck_write_backs(&self, ehr: &EhrId, tries: u32, since: DateTime<Utc>) -> Result<u64, StoreError> {
        let failed =
            Condition::all().add(write_back::Column::State.eq("failed")).add(write_back::Column::UpdatedAt.gte(since));
        let waiting = Condition::all()
            .add(write_back::Column::State.ne("failed"))
            .add(write_back::Column::Tries.gte(tries as i32))
            .add(write_back::Column::NextAt.is_not_null());
        Ok(write_back::Entity::find()
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::Ehr.eq(ehr.as_str()))
            .filter(Condition::any().add(failed).add(waiting))
            .count(&self.conn)
            .await?)
    }

    /// Of the reminders that were looked at since `since`: how many had no usable time zone, and how many there were.
    pub async fn without_zone(&self, since: DateTime<Utc>) -> Result<(u64, u64), StoreError> {
        let looked_at = || {
            reminder::Entity::find()
                .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
                .filter(reminder::Column::UpdatedAt.gte(since))
                .filter(reminder::Column::Decision.is_not_null())
        };
        let reasons = [Reason::ZoneUnresolved, Reason::FacilityZoneUnresolved].map(Reason::as_str);
        let without = looked_at().filter(reminder::Column::Reason.is_in(reasons)).count(&self.conn).await?;
        Ok((without, looked_at().count(&self.conn).await?))
    }
}
