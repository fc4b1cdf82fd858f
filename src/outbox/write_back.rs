//! Tells the EHR what happened, as a FHIR Communication: created when a message is accepted, updated when more is known
//! where the EHR takes updates, else written once at the end. Never twice.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{BATCH, Outbox, OutboxError};
use crate::domain::{
    Actor, AlertKind, Attempt, AttemptState, Channel, EventKind, EventOutcome, MessageOrigin, MessageState, Phi,
    Reason, ResourceKey, ResourceType, WriteBackState,
};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::plan::{CapabilityPlan, WriteBack as WriteBackPlan};
use crate::ehr::read::Read;
use crate::ehr::search::Search;
use crate::ehr::write::{IdentifierKey, Written, WrittenVersion};
use crate::fhir::write::{
    Category, CommunicationFacts, Course, NotDone, check_profile, communication, outreach_system,
};
use crate::store::{Delivery, WriteBack, WriteBackResult, WriteBackSubject};

/// A message without a receipt counts as done this long after it was accepted.
const NO_MORE_RECEIPTS_AFTER: TimeDelta = TimeDelta::hours(72);
/// Waits between tries: 1, 5, 15, 60 minutes, then every six hours.
const RETRY_MINUTES: [i64; 5] = [1, 5, 15, 60, 360];
/// Tries after which a person is called; the line goes on trying.
const ALERT_AFTER: u32 = 5;

/// What is to be written now.
struct Document {
    resource: Value,
    /// The state that it says; written once is not written again.
    status: String,
    /// When the next state is due although nothing else happens.
    next_at: Option<DateTime<Utc>>,
    /// Whether nothing more is expected.
    is_final: bool,
}

impl Outbox {
    pub(super) async fn write_back_due(&self) -> Result<usize, OutboxError> {
        let mut tx = self.store.write(&self.tenant).await?;
        let due = tx.claim_write_backs(self.holder, BATCH).await?;
        tx.commit().await?;
        for line in &due {
            let result = self.write_line(line).await?;
            let mut tx = self.store.write(&self.tenant).await?;
            tx.settle_write_back(line, self.holder, &result).await?;
            let failed = result.error.is_some();
            let kind = if failed { EventKind::WriteBackFailed } else { EventKind::WriteBackWritten };
            let outcome = if failed { EventOutcome::Failed } else { EventOutcome::Done };
            if failed || result.written_status.is_some() {
                let event = tx
                    .event(Actor::system("outbox"), kind)
                    .about_patient(&line.ehr, &line.patient)
                    .with_outcome(outcome)
                    .with_detail(json!({
                        "outreach": line.subject.outreach_id(), "state": result.state, "status": result.written_status,
                        "remote": result.remote.as_ref().map(|(kind, id, _)| format!("{kind}/{id}")),
                        "error": result.error,
                    }));
                tx.append(event).await?;
            }
            if failed && line.tries + 1 >= ALERT_AFTER {
                let words = "what happened cannot be written back to this EHR; see its connection and the last error";
                tx.raise_alert(AlertKind::WriteBackStuck, line.ehr.as_str(), words).await?;
            }
            tx.commit().await?;
        }
        Ok(due.len())
    }

    async fn write_line(&self, line: &WriteBack) -> Result<WriteBackResult, OutboxError> {
        let Some(document) = self.document(line).await? else {
            return Ok(unsupported("there is nothing to write"));
        };
        if line.written_status.as_deref() == Some(&document.status) {
            // Woken without news.
            return Ok(WriteBackResult {
                state: WriteBackState::Written,
                remote: None,
                written_status: None,
                error: None,
                next_at: document.next_at,
            });
        }
        if let Err(issues) = check_profile(&document.resource) {
            let words: Vec<String> = issues.iter().map(|issue| format!("{}: {}", issue.path, issue.reason)).collect();
            return Ok(self.failed(line, &format!("it does not fit our own profile: {}", words.join("; ")), false));
        }
        let client = match self.ehrs.get(&line.ehr).await {
            Ok(client) => client,
            Err(error) => return Ok(self.failed(line, &error.to_string(), true)),
        };
        let plan = match client.plan().await {
            Ok(plan) => plan,
            Err(error) => return Ok(self.failed(line, &error.to_string(), true)),
        };
        if plan.write_back.value == WriteBackPlan::Unsupported {
            return Ok(unsupported(plan.write_back.why));
        }
        if !plan.can_update && !document.is_final {
            // This EHR takes a Communication once: wait until it is the last word.
            return Ok(WriteBackResult {
                state: WriteBackState::Pending,
                remote: None,
                written_status: None,
                error: None,
                next_at: document.next_at,
            });
        }
        Ok(match self.put(&client, &plan, line, &document).await {
            Ok(version) => WriteBackResult {
                state: WriteBackState::Written,
                remote: version
                    .id
                    .or_else(|| line.remote_id.clone())
                    .map(|id| ("Communication".to_owned(), id, version.etag)),
                written_status: Some(document.status),
                error: None,
                next_at: document.next_at,
            },
            Err(error) => self.failed(line, &error.to_string(), may_pass(&error)),
        })
    }

    /// Creates or updates it, in the way that this EHR takes without doubling it.
    async fn put(
        &self,
        client: &FhirClient,
        plan: &CapabilityPlan,
        line: &WriteBack,
        document: &Document,
    ) -> Result<WrittenVersion, EhrError> {
        let system = outreach_system(&self.settings.server.public_url);
        let value = line.subject.outreach_id();
        let identifier = IdentifierKey { system: &system, value: &value };
        let known = match &line.remote_id {
            Some(id) => Some(id.clone()),
            None if plan.write_back.value == WriteBackPlan::SearchBeforeCreate => {
                let search = Search::new(ResourceType::Communication).with_token("identifier", &system, &value);
                client.find(search).await?.first().and_then(|found| found["id"].as_str().map(str::to_owned))
            }
            None => None,
        };
        if let Some(id) = known {
            return self.update(client, &id, document).await;
        }
        let condition = (plan.write_back.value == WriteBackPlan::ConditionalCreate).then_some(identifier);
        match client.create(&document.resource, condition).await? {
            Written::Done(version) => Ok(version),
            // Created by a try whose answer was lost: it may say an older state.
            Written::Existed(version) => match &version.id {
                Some(id) => self.update(client, id, document).await,
                None => Ok(version),
            },
            // A conditional create may be repeated; the ledger keeps the line due.
            Written::Unknown(error) => Err(error),
        }
    }

    /// Replaces what we wrote before, keeping what the EHR added, unless it changed meanwhile.
    async fn update(&self, client: &FhirClient, id: &str, document: &Document) -> Result<WrittenVersion, EhrError> {
        let key = ResourceKey::new(ResourceType::Communication, id);
        let Read::Found(found) = client.read(&key, None).await? else {
            // Somebody at the hospital removed it: that is their word, and it is not written again.
            return Ok(WrittenVersion { id: Some(id.to_owned()), ..WrittenVersion::default() });
        };
        let mut resource = found.resource;
        if let (Some(target), Some(source)) = (resource.as_object_mut(), document.resource.as_object()) {
            for name in ["status", "statusReason", "sent", "received", "note"] {
                match source.get(name) {
                    Some(value) => target.insert(name.to_owned(), value.clone()),
                    None => target.shift_remove(name),
                };
            }
        }
        match client.update(&resource, found.etag.as_deref().unwrap_or("W/\"1\"")).await? {
            Written::Done(version) | Written::Existed(version) => Ok(version),
            Written::Unknown(error) => Err(error),
        }
    }

    fn failed(&self, line: &WriteBack, error: &str, again: bool) -> WriteBackResult {
        let index = (line.tries as usize).min(RETRY_MINUTES.len() - 1);
        WriteBackResult {
            state: if again { WriteBackState::Pending } else { WriteBackState::Failed },
            remote: None,
            written_status: None,
            error: Some(error.to_owned()),
            next_at: again.then(|| self.now() + TimeDelta::minutes(RETRY_MINUTES[index])),
        }
    }

    async fn document(&self, line: &WriteBack) -> Result<Option<Document>, OutboxError> {
        match line.subject {
            WriteBackSubject::Message(id) => {
                let delivery = self.store.view(&self.tenant).deliveries(&[id]).await?.pop();
                match delivery {
                    Some(delivery) => Ok(Some(self.of_message(line, &delivery).await?)),
                    None => Ok(None),
                }
            }
            WriteBackSubject::Reply(id) => {
                let Some((reply, message)) = self.store.view(&self.tenant).reply(id).await? else { return Ok(None) };
                let outbound = match message {
                    Some(message) => {
                        self.store.view(&self.tenant).write_back_of(WriteBackSubject::Message(message)).await?
                    }
                    None => None,
                };
                let facts = CommunicationFacts {
                    gateway: self.settings.server.public_url.clone(),
                    outreach_id: line.subject.outreach_id(),
                    rule: None,
                    category: Category::Notification,
                    channel: reply.channel,
                    subject: line.patient.clone(),
                    about: Vec::new(),
                    organization: None,
                    course: Course::FromPerson {
                        in_response_to: outbound.and_then(|it| it.remote_id),
                        received: reply.received_at,
                    },
                    text: reply.text,
                    notes: Vec::new(),
                };
                Ok(Some(Document {
                    resource: communication(&facts),
                    status: "received".to_owned(),
                    next_at: None,
                    is_final: true,
                }))
            }
        }
    }

    async fn of_message(&self, line: &WriteBack, delivery: &Delivery) -> Result<Document, OutboxError> {
        let message = &delivery.message;
        let sent = delivery.attempts.iter().filter(|it| was_taken(it)).find_map(|it| it.settled_at);
        let done = delivery.attempts.iter().find(|it| matches!(it.state, AttemptState::Delivered | AttemptState::Read));
        let no_more = sent.is_some_and(|sent| self.now() - sent >= NO_MORE_RECEIPTS_AFTER);
        let waiting = delivery.state == MessageState::OnItsWay && !no_more;
        let mut about = Vec::new();
        if let MessageOrigin::Reminders(ids) = &message.origin {
            for id in ids {
                let reminder = self.store.view(&self.tenant).reminder(*id).await?;
                about.extend(reminder.map(|it| it.plan.occasion.resource));
            }
        }
        let facts = CommunicationFacts {
            gateway: self.settings.server.public_url.clone(),
            outreach_id: line.subject.outreach_id(),
            rule: message.rule.clone().zip(message.rule_version.clone()),
            category: Category::Reminder,
            channel: message.channel,
            subject: message.subject.clone(),
            about,
            organization: None,
            course: Course::ToPerson {
                recipient: message.recipient.clone(),
                state: delivery.state,
                closed: no_more,
                not_done: not_done(delivery),
                sent,
                received: done.and_then(|it| it.settled_at),
            },
            // The minimum that is needed: which template went out, not its words.
            text: Phi::new(format!(
                "{} by {} (template {}, {})",
                message.rule.as_ref().map_or("Message", |rule| rule.as_str()),
                channel_words(message.channel),
                message.template,
                message.language,
            )),
            notes: delivery.attempts.iter().map(note).collect(),
        };
        Ok(Document {
            resource: communication(&facts),
            status: if no_more { "closed".to_owned() } else { delivery.state.as_str().to_owned() },
            next_at: waiting.then(|| sent.unwrap_or_else(|| self.now()) + NO_MORE_RECEIPTS_AFTER),
            is_final: !waiting && delivery.state != MessageState::Queued,
        })
    }
}

/// Whether a later try may go through: also after somebody else changed it meanwhile (the next try reads it anew), and
/// after a page of a proxy instead of an answer.
fn may_pass(error: &EhrError) -> bool {
    use crate::ehr::error::Refusal;
    let passes = matches!(error, EhrError::Refused { refusal: Refusal::Conflict, .. } | EhrError::NotFhir { .. });
    passes || error.is_transient()
}

const fn was_taken(attempt: &Attempt) -> bool {
    matches!(attempt.state, AttemptState::Accepted | AttemptState::Delivered | AttemptState::Read)
}

fn not_done(delivery: &Delivery) -> Option<NotDone> {
    match (delivery.state, delivery.reason) {
        (MessageState::Failed | MessageState::Cancelled, Some(Reason::OptedOut)) => Some(NotDone::OptedOut),
        (MessageState::Failed, Some(Reason::NoContactPoint)) => Some(NotDone::InvalidAddress),
        (MessageState::Failed, _) if delivery.attempts.iter().any(|it| it.state == AttemptState::Failed) => {
            Some(NotDone::Unreachable)
        }
        (MessageState::Failed, _) => Some(NotDone::SystemError),
        (MessageState::Expired, _) => Some(NotDone::Expired),
        (MessageState::Unknown, _) => Some(NotDone::Unknown),
        _ => None,
    }
}

fn note(attempt: &Attempt) -> (DateTime<Utc>, String) {
    let code = attempt.code.as_ref().map_or_else(String::new, |code| format!(", code {code}"));
    let at = attempt.settled_at.unwrap_or(attempt.opened_at);
    (at, format!("Attempt {} by {}: {}{code}", attempt.number, attempt.provider, attempt.state.as_str()))
}

const fn channel_words(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "email",
        Channel::Sms => "text message",
        Channel::Voice => "call",
        Channel::Pickup => "secure page",
        Channel::InPerson => "staff",
    }
}

fn unsupported(why: &str) -> WriteBackResult {
    WriteBackResult {
        state: WriteBackState::Unsupported,
        remote: None,
        written_status: None,
        error: Some(why.to_owned()),
        next_at: None,
    }
}
