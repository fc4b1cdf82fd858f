//! R4 Appointment. Its time and its patient are what a wrong reminder is made of, so both are read strictly.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::date::{self, DateError};
use super::issues::{Issues, Read};
use super::resource;
use crate::domain::{Appointment, AppointmentStatus, Participant, ParticipationStatus, Phi};
use crate::fhir::{json, reference};

/// Reads an Appointment.
///
/// Fatal: wrong type, no id, an unknown status, no patient, a modifier that is not understood; and, while the
/// appointment still lies ahead, a start or end that cannot be read, an end before the start, or booked without start.
/// Once it is over, cancelled or in error, its times no longer matter, and the change of state must get through.
pub fn appointment(value: &Value) -> Read<Appointment> {
    let mut issues = Issues::default();
    issues.resource(value, "Appointment");
    let status = json::text(value, "status").and_then(AppointmentStatus::parse);
    if status.is_none() {
        issues.fatal("Appointment.status", "is missing or not a code of the value set");
    }
    let (start, end) = times(value, status, &mut issues);
    let participants = participants(value, &mut issues);
    let (Some(version), Some(status)) = (resource::version_of(value), status) else {
        return issues.finish(None);
    };
    let created = match issues.text(value, "Appointment", "created").map(date::instant) {
        Some(Ok(created)) => Some(created),
        // A dateTime may be a mere date; when it was booked is then not known to the minute.
        Some(Err(error)) => {
            issues.note("Appointment.created", error.to_string());
            None
        }
        None => None,
    };
    let appointment = Appointment {
        version,
        status,
        start,
        end,
        created,
        service: service(value),
        participants,
        cancelation_reason: ["cancelationReason", "cancellationReason"]
            .iter()
            .flat_map(|key| json::list(value, key))
            .flat_map(|concept| json::codings(concept).map(|(_, code)| code.to_owned()))
            .collect(),
    };
    issues.finish(Some(appointment))
}

fn lies_ahead(status: Option<AppointmentStatus>) -> bool {
    use AppointmentStatus as S;
    matches!(status, None | Some(S::Proposed | S::Pending | S::Booked | S::Waitlist))
}

fn times(
    value: &Value,
    status: Option<AppointmentStatus>,
    issues: &mut Issues,
) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let matters = lies_ahead(status);
    let mut complain = |path: &str, reason: String| {
        if matters { issues.fatal(path, reason) } else { issues.note(path, reason) }
    };
    let mut moment = |key: &str| {
        let found = value.get(key).filter(|found| !found.is_null())?;
        match found.as_str().map_or(Err(DateError::NotText), date::instant) {
            Ok(moment) => Some(moment),
            Err(error) => {
                complain(&format!("Appointment.{key}"), error.to_string());
                None
            }
        }
    };
    let (start, end) = (moment("start"), moment("end"));
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        complain("Appointment.end", "lies before the start".to_owned());
        return (None, None);
    }
    if start.is_none() && !json::present(value, "start") {
        match status {
            Some(AppointmentStatus::Booked) => {
                issues.fatal("Appointment.start", "is missing from a booked appointment");
            }
            Some(AppointmentStatus::Pending) => issues.note("Appointment.start", "is missing (R4 app-3)"),
            _ => {}
        }
    }
    (start, end)
}

fn participants(value: &Value, issues: &mut Issues) -> Vec<Participant> {
    let entries = json::list(value, "participant");
    if entries.is_empty() {
        issues.fatal("Appointment.participant", "there are no participants");
    }
    let mut participants = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("Appointment.participant[{index}]");
        issues.no_modifiers(entry, &path);
        let actor = match entry.get("actor").filter(|actor| !actor.is_null()).map(reference::relative) {
            Some(Ok(actor)) => Some(actor),
            Some(Err(reason)) => {
                issues.note(format!("{path}.actor"), reason);
                None
            }
            None => None,
        };
        let status = match json::text(entry, "status") {
            Some("accepted") => ParticipationStatus::Accepted,
            Some("declined") => ParticipationStatus::Declined,
            Some("tentative") => ParticipationStatus::Tentative,
            Some("needs-action") => ParticipationStatus::NeedsAction,
            // Neither a yes nor a no can be read into it.
            _ => {
                issues.note(format!("{path}.status"), "is missing or not a code of the value set");
                ParticipationStatus::NeedsAction
            }
        };
        let period_end = issues.period(entry, &path).ok().and_then(|span| span.end);
        participants.push(Participant { actor, status, period_end });
    }
    let has_patient =
        participants.iter().any(|p| p.actor.as_deref().is_some_and(|actor| actor.starts_with("Patient/")));
    if !has_patient && !entries.is_empty() {
        issues.fatal("Appointment.participant", "no participant is a patient of this EHR");
    }
    participants
}

/// `text` of the first serviceType that says anything, else its first display. R5 wraps it in `concept`.
fn service(value: &Value) -> Option<Phi<String>> {
    json::list(value, "serviceType").iter().find_map(|service| {
        let concept = service.get("concept").unwrap_or(service);
        let display = || json::list(concept, "coding").iter().find_map(|coding| json::text(coding, "display"));
        json::text(concept, "text").or_else(display).map(|text| Phi::new(text.to_owned()))
    })
}
