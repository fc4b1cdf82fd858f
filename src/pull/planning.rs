//! Plans patients anew whose data or time asks for it: facts from the mirror, `rules::plan`, and the difference stored
//! with its events, all under the lock of the patient's row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::PullError;
use crate::config::Settings;
use crate::domain::{
    Actor, Appointment, EhrId, Enrolment, Event, EventKind, PatientId, Reason, Reminder, ReminderId, ResourceType,
    RuleId, TenantId,
};
use crate::fhir;
use crate::rules::{self, Changes, CompiledRule, Facilities, Mirror, PatientFacts, Plan};
use crate::store::{MirrorRow, Store, Tx, View};

/// Patients planned in one transaction: enough to share its cost, few enough to keep others from waiting.
const BATCH: u64 = 100;

/// Plans patients of one tenant.
#[derive(Debug, Clone)]
pub struct Planner {
    store: Store,
    tenant: TenantId,
    settings: Arc<Settings>,
}

/// What does not change between the patients of a batch.
struct Shared {
    rules: Vec<CompiledRule>,
    live: BTreeSet<RuleId>,
    facilities: Facilities,
    covered: Vec<(ResourceType, DateTime<Utc>)>,
}

/// The plan of one patient as it would be now, with the reminders that stand.
#[derive(Debug, Clone)]
pub struct PatientPlan {
    pub plan: Plan,
    pub existing: Vec<Reminder>,
}

impl Planner {
    pub fn new(store: Store, tenant: TenantId, settings: Arc<Settings>) -> Self {
        Self { store, tenant, settings }
    }

    /// Plans up to a batch of patients that are due for it; answers how many. Zero means that nobody is due.
    ///
    /// # Errors
    /// The database, or a live rule that cannot be compiled: then nobody's plan changes.
    pub async fn plan_due(&self, ehr: &EhrId) -> Result<usize, PullError> {
        let shared = self.shared(ehr).await?;
        let mut tx = self.store.write(&self.tenant).await?;
        let patients = tx.patients_to_plan(ehr, BATCH).await?;
        if patients.is_empty() {
            return Ok(0);
        }
        let mut mirror = tx.view().mirror_of_patients(ehr, &patients).await?;
        let mut reminders = tx.view().reminders_of_patients(ehr, &patients).await?;
        let enrolments = tx.view().enrolments_of(ehr, &patients).await?;
        let mut planned = Vec::with_capacity(patients.len());
        let mut events = Vec::new();
        for patient in &patients {
            let rows = mirror.remove(patient).unwrap_or_default();
            let existing = reminders.remove(patient).unwrap_or_default();
            let plan = self.plan_one(&shared, patient, &rows, &existing, &enrolments);
            let mut changes = rules::reconcile(&existing, &plan);
            changes.cancel.extend(rules::retire(&existing, &shared.live));
            let before: BTreeMap<ReminderId, &Reminder> = existing.iter().map(|it| (it.id, it)).collect();
            apply(&mut tx, ehr, patient, changes, &before, &mut events).await?;
            planned.push((patient.clone(), plan.replan_at));
        }
        tx.patients_planned(ehr, &planned).await?;
        tx.append_all(events).await?;
        tx.commit().await?;
        Ok(patients.len())
    }

    /// What the plan of one patient is now, without changing anything: the answer to "why not?".
    ///
    /// # Errors
    /// As [`Planner::plan_due`].
    pub async fn preview(&self, ehr: &EhrId, patient: &PatientId) -> Result<PatientPlan, PullError> {
        let shared = self.shared(ehr).await?;
        let view = self.store.view(&self.tenant);
        let rows = view.mirror_of_patient(ehr, patient).await?;
        let one = std::slice::from_ref(patient);
        let existing = view.reminders_of_patients(ehr, one).await?.remove(patient).unwrap_or_default();
        let enrolments = view.enrolments_of(ehr, one).await?;
        let plan = self.plan_one(&shared, patient, &rows, &existing, &enrolments);
        Ok(PatientPlan { plan, existing })
    }

    async fn shared(&self, ehr: &EhrId) -> Result<Shared, PullError> {
        let view: View<'_> = self.store.view(&self.tenant);
        let mut compiled = Vec::new();
        for rule in view.live_rules().await? {
            let id = rule.id.clone();
            compiled.push(CompiledRule::compile(rule).map_err(|problems| PullError::Rule {
                rule: id.to_string(),
                problem: problems.first().map(ToString::to_string).unwrap_or_default(),
            })?);
        }
        let locations = view.mirror_of_type(ehr, ResourceType::Location).await?;
        let organisation = &self.settings.organisation;
        Ok(Shared {
            live: compiled.iter().map(|rule| rule.id().clone()).collect(),
            rules: compiled,
            facilities: Facilities::read(
                locations.iter().map(|row| &row.body),
                &organisation.location_zones,
                &organisation.name,
                organisation.zone,
                self.store.clock().now(),
            ),
            covered: view.covered_types(ehr).await?,
        })
    }

    fn plan_one(
        &self,
        shared: &Shared,
        id: &PatientId,
        rows: &[MirrorRow],
        existing: &[Reminder],
        enrolments: &[Enrolment],
    ) -> Plan {
        let now = self.store.clock().now();
        let record = rows.iter().find(|row| row.version.key.resource_type == ResourceType::Patient);
        let patient = record.and_then(|row| fhir::read::patient(&row.body, now).value);
        let (Some(record), Some(patient)) = (record, patient) else {
            return gone(shared, existing);
        };
        let mut mirror = Mirror::default();
        let mut appointments: Vec<Appointment> = Vec::new();
        for row in rows {
            mirror.add(&row.version, &row.body);
            if row.version.key.resource_type == ResourceType::Appointment {
                appointments.extend(fhir::read::appointment(&row.body).value);
            }
        }
        for (kind, at) in &shared.covered {
            mirror.cover(*kind, *at);
        }
        let own: Vec<Enrolment> = enrolments.iter().filter(|it| it.patient == *id).cloned().collect();
        let facts = PatientFacts {
            patient: &patient,
            patient_value: &record.body,
            mirror: &mirror,
            appointments: &appointments,
            facilities: &shared.facilities,
            existing,
            enrolments: &own,
        };
        rules::plan(&facts, &shared.rules, now)
    }
}

/// The Patient is not in the mirror any more: whatever was open ends.
fn gone(shared: &Shared, existing: &[Reminder]) -> Plan {
    let ended = existing
        .iter()
        .filter(|it| it.state.is_open())
        .map(|it| rules::Ended { reminder: it.id, reason: Reason::PatientGone })
        .collect();
    Plan { rules: shared.live.clone(), ended, ..Plan::default() }
}

/// Stores the difference, and an event for each reminder that it touches.
async fn apply(
    tx: &mut Tx<'_>,
    ehr: &EhrId,
    patient: &PatientId,
    changes: Changes,
    before: &BTreeMap<ReminderId, &Reminder>,
    events: &mut Vec<Event>,
) -> Result<(), PullError> {
    let by = Actor::system("plan");
    let inserted = tx.insert_reminders(ehr, patient, changes.insert).await?;
    for it in &inserted {
        let event = tx.event(by.clone(), EventKind::ReminderPlanned);
        events.push(about(event, it).with_detail(json!({ "plan": it.plan })));
    }
    for update in &changes.update {
        tx.update_reminder(update.id, &update.plan, update.next_at, update.reopen).await?;
        if let Some(it) = before.get(&update.id) {
            let event = tx.event(by.clone(), EventKind::ReminderMoved);
            let detail = json!({ "before": it.plan, "after": update.plan, "reopened": update.reopen });
            events.push(about(event, it).with_detail(detail));
        }
    }
    tx.end_reminders(&changes.cancel).await?;
    for (id, reason) in &changes.cancel {
        if let Some(it) = before.get(id) {
            let event = tx.event(by.clone(), EventKind::ReminderCancelled);
            events.push(about(event, it).with_detail(json!({ "reason": reason })));
        }
    }
    Ok(())
}

fn about(event: Event, it: &Reminder) -> Event {
    event.about_patient(&it.ehr, &it.patient).about_rule(&it.plan.rule).about_reminder(it.id)
}
