//! What a full listing did not bring: each is asked for by id before it counts as gone, because a listing may lack a
//! resource for many reasons, and a wrong absence cancels a reminder.

use crate::domain::{Actor, Patient, PatientId, PatientStatus, ResourceKey, ResourceType};
use crate::ehr::error::EhrError;
use crate::ehr::read::Read;
use crate::fhir::read;
use crate::store::{MergeSource, StoreError};

use super::page::Run;
use super::report::TypeReport;
use super::unlisted::Window;

/// Resources asked for between two writes.
const CHUNK: u64 = 200;

impl Run<'_> {
    /// Reads every resource of a type that this run has not seen; with `starting` only those that begin inside it. Answers the first read that failed: then some are
    /// still open, and stay as they are.
    pub async fn confirm_unseen(
        &self,
        kind: ResourceType,
        starting: Option<Window>,
        report: &mut TypeReport,
    ) -> Result<Option<EhrError>, StoreError> {
        let connection = self.client.connection();
        let mut after = String::new();
        let mut failed = None;
        loop {
            let view = self.store.view(&connection.tenant);
            let keys = view.mirror_not_seen_in(&connection.id, kind, self.id, starting, &after, CHUNK).await?;
            let Some(last) = keys.last() else { return Ok(failed) };
            after.clone_from(&last.id);
            let open = self.look_up(kind, &keys, report).await?;
            failed = failed.or(open);
        }
    }

    /// Reads resources by id: what is there is kept, what is not is gone. Answers the first read that failed.
    pub(super) async fn look_up(
        &self,
        kind: ResourceType,
        keys: &[ResourceKey],
        report: &mut TypeReport,
    ) -> Result<Option<EhrError>, StoreError> {
        let mut failed = None;
        let (mut gone, mut found) = (Vec::new(), Vec::new());
        for (key, answer) in self.read_all(keys).await {
            match answer {
                Ok(Read::Found(it)) => found.push(it.resource),
                Ok(Read::Gone { .. }) => gone.push(key),
                Ok(Read::Moved(survivor)) => {
                    self.merged(&key, &survivor).await?;
                    gone.push(key);
                }
                Ok(Read::NotModified) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if !found.is_empty() {
            self.destination().keep(kind, found, report).await?;
        }
        self.forget(kind, &gone, report).await?;
        Ok(failed)
    }

    /// Marks resources as gone and lets their patients be planned anew.
    pub(super) async fn forget(
        &self,
        kind: ResourceType,
        gone: &[ResourceKey],
        report: &mut TypeReport,
    ) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let connection = self.client.connection();
        let mut tx = self.store.write(&connection.tenant).await?;
        let patients = tx.mark_deleted(&connection.id, gone).await?;
        let now = tx.now();
        tx.replan_patients(&connection.id, &patients, now).await?;
        self.destination().look_again(&mut tx, kind, &patients).await?;
        let ids: Vec<&str> = gone.iter().map(|key| key.id.as_str()).collect();
        tx.resolve_quarantine(&connection.id, kind.as_str(), &ids).await?;
        tx.commit().await?;
        report.gone += gone.len();
        Ok(())
    }

    /// After a complete look: what is in quarantine and was not seen in this run is at the EHR no more.
    pub(super) async fn let_out_unseen(&self, kind: ResourceType) -> Result<(), StoreError> {
        let connection = self.client.connection();
        let mut tx = self.store.write(&connection.tenant).await?;
        tx.resolve_quarantine_unseen(&connection.id, kind, self.begun).await?;
        tx.commit().await
    }

    /// Records that reading a patient's record led to another one, which is read too.
    pub(super) async fn merged(&self, key: &ResourceKey, survivor: &ResourceKey) -> Result<(), StoreError> {
        if key.resource_type != ResourceType::Patient {
            return Ok(());
        }
        let (old, new) = (PatientId::new(&*key.id), PatientId::new(&*survivor.id));
        self.merge_into(&old, &new, MergeSource::Redirect).await?;
        if let Ok(Read::Found(found)) = self.client.read(survivor, None).await {
            self.destination().keep(ResourceType::Patient, vec![found.resource], &mut TypeReport::default()).await?;
        }
        Ok(())
    }

    /// Records that a patient's record is not in use any more, and which one has its place.
    pub(super) async fn merge_into(
        &self,
        old: &PatientId,
        new: &PatientId,
        source: MergeSource,
    ) -> Result<(), StoreError> {
        let connection = self.client.connection();
        let (ehr, now) = (&connection.id, self.store.clock().now());
        let key = ResourceKey::new(ResourceType::Patient, old.as_str());
        let mut tx = self.store.write(&connection.tenant).await?;
        let row = tx.view().mirror_resource(ehr, &key).await?;
        let known = row.and_then(|row| read::patient(&row.body, now).value);
        if let Some(facts) = known.or_else(|| read::patient(&read::replaced(old, new), now).value) {
            let replaced = Patient { status: PatientStatus::ReplacedBy(new.clone()), ..facts };
            tx.note_merge(ehr, old, new, source, Actor::system("pull")).await?;
            tx.upsert_patients(ehr, &[&replaced], &self.options.region).await?;
        }
        tx.mark_deleted(ehr, std::slice::from_ref(&key)).await?;
        tx.commit().await
    }
}
