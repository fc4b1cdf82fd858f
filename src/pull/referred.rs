//! Resources that others refer to and that no listing brought: patients that cannot be searched, locations read by id.

use std::collections::HashSet;

use crate::domain::{ResourceKey, ResourceType};
use crate::ehr::error::EhrError;
use crate::ehr::read::Read;
use crate::store::{StoreError, Unusable};

use super::page::{Destination, Named, Run};
use super::report::TypeReport;

impl Destination<'_> {
    /// What a stored page names and the mirror lacks: patients, locations, and staff where a rule reads them.
    pub(super) async fn missing(
        &self,
        named: &Named,
        asked: &mut HashSet<ResourceKey>,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        let view = self.store.view(self.tenant);
        let mut missing = Vec::new();
        for patient in view.unknown_patients(self.ehr, &named.patients).await? {
            let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
            if asked.insert(key.clone()) {
                missing.push(key);
            }
        }
        for location in &named.locations {
            let key = ResourceKey::new(ResourceType::Location, location.as_str());
            // Many appointments are at few places: each place is looked up once a run.
            if asked.insert(key.clone()) && view.mirror_resource(self.ehr, &key).await?.is_none() {
                missing.push(key);
            }
        }
        for survivor in &named.survivors {
            let key = ResourceKey::new(ResourceType::Patient, survivor.as_str());
            if asked.insert(key.clone()) {
                missing.push(key);
            }
        }
        for key in &named.others {
            if asked.insert(key.clone()) && view.mirror_resource(self.ehr, key).await?.is_none() {
                missing.push(key.clone());
            }
        }
        Ok(missing)
    }
}

impl Run<'_> {
    /// Reads what a stored page refers to and the mirror lacks. Asked once a run for each.
    pub async fn fetch_referred(&self, missing: Vec<ResourceKey>, report: &mut TypeReport) -> Result<(), StoreError> {
        for (key, answer) in self.read_all(&missing).await {
            // Counted apart: they are not what the listing brought.
            let mut aside = TypeReport::default();
            match answer {
                Ok(Read::Found(found)) => {
                    self.destination().keep(key.resource_type, vec![found.resource], &mut aside).await?;
                }
                Ok(Read::Gone { .. }) => self.set_aside(absent(&key, "the EHR does not have it"), report).await?,
                Ok(Read::Moved(survivor)) if key.resource_type == ResourceType::Patient => {
                    self.merged(&key, &survivor).await?;
                }
                Ok(Read::Moved(_)) => self.set_aside(absent(&key, "another resource has its place"), report).await?,
                Ok(Read::NotModified) => {}
                Err(error) => self.set_aside(absent(&key, &error.to_string()), report).await?,
            }
            report.quarantined += aside.quarantined;
        }
        Ok(())
    }

    /// Reads by id, in batches where the server takes them.
    pub async fn read_all(&self, keys: &[ResourceKey]) -> Vec<(ResourceKey, Result<Read, EhrError>)> {
        let mut answers = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(50) {
            if self.plan.batch.value && chunk.len() > 1 {
                match self.client.batch_read(chunk).await {
                    Ok(read) => answers.extend(chunk.iter().cloned().zip(read)),
                    Err(error) => answers.extend(chunk.iter().map(|key| (key.clone(), Err(error.clone())))),
                }
                continue;
            }
            for key in chunk {
                answers.push((key.clone(), self.client.read(key, None).await));
            }
        }
        answers
    }
}

fn absent(key: &ResourceKey, why: &str) -> Unusable {
    Unusable {
        resource_type: key.resource_type.to_string(),
        resource_id: key.id.clone(),
        path: key.resource_type.to_string(),
        reason: format!("is referred to by another resource, but {why}"),
        hides_from: Vec::new(),
    }
}
