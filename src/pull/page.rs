//! Storing one page: mirror, patients, quarantine and history in one transaction.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::{
    Actor, EhrId, EventKind, Patient, PatientId, PatientStatus, Reason, ResourceKey, ResourceType, RunId, TenantId,
};
use crate::ehr::client::FhirClient;
use crate::ehr::plan::CapabilityPlan;
use crate::fhir::reference;
use crate::store::{MergeSource, Store, StoreError, Tx, Unusable};

use super::intake::Intake;
use super::options::PullOptions;
use super::report::{Progress, TypeReport};

/// Everything that the parts of one run share.
pub(super) struct Run<'a> {
    pub id: RunId,
    pub begun: DateTime<Utc>,
    pub store: &'a Store,
    pub client: &'a FhirClient,
    pub options: &'a PullOptions,
    pub plan: CapabilityPlan,
    /// Types that a rule reads and that are found only where another resource names them.
    pub follow: Vec<ResourceType>,
    /// What comes along with Appointments.
    pub includes: Vec<(ResourceType, &'static str)>,
    pub progress: &'a (dyn Fn(&Progress) + Send + Sync),
}

/// What a stored page refers to.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub patients: Vec<PatientId>,
    pub locations: Vec<String>,
    /// Records that took the place of others as the page tells: they are read anew.
    pub survivors: Vec<PatientId>,
    /// Staff and organizations, where they are to be followed.
    pub others: BTreeSet<ResourceKey>,
}

/// Where the pages of one run are stored, wherever they come from.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    pub store: &'a Store,
    pub tenant: &'a TenantId,
    pub ehr: &'a EhrId,
    pub run: RunId,
    /// Region in which telephone numbers without a country code are read.
    pub region: &'a str,
    /// Types that are looked up where a resource names them.
    pub follow: &'a [ResourceType],
}

/// Resources of one type, read, pruned and hashed: everything about a page that needs no database.
#[derive(Debug)]
pub struct Prepared {
    kind: ResourceType,
    pages: u32,
    read: usize,
    intake: Intake,
}

impl Prepared {
    pub fn of(kind: ResourceType, resources: Vec<Value>, now: DateTime<Utc>) -> Self {
        Self { kind, pages: 1, read: resources.len(), intake: Intake::of(resources, kind, now) }
    }

    /// No page yet.
    pub(super) fn none(kind: ResourceType) -> Self {
        Self { kind, pages: 0, read: 0, intake: Intake::default() }
    }

    /// Adds what another page of the same type brought.
    pub(super) fn join(&mut self, other: Self) {
        self.pages += other.pages;
        self.read += other.read;
        self.intake.join(other.intake);
    }

    /// The same beside the caller, so that one page is prepared while another is stored.
    ///
    /// # Errors
    /// The process is ending.
    pub async fn beside(kind: ResourceType, resources: Vec<Value>, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let prepared = tokio::task::spawn_blocking(move || Self::of(kind, resources, now)).await;
        prepared.map_err(|_| StoreError::Database("a page was not prepared: the process is ending".to_owned()))
    }
}

impl Destination<'_> {
    /// Stores one page of one type, and answers what it refers to and the mirror lacks: each is answered once, as
    /// `asked` remembers it.
    ///
    /// # Errors
    /// The store refuses; then nothing of the page is stored.
    pub async fn page(
        &self,
        page: Prepared,
        asked: &mut HashSet<ResourceKey>,
        report: &mut TypeReport,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        report.pages += page.pages;
        if page.read == 0 {
            return Ok(Vec::new());
        }
        let named = self.store_prepared(page, report).await?;
        self.missing(&named, asked).await
    }

    /// Stores resources of one type that were just read. Storing them twice changes nothing.
    pub(super) async fn keep(
        &self,
        kind: ResourceType,
        resources: Vec<Value>,
        report: &mut TypeReport,
    ) -> Result<Named, StoreError> {
        self.store_prepared(Prepared::of(kind, resources, self.store.clock().now()), report).await
    }

    async fn store_prepared(&self, page: Prepared, report: &mut TypeReport) -> Result<Named, StoreError> {
        let (tenant, ehr) = (self.tenant, self.ehr);
        let now = self.store.clock().now();
        let Prepared { kind, read, intake, .. } = page;
        let mut named = Named { patients: intake.subjects(), locations: intake.locations, ..Named::default() };
        if !self.follow.is_empty() {
            for row in &intake.rows {
                named_in(&row.body, self.follow, &mut named.others);
            }
        }
        let well: Vec<String> = intake
            .rows
            .iter()
            .map(|row| row.version.key.id.as_str())
            .filter(|id| !intake.unusable.iter().any(|it| it.resource_id == *id))
            .map(str::to_owned)
            .collect();
        let mut tx = self.store.write(tenant).await?;
        let change = tx.upsert_mirror(ehr, self.run, intake.rows).await?;
        let new_ids: HashSet<&str> = change.changed.iter().map(|(key, _)| key.id.as_str()).collect();
        let changed: Vec<&Patient> =
            intake.patients.iter().filter(|patient| new_ids.contains(patient.id.as_str())).collect();
        if !changed.is_empty() {
            named.survivors = note_merges(&mut tx, ehr, &changed, &intake.replaced).await?;
            tx.upsert_patients(ehr, &changed, self.region).await?;
        }
        let mut affected: Vec<_> = change.changed.iter().filter_map(|(_, patient)| patient.clone()).collect();
        affected.sort();
        affected.dedup();
        tx.replan_patients(ehr, &affected, now).await?;
        if kind == ResourceType::Location && !change.changed.is_empty() {
            // Another clock on the wall moves every reminder of that place; which patients go there is not indexed.
            tx.replan_everyone(now).await?;
        }
        self.look_again(&mut tx, kind, &affected).await?;
        let well: Vec<&str> = well.iter().map(String::as_str).collect();
        tx.resolve_quarantine(ehr, kind.as_str(), &well).await?;
        let new = tx.quarantine(ehr, &intake.unusable).await?;
        let hidden: Vec<PatientId> = new.iter().flat_map(|it| it.hides_from.iter().cloned()).collect();
        tx.replan_patients(ehr, &hidden, now).await?;
        let events = new.iter().map(|it| {
            let event = tx.event(Actor::system("pull"), EventKind::ResourceQuarantined).about_ehr(ehr);
            event.with_detail(detail(it))
        });
        let events = events.collect();
        tx.append_all(events).await?;
        tx.commit().await?;
        report.read += read;
        report.changed += change.changed.len();
        report.unchanged += change.unchanged;
        report.quarantined += intake.unusable.len();
        Ok(named)
    }
}

impl Destination<'_> {
    /// A consent record changed or went: what was not sent for what it said is decided anew, on what is read then.
    pub(super) async fn look_again(
        &self,
        tx: &mut Tx<'_>,
        kind: ResourceType,
        patients: &[PatientId],
    ) -> Result<(), StoreError> {
        if kind != ResourceType::Consent {
            return Ok(());
        }
        let opened = tx.look_again(self.ehr, patients, &[Reason::ConsentDenied, Reason::ConsentUnclear]).await?;
        let events = opened.iter().map(|(reminder, patient, rule)| {
            let event = tx.event(Actor::system("pull"), EventKind::ReminderMoved).about_patient(self.ehr, patient);
            event
                .about_rule(rule)
                .about_reminder(*reminder)
                .with_detail(json!({"reopened": true, "why": "a consent record of the patient changed"}))
        });
        let events = events.collect();
        tx.append_all(events).await
    }
}

impl Run<'_> {
    pub fn destination(&self) -> Destination<'_> {
        let connection = self.client.connection();
        Destination {
            store: self.store,
            tenant: &connection.tenant,
            ehr: &connection.id,
            run: self.id,
            region: &self.options.region,
            follow: &self.follow,
        }
    }

    /// Stores what came along with a page, so that it need not be read one by one. It may be left out, and it is not
    /// counted as what the search brought.
    pub(super) async fn keep_includes(&self, includes: Vec<Value>) -> Result<(), StoreError> {
        for (kind, _) in &self.includes {
            let of_kind: Vec<Value> =
                includes.iter().filter(|it| it["resourceType"] == kind.as_str()).cloned().collect();
            if !of_kind.is_empty() {
                self.destination().keep(*kind, of_kind, &mut TypeReport::default()).await?;
            }
        }
        Ok(())
    }

    /// Puts one resource that could not be read at all into quarantine.
    pub async fn set_aside(&self, unusable: Unusable, report: &mut TypeReport) -> Result<(), StoreError> {
        let connection = self.client.connection();
        let mut tx = self.store.write(&connection.tenant).await?;
        let new = tx.quarantine(&connection.id, std::slice::from_ref(&unusable)).await?;
        for it in &new {
            let event = tx.event(Actor::system("pull"), EventKind::ResourceQuarantined).about_ehr(&connection.id);
            tx.append(event.with_detail(detail(it))).await?;
        }
        tx.commit().await?;
        report.quarantined += 1;
        Ok(())
    }
}

/// Notes what changed Patients say of merges, and answers the survivors.
async fn note_merges(
    tx: &mut Tx<'_>,
    ehr: &EhrId,
    changed: &[&Patient],
    replaced: &[(PatientId, PatientId)],
) -> Result<Vec<PatientId>, StoreError> {
    let by = || Actor::system("pull");
    let ids: Vec<&PatientId> = changed.iter().map(|it| &it.id).collect();
    let in_use: Vec<&PatientId> =
        changed.iter().filter(|it| it.status == PatientStatus::Active).map(|it| &it.id).collect();
    tx.forget_merges(ehr, &in_use, &ids, replaced).await?;
    let mut survivors = Vec::new();
    let merged: Vec<PatientId> =
        changed.iter().filter(|it| matches!(it.status, PatientStatus::ReplacedBy(_))).map(|it| it.id.clone()).collect();
    if !merged.is_empty() {
        let known = tx.view().merges(ehr, &merged).await?;
        for patient in changed {
            if let PatientStatus::ReplacedBy(survivor) = &patient.status
                && known.survivor_of(&patient.id).is_none()
            {
                tx.merged(ehr, &patient.id, survivor, by()).await?;
                survivors.push(survivor.clone());
            }
        }
    }
    for (replaced, survivor) in replaced.iter().filter(|(_, survivor)| ids.contains(&survivor)) {
        tx.note_merge(ehr, replaced, survivor, MergeSource::Survivor, by()).await?;
    }
    Ok(survivors)
}

/// The resources of these types that a resource refers to, wherever in it.
fn named_in(value: &Value, follow: &[ResourceType], found: &mut BTreeSet<ResourceKey>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| named_in(item, follow, found)),
        Value::Object(fields) => {
            found.extend(reference::key(value).filter(|key| follow.contains(&key.resource_type)));
            fields.values().for_each(|field| named_in(field, follow, found));
        }
        _ => {}
    }
}

fn detail(it: &Unusable) -> Value {
    json!({"resource": format!("{}/{}", it.resource_type, it.resource_id), "path": it.path, "reason": it.reason})
}
