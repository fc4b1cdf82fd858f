//! What was found is entered: messages that the ledger did not know, and those that were sent after all.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::Work;
use crate::domain::{
    Address, Attempt, AttemptId, AttemptState, Channel, Check, CheckResult, ConsentBasis, Decision, DecisionId, Detail,
    EventKind, Message, MessageBody, MessageId, MessageOrigin, Phi, Purpose, Reason, Recipient, Reminder, Verdict,
};
use crate::outbox::Providers;
use crate::store::{Decided, Delivery, SentBefore, Settlement, StoreError, WriteBackSubject};

/// What is known of a message that went out.
pub(super) struct Sent {
    pub(super) message: MessageId,
    pub(super) channel: Channel,
    pub(super) address: Address,
    pub(super) at: DateTime<Utc>,
    pub(super) sid: Option<String>,
    pub(super) body: Option<Phi<String>>,
    pub(super) state: AttemptState,
}

impl Work<'_> {
    /// Enters a message that the ledger did not know.
    pub(super) async fn enter(
        &self,
        reminder: &Reminder,
        sent: Sent,
        communication: Option<String>,
        evidence: &str,
    ) -> Result<(), StoreError> {
        let (purpose, details) =
            self.rules.get(&reminder.plan.rule).cloned().unwrap_or((Purpose::Treatment, BTreeMap::new()));
        let message = Message {
            id: sent.message,
            ehr: reminder.ehr.clone(),
            subject: reminder.patient.clone(),
            recipient: Recipient::Patient(reminder.patient.clone()),
            origin: MessageOrigin::Reminders(vec![reminder.id]),
            rule: Some(reminder.plan.rule.clone()),
            rule_version: Some(reminder.plan.rule_version.clone()),
            purpose,
            channel: sent.channel,
            address: sent.address,
            // Which template it was, and in which language, was lost with the ledger.
            language: "und".to_owned(),
            template: "restored".to_owned(),
            detail: details.get(&sent.channel).copied().unwrap_or(Detail::Limited),
            basis: ConsentBasis::NumberProvided,
            created_at: sent.at,
            expires_at: reminder.plan.expires_at,
            body: sent.body.map(|text| MessageBody { subject: None, text, html: None }),
        };
        let attempt = Attempt {
            id: AttemptId(self.gateway.store.new_id()),
            message: message.id,
            number: 1,
            channel: sent.channel,
            provider: Providers::name(sent.channel).to_owned(),
            state: sent.state,
            provider_ref: sent.sid,
            code: None,
            protection: None,
            opened_at: sent.at,
            settled_at: Some(sent.at),
        };
        let found = SentBefore { reminder: reminder.id, message, attempt, communication };
        let mut tx = self.gateway.store.write(&self.gateway.tenant).await?;
        tx.record_sent_before(&found, evidence, self.by).await?;
        tx.commit().await
    }

    /// A message of the ledger was sent after all.
    pub(super) async fn settle(
        &self,
        delivery: &Delivery,
        state: AttemptState,
        sid: Option<String>,
        communication: Option<&str>,
        evidence: &str,
    ) -> Result<(), StoreError> {
        let message = &delivery.message;
        let mut tx = self.gateway.store.write(&self.gateway.tenant).await?;
        let attempt = match delivery.attempts.last() {
            // Refused at the time of the backup, and tried again after it.
            None => None,
            Some(last) if AttemptState::advance(last.state, AttemptState::Accepted) == last.state => None,
            Some(last) => Some(last.id),
        };
        let attempt = if let Some(id) = attempt {
            id
        } else {
            let number = delivery.attempts.last().map_or(0, |last| last.number) + 1;
            let id = AttemptId(self.gateway.store.new_id());
            tx.open_attempts(&[Attempt {
                id,
                message: message.id,
                number,
                channel: message.channel,
                provider: Providers::name(message.channel).to_owned(),
                state: AttemptState::Opened,
                provider_ref: None,
                code: None,
                protection: None,
                opened_at: tx.now(),
                settled_at: None,
            }])
            .await?;
            id
        };
        tx.settle_attempts(&[Settlement {
            attempt,
            message: message.id,
            state,
            provider_ref: sid.clone(),
            code: None,
            protection: None,
            next_attempt_at: None,
            closed: None,
        }])
        .await?;
        match communication {
            Some(id) => tx.written_before(&message.ehr, &message.subject, message.id, id).await?,
            None => {
                let line = (message.ehr.clone(), message.subject.clone(), WriteBackSubject::Message(message.id));
                tx.queue_write_backs(&[line]).await?;
            }
        }
        let event = tx
            .event(self.by.clone(), EventKind::AttemptSettled)
            .about_patient(&message.ehr, &message.subject)
            .about_message(message.id)
            .with_detail(json!({
                "attempt": attempt, "state": state, "provider_ref": sid, "sent_before_the_restore": evidence,
            }));
        tx.append(event).await?;
        tx.commit().await
    }

    pub(super) async fn withhold(&self, reminder: &Reminder, reason: Reason, words: &str) -> Result<(), StoreError> {
        let mut tx = self.gateway.store.write(&self.gateway.tenant).await?;
        let check = Check { name: "restored".to_owned(), result: CheckResult::Failed, words: words.to_owned() };
        let decision = Decision {
            id: DecisionId(self.gateway.store.new_id()),
            reminder: reminder.id,
            rule_version: reminder.plan.rule_version.clone(),
            at: tx.now(),
            verdict: Verdict::Withhold(reason),
            checks: vec![check],
            facts: Vec::new(),
        };
        let event = tx
            .event(self.by.clone(), EventKind::ReminderDecided)
            .about_patient(&reminder.ehr, &reminder.patient)
            .about_rule(&reminder.plan.rule)
            .about_reminder(reminder.id)
            .with_detail(json!({ "decision": decision.id, "verdict": decision.verdict }));
        tx.settle_reminders(&[Decided { reminder: reminder.clone(), decision, message: None }]).await?;
        tx.append(event).await?;
        tx.commit().await
    }
}
