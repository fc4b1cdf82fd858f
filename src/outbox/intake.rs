//! What providers report: stored raw and answered fast; processed afterwards.

use std::sync::Arc;

use serde_json::json;

use super::Providers;
use crate::channels::{ChannelError, SmsChannel};
use crate::config::Settings;
use crate::domain::{Actor, Channel, EventKind, Receipt, ReceiptId, Reply, ReplyId, TenantId};
use crate::store::{Store, StoreError};

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the signature does not fit; check sms.webhook_token and server.public_url")]
    Signature,
    #[error("no such address")]
    Unknown,
    #[error("the report cannot be read: {0}")]
    Malformed(#[from] ChannelError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A webhook call: which address it came to, what it carries, and what it is signed with.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The unguessable part of the address.
    pub secret: &'a str,
    /// The address as the provider was told it.
    pub url: &'a str,
    pub form: &'a [(String, String)],
    pub signature: &'a str,
}

/// Takes in what the SMS provider posts. Stored before it is answered, so that nothing is lost between the two.
#[derive(Debug, Clone)]
pub struct Intake {
    store: Store,
    tenant: TenantId,
    settings: Arc<Settings>,
    providers: Arc<Providers>,
}

impl Intake {
    pub fn new(store: Store, tenant: TenantId, settings: Arc<Settings>, providers: Arc<Providers>) -> Self {
        Self { store, tenant, settings, providers }
    }

    /// What became of a text.
    pub async fn sms_status(&self, report: Report<'_>) -> Result<(), IntakeError> {
        let status = self.genuine(report)?.status_report(report.form)?;
        let mut tx = self.store.write(&self.tenant).await?;
        let receipt = Receipt {
            id: ReceiptId(self.store.new_id()),
            provider: Providers::name(Channel::Sms).to_owned(),
            provider_ref: status.provider_ref,
            state: status.state,
            code: status.code,
            received_at: tx.now(),
        };
        tx.add_receipt(&receipt).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A text from a patient.
    pub async fn sms_inbound(&self, report: Report<'_>) -> Result<(), IntakeError> {
        let inbound = self.genuine(report)?.inbound(report.form)?;
        let mut tx = self.store.write(&self.tenant).await?;
        let reply = Reply {
            id: ReplyId(self.store.new_id()),
            channel: Channel::Sms,
            provider: Providers::name(Channel::Sms).to_owned(),
            provider_ref: inbound.provider_ref,
            from: inbound.from,
            to: inbound.to,
            text: inbound.text,
            handled: inbound.handled,
            received_at: tx.now(),
        };
        if tx.add_reply(&reply).await? {
            let event = tx
                .event(Actor::Patient, EventKind::ReplyReceived)
                .with_detail(json!({ "reply": reply.id, "from": reply.from, "text": reply.text }));
            tx.append(event).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The channel whose provider this is, if address and signature prove it.
    fn genuine(&self, report: Report<'_>) -> Result<&SmsChannel, IntakeError> {
        use secrecy::ExposeSecret as _;
        let settings = self.settings.sms.as_ref().ok_or(IntakeError::Unknown)?;
        let channel = self.providers.sms.as_ref().ok_or(IntakeError::Unknown)?;
        let expected = settings.hook_secret.expose_secret().as_bytes();
        aws_lc_rs::constant_time::verify_slices_are_equal(report.secret.as_bytes(), expected)
            .map_err(|_| IntakeError::Unknown)?;
        if channel.is_genuine(report.url, report.form, report.signature) {
            Ok(channel)
        } else {
            Err(IntakeError::Signature)
        }
    }
}
