//! Gathers what `rules::decide` rests on: the driving resource and the Patient as the EHR has them now, the rest from
//! the mirror and the ledgers, each in one query for the whole batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::PoisonError;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::reread::{ConsentReading, Freshly, Reread};
use super::{Outbox, OutboxError, Providers};
use crate::config::Settings;
use crate::domain::{
    Address, Appointment, Channel, EhrId, Enrolment, Merges, MessageId, OptOut, Patient, PatientId, Reminder,
    ResourceKey, ResourceType, ResourceVersion, RuleId,
};
use crate::fhir;
use crate::rules::{
    self, CompiledRule, ConsentDirective, Consents, DecideFacts, Facilities, Mirror, PatientRecord, Reading,
    ResourceRecord,
};
use crate::store::{Hidden, MirrorRow, StoreError, View};

/// How far back messages count against the frequency budget.
const BUDGET_DAYS: i64 = 8;

/// Everything known for one batch of one EHR.
pub(super) struct Gathered {
    pub(super) facilities: Facilities,
    pub(super) rules: BTreeMap<RuleId, CompiledRule>,
    fresh: Freshly,
    refused_addresses: Vec<(Address, Channel)>,
    mirror: HashMap<PatientId, Vec<MirrorRow>>,
    enrolments: Vec<Enrolment>,
    opt_outs: BTreeMap<PatientId, Vec<OptOut>>,
    contacts: Vec<(PatientId, MessageId, DateTime<Utc>)>,
    covered: Vec<(ResourceType, DateTime<Utc>)>,
    hidden: Hidden,
    merges: Merges,
}

/// Settings of the deciding room, from the file's.
pub(super) fn deciding(settings: &Settings, providers: &Providers) -> rules::Settings {
    let hours = rules::AllowedHours::new(settings.send.allowed_from, settings.send.allowed_until);
    rules::Settings {
        hours: hours.unwrap_or_default(),
        budget: rules::Budget { per_day: settings.send.per_day, per_week: settings.send.per_week },
        channels: providers.channels(),
        region: settings.organisation.region.clone(),
        ..rules::Settings::default()
    }
}

/// The Patient and the driving resource of one reminder, parsed.
pub(super) struct Subject {
    pub(super) patient: Option<Patient>,
    patient_value: Option<Value>,
    patient_version: Option<ResourceVersion>,
    patient_state: State,
    resource_value: Option<Value>,
    resource_version: Option<ResourceVersion>,
    pub(super) appointment: Option<Appointment>,
    resource_state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Unreadable,
    Gone,
}

impl Outbox {
    /// Gathers the facts for reminders of one EHR.
    pub(super) async fn gather(&self, ehr: &EhrId, reminders: &[&Reminder]) -> Result<Gathered, OutboxError> {
        let mut patients: Vec<PatientId> = reminders.iter().map(|it| it.patient.clone()).collect();
        patients.sort();
        patients.dedup();
        let view = self.store.view(&self.tenant);
        let merges = view.merges(ehr, &patients).await?;
        let all = merges.with_predecessors(&patients);
        let mut mirror = view.mirror_of_patients(ehr, &all).await?;
        merges.fold(&mut mirror, |row| row.version.key.resource_type != ResourceType::Patient);
        let locations = view.mirror_of_type(ehr, ResourceType::Location).await?;
        let mut keys: Vec<ResourceKey> =
            reminders.iter().flat_map(|it| [patient_key(&it.patient), it.plan.occasion.resource.clone()]).collect();
        keys.sort();
        keys.dedup();
        let fresh = self.reread(ehr, keys, &patients).await;
        let now = self.now();
        let with_addresses: Vec<(PatientId, Vec<Address>)> = patients
            .iter()
            .map(|id| {
                let rows = mirror.get(id).map_or(&[][..], Vec::as_slice);
                (id.clone(), self.addresses(fresh.resources.get(&patient_key(id)), rows, now))
            })
            .collect();
        let addresses: Vec<Address> = with_addresses.iter().flat_map(|(_, addresses)| addresses.clone()).collect();
        Ok(Gathered {
            facilities: Facilities::read(
                locations.iter().map(|row| &row.body),
                &self.settings.organisation.location_zones,
                &self.settings.organisation.name,
                self.settings.organisation.zone,
                now,
            ),
            rules: self.live_rules().await?,
            enrolments: merges.enrolments(view.enrolments_of(ehr, &all).await?),
            opt_outs: view.opt_outs_for(ehr, &with_addresses).await?,
            contacts: contacts_of(&view, &merges, ehr, &all, now - TimeDelta::days(BUDGET_DAYS)).await?,
            covered: view.covered_types(ehr).await?,
            hidden: view.hidden_of(ehr, &all).await?,
            merges,
            refused_addresses: view.refused_addresses(&addresses).await?,
            fresh,
            mirror,
        })
    }

    /// The live rules, compiled.
    pub(super) async fn live_rules(&self) -> Result<BTreeMap<RuleId, CompiledRule>, OutboxError> {
        let live = self.store.view(&self.tenant).live_rules().await?;
        let mut known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(id, version), _| live.iter().any(|rule| rule.id == *id && rule.version == *version));
        let mut compiled = BTreeMap::new();
        for rule in live {
            let id = rule.id.clone();
            let key = (rule.id.clone(), rule.version.clone());
            let rule = match known.get(&key) {
                Some(rule) => rule.clone(),
                None => {
                    let rule = CompiledRule::compile(rule).map_err(|problems| OutboxError::Rule {
                        rule: id.to_string(),
                        problem: problems.first().map(ToString::to_string).unwrap_or_default(),
                    })?;
                    known.insert(key, rule.clone());
                    rule
                }
            };
            compiled.insert(id, rule);
        }
        Ok(compiled)
    }

    fn addresses(&self, fresh: Option<&Reread>, rows: &[MirrorRow], now: DateTime<Utc>) -> Vec<Address> {
        let value = match fresh {
            Some(Reread::Fresh(value)) => Some(value),
            _ => rows.iter().find(|row| row.version.key.resource_type == ResourceType::Patient).map(|row| &row.body),
        };
        let patient = value.and_then(|value| fhir::read::patient(value, now).value);
        patient.map_or_else(Vec::new, |patient| rules::addresses_of(&patient, &self.deciding))
    }
}

pub(super) fn patient_key(patient: &PatientId) -> ResourceKey {
    ResourceKey::new(ResourceType::Patient, patient.as_str())
}

impl Gathered {
    /// Who took the place of the patient that `key` names.
    fn survivor_of(&self, key: &ResourceKey) -> Option<&PatientId> {
        let is_patient = key.resource_type == ResourceType::Patient;
        is_patient.then(|| self.merges.survivor_of(&PatientId::new(&*key.id)))?
    }

    fn mirrored(&self, patient: &PatientId, key: &ResourceKey) -> Option<&MirrorRow> {
        self.mirror.get(patient)?.iter().find(|row| row.version.key == *key)
    }

    /// What was read fresh and differs from the mirror: to be stored, so that a new plan sees it.
    pub(super) fn fresh_value(&self, key: &ResourceKey) -> Option<&Value> {
        match self.fresh.resources.get(key) {
            Some(Reread::Fresh(value)) => Some(value),
            _ => None,
        }
    }

    /// The messages that the frequency budget was judged by. One that came since makes a decision void.
    pub(super) fn known_contacts(&self) -> BTreeSet<MessageId> {
        self.contacts.iter().map(|(_, message, _)| *message).collect()
    }

    /// The consent records of a patient as they were just read: to be stored, so that a withdrawal is noticed.
    pub(super) fn fresh_consents(&self, patient: &PatientId) -> &[Value] {
        match self.fresh.consents.get(patient) {
            Some(ConsentReading::Fresh(records)) => records,
            _ => &[],
        }
    }

    fn mirrored_consents(&self, patient: &PatientId) -> impl Iterator<Item = &Value> {
        let rows = self.mirror.get(patient).map_or(&[][..], Vec::as_slice);
        rows.iter().filter(|row| row.version.key.resource_type == ResourceType::Consent).map(|row| &row.body)
    }

    fn inherited_consents(&self, patient: &PatientId) -> impl Iterator<Item = &Value> {
        let has_more = self.merges.predecessors_of(patient).next().is_some();
        self.mirrored_consents(patient)
            .filter(move |it| has_more && fhir::read::subject_of(it).is_some_and(|subject| subject != *patient))
    }

    /// Parses what one reminder is about.
    pub(super) fn subject(&self, reminder: &Reminder, now: DateTime<Utc>) -> Subject {
        let (patient_state, patient_value) = self.reading(&reminder.patient, &patient_key(&reminder.patient));
        let resource_key = &reminder.plan.occasion.resource;
        let (resource_state, resource_value) = self.reading(&reminder.patient, resource_key);
        let patient = patient_value.as_ref().and_then(|value| fhir::read::patient(value, now).value);
        let appointment = resource_value
            .as_ref()
            .filter(|_| resource_key.resource_type == ResourceType::Appointment)
            .and_then(|value| fhir::read::appointment(value).value);
        Subject {
            patient_version: patient_value.as_ref().and_then(fhir::read::version_of),
            resource_version: resource_value.as_ref().and_then(fhir::read::version_of),
            patient,
            patient_value,
            patient_state,
            resource_value,
            appointment,
            resource_state,
        }
    }

    fn reading(&self, patient: &PatientId, key: &ResourceKey) -> (State, Option<Value>) {
        match self.fresh.resources.get(key) {
            // The EHR still shows the record, and its survivor says otherwise.
            Some(Reread::Fresh(_)) if self.survivor_of(key).is_some() => {
                (State::Fresh, self.survivor_of(key).map(|survivor| fhir::read::replaced(patient, survivor)))
            }
            Some(Reread::Fresh(value)) => (State::Fresh, Some(value.clone())),
            Some(Reread::Gone) => (State::Gone, None),
            // The record answered as another one: show decide the link, so that it names the merge.
            Some(Reread::Moved(survivor)) => (State::Fresh, Some(replaced(key, survivor))),
            Some(Reread::Unreadable) | None => {
                (State::Unreadable, self.mirrored(patient, key).map(|row| row.body.clone()))
            }
        }
    }

    /// Decides on one reminder. `own` messages do not count against the budget, `more` do.
    pub(super) fn decide(
        &self,
        outbox: &Outbox,
        reminder: &Reminder,
        subject: &Subject,
        own: Option<MessageId>,
        more: &[DateTime<Utc>],
    ) -> crate::domain::Decision {
        let now = outbox.now();
        let patient =
            subject.patient.as_ref().zip(subject.patient_value.as_ref()).zip(subject.patient_version.as_ref());
        let patient = patient.map(|((patient, value), version)| PatientRecord { version, patient, value });
        let resource = subject.resource_value.as_ref().zip(subject.resource_version.as_ref());
        let resource = resource.map(|(value, version)| ResourceRecord {
            version,
            value,
            appointment: subject.appointment.as_ref(),
        });
        let mut mirror = Mirror::default();
        for row in self.mirror.get(&reminder.patient).map_or(&[][..], Vec::as_slice) {
            mirror.add(&row.version, &row.body);
        }
        let known = |kind| {
            let mut records = std::iter::once(&reminder.patient).chain(self.merges.predecessors_of(&reminder.patient));
            records.all(|record| self.hidden.nothing_of(record, kind))
        };
        for (kind, at) in self.covered.iter().filter(|(kind, _)| known(*kind)) {
            mirror.cover(*kind, *at);
        }
        let mut contacts: Vec<DateTime<Utc>> = self
            .contacts
            .iter()
            .filter(|(patient, message, _)| *patient == reminder.patient && Some(*message) != own)
            .map(|(_, _, at)| *at)
            .collect();
        contacts.extend_from_slice(more);
        let enrolment =
            self.enrolments.iter().find(|it| it.patient == reminder.patient && it.rule == reminder.plan.rule);
        let said: Vec<ConsentDirective> = match self.fresh.consents.get(&reminder.patient) {
            // What the person said under a record that was merged away was not asked for by this record.
            Some(ConsentReading::Fresh(records)) => {
                directives(records.iter().chain(self.inherited_consents(&reminder.patient)), now)
            }
            Some(ConsentReading::NotKept(_)) => Vec::new(),
            Some(ConsentReading::Unreadable(_)) | None => directives(self.mirrored_consents(&reminder.patient), now),
        };
        let consents = match self.fresh.consents.get(&reminder.patient) {
            Some(ConsentReading::Fresh(_)) => Consents::Fresh(&said),
            Some(ConsentReading::NotKept(why)) => Consents::NotKept { why },
            Some(ConsentReading::Unreadable(why)) => Consents::Unreadable { why, mirrored: &said },
            None => Consents::Unreadable { why: "the consent records were not read", mirrored: &said },
        };
        let facts = DecideFacts {
            patient: reading(subject.patient_state, patient),
            resource: reading(subject.resource_state, resource),
            mirror: &mirror,
            facilities: &self.facilities,
            set_zone: None,
            enrolment,
            opt_outs: self.opt_outs.get(&reminder.patient).map_or(&[], Vec::as_slice),
            consents,
            guardians: &[],
            dead_addresses: &self.refused_addresses,
            contacts: &contacts,
            settings: &outbox.deciding,
        };
        let id = crate::domain::DecisionId(outbox.store.new_id());
        rules::decide(id, reminder, self.rules.get(&reminder.plan.rule), &facts, now)
    }
}

/// Messages of the past days, whichever record of the person they were about.
pub(super) async fn contacts_of(
    view: &View<'_>,
    merges: &Merges,
    ehr: &EhrId,
    all: &[PatientId],
    since: DateTime<Utc>,
) -> Result<Vec<(PatientId, MessageId, DateTime<Utc>)>, StoreError> {
    let found = view.contacts_since(ehr, all, since).await?;
    Ok(found.into_iter().map(|(patient, message, at)| (merges.owner(&patient).clone(), message, at)).collect())
}

fn directives<'a>(records: impl Iterator<Item = &'a Value>, now: DateTime<Utc>) -> Vec<ConsentDirective> {
    records.flat_map(|record| ConsentDirective::of_record(record, now)).collect()
}

/// A record that could be read but not understood counts as unreadable: nothing is sent on it.
fn reading<T>(state: State, record: Option<T>) -> Reading<T> {
    match (state, record) {
        (State::Gone, _) => Reading::Gone,
        (State::Fresh, Some(record)) => Reading::Fresh(record),
        (State::Fresh, None) => Reading::Unreadable { mirrored: None },
        (State::Unreadable, mirrored) => Reading::Unreadable { mirrored },
    }
}

/// What a Patient looks like that was merged away.
fn replaced(key: &ResourceKey, survivor: &ResourceKey) -> Value {
    serde_json::json!({
        "resourceType": key.resource_type.as_str(),
        "id": key.id,
        "active": false,
        "link": [{ "other": { "reference": survivor.to_string() }, "type": "replaced-by" }],
    })
}
