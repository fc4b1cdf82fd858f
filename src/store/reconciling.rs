//! After a restore: what the ledger still means to send, and what others show to have been sent before.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use uuid::Uuid;

use super::reminders::is_open;
use super::tables::{message, reminder, write_back};
use super::{Delivery, Settlement, StoreError, Tx, View, WriteBackSubject};
use crate::domain::{
    Actor, Attempt, EhrId, EventKind, Message, MessageId, PatientId, Reason, Reminder, ReminderId, ReminderState,
};

/// A message that the restored ledger did not know.
#[derive(Debug, Clone)]
pub struct SentBefore {
    pub reminder: ReminderId,
    pub message: Message,
    pub attempt: Attempt,
    /// Id of the Communication that the EHR has of it.
    pub communication: Option<String>,
}

impl View<'_> {
    /// Open reminders of an EHR that are due by `at`, by patient.
    pub async fn open_reminders_due(&self, ehr: &EhrId, at: DateTime<Utc>) -> Result<Vec<Reminder>, StoreError> {
        let rows = reminder::Entity::find()
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::Ehr.eq(ehr.as_str()))
            .filter(is_open())
            .filter(reminder::Column::DueAt.lte(at))
            .order_by_asc(reminder::Column::Patient)
            .order_by_asc(reminder::Column::DueAt)
            .all(&self.conn)
            .await?;
        rows.into_iter().map(super::reminders::reminder_of).collect()
    }

    /// Messages of an EHR that may be tried again, or whose outcome nobody knows.
    pub async fn messages_under_way(&self, ehr: &EhrId) -> Result<Vec<Delivery>, StoreError> {
        let ids: Vec<Uuid> = message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::Ehr.eq(ehr.as_str()))
            .filter(message::Column::State.is_in(["queued", "unknown"]))
            .filter(message::Column::Closed.is_null())
            .order_by_asc(message::Column::CreatedAt)
            .into_tuple()
            .all(&self.conn)
            .await?;
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(256) {
            found.extend(self.deliveries(&chunk.iter().copied().map(MessageId).collect::<Vec<_>>()).await?);
        }
        Ok(found)
    }
}

impl Tx<'_> {
    /// Enters a message that went out before the restore. Its reminder counts as released, so that it is not sent again.
    pub async fn record_sent_before(&mut self, it: &SentBefore, evidence: &str, by: &Actor) -> Result<(), StoreError> {
        let holder = self.store.new_id();
        self.insert_messages(std::slice::from_ref(&it.message), holder, TimeDelta::zero()).await?;
        self.open_attempts(std::slice::from_ref(&it.attempt)).await?;
        self.settle_attempts(&[Settlement {
            attempt: it.attempt.id,
            message: it.message.id,
            state: it.attempt.state,
            provider_ref: it.attempt.provider_ref.clone(),
            code: it.attempt.code.clone(),
            protection: None,
            next_attempt_at: None,
            closed: None,
        }])
        .await?;
        reminder::Entity::update_many()
            .col_expr(reminder::Column::State, Expr::value(ReminderState::Released.as_str()))
            .col_expr(reminder::Column::Reason, Expr::value(Reason::AlreadySent.as_str()))
            .col_expr(reminder::Column::Message, Expr::value(it.message.id.0))
            .col_expr(reminder::Column::LeasedBy, Expr::value(Option::<Uuid>::None))
            .col_expr(reminder::Column::LeasedUntil, Expr::value(Option::<DateTime<Utc>>::None))
            .col_expr(reminder::Column::UpdatedAt, Expr::value(self.now()))
            .filter(reminder::Column::Id.eq(it.reminder.0))
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(is_open())
            .exec(&self.txn)
            .await?;
        if let Some(communication) = &it.communication {
            self.written_before(&it.message.ehr, &it.message.subject, it.message.id, communication).await?;
        } else {
            let line = (it.message.ehr.clone(), it.message.subject.clone(), WriteBackSubject::Message(it.message.id));
            self.queue_write_backs(&[line]).await?;
        }
        let event = self
            .event(by.clone(), EventKind::AttemptSettled)
            .about_patient(&it.message.ehr, &it.message.subject)
            .about_reminder(it.reminder)
            .about_message(it.message.id)
            .with_detail(json!({
                "attempt": it.attempt.id, "state": it.attempt.state, "provider_ref": it.attempt.provider_ref,
                "sent_before_the_restore": evidence, "communication": it.communication,
            }));
        self.append(event).await
    }

    /// The EHR has this Communication of a message already: it is updated from now on, not created.
    pub async fn written_before(
        &mut self,
        ehr: &EhrId,
        patient: &PatientId,
        message: MessageId,
        communication: &str,
    ) -> Result<(), StoreError> {
        self.queue_write_backs(&[(ehr.clone(), patient.clone(), WriteBackSubject::Message(message))]).await?;
        write_back::Entity::update_many()
            .col_expr(write_back::Column::State, Expr::value("written"))
            .col_expr(write_back::Column::RemoteType, Expr::value("Communication"))
            .col_expr(write_back::Column::RemoteId, Expr::value(communication))
            .col_expr(write_back::Column::NextAt, Expr::value(Option::<DateTime<Utc>>::None))
            .filter(write_back::Column::Tenant.eq(self.tenant.as_str()))
            .filter(write_back::Column::SubjectKind.eq("message"))
            .filter(write_back::Column::SubjectId.eq(message.0))
            .filter(write_back::Column::RemoteId.is_null())
            .exec(&self.txn)
            .await?;
        Ok(())
    }
}
