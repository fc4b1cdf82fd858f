//! From a plan to what must change in the store.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::{OccasionKey, PlannedReminder, Reason, Reminder, ReminderId, ReminderState, RuleId, StepId};

use super::Plan;

/// What must change so that the reminders of a patient are as planned. Applied twice it changes nothing more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub insert: Vec<PlannedReminder>,
    pub update: Vec<Update>,
    /// Reminders that end, each with the reason; [`Reason::ends_as`] says how.
    pub cancel: Vec<(ReminderId, Reason)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.insert.is_empty() && self.update.is_empty() && self.cancel.is_empty()
    }
}

/// A reminder whose plan changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub id: ReminderId,
    pub plan: PlannedReminder,
    pub next_at: DateTime<Utc>,
    /// It was cancelled, or kept back by a clinician, and holds again: back to `planned`, without a reason.
    pub reopen: bool,
}

/// Compares the reminders of a patient with a plan that was made from them.
pub fn reconcile(existing: &[Reminder], plan: &Plan) -> Changes {
    let by_key: BTreeMap<(&RuleId, &OccasionKey, &StepId), &Reminder> =
        existing.iter().map(|it| ((&it.plan.rule, &it.plan.occasion.key, &it.plan.step), it)).collect();
    let mut changes = Changes::default();
    for planned in &plan.reminders {
        match by_key.get(&(&planned.rule, &planned.occasion.key, &planned.step)) {
            None => changes.insert.push(planned.clone()),
            Some(found) if may_open_again(found) => changes.update.push(Update {
                id: found.id,
                plan: planned.clone(),
                next_at: planned.due_at,
                reopen: true,
            }),
            Some(found) if found.state.is_open() && found.plan != *planned => {
                let next_at = match found.state {
                    // A wait has its own end; only a later due instant puts it off.
                    ReminderState::Waiting => found.next_at.max(planned.due_at),
                    _ => planned.due_at,
                };
                changes.update.push(Update { id: found.id, plan: planned.clone(), next_at, reopen: false });
            }
            // Released, expired and otherwise withheld are final: at most once (I2).
            Some(_) => {}
        }
    }
    let open: BTreeSet<ReminderId> = existing.iter().filter(|it| it.state.is_open()).map(|it| it.id).collect();
    changes.cancel =
        plan.ended.iter().filter(|it| open.contains(&it.reminder)).map(|it| (it.reminder, it.reason)).collect();
    changes
}

/// No message was ever made of it, and what ended it is over now that it is planned again.
fn may_open_again(reminder: &Reminder) -> bool {
    match reminder.state {
        ReminderState::Cancelled => true,
        ReminderState::Withheld => reminder.reason.is_some_and(Reason::is_a_persons_switch),
        _ => false,
    }
}

/// Open reminders of rules that are no longer live.
pub fn retire(existing: &[Reminder], live: &BTreeSet<RuleId>) -> Vec<(ReminderId, Reason)> {
    existing
        .iter()
        .filter(|it| it.state.is_open() && !live.contains(&it.plan.rule))
        .map(|it| (it.id, Reason::RuleRetired))
        .collect()
}
