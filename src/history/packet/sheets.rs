//! The packet's tables, and messages and resources as JSON.

use serde_json::{Value, json};

use super::Request;
use super::gather::Gathered;
use crate::domain::{AttemptState, CheckResult, EventKind, MessageState, Reason, Verdict};
use crate::fhir::write::{Category, CommunicationFacts, Course, NotDone, communication};
use crate::history::sheet::{Sheet, SheetError};
use crate::store::Delivery;

/// The stable code of a unit variant, or its JSON.
fn code(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

pub fn messages(all: &Gathered) -> Result<Vec<u8>, SheetError> {
    let mut sheet = Sheet::new(&[
        "message",
        "created_at",
        "channel",
        "address",
        "state",
        "reason",
        "purpose",
        "detail",
        "basis",
        "language",
        "rule",
        "rule_version",
        "template",
        "subject",
        "text",
        "attempts",
        "protection",
        "provider_reference",
        "written_to_ehr",
        "replies",
    ])?;
    for it in &all.messages {
        let message = &it.message;
        let body = message.body.as_ref();
        let join = |words: Vec<String>| words.join("; ");
        let attempts = it
            .attempts
            .iter()
            .map(|at| format!("{} {} {} {}", at.number, at.opened_at.to_rfc3339(), at.provider, at.state.as_str()));
        let replies = all.replies.iter().filter(|line| line.message == Some(message.id));
        sheet.row(&[
            message.id.to_string(),
            message.created_at.to_rfc3339(),
            message.channel.as_str().to_owned(),
            message.address.expose().to_owned(),
            it.state.as_str().to_owned(),
            it.reason.map_or("", Reason::as_str).to_owned(),
            code(&message.purpose),
            code(&message.detail),
            code(&message.basis),
            message.language.clone(),
            message.rule.as_ref().map(ToString::to_string).unwrap_or_default(),
            message.rule_version.as_ref().map(ToString::to_string).unwrap_or_default(),
            message.template.clone(),
            body.and_then(|body| body.subject.as_ref()).map(|it| it.expose().clone()).unwrap_or_default(),
            body.map(|body| body.text.expose().clone()).unwrap_or_default(),
            join(attempts.collect()),
            join(it.attempts.iter().filter_map(|at| at.protection.clone()).collect()),
            join(it.attempts.iter().filter_map(|at| at.provider_ref.clone()).collect()),
            all.written.get(&message.id).map_or_else(String::new, |line| line.state.as_str().to_owned()),
            join(replies.map(|line| line.reply.text.expose().clone()).collect()),
        ])?;
    }
    sheet.finish()
}

/// The messages whole: what a checker holds against the digests in the log.
pub fn messages_json(all: &Gathered) -> Value {
    all.messages
        .iter()
        .map(|it| {
            json!({
                "message": it.message, "state": it.state, "reason": it.reason, "attempts": it.attempts,
                "replies": all.replies.iter().filter(|line| line.message == Some(it.message.id))
                    .map(|line| json!({ "reply": line.reply, "meaning": line.meaning })).collect::<Vec<_>>(),
            })
        })
        .collect()
}

pub fn consents(all: &Gathered) -> Result<Vec<u8>, SheetError> {
    let mut sheet = Sheet::new(&["kind", "id", "at", "until", "scope", "address", "source", "words"])?;
    for it in &all.opt_outs {
        sheet.row(&[
            "opt-out".to_owned(),
            it.id.to_string(),
            it.at.to_rfc3339(),
            it.revoked_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
            code(&it.scope),
            it.address.as_ref().map(|it| it.expose().to_owned()).unwrap_or_default(),
            it.source.clone(),
            it.words.as_ref().map(|it| it.expose().clone()).unwrap_or_default(),
        ])?;
    }
    for row in &all.consents {
        let text = |key: &str| row.body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        sheet.row(&[
            "consent record of the EHR".to_owned(),
            row.version.key.to_string(),
            text("dateTime"),
            String::new(),
            text("status"),
            String::new(),
            "EHR".to_owned(),
            row.body.get("provision").map(Value::to_string).unwrap_or_default(),
        ])?;
    }
    sheet.finish()
}

pub fn decisions(all: &Gathered) -> Result<Vec<u8>, SheetError> {
    let mut sheet = Sheet::new(&[
        "decision",
        "at",
        "reminder",
        "rule",
        "rule_version",
        "about",
        "due_at",
        "verdict",
        "reason",
        "checks",
        "facts",
    ])?;
    for (reminder, decisions) in &all.reminders {
        for it in decisions {
            let (verdict, reason) = verdict(&it.verdict);
            let checks = it.checks.iter().map(|check| {
                let result = match check.result {
                    CheckResult::Passed => "passed",
                    CheckResult::Failed => "failed",
                    CheckResult::Unknown => "unknown",
                    CheckResult::NotApplicable => "not applicable",
                };
                format!("{}: {result} ({})", check.name, check.words)
            });
            let facts = it.facts.iter().map(|fact| {
                let source = fact.source.as_ref().map(|it| format!(" from {}", code(it))).unwrap_or_default();
                format!("{} = {}{source}", fact.name, fact.value)
            });
            sheet.row(&[
                it.id.to_string(),
                it.at.to_rfc3339(),
                reminder.id.to_string(),
                reminder.plan.rule.to_string(),
                it.rule_version.to_string(),
                reminder.plan.occasion.resource.to_string(),
                reminder.plan.due_at.to_rfc3339(),
                verdict.to_owned(),
                reason.map_or("", Reason::as_str).to_owned(),
                checks.collect::<Vec<_>>().join("; "),
                facts.collect::<Vec<_>>().join("; "),
            ])?;
        }
    }
    sheet.finish()
}

pub const fn verdict(it: &Verdict) -> (&'static str, Option<Reason>) {
    match it {
        Verdict::Release(_) => ("released", None),
        Verdict::Withhold(reason) => ("withheld", Some(*reason)),
        Verdict::Wait { reason, .. } => ("waiting", Some(*reason)),
        Verdict::Expire(reason) => ("expired", Some(*reason)),
        Verdict::Cancel(reason) => ("cancelled", Some(*reason)),
    }
}

/// Who looked at, searched for or took out this patient's data.
pub fn access(all: &Gathered) -> Result<Vec<u8>, SheetError> {
    let mut sheet = Sheet::new(&["number", "at", "who", "what", "where"])?;
    for it in all.events.iter().filter(|it| is_access(it.event.kind)) {
        sheet.row(&[
            it.place.to_string(),
            it.event.at.to_rfc3339(),
            it.event.actor.as_text(),
            it.event.kind.as_str().to_owned(),
            it.event.detail.get("page").and_then(Value::as_str).unwrap_or_default().to_owned(),
        ])?;
    }
    sheet.finish()
}

pub const fn is_access(kind: EventKind) -> bool {
    matches!(kind, EventKind::PatientViewed | EventKind::HistorySearched | EventKind::HistoryExported)
}

/// Patient, consents, and a Communication for each message, as they would be written into an EHR; the payload is what
/// the person was sent.
pub fn bundle(all: &Gathered, request: &Request) -> Value {
    let resources = all.patient.iter().chain(&all.consents).map(|row| row.body.clone());
    let communications = all.messages.iter().map(|it| {
        let mut resource = communication(&facts(it, request));
        resource["id"] = json!(it.message.id);
        resource
    });
    let entries: Vec<Value> = resources
        .chain(communications)
        .map(|resource| {
            let url = format!(
                "{}/fhir/r4/{}/{}",
                request.gateway,
                resource["resourceType"].as_str().unwrap_or_default(),
                resource["id"].as_str().unwrap_or_default()
            );
            json!({ "fullUrl": url, "resource": resource })
        })
        .collect();
    json!({ "resourceType": "Bundle", "type": "collection", "entry": entries })
}

fn facts(it: &Delivery, request: &Request) -> CommunicationFacts {
    let message = &it.message;
    let accepted = |at: &&crate::domain::Attempt| {
        !matches!(at.state, AttemptState::Opened | AttemptState::Rejected | AttemptState::Expired)
    };
    let sent = it.attempts.iter().find(accepted).and_then(|at| at.settled_at.or(Some(at.opened_at)));
    let arrived = matches!(it.state, MessageState::Delivered | MessageState::Read);
    CommunicationFacts {
        gateway: request.gateway.clone(),
        outreach_id: message.id.to_string(),
        rule: message.rule.clone().zip(message.rule_version.clone()),
        category: Category::Reminder,
        channel: message.channel,
        subject: message.subject.clone(),
        about: Vec::new(),
        organization: None,
        course: Course::ToPerson {
            recipient: message.recipient.clone(),
            state: it.state,
            closed: true,
            not_done: not_done(it),
            sent,
            received: arrived.then(|| it.attempts.last().and_then(|at| at.settled_at)).flatten(),
        },
        text: message.body.as_ref().map(|body| body.text.clone()).unwrap_or_else(|| String::new().into()),
        notes: Vec::new(),
    }
}

fn not_done(it: &Delivery) -> Option<NotDone> {
    match (it.state, it.reason) {
        (MessageState::Expired, _) => Some(NotDone::Expired),
        (MessageState::Failed | MessageState::Cancelled, Some(Reason::OptedOut)) => Some(NotDone::OptedOut),
        (MessageState::Failed, Some(Reason::AddressRefused | Reason::NoContactPoint)) => Some(NotDone::InvalidAddress),
        (MessageState::Failed, _) => Some(NotDone::Unreachable),
        (MessageState::Cancelled, _) => Some(NotDone::Unknown),
        _ => None,
    }
}
