//! Events as an auditor reads them: each row with its place, its leaf as it stands and as its content says it must be.
//! Reading and checking are apart, so that one page is checked while the next one comes in.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use uuid::Uuid;

use super::events::{SealedDetail, canonical, leaf_of, mac_input};
use super::keyring::LoadedKeys;
use super::tables::{data_key, event};
use super::{StoreError, View};
use crate::domain::{
    Actor, EhrId, Event, EventId, EventKind, EventOutcome, MessageId, PatientId, ReminderId, RuleId, TenantId,
};
use crate::seal::{IndexKey, SealError};

/// What a row's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It opens; this is the leaf that it makes.
    Whole([u8; 32]),
    /// The key with this id is not there any more; the leaf is all that is left.
    Destroyed(Uuid),
    /// Its sealed part cannot be what was written.
    Unreadable(&'static str),
    /// A column in the clear holds what Beckon never writes.
    Garbled(&'static str),
}

/// One row, checked by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedRow {
    pub id: EventId,
    pub seq: Option<i64>,
    pub at: DateTime<Utc>,
    pub kind: String,
    /// The leaf column; `None` if it is no hash.
    pub leaf: Option<[u8; 32]>,
    pub content: Content,
    /// Whether the row's code fits its id and leaf: whoever wrote it had the tenant's keys.
    pub genuine: bool,
    /// What it says, where the event is about the log itself.
    pub about_log: Option<Value>,
}

/// A data key that was destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestroyedKey {
    pub id: Uuid,
    pub at: Option<DateTime<Utc>>,
}

/// Rows with the keys to them.
pub struct AuditPage {
    rows: Vec<event::Model>,
    keys: LoadedKeys,
    tenant: TenantId,
    mac: IndexKey,
}

impl AuditPage {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Place and id of the last row.
    pub fn last(&self) -> Option<(i64, EventId)> {
        self.rows.last().and_then(|row| Some((row.seq?, EventId(row.id))))
    }

    /// Checks every row by itself. Work for the processor alone.
    pub fn check(self) -> Vec<AuditedRow> {
        let Self { rows, keys, tenant, mac } = self;
        rows.into_iter()
            .map(|row| {
                let id = EventId(row.id);
                let leaf: Option<[u8; 32]> = row.leaf.as_slice().try_into().ok();
                let genuine = mac.verify(&mac_input(id, &tenant, &row.leaf), &row.mac);
                let (seq, at, kind) = (row.seq, row.at, row.kind.clone());
                let (content, about_log) = content(row, &tenant, &keys);
                AuditedRow { id, seq, at, kind, leaf, content, genuine, about_log }
            })
            .collect()
    }
}

fn content(row: event::Model, tenant: &TenantId, keys: &LoadedKeys) -> (Content, Option<Value>) {
    let id = row.id.to_string();
    let opened: Result<SealedDetail, StoreError> = keys.open_json("event", "event", "detail", &id, &row.detail);
    let content = match opened {
        Ok(SealedDetail { salt, detail }) => match event_of(row, tenant, detail) {
            Ok(event) => {
                let leaf = leaf_of(&canonical(&event), &salt);
                let about_log = matches!(event.kind, EventKind::CheckpointSigned).then_some(event.detail);
                return (Content::Whole(leaf), about_log);
            }
            Err(words) => Content::Garbled(words),
        },
        Err(StoreError::Shredded) => crate::seal::key_of(&row.detail).map_or_else(|_| NO_SEAL, Content::Destroyed),
        Err(StoreError::Seal(SealError::Malformed)) => NO_SEAL,
        Err(StoreError::Seal(_)) => {
            Content::Unreadable("its sealed detail does not open: it was altered, or moved from another row")
        }
        Err(_) => Content::Unreadable("its sealed detail is not what Beckon writes"),
    };
    (content, None)
}

const NO_SEAL: Content = Content::Unreadable("its sealed detail is no sealed value");

/// The event that a row and its opened detail make.
pub(super) fn event_of(row: event::Model, tenant: &TenantId, detail: Value) -> Result<Event, &'static str> {
    Ok(Event {
        id: EventId(row.id),
        tenant: tenant.clone(),
        at: row.at,
        actor: Actor::parse(&row.actor).ok_or("its actor is none that Beckon writes")?,
        kind: EventKind::parse(&row.kind).ok_or("its kind is none that this Beckon knows")?,
        outcome: EventOutcome::parse(&row.outcome).ok_or("its outcome is none that Beckon writes")?,
        ehr: row.ehr.map(EhrId::new),
        patient: row.patient.map(PatientId::new),
        rule: row.rule.map(RuleId::new),
        reminder: row.reminder.map(ReminderId),
        message: row.message.map(MessageId),
        detail,
    })
}

impl View<'_> {
    /// Up to `limit` events from a place on, by place. There may be several at one place, where somebody saw to it.
    pub async fn audit_page(&self, from: i64, limit: u64) -> Result<AuditPage, StoreError> {
        let rows = event::Entity::find()
            .filter(event::Column::Tenant.eq(self.tenant.as_str()))
            .filter(event::Column::Seq.gte(from))
            .order_by_asc(event::Column::Seq)
            .order_by_asc(event::Column::Id)
            .limit(limit)
            .all(&self.conn)
            .await?;
        self.audited(rows).await
    }

    /// Up to `limit` events without a place, after the one given, by id.
    pub async fn audit_unnumbered(&self, after: Option<EventId>, limit: u64) -> Result<AuditPage, StoreError> {
        let mut query = event::Entity::find()
            .filter(event::Column::Tenant.eq(self.tenant.as_str()))
            .filter(event::Column::Seq.is_null());
        if let Some(after) = after {
            query = query.filter(event::Column::Id.gt(after.0));
        }
        let rows = query.order_by_asc(event::Column::Id).limit(limit).all(&self.conn).await?;
        self.audited(rows).await
    }

    async fn audited(&self, rows: Vec<event::Model>) -> Result<AuditPage, StoreError> {
        // A value that names no key is found when it is opened.
        let sealed = rows.iter().map(|row| row.detail.as_slice()).filter(|it| crate::seal::key_of(it).is_ok());
        let keys = self.load_keys(sealed).await?;
        Ok(AuditPage { rows, keys, tenant: self.tenant.clone(), mac: self.tenant_keys().await?.mac.clone() })
    }

    /// What is known of data keys that are not there any more. One that is not even known is left out.
    pub async fn destroyed_keys(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, DestroyedKey>, StoreError> {
        let mut found = HashMap::new();
        for chunk in ids.chunks(500) {
            let rows: Vec<(Uuid, Option<DateTime<Utc>>)> = data_key::Entity::find()
                .select_only()
                .columns([data_key::Column::Id, data_key::Column::DestroyedAt])
                .filter(data_key::Column::Tenant.eq(self.tenant.as_str()))
                .filter(data_key::Column::Id.is_in(chunk.iter().copied()))
                .into_tuple()
                .all(&self.conn)
                .await?;
            found.extend(rows.into_iter().map(|(id, at)| (id, DestroyedKey { id, at })));
        }
        Ok(found)
    }
}
