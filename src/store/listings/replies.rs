//! What patients answered, newest first.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::{EhrId, MessageId, PatientId, Reply, ReplyId};
use crate::store::answers::reply_of;
use crate::store::tables::reply;
use crate::store::{StoreError, View};

/// Which replies to list; all given conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct ReplyFilter {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub message: Option<MessageId>,
    /// This reply alone.
    pub only: Option<ReplyId>,
    pub before: Option<ReplyId>,
    pub limit: u64,
}

/// One reply of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyLine {
    pub reply: Reply,
    /// Code of a `ReplyMeaning`, once it was looked at.
    pub meaning: Option<String>,
    pub about: Option<(EhrId, PatientId)>,
    pub message: Option<MessageId>,
}

impl View<'_> {
    pub async fn list_replies(&self, filter: &ReplyFilter) -> Result<Vec<ReplyLine>, StoreError> {
        use reply::Column as C;
        let mut query = reply::Entity::find().filter(C::Tenant.eq(self.tenant.as_str()));
        if let Some(from) = filter.from {
            query = query.filter(C::ReceivedAt.gte(from));
        }
        if let Some(until) = filter.until {
            query = query.filter(C::ReceivedAt.lt(until));
        }
        if let Some(message) = filter.message {
            query = query.filter(C::Message.eq(message.0));
        }
        if let Some(only) = filter.only {
            query = query.filter(C::Id.eq(only.0));
        }
        if let Some(before) = filter.before {
            query = query.filter(C::Id.lt(before.0));
        }
        let rows = query.order_by_desc(C::Id).limit(filter.limit).all(&self.conn).await?;
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        rows.into_iter()
            .map(|row| {
                let about = row.ehr.clone().map(EhrId::new).zip(row.patient.clone().map(PatientId::new));
                let (meaning, message) = (row.meaning.clone(), row.message.map(MessageId));
                Ok(ReplyLine { reply: reply_of(row, &keys)?, meaning, about, message })
            })
            .collect()
    }
}
