//! From the mirror to reminders: patients whose plan is due, a few in each transaction.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use crate::domain::{
    Actor, Appointment, ClinicDefault, EhrId, Enrolment, Event, EventKind, Patient, PatientId, PlannedReminder, Reason,
    Reminder, ResourceKey, ResourceType, RuleId, TenantId,
};
use crate::fhir::read;
use crate::rules::{self, Changes, CompiledRule, Facilities, Mirror, PatientFacts, Plan};
use crate::store::{Hidden, MirrorRow, Store, StoreError, Tx};

use super::cohorts;
use super::options::PullOptions;
use super::run::PullError;

/// Patients planned in one transaction: few, so that others get at the database between.
const CHUNK: u64 = 50;

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
    let ground = ground(store, tenant, ehr, options).await?;
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
    let mut compiled = Vec::new();
    for rule in view.live_rules().await? {
        let id = rule.id.to_string();
        compiled.push(CompiledRule::compile(rule).map_err(|problems| PullError::Rule {
            rule: id,
            problem: problems.first().map(ToString::to_string).unwrap_or_default(),
        })?);
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
        live: compiled.iter().map(|rule| rule.id().clone()).collect(),
        rules: compiled,
        facilities,
        clinic_defaults: view.clinic_defaults(ehr).await?,
        covered: view.covered_types(ehr).await?,
    })
}

async fn plan_chunk(
    tx: &mut Tx<'_>,
    ground: &Ground,
    due: &[PatientId],
    counts: &mut PlanCounts,
) -> Result<(), StoreError> {
    let now = tx.now();
    let ehr = &ground.ehr;
    let view = tx.view();
    let mirror = view.mirror_of_patients_in(ehr, due, &ground.kinds).await?;
    let existing = view.reminders_of_patients(ehr, due).await?;
    let enrolments = view.enrolments_of(ehr, due).await?;
    let hidden = view.hidden_of(ehr, due).await?;
    let mut planned = Vec::with_capacity(due.len());
    let mut events = Vec::new();
    let mut new = Vec::new();
    for patient in due {
        let rows = mirror.get(patient).map_or(&[][..], Vec::as_slice);
        let existing = existing.get(patient).map_or(&[][..], Vec::as_slice);
        let enrolments: Vec<Enrolment> = enrolments.iter().filter(|it| it.patient == *patient).cloned().collect();
        let (mut changes, replan_at) = match facts_of(patient, rows, now) {
            Some((facts, body)) => {
                let plan = plan_one(ground, &facts, body, rows, &hidden, existing, &enrolments, now);
                let mut changes = rules::reconcile(existing, &plan);
                changes.cancel.extend(rules::retire(existing, &ground.live));
                (changes, plan.replan_at)
            }
            None => (all_ended(tx, ehr, patient, existing).await?, None),
        };
        new.extend(std::mem::take(&mut changes.insert).into_iter().map(|plan| (patient.clone(), plan)));
        apply(tx, ehr, patient, changes, &mut events, counts).await?;
        planned.push((patient.clone(), replan_at));
    }
    // In one statement for the chunk; nothing above looks at them.
    insert(tx, ehr, new, &mut events, counts).await?;
    tx.append_all(events).await?;
    tx.patients_planned(ehr, &planned).await?;
    counts.patients += due.len();
    Ok(())
}

pub(super) fn facts_of<'r>(
    patient: &PatientId,
    rows: &'r [MirrorRow],
    now: DateTime<Utc>,
) -> Option<(Patient, &'r serde_json::Value)> {
    let key = ResourceKey::new(ResourceType::Patient, patient.as_str());
    let row = rows.iter().find(|row| row.version.key == key)?;
    Some((read::patient(&row.body, now).value?, &row.body))
}

#[expect(clippy::too_many_arguments, reason = "each is gathered by another query")]
pub(super) fn plan_one(
    ground: &Ground,
    patient: &Patient,
    patient_value: &serde_json::Value,
    rows: &[MirrorRow],
    hidden: &Hidden,
    existing: &[Reminder],
    enrolments: &[Enrolment],
    now: DateTime<Utc>,
) -> Plan {
    with_facts(ground, patient, patient_value, rows, hidden, existing, enrolments, |facts| {
        rules::plan(facts, &ground.rules, now)
    })
}

/// Asks something of everything known of one patient.
#[expect(clippy::too_many_arguments, reason = "each is gathered by another query")]
pub(super) fn with_facts<T>(
    ground: &Ground,
    patient: &Patient,
    patient_value: &serde_json::Value,
    rows: &[MirrorRow],
    hidden: &Hidden,
    existing: &[Reminder],
    enrolments: &[Enrolment],
    ask: impl FnOnce(&PatientFacts<'_>) -> T,
) -> T {
    let mut mirror = Mirror::default();
    for row in rows {
        mirror.add(&row.version, &row.body);
    }
    for (kind, at) in ground.covered.iter().filter(|(kind, _)| hidden.nothing_of(&patient.id, *kind)) {
        mirror.cover(*kind, *at);
    }
    let appointments: Vec<Appointment> = rows
        .iter()
        .filter(|row| row.version.key.resource_type == ResourceType::Appointment)
        .filter_map(|row| read::appointment(&row.body).value)
        .collect();
    let facts = PatientFacts {
        patient,
        patient_value,
        mirror: &mirror,
        appointments: &appointments,
        facilities: &ground.facilities,
        existing,
        enrolments,
        clinic_defaults: &ground.clinic_defaults,
    };
    ask(&facts)
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
    let rows = view.mirror_of_patient(ehr, patient).await?;
    let existing = view.reminders_of_patients(ehr, one).await?.remove(patient).unwrap_or_default();
    let enrolments = view.enrolments_of(ehr, one).await?;
    let hidden = view.hidden_of(ehr, one).await?;
    let plan = match facts_of(patient, &rows, now) {
        Some((facts, body)) => plan_one(&ground, &facts, body, &rows, &hidden, &existing, &enrolments, now),
        None => Plan::default(),
    };
    Ok(Preview { plan, existing })
}

/// A patient whose record is not there any more gets nothing.
async fn all_ended(
    tx: &Tx<'_>,
    ehr: &EhrId,
    patient: &PatientId,
    existing: &[Reminder],
) -> Result<Changes, StoreError> {
    let merged = tx.view().survivor(ehr, patient).await? != *patient;
    let reason = if merged { Reason::PatientReplaced } else { Reason::PatientGone };
    let open = existing.iter().filter(|reminder| reminder.state.is_open());
    Ok(Changes { cancel: open.map(|reminder| (reminder.id, reason)).collect(), ..Changes::default() })
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
        let event = tx.event(actor(), EventKind::ReminderCancelled).about_patient(ehr, patient);
        events.push(event.about_reminder(id).with_detail(json!({"reason": reason})));
    }
    Ok(())
}
