//! Counts for the daily accounts, and the rows that do not add up.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, Select};
use uuid::Uuid;

use super::reminders::is_open;
use super::tables::{attempt, event, message, mirror, quarantine, reminder, write_back};
use super::{StoreError, View};
use crate::domain::{EhrId, ResourceType};

impl View<'_> {
    pub async fn count_mirror(&self, ehr: &EhrId, kind: ResourceType) -> Result<u64, StoreError> {
        Ok(mirror::Entity::find()
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(kind.as_str()))
            .filter(mirror::Column::DeletedAt.is_null())
            .count(&self.conn)
            .await?)
    }

    /// Resources set aside and not resolved.
    pub async fn count_quarantine(&self, ehr: &EhrId) -> Result<u64, StoreError> {
        Ok(quarantine::Entity::find()
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine::Column::ResolvedAt.is_null())
            .count(&self.conn)
            .await?)
    }

    /// Ids of resources of one type that were set aside and not resolved.
    pub async fn quarantined_ids(&self, ehr: &EhrId, kind: ResourceType) -> Result<Vec<String>, StoreError> {
        Ok(quarantine::Entity::find()
            .select_only()
            .column(quarantine::Column::ResourceId)
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine::Column::ResourceType.eq(kind.as_str()))
            .filter(quarantine::Column::ResolvedAt.is_null())
            .into_tuple()
            .all(&self.conn)
            .await?)
    }

    /// Ids of the mirrored resources of one type.
    pub async fn mirrored_ids(&self, ehr: &EhrId, kind: ResourceType) -> Result<Vec<String>, StoreError> {
        Ok(mirror::Entity::find()
            .select_only()
            .column(mirror::Column::Id)
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(kind.as_str()))
            .filter(mirror::Column::DeletedAt.is_null())
            .into_tuple()
            .all(&self.conn)
            .await?)
    }

    /// Reminders by state and reason; the reason is empty where the state says it all.
    pub async fn count_reminders(&self, ehr: &EhrId) -> Result<BTreeMap<String, BTreeMap<String, u64>>, StoreError> {
        use reminder::Column as C;
        let mine = Condition::all().add(C::Tenant.eq(self.tenant.as_str())).add(C::Ehr.eq(ehr.as_str()));
        self.count_by(reminder::Entity::find().filter(mine), [C::State, C::Reason]).await
    }

    /// Messages by channel and state.
    pub async fn count_messages(&self, ehr: &EhrId) -> Result<BTreeMap<String, BTreeMap<String, u64>>, StoreError> {
        use message::Column as C;
        let mine = Condition::all().add(C::Tenant.eq(self.tenant.as_str())).add(C::Ehr.eq(ehr.as_str()));
        self.count_by(message::Entity::find().filter(mine), [C::Channel, C::State]).await
    }

    /// Rows by two columns, of which the second may be null. The first is never null.
    pub(super) async fn count_by<E: EntityTrait>(
        &self,
        rows: Select<E>,
        [outer, inner]: [E::Column; 2],
    ) -> Result<BTreeMap<String, BTreeMap<String, u64>>, StoreError> {
        let found: Vec<(String, Option<String>, i64)> = rows
            .select_only()
            .column(outer)
            .column(inner)
            .column_as(outer.count(), "count")
            .group_by(outer)
            .group_by(inner)
            .into_tuple()
            .all(&self.conn)
            .await?;
        let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (outer, inner, count) in found {
            counts.entry(outer).or_default().insert(inner.unwrap_or_default(), u64::try_from(count).unwrap_or(0));
        }
        Ok(counts)
    }

    /// Attempts on a channel that the provider took, whatever became of them later.
    pub async fn count_taken_attempts(&self, channel: &str) -> Result<u64, StoreError> {
        Ok(attempt::Entity::find()
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(attempt::Column::Channel.eq(channel))
            .filter(attempt::Column::State.is_in(["accepted", "delivered", "read", "failed"]))
            .filter(attempt::Column::ProviderRef.is_not_null())
            .count(&self.conn)
            .await?)
    }

    pub async fn count_write_backs(&self, ehr: &EhrId) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows: Vec<(String, i64)> = write_back::Entity::find()
            .select_only()
            .column(write_back::Column::State)
            .column_as(write_back::Column::Id.count(), "count")
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::Ehr.eq(ehr.as_str()))
            .group_by(write_back::Column::State)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|(state, count)| (state, count as u64)).collect())
    }

    pub async fn count_events(&self) -> Result<u64, StoreError> {
        Ok(event::Entity::find().filter(event::Column::Tenant.eq(self.tenant.as_str())).count(&self.conn).await?)
    }

    /// Open reminders whose time is over: the outbox should have expired them.
    pub async fn overdue_reminders(&self, ehr: &EhrId) -> Result<Vec<Uuid>, StoreError> {
        let now = self.store.clock().now();
        let query = reminder::Entity::find().filter(is_open()).filter(reminder::Column::ExpiresAt.lt(now));
        self.reminder_ids(ehr, query).await
    }

    pub async fn released_without_message(&self, ehr: &EhrId) -> Result<Vec<Uuid>, StoreError> {
        let query = reminder::Entity::find()
            .filter(reminder::Column::State.eq("released"))
            .filter(reminder::Column::Message.is_null());
        self.reminder_ids(ehr, query).await
    }

    async fn reminder_ids(&self, ehr: &EhrId, query: Select<reminder::Entity>) -> Result<Vec<Uuid>, StoreError> {
        Ok(query
            .select_only()
            .column(reminder::Column::Id)
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::Ehr.eq(ehr.as_str()))
            .into_tuple()
            .all(&self.conn)
            .await?)
    }

    /// Messages whose time is over and that are still queued, or whose outcome nobody knows.
    pub async fn messages_left_open(&self, ehr: &EhrId) -> Result<Vec<Uuid>, StoreError> {
        let late = Condition::all()
            .add(message::Column::State.eq("queued"))
            .add(message::Column::ExpiresAt.lt(self.store.clock().now()));
        Ok(message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::Ehr.eq(ehr.as_str()))
            .filter(Condition::any().add(late).add(message::Column::State.eq("unknown")))
            .into_tuple()
            .all(&self.conn)
            .await?)
    }

    /// Write-backs that failed for good.
    pub async fn unsettled_write_backs(&self, ehr: &EhrId) -> Result<Vec<Uuid>, StoreError> {
        Ok(write_back::Entity::find()
            .select_only()
            .column(write_back::Column::Id)
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::Ehr.eq(ehr.as_str()))
            .filter(write_back::Column::State.eq("failed"))
            .into_tuple()
            .all(&self.conn)
            .await?)
    }
}
