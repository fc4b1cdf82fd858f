//! Tells the EHR what happened, as a FHIR Communication or as what this EHR takes instead: created when a message is
//! accepted, updated when more is known where the EHR takes updates, else written once at the end. Never twice.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{BATCH, Outbox, OutboxError};
use crate::domain::{
    Actor, AlertKind, Attempt, AttemptState, EventKind, EventOutcome, MessageOrigin, MessageState, Phi, Reason,
    ResourceKey, ResourceType, WriteBackState, in_words,
};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::plan::{CapabilityPlan, Guard};
use crate::ehr::read::Read;
use crate::ehr::search::Search;
use crate::ehr::write::{IdentifierKey, Written, WrittenVersion};
use crate::fhir::write::{
    Category, CommunicationFacts, Course, NotDone, as_document, as_task, check_profile, communication, outreach_system,
};
use crate::store::{Delivery, WriteBack, WriteBackResult, WriteBackSubject};

/// A message without a receipt counts as done this long after it was accepted.
const NO_MORE_RECEIPTS_AFTER: TimeDelta = TimeDelta::hours(72);
/// Waits between tries: 1, 5, 15, 60 minutes, then every six hours.
const RETRY_MINUTES: [i64; 5] = [1, 5, 15, 60, 360];
/// Tries after which a person is called; the line goes on trying.
const ALERT_AFTER: u32 = 5;

/// How each of our notes begins.
const NOTE: &str = "Attempt ";

/// How a try to write ended, where it did not end well.
enum Trouble {
    /// Before anything was written, or as the answer to a write that did not happen.
    Refused(EhrError),
    /// Nobody knows whether it was written.
    Unknown(EhrError),
    /// A try before this one may have written it, and the EHR cannot be searched for it.
    Doubtful,
}

impl From<EhrError> for Trouble {
    fn from(error: EhrError) -> Self {
        Self::Unknown(error)
    }
}

const DOUBTFUL: &str = "it may have been written by a try whose answer was lost, and this EHR cannot be searched for it: \
                        look at the patient's record there";

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
        let due = tx.claim_write_backs(self.holder, self.only.as_ref(), BATCH).await?;
        tx.commit().await?;
        for line in &due {
            let result = self.write_line(line).await?;
            let mut tx = self.store.write(&self.tenant).await?;
            tx.settle_write_back(line, self.holder, &result).await?;
            let unsupported = result.state == WriteBackState::Unsupported;
            let failed = result.error.is_some() && !unsupported;
            let kind = if failed || unsupported { EventKind::WriteBackFailed } else { EventKind::WriteBackWritten };
            let outcome = match (failed, unsupported) {
                (true, _) => EventOutcome::Failed,
                (_, true) => EventOutcome::Refused,
                _ => EventOutcome::Done,
            };
            if failed || unsupported || result.written_status.is_some() {
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
            return Ok(without_news(WriteBackState::Written, document.next_at));
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
        let Some(type_name) = plan.write_back.value.writes() else {
            return Ok(unsupported(plan.write_back.why));
        };
        if !plan.can_update && line.remote_id.is_some() {
            // Written once: what came to be known later stands in our own ledger.
            return Ok(without_news(WriteBackState::Written, None));
        }
        if !plan.can_update && !document.is_final {
            // This EHR takes it once: wait until it is the last word.
            return Ok(without_news(WriteBackState::Pending, document.next_at));
        }
        Ok(match self.put(&client, &plan, type_name, line, &document).await? {
            Ok(version) => WriteBackResult {
                state: WriteBackState::Written,
                remote: version
                    .id
                    .or_else(|| line.remote_id.clone())
                    .map(|id| (type_name.to_owned(), id, version.etag)),
                written_status: Some(document.status),
                refused: false,
                error: None,
                next_at: document.next_at,
            },
            Err(Trouble::Refused(error)) => {
                WriteBackResult { refused: true, ..self.failed(line, &error.to_string(), may_pass(&error)) }
            }
            Err(Trouble::Unknown(error)) => self.failed(line, &error.to_string(), may_pass(&error)),
            Err(Trouble::Doubtful) => self.failed(line, DOUBTFUL, false),
        })
    }

    /// Creates or updates it, in the way that this EHR takes without doubling it.
    async fn put(
        &self,
        client: &FhirClient,
        plan: &CapabilityPlan,
        type_name: &'static str,
        line: &WriteBack,
        document: &Document,
    ) -> Result<Result<WrittenVersion, Trouble>, OutboxError> {
        let system = outreach_system(&self.settings.server.public_url);
        let value = line.subject.outreach_id();
        // Noted before a create was sent, and its end never was.
        let in_doubt = line.remote_type.is_some() && line.remote_id.is_none();
        let known = match (&line.remote_id, plan.guard) {
            (Some(id), _) => Ok(Some(id.clone())),
            (None, Guard::ByIdentifier) => {
                let search = Search::named(type_name).with_token("identifier", &system, &value);
                client.find(search).await.map(|found| found.first().and_then(id_of))
            }
            (None, Guard::ByPatient) if in_doubt => {
                let search = Search::named(type_name).with("patient", line.patient.as_str());
                client.find_all(search).await.map(|found| found.iter().find(|it| is_ours(it, &value)).and_then(id_of))
            }
            (None, Guard::Ledger) if in_doubt => return Ok(Err(Trouble::Doubtful)),
            (None, _) => Ok(None),
        };
        match known {
            Ok(Some(id)) if plan.can_update => {
                return Ok(self.update(client, line, &id, document).await.map_err(Trouble::from));
            }
            Ok(Some(id)) => return Ok(Ok(WrittenVersion { id: Some(id), ..WrittenVersion::default() })),
            Ok(None) => {}
            Err(error) => return Ok(Err(error.into())),
        }
        if matches!(plan.guard, Guard::ByPatient | Guard::Ledger) {
            let mut tx = self.store.write(&self.tenant).await?;
            tx.intend_write_back(line, self.holder, type_name).await?;
            tx.commit().await?;
        }
        let resource = match type_name {
            "DocumentReference" => as_document(&document.resource, plan.xhtml_only),
            "Task" => as_task(&document.resource),
            _ => document.resource.clone(),
        };
        let identifier = IdentifierKey { system: &system, value: &value };
        let condition = (plan.guard == Guard::Condition).then_some(identifier);
        Ok(match client.create(&resource, condition).await {
            Ok(Written::Done(version)) => Ok(version),
            // Created by a try whose answer was lost: it may say an older state.
            Ok(Written::Existed(version)) => match &version.id {
                Some(id) if plan.can_update => self.update(client, line, id, document).await.map_err(Trouble::from),
                _ => Ok(version),
            },
            // What may be repeated is; the ledger keeps the line due.
            Ok(Written::Unknown(error)) => Err(Trouble::Unknown(error)),
            Err(error) => Err(Trouble::Refused(error)),
        })
    }

    /// Replaces what we wrote before, keeping what the EHR added, unless it changed meanwhile. Where somebody else gave it
    /// another status, that is the last word.
    async fn update(
        &self,
        client: &FhirClient,
        line: &WriteBack,
        id: &str,
        document: &Document,
    ) -> Result<WrittenVersion, EhrError> {
        let key = ResourceKey::new(ResourceType::Communication, id);
        let Read::Found(found) = client.read(&key, None).await? else {
            // Somebody at the hospital removed it: that is their word, and it is not written again.
            return Ok(WrittenVersion { id: Some(id.to_owned()), ..WrittenVersion::default() });
        };
        let edited = line.etag.is_some() && found.etag.is_some() && line.etag != found.etag;
        if edited && found.resource["status"] != "in-progress" {
            return Ok(WrittenVersion { id: Some(id.to_owned()), etag: found.etag, ..WrittenVersion::default() });
        }
        let mut resource = found.resource;
        let notes = notes(&resource, &document.resource);
        if let (Some(target), Some(source)) = (resource.as_object_mut(), document.resource.as_object()) {
            for name in ["status", "statusReason", "sent", "received"] {
                match source.get(name) {
                    Some(value) => target.insert(name.to_owned(), value.clone()),
                    None => target.shift_remove(name),
                };
            }
            if !notes.is_empty() {
                target.insert("note".to_owned(), Value::Array(notes));
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
            refused: false,
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
                        in_response_to: outbound
                            .filter(|it| it.remote_type.as_deref() == Some("Communication"))
                            .and_then(|it| it.remote_id),
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
                "{} by {} (wording \"{}\", language {})",
                message.rule.as_ref().map_or_else(|| "Message".to_owned(), |rule| in_words(rule.as_str())),
                message.channel.in_words(),
                in_words(&message.template).to_lowercase(),
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
    (at, format!("{NOTE}{} by {}: {}{code}", attempt.number, attempt.provider, attempt.state.as_str()))
}

fn unsupported(why: &str) -> WriteBackResult {
    WriteBackResult {
        state: WriteBackState::Unsupported,
        remote: None,
        written_status: None,
        refused: false,
        error: Some(why.to_owned()),
        next_at: None,
    }
}

/// The line was looked at, and nothing was written.
const fn without_news(state: WriteBackState, next_at: Option<DateTime<Utc>>) -> WriteBackResult {
    WriteBackResult { state, remote: None, written_status: None, refused: false, error: None, next_at }
}

fn id_of(resource: &Value) -> Option<String> {
    resource["id"].as_str().map(str::to_owned)
}

/// Whether a resource carries our identifier, wherever the EHR put it.
fn is_ours(resource: &Value, outreach_id: &str) -> bool {
    resource.to_string().contains(outreach_id)
}

/// Our notes as they are now, after those that somebody else wrote.
fn notes(there: &Value, ours: &Value) -> Vec<Value> {
    let list = |resource: &Value| resource["note"].as_array().cloned().unwrap_or_default();
    let mut notes = list(there);
    notes.retain(|note| !note["text"].as_str().is_some_and(|text| text.starts_with(NOTE)));
    notes.extend(list(ours));
    notes
}
