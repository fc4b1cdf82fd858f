//! From the mirror to reminders: patients whose plan is due, a few in each transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::domain::{
    Actor, Appointment, ClinicDefault, EhrId, Enrolment, Event, EventKind, Merges, PatientId, PatientStatus,
    PlannedReminder, Reason, Reminder, ReminderState, ResourceKey, ResourceType, RuleId, TenantId,
};
use crate::fhir::read;
use crate::rules::{self, Changes, CompiledRule, Facilities, Mirror, PatientFacts, Plan};
use crate::store::{Hidden, MirrorRow, SealedMirror, Store, StoreError, Tx, View};

use super::cohorts;
use super::options::PullOptions;
use super::run::PullError;

/// Patients planned in one transaction: few enough that others get at the database within a tenth of a second.
const CHUNK: u64 = 256;
/// Of them, patients planned together beside the database's work on others.
const PART: usize = 64;

/// What planning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PlanCounts {
    pub patients: usize,
    pub planned: usize,
    pub moved: usize,
    pub ended: usize,
}

/// What is the same for all patients of one EHR.
pub(super) struct Ground {
    ehr: EhrId,
    pub(super) rules: Vec<CompiledRule>,
    live: BTreeSet<RuleId>,
    facilities: Facilities,
    clinic_defaults: Vec<ClinicDefault>,
    covered: Vec<(ResourceType, DateTime<Utc>)>,
    /// Types that any of the rules looks at.
    pub(super) kinds: Vec<ResourceType>,
}

/// Plans every patient of an EHR whose plan is due now. May be cut off anywhere: what is done is done, and the rest is
/// still due.
///
/// # Errors
/// A live rule cannot be compiled, or the store refuses.
pub async fn plan_due(
    store: &Store,
    tenant: &TenantId,
    ehr: &EhrId,
    options: &PullOptions,
    progress: &(dyn Fn(PlanCounts) + Send + Sync),
) -> Result<PlanCounts, PullError> {
    cohorts::step(store, tenant, ehr).await?;
    let ground = Arc::new(ground(store, tenant, ehr, options).await?);
    let mut counts = PlanCounts::default();
    loop {
        let mut tx = store.write(tenant).await?;
        let due = tx.patients_to_plan(ehr, CHUNK).await?;
        if due.is_empty() {
            drop(tx);
            if cohorts::step(store, tenant, ehr).await? {
                continue;
            }
            return Ok(counts);
        }
        plan_chunk(&mut tx, &ground, &due, &mut counts).await?;
        tx.commit().await?;
        progress(counts);
    }
}

pub(super) async fn ground(
    store: &Store,
    tenant: &TenantId,
    ehr: &EhrId,
    options: &PullOptions,
) -> Result<Ground, PullError> {
    let view = store.view(tenant);
    let (mut compiled, mut live) = (Vec::new(), BTreeSet::new());
    for rule in view.live_rules().await? {
        live.insert(rule.id.clone());
        match CompiledRule::compile(rule) {
            Ok(rule) => compiled.push(rule),
            // It stops nothing but itself: what it had planned stays, and an alert tells of it.
            Err(problems) => {
                let problem = problems.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(%problem, "a live rule cannot be used and plans nothing");
            }
        }
    }
    let locations = view.mirror_of_type(ehr, ResourceType::Location).await?;
    let facilities = Facilities::read(
        locations.iter().map(|row| &row.body),
        &options.location_zones,
        &options.organisation,
        options.zone,
        store.clock().now(),
    );
    let of_rules = compiled.iter().map(CompiledRule::rule);
    let kinds: BTreeSet<ResourceType> = of_rules
        .flat_map(|rule| rule.reads.iter().copied().chain([rule.resource]))
        .chain([ResourceType::Patient, ResourceType::Appointment])
        .collect();
    Ok(Ground {
        ehr: ehr.clone(),
        kinds: kinds.into_iter().collect(),
        live,
        rules: compiled,
        facilities,
        clinic_defaults: view.clinic_defaults(ehr).await?,
        covered: view.covered_types(ehr).await?,
    })
}

/// Plans patients a part at a time: while one part is opened and planned, the database stores the plans of the part
/// before it and reads the part after it.
async fn plan_chunk(
    tx: &mut Tx<'_>,
    ground: &Arc<Ground>,
    due: &[PatientId],
    counts: &mut PlanCounts,
) -> Result<(), StoreError> {
    let now = tx.now();
    let mut planning: Option<JoinHandle<Result<Vec<Planned>, StoreError>>> = None;
    for part in due.chunks(PART) {
        let known = SealedKnown::read(&tx.view(), &ground.ehr, part, &ground.kinds).await?;
        let (ground_of_part, patients) = (ground.clone(), part.to_vec());
        let next = tokio::task::spawn_blocking(move || plan_part(known, &ground_of_part, patients, now));
        if let Some(planned) = planning.replace(next) {
            keep(tx, ground, done(planned).await?, counts).await?;
        }
    }
    if let Some(planned) = planning {
        keep(tx, ground, done(planned).await?, counts).await?;
    }
    counts.patients += due.len();
    Ok(())
}

async fn done(planning: JoinHandle<Result<Vec<Planned>, StoreError>>) -> Result<Vec<Planned>, StoreError> {
    // A panic is a mistake in a rule's evaluation; it must not pass for an empty plan.
    planning.await.map_err(|_| StoreError::Database("planning was cut off; it will be tried again".to_owned()))?
}

/// What is to become of one patient's reminders.
struct Planned {
    patient: PatientId,
    changes: Changes,
    replan_at: Option<DateTime<Utc>>,
}

/// Opens what is known of these patients and plans them.
fn plan_part(
    known: SealedKnown,
    ground: &Ground,
    patients: Vec<PatientId>,
    now: DateTime<Utc>,
) -> Result<Vec<Planned>, StoreError> {
    let known = known.open()?;
    let planned = patients.into_iter().map(|patient| {
        let existing = known.existing(&patient);
        let (changes, replan_at) = match known.plan(ground, &patient, now) {
            Some(plan) => {
                let mut changes = rules::reconcile(existing, &plan);
                changes.cancel.extend(rules::retire(existing, &ground.live));
                (changes, plan.replan_at)
            }
            None => (all_ended(&known.merges, &patient, existing), None),
        };
        Planned { patient, changes, replan_at }
    });
    Ok(planned.collect())
}

/// Stores what was planned, with its events.
async fn keep(
    tx: &mut Tx<'_>,
    ground: &Ground,
    plans: Vec<Planned>,
    counts: &mut PlanCounts,
) -> Result<(), StoreError> {
    let ehr = &ground.ehr;
    let mut planned = Vec::with_capacity(plans.len());
    let mut events = Vec::new();
    let mut new = Vec::new();
    for Planned { patient, mut changes, replan_at } in plans {
        new.extend(std::mem::take(&mut changes.insert).into_iter().map(|plan| (patient.clone(), plan)));
        apply(tx, ehr, &patient, changes, &mut events, counts).await?;
        planned.push((patient, replan_at));
    }
    // In one statement for all; nothing above looks at them.
    insert(tx, ehr, new, &mut events, counts).await?;
    tx.append_all(events).await?;
    tx.patients_planned(ehr, &planned).await
}

/// What the store knows of some patients, not opened yet.
struct SealedKnown {
    merges: Merges,
    mirror: SealedMirror,
    reminders: HashMap<PatientId, Vec<Reminder>>,
    enrolments: Vec<Enrolment>,
    hidden: Hidden,
}

impl SealedKnown {
    /// Reads the reminders first: a patient who is planned meanwhile has a newer instant than what was read.
    async fn read(
        view: &View<'_>,
        ehr: &EhrId,
        patients: &[PatientId],
        kinds: &[ResourceType],
    ) -> Result<Self, StoreError> {
        let merges = view.merges(ehr, patients).await?;
        let all = merges.with_predecessors(patients);
        let mut reminders = view.reminders_of_patients(ehr, &all).await?;
        // What went out for the replaced record was told to the person.
        merges.fold(&mut reminders, |it| it.state == ReminderState::Released);
        Ok(Self {
            mirror: view.sealed_mirror_of_patients(ehr, &all, kinds).await?,
            reminders,
            enrolments: merges.enrolments(view.enrolments_of(ehr, &all).await?),
            hidden: view.hidden_of(ehr, &all).await?,
            merges,
        })
    }

    fn open(self) -> Result<Known, StoreError> {
        let Self { merges, mirror, reminders, enrolments, hidden } = self;
        let mut mirror = mirror.open()?;
        merges.fold(&mut mirror, |row| row.version.key.resource_type != ResourceType::Patient);
        Ok(Known { merges, mirror, reminders, enrolments, hidden })
    }
}

/// What the store knows of some patients, where what stands under a record that was merged away counts as the survivor's.
pub(super) struct Known {
    pub(super) merges: Merges,
    pub(super) mirror: HashMap<PatientId, Vec<MirrorRow>>,
    reminders: HashMap<PatientId, Vec<Reminder>>,
    enrolments: Vec<Enrolment>,
    hidden: Hidden,
}

impl Known {
    pub(super) async fn gather(
        view: &View<'_>,
        ehr: &EhrId,
        patients: &[PatientId],
        kinds: &[ResourceType],
    ) -> Result<Self, StoreError> {
        SealedKnown::read(view, ehr, patients, kinds).await?.open()
    }

    pub(super) fn existing(&self, patient: &PatientId) -> &[Reminder] {
        self.reminders.get(patient).map_or(&[], Vec::as_slice)
    }

    /// `None` for a patient whose record is not there.
    pub(super) fn plan(&self, ground: &Ground, patient: &PatientId, now: DateTime<Utc>) -> Option<Plan> {
        self.ask(ground, patient, now, |facts| rules::plan(facts, &ground.rules, now))
    }

    /// Asks something of everything known of a patient; `None` where the record is not there.
    pub(super) fn ask<T>(
        &self,
        ground: &Ground,
        patient: &PatientId,
        now: DateTime<Utc>,
        question: impl FnOnce(&PatientFacts<'_>) -> T,
    ) -> Option<T> {
        let rows = self.mirror.get(patient).map_or(&[][..], Vec::as_slice);
        let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
        let body = &rows.iter().find(|row| row.version.key == key)?.body;
        let mut facts = read::patient(body, now).value?;
        if let Some(survivor) = self.merges.survivor_of(patient) {
            facts.status = PatientStatus::ReplacedBy(survivor.clone());
        }
        let mut mirror = Mirror::default();
        for row in rows {
            mirror.add(&row.version, &row.body);
        }
        for (kind, at) in &ground.covered {
            let mut records = std::iter::once(patient).chain(self.merges.predecessors_of(patient));
            if records.all(|record| self.hidden.nothing_of(record, *kind)) {
                mirror.cover(*kind, *at);
            }
        }
        let appointments: Vec<Appointment> = rows
            .iter()
            .filter(|row| row.version.key.resource_type == ResourceType::Appointment)
            .filter_map(|row| read::appointment(&row.body).value)
            .collect();
        let enrolments: Vec<Enrolment> = self.enrolments.iter().filter(|it| it.patient == *patient).cloned().collect();
        let facts = PatientFacts {
            patient: &facts,
            patient_value: body,
            mirror: &mirror,
            appointments: &appointments,
            facilities: &ground.facilities,
            existing: self.existing(patient),
            enrolments: &enrolments,
            clinic_defaults: &ground.clinic_defaults,
        };
        Some(question(&facts))
    }
}

/// What planning one patient now would answer, and the reminders that stand.
#[derive(Debug, Clone)]
pub struct Preview {
    pub plan: Plan,
    pub existing: Vec<Reminder>,
}

/// Plans one patient without changing anything: the answer to "why not?".
///
/// # Errors
/// As [`plan_due`].
pub async fn preview(
    store: &Store,
    tenant: &TenantId,
    ehr: &EhrId,
    patient: &PatientId,
    options: &PullOptions,
) -> Result<Preview, PullError> {
    let ground = ground(store, tenant, ehr, options).await?;
    let view = store.view(tenant);
    let now = store.clock().now();
    let one = std::slice::from_ref(patient);
    let known = Known::gather(&view, ehr, one, ResourceType::ALL).await?;
    let plan = known.plan(&ground, patient, now).unwrap_or_default();
    Ok(Preview { plan, existing: known.existing(patient).to_vec() })
}

/// A patient whose record is not there any more gets nothing.
fn all_ended(merges: &Merges, patient: &PatientId, existing: &[Reminder]) -> Changes {
    let reason = if merges.survivor_of(patient).is_some() { Reason::PatientReplaced } else { Reason::PatientGone };
    let open = existing.iter().filter(|reminder| reminder.state.is_open());
    Changes { cancel: open.map(|reminder| (reminder.id, reason)).collect(), ..Changes::default() }
}

async fn insert(
    tx: &mut Tx<'_>,
    ehr: &EhrId,
    new: Vec<(PatientId, PlannedReminder)>,
    events: &mut Vec<Event>,
    counts: &mut PlanCounts,
) -> Result<(), StoreError> {
    counts.planned += new.len();
    for reminder in tx.insert_reminders_of(ehr, new).await? {
        let event = tx.event(Actor::system("pull"), EventKind::ReminderPlanned).about_patient(ehr, &reminder.patient);
        let plan = &reminder.plan;
        events.push(event.about_rule(&plan.rule).about_reminder(reminder.id).with_detail(json!({
            "step": plan.step, "occasion": plan.occasion.key, "due_at": plan.due_at, "expires_at": plan.expires_at,
            "rule_version": plan.rule_version, "resource": plan.occasion.resource.to_string(),
        })));
    }
    Ok(())
}

/// Moves and ends reminders that stand.
async fn apply(
    tx: &mut Tx<'_>,
    ehr: &EhrId,
    patient: &PatientId,
    changes: Changes,
    events: &mut Vec<Event>,
    counts: &mut PlanCounts,
) -> Result<(), StoreError> {
    let actor = || Actor::system("pull");
    counts.moved += changes.update.len();
    counts.ended += changes.cancel.len();
    for update in changes.update {
        tx.update_reminder(update.id, &update.plan, update.next_at, update.reopen).await?;
        let event = tx.event(actor(), EventKind::ReminderMoved).about_patient(ehr, patient);
        events.push(event.about_rule(&update.plan.rule).about_reminder(update.id).with_detail(json!({
            "due_at": update.plan.due_at, "expires_at": update.plan.expires_at, "reopened": update.reopen,
            "rule_version": update.plan.rule_version,
        })));
    }
    tx.end_reminders(&changes.cancel).await?;
    for (id, reason) in changes.cancel {
        let kind = match reason.ends_as() {
            ReminderState::Withheld => EventKind::ReminderWithheld,
            _ => EventKind::ReminderCancelled,
        };
        let event = tx.event(actor(), kind).about_patient(ehr, patient);
        events.push(event.about_reminder(id).with_detail(json!({"reason": reason})));
    }
    Ok(())
}
