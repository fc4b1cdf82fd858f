//! After a restore: finds out what went out since the backup, before anything is released. The EHR's Communications and
//! the SMS provider's log are asked; what they show is entered as sent. Where nothing can tell, a reminder is withheld and
//! a person is called: a doubled message is harm. It may be repeated at any time and finds nothing twice.

mod evidence;
mod ledger;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;

use super::{AppError, Gateway};
use crate::channels::ChannelError;
use crate::domain::{
    Actor, Address, AlertKind, AttemptState, Channel, Detail, EhrId, EventKind, MessageId, PatientId, Purpose, Reason,
    Reminder, ResourceKey, ResourceType, RuleId,
};
use crate::ehr::connect;
use crate::ehr::error::EhrError;
use crate::ehr::plan::WriteBack;
use crate::outbox::Providers;
use crate::pull::{self, Mode, PullOptions, RunState};
use crate::store::{Delivery, EventFilter, HaltScope, StoreError};
use crate::{fhir, rules};
use evidence::{TextLog, fitting};
use ledger::Sent;

/// Clocks of the EHR, the provider and the gateway may differ by this much.
const SLACK: TimeDelta = TimeDelta::minutes(5);

/// Why it could not be found out what went out. Sending stays halted.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("nothing was restored into this database, so there is nothing to reconcile")]
    NotRestored,
    #[error("sending is not halted; halt it first (beckon halt --reason …), or what is looked up may go out meanwhile")]
    NotHalted,
    #[error("{ehr}: not everything could be pulled, so it is not known what was due; see beckon ehr test {ehr}")]
    Pull { ehr: EhrId },
    #[error("{ehr}: the Communications of the EHR cannot be read: {error}")]
    Ehr { ehr: EhrId, error: EhrError },
    #[error("the log of the SMS provider cannot be read: {0}")]
    Provider(#[from] ChannelError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Reminders that were open and due.
    pub due: usize,
    pub found_at_ehr: usize,
    pub found_at_provider: usize,
    /// Messages under way at the time of the backup that were found to have been sent.
    pub messages_settled: usize,
    /// Nothing can tell whether they went out: withheld.
    pub uncertain: usize,
    /// Surely not sent: they go out when sending is resumed.
    pub not_sent: usize,
}

/// Reconciles one tenant. `told` hears of patients done and in all.
///
/// # Errors
/// Nothing was restored, sending is not halted, or the EHR or the provider cannot be asked.
pub async fn run(
    gateway: &Gateway,
    told: &(dyn Fn(u64, u64) + Send + Sync),
    by: &Actor,
) -> Result<Report, ReconcileError> {
    let view = gateway.store.view(&gateway.tenant);
    let filter = EventFilter { kinds: vec![EventKind::Restored], limit: 1, ..EventFilter::default() };
    let restored = view.events(&filter).await?.pop().ok_or(ReconcileError::NotRestored)?;
    let taken_at = restored.detail["taken_at"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let taken_at = taken_at.unwrap_or(restored.at) - SLACK;
    if !view.sending().await?.halts.iter().any(|halt| halt.scope == HaltScope::Everything) {
        return Err(ReconcileError::NotHalted);
    }
    let mut report = Report::default();
    for connection in connect::list(&gateway.store, &gateway.tenant).await.map_err(AppError::from)? {
        let mut work = Work::begin(gateway, connection.id, taken_at, by).await?;
        work.all(told, &mut report).await?;
    }
    let mut tx = gateway.store.write(&gateway.tenant).await?;
    if report.uncertain > 0 {
        let words = format!(
            "{} reminders may have gone out by mail after the backup that was restored, and nothing can tell. They are \
             withheld (reason may_be_sent); reach these patients another way where it matters",
            report.uncertain
        );
        tx.raise_alert(AlertKind::OutcomeUnknown, "restore", &words).await?;
    }
    let event = tx.event(by.clone(), EventKind::Reconciled).with_detail(json!({ "found": report }));
    tx.append(event).await?;
    tx.commit().await?;
    Ok(report)
}

/// One EHR's share.
struct Work<'a> {
    gateway: &'a Gateway,
    ehr: EhrId,
    since: DateTime<Utc>,
    by: &'a Actor,
    /// Whether the EHR has a Communication as soon as a message was taken.
    ehr_tells: bool,
    rules: BTreeMap<RuleId, (Purpose, BTreeMap<Channel, Detail>)>,
    texts: TextLog,
}

/// A patient with what is still meant to be sent.
struct Open {
    patient: PatientId,
    addresses: Vec<Address>,
    reminders: Vec<Reminder>,
    messages: Vec<Delivery>,
}

impl<'a> Work<'a> {
    async fn begin(
        gateway: &'a Gateway,
        ehr: EhrId,
        since: DateTime<Utc>,
        by: &'a Actor,
    ) -> Result<Self, ReconcileError> {
        let client = gateway.clients.get(&ehr).await.map_err(AppError::from)?;
        // What was booked since the backup may have been reminded of as well: the ledger must know it first.
        let options = PullOptions::new(&gateway.settings, Mode::Full, "reconcile");
        let pulled = pull::run(&gateway.store, &client, &options, &|_| {}).await.map_err(AppError::from)?;
        if pulled.state == RunState::Failed {
            return Err(ReconcileError::Pull { ehr });
        }
        let plan = client.plan().await.map_err(|error| ReconcileError::Ehr { ehr: ehr.clone(), error })?;
        let ehr_tells = plan.write_back.value != WriteBack::Unsupported && plan.can_update;
        let live = gateway.store.view(&gateway.tenant).live_rules().await?;
        let rules =
            live.into_iter().map(|rule| (rule.id, (rule.purpose, rule.channels.into_iter().collect()))).collect();
        Ok(Self { gateway, ehr, since, by, ehr_tells, rules, texts: TextLog::default() })
    }

    async fn all(
        &mut self,
        told: &(dyn Fn(u64, u64) + Send + Sync),
        report: &mut Report,
    ) -> Result<(), ReconcileError> {
        let mut open = self.open().await?;
        let total = open.len() as u64 * 2;
        report.due += open.iter().map(|it| it.reminders.len()).sum::<usize>();
        for it in &open {
            for address in &it.addresses {
                self.read_texts(address).await?;
            }
        }
        // The EHR says which reminder it was; the provider only which number. So everybody's Communications go first.
        for (done, it) in (0_u64..).zip(&mut open) {
            self.by_communications(it, report).await?;
            told(done + 1, total);
        }
        for (done, it) in (0_u64..).zip(&mut open) {
            self.by_texts(it, report).await?;
            told(total / 2 + done + 1, total);
        }
        // A text that the EHR was not told of: then it was not told of every mail either.
        self.ehr_tells &= report.found_at_provider == 0;
        for it in &open {
            self.doubtful(it, report).await?;
        }
        Ok(())
    }

    /// Everybody with a reminder that is due, or a message under way.
    async fn open(&self) -> Result<Vec<Open>, ReconcileError> {
        let view = self.gateway.store.view(&self.gateway.tenant);
        let now = self.gateway.store.clock().now();
        let mut by_patient: BTreeMap<PatientId, (Vec<Reminder>, Vec<Delivery>)> = BTreeMap::new();
        for reminder in view.open_reminders_due(&self.ehr, now).await? {
            by_patient.entry(reminder.patient.clone()).or_default().0.push(reminder);
        }
        for delivery in view.messages_under_way(&self.ehr).await? {
            by_patient.entry(delivery.message.subject.clone()).or_default().1.push(delivery);
        }
        let settings =
            rules::Settings { region: self.gateway.settings.organisation.region.clone(), ..rules::Settings::default() };
        let mut open = Vec::with_capacity(by_patient.len());
        for (patient, (reminders, messages)) in by_patient {
            let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
            let row = view.mirror_resource(&self.ehr, &key).await?;
            let facts = row.and_then(|row| fhir::read::patient(&row.body, now).value);
            let mut addresses = facts.map(|it| rules::addresses_of(&it, &settings)).unwrap_or_default();
            addresses.extend(messages.iter().map(|it| it.message.address.clone()));
            addresses.sort();
            addresses.dedup();
            open.push(Open { patient, addresses, reminders, messages });
        }
        Ok(open)
    }

    /// Notes what the provider sent to a number since the backup and the ledger does not know.
    async fn read_texts(&mut self, address: &Address) -> Result<(), ReconcileError> {
        let (Some(sms), Address::Phone(number)) = (&self.gateway.providers.sms, address) else { return Ok(()) };
        if self.texts.has(number) {
            return Ok(());
        }
        let provider = Providers::name(Channel::Sms);
        let mut unknown = Vec::new();
        for record in sms.look_up(number, self.since).await? {
            let view = self.gateway.store.view(&self.gateway.tenant);
            if view.attempt_by_ref(provider, &record.sid).await?.is_none() {
                unknown.push(record);
            }
        }
        self.texts.keep(number, unknown);
        Ok(())
    }

    async fn by_communications(&mut self, it: &mut Open, report: &mut Report) -> Result<(), ReconcileError> {
        let failed = |error| ReconcileError::Ehr { ehr: self.ehr.clone(), error };
        let client = self.gateway.clients.get(&self.ehr).await.map_err(AppError::from)?;
        let system = fhir::write::outreach_system(&self.gateway.settings.server.public_url);
        let written = match evidence::communications(&client, &it.patient, self.since, &system).await {
            Ok(written) => written,
            // An EHR that has no Communications cannot tell; that is not the same as nothing sent.
            Err(error) if !self.ehr_tells && !error.is_transient() => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        for found in written {
            if let Some(at) = it.messages.iter().position(|delivery| delivery.message.id == found.message) {
                let delivery = it.messages.swap_remove(at);
                let text = self.texts.take_near(&it.addresses, found.sent);
                let state =
                    text.as_ref().map_or(AttemptState::Accepted, |text| AttemptState::Accepted.advance(text.state));
                self.settle(&delivery, state, text.map(|text| text.sid), Some(&found.id), "ehr").await?;
                report.messages_settled += 1;
                continue;
            }
            let view = self.gateway.store.view(&self.gateway.tenant);
            if !view.deliveries(&[found.message]).await?.is_empty() {
                continue;
            }
            let Some(at) = fitting(&it.reminders, found.sent + SLACK, Some(&found)) else { continue };
            let reminder = it.reminders.remove(at);
            let text =
                (found.channel == Channel::Sms).then(|| self.texts.take_near(&it.addresses, found.sent)).flatten();
            let address = address_of(it, found.channel, text.as_ref().map(|text| &text.to));
            let Some(address) = address else {
                self.withhold(&reminder, Reason::AlreadySent, "the EHR has a Communication of it").await?;
                report.found_at_ehr += 1;
                continue;
            };
            let (sid, body, state) = match text {
                Some(text) => (Some(text.sid), Some(text.body), AttemptState::Accepted.advance(text.state)),
                None => (None, None, AttemptState::Accepted),
            };
            let sent =
                Sent { message: found.message, channel: found.channel, address, at: found.sent, sid, body, state };
            self.enter(&reminder, sent, Some(found.id), "ehr").await?;
            report.found_at_ehr += 1;
        }
        Ok(())
    }

    async fn by_texts(&mut self, it: &mut Open, report: &mut Report) -> Result<(), ReconcileError> {
        let numbers: Vec<_> = it.addresses.clone();
        let mut open = Vec::new();
        for delivery in std::mem::take(&mut it.messages) {
            let text = (delivery.message.channel == Channel::Sms)
                .then(|| {
                    let body = delivery.message.body.as_ref().map(|body| body.text.expose().as_str());
                    self.texts.take_for(&delivery.message.address, delivery.message.created_at - SLACK, body)
                })
                .flatten();
            match text {
                Some(text) => {
                    let state = AttemptState::Accepted.advance(text.state);
                    self.settle(&delivery, state, Some(text.sid), None, "provider").await?;
                    report.messages_settled += 1;
                }
                None => open.push(delivery),
            }
        }
        it.messages = open;
        for address in &numbers {
            while let Some(text) = self.texts.first(address) {
                let Some(at) = fitting(&it.reminders, text.created + SLACK, None) else { break };
                let Some(text) = self.texts.take_for(address, text.created, None) else { break };
                let reminder = it.reminders.remove(at);
                let sent = Sent {
                    message: MessageId(self.gateway.store.new_id()),
                    channel: Channel::Sms,
                    address: address.clone(),
                    at: text.created,
                    sid: Some(text.sid),
                    body: Some(text.body),
                    state: AttemptState::Accepted.advance(text.state),
                };
                self.enter(&reminder, sent, None, "provider").await?;
                report.found_at_provider += 1;
            }
        }
        Ok(())
    }

    /// What is left: surely not sent, or nobody can tell.
    async fn doubtful(&self, it: &Open, report: &mut Report) -> Result<(), ReconcileError> {
        let by_mail = self.gateway.providers.email.is_some()
            && it.addresses.iter().any(|address| matches!(address, Address::Email(_)));
        for reminder in &it.reminders {
            if by_mail && !self.ehr_tells {
                let words = "it was due after the backup; mail keeps no log, and this EHR is told too late to tell";
                self.withhold(reminder, Reason::MayBeSent, words).await?;
                report.uncertain += 1;
            } else {
                report.not_sent += 1;
            }
        }
        Ok(())
    }
}

/// Where a message over `channel` went: to what the provider says, else where such messages go.
fn address_of(it: &Open, channel: Channel, to: Option<&Address>) -> Option<Address> {
    let fits = |address: &&Address| match channel {
        Channel::Email => matches!(address, Address::Email(_)),
        _ => matches!(address, Address::Phone(_)),
    };
    to.or_else(|| it.addresses.iter().find(fits)).cloned()
}
