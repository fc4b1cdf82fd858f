//! The resource that the reminder is about: whether what was true when it was planned is true now.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use crate::domain::{Reason, ResourceType, Verdict};

use super::super::conditions::Subject;
use super::super::plan::{repetition_near, tolerance};
use super::super::who::{Meant, is_meant};
use super::super::{PatientRecord, Reading, coverage_gap, moment};
use super::{Case, Findings};

const UNREAD: &str = "there is no resource to look at";

/// Returns the instant after which it must not be sent: the planned one, or an earlier one that the fresh resource asks
/// for.
pub(in crate::rules) fn check(case: &Case<'_>, findings: &mut Findings) -> DateTime<Utc> {
    let planned = case.reminder.plan.expires_at;
    match (&case.facts.resource, case.resource) {
        (Reading::Fresh(record), _) => {
            findings.pass("resource_read", format!("{} was read just now", record.version.key));
        }
        (Reading::Gone, _) => {
            findings.fail("resource_read", "the EHR no longer has it", Verdict::Cancel(Reason::ResourceGone));
        }
        (Reading::Unreadable { .. }, Some(_)) => {
            findings.pass("resource_read", "the EHR could not be read; the rule allows the mirrored copy (stale_ok)");
        }
        (Reading::Unreadable { .. }, None) => findings.unknown(
            "resource_read",
            "the resource could not be read from the EHR",
            case.recheck(Reason::EhrUnreadable),
        ),
    }
    coverage(case, findings);
    match case.facility.zone {
        Some(zone) => {
            findings.pass("facility_zone", format!("times are spoken in {zone}"));
            findings.fact("facility zone", zone.name(), None);
        }
        None => findings.unknown(
            "facility_zone",
            "the facility has no time zone: times can neither be reckoned nor spoken",
            case.recheck(Reason::FacilityZoneUnresolved),
        ),
    }
    let (Some(record), Some(patient), Some(zone)) = (case.resource, case.patient, case.facility.zone) else {
        for name in ["who", "condition", "unless", "until", "step_unless", "declined", "moved"] {
            findings.skip(name, UNREAD);
        }
        return planned;
    };
    let subject = Subject {
        rule: case.rule.rule(),
        resource: record.value,
        patient: patient.value,
        mirror: case.facts.mirror,
        at: case.now,
        zone,
    };
    findings.fact(record.version.key.resource_type.as_str(), "read", Some(record.version));
    for kind in &case.rule.rule().reads {
        let mirrored = case.facts.mirror.of(*kind);
        let newest = mirrored.iter().map(|it| it.version).max_by_key(|it| it.last_updated);
        findings.fact(&format!("{kind} in the mirror"), mirrored.len().to_string(), newest);
    }
    if let Some(appointment) = record.appointment {
        findings.fact("Appointment.status", appointment.status.as_str(), Some(record.version));
    }
    who(case, &patient, record.value, zone, findings);
    condition(case, &subject, findings);
    excuse(case, &subject, "unless", case.rule.conditions().unless.as_ref(), Reason::ConditionNotMet, findings);
    excuse(case, &subject, "until", case.rule.conditions().until.as_ref(), Reason::Stopped, findings);
    let of_step = case.rule.conditions().step_unless.get(case.step_index).and_then(Option::as_ref);
    excuse(case, &subject, "step_unless", of_step, Reason::ConditionNotMet, findings);
    match record.appointment {
        None => findings.skip("declined", "it is not an Appointment"),
        Some(appointment) if appointment.declined_by(&patient.patient.id) => {
            findings.fact("Appointment.participant.status", "declined", Some(record.version));
            findings.fail(
                "declined",
                "the patient said that they will not come",
                Verdict::Cancel(Reason::PatientDeclined),
            );
        }
        Some(_) => findings.pass("declined", "the patient did not decline"),
    }
    moved(case, &subject, findings).map_or(planned, |fresh| fresh.min(planned))
}

fn coverage(case: &Case<'_>, findings: &mut Findings) {
    let rule = case.rule.rule();
    if rule.reads.is_empty() {
        findings.skip("coverage", "the rule reads no further types");
        return;
    }
    match coverage_gap(rule, case.facts.mirror, case.now) {
        None => findings.pass("coverage", "every type that the rule reads was pulled completely and lately enough"),
        Some(kind) => findings.unknown(
            "coverage",
            format!("{kind} was not pulled completely in the last {} minutes", rule.freshness_minutes),
            case.recheck(Reason::NotKnown),
        ),
    }
}

fn condition(case: &Case<'_>, subject: &Subject<'_>, findings: &mut Findings) {
    let name = "condition";
    let gone = if case.rule.rule().resource == ResourceType::Appointment {
        Reason::ResourceCancelled
    } else {
        Reason::ConditionNotMet
    };
    match subject.holds(&case.rule.conditions().condition) {
        Ok(Some(true)) => findings.pass(name, "the condition still holds"),
        Ok(Some(false)) => findings.fail(name, "the condition no longer holds", Verdict::Cancel(gone)),
        Ok(None) => findings.unknown(name, "whether the condition holds is not known", case.recheck(Reason::NotKnown)),
        Err(words) => findings.fail(name, words, Verdict::Withhold(Reason::ConditionFailed)),
    }
}

/// What makes a step unnecessary.
fn excuse(
    case: &Case<'_>,
    subject: &Subject<'_>,
    name: &str,
    expression: Option<&fhirpath::Expression>,
    reason: Reason,
    findings: &mut Findings,
) {
    let Some(expression) = expression else {
        findings.skip(name, "the rule names nothing that makes it unnecessary");
        return;
    };
    match subject.holds(expression) {
        Ok(Some(false)) => findings.pass(name, "nothing makes it unnecessary"),
        Ok(Some(true)) => {
            let words = format!("what the rule names under \"{name}\" holds by now");
            findings.fail(name, words, Verdict::Cancel(reason));
        }
        Ok(None) => findings.unknown(name, "whether it is unnecessary is not known", case.recheck(Reason::NotKnown)),
        Err(words) => findings.fail(name, words, Verdict::Withhold(Reason::ConditionFailed)),
    }
}

fn who(case: &Case<'_>, patient: &PatientRecord<'_>, resource: &Value, zone: Tz, findings: &mut Findings) {
    let name = "who";
    let today = case.now.with_timezone(&zone).date_naive();
    match is_meant(case.rule.rule(), patient.patient, patient.value, resource, today) {
        Meant::Yes => findings.pass(name, "the patient is among those whom the rule is for"),
        Meant::No(words) => findings.fail(name, words, Verdict::Cancel(Reason::NotMeant)),
        Meant::Unknown(words) => findings.unknown(name, words, case.recheck(Reason::NotKnown)),
    }
}

/// The step's expiry counted from the anchor as it is now.
fn moved(case: &Case<'_>, subject: &Subject<'_>, findings: &mut Findings) -> Option<DateTime<Utc>> {
    let name = "moved";
    let rule = case.rule.rule();
    let was = case.reminder.plan.occasion.anchor;
    let Some(expression) = &case.rule.conditions().anchor else {
        return on_schedule(case, was, subject.zone, findings);
    };
    let anchor = match subject.instant(expression) {
        Ok(anchor) => anchor.and_then(|anchor| repetition_near(rule, anchor, was, subject.zone)),
        Err(words) => {
            findings.fail(name, words, Verdict::Withhold(Reason::ConditionFailed));
            return None;
        }
    };
    let Some(anchor) = anchor else {
        findings.fail(name, "it has no date and time any more", Verdict::Cancel(Reason::AnchorMissing));
        return None;
    };
    findings.fact("anchor", anchor.to_rfc3339(), case.resource.map(|it| it.version));
    let by = (anchor - was).abs();
    if by > tolerance(rule) {
        let words = format!(
            "it was moved from {} to {}, which makes a new occasion",
            case.clock_words(was),
            case.clock_words(anchor)
        );
        findings.fail(name, words, Verdict::Cancel(Reason::ResourceMoved));
        return None;
    }
    let words = match by.num_minutes() {
        0 => "it stands where it stood".to_owned(),
        minutes => format!("it stands within {minutes} minutes of where it stood"),
    };
    findings.pass(name, words);
    moment::resolve(&case.step.expires, anchor, subject.zone, &rule.holidays)
}

/// A rule by the calendar does not move with a resource, only with its schedule.
fn on_schedule(case: &Case<'_>, was: DateTime<Utc>, zone: Tz, findings: &mut Findings) -> Option<DateTime<Utc>> {
    let name = "moved";
    if !case.rule.conditions().schedule.as_ref().is_some_and(|it| it.includes(was, zone)) {
        let words = format!("the rule's schedule no longer names {was}");
        findings.fail(name, words, Verdict::Cancel(Reason::RuleChanged));
        return None;
    }
    findings.pass(name, "the rule's schedule still names it");
    moment::resolve(&case.step.expires, was, zone, &case.rule.rule().holidays)
}
