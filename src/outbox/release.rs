//! What falls due: decide on fresh facts, make messages of what is released, and deliver them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::deliver::{Ready, opened};
use super::escalation;
use super::facts::{Gathered, Subject, contacts_of};
use super::flood::{LOOK_BACK_HOURS, is_flood};
use super::stages::Stage;
use super::{BATCH, DECIDE_LEASE, Outbox, OutboxError, Providers, SEND_LEASE};
use crate::domain::{
    Actor, Address, AlertKind, Channel, Check, CheckResult, Decision, DecisionId, EhrId, Event, EventKind, Message,
    MessageId, MessageOrigin, PatientId, Reason, Release, Reminder, ReminderId, RuleId, Verdict,
};
use crate::fhir;
use crate::rules::{CompiledRule, Organisation, RenderFacts, render};
use crate::store::{Decided, MirrorRow, SendMode, Sending, Tx};

/// Facts that are older than this when a message is opened, because calls before it were slow, are gathered anew.
const OPEN_WITHIN: TimeDelta = TimeDelta::minutes(1);

impl Outbox {
    /// Decides on due reminders and delivers those released. Answers how many were decided and how many sent.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn release_due(&self) -> Result<(usize, usize), OutboxError> {
        let mut tx = self.store.write(&self.tenant).await?;
        let claimed = tx.claim_reminders(self.holder, DECIDE_LEASE, self.only.as_ref(), BATCH).await?;
        tx.commit().await?;
        if claimed.is_empty() {
            return Ok((0, 0));
        }
        let sending = self.store.view(&self.tenant).sending().await?;
        let mut by_ehr: BTreeMap<EhrId, Vec<Reminder>> = BTreeMap::new();
        let mut decided = 0;
        let mut held = Vec::new();
        for reminder in claimed {
            match self.held_back(&sending, &reminder) {
                Some(decision) => held.push(Decided { reminder, decision, message: None }),
                None => by_ehr.entry(reminder.ehr.clone()).or_default().push(reminder),
            }
        }
        decided += held.len();
        self.settle_undelivered(held, &BTreeMap::new()).await?;
        self.watcher.ended(Stage::Claim);
        let mut sent = 0;
        for (ehr, reminders) in by_ehr {
            decided += reminders.len();
            sent += self.release_batch(&ehr, reminders, &sending).await?;
        }
        Ok((decided, sent))
    }

    /// The decision for a reminder that must not even be looked at now: nothing may go out, so the EHR is not asked.
    fn held_back(&self, sending: &Sending, reminder: &Reminder) -> Option<Decision> {
        let now = self.now();
        let everything = sending.halt_for(Some(&reminder.plan.rule), Channel::InPerson);
        let (reason, words) = if sending.mode == SendMode::Off {
            (Reason::SendingOff, "the send mode is off".to_owned())
        } else if let Some(halt) = everything {
            (Reason::Halted, format!("halted by {} since {}: {}", halt.by, halt.at, halt.reason))
        } else if let Some(since) = sending.held_at {
            (Reason::HeldForPerson, format!("the flood guard holds since {since}"))
        } else {
            return None;
        };
        let verdict = if reminder.plan.expires_at <= now {
            Verdict::Expire(reason)
        } else {
            Verdict::Wait { until: reminder.plan.expires_at, reason }
        };
        Some(Decision {
            id: DecisionId(self.store.new_id()),
            reminder: reminder.id,
            rule_version: reminder.plan.rule_version.clone(),
            at: now,
            verdict,
            checks: vec![check("sending", words)],
            facts: Vec::new(),
        })
    }

    async fn release_batch(
        &self,
        ehr: &EhrId,
        mut reminders: Vec<Reminder>,
        sending: &Sending,
    ) -> Result<usize, OutboxError> {
        // The more urgent one of a person's reminders gets what is left of the budget.
        reminders.sort_by_key(|it| (it.plan.priority, it.plan.due_at));
        let gathered = self.gather(ehr, &reminders.iter().collect::<Vec<_>>()).await?;
        self.watcher.ended(Stage::Gather);
        let now = self.now();
        let mut spent: HashMap<PatientId, Vec<DateTime<Utc>>> = HashMap::new();
        let mut ready = Vec::new();
        let mut settled = Vec::new();
        let mut stale = Vec::new();
        let mut denied = BTreeSet::new();
        let mut for_people = BTreeMap::new();
        for reminder in reminders {
            let subject = gathered.subject(&reminder, now);
            let more = spent.get(&reminder.patient).map_or(&[][..], Vec::as_slice);
            let mut decision = gathered.decide(self, &reminder, &subject, None, more);
            if let Some(refused) = self.not_safe(sending, &decision) {
                decision.checks.push(check("safe_address", "test mode reaches listed addresses only".to_owned()));
                decision.verdict = refused;
            }
            let message = match (&decision.verdict, gathered.rules.get(&reminder.plan.rule)) {
                (Verdict::Release(release), Some(rule)) => {
                    match self.message(&reminder, rule, release, &subject, &gathered) {
                        Ok(message) => Some(message),
                        Err(words) => {
                            decision.checks.push(check("template", words));
                            decision.verdict = Verdict::Withhold(Reason::TemplateFailed);
                            None
                        }
                    }
                }
                _ => None,
            };
            if matches!(
                decision.verdict,
                Verdict::Cancel(Reason::ResourceMoved | Reason::ResourceCancelled | Reason::ConditionNotMet)
            ) {
                stale.push(reminder.clone());
            }
            if let Verdict::Withhold(reason) | Verdict::Wait { reason, .. } = decision.verdict
                && matches!(reason, Reason::ConsentDenied | Reason::ConsentUnclear)
            {
                denied.insert(reminder.patient.clone());
            }
            for_people
                .extend(escalation::reason(&gathered.rules, &reminder, &decision.verdict).map(|it| (reminder.id, it)));
            match message {
                Some(message) => {
                    spent.entry(reminder.patient.clone()).or_default().push(now);
                    ready.push((reminder, decision, message));
                }
                None => settled.push(Decided { reminder, decision, message: None }),
            }
        }
        self.watcher.ended(Stage::Decide);
        self.settle_undelivered(settled, &for_people).await?;
        self.remember_fresh(ehr, &gathered, &stale).await?;
        self.remember_consents(ehr, &gathered, &denied).await?;
        self.hand_over(Judged { ehr: ehr.clone(), at: now, ready, known: gathered.known_contacts() }).await
    }

    /// Has what was released opened and called: by the lane where there is one, else here and now. Answers how many
    /// messages that may be.
    async fn hand_over(&self, judged: Judged) -> Result<usize, OutboxError> {
        if judged.ready.is_empty() {
            return Ok(0);
        }
        if let Some(lane) = &self.lane {
            return Ok(lane.open(judged).await);
        }
        let opened = self.open(judged).await?;
        self.watcher.ended(Stage::Open);
        let sent = opened.len();
        self.deliver(opened).await?;
        Ok(sent)
    }

    /// Test mode reaches nobody but the listed addresses.
    fn not_safe(&self, sending: &Sending, decision: &Decision) -> Option<Verdict> {
        let Verdict::Release(release) = &decision.verdict else { return None };
        let safe = sending.mode == SendMode::Live || self.is_safe(&release.address);
        (!safe).then_some(Verdict::Wait { until: release.expires_at, reason: Reason::NotSafeAddress })
    }

    pub(super) fn is_safe(&self, address: &Address) -> bool {
        self.settings.send.safe_addresses.iter().any(|safe| {
            let safe = match address {
                Address::Email(_) => crate::domain::EmailAddress::parse(safe).map(Address::Email),
                Address::Phone(_) => {
                    crate::domain::PhoneNumber::parse(safe, &self.settings.organisation.region).map(Address::Phone)
                }
            };
            safe.as_ref() == Ok(address)
        })
    }

    fn message(
        &self,
        reminder: &Reminder,
        rule: &CompiledRule,
        release: &Release,
        subject: &Subject,
        gathered: &Gathered,
    ) -> Result<Message, String> {
        let body = self.body(rule, release, subject, gathered)?;
        Ok(Message {
            id: MessageId(self.store.new_id()),
            ehr: reminder.ehr.clone(),
            subject: reminder.patient.clone(),
            recipient: release.recipient.clone(),
            origin: MessageOrigin::Reminders(vec![reminder.id]),
            rule: Some(reminder.plan.rule.clone()),
            rule_version: Some(rule.version().clone()),
            purpose: rule.rule().purpose,
            channel: release.channel,
            address: release.address.clone(),
            language: release.language.clone(),
            template: release.template.clone(),
            detail: release.detail,
            basis: release.basis,
            created_at: self.now(),
            expires_at: release.expires_at,
            body: Some(body),
        })
    }

    pub(super) fn body(
        &self,
        rule: &CompiledRule,
        release: &Release,
        subject: &Subject,
        gathered: &Gathered,
    ) -> Result<crate::domain::MessageBody, String> {
        let patient = subject.patient.as_ref().ok_or("the patient record could not be read")?;
        let organisation = Organisation {
            name: self.settings.organisation.name.clone(),
            phone: self.settings.organisation.phone.clone(),
        };
        let facts = RenderFacts {
            organisation: &organisation,
            patient,
            appointment: subject.appointment.as_ref(),
            facility: &gathered.facilities.of(subject.appointment.as_ref()),
            others: &subject.others.visits,
            link: None,
            now: self.now(),
        };
        render(rule, release, &facts).map_err(|error| error.to_string())
    }

    /// Stores decisions that send nothing.
    /// Those in `for_people` are handed to staff.
    async fn settle_undelivered(
        &self,
        decided: Vec<Decided>,
        for_people: &BTreeMap<ReminderId, Reason>,
    ) -> Result<(), OutboxError> {
        if decided.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write(&self.tenant).await?;
        let decided = self.keep_held(&mut tx, decided).await?;
        tx.settle_reminders(&decided).await?;
        let events = decided.iter().map(|it| decided_event(&tx, it)).collect();
        tx.append_all(events).await?;
        escalation::open_tasks(&mut tx, &decided, for_people).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Drops what was changed by somebody else since it was claimed.
    async fn keep_held(&self, tx: &mut Tx<'_>, decided: Vec<Decided>) -> Result<Vec<Decided>, OutboxError> {
        let ids: Vec<ReminderId> = decided.iter().map(|it| it.reminder.id).collect();
        let held: BTreeSet<ReminderId> = tx.still_held(self.holder, &ids).await?.into_iter().collect();
        Ok(decided.into_iter().filter(|it| held.contains(&it.reminder.id)).collect())
    }

    /// The driving resource changed under a reminder: keep what was just read and plan the patient anew.
    async fn remember_fresh(&self, ehr: &EhrId, gathered: &Gathered, stale: &[Reminder]) -> Result<(), OutboxError> {
        let rows: Vec<MirrorRow> = stale
            .iter()
            .filter_map(|it| {
                let value = gathered.fresh_value(&it.plan.occasion.resource)?;
                mirror_row(value, &it.patient)
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut patients: Vec<PatientId> = rows.iter().filter_map(|row| row.patient.clone()).collect();
        patients.dedup();
        let mut tx = self.store.write(&self.tenant).await?;
        let run = crate::domain::RunId(self.store.new_id());
        tx.upsert_mirror(ehr, run, rows).await?;
        let now = tx.now();
        tx.replan_patients(ehr, &patients, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Keeps the consent records that forbade something: when they change or go, the pull opens the reminders again.
    async fn remember_consents(
        &self,
        ehr: &EhrId,
        gathered: &Gathered,
        patients: &BTreeSet<PatientId>,
    ) -> Result<(), OutboxError> {
        let of_patient = |it: &PatientId| {
            let records = gathered.fresh_consents(it).iter();
            records.filter_map(|value| mirror_row(value, it)).collect::<Vec<_>>()
        };
        let rows: Vec<MirrorRow> = patients.iter().flat_map(of_patient).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write(&self.tenant).await?;
        tx.upsert_mirror(ehr, crate::domain::RunId(self.store.new_id()), rows).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The last transaction before the providers are called: everything that could have changed since the facts were
    /// gathered is looked at once more under a lock, then messages, attempts, decisions and events are stored together.
    pub(super) async fn open(&self, judged: Judged) -> Result<Vec<Ready>, OutboxError> {
        let Judged { ehr, at, ready, known } = judged;
        let mut tx = self.store.write(&self.tenant).await?;
        let mut patients: Vec<PatientId> = ready.iter().map(|(reminder, _, _)| reminder.patient.clone()).collect();
        patients.sort();
        patients.dedup();
        tx.lock_patients(&ehr, &patients).await?;
        let ids: Vec<ReminderId> = ready.iter().map(|(reminder, _, _)| reminder.id).collect();
        if tx.now() - at > OPEN_WITHIN {
            tx.put_back_reminders(self.holder, &ids).await?;
            tx.commit().await?;
            return Ok(Vec::new());
        }
        let held: BTreeSet<ReminderId> = tx.still_held(self.holder, &ids).await?.into_iter().collect();
        let sending = tx.view().sending().await?;
        if sending.mode == SendMode::Off || sending.held_at.is_some() {
            // Switched off a moment ago: the leases run out, and the next turn records why.
            return Ok(Vec::new());
        }
        let asked: Vec<(Address, Channel, Option<RuleId>)> = ready
            .iter()
            .map(|(_, _, message)| (message.address.clone(), message.channel, message.rule.clone()))
            .collect();
        let opted_out = tx.view().opted_out_now(&asked).await?;
        // The same person may have been messaged since the facts were gathered, by another replica or by the batch before
        // this one: then the budget was judged on too little, and the reminder is decided anew.
        let since = tx.now() - TimeDelta::days(1);
        let merges = tx.view().merges(&ehr, &patients).await?;
        let all = merges.with_predecessors(&patients);
        let contacts = contacts_of(&tx.view(), &merges, &ehr, &all, since).await?;
        let surprised: BTreeSet<PatientId> =
            contacts.into_iter().filter(|(_, message, _)| !known.contains(message)).map(|(it, _, _)| it).collect();
        let mut opening = Vec::with_capacity(ready.len());
        let mut anew = Vec::new();
        for ((reminder, decision, message), opted_out) in ready.into_iter().zip(opted_out) {
            if surprised.contains(&reminder.patient) {
                anew.push(reminder.id);
                continue;
            }
            let allowed = held.contains(&reminder.id)
                && !opted_out
                && sending.halt_for(message.rule.as_ref(), message.channel).is_none();
            if allowed {
                opening.push((reminder, decision, message));
            }
        }
        if self.is_flood(&tx, opening.len() as u32, &sending).await? {
            let words = format!("{} messages would have gone out at once, far above the usual hour", opening.len());
            tx.hold_flood(&words).await?;
            tx.raise_alert(AlertKind::HeldForPerson, self.tenant.as_str(), &words).await?;
            tx.commit().await?;
            return Ok(Vec::new());
        }
        tx.put_back_reminders(self.holder, &anew).await?;
        let messages: Vec<Message> = opening.iter().map(|(_, _, message)| message.clone()).collect();
        tx.insert_messages(&messages, self.holder, SEND_LEASE).await?;
        let mut attempts = Vec::with_capacity(messages.len());
        for message in &messages {
            attempts.push(opened(&self.store, message, 1, Providers::name(message.channel)));
        }
        tx.open_attempts(&attempts).await?;
        let decided: Vec<Decided> = opening
            .into_iter()
            .map(|(reminder, decision, message)| Decided { reminder, decision, message: Some(message.id) })
            .collect();
        tx.settle_reminders(&decided).await?;
        let mut events: Vec<Event> = decided.iter().map(|it| decided_event(&tx, it)).collect();
        events.extend(
            messages
                .iter()
                .zip(&attempts)
                .map(|(message, attempt)| super::deliver::opened_event(&tx, message, attempt)),
        );
        tx.append_all(events).await?;
        tx.count_releases(messages.len() as u32).await?;
        tx.commit().await?;
        Ok(messages
            .into_iter()
            .zip(attempts)
            .map(|(message, attempt)| Ready { message, attempt, called_before: 0 })
            .collect())
    }

    async fn is_flood(&self, tx: &Tx<'_>, about_to: u32, sending: &Sending) -> Result<bool, OutboxError> {
        let now = self.now();
        // A person looked within the last hour: the guard stands aside.
        if sending.hold_released_at.is_some_and(|at| now - at < TimeDelta::hours(1)) {
            return Ok(false);
        }
        let hours = tx.view().releases_by_hour(LOOK_BACK_HOURS).await?;
        Ok(is_flood(&hours, now, about_to, self.settings.send.flood_factor, self.settings.send.flood_floor))
    }
}

/// Reminders of one EHR that were released on what was known then.
pub(super) struct Judged {
    ehr: EhrId,
    at: DateTime<Utc>,
    pub(super) ready: Vec<(Reminder, Decision, Message)>,
    /// The messages that the frequency budgets were judged by.
    known: BTreeSet<MessageId>,
}

/// A resource as the mirror keeps it.
fn mirror_row(value: &serde_json::Value, patient: &PatientId) -> Option<MirrorRow> {
    let version = fhir::read::version_of(value)?;
    let appointment = fhir::read::appointment(value).value;
    let body = fhir::prune::prune(value);
    Some(MirrorRow {
        version,
        patient: Some(patient.clone()),
        hash: fhir::hash::content_hash(&body),
        status: appointment.as_ref().map(|it| it.status.as_str().to_owned()),
        starts_at: appointment.and_then(|it| it.start),
        body,
    })
}

fn check(name: &str, words: String) -> Check {
    Check { name: name.to_owned(), result: CheckResult::Failed, words }
}

fn decided_event(tx: &Tx<'_>, it: &Decided) -> Event {
    let event = tx
        .event(Actor::system("outbox"), EventKind::ReminderDecided)
        .about_patient(&it.reminder.ehr, &it.reminder.patient)
        .about_rule(&it.reminder.plan.rule)
        .about_reminder(it.reminder.id)
        .with_detail(json!({ "decision": it.decision.id, "verdict": it.decision.verdict }));
    match it.message {
        Some(message) => event.about_message(message),
        None => event,
    }
}
