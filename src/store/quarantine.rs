//! What could not be used: which resource, where in it, and why. The resource itself is not kept; the EHR has it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use super::alike::padded;
use super::tables::{quarantine, quarantine_patient};
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, PatientId, QuarantineId, ResourceType};

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
    /// Patients of whom something is not in the mirror because of this: for them the absence of this type is no fact.
    pub hides_from: Vec<PatientId>,
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
        self.hide(ehr, unusable).await?;
        Ok(new)
    }

    async fn hide(&mut self, ehr: &EhrId, unusable: &[Unusable]) -> Result<(), StoreError> {
        let rows: Vec<quarantine_patient::ActiveModel> = unusable
            .iter()
            .flat_map(|it| it.hides_from.iter().map(move |patient| (it, patient)))
            .map(|(it, patient)| quarantine_patient::ActiveModel {
                tenant: Set(self.tenant.to_string()),
                ehr: Set(ehr.to_string()),
                patient: Set(patient.to_string()),
                resource_type: Set(it.resource_type.clone()),
                resource_id: Set(it.resource_id.clone()),
            })
            .collect();
        use quarantine_patient::Column as C;
        for chunk in rows.chunks(500) {
            quarantine_patient::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::Ehr, C::Patient, C::ResourceType, C::ResourceId])
                        .update_columns([C::ResourceId])
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
        }
        Ok(())
    }

    /// Lets resources out that were read well, or that are gone.
    pub async fn resolve_quarantine(
        &mut self,
        ehr: &EhrId,
        resource_type: &str,
        ids: &[&str],
    ) -> Result<u64, StoreError> {
        let mut resolved = 0;
        for chunk in ids.chunks(512) {
            let done = quarantine::Entity::update_many()
                .col_expr(quarantine::Column::ResolvedAt, Expr::value(self.now()))
                .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
                .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
                .filter(quarantine::Column::ResourceType.eq(resource_type))
                .filter(quarantine::Column::ResourceId.is_in(padded(chunk.iter().copied())))
                .filter(quarantine::Column::ResolvedAt.is_null())
                .exec(&self.txn)
                .await?;
            resolved += done.rows_affected;
            if done.rows_affected > 0 {
                self.unhide(ehr, resource_type, chunk).await?;
            }
        }
        Ok(resolved)
    }

    /// What is known again may change the plan, also where the resource came back as it was before.
    async fn unhide(&mut self, ehr: &EhrId, resource_type: &str, ids: &[&str]) -> Result<(), StoreError> {
        let of_these = Condition::all()
            .add(quarantine_patient::Column::Tenant.eq(self.tenant.as_str()))
            .add(quarantine_patient::Column::Ehr.eq(ehr.as_str()))
            .add(quarantine_patient::Column::ResourceType.eq(resource_type))
            .add(quarantine_patient::Column::ResourceId.is_in(ids.iter().copied()));
        let patients: Vec<String> = quarantine_patient::Entity::find()
            .select_only()
            .column(quarantine_patient::Column::Patient)
            .distinct()
            .filter(of_these.clone())
            .into_tuple()
            .all(&self.txn)
            .await?;
        quarantine_patient::Entity::delete_many().filter(of_these).exec(&self.txn).await?;
        let patients: Vec<PatientId> = patients.into_iter().map(PatientId::new).collect();
        let now = self.now();
        self.replan_patients(ehr, &patients, now).await?;
        Ok(())
    }

    /// Lets out what a complete listing since `before` did not bring any more and what never was in the mirror: nothing
    /// of it is hidden, because it is not there.
    pub async fn resolve_quarantine_unseen(
        &mut self,
        ehr: &EhrId,
        kind: ResourceType,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let hidden = quarantine_patient::Entity::find()
            .select_only()
            .column(quarantine_patient::Column::ResourceId)
            .filter(quarantine_patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine_patient::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine_patient::Column::ResourceType.eq(kind.as_str()))
            .into_query();
        let ids: Vec<String> = quarantine::Entity::find()
            .select_only()
            .column(quarantine::Column::ResourceId)
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine::Column::ResourceType.eq(kind.as_str()))
            .filter(quarantine::Column::ResolvedAt.is_null())
            .filter(quarantine::Column::LastSeenAt.lt(before))
            .filter(quarantine::Column::ResourceId.in_subquery(hidden))
            .into_tuple()
            .all(&self.txn)
            .await?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.resolve_quarantine(ehr, kind.as_str(), &ids).await
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

    /// How many resources of an EHR are in quarantine now.
    pub async fn quarantined_in_all(&self, ehr: &EhrId) -> Result<u64, StoreError> {
        Ok(quarantine::Entity::find()
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine::Column::ResolvedAt.is_null())
            .count(&self.conn)
            .await?)
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
