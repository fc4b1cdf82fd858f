//! The worklist of a person: conditions that need one, each open once.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;

use super::alike::padded;
use super::tables::alert;
use super::{StoreError, Tx, View};
use crate::domain::{Actor, Alert, AlertId, AlertKind, EventKind};

/// An acknowledgement holds this long: what still happens after it asks for a person again.
pub const ACKNOWLEDGED_FOR: TimeDelta = TimeDelta::hours(24);

impl Tx<'_> {
    /// Raises an alert. The same kind about the same subject that is still open is only counted up. Answers the id
    /// where it is new, or asks again after an acknowledgement that grew old: then people are to be told.
    pub async fn raise_alert(
        &mut self,
        kind: AlertKind,
        subject: &str,
        words: &str,
    ) -> Result<Option<AlertId>, StoreError> {
        let now = self.now();
        let id = self.store.new_id();
        let row = alert::ActiveModel {
            id: Set(id),
            tenant: Set(self.tenant.to_string()),
            kind: Set(kind.as_str().to_owned()),
            subject: Set(subject.to_owned()),
            words: Set(words.to_owned()),
            count: Set(1),
            opened_at: Set(now),
            last_at: Set(now),
            notified_at: Set(None),
            acknowledged_by: Set(None),
            acknowledged_at: Set(None),
            resolved_at: Set(None),
        };
        let inserted = alert::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(&self.txn)
            .await?;
        if inserted > 0 {
            let opened = self
                .event(Actor::system("alerts"), EventKind::AlertOpened)
                .with_detail(json!({ "alert": id, "kind": kind, "subject": subject }));
            self.append(opened).await?;
            return Ok(Some(AlertId(id)));
        }
        self.count_alert(kind, subject, words).await
    }

    async fn count_alert(
        &mut self,
        kind: AlertKind,
        subject: &str,
        words: &str,
    ) -> Result<Option<AlertId>, StoreError> {
        let now = self.now();
        let open = self.view().open_alert(kind, subject).await?;
        let Some(open) = open else { return Ok(None) };
        let asks_again = open.acknowledged_at.is_some_and(|at| at + ACKNOWLEDGED_FOR <= now);
        let mut update = alert::Entity::update_many()
            .col_expr(alert::Column::Count, Expr::col(alert::Column::Count).add(1))
            .col_expr(alert::Column::LastAt, Expr::value(now))
            .col_expr(alert::Column::Words, Expr::value(words));
        if asks_again {
            update = update
                .col_expr(alert::Column::AcknowledgedAt, Expr::value(Option::<DateTime<Utc>>::None))
                .col_expr(alert::Column::AcknowledgedBy, Expr::value(Option::<String>::None))
                .col_expr(alert::Column::NotifiedAt, Expr::value(Option::<DateTime<Utc>>::None));
        }
        update
            .filter(alert::Column::Id.eq(open.id))
            .filter(alert::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(asks_again.then_some(AlertId(open.id)))
    }

    /// Closes the open alert of this kind about this subject: the condition is gone. Answers whether there was one.
    pub async fn resolve_alert(&mut self, kind: AlertKind, subject: &str) -> Result<bool, StoreError> {
        let done = alert::Entity::update_many()
            .col_expr(alert::Column::ResolvedAt, Expr::value(self.now()))
            .filter(alert::Column::Tenant.eq(self.tenant.as_str()))
            .filter(alert::Column::Kind.eq(kind.as_str()))
            .filter(alert::Column::Subject.eq(subject))
            .filter(alert::Column::ResolvedAt.is_null())
            .exec(&self.txn)
            .await?;
        Ok(done.rows_affected > 0)
    }

    /// Records that a person saw an alert. Answers whether it was waiting for that.
    pub async fn acknowledge_alert(&mut self, id: AlertId, by: &Actor) -> Result<bool, StoreError> {
        let done = alert::Entity::update_many()
            .col_expr(alert::Column::AcknowledgedAt, Expr::value(self.now()))
            .col_expr(alert::Column::AcknowledgedBy, Expr::value(by.as_text()))
            .filter(alert::Column::Tenant.eq(self.tenant.as_str()))
            .filter(alert::Column::Id.eq(id.0))
            .filter(alert::Column::AcknowledgedAt.is_null())
            .exec(&self.txn)
            .await?;
        if done.rows_affected == 0 {
            return Ok(false);
        }
        let seen = self.event(by.clone(), EventKind::AlertAcknowledged).with_detail(json!({ "alert": id }));
        self.append(seen).await?;
        Ok(true)
    }

    /// Records that people were told of these alerts.
    pub async fn alerts_notified(&mut self, ids: &[AlertId]) -> Result<(), StoreError> {
        alert::Entity::update_many()
            .col_expr(alert::Column::NotifiedAt, Expr::value(self.now()))
            .filter(alert::Column::Tenant.eq(self.tenant.as_str()))
            .filter(alert::Column::Id.is_in(padded(ids.iter().map(|id| id.0))))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// Alerts, newest first: the open ones, or all. `before` pages.
    pub async fn alerts(&self, open_only: bool, before: Option<AlertId>, limit: u64) -> Result<Vec<Alert>, StoreError> {
        let mut query = alert::Entity::find().filter(alert::Column::Tenant.eq(self.tenant.as_str()));
        if open_only {
            query = query.filter(alert::Column::ResolvedAt.is_null());
        }
        if let Some(before) = before {
            query = query.filter(alert::Column::Id.lt(before.0));
        }
        let rows = query.order_by_desc(alert::Column::Id).limit(limit).all(&self.conn).await?;
        rows.into_iter().map(alert_of).collect()
    }

    /// Alerts that nobody was told of yet, oldest first.
    pub async fn alerts_to_notify(&self, limit: u64) -> Result<Vec<Alert>, StoreError> {
        let rows = alert::Entity::find()
            .filter(alert::Column::Tenant.eq(self.tenant.as_str()))
            .filter(alert::Column::NotifiedAt.is_null())
            .filter(alert::Column::ResolvedAt.is_null())
            .order_by_asc(alert::Column::Id)
            .limit(limit)
            .all(&self.conn)
            .await?;
        rows.into_iter().map(alert_of).collect()
    }

    /// Alerts that wait for a person.
    pub async fn open_alert_count(&self) -> Result<u64, StoreError> {
        Ok(alert::Entity::find()
            .filter(alert::Column::Tenant.eq(self.tenant.as_str()))
            .filter(alert::Column::ResolvedAt.is_null())
            .filter(alert::Column::AcknowledgedAt.is_null())
            .count(&self.conn)
            .await?)
    }

    async fn open_alert(&self, kind: AlertKind, subject: &str) -> Result<Option<alert::Model>, StoreError> {
        Ok(alert::Entity::find()
            .filter(alert::Column::Tenant.eq(self.tenant.as_str()))
            .filter(alert::Column::Kind.eq(kind.as_str()))
            .filter(alert::Column::Subject.eq(subject))
            .filter(alert::Column::ResolvedAt.is_null())
            .one(&self.conn)
            .await?)
    }
}

fn alert_of(row: alert::Model) -> Result<Alert, StoreError> {
    let kind = AlertKind::parse(&row.kind)
        .ok_or(StoreError::Corrupt { what: "alert", reason: "a kind that this version does not know".to_owned() })?;
    Ok(Alert {
        id: AlertId(row.id),
        kind,
        subject: row.subject,
        words: row.words,
        count: row.count.unsigned_abs(),
        opened_at: row.opened_at,
        last_at: row.last_at,
        acknowledged_by: row.acknowledged_by,
        acknowledged_at: row.acknowledged_at,
        resolved_at: row.resolved_at,
    })
}
