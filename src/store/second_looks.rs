//! Reminders that were withheld for what the EHR records of the person, and that want another look when it changes.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::alike::padded;
use super::tables::{message, reminder};
use super::{StoreError, Tx, View};
use crate::domain::{Address, Channel, EhrId, MessageState, PatientId, Reason, ReminderId, ReminderState, RuleId};

impl Tx<'_> {
    /// Opens reminders again that are withheld, or wait, for one of these reasons and whose time is not over: they are
    /// decided anew at once, or when they fall due. No message was ever made of them, so that none is sent twice.
    pub async fn look_again(
        &mut self,
        ehr: &EhrId,
        patients: &[PatientId],
        reasons: &[Reason],
    ) -> Result<Vec<(ReminderId, PatientId, RuleId)>, StoreError> {
        use reminder::Column as C;
        let now = self.now();
        let mut opened = Vec::new();
        for chunk in patients.chunks(512) {
            let rows: Vec<(Uuid, String, String)> = reminder::Entity::find()
                .select_only()
                .columns([C::Id, C::Patient, C::Rule])
                .filter(C::Tenant.eq(self.tenant.as_str()))
                .filter(C::Ehr.eq(ehr.as_str()))
                .filter(C::Patient.is_in(padded(chunk.iter().map(PatientId::as_str))))
                .filter(C::State.is_in([ReminderState::Withheld.as_str(), ReminderState::Waiting.as_str()]))
                .filter(C::Reason.is_in(reasons.iter().map(|reason| reason.as_str())))
                .filter(C::ExpiresAt.gt(now))
                .into_tuple()
                .all(&self.txn)
                .await?;
            reminder::Entity::update_many()
                .col_expr(C::State, Expr::value(ReminderState::Planned.as_str()))
                .col_expr(C::Reason, Expr::value(None::<String>))
                .col_expr(C::NextAt, Expr::value(now))
                .col_expr(C::LeasedBy, Expr::value(None::<Uuid>))
                .col_expr(C::LeasedUntil, Expr::value(None::<chrono::DateTime<chrono::Utc>>))
                .col_expr(C::UpdatedAt, Expr::value(now))
                .filter(C::Id.is_in(padded(rows.iter().map(|(id, _, _)| *id))))
                .filter(C::State.is_in([ReminderState::Withheld.as_str(), ReminderState::Waiting.as_str()]))
                .exec(&self.txn)
                .await?;
            opened.extend(
                rows.into_iter()
                    .map(|(id, patient, rule)| (ReminderId(id), PatientId::new(patient), RuleId::new(rule))),
            );
        }
        Ok(opened)
    }
}

impl View<'_> {
    /// Which of these addresses a provider refused for good, each with the channel: a message to it failed because
    /// there is no such address, or none that takes this channel.
    pub async fn refused_addresses(&self, addresses: &[Address]) -> Result<Vec<(Address, Channel)>, StoreError> {
        let mut by_digest = std::collections::HashMap::new();
        for address in addresses {
            by_digest.insert(self.blind(address.kind(), address.expose()).await?, address);
        }
        let rows: Vec<(Vec<u8>, String)> = message::Entity::find()
            .select_only()
            .columns([message::Column::AddressDigest, message::Column::Channel])
            .distinct()
            .filter(message::Column::Tenant.eq(self.tenant.as_str()))
            .filter(message::Column::AddressDigest.is_in(padded(by_digest.keys().cloned())))
            .filter(message::Column::State.eq(MessageState::Failed.as_str()))
            .filter(message::Column::Reason.eq(Reason::NoContactPoint.as_str()))
            .into_tuple()
            .all(&self.conn)
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(digest, channel)| Some(((*by_digest.get(&digest)?).clone(), Channel::parse(&channel)?)))
            .collect())
    }
}
