//! Whether the rule may contact this patient at all.

use crate::domain::{EnrolmentState, Purpose, Reason, Verdict};

use super::{Case, Findings};

pub(in crate::rules) fn check(case: &Case<'_>, findings: &mut Findings) {
    match case.rule.rule().purpose {
        Purpose::Marketing => {
            findings.fail("purpose", "marketing is disabled", Verdict::Withhold(Reason::MarketingDisabled));
        }
        Purpose::Treatment => findings.pass("purpose", "treatment"),
        Purpose::Operations => findings.pass("purpose", "operations"),
    }
    let name = "enrolment";
    match case.facts.enrolment.map(|it| (it.state, it)) {
        None => findings.pass(name, "nobody switched the rule off for this patient"),
        Some((state, it)) if state.is_on(case.now) => findings.pass(name, format!("switched on by {}", it.by)),
        Some((EnrolmentState::PausedUntil(until), it)) if until < case.reminder.plan.expires_at => {
            let verdict = Verdict::Wait { until, reason: Reason::RulePaused };
            findings.fail(name, format!("paused by {} until {until}", it.by), verdict);
        }
        Some((EnrolmentState::PausedUntil(until), it)) => {
            let verdict = Verdict::Withhold(Reason::RulePaused);
            findings.fail(name, format!("paused by {} until {until}, after its time", it.by), verdict);
        }
        Some((_, it)) => {
            findings.fail(name, format!("switched off by {}", it.by), Verdict::Withhold(Reason::RuleOff));
        }
    }
}
