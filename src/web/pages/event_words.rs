//! History events as sentences.

use chrono_tz::Tz;
use serde_json::Value;

use super::titles::Titles;
use crate::domain::{Actor, Event, EventKind, EventOutcome, Reason};
use crate::web::words::{code_words, moment};

/// One event of a timeline.
pub struct EventLine {
    pub at: String,
    pub who: String,
    pub what: String,
    pub kind: &'static str,
    pub rule: String,
    pub reason: &'static str,
    pub href: Option<String>,
    pub patient: Option<String>,
    pub details: Vec<(String, String)>,
}

impl EventLine {
    pub fn of(event: Event, titles: &Titles, zone: Tz) -> Self {
        let outcome = match event.outcome {
            EventOutcome::Done => "",
            EventOutcome::Refused => " (refused)",
            EventOutcome::Failed => " (failed)",
        };
        let href = event
            .message
            .map(|id| format!("/messages/{id}"))
            .or_else(|| event.reminder.map(|id| format!("/reminders/{id}")));
        let reason = event.detail.get("reason").and_then(Value::as_str).and_then(Reason::parse);
        Self {
            at: moment(event.at, zone),
            who: who(&event.actor),
            what: format!("{}{outcome}", what(event.kind)),
            kind: event.kind.as_str(),
            rule: event.rule.as_ref().map(|rule| titles.title(rule)).unwrap_or_default(),
            reason: reason.map_or("", Reason::words),
            href,
            patient: event.ehr.zip(event.patient).map(|(ehr, patient)| format!("/patients/{ehr}/{patient}")),
            details: details(&event.detail),
        }
    }
}

/// Who acted, in words.
pub fn who(actor: &Actor) -> String {
    match actor {
        Actor::System(part) => format!("Beckon ({part})"),
        Actor::Staff(login) => login.clone(),
        Actor::Cli(user) => format!("Command line ({user})"),
        Actor::Patient => "The patient".to_owned(),
        Actor::Provider(name) => format!("Provider {name}"),
    }
}

/// The same for an actor as it stands in a column.
pub fn who_text(actor: &str) -> String {
    Actor::parse(actor).as_ref().map_or_else(|| actor.to_owned(), who)
}

/// What happened, in words.
pub const fn what(kind: EventKind) -> &'static str {
    match kind {
        EventKind::EhrAdded => "EHR connection added",
        EventKind::EhrMoved => "An EHR connection was given another address",
        EventKind::EhrChanged => "An EHR connection's settings or roster were changed",
        EventKind::EhrKeyCreated => "Key for the EHR made",
        EventKind::EhrKeyRetired => "Key for the EHR retired",
        EventKind::TokenGranted => "The EHR granted access",
        EventKind::TokenRefused => "The EHR refused access",
        EventKind::PullStarted => "Pull began",
        EventKind::PullFinished => "Pull ended",
        EventKind::ExportAsked => "Bulk export asked for",
        EventKind::ExportEnded => "Bulk export ended",
        EventKind::SubscriptionMade => "Subscription made",
        EventKind::SubscriptionEnded => "Subscription ended",
        EventKind::ResourceQuarantined => "Resource put into quarantine",
        EventKind::ResourceRead => "Read from the EHR",
        EventKind::ReminderPlanned => "Reminder planned",
        EventKind::ReminderMoved => "Reminder moved",
        EventKind::ReminderCancelled => "Reminder cancelled",
        EventKind::ReminderDecided => "Reminder decided",
        EventKind::AttemptOpened => "About to send",
        EventKind::AttemptSettled => "The provider answered",
        EventKind::ReceiptReceived => "The provider reported",
        EventKind::ReplyReceived => "The patient answered",
        EventKind::ReplyUnderstood => "The answer was understood",
        EventKind::MessageClosed => "Message given up",
        EventKind::OptOutRecorded => "Opt-out recorded",
        EventKind::OptOutRevoked => "Opt-out taken back",
        EventKind::EnrolmentChanged => "Rule switched for the patient",
        EventKind::WriteBackWritten => "Written to the EHR",
        EventKind::WriteBackFailed => "Not written to the EHR",
        EventKind::RulesLive => "Rules made live",
        EventKind::RuleVersionAdded => "Rule version added",
        EventKind::SendModeChanged => "Send mode changed",
        EventKind::Halted => "Sending halted",
        EventKind::Resumed => "Sending resumed",
        EventKind::FloodHeld => "Unusually many messages held",
        EventKind::FloodReleased => "Held messages let go",
        EventKind::StaffAdded => "Account added",
        EventKind::StaffDisabled => "Account disabled",
        EventKind::SignedIn => "Signed in",
        EventKind::SignInRefused => "Sign-in refused",
        EventKind::SignedOut => "Signed out",
        EventKind::PatientViewed => "Patient's data viewed",
        EventKind::HistorySearched => "History searched",
        EventKind::AlertOpened => "Alert opened",
        EventKind::AlertAcknowledged => "Alert acknowledged",
        EventKind::BackupTaken => "Backup taken",
        EventKind::Restored => "Restored from a backup",
        EventKind::Reconciled => "Reconciled after a restore",
        EventKind::DayReconciled => "A day was reconciled",
        EventKind::KeyRotated => "Key rotated",
    }
}

/// The detail's entries, one a line; what is nested stays JSON.
fn details(detail: &Value) -> Vec<(String, String)> {
    let Value::Object(entries) = detail else { return Vec::new() };
    entries
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (code_words(name), text)
        })
        .collect()
}
