//! Which occasion a resource makes at its present anchor: one that exists, or a new one.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::domain::{
    Appointment, Cadence, Occasion, OccasionKey, Offset, Per, Reason, Reminder, ReminderState, ResourceType, Rule, Step,
};

use super::super::moment;
use super::{Current, Meant, RulePlan};

/// How far an anchor may move and still be the same occasion. A repetition is known by its number rather than by its
/// instant: the nearest one is meant, so that a corrected date does not make a second reminder.
pub(in crate::rules) fn tolerance(rule: &Rule) -> TimeDelta {
    let own = TimeDelta::minutes(i64::from(rule.move_tolerance_minutes));
    match rule.cadence {
        None => own,
        Some(Cadence { every: Offset::Minutes(minutes), .. }) => own.max(TimeDelta::minutes(minutes / 2)),
        Some(Cadence { every: Offset::Days(days), .. }) => own.max(TimeDelta::hours(days * 12 - 1)),
        Some(Cadence { every: Offset::Months(months), .. }) => own.max(TimeDelta::days(months * 14)),
        // A cadence counts in days or months: the reader of rules takes nothing else.
        Some(Cadence { every: Offset::AtOnce | Offset::WorkingDays(_), .. }) => own,
    }
}

/// The repetition of `anchor` that is nearest to `instant`; `anchor` itself where there is no cadence.
pub(in crate::rules) fn repetition_near(
    rule: &Rule,
    anchor: DateTime<Utc>,
    instant: DateTime<Utc>,
    zone: Tz,
) -> Option<DateTime<Utc>> {
    let Some(cadence) = rule.cadence else { return Some(anchor) };
    let guess = number_before(cadence, anchor, instant);
    (guess..guess + 4)
        .filter(|number| is_within(cadence, *number))
        .filter_map(|number| repetition(cadence, anchor, number, zone))
        .min_by_key(|it| (*it - instant).abs())
}

fn is_within(cadence: Cadence, number: i64) -> bool {
    cadence.times.is_none_or(|times| number <= i64::from(times))
}

fn repetition(cadence: Cadence, anchor: DateTime<Utc>, number: i64, zone: Tz) -> Option<DateTime<Utc>> {
    let by = match cadence.every {
        Offset::Minutes(minutes) => Offset::Minutes(minutes * number),
        Offset::Days(days) => Offset::Days(days * number),
        // Always from the first anchor: a clamped month-end must not drift.
        Offset::Months(months) => Offset::Months(months * number),
        Offset::AtOnce | Offset::WorkingDays(_) => return None,
    };
    moment::offset(anchor, by, zone)
}

/// A number, at least 1, of a repetition that lies at or before `instant` where one does, by at most two periods.
fn number_before(cadence: Cadence, anchor: DateTime<Utc>, instant: DateTime<Utc>) -> i64 {
    let period_minutes = match cadence.every {
        Offset::Minutes(minutes) => minutes,
        Offset::Days(days) => days * 24 * 60,
        Offset::Months(months) => months * 31 * 24 * 60,
        Offset::AtOnce | Offset::WorkingDays(_) => 0,
    };
    let elapsed = (instant - anchor).num_minutes();
    match cadence.every {
        Offset::Months(months) => {
            // 30.44 days on average, less a period for certainty.
            let average = months * 43_829;
            (elapsed / average.max(1) - 1).max(1)
        }
        _ => (elapsed / period_minutes.max(1) - 1).max(1),
    }
}

impl RulePlan<'_, '_> {
    pub(super) fn has_occasion(&self, meant: &Meant<'_, '_>) -> bool {
        let key = &meant.resource.version.key;
        self.existing.iter().any(|it| it.plan.occasion.resource == *key)
    }

    /// `None` only outside the calendar.
    pub(super) fn occasion_of(&mut self, meant: &Meant<'_, '_>) -> Option<Current> {
        let anchor = self.anchor_of(meant)?;
        let resource = meant.resource.version.key.clone();
        let tolerance = tolerance(self.rule.rule());
        let near = |it: &&&crate::domain::Reminder| (it.plan.occasion.anchor - anchor).abs() <= tolerance;
        let is_free = |it: &&&crate::domain::Reminder| !self.claimed.contains(&it.plan.occasion.key);
        let of_whole_patient = self.rule.rule().per == Per::Patient;
        let own = |it: &&&crate::domain::Reminder| of_whole_patient || it.plan.occasion.resource == resource;
        let nearest = |it: &&&crate::domain::Reminder| (it.plan.occasion.anchor - anchor).abs();
        let kept = self
            .existing
            .iter()
            .filter(is_free)
            .filter(own)
            .filter(near)
            .min_by_key(nearest)
            .or_else(|| {
                self.existing
                    .iter()
                    .filter(is_free)
                    .filter(|it| self.took_the_place_of(meant, it))
                    .filter(near)
                    .min_by_key(nearest)
            })
            .map(|it| it.plan.occasion.clone());
        let occasion = match kept {
            Some(kept) => Occasion { resource, ..kept },
            None => Occasion {
                key: self.new_key(&resource, anchor),
                replaces: self.replaced(meant, anchor),
                resource,
                anchor,
            },
        };
        self.claimed.insert(occasion.key.clone());
        Some(Current { occasion, anchor })
    }

    /// The anchor, or the first repetition that is not over.
    fn anchor_of(&self, meant: &Meant<'_, '_>) -> Option<DateTime<Utc>> {
        let rule = self.rule.rule();
        let Some(cadence) = rule.cadence else { return Some(meant.anchor) };
        // Steps may reach some way before or after their repetition: begin early enough, and stop at the first that
        // has any life in it.
        let first = (number_before(cadence, meant.anchor, self.now) - 2).max(1);
        (first..first + 64).filter(|number| is_within(cadence, *number)).find_map(|number| {
            let anchor = repetition(cadence, meant.anchor, number, meant.zone)?;
            self.is_alive(anchor, meant.zone).then_some(anchor)
        })
    }

    fn is_alive(&self, anchor: DateTime<Utc>, zone: Tz) -> bool {
        let rule = self.rule.rule();
        rule.steps.iter().any(|step| {
            moment::resolve(&step.expires, anchor, zone, &rule.holidays).is_some_and(|expires| expires > self.now)
        })
    }

    /// The first instant of the schedule that is not over.
    pub(super) fn scheduled(&self, zone: Tz) -> Option<DateTime<Utc>> {
        let rule = self.rule.rule();
        let reach = |it: &Step| moment::resolve(&it.expires, self.now, zone, &rule.holidays);
        let longest = rule.steps.iter().filter_map(reach).max()?.max(self.now) - self.now;
        // A day more: a time of day, or a month that is longer, may lead further from there than from here.
        let from = self.now - longest - TimeDelta::days(4);
        let schedule = self.rule.conditions().schedule.as_ref()?;
        schedule.after(from, zone).take(64).find(|anchor| self.is_alive(*anchor, zone))
    }

    fn new_key(&self, resource: &crate::domain::ResourceKey, anchor: DateTime<Utc>) -> OccasionKey {
        let plain = format!("{resource}@{}", anchor.format("%Y-%m-%dT%H:%M:%SZ"));
        let taken = |key: &OccasionKey| {
            self.claimed.contains(key)
                // Somebody else's past occasion: reminders of it may have gone out.
                || self.existing.iter().any(|it| it.plan.occasion.key == *key && it.plan.occasion.resource != *resource)
        };
        let mut key = OccasionKey::new(plain.clone());
        let mut number = 2;
        while taken(&key) {
            key = OccasionKey::new(format!("{plain}~{number}"));
            number += 1;
        }
        key
    }

    /// The occasion whose place a new one takes: the same appointment at another time, or one that was called off when
    /// this one was booked. One that lies behind was kept or missed, not moved.
    fn replaced(&self, meant: &Meant<'_, '_>, anchor: DateTime<Utc>) -> Option<OccasionKey> {
        if self.rule.rule().cadence.is_some() || self.rule.rule().schedule.is_some() {
            return None;
        }
        let resource = &meant.resource.version.key;
        self.existing
            .iter()
            .filter(|it| it.plan.occasion.anchor > self.now && it.plan.occasion.anchor != anchor)
            .filter(|it| !self.claimed.contains(&it.plan.occasion.key))
            .filter(|it| it.state.is_open() || it.state == ReminderState::Released)
            .filter(|it| it.plan.occasion.resource == *resource || self.took_the_place_of(meant, it))
            .max_by_key(|it| it.updated_at)
            .map(|it| it.plan.occasion.key.clone())
    }

    /// Whether this appointment was booked in place of the one that a reminder is about: that one no longer stands, and
    /// both are the same visit on the same day.
    fn took_the_place_of(&self, meant: &Meant<'_, '_>, reminder: &Reminder) -> bool {
        let former = &reminder.plan.occasion.resource;
        if former.resource_type != ResourceType::Appointment || *former == meant.resource.version.key {
            return false;
        }
        let (Some(new), Some(old)) = (meant.appointment, self.appointments.get(former.id.as_str())) else {
            return false;
        };
        let day = |instant: DateTime<Utc>| instant.with_timezone(&meant.zone).date_naive();
        let stands = self
            .plan
            .not_applicable
            .iter()
            .filter(|it| it.reason != Reason::Merged)
            .all(|it| it.rule != *self.rule.id() || it.resource != *former || it.step.is_some());
        !stands && day(meant.anchor) == day(reminder.plan.occasion.anchor) && same_visit(new, old)
    }
}

/// The same service, or with the same practitioner.
fn same_visit(a: &Appointment, b: &Appointment) -> bool {
    let practitioners = |it: &Appointment| -> Vec<String> {
        it.participants
            .iter()
            .filter_map(|participant| participant.actor.clone())
            .filter(|actor| actor.starts_with("Practitioner"))
            .collect()
    };
    let (of_a, of_b) = (practitioners(a), practitioners(b));
    (a.service.is_some() && a.service == b.service) || of_a.iter().any(|it| of_b.contains(it))
}
