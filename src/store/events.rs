//! The history: append in the transaction of the act, read by subject and time.
//!
//! A leaf is SHA-256(0x00 ‖ canonical event ‖ salt). The salt is sealed with the event: shredding the key destroys it,
//! so that the leaf cannot be guessed from low-entropy content, and the tree over the leaves stays valid.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keyring::{Class, LoadedKeys, NOBODY};
use super::tables::event;
use super::{StoreError, Tx, View};
use crate::clock::hexadecimal;
use crate::domain::{Actor, EhrId, Event, EventId, EventKind, EventOutcome, MessageId, PatientId, ReminderId, RuleId};
use crate::seal::IndexKey;

/// What is sealed of an event.
#[derive(Serialize, Deserialize)]
struct SealedDetail {
    salt: String,
    detail: Value,
}

/// Which events to read; all given conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub ehr: Option<EhrId>,
    pub patient: Option<PatientId>,
    pub kinds: Vec<EventKind>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// Only events before this one: the cursor of the page after it.
    pub before: Option<EventId>,
    pub limit: u64,
}

impl Tx<'_> {
    /// Appends one event. If this fails, the transaction must not be committed: no audit, no act.
    pub async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        self.append_all(vec![event]).await
    }

    /// Appends events in one statement.
    pub async fn append_all(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let subjects: Vec<String> = events.iter().map(subject_of).collect();
        self.prepare_keys(Class::History, subjects.iter().map(String::as_str)).await?;
        let mac_key = self.view().tenant_keys().await?.mac.clone();
        let rows: Vec<(Event, String)> = events.into_iter().zip(subjects).collect();
        self.insert_in_step(rows, 128, |(event, subject)| self.event_model(event, &subject, &mac_key), None).await
    }

    fn event_model(&self, event: Event, subject: &str, mac_key: &IndexKey) -> Result<event::ActiveModel, StoreError> {
        let mut salt = [0_u8; 32];
        self.store.entropy().fill(&mut salt);
        let leaf = leaf(&event, &salt);
        let mac = mac_key.mac(&mac_input(&event, &leaf));
        let row = event.id.to_string();
        let sealed = SealedDetail { salt: hexadecimal(&salt), detail: event.detail };
        let detail = self.seal_json(Class::History, subject, "event", "detail", &row, &sealed)?;
        Ok(event::ActiveModel {
            id: Set(event.id.0),
            tenant: Set(self.tenant.to_string()),
            seq: Set(None),
            at: Set(event.at),
            actor: Set(event.actor.as_text()),
            kind: Set(event.kind.as_str().to_owned()),
            outcome: Set(event.outcome.as_str().to_owned()),
            ehr: Set(event.ehr.map(|id| id.to_string())),
            patient: Set(event.patient.map(|id| id.to_string())),
            rule: Set(event.rule.map(|id| id.to_string())),
            reminder: Set(event.reminder.map(|id| id.0)),
            message: Set(event.message.map(|id| id.0)),
            detail: Set(detail),
            leaf: Set(leaf),
            mac: Set(mac),
        })
    }

    /// A new event of this transaction, by `actor`.
    pub fn event(&self, actor: Actor, kind: EventKind) -> Event {
        Event::new(EventId(self.store.new_id()), self.tenant.clone(), self.now(), actor, kind)
    }
}

impl View<'_> {
    /// Events, newest first.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        let mut query = event::Entity::find().filter(event::Column::Tenant.eq(self.tenant.as_str()));
        if let Some(ehr) = &filter.ehr {
            query = query.filter(event::Column::Ehr.eq(ehr.as_str()));
        }
        if let Some(patient) = &filter.patient {
            query = query.filter(event::Column::Patient.eq(patient.as_str()));
        }
        if !filter.kinds.is_empty() {
            query = query.filter(event::Column::Kind.is_in(filter.kinds.iter().map(|kind| kind.as_str())));
        }
        if let Some(from) = filter.from {
            query = query.filter(event::Column::At.gte(from));
        }
        if let Some(until) = filter.until {
            query = query.filter(event::Column::At.lt(until));
        }
        if let Some(before) = filter.before {
            query = query.filter(event::Column::Id.lt(before.0));
        }
        let rows = query.order_by_desc(event::Column::Id).limit(filter.limit.max(1)).all(&self.conn).await?;
        self.events_of(rows).await
    }

    /// Opens rows of the history.
    pub(super) async fn events_of(&self, rows: Vec<event::Model>) -> Result<Vec<Event>, StoreError> {
        let keys = self.load_keys(rows.iter().map(|row| row.detail.as_slice())).await?;
        rows.into_iter().map(|row| self.event_of(row, &keys)).collect()
    }

    fn event_of(&self, row: event::Model, keys: &LoadedKeys) -> Result<Event, StoreError> {
        let id = row.id.to_string();
        let opened: Result<SealedDetail, StoreError> = keys.open_json("event", "event", "detail", &id, &row.detail);
        let detail = match opened {
            Ok(sealed) => sealed.detail,
            Err(StoreError::Shredded) => serde_json::json!({ "shredded": true }),
            Err(error) => return Err(error),
        };
        let corrupt = |reason: &str| StoreError::Corrupt { what: "event", reason: reason.to_owned() };
        Ok(Event {
            id: EventId(row.id),
            tenant: self.tenant.clone(),
            at: row.at,
            actor: Actor::parse(&row.actor).ok_or_else(|| corrupt("unknown actor"))?,
            kind: EventKind::parse(&row.kind).ok_or_else(|| corrupt("unknown kind"))?,
            outcome: EventOutcome::parse(&row.outcome).ok_or_else(|| corrupt("unknown outcome"))?,
            ehr: row.ehr.map(EhrId::new),
            patient: row.patient.map(PatientId::new),
            rule: row.rule.map(RuleId::new),
            reminder: row.reminder.map(ReminderId),
            message: row.message.map(MessageId),
            detail,
        })
    }
}

/// Whose history key seals an event: the patient's, else the tenant's own.
fn subject_of(event: &Event) -> String {
    match (&event.ehr, &event.patient) {
        (Some(ehr), Some(patient)) => super::patient_subject(ehr, patient),
        _ => NOBODY.to_owned(),
    }
}

/// The hash of an event's content, in field order, with its salt.
fn leaf(event: &Event, salt: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0_u8];
    bytes.extend_from_slice(&serde_json::to_vec(event).unwrap_or_default());
    bytes.extend_from_slice(salt);
    digest(&SHA256, &bytes).as_ref().to_vec()
}

/// What a row's code covers: which event, of whom, with which content.
fn mac_input(event: &Event, leaf: &[u8]) -> Vec<u8> {
    let mut bytes = event.id.0.as_bytes().to_vec();
    bytes.extend_from_slice(event.tenant.as_str().as_bytes());
    bytes.extend_from_slice(leaf);
    bytes
}
