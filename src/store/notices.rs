//! Notices as they came: kept before they are answered, sealed, because some servers put the whole record into them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::keyring::{Class, NOBODY};
use super::tables::{notice, notice_event};
use super::{StoreError, Tx, View};
use crate::domain::{EhrId, Phi, ResourceKey};

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    pub id: Uuid,
    pub subscription: Uuid,
    /// The resource that its address names (R4 classic).
    pub about: Option<ResourceKey>,
    /// As it came; nothing where it came empty.
    pub body: Option<Phi<Vec<u8>>>,
    pub received_at: DateTime<Utc>,
    pub tries: u32,
}

impl Tx<'_> {
    /// Keeps a notice that just came.
    pub async fn add_notice(
        &mut self,
        ehr: &EhrId,
        subscription: Uuid,
        about: Option<&ResourceKey>,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let (id, now) = (self.store.new_id(), self.now());
        let sealed = if body.is_empty() {
            None
        } else {
            self.prepare_keys(Class::Tenant, [NOBODY]).await?;
            Some(self.seal(Class::Tenant, NOBODY, "notice", "body", &id.to_string(), body)?)
        };
        notice::Entity::insert(notice::ActiveModel {
            id: Set(id),
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            subscription: Set(subscription),
            about: Set(about.map(ToString::to_string)),
            body: Set(sealed),
            received_at: Set(now),
            tries: Set(0),
            next_at: Set(now),
            done_at: Set(None),
            problem: Set(None),
        })
        .exec_without_returning(&self.txn)
        .await?;
        Ok(())
    }

    /// Marks a notice as heeded; `problem` says why it was of no use.
    pub async fn notice_done(&mut self, id: Uuid, problem: Option<&str>) -> Result<(), StoreError> {
        notice::Entity::update_many()
            .col_expr(notice::Column::DoneAt, Expr::value(self.now()))
            .col_expr(notice::Column::Problem, Expr::value(problem))
            .filter(notice::Column::Id.eq(id))
            .filter(notice::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Marks all open notices of a subscription as heeded: what they say is found another way.
    pub async fn all_notices_done(&mut self, subscription: Uuid, problem: &str) -> Result<u64, StoreError> {
        let done = notice::Entity::update_many()
            .col_expr(notice::Column::DoneAt, Expr::value(self.now()))
            .col_expr(notice::Column::Problem, Expr::value(problem))
            .filter(notice::Column::Subscription.eq(subscription))
            .filter(notice::Column::Tenant.eq(self.tenant.as_str()))
            .filter(notice::Column::DoneAt.is_null())
            .exec(&self.txn)
            .await?;
        Ok(done.rows_affected)
    }

    /// Another try later.
    pub async fn notice_later(&mut self, id: Uuid, at: DateTime<Utc>) -> Result<(), StoreError> {
        notice::Entity::update_many()
            .col_expr(notice::Column::NextAt, Expr::value(at))
            .col_expr(notice::Column::Tries, Expr::col(notice::Column::Tries).add(1))
            .filter(notice::Column::Id.eq(id))
            .filter(notice::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Remembers events as heeded.
    pub async fn remember_events(&mut self, subscription: Uuid, events: Vec<String>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let mut events = events;
        events.sort();
        events.dedup();
        let rows = events.into_iter().map(|event| notice_event::ActiveModel {
            subscription: Set(subscription),
            event: Set(event),
            tenant: Set(self.tenant.to_string()),
            seen_at: Set(now),
        });
        use notice_event::Column as C;
        notice_event::Entity::insert_many(rows)
            .on_conflict(OnConflict::columns([C::Subscription, C::Event]).update_columns([C::SeenAt]).to_owned())
            .exec_without_returning(&self.txn)
            .await?;
        Ok(())
    }

    /// Forgets the events of a subscription: the server counts anew.
    pub async fn forget_events(&mut self, subscription: Uuid) -> Result<(), StoreError> {
        notice_event::Entity::delete_many()
            .filter(notice_event::Column::Subscription.eq(subscription))
            .filter(notice_event::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Removes what was heeded before `notices`, and events that were seen before `events`.
    pub async fn purge_notices(&mut self, notices: DateTime<Utc>, events: DateTime<Utc>) -> Result<(), StoreError> {
        notice::Entity::delete_many()
            .filter(notice::Column::Tenant.eq(self.tenant.as_str()))
            .filter(notice::Column::ReceivedAt.lt(notices))
            .filter(notice::Column::DoneAt.is_not_null())
            .exec(&self.txn)
            .await?;
        notice_event::Entity::delete_many()
            .filter(notice_event::Column::Tenant.eq(self.tenant.as_str()))
            .filter(notice_event::Column::SeenAt.lt(events))
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}

impl View<'_> {
    /// Notices that wait to be heeded, oldest first.
    pub async fn open_notices(&self, ehr: &EhrId, limit: u64) -> Result<Vec<NoticeRow>, StoreError> {
        let rows = notice::Entity::find()
            .filter(notice::Column::Tenant.eq(self.tenant.as_str()))
            .filter(notice::Column::Ehr.eq(ehr.as_str()))
            .filter(notice::Column::DoneAt.is_null())
            .filter(notice::Column::NextAt.lte(self.store.clock().now()))
            .order_by_asc(notice::Column::NextAt)
            .order_by_asc(notice::Column::Id)
            .limit(limit)
            .all(&self.conn)
            .await?;
        let sealed: Vec<&[u8]> = rows.iter().filter_map(|row| row.body.as_deref()).collect();
        let keys = self.load_keys(sealed).await?;
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let place = row.id.to_string();
            let body = row.body.as_ref().map(|body| keys.open("notice", "body", &place, body)).transpose()?;
            read.push(NoticeRow {
                id: row.id,
                subscription: row.subscription,
                about: row.about.as_deref().and_then(ResourceKey::from_reference),
                body: body.map(Phi::new),
                received_at: row.received_at,
                tries: row.tries.cast_unsigned(),
            });
        }
        Ok(read)
    }

    /// Which of these events were heeded already.
    pub async fn known_events(&self, subscription: Uuid, events: &[String]) -> Result<HashSet<String>, StoreError> {
        Ok(notice_event::Entity::find()
            .select_only()
            .column(notice_event::Column::Event)
            .filter(notice_event::Column::Subscription.eq(subscription))
            .filter(notice_event::Column::Event.is_in(events.iter().map(String::as_str)))
            .into_tuple::<String>()
            .all(&self.conn)
            .await?
            .into_iter()
            .collect())
    }

    /// How many notices of a subscription wait.
    pub async fn open_notice_count(&self, subscription: Uuid) -> Result<u64, StoreError> {
        Ok(notice::Entity::find()
            .filter(notice::Column::Tenant.eq(self.tenant.as_str()))
            .filter(notice::Column::Subscription.eq(subscription))
            .filter(notice::Column::DoneAt.is_null())
            .count(&self.conn)
            .await?)
    }
}
