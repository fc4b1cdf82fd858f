//! Which record survived which: what the records say of themselves, and what was told from elsewhere.

use std::collections::BTreeSet;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};
use serde_json::json;

use super::tables::{patient, patient_merge};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EhrId, EventKind, Merges, PatientId};

/// How many steps of a chain of merges are followed.
const LONGEST_CHAIN: usize = 16;

/// Who told of a merge, besides the replaced record itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeSource {
    /// The survivor lists the record that it replaces (`link.type = replaces`).
    Survivor,
    /// Reading the replaced record led to the survivor.
    Redirect,
    /// A message of the hospital said so, and the EHR does not have the record any more.
    Message,
}

impl MergeSource {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Survivor => "survivor",
            Self::Redirect => "redirect",
            Self::Message => "message",
        }
    }
}

impl View<'_> {
    /// The merges that these patients are part of, up and down the chains.
    pub async fn merges(&self, ehr: &EhrId, patients: &[PatientId]) -> Result<Merges, StoreError> {
        let mut merges = Merges::default();
        let mut ask: BTreeSet<String> = patients.iter().map(ToString::to_string).collect();
        for _ in 0..LONGEST_CHAIN {
            let mut found: Vec<(String, String)> = Vec::new();
            for chunk in ask.iter().cloned().collect::<Vec<_>>().chunks(500) {
                found.extend(self.merges_touching(ehr, chunk).await?);
            }
            ask.clear();
            for (replaced, survivor) in found {
                if merges.add(PatientId::new(replaced.clone()), PatientId::new(survivor.clone())) {
                    ask.extend([replaced, survivor]);
                }
            }
            if ask.is_empty() {
                break;
            }
        }
        Ok(merges)
    }

    async fn merges_touching(&self, ehr: &EhrId, ids: &[String]) -> Result<Vec<(String, String)>, StoreError> {
        let told: Vec<(String, String)> = patient_merge::Entity::find()
            .select_only()
            .column(patient_merge::Column::Replaced)
            .column(patient_merge::Column::Survivor)
            .filter(patient_merge::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient_merge::Column::Ehr.eq(ehr.as_str()))
            .filter(
                Condition::any()
                    .add(patient_merge::Column::Replaced.is_in(ids.iter()))
                    .add(patient_merge::Column::Survivor.is_in(ids.iter())),
            )
            .into_tuple()
            .all(&self.conn)
            .await?;
        let own: Vec<(String, Option<String>)> = patient::Entity::find()
            .select_only()
            .column(patient::Column::Id)
            .column(patient::Column::ReplacedBy)
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient::Column::Ehr.eq(ehr.as_str()))
            .filter(patient::Column::ReplacedBy.is_not_null())
            .filter(
                Condition::any()
                    .add(patient::Column::Id.is_in(ids.iter()))
                    .add(patient::Column::ReplacedBy.is_in(ids.iter())),
            )
            .into_tuple()
            .all(&self.conn)
            .await?;
        // What a record says of itself comes first, and counts.
        Ok(own.into_iter().filter_map(|(id, by)| Some((id, by?))).chain(told).collect())
    }
}

impl Tx<'_> {
    /// Notes that `survivor` took the place of `replaced`, and lets both be planned and pulled anew. Answers whether
    /// that was not known.
    pub async fn note_merge(
        &mut self,
        ehr: &EhrId,
        replaced: &PatientId,
        survivor: &PatientId,
        source: MergeSource,
        by: Actor,
    ) -> Result<bool, StoreError> {
        let known = self.view().merges(ehr, std::slice::from_ref(replaced)).await?;
        let now = self.now();
        use patient_merge::Column as C;
        patient_merge::Entity::insert(patient_merge::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            replaced: Set(replaced.to_string()),
            survivor: Set(survivor.to_string()),
            source: Set(source.as_str().to_owned()),
            noted_at: Set(now),
        })
        .on_conflict(
            OnConflict::columns([C::Tenant, C::Ehr, C::Replaced]).update_columns([C::Survivor, C::Source]).to_owned(),
        )
        .exec_without_returning(&self.txn)
        .await?;
        if known.survivor_of(replaced).is_some() {
            return Ok(false);
        }
        self.merged(ehr, replaced, survivor, by).await?;
        Ok(true)
    }

    /// Records the merge, and lets both records be planned anew and the survivor's chart be pulled anew.
    pub async fn merged(
        &mut self,
        ehr: &EhrId,
        replaced: &PatientId,
        survivor: &PatientId,
        by: Actor,
    ) -> Result<(), StoreError> {
        let event = self.event(by, EventKind::PatientMerged).about_patient(ehr, replaced);
        self.append(event.with_detail(json!({"survivor": survivor}))).await?;
        let both = [replaced.clone(), survivor.clone()];
        self.touch_patients(ehr, &both).await?;
        let now = self.now();
        self.replan_patients(ehr, &both, now).await
    }

    /// Forgets merges that were told from elsewhere: of records that are in use again, and those that a survivor no
    /// longer lists. `listed` are those that survivors do list, each with the survivor.
    pub async fn forget_merges(
        &mut self,
        ehr: &EhrId,
        in_use: &[&PatientId],
        survivors: &[&PatientId],
        listed: &[(PatientId, PatientId)],
    ) -> Result<(), StoreError> {
        use patient_merge::Column as C;
        let of = |column: C, ids: &[&PatientId], source: MergeSource| {
            Condition::all().add(column.is_in(ids.iter().map(|it| it.as_str()))).add(C::Source.eq(source.as_str()))
        };
        let told: Vec<(String, String)> = patient_merge::Entity::find()
            .select_only()
            .column(C::Replaced)
            .column(C::Survivor)
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .filter(C::Ehr.eq(ehr.as_str()))
            .filter(
                Condition::any()
                    .add(of(C::Replaced, in_use, MergeSource::Redirect))
                    .add(of(C::Replaced, in_use, MergeSource::Message))
                    .add(of(C::Survivor, survivors, MergeSource::Survivor)),
            )
            .into_tuple()
            .all(&self.txn)
            .await?;
        let told = told.into_iter().map(|(replaced, survivor)| (PatientId::new(replaced), PatientId::new(survivor)));
        let parted: Vec<(PatientId, PatientId)> = told.filter(|pair| !listed.contains(pair)).collect();
        if parted.is_empty() {
            return Ok(());
        }
        patient_merge::Entity::delete_many()
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .filter(C::Ehr.eq(ehr.as_str()))
            .filter(C::Replaced.is_in(parted.iter().map(|(replaced, _)| replaced.as_str())))
            .exec(&self.txn)
            .await?;
        // Each is a person of its own again.
        let both: Vec<PatientId> = parted.into_iter().flat_map(|(one, other)| [one, other]).collect();
        self.touch_patients(ehr, &both).await?;
        let now = self.now();
        self.replan_patients(ehr, &both, now).await
    }
}
