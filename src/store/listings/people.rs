//! Patient resources of a list's rows, in one query an EHR.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::Value;

use crate::domain::{EhrId, PatientId, ResourceType};
use crate::store::tables::mirror;
use crate::store::{StoreError, View};

impl View<'_> {
    /// The mirrored Patient of each of these; one that is not mirrored, or whose key was destroyed, is left out.
    pub async fn patient_resources(
        &self,
        patients: &BTreeSet<(EhrId, PatientId)>,
    ) -> Result<HashMap<(EhrId, PatientId), Value>, StoreError> {
        let mut by_ehr: HashMap<&EhrId, Vec<&str>> = HashMap::new();
        for (ehr, patient) in patients {
            by_ehr.entry(ehr).or_default().push(patient.as_str());
        }
        let mut found = HashMap::new();
        for (ehr, ids) in by_ehr {
            let rows = mirror::Entity::find()
                .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
                .filter(mirror::Column::Ehr.eq(ehr.as_str()))
                .filter(mirror::Column::ResourceType.eq(ResourceType::Patient.as_str()))
                .filter(mirror::Column::Id.is_in(ids))
                .filter(mirror::Column::DeletedAt.is_null())
                .all(&self.conn)
                .await?;
            let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
            for row in rows {
                let place = format!("{ehr}/{}/{}", row.resource_type, row.id);
                match keys.open_json("resource", "mirror", "body", &place, &row.body) {
                    Ok(body) => {
                        found.insert((ehr.clone(), PatientId::new(row.id)), body);
                    }
                    Err(StoreError::Shredded) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(found)
    }
}
