//! The mirror: each resource as the EHR last gave it, pruned, hashed and sealed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;

use super::alike::{chunks, padded};
use super::keyring::{Class, LoadedKeys, NOBODY};
use super::tables::mirror;
use super::{StoreError, Tx, View, patient_subject};
use crate::domain::{EhrId, PatientId, ResourceKey, ResourceType, ResourceVersion, RunId};

/// One resource of the mirror.
#[derive(Debug, Clone, PartialEq)]
pub struct MirrorRow {
    pub version: ResourceVersion,
    /// Whose data it is; `None` for Locations, Practitioners and the like.
    pub patient: Option<PatientId>,
    /// Hash of the pruned content: what tells a change where the server tells none.
    pub hash: [u8; 32],
    /// The pruned resource.
    pub body: Value,
    /// Appointment only.
    pub status: Option<String>,
    /// Appointment only.
    pub starts_at: Option<DateTime<Utc>>,
}

/// What an upsert changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MirrorChange {
    pub changed: Vec<(ResourceKey, Option<PatientId>)>,
    pub unchanged: usize,
}

impl Tx<'_> {
    /// Stores resources as they are now. One whose hash stands already is only marked as seen by `run`; a page that
    /// comes twice changes nothing.
    pub async fn upsert_mirror(
        &mut self,
        ehr: &EhrId,
        run: RunId,
        rows: Vec<MirrorRow>,
    ) -> Result<MirrorChange, StoreError> {
        // A page may hold an id twice; the last one is the newest.
        let mut latest: HashMap<ResourceKey, MirrorRow> = HashMap::with_capacity(rows.len());
        for row in rows {
            latest.insert(row.version.key.clone(), row);
        }
        let mut by_type: HashMap<ResourceType, Vec<MirrorRow>> = HashMap::new();
        for (key, row) in latest {
            by_type.entry(key.resource_type).or_default().push(row);
        }
        let mut change = MirrorChange::default();
        for (kind, rows) in by_type {
            for chunk in chunks(rows, 512) {
                self.upsert_chunk(ehr, run, kind, chunk, &mut change).await?;
            }
        }
        Ok(change)
    }

    async fn upsert_chunk(
        &mut self,
        ehr: &EhrId,
        run: RunId,
        kind: ResourceType,
        rows: Vec<MirrorRow>,
        change: &mut MirrorChange,
    ) -> Result<(), StoreError> {
        let known: HashMap<String, Vec<u8>> = mirror::Entity::find()
            .select_only()
            .column(mirror::Column::Id)
            .column(mirror::Column::Hash)
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(kind.as_str()))
            .filter(mirror::Column::Id.is_in(padded(rows.iter().map(|row| row.version.key.id.as_str()))))
            .filter(mirror::Column::DeletedAt.is_null())
            .into_tuple::<(String, Vec<u8>)>()
            .all(&self.txn)
            .await?
            .into_iter()
            .collect();
        let (same, new): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| known.get(&row.version.key.id).is_some_and(|hash| hash == &row.hash));
        if !same.is_empty() {
            change.unchanged += same.len();
            mirror::Entity::update_many()
                .col_expr(mirror::Column::SeenRun, Expr::value(run.0))
                .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
                .filter(mirror::Column::Ehr.eq(ehr.as_str()))
                .filter(mirror::Column::ResourceType.eq(kind.as_str()))
                .filter(mirror::Column::Id.is_in(padded(same.iter().map(|row| row.version.key.id.as_str()))))
                .exec(&self.txn)
                .await?;
        }
        if new.is_empty() {
            return Ok(());
        }
        let subjects: Vec<String> = new.iter().map(|row| subject(ehr, row.patient.as_ref())).collect();
        self.prepare_keys(Class::Mirror, subjects.iter().map(String::as_str)).await?;
        let now = self.now();
        change.changed.extend(new.iter().map(|row| (row.version.key.clone(), row.patient.clone())));
        use mirror::Column as C;
        let newest = OnConflict::columns([C::Tenant, C::Ehr, C::ResourceType, C::Id])
            .update_columns([
                C::Patient,
                C::VersionId,
                C::LastUpdated,
                C::Hash,
                C::Body,
                C::Status,
                C::StartsAt,
                C::SeenRun,
                C::UpdatedAt,
                C::DeletedAt,
            ])
            .to_owned();
        self.insert_in_step(new, 128, |row| self.mirror_model(ehr, run, row, now), Some(&newest)).await
    }

    fn mirror_model(
        &self,
        ehr: &EhrId,
        run: RunId,
        row: MirrorRow,
        now: DateTime<Utc>,
    ) -> Result<mirror::ActiveModel, StoreError> {
        let place = row_id(ehr, &row.version.key);
        let subject = subject(ehr, row.patient.as_ref());
        let body = self.seal_json(Class::Mirror, &subject, "mirror", "body", &place, &row.body)?;
        Ok(mirror::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            resource_type: Set(row.version.key.resource_type.as_str().to_owned()),
            id: Set(row.version.key.id),
            patient: Set(row.patient.map(|id| id.to_string())),
            version_id: Set(row.version.version_id),
            last_updated: Set(row.version.last_updated),
            hash: Set(row.hash.to_vec()),
            body: Set(body),
            status: Set(row.status),
            starts_at: Set(row.starts_at),
            seen_run: Set(Some(run.0)),
            updated_at: Set(now),
            deleted_at: Set(None),
        })
    }

    /// Marks resources as gone at the EHR, and answers whose they were.
    pub async fn mark_deleted(&mut self, ehr: &EhrId, keys: &[ResourceKey]) -> Result<Vec<PatientId>, StoreError> {
        let now = self.now();
        let mut patients = Vec::new();
        for key in keys {
            let row = mirror::Entity::find_by_id((
                self.tenant.to_string(),
                ehr.to_string(),
                key.resource_type.as_str().to_owned(),
                key.id.clone(),
            ))
            .filter(mirror::Column::DeletedAt.is_null())
            .one(&self.txn)
            .await?;
            let Some(row) = row else { continue };
            patients.extend(row.patient.clone().map(PatientId::new));
            let mut row: mirror::ActiveModel = row.into();
            row.deleted_at = Set(Some(now));
            row.updated_at = Set(now);
            mirror::Entity::update(row).exec(&self.txn).await?;
        }
        patients.sort();
        patients.dedup();
        Ok(patients)
    }
}

impl View<'_> {
    /// Everything that the mirror holds of a patient, the Patient itself included; nothing that was deleted.
    pub async fn mirror_of_patient(&self, ehr: &EhrId, patient: &PatientId) -> Result<Vec<MirrorRow>, StoreError> {
        self.mirror_of_patients(ehr, std::slice::from_ref(patient))
            .await
            .map(|mut all| all.remove(patient).unwrap_or_default())
    }

    /// The same for many patients in one query.
    pub async fn mirror_of_patients(
        &self,
        ehr: &EhrId,
        patients: &[PatientId],
    ) -> Result<HashMap<PatientId, Vec<MirrorRow>>, StoreError> {
        self.mirror_of_patients_in(ehr, patients, ResourceType::ALL).await
    }

    /// The same for some types only: what is not needed is not unsealed.
    pub async fn mirror_of_patients_in(
        &self,
        ehr: &EhrId,
        patients: &[PatientId],
        kinds: &[ResourceType],
    ) -> Result<HashMap<PatientId, Vec<MirrorRow>>, StoreError> {
        self.sealed_mirror_of_patients(ehr, patients, kinds).await?.open()
    }

    /// The same, still sealed: opening takes a processor and no database.
    pub async fn sealed_mirror_of_patients(
        &self,
        ehr: &EhrId,
        patients: &[PatientId],
        kinds: &[ResourceType],
    ) -> Result<SealedMirror, StoreError> {
        let rows = mirror::Entity::find()
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::Patient.is_in(padded(patients.iter().map(PatientId::as_str))))
            .filter(mirror::Column::ResourceType.is_in(kinds.iter().map(|kind| kind.as_str())))
            .filter(mirror::Column::DeletedAt.is_null())
            .order_by_asc(mirror::Column::ResourceType)
            .order_by_asc(mirror::Column::Id)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        Ok(SealedMirror { ehr: ehr.clone(), rows, keys })
    }

    /// All resources of a type that belong to no patient, such as Locations.
    pub async fn mirror_of_type(&self, ehr: &EhrId, kind: ResourceType) -> Result<Vec<MirrorRow>, StoreError> {
        let rows = mirror::Entity::find()
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(kind.as_str()))
            .filter(mirror::Column::Patient.is_null())
            .filter(mirror::Column::DeletedAt.is_null())
            .all(&self.conn)
            .await?;
        self.mirror_rows(ehr, rows).await
    }

    pub async fn mirror_resource(&self, ehr: &EhrId, key: &ResourceKey) -> Result<Option<MirrorRow>, StoreError> {
        let row = mirror::Entity::find_by_id((
            self.tenant.to_string(),
            ehr.to_string(),
            key.resource_type.as_str().to_owned(),
            key.id.clone(),
        ))
        .filter(mirror::Column::DeletedAt.is_null())
        .one(&self.conn)
        .await?;
        Ok(self.mirror_rows(ehr, row.into_iter().collect()).await?.pop())
    }

    /// Resources that a full run did not see: candidates for deletion, to be confirmed by a read. With `starting` only
    /// those that begin inside it (Appointment). `after` pages.
    pub async fn mirror_not_seen_in(
        &self,
        ehr: &EhrId,
        kind: ResourceType,
        run: RunId,
        starting: Option<(DateTime<Utc>, DateTime<Utc>)>,
        after: &str,
        limit: u64,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        let mut unseen = mirror::Entity::find();
        if let Some((from, to)) = starting {
            unseen = unseen.filter(mirror::Column::StartsAt.gte(from)).filter(mirror::Column::StartsAt.lt(to));
        }
        let ids: Vec<String> = unseen
            .select_only()
            .column(mirror::Column::Id)
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(kind.as_str()))
            .filter(Condition::any().add(mirror::Column::SeenRun.ne(run.0)).add(mirror::Column::SeenRun.is_null()))
            .filter(mirror::Column::DeletedAt.is_null())
            .filter(mirror::Column::Id.gt(after))
            .order_by_asc(mirror::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(ids.into_iter().map(|id| ResourceKey::new(kind, id)).collect())
    }

    /// Which of these, all of one type, the mirror still holds.
    pub async fn still_mirrored(
        &self,
        ehr: &EhrId,
        kind: ResourceType,
        keys: &[ResourceKey],
    ) -> Result<Vec<ResourceKey>, StoreError> {
        let ids: Vec<String> = mirror::Entity::find()
            .select_only()
            .column(mirror::Column::Id)
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(kind.as_str()))
            .filter(mirror::Column::Id.is_in(keys.iter().map(|key| key.id.as_str())))
            .filter(mirror::Column::DeletedAt.is_null())
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(ids.into_iter().map(|id| ResourceKey::new(kind, id)).collect())
    }

    async fn mirror_rows(&self, ehr: &EhrId, rows: Vec<mirror::Model>) -> Result<Vec<MirrorRow>, StoreError> {
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        rows.into_iter().filter_map(|row| mirror_row(ehr, row, &keys).transpose()).collect()
    }
}

/// Rows of the mirror with the keys to them.
#[derive(Debug)]
pub struct SealedMirror {
    ehr: EhrId,
    rows: Vec<mirror::Model>,
    keys: LoadedKeys,
}

impl SealedMirror {
    /// Opens all rows, by patient.
    ///
    /// # Errors
    /// A row does not open.
    pub fn open(self) -> Result<HashMap<PatientId, Vec<MirrorRow>>, StoreError> {
        let mut by_patient: HashMap<PatientId, Vec<MirrorRow>> = HashMap::new();
        for row in self.rows {
            if let Some(row) = mirror_row(&self.ehr, row, &self.keys)?
                && let Some(patient) = row.patient.clone()
            {
                by_patient.entry(patient).or_default().push(row);
            }
        }
        Ok(by_patient)
    }
}

/// Opens one row; `None` for a type that this version does not know.
fn mirror_row(ehr: &EhrId, row: mirror::Model, keys: &LoadedKeys) -> Result<Option<MirrorRow>, StoreError> {
    let Some(kind) = ResourceType::parse(&row.resource_type) else { return Ok(None) };
    let key = ResourceKey::new(kind, row.id);
    let body = keys.open_json("resource", "mirror", "body", &row_id(ehr, &key), &row.body)?;
    let hash = row
        .hash
        .try_into()
        .map_err(|_| StoreError::Corrupt { what: "resource hash", reason: "wrong length".to_owned() })?;
    Ok(Some(MirrorRow {
        version: ResourceVersion { key, version_id: row.version_id, last_updated: row.last_updated },
        patient: row.patient.map(PatientId::new),
        hash,
        body,
        status: row.status,
        starts_at: row.starts_at,
    }))
}

fn subject(ehr: &EhrId, patient: Option<&PatientId>) -> String {
    patient.map_or_else(|| NOBODY.to_owned(), |patient| patient_subject(ehr, patient))
}

fn row_id(ehr: &EhrId, key: &ResourceKey) -> String {
    format!("{ehr}/{key}")
}
