//! What was pulled completely, and since when: absence is a fact only then (I9).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::tables::{pull_run, watermark};
use super::{StoreError, View};
use crate::domain::{EhrId, ResourceType};

impl View<'_> {
    /// Types that were pulled to their last page, each with the instant at which the run that did so began.
    pub async fn covered_types(&self, ehr: &EhrId) -> Result<Vec<(ResourceType, DateTime<Utc>)>, StoreError> {
        let marks = watermark::Entity::find()
            .filter(watermark::Column::Tenant.eq(self.tenant.as_str()))
            .filter(watermark::Column::Ehr.eq(ehr.as_str()))
            .filter(watermark::Column::CompletedRun.is_not_null())
            .all(&self.conn)
            .await?;
        let runs: HashMap<Uuid, DateTime<Utc>> = pull_run::Entity::find()
            .filter(pull_run::Column::Id.is_in(marks.iter().filter_map(|mark| mark.completed_run)))
            .all(&self.conn)
            .await?
            .into_iter()
            .map(|run| (run.id, run.started_at))
            .collect();
        Ok(marks
            .iter()
            .filter_map(|mark| {
                let begun = runs.get(&mark.completed_run?)?;
                Some((ResourceType::parse(&mark.resource_type)?, *begun))
            })
            .collect())
    }
}
