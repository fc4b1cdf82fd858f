//! The history: append in the transaction of the act, read by subject and time.
//!
//! A leaf is SHA-256(0x00 ‖ canonical event ‖ salt). The salt is sealed with the event: shredding the key destroys it,
//! so that the leaf cannot be guessed from low-entropy content, and the tree over the leaves stays valid.

use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::event_of;
use super::keyring::{Class, LoadedKeys, NOBODY};
use super::tables::event;
use super::{StoreError, Tx, View};
use crate::clock::hexadecimal;
use crate::domain::{
    Actor, Address, Channel, EhrId, Event, EventId, EventKind, EventOutcome, PatientId, Purpose, Reason, RuleId,
    RuleVersionId, TenantId,
};
use crate::seal::IndexKey;

/// What is sealed of an event.
#[derive(Serialize, Deserialize)]
pub(super) struct SealedDetail {
    pub(super) salt: String,
    pub(super) detail: Value,
}

/// Which events to read; all given conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub ehr: Option<EhrId>,
    pub patient: Option<PatientId>,
    pub kinds: Vec<EventKind>,
    pub actor: Option<Actor>,
    pub outcome: Option<EventOutcome>,
    pub rule: Option<RuleId>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// What the event's message or reminder must be.
    pub about: AboutFilter,
    /// Only events before this one: the cursor of the page after it.
    pub before: Option<EventCursor>,
    pub limit: u64,
}

/// Conditions on the message or the reminder that an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AboutFilter {
    /// To whom it went.
    pub address: Option<Address>,
    pub version: Option<RuleVersionId>,
    pub channel: Option<Channel>,
    pub purpose: Option<Purpose>,
    /// Code of a state of a message or of a reminder.
    pub state: Option<String>,
    pub reason: Option<Reason>,
    /// How the way to the provider was protected, such as `TLSv1.3`.
    pub protection: Option<String>,
    /// The id of an event, a message or a reminder, a provider's reference, or the id of what was written to the EHR.
    pub reference: Option<String>,
}

/// The last event of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    pub at: DateTime<Utc>,
    pub id: EventId,
}

impl EventCursor {
    pub const fn of(event: &Event) -> Self {
        Self { at: event.at, id: event.id }
    }
}

impl std::fmt::Display for EventCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at.timestamp_micros(), self.id)
    }
}

impl std::str::FromStr for EventCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, id) = text.split_once('.').ok_or(())?;
        let at = at.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or(())?;
        Ok(Self { at, id: id.parse().map_err(|_| ())? })
    }
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
        let salt = hexadecimal(&salt);
        let leaf = leaf_of(&canonical(&event), &salt);
        let mac = mac_key.mac(&mac_input(event.id, &event.tenant, &leaf));
        let row = event.id.to_string();
        let sealed = SealedDetail { salt, detail: event.detail };
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
            leaf: Set(leaf.to_vec()),
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
        let query = event::Entity::find().filter(self.asked(filter).await?);
        // In the order of the indexes, so that a page is read and nothing is sorted.
        let query = query.order_by_desc(event::Column::At).order_by_desc(event::Column::Id);
        let rows = query.limit(filter.limit.max(1)).all(&self.conn).await?;
        self.events_of(rows).await
    }

    /// Opens rows of the history.
    pub(super) async fn events_of(&self, rows: Vec<event::Model>) -> Result<Vec<Event>, StoreError> {
        let keys = self.load_keys(rows.iter().map(|row| row.detail.as_slice())).await?;
        rows.into_iter().map(|row| self.event_of(row, &keys)).collect()
    }

    pub(super) fn event_of(&self, row: event::Model, keys: &LoadedKeys) -> Result<Event, StoreError> {
        let id = row.id.to_string();
        let opened: Result<SealedDetail, StoreError> = keys.open_json("event", "event", "detail", &id, &row.detail);
        let detail = match opened {
            Ok(sealed) => sealed.detail,
            Err(StoreError::Shredded) => serde_json::json!({ "shredded": true }),
            Err(error) => return Err(error),
        };
        event_of(row, self.tenant, detail)
            .map_err(|reason| StoreError::Corrupt { what: "event", reason: reason.to_owned() })
    }
}

/// Whose history key seals an event: the patient's, else the tenant's own.
fn subject_of(event: &Event) -> String {
    match (&event.ehr, &event.patient) {
        (Some(ehr), Some(patient)) => super::patient_subject(ehr, patient),
        _ => NOBODY.to_owned(),
    }
}

/// An event's content, byte for byte as its leaf covers it: JSON, in field order.
pub(super) fn canonical(event: &Event) -> Vec<u8> {
    serde_json::to_vec(event).unwrap_or_default()
}

/// The leaf of an event: SHA-256 over a zero byte, the content, and the 32 bytes of the salt.
pub(super) fn leaf_of(canonical: &[u8], salt: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(canonical);
    context.update(&from_hexadecimal(salt));
    let mut leaf = [0; 32];
    leaf.copy_from_slice(context.finish().as_ref());
    leaf
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | pair.get(1).map_or(0, |low| digit(*low))).collect()
}

/// What a row's code covers: which event, of whom, with which content.
pub(super) fn mac_input(id: EventId, tenant: &TenantId, leaf: &[u8]) -> Vec<u8> {
    let mut bytes = id.0.as_bytes().to_vec();
    bytes.extend_from_slice(tenant.as_str().as_bytes());
    bytes.extend_from_slice(leaf);
    bytes
}
