//! Patients whom a rule may concern, asked to be planned anew a batch at a time: a rule that goes live must not lock every
//! patient of a hospital in one statement, and a replica that dies in between loses nothing.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::tables::{cohort, ehr, mirror, reminder};
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, PatientId, ResourceType, RuleId};

/// One step through a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CohortStep {
    /// Patients that are planned anew by it.
    pub patients: usize,
    /// Whether there are more of this or of another cohort.
    pub more: bool,
}

impl Tx<'_> {
    /// Opens a cohort at every EHR of the tenant: the patients who have a resource of one of these types, or an open
    /// reminder of one of these rules. The latter are few, and asked for at once.
    pub async fn open_cohort(
        &mut self,
        kinds: &BTreeSet<ResourceType>,
        rules: &[RuleId],
        why: &str,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let ehrs: Vec<String> = ehr::Entity::find()
            .select_only()
            .column(ehr::Column::Id)
            .filter(ehr::Column::Tenant.eq(self.tenant.as_str()))
            .into_tuple()
            .all(&self.txn)
            .await?;
        let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        for id in ehrs {
            let ehr = EhrId::new(id);
            let held: Vec<String> = reminder::Entity::find()
                .select_only()
                .column(reminder::Column::Patient)
                .distinct()
                .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
                .filter(reminder::Column::Ehr.eq(ehr.as_str()))
                .filter(reminder::Column::Rule.is_in(rules.iter().map(RuleId::as_str)))
                .filter(super::reminders::is_open())
                .into_tuple()
                .all(&self.txn)
                .await?;
            let held: Vec<PatientId> = held.into_iter().map(PatientId::new).collect();
            self.replan_patients(&ehr, &held, now).await?;
            // Before the first pull there is nobody yet, and whoever comes is planned by the new rules anyway.
            let somebody: Option<String> = mirror::Entity::find()
                .select_only()
                .column(mirror::Column::Id)
                .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
                .filter(mirror::Column::Ehr.eq(ehr.as_str()))
                .filter(mirror::Column::ResourceType.is_in(names.iter().copied()))
                .filter(mirror::Column::Patient.is_not_null())
                .limit(1)
                .into_tuple()
                .one(&self.txn)
                .await?;
            if somebody.is_none() {
                continue;
            }
            cohort::Entity::insert(cohort::ActiveModel {
                id: Set(self.store.new_id()),
                tenant: Set(self.tenant.to_string()),
                ehr: Set(ehr.to_string()),
                resource_types: Set(names.join(",")),
                why: Set(why.to_owned()),
                after: Set(String::new()),
                opened_at: Set(now),
                finished_at: Set(None),
            })
            .exec_without_returning(&self.txn)
            .await?;
        }
        Ok(())
    }

    /// Asks the next `limit` patients of the oldest open cohort to be planned anew. `None` where no cohort is open.
    pub async fn step_cohort(&mut self, ehr: &EhrId, limit: u64) -> Result<Option<CohortStep>, StoreError> {
        let now = self.now();
        let open = cohort::Entity::find()
            .filter(cohort::Column::Tenant.eq(self.tenant.as_str()))
            .filter(cohort::Column::Ehr.eq(ehr.as_str()))
            .filter(cohort::Column::FinishedAt.is_null())
            .order_by_asc(cohort::Column::OpenedAt)
            .order_by_asc(cohort::Column::Id)
            .all(&self.txn)
            .await?;
        let Some(first) = open.first() else { return Ok(None) };
        let patients: Vec<String> = mirror::Entity::find()
            .select_only()
            .column(mirror::Column::Patient)
            .distinct()
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.is_in(first.resource_types.split(',')))
            .filter(mirror::Column::Patient.gt(first.after.as_str()))
            .order_by_asc(mirror::Column::Patient)
            .limit(limit)
            .into_tuple()
            .all(&self.txn)
            .await?;
        let is_last = (patients.len() as u64) < limit;
        let ids: Vec<PatientId> = patients.iter().map(|id| PatientId::new(id.as_str())).collect();
        self.replan_patients(ehr, &ids, now).await?;
        cohort::Entity::update_many()
            .col_expr(cohort::Column::After, Expr::value(patients.last().unwrap_or(&first.after).as_str()))
            .col_expr(cohort::Column::FinishedAt, Expr::value(is_last.then_some(now)))
            .filter(cohort::Column::Id.eq(first.id))
            .exec(&self.txn)
            .await?;
        Ok(Some(CohortStep { patients: ids.len(), more: !is_last || open.len() > 1 }))
    }
}

impl View<'_> {
    /// Whether patients are still to be asked to be planned anew.
    pub async fn has_open_cohort(&self, ehr: &EhrId) -> Result<bool, StoreError> {
        Ok(cohort::Entity::find()
            .filter(cohort::Column::Tenant.eq(self.tenant.as_str()))
            .filter(cohort::Column::Ehr.eq(ehr.as_str()))
            .filter(cohort::Column::FinishedAt.is_null())
            .count(&self.conn)
            .await?
            > 0)
    }
}
