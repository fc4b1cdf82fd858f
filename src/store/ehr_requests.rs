//! The ledger of what an EHR was asked: each request for some days, and sums by the hour. No query, no id and no body
//! is in it.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::tables::{ehr_request, ehr_slot, ehr_usage};
use super::{StoreError, Tx, View};
use crate::domain::EhrId;

/// One request, as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EhrRequest {
    /// Ordered by time; also the place from which a listing goes on.
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub method: String,
    /// The path below the base, with `{id}` for every id and the names of the parameters, never their values.
    pub route: String,
    /// `None` where no answer came.
    pub status: Option<u16>,
    /// `answered`, `unreachable`, `timed_out`, `interrupted` or `too_large`.
    pub outcome: String,
    pub millis: u32,
    /// Bytes of the answer, after decompression.
    pub bytes: u64,
    /// What proved who asks: `none`, `token` or `assertion`.
    pub token: String,
    /// A repeat of a request that did not end well.
    pub is_retry: bool,
}

impl EhrRequest {
    fn is_throttled(&self) -> bool {
        matches!(self.status, Some(429 | 503))
    }

    fn is_failed(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

/// Sums of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct HourUsage {
    pub hour: DateTime<Utc>,
    pub requests: u64,
    pub retries: u64,
    pub throttled: u64,
    pub failed: u64,
    pub bytes: u64,
    /// Time that the requests took, in milliseconds.
    pub millis: u64,
}

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Only those that did not end well: no answer, or a status of 400 and above.
    pub troubled: bool,
    /// Only those before this one.
    pub before: Option<Uuid>,
    pub limit: u64,
}

impl Tx<'_> {
    /// Keeps requests of one EHR, and adds them to the sums.
    pub async fn keep_ehr_requests(&mut self, ehr: &EhrId, requests: &[EhrRequest]) -> Result<(), StoreError> {
        for chunk in requests.chunks(300) {
            let rows = chunk.iter().map(|it| ehr_request::ActiveModel {
                id: Set(it.id),
                tenant: Set(self.tenant.to_string()),
                ehr: Set(ehr.to_string()),
                at: Set(it.at),
                method: Set(it.method.clone()),
                route: Set(it.route.clone()),
                status: Set(it.status.map(i32::from)),
                outcome: Set(it.outcome.clone()),
                millis: Set(i32::try_from(it.millis).unwrap_or(i32::MAX)),
                bytes: Set(it.bytes as i64),
                token: Set(it.token.clone()),
                repeats: Set(i32::from(it.is_retry)),
            });
            ehr_request::Entity::insert_many(rows).exec_without_returning(&self.txn).await?;
        }
        let mut sums: BTreeMap<DateTime<Utc>, HourUsage> = BTreeMap::new();
        for it in requests {
            let hour = it.at.duration_trunc(TimeDelta::hours(1)).unwrap_or(it.at);
            let sum = sums.entry(hour).or_insert(HourUsage { hour, ..HourUsage::default() });
            sum.requests += 1;
            sum.retries += u64::from(it.is_retry);
            sum.throttled += u64::from(it.is_throttled());
            sum.failed += u64::from(it.is_failed());
            sum.bytes += it.bytes;
            sum.millis += u64::from(it.millis);
        }
        for sum in sums.into_values() {
            self.add_ehr_usage(ehr, sum).await?;
        }
        Ok(())
    }

    async fn add_ehr_usage(&mut self, ehr: &EhrId, sum: HourUsage) -> Result<(), StoreError> {
        use ehr_usage::Column as C;
        let counts = [
            (C::Requests, sum.requests as i64),
            (C::Retries, sum.retries as i64),
            (C::Throttled, sum.throttled as i64),
            (C::Failed, sum.failed as i64),
            (C::Bytes, sum.bytes as i64),
            (C::Millis, sum.millis as i64),
        ];
        let mut conflict = OnConflict::columns([C::Tenant, C::Ehr, C::Hour]);
        for (column, more) in counts {
            conflict.value(column, Expr::col((ehr_usage::Entity, column)).add(Expr::value(more)));
        }
        ehr_usage::Entity::insert(ehr_usage::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            hour: Set(sum.hour),
            requests: Set(sum.requests as i64),
            retries: Set(sum.retries as i64),
            throttled: Set(sum.throttled as i64),
            failed: Set(sum.failed as i64),
            bytes: Set(sum.bytes as i64),
            millis: Set(sum.millis as i64),
        })
        .on_conflict(conflict)
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }

    /// Forgets requests before `requests`, sums before `sums`, and leases that ended. Answers how many requests went.
    pub async fn forget_ehr_requests(
        &mut self,
        requests: DateTime<Utc>,
        sums: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let gone = ehr_request::Entity::delete_many()
            .filter(ehr_request::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_request::Column::At.lt(requests))
            .exec(&self.txn)
            .await?;
        ehr_usage::Entity::delete_many()
            .filter(ehr_usage::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_usage::Column::Hour.lt(sums))
            .exec(&self.txn)
            .await?;
        ehr_slot::Entity::delete_many()
            .filter(ehr_slot::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_slot::Column::Until.lt(self.now()))
            .exec(&self.txn)
            .await?;
        Ok(gone.rows_affected)
    }
}

impl View<'_> {
    /// Requests to an EHR, newest first.
    pub async fn ehr_requests(&self, ehr: &EhrId, filter: &RequestFilter) -> Result<Vec<EhrRequest>, StoreError> {
        use ehr_request::Column as C;
        let mut query =
            ehr_request::Entity::find().filter(C::Tenant.eq(self.tenant.as_str())).filter(C::Ehr.eq(ehr.as_str()));
        if filter.troubled {
            query = query.filter(C::Status.is_null().or(C::Status.gte(400)));
        }
        if let Some(before) = filter.before {
            query = query.filter(C::Id.lt(before));
        }
        let rows = query.order_by_desc(C::Id).limit(filter.limit).all(&self.conn).await?;
        Ok(rows
            .into_iter()
            .map(|row| EhrRequest {
                id: row.id,
                at: row.at,
                method: row.method,
                route: row.route,
                status: row.status.and_then(|status| u16::try_from(status).ok()),
                outcome: row.outcome,
                millis: row.millis as u32,
                bytes: row.bytes as u64,
                token: row.token,
                is_retry: row.repeats > 0,
            })
            .collect())
    }

    /// The sums of an EHR since an instant, hour by hour.
    pub async fn ehr_usage(&self, ehr: &EhrId, since: DateTime<Utc>) -> Result<Vec<HourUsage>, StoreError> {
        let rows = ehr_usage::Entity::find()
            .filter(ehr_usage::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_usage::Column::Ehr.eq(ehr.as_str()))
            .filter(ehr_usage::Column::Hour.gte(since))
            .order_by_asc(ehr_usage::Column::Hour)
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| HourUsage {
                hour: row.hour,
                requests: row.requests as u64,
                retries: row.retries as u64,
                throttled: row.throttled as u64,
                failed: row.failed as u64,
                bytes: row.bytes as u64,
                millis: row.millis as u64,
            })
            .collect())
    }
}
