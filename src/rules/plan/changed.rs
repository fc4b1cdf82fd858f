//! Notices: rules that apply only where something that was planned for has changed.

use chrono::{DateTime, Utc};

use crate::domain::{Change, ResourceKey};

use super::RulePlan;
use super::occasion::tolerance;

impl RulePlan<'_, '_> {
    /// Whether the rule may speak of this resource. What was known of it before is told by the reminders that any rule
    /// planned for it: a resource that nobody planned for was never known to stand, and its change is no news.
    pub(super) fn has_changed(&self, key: &ResourceKey, anchor: DateTime<Utc>) -> bool {
        let Some(change) = self.rule.rule().on_change else { return true };
        let tolerance = tolerance(self.rule.rule());
        let mut known = self.facts.existing.iter().filter(|it| it.plan.occasion.resource == *key);
        match change {
            Change::Moved => known.any(|it| (it.plan.occasion.anchor - anchor).abs() > tolerance),
            Change::Ended => known.next().is_some(),
        }
    }
}
