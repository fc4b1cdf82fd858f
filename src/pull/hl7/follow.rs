//! Following what was hinted at: the EHR is asked for the records, appointments and encounters that a message names.

use std::collections::HashSet;

use chrono::TimeDelta;
use serde_json::json;

use super::message::{Happened, Hint};
use crate::config::{AppointmentIds, Hl7};
use crate::domain::{Actor, EhrId, EventKind, PatientId, ResourceKey, ResourceType, RunId, TenantId};
use crate::ehr::client::FhirClient;
use crate::ehr::error::EhrError;
use crate::ehr::plan::{Ask, CapabilityPlan};
use crate::ehr::read::Read;
use crate::ehr::scopes::{Access, ScopeSet};
use crate::ehr::search::Search;
use crate::store::{FeedMessage, FeedState, Store, StoreError, Unusable};

use super::super::listing::{Stop, instant};
use super::super::numbers::Whose;
use super::super::options::PullOptions;
use super::super::page::{Prepared, Run};
use super::super::planning::plan_due;
use super::super::report::{Progress, TypeReport};
use super::super::run::{PullError, wanted};

/// Messages followed in one go.
const AT_ONCE: u64 = 50;
/// Appointments that began earlier than this are nobody's business any more.
const BACK: TimeDelta = TimeDelta::days(2);
/// A repetition of a message later than this is not known as one.
const REMEMBERED: TimeDelta = TimeDelta::days(30);
/// Waits between tries, in minutes: an EHR may need a while until it shows what its engine has told already.
const WAITS: [i64; 6] = [1, 5, 30, 120, 720, 1440];
/// Who names what a message names, on the roster.
const SOURCE: &str = "hl7";

/// What came of following one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    Done,
    /// The EHR does not show it yet: where in the message, and what.
    NotYet(&'static str, &'static str),
    Never(&'static str, &'static str),
}

/// Follows what came in since the last time, in its order, and plans whom it concerns. Answers how many messages were
/// looked at. May be cut off anywhere: what was not settled is followed again, which changes nothing.
///
/// # Errors
/// The EHR gives no token or no capabilities, or the store refuses.
pub async fn follow(
    store: &Store,
    client: &FhirClient,
    options: &PullOptions,
    settings: &Hl7,
) -> Result<usize, PullError> {
    let connection = client.connection();
    let (tenant, ehr) = (&connection.tenant, &connection.id);
    let due = store.view(tenant).feed_messages_due(ehr, AT_ONCE).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let token = client.tokens().get().await.map_err(EhrError::from)?;
    let plan = CapabilityPlan::derive(connection, &*client.capability().await?);
    let kinds = wanted(store, client).await?;
    let id = RunId(store.new_id());
    let quiet = |_: &Progress| {};
    let run = Run::of(id, (store, client, options), plan, (&token.granted, &kinds), &quiet);
    let looked_at = due.len();
    for message in due {
        let state = match run.follow_message(&message, settings, &kinds, &token.granted).await {
            Ok(Followed::Done) => FeedState::Followed,
            Ok(Followed::NotYet(path, words)) => again(store, &message, path, words),
            Ok(Followed::Never(path, words)) => FeedState::GivenUp(format!("{path}: {words}")),
            Err(Stop::Store(error)) => return Err(error.into()),
            Err(Stop::Ehr(error)) if error.is_transient() => {
                let state = again(store, &message, "EHR", &error.to_string());
                settle(store, tenant, ehr, &message, state).await?;
                // The others would fare no better, and their order matters.
                break;
            }
            Err(Stop::Ehr(error)) => FeedState::GivenUp(format!("EHR: {error}")),
        };
        settle(store, tenant, ehr, &message, state).await?;
    }
    let mut tx = store.write(tenant).await?;
    let before = tx.now() - REMEMBERED;
    tx.forget_feed_messages(ehr, before).await?;
    tx.commit().await?;
    plan_due(store, tenant, ehr, options, &|_| {}).await?;
    Ok(looked_at)
}

fn again(store: &Store, message: &FeedMessage, path: &str, words: &str) -> FeedState {
    match WAITS.get(message.tries as usize) {
        Some(minutes) => {
            FeedState::Again(store.clock().now() + TimeDelta::minutes(*minutes), format!("{path}: {words}"))
        }
        None => FeedState::GivenUp(format!("{path}: {words}")),
    }
}

/// Records what came of a message; what is given up is shown in the quarantine.
async fn settle(
    store: &Store,
    tenant: &TenantId,
    ehr: &EhrId,
    message: &FeedMessage,
    state: FeedState,
) -> Result<(), StoreError> {
    let mut tx = store.write(tenant).await?;
    if let FeedState::GivenUp(why) = &state {
        let (path, reason) = why.split_once(": ").unwrap_or(("message", why));
        let unusable = Unusable {
            resource_type: "HL7v2".to_owned(),
            resource_id: message.control_id.clone(),
            path: path.to_owned(),
            reason: reason.to_owned(),
            hides_from: Vec::new(),
        };
        for it in tx.quarantine(ehr, std::slice::from_ref(&unusable)).await? {
            let event = tx.event(Actor::system("hl7"), EventKind::ResourceQuarantined).about_ehr(ehr);
            let detail = json!({"resource": format!("HL7v2/{}", it.resource_id), "path": it.path, "reason": it.reason});
            tx.append(event.with_detail(detail)).await?;
        }
    }
    tx.settle_feed_message(message.id, &state).await?;
    tx.commit().await
}

impl Run<'_> {
    async fn follow_message(
        &self,
        message: &FeedMessage,
        settings: &Hl7,
        kinds: &[ResourceType],
        granted: &ScopeSet,
    ) -> Result<Followed, Stop> {
        let Ok(hint) = serde_json::from_value::<Hint>(message.hint.clone()) else {
            return Ok(Followed::Never("message", "was stored in a form that is not known any more"));
        };
        if hint.happened == Happened::Merged {
            for merged in &hint.merges {
                match self.follow_merge(merged, settings).await? {
                    Followed::Done => {}
                    other => return Ok(other),
                }
            }
            return Ok(Followed::Done);
        }
        let mut unknown = None;
        for numbers in hint.people.iter().filter(|numbers| !numbers.is_empty()) {
            match self.whose(numbers, &settings.systems).await? {
                Whose::One(patient) => {
                    self.look_at(&patient).await?;
                    self.call(&patient).await?;
                    match hint.happened {
                        Happened::Appointment => self.appointments_of(&patient).await?,
                        _ if kinds.contains(&ResourceType::Encounter) => self.encounters_of(&patient, granted).await?,
                        _ => {}
                    }
                }
                Whose::Nobody => unknown = Some(Followed::NotYet("PID-3", "the EHR does not find this patient")),
                Whose::Several => return Ok(Followed::Never("PID-3", "names more than one patient of the EHR")),
            }
        }
        if hint.happened == Happened::Appointment && self.named_appointment(&hint, settings).await? {
            return Ok(Followed::Done);
        }
        Ok(unknown.unwrap_or(Followed::Done))
    }

    /// Reads a patient's record as the EHR has it now.
    pub(super) async fn look_at(&self, patient: &PatientId) -> Result<(), Stop> {
        let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
        match self.client.read(&key, None).await? {
            Read::Found(found) => {
                let report = &mut TypeReport::default();
                self.destination().keep(ResourceType::Patient, vec![found.resource], report).await?;
            }
            Read::Moved(survivor) => self.merged(&key, &survivor).await?,
            Read::Gone { .. } => self.forget(ResourceType::Patient, &[key], &mut TypeReport::default()).await?,
            Read::NotModified => {}
        }
        Ok(())
    }

    /// Names a patient on the roster, where the EHR does not list all of them.
    async fn call(&self, patient: &PatientId) -> Result<(), Stop> {
        if self.plan.of(ResourceType::Patient).is_some_and(|plan| plan.ask.value == Ask::WholeType) {
            return Ok(());
        }
        let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
        self.name(&key).await
    }

    async fn name(&self, key: &ResourceKey) -> Result<(), Stop> {
        let connection = self.client.connection();
        let mut tx = self.store.write(&connection.tenant).await?;
        tx.add_to_roster(&connection.id, SOURCE, [key]).await?;
        Ok(tx.commit().await?)
    }

    /// Looks at every appointment of a patient from now on: those that the EHR lists, and those that we know and it does
    /// not list any more.
    async fn appointments_of(&self, patient: &PatientId) -> Result<(), Stop> {
        const KIND: ResourceType = ResourceType::Appointment;
        let connection = self.client.connection();
        let from = self.store.clock().now() - BACK;
        let ask = self.plan.of(KIND).map_or(Ask::NotOffered, |plan| plan.ask.value);
        let mut seen = HashSet::new();
        if matches!(ask, Ask::WholeType | Ask::ByPatient | Ask::ByLocationDay) {
            let search =
                Search::new(KIND).with("patient", patient.as_str()).with("date", format!("ge{}", instant(from)));
            let found = self.client.find_all(search).await?;
            seen.extend(found.iter().filter_map(|it| it["id"].as_str().map(str::to_owned)));
            self.keep_named(KIND, found).await?;
        }
        let view = self.store.view(&connection.tenant);
        let mut rows = view.mirror_of_patients_in(&connection.id, std::slice::from_ref(patient), &[KIND]).await?;
        let ahead = rows.remove(patient).unwrap_or_default().into_iter();
        let ahead = ahead.filter(|row| row.starts_at.is_some_and(|start| start >= from));
        let unseen: Vec<ResourceKey> = ahead.map(|row| row.version.key).filter(|key| !seen.contains(&key.id)).collect();
        for (key, answer) in self.read_all(&unseen).await {
            self.read_one(key, answer?).await?;
        }
        Ok(())
    }

    async fn encounters_of(&self, patient: &PatientId, granted: &ScopeSet) -> Result<(), Stop> {
        const KIND: ResourceType = ResourceType::Encounter;
        let ask = self.plan.of(KIND).map_or(Ask::NotOffered, |plan| plan.ask.value);
        if !matches!(ask, Ask::WholeType | Ask::ByPatient) || !granted.allows(KIND.as_str(), &[Access::Search]) {
            return Ok(());
        }
        let found = self.client.find_all(Search::new(KIND).with("patient", patient.as_str())).await?;
        self.keep_named(KIND, found).await
    }

    /// Reads the appointment itself, where the engine's number is its id at the EHR. Answers whether it is.
    async fn named_appointment(&self, hint: &Hint, settings: &Hl7) -> Result<bool, Stop> {
        let id = match settings.appointment_ids {
            AppointmentIds::None => None,
            AppointmentIds::Filler => hint.filler.as_deref(),
            AppointmentIds::Placer => hint.placer.as_deref(),
        };
        let plain = |id: &&str| id.len() <= 128 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        let Some(id) = id.filter(plain) else { return Ok(false) };
        let key = ResourceKey::new(ResourceType::Appointment, id);
        let answer = self.client.read(&key, None).await?;
        if !matches!(answer, Read::Found(_)) {
            return Ok(false);
        }
        self.name(&key).await?;
        self.read_one(key, answer).await?;
        Ok(true)
    }

    async fn read_one(&self, key: ResourceKey, answer: Read) -> Result<(), Stop> {
        match answer {
            Read::Found(found) => self.keep_named(key.resource_type, vec![found.resource]).await,
            Read::Gone { .. } => {
                let kind = key.resource_type;
                Ok(self.forget(kind, &[key], &mut TypeReport::default()).await?)
            }
            Read::Moved(_) | Read::NotModified => Ok(()),
        }
    }

    /// Stores resources and what they name.
    async fn keep_named(&self, kind: ResourceType, found: Vec<serde_json::Value>) -> Result<(), Stop> {
        let mut report = TypeReport::default();
        let page = Prepared::of(kind, found, self.store.clock().now());
        let missing = self.destination().page(page, &mut HashSet::new(), &mut report).await?;
        Ok(self.fetch_referred(missing, &mut report).await?)
    }
}
