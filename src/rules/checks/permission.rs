//! Whether the rule may contact this patient at all.

use aws_lc_rs::digest;
use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{EnrolmentState, Purpose, Reason, ResourceType, Verdict};

use super::super::facts::clinic_default;
use super::super::{CompiledRule, ConsentDirective, Consents, DecideFacts};
use super::{Case, Findings};

/// The consent records that a decision may rest on: read just now, or, where the rule takes stale facts, the mirror's
/// if all of them were pulled lately enough. `None` where a denial may stand that is not known.
pub(in crate::rules) fn consents<'a>(
    rule: &CompiledRule,
    facts: &DecideFacts<'a>,
    now: DateTime<Utc>,
) -> Option<&'a [ConsentDirective]> {
    match facts.consents {
        Consents::Fresh(records) => Some(records),
        Consents::NotKept { .. } => Some(&[]),
        Consents::Unreadable { mirrored, .. } => {
            let rule = rule.rule();
            let pulled = facts.mirror.covered_at(ResourceType::Consent)?;
            (rule.stale_ok && now - pulled <= TimeDelta::minutes(i64::from(rule.freshness_minutes))).then_some(mirrored)
        }
    }
}

fn consent_read(case: &Case<'_>, findings: &mut Findings) {
    let name = "consent_read";
    match case.facts.consents {
        Consents::Fresh(_) => findings.pass(name, "the consent records were read just now"),
        Consents::NotKept { why } => findings.skip(name, why),
        Consents::Unreadable { why, .. } => match consents(case.rule, case.facts, case.now) {
            Some(_) => findings.pass(name, format!("{why}; the rule allows the mirrored records (stale_ok)")),
            None => findings.unknown(name, why, case.recheck(Reason::EhrUnreadable)),
        },
    }
}

/// The login of `staff:casey`.
fn person(by: &str) -> &str {
    by.split_once(':').map_or(by, |(_, name)| name)
}

pub(in crate::rules) fn check(case: &Case<'_>, findings: &mut Findings) {
    match case.rule.rule().purpose {
        Purpose::Marketing => {
            findings.fail("purpose", "marketing is disabled", Verdict::Withhold(Reason::MarketingDisabled));
        }
        Purpose::Treatment => findings.pass("purpose", "treatment"),
        Purpose::Operations => findings.pass("purpose", "operations"),
    }
    consent_read(case, findings);
    control(case, findings);
    let name = "enrolment";
    let appointment = case.resource.and_then(|it| it.appointment);
    let default = clinic_default(case.facts.clinic_defaults, case.rule.id(), appointment);
    match case.facts.enrolment.map(|it| (it.state, it)) {
        None if default.is_some_and(|it| !it.on) => {
            let by = default.map_or("", |it| person(&it.by));
            let words = format!("switched off for the clinic by {by}, and not on for this patient");
            findings.fail(name, words, Verdict::Withhold(Reason::RuleOff));
        }
        None if case.rule.rule().who.only_enrolled => {
            findings.fail(name, "nobody switched the rule on for this patient", Verdict::Cancel(Reason::NotEnrolled));
        }
        None if default.is_some() => {
            let by = default.map_or("", |it| person(&it.by));
            findings.pass(name, format!("switched on for the clinic by {by}"));
        }
        None => findings.pass(name, "nobody switched the rule off for this patient"),
        Some((state, it)) if state.is_on(case.now) => findings.pass(name, format!("switched on by {}", person(&it.by))),
        Some((EnrolmentState::PausedUntil(until), it)) if until < case.reminder.plan.expires_at => {
            let verdict = Verdict::Wait { until, reason: Reason::RulePaused };
            findings.fail(name, format!("paused by {} until {}", person(&it.by), case.clock_words(until)), verdict);
        }
        Some((EnrolmentState::PausedUntil(until), it)) => {
            let verdict = Verdict::Withhold(Reason::RulePaused);
            findings.fail(
                name,
                format!("paused by {} until {}, after its time", person(&it.by), case.clock_words(until)),
                verdict,
            );
        }
        Some((_, it)) => {
            findings.fail(name, format!("switched off by {}", person(&it.by)), Verdict::Withhold(Reason::RuleOff));
        }
    }
    let name = "patient_choice";
    let occasion = &case.reminder.plan.occasion.key;
    match case.facts.choices.iter().find(|it| it.occasion == *occasion) {
        None => findings.pass(name, "the patient did not ask to hear no more about this"),
        Some(it) => findings.fail(
            name,
            format!("the patient asked to hear no more about this ({})", it.source),
            Verdict::Withhold(Reason::AlreadyConfirmed),
        ),
    }
}

/// Which patients a rule leaves out for comparison depends on nothing but who they are: the same ones every time.
fn control(case: &Case<'_>, findings: &mut Findings) {
    let name = "control_arm";
    let rule = case.rule.rule();
    if rule.control_percent == 0 {
        findings.skip(name, "the rule has no control arm");
        return;
    }
    let text = format!("{}\0{}\0{}", rule.id, case.reminder.ehr, case.reminder.patient);
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let number = hash.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    if number % 100 < u64::from(rule.control_percent) {
        let words = format!("the patient is among the {} % who get no message", rule.control_percent);
        findings.fail(name, words, Verdict::Withhold(Reason::ControlArm));
    } else {
        findings.pass(name, format!("the patient is not among the {} % who get no message", rule.control_percent));
    }
}
