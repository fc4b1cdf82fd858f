//! What is known of one patient, read at once so that the files of a packet agree with each other.

use std::collections::BTreeMap;

use super::Request;
use crate::domain::{Address, Decision, MessageId, OptOut, Reminder, ResourceKey, ResourceType};
use crate::history::HistoryError;
use crate::store::{Delivery, Evidence, MessageFilter, MirrorRow, ReplyLine, View, WriteBack, WriteBackSubject};

/// Messages and events that are read at once.
const AT_ONCE: u64 = 500;

pub struct Gathered {
    /// As the mirror has it; absent once it is gone.
    pub patient: Option<MirrorRow>,
    pub consents: Vec<MirrorRow>,
    /// Oldest first.
    pub messages: Vec<Delivery>,
    pub written: BTreeMap<MessageId, WriteBack>,
    pub replies: Vec<ReplyLine>,
    pub reminders: Vec<(Reminder, Vec<Decision>)>,
    pub opt_outs: Vec<OptOut>,
    pub events: Vec<Evidence>,
}

pub async fn gather(view: &View<'_>, request: &Request, size: u64) -> Result<Gathered, HistoryError> {
    let (ehr, patient) = (&request.ehr, &request.patient);
    let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
    let mirrored = view.mirror_of_patient(ehr, patient).await?;
    let consents = mirrored.into_iter().filter(|row| row.version.key.resource_type == ResourceType::Consent).collect();
    let messages = messages(view, request).await?;
    let mut written = BTreeMap::new();
    for it in &messages {
        if let Some(line) = view.write_back_of(WriteBackSubject::Message(it.message.id)).await? {
            written.insert(it.message.id, line);
        }
    }
    let mut reminders = Vec::new();
    let theirs = view.reminders_of_patients(ehr, std::slice::from_ref(patient)).await?.remove(patient);
    for reminder in theirs.unwrap_or_default() {
        let decisions = view.decisions_on(reminder.id).await?;
        reminders.push((reminder, decisions));
    }
    let mut addresses: Vec<Address> = Vec::new();
    for it in &messages {
        if !addresses.contains(&it.message.address) {
            addresses.push(it.message.address.clone());
        }
    }
    Ok(Gathered {
        patient: view.mirror_resource(ehr, &key).await?,
        consents,
        written,
        replies: view.replies_of_patient(ehr, patient).await?,
        reminders,
        opt_outs: view.opt_outs_ever(ehr, patient, &addresses).await?,
        events: events(view, request, size).await?,
        messages,
    })
}

async fn messages(view: &View<'_>, request: &Request) -> Result<Vec<Delivery>, HistoryError> {
    let mut filter = MessageFilter {
        patient: Some((request.ehr.clone(), request.patient.clone())),
        limit: AT_ONCE,
        ..MessageFilter::default()
    };
    let mut all = Vec::new();
    loop {
        let ids: Vec<MessageId> = view.list_messages(&filter).await?.iter().map(|it| it.id).collect();
        let Some(last) = ids.last() else { break };
        filter.before = Some(*last);
        all.extend(view.deliveries(&ids).await?);
    }
    all.reverse();
    Ok(all)
}

/// The events that the checkpoint covers.
async fn events(view: &View<'_>, request: &Request, size: u64) -> Result<Vec<Evidence>, HistoryError> {
    let (mut all, mut after): (Vec<Evidence>, Option<u64>) = (Vec::new(), None);
    loop {
        let page = view.evidence_of(&request.ehr, &request.patient, after, AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.place);
        all.extend(page.into_iter().filter(|it| it.place < size));
    }
}
