//! Patients as the scheduler and the search see them: a state, an instant to plan at, and blind indexes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::alike::{chunks, padded, slices};
use super::tables::{blind_index, patient};
use super::{StoreError, Tx, View};
use crate::domain::{ContactSystem, Deceased, EhrId, EmailAddress, Patient, PatientId, PatientStatus, PhoneNumber};

impl Tx<'_> {
    /// Stores what the scheduler and the search need of these patients. `region` reads numbers without a country code.
    pub async fn upsert_patients(
        &mut self,
        ehr: &EhrId,
        patients: &[&Patient],
        region: &str,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let index = self.view().tenant_keys().await?.index.clone();
        for chunk in slices(patients, 256) {
            let rows = chunk.iter().map(|p| patient::ActiveModel {
                tenant: Set(self.tenant.to_string()),
                ehr: Set(ehr.to_string()),
                id: Set(p.id.to_string()),
                state: Set(state(p).to_owned()),
                replaced_by: Set(match &p.status {
                    PatientStatus::ReplacedBy(survivor) => Some(survivor.to_string()),
                    _ => None,
                }),
                replan_at: Set(Some(now)),
                planned_at: Set(None),
                updated_at: Set(now),
            });
            use patient::Column as C;
            patient::Entity::insert_many(rows)
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::Ehr, C::Id])
                        .update_columns([C::State, C::ReplacedBy, C::ReplanAt, C::UpdatedAt])
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
            blind_index::Entity::delete_many()
                .filter(blind_index::Column::Tenant.eq(self.tenant.as_str()))
                .filter(blind_index::Column::Ehr.eq(ehr.as_str()))
                .filter(blind_index::Column::Patient.is_in(padded(chunk.iter().map(|p| p.id.as_str()))))
                .exec(&self.txn)
                .await?;
            let mut digests = Vec::new();
            for p in chunk {
                let mut values = searchable(p, region);
                values.sort();
                values.dedup();
                digests.extend(values.into_iter().map(|(kind, value)| blind_index::ActiveModel {
                    tenant: Set(self.tenant.to_string()),
                    kind: Set(kind.to_owned()),
                    digest: Set(index.digest(kind, &value)),
                    ehr: Set(ehr.to_string()),
                    patient: Set(p.id.to_string()),
                }));
            }
            for rows in chunks(digests, 1000) {
                blind_index::Entity::insert_many(rows).exec_without_returning(&self.txn).await?;
            }
        }
        Ok(())
    }

    /// Asks for these patients to be planned again at `at`, unless they are due sooner.
    pub async fn replan_patients(
        &mut self,
        ehr: &EhrId,
        patients: &[PatientId],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        for chunk in patients.chunks(512) {
            patient::Entity::update_many()
                .col_expr(patient::Column::ReplanAt, Expr::value(at))
                .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
                .filter(patient::Column::Ehr.eq(ehr.as_str()))
                .filter(patient::Column::Id.is_in(padded(chunk.iter().map(PatientId::as_str))))
                .filter(Condition::any().add(patient::Column::ReplanAt.is_null()).add(patient::Column::ReplanAt.gt(at)))
                .exec(&self.txn)
                .await?;
        }
        Ok(())
    }

    /// Lets the charts of these patients be pulled anew where charts are pulled for changed patients only.
    pub(super) async fn touch_patients(&mut self, ehr: &EhrId, patients: &[PatientId]) -> Result<(), StoreError> {
        patient::Entity::update_many()
            .col_expr(patient::Column::UpdatedAt, Expr::value(self.now()))
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient::Column::Ehr.eq(ehr.as_str()))
            .filter(patient::Column::Id.is_in(patients.iter().map(PatientId::as_str)))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Asks for every patient of the tenant to be planned again: a rule went live.
    pub async fn replan_everyone(&mut self, at: DateTime<Utc>) -> Result<u64, StoreError> {
        let done = patient::Entity::update_many()
            .col_expr(patient::Column::ReplanAt, Expr::value(at))
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(Condition::any().add(patient::Column::ReplanAt.is_null()).add(patient::Column::ReplanAt.gt(at)))
            .exec(&self.txn)
            .await?;
        Ok(done.rows_affected)
    }

    /// Up to `limit` patients whose plan is due. Their rows stay locked until the commit, so plan them in this
    /// transaction: a change that comes in meanwhile waits, and asks for a new plan afterwards.
    pub async fn patients_to_plan(&mut self, ehr: &EhrId, limit: u64) -> Result<Vec<PatientId>, StoreError> {
        let due: Vec<String> = patient::Entity::find()
            .select_only()
            .column(patient::Column::Id)
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient::Column::Ehr.eq(ehr.as_str()))
            .filter(patient::Column::ReplanAt.lte(self.now()))
            .order_by_asc(patient::Column::ReplanAt)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_tuple()
            .all(&self.txn)
            .await?;
        Ok(due.into_iter().map(PatientId::new).collect())
    }

    /// Records that patients were planned now, and when each is to be planned again.
    pub async fn patients_planned(
        &mut self,
        ehr: &EhrId,
        planned: &[(PatientId, Option<DateTime<Utc>>)],
    ) -> Result<(), StoreError> {
        let now = self.now();
        // Most plans could change next at the same midnight.
        let mut alike: BTreeMap<Option<DateTime<Utc>>, Vec<&str>> = BTreeMap::new();
        for (patient, replan_at) in planned {
            alike.entry(*replan_at).or_default().push(patient.as_str());
        }
        for (replan_at, patients) in alike {
            patient::Entity::update_many()
                .col_expr(patient::Column::PlannedAt, Expr::value(now))
                .col_expr(patient::Column::ReplanAt, Expr::value(replan_at))
                .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
                .filter(patient::Column::Ehr.eq(ehr.as_str()))
                .filter(patient::Column::Id.is_in(padded(patients)))
                .exec(&self.txn)
                .await?;
        }
        Ok(())
    }

    /// Locks these patients' rows until the commit, so that two replicas cannot both spend the last of a budget.
    pub(crate) async fn lock_patients(&mut self, ehr: &EhrId, patients: &[PatientId]) -> Result<(), StoreError> {
        if self.store.is_sqlite() {
            // This transaction is the only one that writes.
            return Ok(());
        }
        patient::Entity::find()
            .select_only()
            .column(patient::Column::Id)
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient::Column::Ehr.eq(ehr.as_str()))
            .filter(patient::Column::Id.is_in(padded(patients.iter().map(PatientId::as_str))))
            .order_by_asc(patient::Column::Id)
            .lock(LockType::Update)
            .into_tuple::<String>()
            .all(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// Patients that share a searchable value. `kind` is mrn, phone, email, birth_date, family, given, family3, given3.
    pub async fn find_patients(
        &self,
        kind: &str,
        value: &str,
        limit: u64,
    ) -> Result<Vec<(EhrId, PatientId)>, StoreError> {
        let digest = self.blind(kind, value).await?;
        let rows: Vec<(String, String)> = blind_index::Entity::find()
            .select_only()
            .column(blind_index::Column::Ehr)
            .column(blind_index::Column::Patient)
            .filter(blind_index::Column::Tenant.eq(self.tenant.as_str()))
            .filter(blind_index::Column::Kind.eq(kind))
            .filter(blind_index::Column::Digest.eq(digest))
            .order_by_asc(blind_index::Column::Patient)
            .limit(limit)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|(ehr, patient)| (EhrId::new(ehr), PatientId::new(patient))).collect())
    }
}

fn state(patient: &Patient) -> &'static str {
    match (&patient.status, patient.deceased) {
        (PatientStatus::ReplacedBy(_), _) => "replaced",
        (_, Deceased::Yes) => "deceased",
        (PatientStatus::Inactive, _) => "inactive",
        (PatientStatus::Active, Deceased::No) => "active",
    }
}

/// A name as it is indexed and searched: lower case, without accents, letters and digits only.
pub fn normalised_name(name: &str) -> String {
    name.nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .filter(|c| c.is_alphanumeric())
        .collect()
}

/// Everything a patient can be found by, as (kind, normalised value).
fn searchable(patient: &Patient, region: &str) -> Vec<(&'static str, String)> {
    let mut values = Vec::new();
    let mut name = |kind, prefix_kind, text: &str| {
        let whole = normalised_name(text);
        if !whole.is_empty() {
            values.push((prefix_kind, whole.chars().take(3).collect::<String>()));
            values.push((kind, whole));
        }
    };
    for human in &patient.names {
        if let Some(family) = &human.family {
            name("family", "family3", family.expose());
        }
        for given in &human.given {
            name("given", "given3", given.expose());
        }
    }
    values.extend(patient.mrn.iter().map(|(_, value)| ("mrn", value.expose().trim().to_lowercase())));
    values.extend(patient.birth_date.iter().map(|date| ("birth_date", date.expose().clone())));
    for point in &patient.telecom {
        let text = point.value.expose();
        match point.system {
            ContactSystem::Email => {
                values.extend(EmailAddress::parse(text).ok().map(|email| ("email", email.expose().to_lowercase())));
            }
            ContactSystem::Phone | ContactSystem::Sms => {
                values.extend(PhoneNumber::parse(text, region).ok().map(|p| ("phone", p.expose().to_owned())));
            }
            _ => {}
        }
    }
    values
}
