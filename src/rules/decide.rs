//! May this reminder go out now, to whom, and how.

use chrono::{DateTime, Utc};

use crate::domain::{Decision, DecisionId, Reason, Reminder, Verdict, in_words};

use super::checks::{self, Case, Findings};
use super::{CompiledRule, DecideFacts};

/// Decides on a reminder that fell due. Every check runs and is recorded, also after one has failed, so that the answer
/// to *why* is whole. `rule` is the live version of the reminder's rule, `None` where there is none any more.
pub fn decide(
    id: DecisionId,
    reminder: &Reminder,
    rule: Option<&CompiledRule>,
    facts: &DecideFacts<'_>,
    now: DateTime<Utc>,
) -> Decision {
    let mut findings = Findings::default();
    let verdict = judge(reminder, rule, facts, now, &mut findings);
    Decision {
        id,
        reminder: reminder.id,
        rule_version: rule.map_or_else(|| reminder.plan.rule_version.clone(), |it| it.version().clone()),
        at: now,
        verdict,
        checks: findings.checks,
        facts: findings.facts,
    }
}

fn judge(
    reminder: &Reminder,
    rule: Option<&CompiledRule>,
    facts: &DecideFacts<'_>,
    now: DateTime<Utc>,
    findings: &mut Findings,
) -> Verdict {
    let Some(rule) = rule else {
        findings.fail("rule_live", "the rule is no longer live", Verdict::Cancel(Reason::RuleRetired));
        return findings.verdict();
    };
    findings.pass("rule_live", format!("version {:.12} is live", rule.version().as_str()));
    let Some(case) = Case::new(reminder, rule, facts, now) else {
        findings.fail("step", "the live version has no such step", Verdict::Cancel(Reason::RuleChanged));
        return findings.verdict();
    };
    findings.pass(
        "step",
        format!("the live version has the step \"{}\"", in_words(reminder.plan.step.as_str()).to_lowercase()),
    );
    checks::record::check(&case, findings);
    let expires_at = checks::resource::check(&case, findings);
    checks::permission::check(&case, findings);
    let release = checks::contact::check(&case, expires_at, findings);
    checks::timing::check(&case, expires_at, findings);
    if findings.is_clear()
        && let Some(release) = release
    {
        return Verdict::Release(release);
    }
    findings.verdict()
}
