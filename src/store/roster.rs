//! The roster: whom and what to look at, where an EHR cannot list it, and who named it. Ids of an EHR, in the clear.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::tables::{mirror, patient, roster};
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, PatientId, ResourceKey, ResourceType};

/// What a change of the roster did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RosterChange {
    pub added: usize,
    pub removed: usize,
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
        for chunk in gone.chunks(300) {
            for kind in chunk.iter().map(|key| key.resource_type).collect::<BTreeSet<_>>() {
                let ids = chunk.iter().filter(|key| key.resource_type == kind).map(|key| key.id.as_str());
                roster::Entity::delete_many()
                    .filter(roster::Column::Tenant.eq(self.tenant.as_str()))
                    .filter(roster::Column::Ehr.eq(ehr.as_str()))
                    .filter(roster::Column::Source.eq(source))
                    .filter(roster::Column::ResourceType.eq(kind.as_str()))
                    .filter(roster::Column::Id.is_in(ids))
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
        for chunk in keys.chunks(300) {
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
            .filter(mirror::Column::Id.is_in(ids.iter().map(String::as_str)))
            .into_tuple::<String>()
            .all(&self.conn)
            .await?
            .into_iter()
            .collect();
        Ok(ids.into_iter().filter(|id| !known.contains(id)).map(|id| ResourceKey::new(kind, id)).collect())
    }

    /// How many of each type the roster names, by source.
    pub async fn roster_counts(&self, ehr: &EhrId) -> Result<BTreeMap<(String, String), u64>, StoreError> {
        let rows: Vec<(String, String, i64)> = roster::Entity::find()
            .select_only()
            .column(roster::Column::Source)
            .column(roster::Column::ResourceType)
            .column_as(roster::Column::Id.count(), "named")
            .filter(roster::Column::Tenant.eq(self.tenant.as_str()))
            .filter(roster::Column::Ehr.eq(ehr.as_str()))
            .group_by(roster::Column::Source)
            .group_by(roster::Column::ResourceType)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|(source, kind, count)| ((source, kind), u64::try_from(count).unwrap_or(0))).collect())
    }

    /// Active patients whose record changed or came after `since`, in order. `after` pages.
    pub async fn patients_changed_since(
        &self,
        ehr: &EhrId,
        since: DateTime<Utc>,
        after: &str,
        limit: u64,
    ) -> Result<Vec<PatientId>, StoreError> {
        let ids: Vec<String> = patient::Entity::find()
            .select_only()
            .column(patient::Column::Id)
            .filter(patient::Column::Tenant.eq(self.tenant.as_str()))
            .filter(patient::Column::Ehr.eq(ehr.as_str()))
            .filter(patient::Column::State.eq("active"))
            .filter(patient::Column::UpdatedAt.gt(since))
            .filter(patient::Column::Id.gt(after))
            .order_by_asc(patient::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(ids.into_iter().map(PatientId::new).collect())
    }
}
