//! What falls due for one patient, by every rule, and why the rest does not.

mod changed;
mod occasion;
mod reconcile;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::domain::{
    Appointment, Deceased, EnrolmentState, Occasion, OccasionKey, PatientStatus, Per, PlannedReminder, Reason,
    Reminder, ReminderId, ResourceKey, ResourceType, RuleId, StepId,
};

use super::conditions::Subject;
use super::facts::clinic_default;
use super::moment::next_midnight;
use super::{CompiledRule, Mirrored, PatientFacts, who};

pub(super) use occasion::{repetition_near, tolerance};
pub use reconcile::{Changes, Update, reconcile, retire};

/// The answer of [`plan`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The rules that were asked; reminders of others are not judged.
    pub rules: BTreeSet<RuleId>,
    pub reminders: Vec<PlannedReminder>,
    pub not_applicable: Vec<NotApplicable>,
    /// Reminders that were open and no longer hold.
    pub ended: Vec<Ended>,
    /// The next instant at which the answer can change though no data does.
    pub replan_at: Option<DateTime<Utc>>,
}

/// Why a rule makes no reminder of a resource, or of one of its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplicable {
    pub rule: RuleId,
    pub resource: ResourceKey,
    /// `None` where it is all of the rule.
    pub step: Option<StepId>,
    pub reason: Reason,
    /// More about it, without PHI: where an expression failed.
    pub words: Option<String>,
}

/// An open reminder that no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub reminder: ReminderId,
    pub reason: Reason,
}

/// Plans every rule for one patient. The same facts at the same instant give the same plan, in the same order.
pub fn plan(facts: &PatientFacts<'_>, rules: &[CompiledRule], now: DateTime<Utc>) -> Plan {
    let mut plan = Plan::default();
    let appointments: BTreeMap<&str, &Appointment> =
        facts.appointments.iter().map(|it| (it.version.key.id.as_str(), it)).collect();
    for rule in rules {
        plan.rules.insert(rule.id().clone());
        let existing = facts.existing.iter().filter(|it| it.plan.rule == *rule.id()).collect();
        RulePlan { facts, rule, now, existing, appointments: &appointments, claimed: BTreeSet::new(), plan: &mut plan }
            .run();
    }
    // The order in which occasions were given out must not show.
    plan.reminders.sort_by(|a, b| (&a.rule, a.due_at, &a.occasion.key).cmp(&(&b.rule, b.due_at, &b.occasion.key)));
    plan.not_applicable.sort_by(|a, b| (&a.rule, &a.resource).cmp(&(&b.rule, &b.resource)));
    plan
}

/// One rule for one patient.
struct RulePlan<'p, 'a> {
    facts: &'p PatientFacts<'a>,
    rule: &'p CompiledRule,
    now: DateTime<Utc>,
    existing: Vec<&'p Reminder>,
    appointments: &'p BTreeMap<&'p str, &'p Appointment>,
    /// Occasions that a resource of this run took.
    claimed: BTreeSet<OccasionKey>,
    plan: &'p mut Plan,
}

/// A resource that the rule is about.
#[derive(Clone, Copy)]
struct Meant<'p, 'a> {
    resource: Mirrored<'a>,
    appointment: Option<&'p Appointment>,
    anchor: DateTime<Utc>,
    zone: Tz,
}

/// An occasion at its present anchor: `occasion.anchor` is the one it came to be with.
struct Current {
    occasion: Occasion,
    anchor: DateTime<Utc>,
}

impl<'p, 'a> RulePlan<'p, 'a> {
    fn run(mut self) {
        let resources: Vec<Mirrored<'a>> = self.facts.mirror.of(self.rule.rule().resource).to_vec();
        if let Some(reason) = self.closed() {
            for resource in resources {
                self.not_applicable(&resource.version.key, None, reason, None);
            }
            self.end(|_| reason);
            return;
        }
        if self.rule.conditions().selects_by_clock() {
            for zone in self.facts.facilities.zones() {
                if let Some(midnight) = next_midnight(self.now, zone) {
                    self.replan(midnight);
                }
            }
        }
        let mut meant: Vec<Meant<'p, 'a>> = resources.into_iter().filter_map(|resource| self.meant(resource)).collect();
        meant.sort_by(|a, b| (a.anchor, &a.resource.version.key).cmp(&(b.anchor, &b.resource.version.key)));
        self.gather(&mut meant);
        // Whoever has an occasion already keeps it; only then may a newcomer take over one that was left.
        let (known, new): (Vec<_>, Vec<_>) = meant.into_iter().partition(|it| self.has_occasion(it));
        for it in known.into_iter().chain(new) {
            let Some(current) = self.occasion_of(&it) else {
                self.not_applicable(&it.resource.version.key, None, Reason::AnchorMissing, None);
                continue;
            };
            self.steps(&it, &current);
        }
        self.end_what_is_left();
    }

    /// Leaves one resource of those that make one occasion together, the earliest.
    fn gather(&mut self, meant: &mut Vec<Meant<'p, 'a>>) {
        let reason = match self.rule.rule().per {
            Per::Resource => return,
            Per::Patient => Reason::Superseded,
            Per::Day => Reason::Merged,
        };
        let per_day = self.rule.rule().per == Per::Day;
        let day = |it: &Meant<'_, '_>| it.anchor.with_timezone(&it.zone).date_naive();
        let mut first: Vec<Meant<'p, 'a>> = Vec::new();
        for it in meant.drain(..) {
            if first.iter().any(|earlier| !per_day || day(earlier) == day(&it)) {
                self.not_applicable(&it.resource.version.key, None, reason, None);
            } else {
                first.push(it);
            }
        }
        *meant = first;
    }

    /// Why nothing at all is planned for this patient by this rule.
    fn closed(&self) -> Option<Reason> {
        let patient = self.facts.patient;
        if patient.deceased == Deceased::Yes {
            return Some(Reason::PatientDeceased);
        }
        match patient.status {
            PatientStatus::Inactive => return Some(Reason::PatientInactive),
            PatientStatus::ReplacedBy(_) => return Some(Reason::PatientReplaced),
            PatientStatus::Active => {}
        }
        match self.switch() {
            Some(state) => (state == EnrolmentState::Off).then_some(Reason::RuleOff),
            None => self.rule.rule().who.only_enrolled.then_some(Reason::NotEnrolled),
        }
    }

    /// What a clinician set for this patient and rule.
    fn switch(&self) -> Option<EnrolmentState> {
        self.facts.enrolments.iter().find(|it| it.rule == *self.rule.id()).map(|it| it.state)
    }

    fn paused_until(&self) -> Option<DateTime<Utc>> {
        match self.switch() {
            Some(EnrolmentState::PausedUntil(until)) if until > self.now => Some(until),
            _ => None,
        }
    }

    /// The resource with its anchor, where the rule is about it; else the reason is recorded.
    fn meant(&mut self, resource: Mirrored<'a>) -> Option<Meant<'p, 'a>> {
        let key = &resource.version.key;
        let appointment = self.appointments.get(key.id.as_str()).copied();
        let appointment = appointment.filter(|_| key.resource_type == ResourceType::Appointment);
        let Some(zone) = self.facts.facilities.of(appointment).zone else {
            return self.refuse(key, Reason::FacilityZoneUnresolved, None);
        };
        let is_switched = self.facts.enrolments.iter().any(|it| it.rule == *self.rule.id());
        let default = clinic_default(self.facts.clinic_defaults, self.rule.id(), appointment);
        if !is_switched && default.is_some_and(|it| !it.on) {
            return self.refuse(key, Reason::RuleOff, None);
        }
        match self.is_among_those_meant(resource, zone) {
            who::Meant::Yes => {}
            who::Meant::No(words) => return self.refuse(key, Reason::NotMeant, Some(words.to_owned())),
            who::Meant::Unknown(words) => return self.refuse(key, Reason::NotKnown, Some(words.to_owned())),
        }
        let subject = self.subject(resource, self.now, zone);
        match subject.holds(&self.rule.conditions().condition) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => {
                let reason = if self.is_covered() { Reason::ConditionNotMet } else { Reason::NotKnown };
                return self.refuse(key, reason, None);
            }
            Ok(None) => return self.refuse(key, Reason::NotKnown, None),
            Err(words) => return self.refuse(key, Reason::ConditionFailed, Some(words)),
        }
        if appointment.is_some_and(|it| it.declined_by(&self.facts.patient.id)) {
            return self.refuse(key, Reason::PatientDeclined, None);
        }
        let anchor = match &self.rule.conditions().anchor {
            Some(anchor) => match subject.instant(anchor) {
                Ok(anchor) => anchor,
                Err(words) => return self.refuse(key, Reason::ConditionFailed, Some(words)),
            },
            None => self.scheduled(zone),
        };
        let Some(anchor) = anchor else { return self.refuse(key, Reason::AnchorMissing, None) };
        if !self.has_changed(key, anchor) {
            return self.refuse(key, Reason::NothingChanged, None);
        }
        Some(Meant { resource, appointment, anchor, zone })
    }

    fn is_among_those_meant(&mut self, resource: Mirrored<'a>, zone: Tz) -> who::Meant {
        let rule = self.rule.rule();
        if rule.who.is_everyone() {
            return who::Meant::Yes;
        }
        if let Some(at) = who::next_birthday(rule, self.facts.patient, self.now, zone) {
            self.replan(at);
        }
        let today = self.now.with_timezone(&zone).date_naive();
        who::is_meant(rule, self.facts.patient, self.facts.patient_value, resource.value, today)
    }

    fn subject(&self, resource: Mirrored<'a>, at: DateTime<Utc>, zone: Tz) -> Subject<'p>
    where
        'a: 'p,
    {
        Subject {
            rule: self.rule.rule(),
            resource: resource.value,
            patient: self.facts.patient_value,
            mirror: self.facts.mirror,
            at,
            zone,
        }
    }

    /// Whether what the condition reads beside the resource was pulled completely, and lately enough (I9).
    fn is_covered(&self) -> bool {
        let mut variables = self.rule.conditions().condition.references().variables.iter();
        !variables.any(|name| super::conditions::mirrored_type(name).is_some())
            || super::coverage_gap(self.rule.rule(), self.facts.mirror, self.now).is_none()
    }

    fn refuse<T>(&mut self, key: &ResourceKey, reason: Reason, words: Option<String>) -> Option<T> {
        self.not_applicable(key, None, reason, words);
        None
    }

    fn not_applicable(&mut self, resource: &ResourceKey, step: Option<&StepId>, reason: Reason, words: Option<String>) {
        self.plan.not_applicable.push(NotApplicable {
            rule: self.rule.id().clone(),
            resource: resource.clone(),
            step: step.cloned(),
            reason,
            words,
        });
    }

    fn replan(&mut self, at: DateTime<Utc>) {
        self.plan.replan_at = Some(self.plan.replan_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn end(&mut self, reason: impl Fn(&Reminder) -> Reason) {
        let ended = self.existing.iter().filter(|it| it.state.is_open() && it.plan.expires_at > self.now);
        self.plan.ended.extend(ended.map(|it| Ended { reminder: it.id, reason: reason(it) }));
    }

    /// Open reminders that this run did not plan again, each with what became of it.
    fn end_what_is_left(&mut self) {
        let rule = self.rule.id();
        let planned: BTreeSet<(&OccasionKey, &StepId)> =
            self.plan.reminders.iter().filter(|it| it.rule == *rule).map(|it| (&it.occasion.key, &it.step)).collect();
        let replaced: BTreeSet<&OccasionKey> = self
            .plan
            .reminders
            .iter()
            .filter(|it| it.rule == *rule)
            .filter_map(|it| it.occasion.replaces.as_ref())
            .collect();
        let ended: Vec<Ended> = self
            .existing
            .iter()
            .filter(|it| it.state.is_open() && it.plan.expires_at > self.now)
            .filter(|it| !planned.contains(&(&it.plan.occasion.key, &it.plan.step)))
            .filter_map(|it| {
                let reason = self.became_of(it, replaced.contains(&it.plan.occasion.key))?;
                Some(Ended { reminder: it.id, reason })
            })
            .collect();
        self.plan.ended.extend(ended);
    }

    /// `None` where what is missing is our knowledge: the reminder stays, and is judged again when it falls due.
    fn became_of(&self, reminder: &Reminder, is_replaced: bool) -> Option<Reason> {
        let step = &reminder.plan.step;
        if !self.rule.rule().steps.iter().any(|it| it.id == *step) {
            return Some(Reason::RuleChanged);
        }
        let resource = &reminder.plan.occasion.resource;
        let recorded = |of_step: bool| {
            self.plan
                .not_applicable
                .iter()
                .find(|it| {
                    it.rule == *self.rule.id()
                        && it.resource == *resource
                        && if of_step { it.step.as_ref() == Some(step) } else { it.step.is_none() }
                })
                .map(|it| it.reason)
        };
        let is_current = self.claimed.contains(&reminder.plan.occasion.key);
        match recorded(is_current) {
            Some(Reason::NotKnown | Reason::ConditionFailed | Reason::FacilityZoneUnresolved | Reason::Expired) => None,
            Some(reason) if is_current => Some(reason),
            _ if is_replaced => Some(Reason::ResourceMoved),
            Some(Reason::ConditionNotMet) if resource.resource_type == ResourceType::Appointment => {
                Some(Reason::ResourceCancelled)
            }
            Some(reason) => Some(reason),
            None if self.facts.mirror.of(resource.resource_type).iter().any(|it| it.version.key == *resource) => {
                Some(Reason::ResourceMoved)
            }
            None => Some(Reason::ResourceGone),
        }
    }
}

#[cfg(test)]
mod tests;
