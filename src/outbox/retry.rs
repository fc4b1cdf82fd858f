//! Messages that want another look: a retry that is due, an outcome that nobody knows, an attempt that a dead replica
//! left open. Each hop decides anew on fresh facts.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::deliver::{Ready, opened, opened_event, settled_event, was_called};
use super::{BATCH, Outbox, OutboxError, Providers, SEND_LEASE};
use crate::channels::sms::SmsRecord;
use crate::domain::{
    Address, AlertKind, Attempt, AttemptState, Channel, EhrId, Event, Message, MessageOrigin, MessageState, Reason,
    Reminder, ReminderId, Verdict,
};
use crate::store::{Delivery, Settlement, WriteBackSubject};

/// A provider that does not know a text after this long never took it.
const SURELY_KNOWN_AFTER: TimeDelta = TimeDelta::minutes(10);
/// Between two look-ups of an unknown outcome.
const LOOK_UP_EVERY: TimeDelta = TimeDelta::minutes(2);

/// What a look at a message found.
enum Look {
    /// Whether the last attempt was taken cannot be told yet.
    StillUnknown(Settlement),
    /// The last attempt's fate is known now, and it was taken.
    Taken(Settlement),
    /// It was certainly not taken: decide anew, then try again.
    TryAgain(Option<Settlement>),
    /// Mail only: repeat the same text under the same Message-ID.
    Repeat,
}

impl Outbox {
    pub(super) async fn retry_due(&self) -> Result<usize, OutboxError> {
        let mut tx = self.store.write(&self.tenant).await?;
        let due = tx.claim_messages(self.holder, SEND_LEASE, self.only.as_ref(), BATCH).await?;
        tx.commit().await?;
        let mut again: BTreeMap<EhrId, Vec<(Delivery, bool)>> = BTreeMap::new();
        let count = due.len();
        for delivery in due {
            match self.look(&delivery).await {
                Look::StillUnknown(settlement) | Look::Taken(settlement) => {
                    self.store_settlement(&delivery.message, &settlement).await?;
                }
                Look::TryAgain(settlement) => {
                    if let Some(settlement) = settlement {
                        self.store_settlement(&delivery.message, &settlement).await?;
                    }
                    again.entry(delivery.message.ehr.clone()).or_default().push((delivery, true));
                }
                Look::Repeat => again.entry(delivery.message.ehr.clone()).or_default().push((delivery, false)),
            }
        }
        for (ehr, deliveries) in again {
            self.try_again(&ehr, deliveries).await?;
        }
        Ok(count)
    }

    /// What became of the last attempt.
    async fn look(&self, delivery: &Delivery) -> Look {
        let Some(last) = delivery.attempts.last() else { return Look::TryAgain(None) };
        match (last.state, last.channel) {
            // A mail that may have gone out is repeated once under its Message-ID; receivers recognise it.
            (AttemptState::Opened | AttemptState::Unknown, Channel::Email) => {
                let repeated = delivery.attempts.iter().filter(|it| it.state == AttemptState::Unknown).count() > 1;
                if repeated { Look::StillUnknown(give_up(last)) } else { Look::Repeat }
            }
            (AttemptState::Opened | AttemptState::Unknown, _) => self.look_up(delivery, last).await,
            _ => Look::TryAgain(None),
        }
    }

    /// Asks the provider whether it took a text whose answer never came back.
    async fn look_up(&self, delivery: &Delivery, last: &Attempt) -> Look {
        let now = self.now();
        let (Some(sms), Address::Phone(to), Some(body)) =
            (&self.providers.sms, &delivery.message.address, &delivery.message.body)
        else {
            return Look::StillUnknown(give_up(last));
        };
        let found = sms.look_up(to, last.opened_at - TimeDelta::minutes(5)).await;
        let mut settlement = Settlement {
            attempt: last.id,
            message: last.message,
            state: AttemptState::Unknown,
            provider_ref: None,
            code: Some("answer_lost".to_owned()),
            protection: None,
            next_attempt_at: Some(now + LOOK_UP_EVERY),
            closed: None,
        };
        match found {
            Ok(records) => {
                let same = records.iter().filter(|record| record.body.expose() == body.text.expose());
                let Ok(unclaimed) = self.unclaimed(same, last).await else { return Look::StillUnknown(settlement) };
                if let Some(record) = unclaimed {
                    settlement.state = AttemptState::Accepted.advance(record.state);
                    settlement.provider_ref = Some(record.sid.clone());
                    settlement.code.clone_from(&record.code);
                    settlement.next_attempt_at = None;
                    return Look::Taken(settlement);
                }
                if now - last.opened_at < SURELY_KNOWN_AFTER {
                    return Look::StillUnknown(settlement);
                }
                settlement.state = AttemptState::Failed;
                settlement.code = Some("not_found_at_provider".to_owned());
                // Settling ends the lease; this keeps others away while it is tried again.
                settlement.next_attempt_at = Some(now + SEND_LEASE);
                if delivery.message.expires_at <= now {
                    settlement.next_attempt_at = None;
                    settlement.closed = Some((MessageState::Expired, Some(Reason::Expired)));
                    return Look::Taken(settlement);
                }
                Look::TryAgain(Some(settlement))
            }
            Err(error) => {
                tracing::warn!(%error, "an unknown outcome could not be looked up at the provider");
                Look::StillUnknown(settlement)
            }
        }
    }

    /// The first of these texts that no other attempt stands for: two patients with one phone may be told the same words.
    async fn unclaimed<'a>(
        &self,
        records: impl Iterator<Item = &'a SmsRecord>,
        last: &Attempt,
    ) -> Result<Option<&'a SmsRecord>, OutboxError> {
        for record in records {
            let known = self.store.view(&self.tenant).attempt_by_ref(&last.provider, &record.sid).await?;
            if known.is_none_or(|attempt| attempt.id == last.id) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    async fn store_settlement(&self, message: &Message, settlement: &Settlement) -> Result<(), OutboxError> {
        let mut tx = self.store.write(&self.tenant).await?;
        tx.settle_attempts(std::slice::from_ref(settlement)).await?;
        let event = settled_event(&tx, message, settlement);
        tx.append(event).await?;
        if settlement.next_attempt_at.is_none() {
            let line = (message.ehr.clone(), message.subject.clone(), WriteBackSubject::Message(message.id));
            tx.queue_write_backs(&[line]).await?;
        }
        if settlement.state == AttemptState::Unknown && settlement.closed.is_some() {
            let words = "nobody knows whether this message was sent; it is not repeated. Reach the person another way";
            tx.raise_alert(AlertKind::OutcomeUnknown, &message.id.to_string(), words).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Decides each message anew and sends those that still hold.
    async fn try_again(&self, ehr: &EhrId, deliveries: Vec<(Delivery, bool)>) -> Result<(), OutboxError> {
        let mut pairs: Vec<(Delivery, bool, Reminder)> = Vec::with_capacity(deliveries.len());
        for (delivery, render_anew) in deliveries {
            match self.reminder_of(&delivery.message).await? {
                Some(reminder) => pairs.push((delivery, render_anew, reminder)),
                None => self.close(&delivery.message, MessageState::Cancelled, Reason::RuleRetired).await?,
            }
        }
        let gathered = self.gather(ehr, &pairs.iter().map(|(_, _, reminder)| reminder).collect::<Vec<_>>()).await?;
        let now = self.now();
        let mut ready = Vec::new();
        for (delivery, render_anew, reminder) in pairs {
            let subject = gathered.subject(&reminder, now);
            let decision = gathered.decide(self, &reminder, &subject, Some(delivery.message.id), &[]);
            let mut message = delivery.message;
            match decision.verdict {
                Verdict::Release(release) if release.address == message.address => {
                    if let Some(rule) = gathered.rules.get(&reminder.plan.rule).filter(|_| render_anew) {
                        match self.body(rule, &release, &subject, &gathered) {
                            Ok(body) => message.body = Some(body),
                            Err(_) => {
                                self.close(&message, MessageState::Failed, Reason::TemplateFailed).await?;
                                continue;
                            }
                        }
                    }
                    let number = delivery.attempts.last().map_or(0, |it| it.number) + 1;
                    let attempt = opened(&self.store, &message, number, Providers::name(message.channel));
                    let called_before = delivery.attempts.iter().filter(|it| was_called(it)).count() as u32;
                    ready.push((Ready { message, attempt, called_before }, delivery.attempts, render_anew));
                }
                // The patient's address changed between two tries: the old one gets nothing more.
                Verdict::Release(_) => self.close(&message, MessageState::Cancelled, Reason::NoContactPoint).await?,
                Verdict::Wait { until, .. } => {
                    let mut tx = self.store.write(&self.tenant).await?;
                    tx.release_message(message.id, Some(until.min(message.expires_at)), None).await?;
                    tx.commit().await?;
                }
                Verdict::Expire(reason) => self.close(&message, MessageState::Expired, reason).await?,
                Verdict::Withhold(reason) | Verdict::Cancel(reason) => {
                    self.close(&message, MessageState::Cancelled, reason).await?;
                }
            }
        }
        if ready.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write(&self.tenant).await?;
        let mut events: Vec<Event> = Vec::with_capacity(ready.len());
        for (it, earlier, render_anew) in &ready {
            if let Some(abandoned) = earlier.last().filter(|it| it.state == AttemptState::Opened) {
                // A dead replica may have sent it: its attempt stays on record as unknown.
                tx.advance_attempt(abandoned.id, AttemptState::Unknown, None, Some("answer_lost"), now).await?;
            }
            if *render_anew {
                tx.set_message_body(&it.message).await?;
            }
            events.push(opened_event(&tx, &it.message, &it.attempt));
        }
        let attempts: Vec<Attempt> = ready.iter().map(|(it, _, _)| it.attempt.clone()).collect();
        tx.open_attempts(&attempts).await?;
        tx.append_all(events).await?;
        tx.commit().await?;
        self.deliver(ready.into_iter().map(|(it, _, _)| it).collect()).await
    }

    async fn reminder_of(&self, message: &Message) -> Result<Option<Reminder>, OutboxError> {
        let first: Option<&ReminderId> = match &message.origin {
            MessageOrigin::Reminders(ids) => ids.first(),
            MessageOrigin::Manual { .. } | MessageOrigin::Answer { .. } => None,
        };
        match first {
            Some(id) => Ok(self.store.view(&self.tenant).reminder(*id).await?),
            None => Ok(None),
        }
    }

    /// Ends a message that will not be tried again.
    async fn close(&self, message: &Message, state: MessageState, reason: Reason) -> Result<(), OutboxError> {
        let mut tx = self.store.write(&self.tenant).await?;
        tx.release_message(message.id, None, Some((state, Some(reason)))).await?;
        let event = tx
            .event(crate::domain::Actor::system("outbox"), crate::domain::EventKind::MessageClosed)
            .about_patient(&message.ehr, &message.subject)
            .about_message(message.id)
            .with_detail(serde_json::json!({ "state": state, "reason": reason }));
        tx.append(event).await?;
        let line = (message.ehr.clone(), message.subject.clone(), WriteBackSubject::Message(message.id));
        tx.queue_write_backs(&[line]).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Nothing more can be found out by machine: the message stays unknown, and is never repeated.
fn give_up(last: &Attempt) -> Settlement {
    Settlement {
        attempt: last.id,
        message: last.message,
        state: AttemptState::Unknown,
        provider_ref: None,
        code: Some("answer_lost".to_owned()),
        protection: None,
        next_attempt_at: None,
        closed: Some((MessageState::Unknown, None)),
    }
}
