//! The steps of one occasion.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{Offset, PlannedReminder, Reason, Step};

use super::super::moment;
use super::{Current, Meant, RulePlan};

/// A step that can still be sent.
struct Live<'s> {
    step: &'s Step,
    due_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl RulePlan<'_, '_> {
    pub(super) fn steps(&mut self, meant: &Meant<'_, '_>, current: &Current) {
        let rule = self.rule.clone();
        let key = &meant.resource.version.key;
        let mut live: Vec<Live<'_>> = Vec::new();
        for (index, step) in rule.rule().steps.iter().enumerate() {
            let holidays = &rule.rule().holidays;
            let due = match step.at.offset {
                Offset::AtOnce => Some(self.planned_at(current, step)),
                _ => moment::resolve(&step.at, current.anchor, meant.zone, holidays),
            };
            let expires = moment::resolve(&step.expires, current.anchor, meant.zone, holidays);
            let (Some(due_at), Some(expires_at)) = (due, expires) else {
                self.not_applicable(key, Some(&step.id), Reason::AnchorMissing, None);
                continue;
            };
            let comes_back = rule.rule().cadence.is_some() || rule.rule().schedule.is_some();
            if comes_back && expires_at > self.now {
                self.replan(expires_at);
            }
            let excused = |plan: &mut Self| plan.excuse(meant, index, due_at, expires_at);
            match self.why_not(meant, step, current.anchor, expires_at).or_else(|| excused(self)) {
                Some((reason, words)) => self.not_applicable(key, Some(&step.id), reason, words),
                None => live.push(Live { step, due_at, expires_at }),
            }
        }
        // After a late booking or a long silence only the latest of what is overdue still makes sense.
        let latest_overdue = live.iter().filter(|it| it.due_at <= self.now).map(|it| it.due_at).max();
        // An overdue step that still waits gives way when the next one falls due: nobody is told twice at once.
        if let (Some(_), Some(next)) =
            (latest_overdue, live.iter().map(|it| it.due_at).filter(|at| *at > self.now).min())
            && live.iter().any(|it| it.due_at <= self.now && it.expires_at > next)
        {
            self.replan(next);
        }
        for it in live {
            if it.due_at <= self.now && Some(it.due_at) != latest_overdue {
                self.not_applicable(key, Some(&it.step.id), Reason::Superseded, None);
                continue;
            }
            self.plan.reminders.push(PlannedReminder {
                rule: rule.id().clone(),
                rule_version: rule.version().clone(),
                step: it.step.id.clone(),
                occasion: current.occasion.clone(),
                due_at: it.due_at,
                expires_at: it.expires_at,
                priority: rule.rule().priority,
            });
        }
    }

    /// When a step that is due at once was planned first: it does not fall due anew with each plan.
    fn planned_at(&self, current: &Current, step: &Step) -> DateTime<Utc> {
        let standing =
            self.existing.iter().find(|it| it.plan.occasion.key == current.occasion.key && it.plan.step == step.id);
        standing.map_or(self.now, |it| it.plan.due_at)
    }

    fn why_not(
        &self,
        meant: &Meant<'_, '_>,
        step: &Step,
        anchor: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Option<(Reason, Option<String>)> {
        if expires_at <= self.now {
            return Some((Reason::Expired, None));
        }
        if self.paused_until().is_some_and(|until| until >= expires_at) {
            return Some((Reason::RulePaused, None));
        }
        if let (Some(within), Some(created)) =
            (step.skip_if_booked_within_minutes, meant.appointment.and_then(|it| it.created))
            && anchor - created < TimeDelta::minutes(i64::from(within))
        {
            return Some((Reason::BookedLate, None));
        }
        None
    }

    /// What makes a step unnecessary.
    fn excuse(
        &mut self,
        meant: &Meant<'_, '_>,
        step: usize,
        due_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Option<(Reason, Option<String>)> {
        // What will be true when the step falls due, as far as it can be told now.
        let at = due_at.max(self.now);
        let conditions = self.rule.conditions();
        let excuses = [
            (conditions.until.as_ref(), Reason::Stopped, "what ends the cadence has happened"),
            (conditions.unless.as_ref(), Reason::ConditionNotMet, "what the rule names under \"unless\" holds"),
            (
                conditions.step_unless.get(step).and_then(Option::as_ref),
                Reason::ConditionNotMet,
                "what the step names under \"unless\" holds",
            ),
        ];
        for (expression, reason, words) in excuses {
            let Some(expression) = expression else { continue };
            match self.subject(meant.resource, at, meant.zone).holds(expression) {
                // Not known yet is no excuse: the decision waits until it is (I9).
                Ok(Some(false) | None) => {}
                Ok(Some(true)) => {
                    if self.rule.conditions().excuses_by_clock()
                        && let Some(midnight) = moment::next_midnight(at, meant.zone)
                        && midnight < expires_at
                    {
                        self.replan(midnight);
                    }
                    return Some((reason, Some(words.to_owned())));
                }
                Err(words) => return Some((Reason::ConditionFailed, Some(words))),
            }
        }
        None
    }
}
