//! Messages and attempts: opened before the provider is called, settled after.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    UpdateMany,
};
use uuid::Uuid;

use super::alike::{chunks, padded};
use super::codes::{code, decode};
use super::keyring::{Class, LoadedKeys};
use super::tables::{attempt, message};
use super::{StoreError, Tx, View, of_ehr, patient_subject};
use crate::domain::{
    Address, Attempt, AttemptId, AttemptState, Channel, EhrId, Message, MessageBody, MessageId, MessageState,
    PatientId, Reason, RuleId, RuleVersionId,
};

/// How an attempt ended its turn, and what becomes of its message.
#[derive(Debug, Clone)]
pub struct Settlement {
    pub attempt: AttemptId,
    pub message: MessageId,
    pub state: AttemptState,
    pub provider_ref: Option<String>,
    pub code: Option<String>,
    pub protection: Option<String>,
    /// When the message is to be looked at again: a retry, or a look-up of an unknown outcome.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Set when no further attempt will be made.
    pub closed: Option<(MessageState, Option<Reason>)>,
}

/// A message with its attempts, oldest first.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub message: Message,
    pub attempts: Vec<Attempt>,
    pub state: MessageState,
    pub reason: Option<Reason>,
}

impl Tx<'_> {
    /// Inserts messages that are about to be sent for the first time, leased to `holder` until the attempt is settled.
    pub async fn insert_messages(
        &mut self,
        messages: &[Message],
        holder: Uuid,
        lease: TimeDelta,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let subjects: Vec<String> = messages.iter().map(|it| patient_subject(&it.ehr, &it.subject)).collect();
        self.prepare_keys(Class::Message, subjects.iter().map(String::as_str)).await?;
        let index = self.view().tenant_keys().await?.index.clone();
        let rows: Vec<(&Message, String)> = messages.iter().zip(subjects).collect();
        let leased_until = now + lease;
        let build = |(it, subject): (&Message, String)| {
            let id = it.id.to_string();
            let body = match &it.body {
                Some(body) => Some(self.seal_json(Class::Message, &subject, "message", "body", &id, body)?),
                None => None,
            };
            Ok(message::ActiveModel {
                id: Set(it.id.0),
                tenant: Set(self.tenant.to_string()),
                ehr: Set(it.ehr.to_string()),
                patient: Set(it.subject.to_string()),
                recipient: Set(code(&it.recipient)),
                origin: Set(code(&it.origin)),
                rule: Set(it.rule.as_ref().map(ToString::to_string)),
                rule_version: Set(it.rule_version.as_ref().map(ToString::to_string)),
                purpose: Set(code(&it.purpose)),
                channel: Set(it.channel.as_str().to_owned()),
                address_digest: Set(index.digest(it.address.kind(), it.address.expose())),
                address: Set(self.seal_json(Class::Message, &subject, "message", "address", &id, &it.address)?),
                language: Set(it.language.clone()),
                template: Set(it.template.clone()),
                detail: Set(code(&it.detail)),
                basis: Set(code(&it.basis)),
                body: Set(body),
                state: Set(MessageState::Queued.as_str().to_owned()),
                closed: Set(None),
                reason: Set(None),
                attempts: Set(1),
                created_at: Set(it.created_at),
                expires_at: Set(it.expires_at),
                next_attempt_at: Set(Some(now)),
                leased_by: Set(Some(holder)),
                leased_until: Set(Some(leased_until)),
                updated_at: Set(now),
            })
        };
        self.insert_in_step(rows, 64, build, None).await
    }

    /// Opens attempts: from the commit on, a provider may have been called.
    pub async fn open_attempts(&mut self, attempts: &[Attempt]) -> Result<(), StoreError> {
        let now = self.now();
        let rows: Vec<_> = attempts
            .iter()
            .map(|it| attempt::ActiveModel {
                id: Set(it.id.0),
                tenant: Set(self.tenant.to_string()),
                message: Set(it.message.0),
                number: Set(it.number as i32),
                channel: Set(it.channel.as_str().to_owned()),
                provider: Set(it.provider.clone()),
                state: Set(it.state.as_str().to_owned()),
                provider_ref: Set(it.provider_ref.clone()),
                code: Set(it.code.clone()),
                protection: Set(it.protection.clone()),
                opened_at: Set(it.opened_at),
                settled_at: Set(it.settled_at),
                updated_at: Set(now),
            })
            .collect();
        for chunk in chunks(rows, 400) {
            attempt::Entity::insert_many(chunk).exec_without_returning(&self.txn).await?;
        }
        let mut by_number: BTreeMap<u32, Vec<Uuid>> = BTreeMap::new();
        // Its first attempt is counted as a message is inserted.
        for it in attempts.iter().filter(|it| it.number > 1) {
            by_number.entry(it.number).or_default().push(it.message.0);
        }
        for (number, messages) in by_number {
            for chunk in messages.chunks(512) {
                message::Entity::update_many()
                    .col_expr(message::Column::Attempts, Expr::value(number as i32))
                    .filter(message::Column::Id.is_in(padded(chunk.iter().copied())))
                    .filter(message::Column::Tenant.eq(self.tenant.as_str()))
                    .exec(&self.txn)
                    .await?;
            }
        }
        Ok(())
    }

    /// Replaces the text of messages that certainly reached nobody yet: it is rendered anew for each try.
    pub async fn set_message_body(&mut self, it: &Message) -> Result<(), StoreError> {
        let Some(body) = &it.body else { return Ok(()) };
        let subject = patient_subject(&it.ehr, &it.subject);
        self.prepare_keys(Class::Message, [subject.as_str()]).await?;
        let sealed = self.seal_json(Class::Message, &subject, "message", "body", &it.id.to_string(), body)?;
        message::Entity::update_many()
            .col_expr(message::Column::Body, Expr::value(sealed))
            .filter(message::Column::Id.eq(it.id.0))
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Closes attempts and derives their messages' states anew. The leases end. A few statements for all of them: this
    /// stands between two batches of messages.
    pub async fn settle_attempts(&mut self, settled: &[Settlement]) -> Result<(), StoreError> {
        let now = self.now();
        for chunk in settled.chunks(256) {
            let messages: Vec<Uuid> = chunk.iter().map(|it| it.message.0).collect();
            let mut states = self.advance_attempts(chunk, &messages, now).await?;
            let closed_before = self.closed_messages(&messages).await?;
            let mut alike: BTreeMap<_, Vec<Uuid>> = BTreeMap::new();
            for it in chunk {
                let Some(before) = closed_before.get(&it.message.0) else { continue };
                let attempts = states.remove(&it.message.0).unwrap_or_default();
                let closed = it.closed.map_or(*before, |(state, _)| Some(state));
                let turn = Turn {
                    next_attempt_at: it.next_attempt_at,
                    closed: it.closed.map(|(state, reason)| (state.as_str(), reason.map(Reason::as_str))),
                    state: MessageState::derive(&attempts, closed).as_str(),
                };
                alike.entry(turn).or_default().push(it.message.0);
            }
            for (turn, messages) in alike {
                self.end_turns(&turn, messages, now).await?;
            }
        }
        Ok(())
    }

    /// Moves attempts forward, never back, as [`Tx::advance_attempt`] does with one. Answers the states of all attempts
    /// of these messages.
    async fn advance_attempts(
        &mut self,
        settled: &[Settlement],
        messages: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<HashMap<Uuid, Vec<AttemptState>>, StoreError> {
        let rows = attempt::Entity::find()
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(attempt::Column::Message.is_in(padded(messages.iter().copied())))
            .order_by_asc(attempt::Column::Id)
            .lock(LockType::Update)
            .all(&self.txn)
            .await?;
        let settlements: HashMap<Uuid, &Settlement> = settled.iter().map(|it| (it.attempt.0, it)).collect();
        let mut states: HashMap<Uuid, Vec<AttemptState>> = HashMap::with_capacity(messages.len());
        let mut advanced = Vec::with_capacity(settled.len());
        for mut row in rows {
            let settlement = settlements.get(&row.id);
            if let Some(it) = settlement {
                advance(&mut row, it.state, it.provider_ref.as_deref(), it.code.as_deref(), now)?;
                if it.protection.is_some() {
                    row.protection.clone_from(&it.protection);
                }
            }
            states.entry(row.message).or_default().extend(AttemptState::parse(&row.state));
            if settlement.is_some() {
                advanced.push(attempt::ActiveModel::from(row).reset_all());
            }
        }
        if advanced.is_empty() {
            return Ok(states);
        }
        // The rows stand and are locked: this is one update of all of them.
        use attempt::Column as C;
        attempt::Entity::insert_many(advanced)
            .on_conflict(
                OnConflict::column(C::Id)
                    .update_columns([C::State, C::ProviderRef, C::Code, C::Protection, C::SettledAt, C::UpdatedAt])
                    .to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        Ok(states)
    }

    /// How each of these messages was closed, if it was; messages that are not the tenant's are left out.
    async fn closed_messages(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Option<MessageState>>, StoreError> {
        let rows: Vec<(Uuid, Option<String>)> = message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .column(message::Column::Closed)
            .filter(message::Column::Id.is_in(padded(ids.iter().copied())))
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .into_tuple()
            .all(&self.txn)
            .await?;
        Ok(rows.into_iter().map(|(id, closed)| (id, closed.as_deref().and_then(MessageState::parse))).collect())
    }

    /// Ends the turn of messages that end it alike, in one statement.
    async fn end_turns(&mut self, turn: &Turn, messages: Vec<Uuid>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut update = ended(turn.next_attempt_at, turn.closed)
            .col_expr(message::Column::State, Expr::value(turn.state))
            .col_expr(message::Column::UpdatedAt, Expr::value(now));
        update = update
            .filter(message::Column::Id.is_in(padded(messages)))
            .filter(message::Column::Tenant.eq(self.tenant.as_str()));
        update.exec(&self.txn).await?;
        Ok(())
    }

    /// Ends a message's turn: when to look at it again, or that it is closed. Derives its state.
    pub async fn release_message(
        &mut self,
        id: MessageId,
        next_attempt_at: Option<DateTime<Utc>>,
        closed: Option<(MessageState, Option<Reason>)>,
    ) -> Result<(), StoreError> {
        let closed = closed.map(|(state, reason)| (state.as_str(), reason.map(Reason::as_str)));
        ended(next_attempt_at, closed)
            .filter(message::Column::Id.eq(id.0))
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        self.derive_message(id).await?;
        Ok(())
    }

    /// Moves one attempt forward, never back; answers whether it moved.
    pub async fn advance_attempt(
        &mut self,
        id: AttemptId,
        next: AttemptState,
        provider_ref: Option<&str>,
        code: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let row = attempt::Entity::find_by_id(id.0)
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .lock(LockType::Update)
            .one(&self.txn)
            .await?;
        let Some(mut row) = row else { return Ok(false) };
        let moved = advance(&mut row, next, provider_ref, code, at)?;
        attempt::Entity::update(attempt::ActiveModel::from(row).reset_all()).exec(&self.txn).await?;
        Ok(moved)
    }

    /// Writes the message's state as its attempts say it; answers it.
    pub async fn derive_message(&mut self, id: MessageId) -> Result<MessageState, StoreError> {
        let states: Vec<String> = attempt::Entity::find()
            .select_only()
            .column(attempt::Column::State)
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(attempt::Column::Message.eq(id.0))
            .into_tuple()
            .all(&self.txn)
            .await?;
        let Some(closed) = self.closed_messages(&[id.0]).await?.remove(&id.0) else {
            return Ok(MessageState::Queued);
        };
        let states: Vec<AttemptState> = states.iter().filter_map(|state| AttemptState::parse(state)).collect();
        let state = MessageState::derive(&states, closed);
        message::Entity::update_many()
            .col_expr(message::Column::State, Expr::value(state.as_str()))
            .col_expr(message::Column::UpdatedAt, Expr::value(self.now()))
            .filter(message::Column::Id.eq(id.0))
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(state)
    }

    /// Takes messages whose next look is due: retries, unknown outcomes, and what a dead replica left behind. With `only`
    /// those of one EHR.
    pub async fn claim_messages(
        &mut self,
        holder: Uuid,
        lease: TimeDelta,
        only: Option<&EhrId>,
        limit: u64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let now = self.now();
        let ids: Vec<Uuid> = message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(of_ehr(message::Column::Ehr, only))
            .filter(message::Column::NextAttemptAt.lte(now))
            .filter(
                Condition::any().add(message::Column::LeasedUntil.is_null()).add(message::Column::LeasedUntil.lte(now)),
            )
            .order_by_asc(message::Column::NextAttemptAt)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_tuple()
            .all(&self.txn)
            .await?;
        message::Entity::update_many()
            .col_expr(message::Column::LeasedBy, Expr::value(holder))
            .col_expr(message::Column::LeasedUntil, Expr::value(now + lease))
            .filter(message::Column::Id.is_in(padded(ids.iter().copied())))
            .exec(&self.txn)
            .await?;
        self.view().deliveries(&ids.into_iter().map(MessageId).collect::<Vec<_>>()).await
    }
}

impl View<'_> {
    /// Messages with their attempts, in the order asked for; ids that are not the tenant's are left out.
    pub async fn deliveries(&self, ids: &[MessageId]) -> Result<Vec<Delivery>, StoreError> {
        let rows = message::Entity::find()
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::Id.is_in(padded(ids.iter().map(|id| id.0))))
            .all(&self.conn)
            .await?;
        let tries = attempt::Entity::find()
            .filter(attempt::Column::Message.is_in(padded(rows.iter().map(|row| row.id))))
            .order_by_asc(attempt::Column::Number)
            .all(&self.conn)
            .await?;
        let keys = self
            .load_keys(
                rows.iter().flat_map(|row| [Some(row.address.as_slice()), row.body.as_deref()].into_iter().flatten()),
            )
            .await?;
        let mut found = Vec::with_capacity(rows.len());
        for id in ids {
            let Some(row) = rows.iter().find(|row| row.id == id.0) else { continue };
            let attempts: Result<Vec<Attempt>, StoreError> =
                tries.iter().filter(|it| it.message == id.0).map(attempt_of).collect();
            found.push(Delivery {
                state: MessageState::parse(&row.state).unwrap_or(MessageState::Queued),
                reason: row.reason.as_deref().and_then(Reason::parse),
                attempts: attempts?,
                message: message_of(row, &keys)?,
            });
        }
        Ok(found)
    }

    /// When the person behind `patient` was last messaged, since `since`: what the frequency budget counts. Messages
    /// that never reached a provider do not count; answers that the person asked for do not either.
    pub async fn contacts_since(
        &self,
        ehr: &EhrId,
        patients: &[PatientId],
        since: DateTime<Utc>,
    ) -> Result<Vec<(PatientId, MessageId, DateTime<Utc>)>, StoreError> {
        let rows: Vec<(String, Uuid, DateTime<Utc>)> = message::Entity::find()
            .select_only()
            .column(message::Column::Patient)
            .column(message::Column::Id)
            .column(message::Column::CreatedAt)
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::Ehr.eq(ehr.as_str()))
            .filter(message::Column::Patient.is_in(padded(patients.iter().map(PatientId::as_str))))
            .filter(message::Column::CreatedAt.gte(since))
            .filter(message::Column::State.is_not_in(["failed", "cancelled", "expired"]))
            .filter(message::Column::Basis.ne("requested"))
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows.into_iter().map(|(patient, id, at)| (PatientId::new(patient), MessageId(id), at)).collect())
    }

    /// The newest messages to an address: what a reply from it answers.
    pub async fn messages_to(
        &self,
        address: &Address,
        since: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let digest = self.blind(address.kind(), address.expose()).await?;
        let ids: Vec<Uuid> = message::Entity::find()
            .select_only()
            .column(message::Column::Id)
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::AddressDigest.eq(digest))
            .filter(message::Column::CreatedAt.gte(since))
            .order_by_desc(message::Column::CreatedAt)
            .limit(limit)
            .into_tuple()
            .all(&self.conn)
            .await?;
        self.deliveries(&ids.into_iter().map(MessageId).collect::<Vec<_>>()).await
    }

    /// The attempt that a provider knows by this reference.
    pub async fn attempt_by_ref(&self, provider: &str, provider_ref: &str) -> Result<Option<Attempt>, StoreError> {
        let row = attempt::Entity::find()
            .filter(attempt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(attempt::Column::Provider.eq(provider))
            .filter(attempt::Column::ProviderRef.eq(provider_ref))
            .one(&self.conn)
            .await?;
        row.as_ref().map(attempt_of).transpose()
    }

    /// The next instant at which a message wants a look, if there is one.
    pub async fn next_message_at(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let next: Option<Option<DateTime<Utc>>> = message::Entity::find()
            .select_only()
            .column(message::Column::NextAttemptAt)
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::NextAttemptAt.is_not_null())
            .order_by_asc(message::Column::NextAttemptAt)
            .into_tuple()
            .one(&self.conn)
            .await?;
        Ok(next.flatten())
    }
}

fn message_of(row: &message::Model, keys: &LoadedKeys) -> Result<Message, StoreError> {
    let id = MessageId(row.id).to_string();
    let body: Option<MessageBody> = match &row.body {
        Some(sealed) => Some(keys.open_json("message body", "message", "body", &id, sealed)?),
        None => None,
    };
    Ok(Message {
        id: MessageId(row.id),
        ehr: EhrId::new(row.ehr.clone()),
        subject: PatientId::new(row.patient.clone()),
        recipient: decode("recipient", &row.recipient)?,
        origin: decode("origin", &row.origin)?,
        rule: row.rule.clone().map(RuleId::new),
        rule_version: row.rule_version.clone().map(RuleVersionId::new),
        purpose: decode("purpose", &row.purpose)?,
        channel: decode("channel", &row.channel)?,
        address: keys.open_json("address", "message", "address", &id, &row.address)?,
        language: row.language.clone(),
        template: row.template.clone(),
        detail: decode("detail", &row.detail)?,
        basis: decode("basis", &row.basis)?,
        created_at: row.created_at,
        expires_at: row.expires_at,
        body,
    })
}

/// How messages end their turn.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    next_attempt_at: Option<DateTime<Utc>>,
    closed: Option<(&'static str, Option<&'static str>)>,
    state: &'static str,
}

/// An update that ends leases and says when to look again, or that a message is closed.
fn ended(
    next_attempt_at: Option<DateTime<Utc>>,
    closed: Option<(&'static str, Option<&'static str>)>,
) -> UpdateMany<message::Entity> {
    let mut update = message::Entity::update_many()
        .col_expr(message::Column::NextAttemptAt, Expr::value(next_attempt_at))
        .col_expr(message::Column::LeasedBy, Expr::value(Option::<Uuid>::None))
        .col_expr(message::Column::LeasedUntil, Expr::value(Option::<DateTime<Utc>>::None));
    if let Some((state, reason)) = closed {
        update = update
            .col_expr(message::Column::Closed, Expr::value(state))
            .col_expr(message::Column::Reason, Expr::value(reason));
    }
    update
}

/// Moves one attempt forward, never back; answers whether it moved.
fn advance(
    row: &mut attempt::Model,
    next: AttemptState,
    provider_ref: Option<&str>,
    code: Option<&str>,
    at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let state: AttemptState = decode("attempt state", &row.state)?;
    let moved = state.advance(next) != state;
    if let Some(provider_ref) = provider_ref {
        row.provider_ref = Some(provider_ref.to_owned());
    }
    if moved {
        next.as_str().clone_into(&mut row.state);
        row.code = code.map(str::to_owned);
    }
    row.settled_at = row.settled_at.or(Some(at));
    row.updated_at = at;
    Ok(moved)
}

fn attempt_of(row: &attempt::Model) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        id: AttemptId(row.id),
        message: MessageId(row.message),
        number: row.number as u32,
        channel: decode::<Channel>("channel", &row.channel)?,
        provider: row.provider.clone(),
        state: decode("attempt state", &row.state)?,
        provider_ref: row.provider_ref.clone(),
        code: row.code.clone(),
        protection: row.protection.clone(),
        opened_at: row.opened_at,
        settled_at: row.settled_at,
    })
}
