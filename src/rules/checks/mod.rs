//! The checks of a decision, one file for each thing they look at. Each records what it found; a verdict against
//! sending is one finding among others, and the weightiest of them wins at the end.

pub(super) mod contact;
pub(super) mod permission;
pub(super) mod record;
pub(super) mod resource;
pub(super) mod timing;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::domain::{Check, CheckResult, Fact, Reason, Reminder, ResourceVersion, Step, Verdict};

use super::{
    CompiledRule, ConsentDirective, DecideFacts, Facility, PatientRecord, Reading, ResourceRecord, Zones,
    zone_candidates,
};

/// One reminder, with what every check needs.
pub(super) struct Case<'a> {
    pub reminder: &'a Reminder,
    pub rule: &'a CompiledRule,
    pub step: &'a Step,
    pub step_index: usize,
    pub facts: &'a DecideFacts<'a>,
    pub now: DateTime<Utc>,
    /// As read, or the mirror's copy where the rule says that it will do.
    pub patient: Option<PatientRecord<'a>>,
    pub resource: Option<ResourceRecord<'a>>,
    /// What the consent records say, where they are known well enough to rest on.
    pub consents: &'a [ConsentDirective],
    pub facility: Facility,
    pub zones: Zones,
}

impl<'a> Case<'a> {
    /// `None` where the rule no longer has the reminder's step.
    pub(super) fn new(
        reminder: &'a Reminder,
        rule: &'a CompiledRule,
        facts: &'a DecideFacts<'a>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let step_index = rule.rule().steps.iter().position(|step| step.id == reminder.plan.step)?;
        let stale_ok = rule.rule().stale_ok;
        let patient = usable(&facts.patient, stale_ok);
        let resource = usable(&facts.resource, stale_ok);
        let facility = facts.facilities.of(resource.and_then(|it| it.appointment));
        let zones = patient.map_or_else(Zones::default, |it| {
            zone_candidates(it.patient, facts.set_zone, &facility, facts.settings, now)
        });
        Some(Self {
            reminder,
            rule,
            step: &rule.rule().steps[step_index],
            step_index,
            facts,
            now,
            patient,
            resource,
            consents: permission::consents(rule, facts, now).unwrap_or_default(),
            facility,
            zones,
        })
    }

    /// An instant on the wall clock of the facility, in which appointments are spoken.
    pub(super) fn clock_words(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.facility.zone.unwrap_or(Tz::UTC)).format("%a %-d %b %Y, %H:%M %Z").to_string()
    }

    /// Look again soon, but not after the reminder's time is over.
    pub(super) fn recheck(&self, reason: Reason) -> Verdict {
        let soon = self.now + TimeDelta::minutes(i64::from(self.facts.settings.recheck_minutes.max(1)));
        Verdict::Wait { until: soon.min(self.reminder.plan.expires_at).max(self.now), reason }
    }
}

fn usable<T: Copy>(reading: &Reading<T>, stale_ok: bool) -> Option<T> {
    match reading {
        Reading::Fresh(record) => Some(*record),
        Reading::Unreadable { mirrored } if stale_ok => *mirrored,
        Reading::Unreadable { .. } | Reading::Gone => None,
    }
}

/// What the checks found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub checks: Vec<Check>,
    pub facts: Vec<Fact>,
    against: Vec<Verdict>,
}

impl Findings {
    pub(super) fn pass(&mut self, name: &str, words: impl Into<String>) {
        self.record(name, CheckResult::Passed, words);
    }

    pub(super) fn fail(&mut self, name: &str, words: impl Into<String>, verdict: Verdict) {
        self.record(name, CheckResult::Failed, words);
        self.against.push(verdict);
    }

    pub(super) fn unknown(&mut self, name: &str, words: impl Into<String>, verdict: Verdict) {
        self.record(name, CheckResult::Unknown, words);
        self.against.push(verdict);
    }

    /// The check has nothing to look at. Where that is because something could not be read, the check that tried to
    /// read it speaks against sending.
    pub(super) fn skip(&mut self, name: &str, words: impl Into<String>) {
        self.record(name, CheckResult::NotApplicable, words);
    }

    pub(super) fn fact(&mut self, name: &str, value: impl Into<String>, source: Option<&ResourceVersion>) {
        self.facts.push(Fact { name: name.to_owned(), value: value.into(), source: source.cloned() });
    }

    pub(super) fn is_clear(&self) -> bool {
        self.against.is_empty()
    }

    /// What is final wins over what may pass; of several waits the longest, so that nobody is looked at in vain.
    pub(super) fn verdict(&self) -> Verdict {
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Cancel(_) => 0,
            Verdict::Withhold(_) => 1,
            Verdict::Expire(_) => 2,
            Verdict::Wait { .. } => 3,
            Verdict::Release(_) => 4,
        };
        let until = |verdict: &Verdict| match verdict {
            Verdict::Wait { until, .. } => Some(std::cmp::Reverse(*until)),
            _ => None,
        };
        self.against
            .iter()
            .min_by_key(|verdict| (rank(verdict), until(verdict)))
            .cloned()
            // Nothing against it and yet no way to send it: never guess.
            .unwrap_or(Verdict::Withhold(Reason::NoContactPoint))
    }

    fn record(&mut self, name: &str, result: CheckResult, words: impl Into<String>) {
        self.checks.push(Check { name: name.to_owned(), result, words: words.into() });
    }
}
