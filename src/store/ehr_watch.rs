//! What is seen of a connection between two pulls (who fetches its keys, which of them sign), and what a person wishes of
//! it: a pull now, or another look at what is in quarantine.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, OnConflict, SimpleExpr};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::tables::{ehr_watch, quarantine, quarantine_retry};
use super::{StoreError, Tx, View};
use crate::domain::{Actor, EhrId};

/// Fetches of the keys are noted once in this time.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(5);

/// What is known of a connection beside its settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EhrWatch {
    /// When the published keys were last fetched, to five minutes.
    pub jwks_fetched_at: Option<DateTime<Utc>>,
    /// Key ids by algorithm that sign, as the history was last told.
    pub signers: BTreeMap<String, String>,
    /// A key that the EHR did not take although its time had come.
    pub refused_key: Option<String>,
    pub pull_wish: Option<PullWish>,
}

/// Somebody wants a pull now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullWish {
    pub at: DateTime<Utc>,
    /// An actor as text.
    pub by: String,
    pub full: bool,
}

/// Somebody wants this resource to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryWish {
    pub resource_type: String,
    pub resource_id: String,
    pub by: String,
}

impl Tx<'_> {
    /// Notes that the published keys were fetched.
    pub async fn note_jwks_fetched(&mut self, ehr: &EhrId) -> Result<(), StoreError> {
        let now = self.now();
        self.put_watch(ehr).await?;
        self.update_watch(ehr, ehr_watch::Column::JwksFetchedAt, Expr::value(now)).await
    }

    /// Notes which keys sign, by algorithm.
    pub async fn note_signers(&mut self, ehr: &EhrId, signers: &BTreeMap<String, String>) -> Result<(), StoreError> {
        self.put_watch(ehr).await?;
        let text = serde_json::to_string(signers).unwrap_or_default();
        self.update_watch(ehr, ehr_watch::Column::Signers, Expr::value(text)).await
    }

    /// Notes that the EHR did not take a key, or that it takes them again.
    pub async fn note_refused_key(&mut self, ehr: &EhrId, kid: Option<&str>) -> Result<(), StoreError> {
        self.put_watch(ehr).await?;
        let kid = kid.map(str::to_owned);
        self.update_watch(ehr, ehr_watch::Column::RefusedKey, Expr::value(kid)).await
    }

    /// Asks for a pull as soon as one can begin. A full one that was asked for before stays a full one.
    pub async fn wish_pull(&mut self, ehr: &EhrId, full: bool, by: &Actor) -> Result<(), StoreError> {
        let now = self.now();
        self.put_watch(ehr).await?;
        self.update_watch(ehr, ehr_watch::Column::PullWantedAt, Expr::value(now)).await?;
        self.update_watch(ehr, ehr_watch::Column::PullWantedBy, Expr::value(by.as_text())).await?;
        if full {
            self.update_watch(ehr, ehr_watch::Column::PullWantedFull, Expr::value(1)).await?;
        }
        Ok(())
    }

    /// Takes the wish for a pull: it is being granted.
    pub async fn take_pull_wish(&mut self, ehr: &EhrId) -> Result<Option<PullWish>, StoreError> {
        let wish = self.view().ehr_watch(ehr).await?.pull_wish;
        if wish.is_some() {
            let nobody: Option<DateTime<Utc>> = None;
            self.update_watch(ehr, ehr_watch::Column::PullWantedAt, Expr::value(nobody)).await?;
            self.update_watch(ehr, ehr_watch::Column::PullWantedFull, Expr::value(0)).await?;
        }
        Ok(wish)
    }

    async fn put_watch(&mut self, ehr: &EhrId) -> Result<(), StoreError> {
        ehr_watch::Entity::insert(ehr_watch::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            jwks_fetched_at: Set(None),
            signers: Set("{}".to_owned()),
            refused_key: Set(None),
            pull_wanted_at: Set(None),
            pull_wanted_by: Set(None),
            pull_wanted_full: Set(0),
        })
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }

    async fn update_watch(&mut self, ehr: &EhrId, column: ehr_watch::Column, to: SimpleExpr) -> Result<(), StoreError> {
        ehr_watch::Entity::update_many()
            .col_expr(column, to)
            .filter(ehr_watch::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_watch::Column::Ehr.eq(ehr.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Asks for another look at what is in quarantine: one resource, or all of an EHR. Answers how many are asked for.
    pub async fn wish_retry(
        &mut self,
        ehr: &EhrId,
        only: Option<(&str, &str)>,
        by: &Actor,
    ) -> Result<usize, StoreError> {
        let now = self.now();
        let mut query = quarantine::Entity::find()
            .select_only()
            .column(quarantine::Column::ResourceType)
            .column(quarantine::Column::ResourceId)
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::Ehr.eq(ehr.as_str()))
            .filter(quarantine::Column::ResolvedAt.is_null());
        if let Some((resource_type, resource_id)) = only {
            query = query.filter(
                Condition::all()
                    .add(quarantine::Column::ResourceType.eq(resource_type))
                    .add(quarantine::Column::ResourceId.eq(resource_id)),
            );
        }
        let found: Vec<(String, String)> = query.into_tuple().all(&self.txn).await?;
        use quarantine_retry::Column as C;
        for chunk in found.chunks(300) {
            let rows = chunk.iter().map(|(resource_type, resource_id)| quarantine_retry::ActiveModel {
                tenant: Set(self.tenant.to_string()),
                ehr: Set(ehr.to_string()),
                resource_type: Set(resource_type.clone()),
                resource_id: Set(resource_id.clone()),
                by: Set(by.as_text()),
                at: Set(now),
            });
            quarantine_retry::Entity::insert_many(rows)
                .on_conflict(
                    OnConflict::columns([C::Tenant, C::Ehr, C::ResourceType, C::ResourceId])
                        .update_columns([C::By, C::At])
                        .to_owned(),
                )
                .exec_without_returning(&self.txn)
                .await?;
        }
        Ok(found.len())
    }

    /// Ends the wish: the resource was looked at.
    pub async fn end_retry(&mut self, ehr: &EhrId, wish: &RetryWish) -> Result<(), StoreError> {
        let key = (self.tenant.to_string(), ehr.to_string(), wish.resource_type.clone(), wish.resource_id.clone());
        quarantine_retry::Entity::delete_by_id(key).exec(&self.txn).await?;
        Ok(())
    }
}

impl View<'_> {
    pub async fn ehr_watch(&self, ehr: &EhrId) -> Result<EhrWatch, StoreError> {
        let key = (self.tenant.to_string(), ehr.to_string());
        let Some(row) = ehr_watch::Entity::find_by_id(key).one(&self.conn).await? else {
            return Ok(EhrWatch::default());
        };
        let full = row.pull_wanted_full > 0;
        let by = row.pull_wanted_by.unwrap_or_default();
        Ok(EhrWatch {
            jwks_fetched_at: row.jwks_fetched_at,
            signers: serde_json::from_str(&row.signers).unwrap_or_default(),
            refused_key: row.refused_key,
            pull_wish: row.pull_wanted_at.map(|at| PullWish { at, by, full }),
        })
    }

    /// Whether a fetch of the published keys is to be noted: not each of many.
    pub async fn jwks_fetch_is_news(&self, ehr: &EhrId) -> Result<bool, StoreError> {
        let now = self.store.clock().now();
        Ok(self.ehr_watch(ehr).await?.jwks_fetched_at.is_none_or(|at| now - at >= NOTED_EVERY))
    }

    /// Resources that somebody wants to have read again, the oldest wish first.
    pub async fn retry_wishes(&self, ehr: &EhrId, limit: u64) -> Result<Vec<RetryWish>, StoreError> {
        let rows = quarantine_retry::Entity::find()
            .filter(quarantine_retry::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine_retry::Column::Ehr.eq(ehr.as_str()))
            .order_by_asc(quarantine_retry::Column::At)
            .order_by_asc(quarantine_retry::Column::ResourceId)
            .limit(limit)
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| RetryWish { resource_type: row.resource_type, resource_id: row.resource_id, by: row.by })
            .collect())
    }
}
