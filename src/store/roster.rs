//! The roster: whom and what to look at, where an EHR cannot list it, and who named it. Ids of an EHR, in the clear.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::alike::{padded, slices};
use super::tables::{mirror, patient, roster};
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, PatientId, ResourceKey, ResourceType};

/// What a change of the roster did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RosterChange {
    pub added: usize,
    pub removed: usize,
}

/// Which patients of an EHR to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    All,
    /// Who may still be contacted.
    Active,
    /// Active patients whose record changed or came after this instant.
    ChangedSince(DateTime<Utc>),
}

impl Tx<'_> {
    /// Makes what `source` names exactly this; what other sources name stays.
    pub async fn set_roster(
        &mut self,
        ehr: &EhrId,
        source: &str,
        keys: &BTreeSet<ResourceKey>,
    ) -> Result<RosterChange, StoreError> {
        let known: BTreeSet<ResourceKey> = roster::Entity::find()
            .select_only()
            .column(roster::Column::ResourceType)
            .column(roster::Column::Id)
            .filter(roster::Column::Tenant.eq(self.tenant.as_str()))
            .filter(roster::Column::Ehr.eq(ehr.as_str()))
            .filter(roster::Column::Source.eq(source))
            .into_tuple::<(String, String)>()
            .all(&self.txn)
            .await?
            .into_iter()
            .filter_map(|(kind, id)| Some(ResourceKey::new(ResourceType::parse(&kind)?, id)))
            .collect();
        let added = self.add_to_roster(ehr, source, keys.difference(&known)).await?;
        let gone: Vec<&ResourceKey> = known.difference(keys).collect();
        for chunk in gone.chunks(256) {
            for kind in chunk.iter().map(|key| key.resource_type).collect::<BTreeSet<_>>() {
                let ids = chunk.iter().filter(|key| key.resource_type == kind).map(|key| key.id.as_str());
                roster::Entity::delete_many()
                    .filter(roster::Column::Tenant.eq(self.tenant.as_str()))
                    .filter(roster::Column::Ehr.eq(ehr.as_str()))
                    .filter(roster::Column::Source.eq(source))
                    .filter(roster::Column::ResourceType.eq(kind.as_str()))
                    .filter(roster::Column::Id.is_in(padded(ids)))
                    .exec(&self.txn)
                    .await?;
            }
        }
        Ok(RosterChange { added, removed: gone.len() })
    }

    /// Adds what `source` names; what stands already stays as it is.
    pub async fn add_to_roster(
        &mut self,
        ehr: &EhrId,
        source: &str,
        keys: impl IntoIterator<Item = &ResourceKey>,
    ) -> Result<usize, StoreError> {
        let now = self.now();
        let keys: Vec<&ResourceKey> = keys.into_iter().collect();
        for chunk in slices(&keys, 300) {
            let rows = chunk.iter().map(|key| roster::ActiveModel {
                tenant: Set(self.tenant.to_string()),
                ehr: Set(ehr.to_string()),
                resource_type: Set(key.resource_type.as_str().to_owned()),
                id: Set(key.id.clone()),
                source: Set(source.to_owned()),
                added_at: Set(now),
            });
            use roster::Column as C;
            roster::Entity::insert_many(rows)
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::Ehr, C::ResourceType, C::Id, C::Source])
                        .update_columns([C::Source])
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
        }
        Ok(keys.len())
    }
}

impl View<'_> {
    /// Ids of a type that the roster names, each once, in order. `after` pages.
    pub async fn roster(
        &self,
        ehr: &EhrId,
        kind: ResourceType,
        after: &str,
        limit: u64,
    ) -> Result<Vec<String>, StoreError> {
        Ok(roster::Entity::find()
            .select_only()
            .column(roster::Column::Id)
            .distinct()
            .filter(roster::Column::Tenant.eq(self.tenant.as_str()))
            .filter(roster::Column::Ehr.eq(ehr.as_str()))
            .filter(roster::Column::ResourceType.eq(kind.as_str()))
            .filter(roster::Column::Id.gt(after))
            .order_by_asc(roster::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.conn)
            .await?)
    }

    /// Whether a source named somebody new after this instant.
    pub async fn roster_grew(&self, ehr: &EhrId, source: &str, since: DateTime<Utc>) -> Result<bool, StoreError> {
        let new = roster::Entity::find()
            .select_only()
            .column(roster::Column::Id)
            .filter(roster::Column::Tenant.eq(self.tenant.as_str()))
            .filter(roster::Column::Ehr.eq(ehr.as_str()))
            .filter(roster::Column::Source.eq(source))
            .filter(roster::Column::AddedAt.gt(since))
            .into_tuple::<String>()
            .one(&self.conn)
            .await?;
        Ok(new.is_some())
    }

    /// Which of these the mirror never had: neither now nor deleted since.
    pub async fn never_mirrored(
        &self,
        ehr: &EhrId,
        kind: ResourceType,
        ids: Vec<String>,
    ) -> Result<Vec<ResourceKey>, StoreError> {
        let known: BTreeSet<String> = mirror::Entity::find()
            .select_only()
            .column(mirror::Column::Id)
            .filter(mirror::Column::Tenant.eq(self.tenant.as_str()))
            .filter(mirror::Column::Ehr.eq(ehr.as_str()))
            .filter(mirror::Column::ResourceType.eq(kind.as_str()))
            .filter(mirror::Column::Id.is_in(padded(ids.iter().map(String::as_str))))
            .into_tuple::<String>()
            .all(&self.conn)
            .await?
            .into_iter()
            .collect();
        Ok(ids.into_iter().filter(|id| !known.contains(id)).map(|id| ResourceKey::new(kind, id)).collect())
    }

    /// How many of each type the roster names, by source.
    pub async fn roster_counts(&self, ehr: &EhrId) -> Result<BTreeMap<(String, String), u64>, StoreError> {
        use roster::Column as C;
        let mine = Condition::all().add(C::Tenant.eq(self.tenant.as_str())).add(C::Ehr.eq(ehr.as_str()));
        let counts = self.count_by(roster::Entity::find().filter(mine), [C::Source, C::ResourceType]).await?;
        let flat = counts
            .into_iter()
            .flat_map(|(source, kinds)| kinds.into_iter().map(move |(kind, count)| ((source.clone(), kind), count)));
        Ok(flat.collect())
    }

    /// The patients of an EHR in the order of their ids, from the one after `after` on.
    pub async fn patients_in_order(
        &self,
        ehr: &EhrId,
        whose: Whose,
        after: &str,
        limit: u64,
    ) -> Result<Vec<PatientId>, StoreError> {
        use patient::Column as C;
        let mut query = patient::Entity::find()
            .select_only()
            .column(C::Id)
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .filter(C::Ehr.eq(ehr.as_str()))
            .filter(C::Id.gt(after));
        if whose != Whose::All {
            query = query.filter(C::State.eq("active"));
        }
        if let Whose::ChangedSince(since) = whose {
            query = query.filter(C::UpdatedAt.gt(since));
        }
        let ids: Vec<String> = query.order_by_asc(C::Id).limit(limit).into_tuple().all(&self.conn).await?;
        Ok(ids.into_iter().map(PatientId::new).collect())
    }
}
