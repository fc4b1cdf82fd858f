//! Is everything that was due accounted for (I5)? Counts do not come from the reminder table alone: who is due is
//! computed anew from the mirror, and the mirror is held against what the EHR says it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::AppError;
use crate::config::Settings;
use crate::domain::{EhrId, MessageState, ReminderState, ResourceKey, ResourceType, RuleId, TenantId, WriteBackState};
use crate::pull::{self, Mode, PullOptions};
use crate::store::{Store, Whose};

/// Everything counted, and what nobody can explain.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Accounts {
    pub patients: u64,
    pub appointments: u64,
    pub quarantined: u64,
    /// Type to count of what stands at the EHR and is not looked at: nothing that the roster names. Counted where the EHR's
    /// own side can be seen, as in the demo.
    pub out_of_roster: BTreeMap<String, u64>,
    /// State to reason to count; the reason is empty where the state says it all.
    pub reminders: BTreeMap<String, BTreeMap<String, u64>>,
    /// Channel to state to count.
    pub messages: BTreeMap<String, BTreeMap<String, u64>>,
    /// Write-back state to count, messages and replies together.
    pub write_backs: BTreeMap<String, u64>,
    pub replies: BTreeMap<String, u64>,
    pub opt_outs: u64,
    pub events: u64,
    /// Each in words; empty is the only good answer.
    pub unexplained: Vec<String>,
}

/// Counts one EHR's side of the house.
///
/// # Errors
/// The database, or a live rule that cannot be compiled.
pub async fn of_ehr(
    store: &Store,
    tenant: &TenantId,
    settings: &Arc<Settings>,
    ehr: &EhrId,
) -> Result<Accounts, AppError> {
    let view = store.view(tenant);
    let mut accounts = Accounts {
        patients: view.count_mirror(ehr, ResourceType::Patient).await?,
        appointments: view.count_mirror(ehr, ResourceType::Appointment).await?,
        quarantined: view.count_quarantine(ehr).await?,
        out_of_roster: BTreeMap::new(),
        reminders: view.count_reminders(ehr).await?,
        messages: view.count_messages(ehr).await?,
        write_backs: view.count_write_backs(ehr).await?,
        replies: view.replies_by_meaning(chrono::DateTime::UNIX_EPOCH).await?,
        opt_outs: view.opt_outs(100_000).await?.len() as u64,
        events: view.count_events().await?,
        unexplained: Vec::new(),
    };
    accounts.unexplained.extend(unplanned(store, tenant, settings, ehr).await?);
    accounts.unexplained.extend(unfinished(store, tenant, ehr).await?);
    Ok(accounts)
}

/// Each mirrored resource that a live rule is about has a reminder or a recorded "not applicable".
async fn unplanned(
    store: &Store,
    tenant: &TenantId,
    settings: &Arc<Settings>,
    ehr: &EhrId,
) -> Result<Vec<String>, AppError> {
    let view = store.view(tenant);
    let rules = view.live_rules().await?;
    let options = PullOptions::new(settings, Mode::Increment, "accounts");
    let mut missing = Vec::new();
    let mut after = String::new();
    loop {
        let patients = view.patients_in_order(ehr, Whose::All, &after, 200).await?;
        let Some(last) = patients.last() else { return Ok(missing) };
        last.as_str().clone_into(&mut after);
        let merges = view.merges(ehr, &patients).await?;
        let mut mirror = view.mirror_of_patients(ehr, &merges.with_predecessors(&patients)).await?;
        merges.fold(&mut mirror, |row| row.version.key.resource_type != ResourceType::Patient);
        for patient in &patients {
            let preview = pull::preview(store, tenant, ehr, patient, &options).await?;
            let mut explained: BTreeSet<(&RuleId, &ResourceKey)> =
                preview.existing.iter().map(|it| (&it.plan.rule, &it.plan.occasion.resource)).collect();
            explained.extend(preview.plan.not_applicable.iter().map(|it| (&it.rule, &it.resource)));
            for row in mirror.get(patient).map_or(&[][..], Vec::as_slice) {
                for rule in rules.iter().filter(|rule| rule.resource == row.version.key.resource_type) {
                    if !explained.contains(&(&rule.id, &row.version.key)) {
                        missing.push(format!("{} has neither a reminder of {} nor a reason", row.version.key, rule.id));
                    }
                }
            }
            let planned: BTreeSet<_> =
                preview.existing.iter().map(|it| (&it.plan.rule, &it.plan.occasion.key, &it.plan.step)).collect();
            for due in &preview.plan.reminders {
                if !planned.contains(&(&due.rule, &due.occasion.key, &due.step)) {
                    missing.push(format!(
                        "{} / {} on {} is due and not planned",
                        due.rule, due.step, due.occasion.resource
                    ));
                }
            }
        }
    }
}

/// What stands in a state that it should have left, or that two ledgers tell differently.
async fn unfinished(store: &Store, tenant: &TenantId, ehr: &EhrId) -> Result<Vec<String>, AppError> {
    let view = store.view(tenant);
    let mut stuck = Vec::new();
    for id in view.overdue_reminders(ehr).await? {
        stuck.push(format!("reminder {id} is past its expiry and still open"));
    }
    for id in view.released_without_message(ehr).await? {
        stuck.push(format!("reminder {id} was released and has no message"));
    }
    for id in view.messages_left_open(ehr).await? {
        stuck.push(format!("message {id} is past its expiry and still queued, or its outcome is unknown"));
    }
    for id in view.unsettled_write_backs(ehr).await? {
        stuck.push(format!("write-back {id} failed"));
    }
    Ok(stuck)
}

impl Accounts {
    pub fn reminders_in(&self, state: ReminderState) -> u64 {
        self.reminders.get(state.as_str()).map_or(0, |by_reason| by_reason.values().sum())
    }

    pub fn messages_in(&self, state: MessageState) -> u64 {
        self.messages.values().filter_map(|by_state| by_state.get(state.as_str())).sum()
    }

    pub fn written(&self) -> u64 {
        self.write_backs.get(WriteBackState::Written.as_str()).copied().unwrap_or(0)
    }
}
