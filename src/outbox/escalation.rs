//! Reminders that could not go out, handed to people where their rule asks for it.

use std::collections::{BTreeMap, BTreeSet};

use super::OutboxError;
use crate::domain::{Reason, Reminder, ReminderId, RuleId, Verdict};
use crate::rules::CompiledRule;
use crate::store::{Decided, Tx};

/// Why this verdict is one for a person, by its rule. A wait counts as well: what must be found out by people is not
/// found out by looking again.
pub(super) fn reason(rules: &BTreeMap<RuleId, CompiledRule>, reminder: &Reminder, verdict: &Verdict) -> Option<Reason> {
    let reason = match verdict {
        Verdict::Withhold(reason) | Verdict::Expire(reason) | Verdict::Wait { reason, .. } => *reason,
        Verdict::Release(_) | Verdict::Cancel(_) => return None,
    };
    let rule = rules.get(&reminder.plan.rule)?.rule();
    rule.escalate.contains(&reason).then_some(reason)
}

/// Opens the tasks of those reminders that were settled.
pub(super) async fn open_tasks(
    tx: &mut Tx<'_>,
    settled: &[Decided],
    asked: &BTreeMap<ReminderId, Reason>,
) -> Result<(), OutboxError> {
    let mut seen = BTreeSet::new();
    for it in settled {
        if let Some(reason) = asked.get(&it.reminder.id)
            && seen.insert(it.reminder.id)
        {
            tx.open_staff_task(&it.reminder, *reason).await?;
        }
    }
    Ok(())
}
