//! What was pulled completely, and since when: absence is a fact only then (I9).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::tables::{pull_run, quarantine_patient, watermark};
use super::{StoreError, View};
use crate::domain::{EhrId, PatientId, ResourceType};

/// How a watermark calls a type that is read by id only: what nobody named is not looked for.
pub const BY_ID: &str = "by id";

/// What a hospital hands over as complete lists.
const IN_LISTS: [ResourceType; 3] = [ResourceType::Appointment, ResourceType::Location, ResourceType::Patient];

/// What of which patient is in quarantine, and so not in the mirror.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden(HashMap<PatientId, Vec<ResourceType>>);

impl Hidden {
    /// Whether everything of this type that was pulled for the patient is in the mirror.
    pub fn nothing_of(&self, patient: &PatientId, kind: ResourceType) -> bool {
        self.0.get(patient).is_none_or(|kinds| !kinds.contains(&kind))
    }
}

impl View<'_> {
    /// What of these patients is in quarantine.
    pub async fn hidden_of(&self, ehr: &EhrId, patients: &[PatientId]) -> Result<Hidden, StoreError> {
        let rows: Vec<(String, String)> = quarantine_patient::Entity::find()
            .select_only()
            .column(quarantine_patient::Column::Patient)
            .column(quarantine_patient::Column::ResourceType)
            .distinct()
            .filter(quarantine_patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine_patient::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine_patient::Column::Patient.is_in(patients.iter().map(PatientId::as_str)))
            .into_tuple()
            .all(&self.conn)
            .await?;
        let mut hidden = Hidden::default();
        for (patient, kind) in rows {
            if let Some(kind) = ResourceType::parse(&kind) {
                hidden.0.entry(PatientId::new(patient)).or_default().push(kind);
            }
        }
        Ok(hidden)
    }

    /// Types that were pulled to their last page, each with the instant at which the run that did so began. One that is
    /// read by id is among them only where the hospital lists it: of others nobody can tell what was not named.
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
                let kind = ResourceType::parse(&mark.resource_type)?;
                (mark.mode != BY_ID || IN_LISTS.contains(&kind)).then_some((kind, *begun))
            })
            .collect())
    }
}
