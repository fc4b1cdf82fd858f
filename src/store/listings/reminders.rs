//! Reminders, by when they fall due.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::domain::{MessageId, Reason, Reminder, ReminderId, ReminderState, RuleId};
use crate::store::reminders::reminder_of;
use crate::store::tables::reminder;
use crate::store::{StoreError, View};

/// The last reminder of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueCursor {
    pub due_at: DateTime<Utc>,
    pub id: Uuid,
}

/// Which reminders to list; all given conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct ReminderFilter {
    pub due_from: Option<DateTime<Utc>>,
    pub due_until: Option<DateTime<Utc>>,
    pub state: Option<ReminderState>,
    pub rule: Option<RuleId>,
    pub reason: Option<Reason>,
    pub after: Option<DueCursor>,
    pub limit: u64,
}

impl View<'_> {
    /// Reminders, soonest due first.
    pub async fn list_reminders(&self, filter: &ReminderFilter) -> Result<Vec<Reminder>, StoreError> {
        use reminder::Column as C;
        let mut query = reminder::Entity::find().filter(C::Tenant.eq(self.tenant.as_str()));
        if let Some(from) = filter.due_from {
            query = query.filter(C::DueAt.gte(from));
        }
        if let Some(until) = filter.due_until {
            query = query.filter(C::DueAt.lt(until));
        }
        if let Some(state) = filter.state {
            query = query.filter(C::State.eq(state.as_str()));
        }
        if let Some(rule) = &filter.rule {
            query = query.filter(C::Rule.eq(rule.as_str()));
        }
        if let Some(reason) = filter.reason {
            query = query.filter(C::Reason.eq(reason.as_str()));
        }
        if let Some(DueCursor { due_at, id }) = filter.after {
            let later = Condition::any()
                .add(C::DueAt.gt(due_at))
                .add(Condition::all().add(C::DueAt.eq(due_at)).add(C::Id.gt(id)));
            query = query.filter(later);
        }
        let rows = query.order_by_asc(C::DueAt).order_by_asc(C::Id).limit(filter.limit).all(&self.conn).await?;
        rows.into_iter().map(reminder_of).collect()
    }

    /// The message that a reminder was released into, if it was.
    pub async fn message_of_reminder(&self, id: ReminderId) -> Result<Option<MessageId>, StoreError> {
        let message: Option<Option<Uuid>> = reminder::Entity::find_by_id(id.0)
            .select_only()
            .column(reminder::Column::Message)
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .into_tuple()
            .one(&self.conn)
            .await?;
        Ok(message.flatten().map(MessageId))
    }
}
