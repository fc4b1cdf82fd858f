//! Resources that could not be used, with path and reason; never with their content.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::{EhrId, QuarantineId};
use crate::store::tables::quarantine;
use crate::store::{StoreError, View};

/// One resource in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineLine {
    pub id: QuarantineId,
    pub ehr: EhrId,
    pub resource_type: String,
    pub resource_id: String,
    /// Where in the resource.
    pub path: String,
    pub reason: String,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
}

impl View<'_> {
    /// What is in quarantine now, newest first.
    pub async fn list_quarantine(
        &self,
        before: Option<QuarantineId>,
        limit: u64,
    ) -> Result<Vec<QuarantineLine>, StoreError> {
        use quarantine::Column as C;
        let mut query = quarantine::Entity::find()
            .select_only()
            .columns([C::Id, C::Ehr, C::ResourceType, C::ResourceId, C::Path, C::Reason, C::FirstSeenAt, C::LastSeenAt])
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .filter(C::ResolvedAt.is_null());
        if let Some(before) = before {
            query = query.filter(C::Id.lt(before.0));
        }
        type Row = (uuid::Uuid, String, String, String, String, String, DateTime<Utc>, DateTime<Utc>);
        let rows: Vec<Row> = query.order_by_desc(C::Id).limit(limit).into_tuple().all(&self.conn).await?;
        Ok(rows
            .into_iter()
            .map(|(id, ehr, resource_type, resource_id, path, reason, first_seen_at, last_seen_at)| QuarantineLine {
                id: QuarantineId(id),
                ehr: EhrId::new(ehr),
                resource_type,
                resource_id,
                path,
                reason,
                first_seen_at,
                last_seen_at,
            })
            .collect())
    }
}
