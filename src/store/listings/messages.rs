//! Messages, newest first, without what they say.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::{Channel, EhrId, MessageId, MessageState, PatientId, Reason, RuleId};
use crate::store::codes::decode;
use crate::store::tables::message;
use crate::store::{StoreError, View};

/// Which messages to list; all given conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// Any of these; empty means every state.
    pub states: Vec<MessageState>,
    pub channel: Option<Channel>,
    pub rule: Option<RuleId>,
    pub patient: Option<(EhrId, PatientId)>,
    pub before: Option<MessageId>,
    pub limit: u64,
}

/// One message of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageLine {
    pub id: MessageId,
    pub ehr: EhrId,
    pub patient: PatientId,
    pub rule: Option<RuleId>,
    pub channel: Channel,
    pub state: MessageState,
    pub reason: Option<Reason>,
    pub attempts: u32,
    pub created_at: DateTime<Utc>,
}

impl View<'_> {
    pub async fn list_messages(&self, filter: &MessageFilter) -> Result<Vec<MessageLine>, StoreError> {
        use message::Column as C;
        let mut query = message::Entity::find().filter(C::Tenant.eq(self.tenant.as_str()));
        if let Some(from) = filter.from {
            query = query.filter(C::CreatedAt.gte(from));
        }
        if let Some(until) = filter.until {
            query = query.filter(C::CreatedAt.lt(until));
        }
        if !filter.states.is_empty() {
            query = query.filter(C::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        if let Some(channel) = filter.channel {
            query = query.filter(C::Channel.eq(channel.as_str()));
        }
        if let Some(rule) = &filter.rule {
            query = query.filter(C::Rule.eq(rule.as_str()));
        }
        if let Some((ehr, patient)) = &filter.patient {
            query = query.filter(C::Ehr.eq(ehr.as_str())).filter(C::Patient.eq(patient.as_str()));
        }
        if let Some(before) = filter.before {
            query = query.filter(C::Id.lt(before.0));
        }
        // Ids are time-ordered, so that one column is order and cursor.
        let rows = query.order_by_desc(C::Id).limit(filter.limit).all(&self.conn).await?;
        rows.into_iter()
            .map(|row| {
                Ok(MessageLine {
                    id: MessageId(row.id),
                    ehr: EhrId::new(row.ehr),
                    patient: PatientId::new(row.patient),
                    rule: row.rule.map(RuleId::new),
                    channel: decode("channel", &row.channel)?,
                    state: decode("message state", &row.state)?,
                    reason: row.reason.as_deref().and_then(Reason::parse),
                    attempts: row.attempts.unsigned_abs(),
                    created_at: row.created_at,
                })
            })
            .collect()
    }
}
