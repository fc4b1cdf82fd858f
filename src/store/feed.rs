//! Messages of the hospital's interface engine: stored before they are answered, followed in their order, and known again
//! when they come twice. What they say of people is sealed, and dropped when it was followed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, TryInsertResult};
use serde_json::Value;
use uuid::Uuid;

use super::keyring::{Class, NOBODY};
use super::tables::hl7_message;
use super::{StoreError, Tx, View};
use crate::domain::EhrId;

/// A message that is to be followed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedMessage {
    pub id: Uuid,
    /// Application and facility.
    pub sender: String,
    pub control_id: String,
    /// Such as `ADT^A08`.
    pub kind: String,
    /// How often it was tried to follow it.
    pub tries: u32,
    /// What it says: the room that wrote it reads it.
    pub hint: Value,
    pub received_at: DateTime<Utc>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedState {
    /// The EHR was asked for all that it hinted at.
    Followed,
    /// It is tried again at this instant; why.
    Again(DateTime<Utc>, String),
    /// It is not tried again; why.
    GivenUp(String),
}

impl Tx<'_> {
    /// Keeps a message. Answers whether it is new: one of the same sender and control id is known already.
    pub async fn keep_feed_message(
        &mut self,
        ehr: &EhrId,
        sender: &str,
        control_id: &str,
        kind: &str,
        hint: &Value,
    ) -> Result<bool, StoreError> {
        self.prepare_keys(Class::Mirror, [NOBODY]).await?;
        let (id, now) = (self.store.new_id(), self.now());
        let body = self.seal_json(Class::Mirror, NOBODY, "hl7_message", "body", &id.to_string(), hint)?;
        let row = hl7_message::ActiveModel {
            id: Set(id),
            tenant: Set(self.tenant.to_string()),
            ehr: Set(ehr.to_string()),
            sender: Set(sender.to_owned()),
            control_id: Set(control_id.to_owned()),
            kind: Set(kind.to_owned()),
            state: Set("pending".to_owned()),
            tries: Set(0),
            body: Set(Some(body)),
            note: Set(None),
            received_at: Set(now),
            next_at: Set(now),
        };
        use hl7_message::Column as C;
        let inserted = hl7_message::Entity::insert(row)
            .on_conflict_do_nothing_on([C::Tenant, C::Ehr, C::Sender, C::ControlId])
            .exec_without_returning(&self.txn)
            .await?;
        Ok(matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0))
    }

    /// Records what became of a message; the hint is dropped with the last try.
    pub async fn settle_feed_message(&mut self, id: Uuid, state: &FeedState) -> Result<(), StoreError> {
        let (word, note, next_at) = match state {
            FeedState::Followed => ("followed", None, self.now()),
            FeedState::Again(at, why) => ("pending", Some(why.clone()), *at),
            FeedState::GivenUp(why) => ("given_up", Some(why.clone()), self.now()),
        };
        let mut update = hl7_message::Entity::update_many()
            .col_expr(hl7_message::Column::State, Expr::value(word))
            .col_expr(hl7_message::Column::Tries, Expr::col(hl7_message::Column::Tries).add(1))
            .col_expr(hl7_message::Column::Note, Expr::value(note))
            .col_expr(hl7_message::Column::NextAt, Expr::value(next_at));
        if word != "pending" {
            update = update.col_expr(hl7_message::Column::Body, Expr::value(Option::<Vec<u8>>::None));
        }
        update
            .filter(hl7_message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(hl7_message::Column::Id.eq(id))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Forgets messages that were done with before this instant: a repetition that late is not known any more.
    pub async fn forget_feed_messages(&mut self, ehr: &EhrId, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let done = hl7_message::Entity::delete_many()
            .filter(hl7_message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(hl7_message::Column::Ehr.eq(ehr.as_str()))
            .filter(hl7_message::Column::State.ne("pending"))
            .filter(hl7_message::Column::ReceivedAt.lt(before))
            .exec(&self.txn)
            .await?;
        Ok(done.rows_affected)
    }
}

impl View<'_> {
    /// Messages that are to be followed now, oldest first.
    pub async fn feed_messages_due(&self, ehr: &EhrId, limit: u64) -> Result<Vec<FeedMessage>, StoreError> {
        let now = self.store.clock().now();
        let rows = hl7_message::Entity::find()
            .filter(hl7_message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(hl7_message::Column::Ehr.eq(ehr.as_str()))
            .filter(hl7_message::Column::State.eq("pending"))
            .filter(hl7_message::Column::NextAt.lte(now))
            .order_by_asc(hl7_message::Column::ReceivedAt)
            .order_by_asc(hl7_message::Column::Id)
            .limit(limit)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().filter_map(|row| row.body.as_deref())).await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            let body = row.body.as_deref().unwrap_or_default();
            let hint = keys.open_json("message", "hl7_message", "body", &row.id.to_string(), body)?;
            due.push(FeedMessage {
                id: row.id,
                sender: row.sender,
                control_id: row.control_id,
                kind: row.kind,
                tries: u32::try_from(row.tries).unwrap_or(0),
                hint,
                received_at: row.received_at,
            });
        }
        Ok(due)
    }

    /// How many messages stand in each state.
    pub async fn feed_counts(&self, ehr: &EhrId) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows: Vec<(String, i64)> = hl7_message::Entity::find()
            .select_only()
            .column(hl7_message::Column::State)
            .column_as(hl7_message::Column::Id.count(), "messages")
            .filter(hl7_message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(hl7_message::Column::Ehr.eq(ehr.as_str()))
            .group_by(hl7_message::Column::State)
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|(state, count)| (state, u64::try_from(count).unwrap_or(0))).collect())
    }
}
