//! Several visits of a day in one message: the others are read anew like the one that the reminder is about, so that
//! none is named that was called off.

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::{Gathered, Subject};
use crate::domain::{
    Appointment, Check, CheckResult, Decision, Per, Reason, Reminder, ResourceKey, ResourceType, Verdict,
};
use crate::fhir;
use crate::rules::{self, CompiledRule, Facility, Mirror};
use crate::store::MirrorRow;

/// Further from the reminder's own visit no visit can be on the same day, in any zone.
const FARTHEST: TimeDelta = TimeDelta::hours(36);

/// The other visits of the day.
#[derive(Debug, Default)]
pub(super) struct Others {
    pub(super) visits: Vec<(Appointment, Facility)>,
    /// One of them could not be read: whether it still stands is not known.
    unread: bool,
}

/// Appointments of the mirror that may have to be named together with the reminder's own.
pub(super) fn candidates(rule: Option<&CompiledRule>, reminder: &Reminder, rows: &[MirrorRow]) -> Vec<ResourceKey> {
    let own = &reminder.plan.occasion.resource;
    let is_meant = rule.is_some_and(|it| it.rule().per == Per::Day) && own.resource_type == ResourceType::Appointment;
    if !is_meant {
        return Vec::new();
    }
    let is_near = |at: DateTime<Utc>| (at - reminder.plan.occasion.anchor).abs() <= FARTHEST;
    rows.iter()
        .filter(|row| row.version.key.resource_type == ResourceType::Appointment && row.version.key != *own)
        .filter(|row| row.starts_at.is_some_and(is_near))
        .map(|row| row.version.key.clone())
        .collect()
}

impl Gathered {
    /// The other visits of the day of a reminder's own visit, as the EHR has them now.
    pub(super) fn others(&self, reminder: &Reminder, own: &Subject, now: DateTime<Utc>) -> Others {
        let mut others = Others::default();
        let rows = self.rows_of(&reminder.patient);
        let rule = self.rules.get(&reminder.plan.rule);
        let keys = candidates(rule, reminder, rows);
        let (Some(rule), Some(patient), Some(start)) =
            (rule, own.patient_value(), own.appointment.as_ref().and_then(|it| it.start))
        else {
            return others;
        };
        let Some(zone) = self.facilities.of(own.appointment.as_ref()).zone else { return others };
        let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
        let mut mirror = Mirror::default();
        for row in rows {
            mirror.add(&row.version, &row.body);
        }
        for key in keys {
            let Some(value) = self.fresh_value(&key) else {
                others.unread |= !self.is_gone(&key);
                continue;
            };
            let Some(visit) = fhir::read::appointment(value).value else { continue };
            let is_same_day = visit.start.is_some_and(|at| day(at) == day(start));
            if is_same_day
                && !visit.declined_by(&reminder.patient)
                && rules::is_about(rule, value, patient, &mirror, now, zone)
            {
                let facility = self.facilities.of(Some(&visit));
                others.visits.push((visit, facility));
            }
        }
        others
    }
}

impl Others {
    /// A message that names a visit which may have been called off is not sent.
    pub(super) fn hold_back(&self, decision: &mut Decision, recheck_at: DateTime<Utc>) {
        if let (true, Verdict::Release(release)) = (self.unread, &decision.verdict) {
            let until = recheck_at.min(release.expires_at);
            decision.checks.push(Check {
                name: "same_day".to_owned(),
                result: CheckResult::Unknown,
                words: "another visit of the day could not be read from the EHR".to_owned(),
            });
            decision.verdict = Verdict::Wait { until, reason: Reason::EhrUnreadable };
        }
    }
}
