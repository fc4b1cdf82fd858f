//! Calls the providers for opened attempts, and settles what they answered.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::sync::mpsc;

use super::lane::Stopping;
use super::stages::Stage;
use super::{Outbox, OutboxError, Providers};
use crate::channels::{OutboundEmail, OutboundSms};
use crate::domain::{
    Actor, Address, AlertKind, Attempt, AttemptId, AttemptState, Channel, Event, EventKind, EventOutcome, Message,
    MessageBody, MessageState, OptOut, OptOutId, OptOutScope, Outcome, Phi, Reason, Rejection,
};
use crate::store::{SendMode, Sending, Settlement, Store, StoreError, Tx, WriteBackSubject};

/// A call begins no later than this after its attempt was opened, so that it ends before the lease does: behind slow
/// calls the wait may be long, and after the lease another replica takes the message over.
const CALL_WITHIN: TimeDelta = TimeDelta::minutes(4);
/// Provider calls under way at once.
const CALLS_AT_ONCE: usize = 16;
/// Answers settled in one transaction at most, and how long the first of them waits for the others.
const SETTLE_AT_ONCE: usize = 200;
const SETTLE_WITHIN: std::time::Duration = std::time::Duration::from_millis(250);
/// A provider that refuses us, not the message, is tried again after this long; a person is told.
const SENDER_REFUSED: TimeDelta = TimeDelta::minutes(15);
/// Waits between tries: 1, 5, 15 minutes, then an hour.
const RETRY_MINUTES: [i64; 4] = [1, 5, 15, 60];
/// An unknown outcome is first looked up after this long.
const LOOK_UP_AFTER: TimeDelta = TimeDelta::seconds(30);

/// A message whose attempt stands in the database: from here on a provider may be called.
pub(super) struct Ready {
    pub(super) message: Message,
    pub(super) attempt: Attempt,
    /// Earlier attempts for which the provider was called: what the limit of attempts counts.
    pub(super) called_before: u32,
}

/// How the code of an attempt begins for which no provider was called; the reason follows.
const NOT_CALLED: &str = "not_called";

/// Whether an attempt reached for its provider. One that a halt stopped did not, and costs the message nothing.
pub(super) fn was_called(attempt: &Attempt) -> bool {
    !attempt.code.as_deref().is_some_and(|code| code.starts_with(NOT_CALLED))
}

/// A new attempt of a message.
pub(super) fn opened(store: &Store, message: &Message, number: u32, provider: &str) -> Attempt {
    Attempt {
        id: AttemptId(store.new_id()),
        message: message.id,
        number,
        channel: message.channel,
        provider: provider.to_owned(),
        state: AttemptState::Opened,
        provider_ref: None,
        code: None,
        protection: None,
        opened_at: store.clock().now(),
        settled_at: None,
    }
}

pub(super) fn opened_event(tx: &Tx<'_>, message: &Message, attempt: &Attempt) -> Event {
    about(tx, message, EventKind::AttemptOpened).with_detail(json!({
        "attempt": attempt.id, "number": attempt.number, "channel": attempt.channel, "provider": attempt.provider,
        "address": message.address, "template": message.template, "language": message.language, "basis": message.basis,
        "rule_version": message.rule_version, "purpose": message.purpose, "detail": message.detail,
        // What was sent is not repeated here; its digest proves that the message still says it.
        "body_sha256": message.body.as_ref().map(digest_of),
    }))
}

/// SHA-256 of what the person sees, as JSON.
fn digest_of(body: &MessageBody) -> String {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    crate::clock::hexadecimal(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes).as_ref())
}

fn about(tx: &Tx<'_>, message: &Message, kind: EventKind) -> Event {
    let event =
        tx.event(Actor::system("outbox"), kind).about_patient(&message.ehr, &message.subject).about_message(message.id);
    match &message.rule {
        Some(rule) => event.about_rule(rule),
        None => event,
    }
}

impl Outbox {
    /// Has the providers called: by the lane where there is one, else here and now.
    pub(super) async fn deliver(&self, ready: Vec<Ready>) -> Result<(), OutboxError> {
        match &self.lane {
            Some(lane) => lane.take(ready).await,
            None if ready.is_empty() => {}
            None => Box::pin(self.carry(stream::iter(ready), &Stopping::default())).await?,
        }
        Ok(())
    }

    /// Calls the providers side by side, and settles the answers in groups as they come: a slow mail relay does not
    /// keep a text's answer waiting, and calls go on while answers are stored.
    pub(super) async fn carry(&self, ready: impl Stream<Item = Ready>, stopping: &Stopping) -> Result<(), OutboxError> {
        let gate = Gate::default();
        let (answer, mut answered) = mpsc::channel(2 * SETTLE_AT_ONCE);
        let calls = async {
            let calls = ready.map(|it| {
                let gate = &gate;
                async move {
                    let called = if stopping.is_set() { Called::TooLate } else { self.call(&it, gate).await };
                    (it, called)
                }
            });
            let mut calls = std::pin::pin!(calls.buffer_unordered(CALLS_AT_ONCE));
            while let Some(called) = calls.next().await {
                if answer.send(called).await.is_err() {
                    // Settling failed. What was called is found again as unknown when its lease ends.
                    break;
                }
            }
            drop(answer);
        };
        let settling = async {
            let mut group = Vec::new();
            while let Some(first) = answered.recv().await {
                group.push(first);
                let until = tokio::time::Instant::now() + SETTLE_WITHIN;
                while group.len() < SETTLE_AT_ONCE
                    && let Ok(Some(next)) = tokio::time::timeout_at(until, answered.recv()).await
                {
                    group.push(next);
                }
                self.watcher.ended(Stage::Deliver);
                self.settle(std::mem::take(&mut group)).await?;
                self.watcher.ended(Stage::Settle);
            }
            // Closes the channel when settling ends early, so that no more is called than can be settled.
            drop(answered);
            Ok(())
        };
        let ((), settled) = futures_util::join!(calls, settling);
        settled
    }

    /// Calls the provider, unless the last look says that nothing may go out any more.
    async fn call(&self, it: &Ready, gate: &Gate) -> Called {
        let now = self.now();
        if it.message.expires_at <= now {
            return Called::Not(Reason::Expired);
        }
        if now - it.attempt.opened_at > CALL_WITHIN {
            return Called::TooLate;
        }
        match gate.look(self).await {
            Ok(sending) if sending.mode == SendMode::Off => return Called::Not(Reason::SendingOff),
            Ok(sending) if sending.halt_for(it.message.rule.as_ref(), it.message.channel).is_some() => {
                return Called::Not(Reason::Halted);
            }
            Ok(sending) if sending.mode == SendMode::Test && !self.is_safe(&it.message.address) => {
                return Called::Not(Reason::NotSafeAddress);
            }
            Ok(_) => {}
            // Whether it was halted cannot be told: then it is.
            Err(_) => return Called::Not(Reason::Halted),
        }
        Called::Answered(self.send(&it.message, now).await)
    }

    async fn send(&self, message: &Message, now: DateTime<Utc>) -> Outcome {
        let nothing = |code: &str| Outcome::Reject { code: code.to_owned(), because: Rejection::Sender };
        let Some(body) = &message.body else { return nothing("no_body") };
        match (message.channel, &message.address) {
            (Channel::Email, Address::Email(to)) => {
                let Some(email) = &self.providers.email else { return nothing("no_provider") };
                email
                    .send(&OutboundEmail {
                        to,
                        subject: body.subject.as_ref().unwrap_or(&Phi::default()),
                        text: &body.text,
                        html: body.html.as_ref(),
                        message_id: &self.message_id(message),
                        date: message.created_at,
                        list_unsubscribe: None,
                        envelope_from: None,
                    })
                    .await
            }
            (Channel::Sms, Address::Phone(to)) => {
                let Some(sms) = &self.providers.sms else { return nothing("no_provider") };
                let left = (message.expires_at - now).num_seconds().clamp(1, 36_000);
                sms.send(&OutboundSms {
                    to,
                    body: &body.text,
                    status_callback: self.providers.sms_status_url.as_deref(),
                    validity_seconds: left as u32,
                })
                .await
            }
            _ => nothing("no_provider"),
        }
    }

    /// Stable over every try, so that a mail that is repeated is recognised.
    pub(super) fn message_id(&self, message: &Message) -> String {
        let from = self.settings.smtp.as_ref().map_or("beckon.invalid", |smtp| smtp.from.as_str());
        let domain = from.rsplit('@').next().unwrap_or("beckon.invalid").trim_end_matches('>');
        format!("<{}@{domain}>", message.id)
    }

    async fn settle(&self, answered: Vec<(Ready, Called)>) -> Result<(), OutboxError> {
        let mut tx = self.store.write(&self.tenant).await?;
        let now = tx.now();
        let mut settlements = Vec::with_capacity(answered.len());
        let mut events = Vec::with_capacity(answered.len());
        let mut write_backs = Vec::new();
        let mut blocked = Vec::new();
        let mut refusing = BTreeMap::new();
        for (it, called) in &answered {
            let settlement = self.settlement(it, called, now);
            events.push(settled_event(&tx, &it.message, &settlement));
            if settlement.state == AttemptState::Accepted || settlement.closed.is_some() {
                write_backs.push((
                    it.message.ehr.clone(),
                    it.message.subject.clone(),
                    WriteBackSubject::Message(it.message.id),
                ));
            }
            match called {
                Called::Answered(Outcome::Reject { because: Rejection::OptedOut, code }) => {
                    blocked.push((it.message.clone(), code.clone()));
                }
                Called::Answered(Outcome::Reject { because: Rejection::Sender, code }) => {
                    refusing.insert(it.attempt.provider.clone(), code.clone());
                }
                Called::Answered(_) | Called::Not(_) | Called::TooLate => {}
            }
            settlements.push(settlement);
        }
        tx.settle_attempts(&settlements).await?;
        tx.append_all(events).await?;
        tx.queue_write_backs(&write_backs).await?;
        for (message, code) in blocked {
            self.record_block(&mut tx, &message, &code).await?;
        }
        for (provider, code) in refusing {
            let words = format!("the provider refuses this sender (code {code}): check its settings; messages wait");
            tx.raise_alert(AlertKind::ProviderDown, &provider, &words).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The provider knows of an opt-out that we did not: from now on we do.
    async fn record_block(&self, tx: &mut Tx<'_>, message: &Message, code: &str) -> Result<(), OutboxError> {
        let opt_out = OptOut {
            id: OptOutId(self.store.new_id()),
            scope: OptOutScope::Channel(message.channel),
            address: Some(message.address.clone()),
            patient: None,
            source: format!("provider code {code}"),
            words: None,
            at: tx.now(),
            revoked_at: None,
        };
        let provider = Actor::Provider(Providers::name(message.channel).to_owned());
        tx.add_opt_out(Some(&message.ehr), &opt_out, &provider).await?;
        Ok(())
    }

    pub(super) fn settlement(&self, it: &Ready, called: &Called, now: DateTime<Utc>) -> Settlement {
        let mut settlement = Settlement {
            attempt: it.attempt.id,
            message: it.message.id,
            state: AttemptState::Rejected,
            provider_ref: None,
            code: None,
            protection: None,
            next_attempt_at: None,
            closed: None,
        };
        match called {
            Called::Not(Reason::Expired) => {
                settlement.state = AttemptState::Expired;
                settlement.closed = Some((MessageState::Expired, Some(Reason::Expired)));
            }
            Called::Not(reason) => {
                settlement.code = Some(format!("{NOT_CALLED}:{}", reason.as_str()));
                settlement.next_attempt_at = Some(it.message.expires_at);
            }
            Called::TooLate => {
                settlement.code = Some(format!("{NOT_CALLED}:in_time"));
                settlement.next_attempt_at = Some(now);
            }
            Called::Answered(Outcome::Accepted { provider_ref, protection }) => {
                settlement.state = AttemptState::Accepted;
                settlement.provider_ref = Some(provider_ref.clone());
                settlement.protection.clone_from(protection);
            }
            Called::Answered(Outcome::Retry { after, code }) => {
                settlement.code = Some(code.clone());
                let tries = it.called_before + 1;
                if tries >= self.settings.send.attempts {
                    settlement.closed = Some((MessageState::Failed, Some(Reason::ProviderRefused)));
                } else {
                    settlement.next_attempt_at = Some(now + self.wait(tries, *after));
                }
            }
            // Ours to mend: everything else would fail as well, so nothing is given up before its time is over.
            Called::Answered(Outcome::Reject { code, because: Rejection::Sender }) => {
                settlement.code = Some(code.clone());
                settlement.next_attempt_at = Some((now + SENDER_REFUSED).min(it.message.expires_at));
            }
            Called::Answered(Outcome::Reject { code, because }) => {
                settlement.code = Some(code.clone());
                let reason = match because {
                    Rejection::OptedOut => Reason::OptedOut,
                    Rejection::Address => Reason::NoContactPoint,
                    Rejection::Message | Rejection::Sender => Reason::ProviderRefused,
                };
                settlement.closed = Some((MessageState::Failed, Some(reason)));
            }
            Called::Answered(Outcome::Unknown { code }) => {
                settlement.state = AttemptState::Unknown;
                settlement.code = Some(code.clone());
                settlement.next_attempt_at = Some(now + LOOK_UP_AFTER);
            }
        }
        settlement
    }

    /// The next wait: the schedule's, or longer where the provider asks for it, with up to a fifth of jitter so that
    /// what failed together does not come back together.
    fn wait(&self, tries: u32, asked: Option<TimeDelta>) -> TimeDelta {
        let index = (tries as usize).saturating_sub(1).min(RETRY_MINUTES.len() - 1);
        let base = TimeDelta::minutes(RETRY_MINUTES[index]).max(asked.unwrap_or_default().min(TimeDelta::hours(1)));
        let mut byte = [0_u8];
        self.store.entropy().fill(&mut byte);
        base + base * i32::from(byte[0]) / (255 * 5)
    }
}

/// What may leave, as the calls of one batch see it. Each call looks; a look is shared by those that come within
/// [`LOOK_SHARED_FOR`].
#[derive(Default)]
struct Gate(tokio::sync::Mutex<Option<(tokio::time::Instant, Sending)>>);

/// How long a look may be shared: far less than the five seconds in which a halt must hold.
pub(super) const LOOK_SHARED_FOR: std::time::Duration = std::time::Duration::from_millis(200);

impl Gate {
    async fn look(&self, outbox: &Outbox) -> Result<Sending, StoreError> {
        let mut last = self.0.lock().await;
        if let Some((at, sending)) = last.as_ref()
            && at.elapsed() < outbox.look_shared_for
        {
            return Ok(sending.clone());
        }
        let at = tokio::time::Instant::now();
        let sending = outbox.store.view(&outbox.tenant).sending().await?;
        *last = Some((at, sending.clone()));
        Ok(sending)
    }
}

/// What came of an attempt to call a provider.
pub(super) enum Called {
    Answered(Outcome),
    /// It was not called, and why.
    Not(Reason),
    /// It was not called, because its turn came when the lease was nearly over.
    TooLate,
}

pub(super) fn settled_event(tx: &Tx<'_>, message: &Message, settlement: &Settlement) -> Event {
    let outcome = match settlement.state {
        AttemptState::Accepted | AttemptState::Delivered | AttemptState::Read => EventOutcome::Done,
        AttemptState::Rejected | AttemptState::Expired => EventOutcome::Refused,
        AttemptState::Opened | AttemptState::Unknown | AttemptState::Failed => EventOutcome::Failed,
    };
    about(tx, message, EventKind::AttemptSettled).with_outcome(outcome).with_detail(json!({
        "attempt": settlement.attempt, "state": settlement.state, "provider_ref": settlement.provider_ref,
        "code": settlement.code, "protection": settlement.protection, "next_attempt_at": settlement.next_attempt_at,
        "closed": settlement.closed,
    }))
}
