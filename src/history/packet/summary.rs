//! The summary: what a person reads first.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::Request;
use super::gather::Gathered;
use super::sheets::{is_access, verdict};
use crate::domain::{EventKind, Reason};
use crate::fhir;
use crate::history::HistoryError;
use crate::history::note::Checkpoint;
use crate::history::paper::Paper;

pub fn summary(
    all: &Gathered,
    request: &Request,
    head: &Checkpoint,
    now: DateTime<Utc>,
) -> Result<Vec<u8>, HistoryError> {
    let zone = request.zone;
    let mut paper = Paper::new(&format!("Evidence packet of {}", request.organisation))?;
    paper.text(&who(all, request, now));
    paper.text(&format!("Made {} by {}. All times are of the zone {zone}.", moment(now, zone), request.by.as_text()));
    paper.text(&format!(
        "Proven against the first {} events of the log {}. README.txt says how to check this without Beckon's makers or \
         the hospital.",
        head.size, head.origin
    ));
    counts(&mut paper, all);
    messages(&mut paper, all, zone);
    not_sent(&mut paper, all, zone);
    consents(&mut paper, all, zone);
    access(&mut paper, all, zone);
    Ok(paper.finish()?)
}

fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn who(all: &Gathered, request: &Request, now: DateTime<Utc>) -> String {
    let at_the_ehr = format!("Patient {} at the EHR {}", request.patient, request.ehr);
    let Some(row) = &all.patient else {
        return format!("{at_the_ehr}; Beckon no longer holds the record itself.");
    };
    match fhir::read::patient(&row.body, now).value {
        Some(patient) => {
            let name = patient.greeting_name().map(|name| name.full().into_inner()).unwrap_or_default();
            let born = patient.birth_date.map(|date| format!(", born {}", date.expose())).unwrap_or_default();
            format!("{name}{born}. {at_the_ehr}.")
        }
        None => format!("{at_the_ehr}."),
    }
}

fn counts(paper: &mut Paper, all: &Gathered) {
    let decisions: usize = all.reminders.iter().map(|(_, decisions)| decisions.len()).sum();
    let looked = all.events.iter().filter(|it| is_access(it.event.kind)).count();
    paper.heading("What is in this packet");
    paper.text(&format!(
        "{} messages, {} replies, {decisions} decisions on {} reminders, {} opt-outs, {} consent records of the EHR, \
         {looked} times that staff looked at, searched for or took out data, {} events in all.",
        all.messages.len(),
        all.replies.len(),
        all.reminders.len(),
        all.opt_outs.len(),
        all.consents.len(),
        all.events.len()
    ));
    let destroyed = all.events.iter().filter(|it| it.content.is_none()).count();
    if destroyed > 0 {
        paper.text(&format!(
            "Of {destroyed} events only the fingerprint is left: what they said was destroyed at the end of its retention."
        ));
    }
}

fn messages(paper: &mut Paper, all: &Gathered, zone: Tz) {
    paper.heading("Messages");
    if all.messages.is_empty() {
        paper.text("Nothing was ever sent.");
    }
    for it in &all.messages {
        let message = &it.message;
        paper.text(&format!(
            "{} by {} to {}: {}{}",
            moment(message.created_at, zone),
            message.channel.as_str(),
            message.address.expose(),
            it.state.as_str().replace('_', " "),
            it.reason.map(|reason| format!(" ({})", Reason::words(reason))).unwrap_or_default(),
        ));
        if let Some(body) = &message.body {
            let subject = body.subject.as_ref().map(|it| format!("{}\n", it.expose())).unwrap_or_default();
            paper.quote(&format!("{subject}{}", body.text.expose()));
        }
        let rule = message.rule.as_ref().map_or("no rule", |rule| rule.as_str());
        let version = message.rule_version.as_ref().map_or("", |it| it.as_str());
        paper.detail(&format!(
            "Rule {rule} {}, template {}, language {}, message {}",
            &version[..version.len().min(12)],
            message.template,
            message.language,
            message.id
        ));
        for at in &it.attempts {
            paper.detail(&format!(
                "Attempt {} {} by {}: {}{}{}",
                at.number,
                moment(at.opened_at, zone),
                at.provider,
                at.state.as_str(),
                at.protection.as_ref().map(|it| format!(", to the provider over {it}")).unwrap_or_default(),
                at.code.as_ref().map(|it| format!(", code {it}")).unwrap_or_default(),
            ));
        }
        for line in all.replies.iter().filter(|line| line.message == Some(message.id)) {
            let said = line.reply.text.expose();
            paper.detail(&format!("Answered {}: “{said}”", moment(line.reply.received_at, zone)));
        }
        if let Some(line) = all.written.get(&message.id) {
            paper.detail(&format!("Written to the EHR: {}", line.state.as_str()));
        }
    }
}

fn not_sent(paper: &mut Paper, all: &Gathered, zone: Tz) {
    let not_sent: Vec<_> = all
        .reminders
        .iter()
        .filter_map(|(reminder, decisions)| Some((reminder, verdict(&decisions.last()?.verdict))))
        .filter_map(|(reminder, (verdict, reason))| Some((reminder, verdict, reason?)))
        .collect();
    if not_sent.is_empty() {
        return;
    }
    paper.heading("What was due and not sent");
    for (reminder, verdict, reason) in not_sent {
        paper.text(&format!(
            "{} {}, step {}: {verdict}. {}",
            moment(reminder.plan.due_at, zone),
            reminder.plan.rule,
            reminder.plan.step,
            Reason::words(reason)
        ));
    }
}

fn consents(paper: &mut Paper, all: &Gathered, zone: Tz) {
    paper.heading("Opt-outs and consents");
    if all.opt_outs.is_empty() && all.consents.is_empty() {
        paper.text("None was recorded.");
    }
    for it in &all.opt_outs {
        let words = it.words.as_ref().map(|it| format!(": “{}”", it.expose())).unwrap_or_default();
        let back = it.revoked_at.map(|at| format!("; taken back {}", moment(at, zone))).unwrap_or_default();
        paper.text(&format!("{} opt-out by {}{words}{back}", moment(it.at, zone), it.source));
    }
    for row in &all.consents {
        let status = row.body.get("status").and_then(serde_json::Value::as_str).unwrap_or("unknown status");
        paper.text(&format!("{}: {status}", row.version.key));
    }
}

fn access(paper: &mut Paper, all: &Gathered, zone: Tz) {
    paper.heading("Who looked");
    let mut none = true;
    for it in all.events.iter().filter(|it| is_access(it.event.kind)) {
        none = false;
        let what = match it.event.kind {
            EventKind::PatientViewed => "viewed",
            EventKind::HistoryExported => "took out",
            _ => "searched for",
        };
        let page = it.event.detail.get("page").and_then(serde_json::Value::as_str).unwrap_or_default();
        paper.text(&format!("{} {} {what} {page}", moment(it.event.at, zone), it.event.actor.as_text()));
    }
    if none {
        paper.text("Nobody on the staff.");
    }
}
