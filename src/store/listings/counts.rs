//! The numbers of a day.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};

use crate::domain::{MessageState, Reason, ReminderState};
use crate::store::tables::{message, quarantine, reminder, reply};
use crate::store::{StoreError, View};

/// The numbers of one span of time, as the first page shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// Reminders that fall due in the span, by state.
    pub reminders: BTreeMap<ReminderState, u64>,
    /// Of those, the withheld ones, by reason.
    pub withheld: BTreeMap<Reason, u64>,
    /// Messages made in the span, by state.
    pub messages: BTreeMap<MessageState, u64>,
    /// Replies that came in during the span.
    pub replies: u64,
    /// Resources in quarantine now.
    pub quarantined: u64,
}

impl DayCounts {
    pub fn due(&self) -> u64 {
        self.reminders.values().sum()
    }

    pub fn messages_in(&self, states: &[MessageState]) -> u64 {
        states.iter().filter_map(|state| self.messages.get(state)).sum()
    }
}

impl View<'_> {
    /// The numbers of `from..until`.
    pub async fn day_counts(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<DayCounts, StoreError> {
        let mut counts = DayCounts::default();
        let reminders: Vec<(String, Option<String>, i64)> = reminder::Entity::find()
            .select_only()
            .column(reminder::Column::State)
            .column(reminder::Column::Reason)
            .column_as(reminder::Column::Id.count(), "n")
            .filter(reminder::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reminder::Column::DueAt.gte(from))
            .filter(reminder::Column::DueAt.lt(until))
            .group_by(reminder::Column::State)
            .group_by(reminder::Column::Reason)
            .into_tuple()
            .all(&self.conn)
            .await?;
        for (state, reason, n) in reminders {
            let Some(state) = ReminderState::parse(&state) else { continue };
            *counts.reminders.entry(state).or_insert(0) += n.unsigned_abs();
            if let Some(reason) = reason.as_deref().and_then(Reason::parse)
                && state == ReminderState::Withheld
            {
                *counts.withheld.entry(reason).or_insert(0) += n.unsigned_abs();
            }
        }
        let messages: Vec<(String, i64)> = message::Entity::find()
            .select_only()
            .column(message::Column::State)
            .column_as(message::Column::Id.count(), "n")
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::CreatedAt.gte(from))
            .filter(message::Column::CreatedAt.lt(until))
            .group_by(message::Column::State)
            .into_tuple()
            .all(&self.conn)
            .await?;
        counts.messages = messages
            .into_iter()
            .filter_map(|(state, n)| Some((MessageState::parse(&state)?, n.unsigned_abs())))
            .collect();
        counts.replies = reply::Entity::find()
            .filter(reply::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reply::Column::ReceivedAt.gte(from))
            .filter(reply::Column::ReceivedAt.lt(until))
            .count(&self.conn)
            .await?;
        counts.quarantined = quarantine::Entity::find()
            .filter(quarantine::Column::Tenant.eq(self.tenant.as_str()))
            .filter(quarantine::Column::ResolvedAt.is_null())
            .count(&self.conn)
            .await?;
        Ok(counts)
    }
}
