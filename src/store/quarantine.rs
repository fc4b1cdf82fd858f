//! What could not be used: which resource, where in it, and why. The resource itself is not kept; the EHR has it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::tables::quarantine;
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, QuarantineId};

/// A resource in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    pub id: QuarantineId,
    pub ehr: EhrId,
    /// As the server named it: also a type that Beckon does not know.
    pub resource_type: String,
    pub resource_id: String,
    /// FHIRPath-like place, such as `Appointment.start`.
    pub path: String,
    /// In words, without the value.
    pub reason: String,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
}

/// Why a resource cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    pub resource_type: String,
    pub resource_id: String,
    pub path: String,
    pub reason: String,
}

impl Tx<'_> {
    /// Puts resources into quarantine. Answers those that were not there before, or were there for another reason.
    pub async fn quarantine(&mut self, ehr: &EhrId, unusable: &[Unusable]) -> Result<Vec<Unusable>, StoreError> {
        let now = self.now();
        let mut latest: HashMap<(&str, &str), &Unusable> = HashMap::new();
        for it in unusable {
            latest.insert((&it.resource_type, &it.resource_id), it);
        }
        let mut new = Vec::new();
        for it in latest.into_values() {
            let known = quarantine::Entity::find()
                .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
                .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
                .filter(quarantine::Column::ResourceType.eq(it.resource_type.as_str()))
                .filter(quarantine::Column::ResourceId.eq(it.resource_id.as_str()))
                .filter(quarantine::Column::ResolvedAt.is_null())
                .one(&self.txn)
                .await?;
            if known.is_none_or(|row| row.path != it.path || row.reason != it.reason) {
                new.push(it.clone());
            }
            use quarantine::Column as C;
            quarantine::Entity::insert(quarantine::ActiveModel {
                id: Set(self.store.new_id()),
                tenant: Set(self.tenant.to_string()),
                ehr: Set(ehr.to_string()),
                resource_type: Set(it.resource_type.clone()),
                resource_id: Set(it.resource_id.clone()),
                path: Set(it.path.clone()),
                reason: Set(it.reason.clone()),
                body: Set(None),
                first_seen_at: Set(now),
                last_seen_at: Set(now),
                resolved_at: Set(None),
            })
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Ehr, C::ResourceType, C::ResourceId])
                    .update_columns([C::Path, C::Reason, C::LastSeenAt, C::ResolvedAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        }
        Ok(new)
    }

    /// Lets resources out that were read well, or that are gone.
    pub async fn resolve_quarantine(
        &mut self,
        ehr: &EhrId,
        resource_type: &str,
        ids: &[&str],
    ) -> Result<u64, StoreError> {
        let mut resolved = 0;
        for chunk in ids.chunks(500) {
            let done = quarantine::Entity::update_many()
                .col_expr(quarantine::Column::ResolvedAt, Expr::value(self.now()))
                .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
                .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
                .filter(quarantine::Column::ResourceType.eq(resource_type))
                .filter(quarantine::Column::ResourceId.is_in(chunk.iter().copied()))
                .filter(quarantine::Column::ResolvedAt.is_null())
                .exec(&self.txn)
                .await?;
            resolved += done.rows_affected;
        }
        Ok(resolved)
    }
}

impl View<'_> {
    /// What is in quarantine now, latest first.
    pub async fn quarantined(&self, ehr: &EhrId, limit: u64) -> Result<Vec<Quarantined>, StoreError> {
        let rows = quarantine::Entity::find()
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine::Column::ResolvedAt.is_null())
            .order_by_desc(quarantine::Column::LastSeenAt)
            .order_by_asc(quarantine::Column::ResourceId)
            .limit(limit)
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Quarantined {
                id: QuarantineId(row.id),
                ehr: EhrId::new(row.ehr),
                resource_type: row.resource_type,
                resource_id: row.resource_id,
                path: row.path,
                reason: row.reason,
                first_seen_at: row.first_seen_at,
                last_seen_at: row.last_seen_at,
            })
            .collect())
    }

    /// How many resources of a type are in quarantine now.
    pub async fn quarantine_count(&self, ehr: &EhrId, resource_type: &str) -> Result<u64, StoreError> {
        Ok(quarantine::Entity::find()
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine::Column::ResourceType.eq(resource_type))
            .filter(quarantine::Column::ResolvedAt.is_null())
            .count(&self.conn)
            .await?)
    }
}
