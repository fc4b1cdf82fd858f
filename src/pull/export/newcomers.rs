//! Patients who are new since the last export: what they had before is in no increment, and the next export may be half a
//! day away.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::domain::{PatientId, ResourceKey, ResourceType};
use crate::ehr::plan::Ask;
use crate::ehr::search::Search;
use crate::pull::listing::Stop;
use crate::pull::page::Run;
use crate::pull::report::TypeReport;
use crate::store::{StoreError, Whose};

impl Run<'_> {
    /// Whether a patient's resources of this type can be searched for.
    pub(super) fn is_searchable(&self, kind: ResourceType) -> bool {
        self.plan.of(kind).is_some_and(|it| matches!(it.ask.value, Ask::ByPatient | Ask::WholeType))
    }

    pub(super) async fn newcomers(
        &self,
        kind: ResourceType,
        since: DateTime<Utc>,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<(), StoreError> {
        if !self.is_searchable(kind) || kind == ResourceType::Patient || kind == ResourceType::Location {
            return Ok(());
        }
        let connection = self.client.connection();
        let mut after = String::new();
        let mut failed = None;
        loop {
            let view = self.store.view(&connection.tenant);
            let patients: Vec<PatientId> =
                view.patients_in_order(&connection.id, Whose::ChangedSince(since), &after, 500).await?;
            let Some(last) = patients.last() else { break };
            last.as_str().clone_into(&mut after);
            for patient in &patients {
                let search = Search::new(kind).with("patient", patient.as_str());
                let questions: Vec<Search> = match self.plan.of(kind).and_then(|of_type| of_type.split) {
                    None => vec![search],
                    Some((name, values)) => values.iter().map(|value| search.clone().with(name, *value)).collect(),
                };
                for search in questions {
                    match self.part(kind, &search, asked, report, &mut failed).await {
                        Ok(()) => {}
                        Err(Stop::Ehr(error)) => failed = Some(error),
                        Err(Stop::Store(error)) => return Err(error),
                    }
                }
            }
        }
        if let Some(error) = failed {
            report.note = Some(format!("what is new of new patients could not all be read: {error}"));
        }
        Ok(())
    }
}
