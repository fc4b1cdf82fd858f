//! Receipts move attempts forward; one that matches nothing yet is kept and looked at again.

use chrono::TimeDelta;
use serde_json::json;

use super::{BATCH, Outbox, OutboxError};
use crate::channels::sms::{Meaning, meaning};
use crate::domain::{
    Actor, AttemptState, Channel, EventKind, Message, MessageState, OptOut, OptOutId, OptOutScope, Reason, Receipt,
    Rejection,
};
use crate::store::{Tx, WriteBackSubject};

/// A receipt may overtake the answer to the call that it belongs to; after this long it matches nothing of ours.
const MATCH_WITHIN: TimeDelta = TimeDelta::hours(1);
/// Carrier blocks that are somebody's opt-out (messaging spec: 21610, 30004).
const BLOCKS: [&str; 2] = ["21610", "30004"];

impl Outbox {
    pub(super) async fn process_receipts(&self) -> Result<usize, OutboxError> {
        let mut tx = self.store.write(&self.tenant).await?;
        let due = tx.receipts_due(BATCH).await?;
        let mut done = 0;
        for receipt in &due {
            done += usize::from(self.process_receipt(&mut tx, receipt).await?);
        }
        tx.commit().await?;
        Ok(done)
    }

    async fn process_receipt(&self, tx: &mut Tx<'_>, receipt: &Receipt) -> Result<bool, OutboxError> {
        let attempt = tx.view().attempt_by_ref(&receipt.provider, &receipt.provider_ref).await?;
        let Some(attempt) = attempt else {
            if tx.now() - receipt.received_at < MATCH_WITHIN {
                return Ok(false);
            }
            tx.receipt_processed(receipt.id, None).await?;
            return Ok(true);
        };
        let now = tx.now();
        let moved = tx.advance_attempt(attempt.id, receipt.state, None, receipt.code.as_deref(), now).await?;
        tx.receipt_processed(receipt.id, Some(attempt.id)).await?;
        if !moved {
            return Ok(true);
        }
        let state = tx.derive_message(attempt.message).await?;
        let Some(delivery) = tx.view().deliveries(&[attempt.message]).await?.pop() else { return Ok(true) };
        let message = delivery.message;
        let event = tx
            .event(Actor::Provider(receipt.provider.clone()), EventKind::ReceiptReceived)
            .about_patient(&message.ehr, &message.subject)
            .about_message(message.id)
            .with_detail(json!({
                "receipt": receipt.id, "attempt": attempt.id, "state": receipt.state, "code": receipt.code,
                "message_state": state,
            }));
        tx.append(event).await?;
        if matches!(receipt.state, AttemptState::Failed | AttemptState::Expired) {
            self.after_failure(tx, &message, receipt).await?;
        }
        let line = (message.ehr.clone(), message.subject.clone(), WriteBackSubject::Message(message.id));
        tx.queue_write_backs(&[line]).await?;
        Ok(true)
    }

    /// The carrier did not deliver: the message ends as failed, and a block is an opt-out.
    async fn after_failure(&self, tx: &mut Tx<'_>, message: &Message, receipt: &Receipt) -> Result<(), OutboxError> {
        // A landline or an unknown number often shows only now; it is not tried again.
        let code = receipt.code.as_deref().and_then(|code| code.parse().ok());
        let reason = match code.map(meaning) {
            Some(Meaning::Reject(Rejection::Address)) if message.channel == Channel::Sms => Reason::NoContactPoint,
            _ => Reason::ProviderRefused,
        };
        let closed = (MessageState::Failed, Some(reason));
        tx.release_message(message.id, None, Some(closed)).await?;
        if receipt.code.as_deref().is_some_and(|code| BLOCKS.contains(&code)) {
            let opt_out = OptOut {
                id: OptOutId(self.store.new_id()),
                scope: OptOutScope::Channel(message.channel),
                address: Some(message.address.clone()),
                patient: None,
                source: format!("provider code {}", receipt.code.as_deref().unwrap_or_default()),
                words: None,
                at: tx.now(),
                revoked_at: None,
            };
            tx.add_opt_out(Some(&message.ehr), &opt_out, &Actor::Provider(receipt.provider.clone())).await?;
        }
        Ok(())
    }
}
