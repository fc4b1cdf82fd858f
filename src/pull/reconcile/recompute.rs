//! Who is due, computed anew from the mirror: every mirrored resource × every live rule is a reminder or a reason.
//!
//! A patient is planned as at the instant at which they were last planned: whatever changes a plan after it, asks for a
//! new one. So a reminder that this plan has and the table has not was taken away behind our back.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::{EhrId, PatientId, Reason, Reminder, ResourceKey, ResourceType, Rule, StepId, TenantId};
use crate::rules::{self, Plan};
use crate::store::{Store, Whose};

use super::super::options::PullOptions;
use super::super::planning::{self, Ground, Known};
use super::super::run::PullError;
use super::{Missing, Recomputed};

/// Patients read at once.
const CHUNK: u64 = 200;

pub(super) async fn everyone(
    store: &Store,
    tenant: &TenantId,
    ehr: &EhrId,
    options: &PullOptions,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    unexplained: &mut BTreeSet<Missing>,
) -> Result<Recomputed, PullError> {
    let ground = planning::ground(store, tenant, ehr, options).await?;
    let view = store.view(tenant);
    let now = store.clock().now();
    // Patients of an open cohort do not yet know that their plan is old.
    let is_cohort_open = view.has_open_cohort(ehr).await?;
    let mut recomputed = Recomputed::default();
    let mut after = String::new();
    loop {
        let patients = view.patients_in_order(ehr, Whose::All, &after, CHUNK).await?;
        let Some(last) = patients.last() else { return Ok(recomputed) };
        last.as_str().clone_into(&mut after);
        let known = Known::gather(&view, ehr, &patients, &ground.kinds).await?;
        let states = view.planning_states(ehr, &patients).await?;
        for patient in &patients {
            recomputed.patients += 1;
            let state = states.get(patient);
            let planned_at = state.and_then(|it| it.planned_at).filter(|at| *at <= now);
            let is_due = state.is_none_or(|it| it.replan_at.is_some_and(|at| at <= now));
            let Some(planned_at) = planned_at.filter(|_| !is_due && !is_cohort_open) else {
                recomputed.being_planned += 1;
                continue;
            };
            let rows = known.mirror.get(patient).map_or(&[][..], Vec::as_slice);
            let existing = known.existing(patient);
            if existing.iter().any(|it| it.updated_at > now) {
                recomputed.being_planned += 1;
                continue;
            }
            let Some(plan) = known.plan(&ground, patient, planned_at) else { continue };
            missing(patient, existing, &plan, unexplained);
            for row in rows {
                let key = &row.version.key;
                let is_of_day = row.starts_at.is_some_and(|start| from <= start && start < to);
                if key.resource_type == ResourceType::Appointment && is_of_day {
                    recomputed.appointments += 1;
                    account(&ground, patient, key, existing, &plan, &mut recomputed, unexplained);
                }
            }
        }
    }
}

/// What the plan has and the table has not, or has otherwise.
fn missing(patient: &PatientId, existing: &[Reminder], plan: &Plan, unexplained: &mut BTreeSet<Missing>) {
    let changes = rules::reconcile(existing, plan);
    let named = |words: &str, it: &crate::domain::PlannedReminder| Missing {
        words: words.to_owned(),
        patient: Some(patient.clone()),
        rule: Some(it.rule.clone()),
        step: Some(it.step.clone()),
        resource: Some(it.occasion.resource.to_string()),
        due_at: Some(it.due_at),
    };
    unexplained.extend(changes.insert.iter().map(|it| named("it is due by the mirror, and has no row", it)));
    let moved = changes.update.iter().filter(|it| !it.reopen);
    unexplained.extend(moved.map(|it| named("it stands otherwise than the mirror says", &it.plan)));
}

/// An Appointment of the day × each live rule about Appointments: a reminder or a reason for each step.
fn account(
    ground: &Ground,
    patient: &PatientId,
    key: &ResourceKey,
    existing: &[Reminder],
    plan: &Plan,
    recomputed: &mut Recomputed,
    unexplained: &mut BTreeSet<Missing>,
) {
    let about = ground.rules.iter().map(rules::CompiledRule::rule);
    for rule in about.filter(|rule| rule.resource == ResourceType::Appointment) {
        for step in &rule.steps {
            if let Some(state) = standing(rule, key, &step.id, existing, plan) {
                *recomputed.reminders.entry(rule.id.clone()).or_default().entry(state).or_default() += 1;
            } else if let Some(reason) = reason(rule, key, &step.id, plan) {
                let by_reason = recomputed.not_applicable.entry(rule.id.clone()).or_default();
                *by_reason.entry(reason.as_str().to_owned()).or_default() += 1;
            } else {
                unexplained.insert(Missing {
                    words: "it has neither a reminder nor a reason".to_owned(),
                    patient: Some(patient.clone()),
                    rule: Some(rule.id.clone()),
                    step: Some(step.id.clone()),
                    resource: Some(key.to_string()),
                    due_at: None,
                });
            }
        }
    }
}

/// The state of the reminder that stands for this step: of the occasion that the plan means, else the latest one.
fn standing(rule: &Rule, key: &ResourceKey, step: &StepId, existing: &[Reminder], plan: &Plan) -> Option<String> {
    let planned = plan
        .reminders
        .iter()
        .find(|it| it.rule == rule.id && it.step == *step && it.occasion.resource == *key)
        .map(|it| &it.occasion.key);
    let mut of_step: Vec<&Reminder> = existing
        .iter()
        .filter(|it| it.plan.rule == rule.id && it.plan.step == *step && it.plan.occasion.resource == *key)
        .collect();
    of_step.sort_by_key(|it| (Some(&it.plan.occasion.key) == planned, it.updated_at));
    of_step.last().map(|it| it.state.as_str().to_owned())
}

fn reason(rule: &Rule, key: &ResourceKey, step: &StepId, plan: &Plan) -> Option<Reason> {
    plan.not_applicable
        .iter()
        .filter(|it| it.rule == rule.id && it.resource == *key)
        .find(|it| it.step.as_ref().is_none_or(|named| named == step))
        .map(|it| it.reason)
}
