//! What an EHR may be asked, shared by all replicas: calls at once, calls a second, calls a day, and pauses. Replicas
//! lease a part for some seconds and spend it by themselves, so that not every call waits for the database.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, LockType, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::codes::{code, decode};
use super::tables::{ehr_budget, ehr_slot};
use super::{StoreError, Tx, View};
use crate::domain::EhrId;

/// What one connection may use in all, over every replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls under way at once.
    pub concurrency: u32,
    /// The least time between two calls; `None` sets no rate.
    pub interval: Option<TimeDelta>,
    /// The same between two calls that can wait.
    pub background_interval: Option<TimeDelta>,
    pub per_day: Option<u64>,
    /// From here on calls of this day are kept for what cannot wait.
    pub background_per_day: Option<u64>,
    /// Today, where the EHR is.
    pub day: NaiveDate,
}

/// What a replica asks for.
#[derive(Debug, Clone)]
pub struct LeaseAsk<'a> {
    pub holder: Uuid,
    /// Calls that it has under way now: it keeps at least as many.
    pub in_flight: u32,
    /// Calls that it would have under way at once.
    pub slots: u32,
    /// Calls that it would make until the lease ends.
    pub calls: u32,
    /// Calls that it leased before and did not make.
    pub unspent: u32,
    /// These calls can wait: they are content with the background's part.
    pub background: bool,
    pub limits: &'a CallLimits,
    pub length: TimeDelta,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Calls under way at once; 0 while others hold all of them.
    pub slots: u32,
    pub until: DateTime<Utc>,
    /// Calls; 0 when those of the day are used up.
    pub calls: u32,
    /// When the first of them may begin; the others follow at the limits' interval.
    pub first_at: DateTime<Utc>,
    pub pause: Option<Pause>,
    /// How often in a row the circuit was opened; 0 where it is closed.
    pub circuit_level: u32,
    /// The first lease of a day.
    pub new_day: bool,
}

/// Why nobody asks an EHR for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// It asked for patience (`Retry-After`).
    Asked,
    /// It failed so often that asking on makes it worse.
    Circuit,
}

/// Nobody asks this EHR before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub until: DateTime<Utc>,
    pub reason: PauseReason,
}

/// How the budget of one EHR stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallBudget {
    /// The day that `day_calls` counts, as `2026-03-02`.
    pub day: String,
    /// Calls made or leased on that day.
    pub day_calls: u64,
    pub pause: Option<Pause>,
    pub circuit_level: u32,
    pub circuit_since: Option<DateTime<Utc>>,
    /// Replicas that ask now, and how many calls at once they hold.
    pub replicas: u32,
    pub slots: u32,
}

impl Tx<'_> {
    /// Leases calls of an EHR to one replica. Over all replicas the limits hold; a replica that dies gives back what it
    /// held when its lease ends.
    pub async fn lease_calls(&mut self, ehr: &EhrId, ask: &LeaseAsk<'_>) -> Result<Lease, StoreError> {
        let now = self.now();
        let row = self.call_budget_row(ehr, ask.limits.day).await?;
        let slots = self.lease_slots(ehr, ask, now).await?;
        let today = ask.limits.day.to_string();
        let pause = pause_of(&row)?.filter(|pause| pause.until > now);
        let circuit_level = row.circuit_level as u32;
        let new_day = row.day != today;
        let before = if row.day == today { row.day_calls - i64::from(ask.unspent) } else { 0 }.max(0);
        let cap = if ask.background { ask.limits.background_per_day } else { ask.limits.per_day };
        let left = cap.map_or(u64::from(u32::MAX), |cap| cap.saturating_sub(before as u64));
        let calls = u64::from(ask.calls).min(left) as u32;

        let interval = ask.limits.interval.unwrap_or_default();
        let background_interval = ask.limits.background_interval.unwrap_or_default();
        let next_at = row.next_at.map_or(now, |next| next.max(now));
        let next_background_at = row.next_background_at.map_or(now, |next| next.max(now));
        let first_at = if ask.background { next_at.max(next_background_at) } else { next_at };
        let mut model: ehr_budget::ActiveModel = row.into();
        model.day = Set(today);
        model.day_calls = Set(before + i64::from(calls));
        if ask.limits.interval.is_some() {
            model.next_at = Set(Some(next_at + interval * calls as i32));
        }
        if ask.background && ask.limits.background_interval.is_some() {
            model.next_background_at = Set(Some(first_at + background_interval * calls as i32));
        }
        model.updated_at = Set(now);
        ehr_budget::Entity::update(model).exec(&self.txn).await?;
        Ok(Lease { slots, until: now + ask.length, calls, first_at, pause, circuit_level, new_day })
    }

    /// The budget's row, locked until the transaction ends.
    async fn call_budget_row(&mut self, ehr: &EhrId, day: NaiveDate) -> Result<ehr_budget::Model, StoreError> {
        ehr_budget::Entity::insert(ehr_budget::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            day: Set(day.to_string()),
            day_calls: Set(0),
            next_at: Set(None),
            next_background_at: Set(None),
            paused_until: Set(None),
            pause_reason: Set(None),
            circuit_level: Set(0),
            circuit_since: Set(None),
            updated_at: Set(self.now()),
        })
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(&self.txn)
        .await?;
        ehr_budget::Entity::find_by_id((self.tenant.to_string(), ehr.to_string()))
            .lock(LockType::Update)
            .one(&self.txn)
            .await?
            .ok_or_else(|| StoreError::Database("the budget of an EHR vanished".to_owned()))
    }

    /// How many calls at once this replica may have. Where others wait, nobody keeps more than an equal part beyond what
    /// is under way; who waits takes what is free.
    async fn lease_slots(&mut self, ehr: &EhrId, ask: &LeaseAsk<'_>, now: DateTime<Utc>) -> Result<u32, StoreError> {
        use ehr_slot::Column as C;
        let rows = ehr_slot::Entity::find()
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .filter(C::Ehr.eq(ehr.as_str()))
            .filter(C::Until.gt(now))
            .all(&self.txn)
            .await?;
        let (mine, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.holder == ask.holder);
        let holds = mine.first().map_or(0, |row| row.slots);
        let others_hold: i32 = others.iter().map(|row| row.slots).sum();
        let free = ask.limits.concurrency.saturating_sub(others_hold as u32);
        let fair = ask.limits.concurrency / (others.len() as u32 + 1);
        let others_wait = others.iter().any(|row| row.wants > row.slots);
        let wish = match (others_wait, holds) {
            (false, _) => ask.slots,
            (true, 0) => ask.slots.min(fair.max(1)),
            (true, _) => ask.slots.min(fair),
        };
        let slots = wish.min(free).max(ask.in_flight);
        ehr_slot::Entity::insert(ehr_slot::ActiveModel {
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            holder: Set(ask.holder),
            slots: Set(slots as i32),
            wants: Set(ask.slots as i32),
            until: Set(now + ask.length),
        })
        .on_conflict(
            OnConflict::columns([C::Tenant, C::Ehr, C::Holder])
                .update_columns([C::Slots, C::Wants, C::Until])
                .to_owned(),
        )
        .exec_without_returning(&self.txn)
        .await?;
        Ok(slots)
    }

    /// Lets nobody ask this EHR before `until`. An earlier end than the one that stands changes nothing.
    pub async fn pause_ehr(&mut self, ehr: &EhrId, day: NaiveDate, pause: Pause) -> Result<(), StoreError> {
        let now = self.now();
        let row = self.call_budget_row(ehr, day).await?;
        if pause_of(&row)?.is_some_and(|standing| standing.until >= pause.until) {
            return Ok(());
        }
        let circuit = pause.reason == PauseReason::Circuit;
        let (level, since) = (row.circuit_level, row.circuit_since);
        let mut model: ehr_budget::ActiveModel = row.into();
        model.paused_until = Set(Some(pause.until));
        model.pause_reason = Set(Some(code(&pause.reason)));
        if circuit {
            model.circuit_level = Set(level + 1);
            model.circuit_since = Set(since.or(Some(now)));
        }
        model.updated_at = Set(now);
        ehr_budget::Entity::update(model).exec(&self.txn).await?;
        Ok(())
    }

    /// The EHR answers again.
    pub async fn close_circuit(&mut self, ehr: &EhrId) -> Result<(), StoreError> {
        use ehr_budget::Column as C;
        ehr_budget::Entity::update_many()
            .col_expr(C::CircuitLevel, Expr::value(0))
            .col_expr(C::CircuitSince, Expr::value(Option::<DateTime<Utc>>::None))
            .col_expr(C::PausedUntil, Expr::value(Option::<DateTime<Utc>>::None))
            .col_expr(C::PauseReason, Expr::value(Option::<String>::None))
            .filter(C::Tenant.eq(self.tenant.as_str()))
            .filter(C::Ehr.eq(ehr.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// How the budget of an EHR stands; `None` where it was never asked.
    pub async fn call_budget(&self, ehr: &EhrId) -> Result<Option<CallBudget>, StoreError> {
        let now = self.store.clock().now();
        let key = (self.tenant.to_string(), ehr.to_string());
        let Some(row) = ehr_budget::Entity::find_by_id(key).one(&self.conn).await? else { return Ok(None) };
        let holders: Vec<i32> = ehr_slot::Entity::find()
            .select_only()
            .column(ehr_slot::Column::Slots)
            .filter(ehr_slot::Column::Tenant.eq(self.tenant.as_str()))
            .filter(ehr_slot::Column::Ehr.eq(ehr.as_str()))
            .filter(ehr_slot::Column::Until.gt(now))
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(Some(CallBudget {
            pause: pause_of(&row)?.filter(|pause| pause.until > now),
            day: row.day,
            day_calls: row.day_calls as u64,
            circuit_level: row.circuit_level as u32,
            circuit_since: row.circuit_since,
            replicas: holders.len() as u32,
            slots: holders.iter().sum::<i32>() as u32,
        }))
    }
}

fn pause_of(row: &ehr_budget::Model) -> Result<Option<Pause>, StoreError> {
    let Some((until, reason)) = row.paused_until.zip(row.pause_reason.as_deref()) else { return Ok(None) };
    Ok(Some(Pause { until, reason: decode("reason of a pause", reason)? }))
}
