//! What comes back: receipts, replies and opt-outs.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alike::padded;
use super::codes::{code, decode};
use super::keyring::{Class, LoadedKeys, NOBODY};
use super::tables::{opt_out, receipt, reply};
use super::{StoreError, Tx, View};
use crate::domain::{
    Actor, Address, AttemptId, Channel, EhrId, EventKind, MessageId, OptOut, OptOutId, OptOutScope, PatientId, Phi,
    Receipt, ReceiptId, Reply, ReplyId, ReplyMeaning, RuleId,
};

/// What is sealed of an opt-out. Opt-outs outlive any one patient's data, so the tenant's key seals them.
#[derive(Serialize, Deserialize)]
struct SealedOptOut {
    address: Option<Address>,
    words: Option<Phi<String>>,
}

#[derive(Serialize, Deserialize)]
struct SealedReply {
    from: Address,
    to: String,
    text: Phi<String>,
    handled: Option<ReplyMeaning>,
}

impl Tx<'_> {
    /// Keeps a receipt; one that came before changes nothing. Answers whether it is new.
    pub async fn add_receipt(&mut self, it: &Receipt) -> Result<bool, StoreError> {
        let row = receipt::ActiveModel {
            id: Set(it.id.0),
            tenant: Set(self.tenant.to_string()),
            provider: Set(it.provider.clone()),
            provider_ref: Set(it.provider_ref.clone()),
            state: Set(it.state.as_str().to_owned()),
            code: Set(it.code.clone()),
            received_at: Set(it.received_at),
            processed_at: Set(None),
            attempt: Set(None),
        };
        use receipt::Column as C;
        let inserted = receipt::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([C::Tenant, C::Provider, C::ProviderRef, C::State]).do_nothing().to_owned(),
            )
            .exec_without_returning(&self.txn)
            .await?;
        Ok(inserted > 0)
    }

    /// Receipts that were not processed yet, oldest first.
    pub async fn receipts_due(&mut self, limit: u64) -> Result<Vec<Receipt>, StoreError> {
        let rows = receipt::Entity::find()
            .filter(receipt::Column::Tenant.eq(self.tenant.as_str()))
            .filter(receipt::Column::ProcessedAt.is_null())
            .order_by_asc(receipt::Column::ReceivedAt)
            .limit(limit)
            .all(&self.txn)
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Receipt {
                    id: ReceiptId(row.id),
                    provider: row.provider,
                    provider_ref: row.provider_ref,
                    state: decode("attempt state", &row.state)?,
                    code: row.code,
                    received_at: row.received_at,
                })
            })
            .collect()
    }

    /// Marks a receipt as processed; `None` when it matched no attempt. It is kept either way.
    pub async fn receipt_processed(&mut self, id: ReceiptId, attempt: Option<AttemptId>) -> Result<(), StoreError> {
        receipt::Entity::update_many()
            .col_expr(receipt::Column::ProcessedAt, Expr::value(self.now()))
            .col_expr(receipt::Column::Attempt, Expr::value(attempt.map(|id| id.0)))
            .filter(receipt::Column::Id.eq(id.0))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Keeps a reply; the same one twice is kept once. Answers whether it is new.
    pub async fn add_reply(&mut self, it: &Reply) -> Result<bool, StoreError> {
        self.prepare_keys(Class::Message, [NOBODY]).await?;
        let digest = self.view().blind(it.from.kind(), it.from.expose()).await?;
        let body = SealedReply { from: it.from.clone(), to: it.to.clone(), text: it.text.clone(), handled: it.handled };
        let row = reply::ActiveModel {
            id: Set(it.id.0),
            tenant: Set(self.tenant.to_string()),
            channel: Set(it.channel.as_str().to_owned()),
            provider: Set(it.provider.clone()),
            provider_ref: Set(it.provider_ref.clone()),
            from_digest: Set(digest),
            body: Set(self.seal_json(Class::Message, NOBODY, "reply", "body", &it.id.to_string(), &body)?),
            meaning: Set(None),
            ehr: Set(None),
            patient: Set(None),
            message: Set(None),
            received_at: Set(it.received_at),
            processed_at: Set(None),
        };
        use reply::Column as C;
        let inserted = reply::Entity::insert(row)
            .on_conflict(OnConflict::columns([C::Tenant, C::Provider, C::ProviderRef]).do_nothing().to_owned())
            .exec_without_returning(&self.txn)
            .await?;
        Ok(inserted > 0)
    }

    /// Records what a reply means and what it answers.
    pub async fn reply_processed(
        &mut self,
        id: ReplyId,
        meaning: ReplyMeaning,
        about: Option<(&EhrId, &PatientId, MessageId)>,
    ) -> Result<(), StoreError> {
        reply::Entity::update_many()
            .col_expr(reply::Column::ProcessedAt, Expr::value(self.now()))
            .col_expr(reply::Column::Meaning, Expr::value(meaning.as_str()))
            .col_expr(reply::Column::Ehr, Expr::value(about.map(|(ehr, _, _)| ehr.to_string())))
            .col_expr(reply::Column::Patient, Expr::value(about.map(|(_, patient, _)| patient.to_string())))
            .col_expr(reply::Column::Message, Expr::value(about.map(|(_, _, message)| message.0)))
            .filter(reply::Column::Id.eq(id.0))
            .filter(reply::Column::Tenant.eq(self.tenant.as_str()))
            .exec(&self.txn)
            .await?;
        Ok(())
    }

    /// Records an opt-out and who recorded it.
    pub async fn add_opt_out(&mut self, ehr: Option<&EhrId>, it: &OptOut, by: &Actor) -> Result<(), StoreError> {
        self.prepare_keys(Class::Message, [NOBODY]).await?;
        let digest = match &it.address {
            Some(address) => Some(self.view().blind(address.kind(), address.expose()).await?),
            None => None,
        };
        let (scope, channel, rule) = match &it.scope {
            OptOutScope::All => ("all", None, None),
            OptOutScope::Channel(channel) => ("channel", Some(channel.as_str().to_owned()), None),
            OptOutScope::Rule(rule) => ("rule", None, Some(rule.to_string())),
        };
        let body = SealedOptOut { address: it.address.clone(), words: it.words.clone() };
        let row = opt_out::ActiveModel {
            id: Set(it.id.0),
            tenant: Set(self.tenant.to_string()),
            scope: Set(scope.to_owned()),
            channel: Set(channel),
            rule: Set(rule),
            address_digest: Set(digest),
            ehr: Set(ehr.map(ToString::to_string)),
            patient: Set(it.patient.as_ref().map(ToString::to_string)),
            source: Set(it.source.clone()),
            body: Set(self.seal_json(Class::Message, NOBODY, "opt_out", "body", &it.id.to_string(), &body)?),
            recorded_by: Set(by.as_text()),
            recorded_at: Set(it.at),
            revoked_at: Set(it.revoked_at),
        };
        opt_out::Entity::insert(row).exec_without_returning(&self.txn).await?;
        let mut event = self.event(by.clone(), EventKind::OptOutRecorded).with_detail(json!({
            "opt_out": it.id, "scope": code(&it.scope), "source": it.source, "address": it.address, "words": it.words,
        }));
        if let (Some(ehr), Some(patient)) = (ehr, &it.patient) {
            event = event.about_patient(ehr, patient);
        }
        self.append(event).await
    }

    /// Takes back the opt-outs of an address on a channel: the person asked to be contacted again.
    pub async fn revoke_opt_outs(
        &mut self,
        address: &Address,
        channel: Channel,
        by: &Actor,
    ) -> Result<u64, StoreError> {
        let digest = self.view().blind(address.kind(), address.expose()).await?;
        let done = opt_out::Entity::update_many()
            .col_expr(opt_out::Column::RevokedAt, Expr::value(self.now()))
            .filter(opt_out::Column::Tenant.eq(self.tenant.as_str()))
            .filter(opt_out::Column::AddressDigest.eq(digest))
            .filter(opt_out::Column::RevokedAt.is_null())
            .filter(
                Condition::any()
                    .add(opt_out::Column::Scope.eq("all"))
                    .add(opt_out::Column::Channel.eq(channel.as_str())),
            )
            .exec(&self.txn)
            .await?;
        let event = self
            .event(by.clone(), EventKind::OptOutRevoked)
            .with_detail(json!({ "address": address, "channel": channel, "count": done.rows_affected }));
        self.append(event).await?;
        Ok(done.rows_affected)
    }
}

pub(super) fn reply_of(row: reply::Model, keys: &LoadedKeys) -> Result<Reply, StoreError> {
    let id = ReplyId(row.id);
    let body: SealedReply = keys.open_json("reply", "reply", "body", &id.to_string(), &row.body)?;
    Ok(Reply {
        id,
        channel: decode("channel", &row.channel)?,
        provider: row.provider,
        provider_ref: row.provider_ref,
        from: body.from,
        to: body.to,
        text: body.text,
        handled: body.handled,
        received_at: row.received_at,
    })
}

impl View<'_> {
    /// Replies that were not processed yet, oldest first.
    pub async fn replies_due(&self, limit: u64) -> Result<Vec<Reply>, StoreError> {
        let rows = reply::Entity::find()
            .filter(reply::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reply::Column::ProcessedAt.is_null())
            .order_by_asc(reply::Column::ReceivedAt)
            .limit(limit)
            .all(&self.conn)
            .await?;
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        rows.into_iter().map(|row| reply_of(row, &keys)).collect()
    }

    pub async fn reply(&self, id: ReplyId) -> Result<Option<(Reply, Option<MessageId>)>, StoreError> {
        let row = reply::Entity::find_by_id(id.0)
            .filter(reply::Column::Tenant.eq(self.tenant.as_str()))
            .one(&self.conn)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let keys = self.load_keys([row.body.as_slice()]).await?;
        let message = row.message.map(MessageId);
        Ok(Some((reply_of(row, &keys)?, message)))
    }

    /// Opt-outs in force for each patient: their own, those of records that were merged into theirs, and those of any of
    /// these addresses, whoever recorded them.
    pub async fn opt_outs_for(
        &self,
        ehr: &EhrId,
        patients: &[(PatientId, Vec<Address>)],
    ) -> Result<BTreeMap<PatientId, Vec<OptOut>>, StoreError> {
        let mut digests = BTreeSet::new();
        for address in patients.iter().flat_map(|(_, addresses)| addresses) {
            digests.insert(self.blind(address.kind(), address.expose()).await?);
        }
        let asked: Vec<PatientId> = patients.iter().map(|(patient, _)| patient.clone()).collect();
        let merges = self.merges(ehr, &asked).await?;
        let all = merges.with_predecessors(&asked);
        let ids = all.iter().map(PatientId::as_str);
        let rows = opt_out::Entity::find()
            .filter(opt_out::Column::Tenant.eq(self.tenant.as_str()))
            .filter(opt_out::Column::RevokedAt.is_null())
            .filter(
                Condition::any().add(opt_out::Column::AddressDigest.is_in(padded(digests))).add(
                    Condition::all()
                        .add(opt_out::Column::Ehr.eq(ehr.as_str()))
                        .add(opt_out::Column::Patient.is_in(padded(ids))),
                ),
            )
            .all(&self.conn)
            .await?;
        let mut standing = self.opt_outs_of(rows).await?;
        for it in &mut standing {
            // The person opted out, under whatever number the record had.
            let owner =
                it.patient.as_ref().filter(|patient| !asked.contains(patient)).map(|it| merges.owner(it).clone());
            it.patient = owner.or_else(|| it.patient.take());
        }
        Ok(patients
            .iter()
            .map(|(patient, addresses)| {
                let theirs = standing.iter().filter(|it| {
                    it.patient.as_ref() == Some(patient)
                        || it.address.as_ref().is_some_and(|address| addresses.contains(address))
                });
                (patient.clone(), theirs.cloned().collect())
            })
            .collect())
    }

    /// All opt-outs, newest first.
    pub async fn opt_outs(&self, limit: u64) -> Result<Vec<OptOut>, StoreError> {
        let rows = opt_out::Entity::find()
            .filter(opt_out::Column::Tenant.eq(self.tenant.as_str()))
            .order_by_desc(opt_out::Column::RecordedAt)
            .limit(limit)
            .all(&self.conn)
            .await?;
        self.opt_outs_of(rows).await
    }

    pub(super) async fn opt_outs_of(&self, rows: Vec<opt_out::Model>) -> Result<Vec<OptOut>, StoreError> {
        let keys = self.load_keys(rows.iter().map(|row| row.body.as_slice())).await?;
        rows.into_iter()
            .map(|row| {
                let id = OptOutId(row.id);
                let body: SealedOptOut = keys.open_json("opt-out", "opt_out", "body", &id.to_string(), &row.body)?;
                let scope = match (row.scope.as_str(), row.channel.as_deref(), row.rule) {
                    ("channel", Some(channel), _) => OptOutScope::Channel(decode("channel", channel)?),
                    ("rule", _, Some(rule)) => OptOutScope::Rule(RuleId::new(rule)),
                    // A scope that is not understood binds everything.
                    _ => OptOutScope::All,
                };
                Ok(OptOut {
                    id,
                    scope,
                    address: body.address,
                    patient: row.patient.map(PatientId::new),
                    source: row.source,
                    words: body.words,
                    at: row.recorded_at,
                    revoked_at: row.revoked_at,
                })
            })
            .collect()
    }

    /// Which of these addresses have an opt-out in force that forbids `channel` for `rule`: the last look before a
    /// provider is called.
    pub async fn opted_out_now(
        &self,
        addresses: &[(Address, Channel, Option<RuleId>)],
    ) -> Result<Vec<bool>, StoreError> {
        let mut digests = BTreeSet::new();
        for (address, _, _) in addresses {
            digests.insert(self.blind(address.kind(), address.expose()).await?);
        }
        let rows = opt_out::Entity::find()
            .filter(opt_out::Column::Tenant.eq(self.tenant.as_str()))
            .filter(opt_out::Column::RevokedAt.is_null())
            .filter(opt_out::Column::AddressDigest.is_in(padded(digests)))
            .all(&self.conn)
            .await?;
        let standing = self.opt_outs_of(rows).await?;
        Ok(addresses
            .iter()
            .map(|(address, channel, rule)| {
                standing.iter().any(|it| it.address.as_ref() == Some(address) && it.forbids(*channel, rule.as_ref()))
            })
            .collect())
    }

    /// Whether anything was answered since `since`, by meaning.
    pub async fn replies_by_meaning(&self, since: DateTime<Utc>) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows: Vec<Option<String>> = reply::Entity::find()
            .select_only()
            .column(reply::Column::Meaning)
            .filter(reply::Column::Tenant.eq(self.tenant.as_str()))
            .filter(reply::Column::ReceivedAt.gte(since))
            .into_tuple()
            .all(&self.conn)
            .await?;
        let mut counts = BTreeMap::new();
        for meaning in rows {
            *counts.entry(meaning.unwrap_or_else(|| "unread".to_owned())).or_insert(0) += 1;
        }
        Ok(counts)
    }
}
