//! Whether now is the time: not too late, not at night, not too often.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::domain::{Reason, Verdict, ZoneCandidate};

use super::super::moment::next_midnight;
use super::super::{AllowedHours, next_opening};
use super::{Case, Findings};

/// A notice that an appointment was moved or booked anew is not held back for the budget this close to it.
const NOTICE: TimeDelta = TimeDelta::hours(72);

pub(in crate::rules) fn check(case: &Case<'_>, expires_at: DateTime<Utc>, findings: &mut Findings) {
    if case.now >= expires_at {
        findings.fail(
            "expiry",
            format!("its time was over: {}", case.clock_words(expires_at)),
            Verdict::Expire(Reason::Expired),
        );
    } else {
        findings.pass("expiry", format!("it may be sent until {}", case.clock_words(expires_at)));
    }
    if case.now < case.reminder.plan.due_at {
        let due_at = case.reminder.plan.due_at;
        let verdict = wait_or_expire(due_at, Reason::NotDue, expires_at);
        findings.fail("due", format!("it is not due before {}", case.clock_words(due_at)), verdict);
    } else {
        findings.pass("due", format!("it was due: {}", case.clock_words(case.reminder.plan.due_at)));
    }
    if case.patient.is_none() {
        for name in ["zone", "quiet_hours", "budget"] {
            findings.skip(name, "there is no Patient to look at");
        }
        return;
    }
    for candidate in &case.zones.candidates {
        findings.fact("zone candidate", format!("{} by {}", candidate.zone, source(candidate.source)), None);
    }
    if !case.zones.is_resolved() {
        let words = match case.zones.unplaced.first() {
            Some(unplaced) => format!("the {} points abroad, to a place whose clock is not known", source(*unplaced)),
            None => "nothing tells which zone the person is in".to_owned(),
        };
        findings.unknown("zone", words, case.recheck(Reason::ZoneUnresolved));
        findings.skip("quiet_hours", "no zone");
        findings.skip("budget", "no zone");
        return;
    }
    findings.pass("zone", zones_found(&case.zones.candidates));
    let hours = &case.facts.settings.hours;
    match next_opening(case.now, &case.zones.candidates, hours) {
        None => findings.unknown(
            "quiet_hours",
            "the zones the person may be in have no allowed hour in common",
            case.recheck(Reason::ZoneUnresolved),
        ),
        Some(opening) if opening > case.now => {
            let words =
                format!("outside {} where the person may be, until {}", allowed(hours), case.clock_words(opening));
            findings.fail("quiet_hours", words, wait_or_expire(opening, Reason::QuietHours, expires_at));
        }
        Some(_) => findings.pass("quiet_hours", format!("within {}", allowed(hours))),
    }
    budget(case, expires_at, findings);
}

fn budget(case: &Case<'_>, expires_at: DateTime<Utc>, findings: &mut Findings) {
    let name = "budget";
    let occasion = &case.reminder.plan.occasion;
    let is_notice = occasion.replaces.is_some() || case.rule.rule().on_change.is_some();
    if is_notice && occasion.anchor - case.now <= NOTICE && occasion.anchor > case.now {
        findings.skip(name, "a notice of a change within 72 hours is never held back");
        return;
    }
    let budget = case.facts.settings.budget;
    let zones: Vec<Tz> = case.zones.candidates.iter().map(|it| it.zone).collect();
    // A clock that was set back makes a message one from the future: it counts all the same.
    let contacts: Vec<DateTime<Utc>> = case.facts.contacts.iter().map(|at| (*at).min(case.now)).collect();
    let is_today = |at: &DateTime<Utc>| {
        zones.iter().any(|zone| at.with_timezone(zone).date_naive() == case.now.with_timezone(zone).date_naive())
    };
    let today = contacts.iter().filter(|at| is_today(at)).count();
    let mut week: Vec<DateTime<Utc>> =
        contacts.iter().copied().filter(|at| case.now - *at < TimeDelta::days(7)).collect();
    week.sort_unstable_by(|a, b| b.cmp(a));
    let words = format!("{today} of {} today, {} of {} in seven days", budget.per_day, week.len(), budget.per_week);
    let tomorrow = (today >= budget.per_day as usize)
        .then(|| zones.iter().filter_map(|zone| next_midnight(case.now, *zone)).max())
        .flatten();
    let next_week = (week.len() >= budget.per_week as usize)
        .then(|| (budget.per_week as usize).checked_sub(1).map_or(case.now, |last| week[last]) + TimeDelta::days(7));
    match tomorrow.max(next_week) {
        None => findings.pass(name, words),
        Some(free) => {
            let until = next_opening(free, &case.zones.candidates, &case.facts.settings.hours).unwrap_or(free);
            findings.fail(name, words, wait_or_expire(until, Reason::BudgetSpent, expires_at));
        }
    }
}

fn allowed(hours: &AllowedHours) -> String {
    format!("{} to {}", hours.opens().format("%H:%M"), hours.closes().format("%H:%M"))
}

fn zones_found(candidates: &[ZoneCandidate]) -> String {
    let zones: BTreeSet<&str> = candidates.iter().map(|it| it.zone.name()).collect();
    let named = zones.into_iter().collect::<Vec<_>>().join(" and ");
    if candidates.len() == 1 {
        return format!("one fact speaks for {named}");
    }
    format!("{} facts speak for {named}; it is sent only when the hour is allowed by all", candidates.len())
}

fn wait_or_expire(until: DateTime<Utc>, reason: Reason, expires_at: DateTime<Utc>) -> Verdict {
    if until < expires_at { Verdict::Wait { until, reason } } else { Verdict::Expire(reason) }
}

const fn source(source: crate::domain::ZoneSource) -> &'static str {
    use crate::domain::ZoneSource::{Address, AreaCode, Explicit, Facility};
    match source {
        Explicit => "setting",
        Address => "address",
        AreaCode => "area code",
        Facility => "facility",
    }
}
