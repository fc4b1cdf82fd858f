//! History events as sentences.

use chrono_tz::Tz;
use serde_json::Value;

use super::titles::Titles;
use crate::domain::{Actor, Event, EventKind, EventOutcome, Reason};
use crate::web::words::{carrier_words, code_words, moment, moment_or_text};

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

    /// The same for those who care for the patient: without the machine's own codes, numbers and documents, which are for
    /// compliance to search.
    pub fn for_care(event: Event, titles: &Titles, zone: Tz) -> Self {
        let details = scalars(&event.detail, zone);
        let who = match &event.actor {
            Actor::System(_) => "Beckon".to_owned(),
            Actor::Provider(name) => capital(&carrier_words(name)),
            actor => who(actor),
        };
        Self { kind: "", who, details, ..Self::of(event, titles, zone) }
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
        EventKind::EhrKeySigns => "A new key signs for the EHR",
        EventKind::EhrKeyPutOff => "A new key for the EHR signs later: the EHR has not taken it yet",
        EventKind::EhrKeyWithdrawn => "Key for the EHR withdrawn at once",
        EventKind::EhrPlanChanged => "An EHR is asked in another way than before",
        EventKind::PullWished => "Pull asked for",
        EventKind::QuarantineRetried => "Resource in quarantine read again",
        EventKind::EhrKeyRetired => "Key for the EHR retired",
        EventKind::TokenGranted => "The EHR granted access",
        EventKind::TokenRefused => "The EHR refused access",
        EventKind::PullStarted => "Pull began",
        EventKind::PullFinished => "Pull ended",
        EventKind::PatientMerged => "Record merged into another one",
        EventKind::ExportAsked => "Bulk export asked for",
        EventKind::ExportEnded => "Bulk export ended",
        EventKind::SubscriptionMade => "Subscription made",
        EventKind::SubscriptionEnded => "Subscription ended",
        EventKind::ResourceQuarantined => "Resource put into quarantine",
        EventKind::ResourceRead => "Read from the EHR",
        EventKind::ReminderPlanned => "Reminder planned",
        EventKind::ReminderMoved => "Reminder moved",
        EventKind::ReminderCancelled => "Reminder cancelled",
        EventKind::ReminderWithheld => "Reminder withheld",
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
        EventKind::ClinicDefaultChanged => "Rule switched for a clinic",
        EventKind::PatientChose => "The patient wants to hear no more about this visit",
        EventKind::WriteBackWritten => "Written to the EHR",
        EventKind::WriteBackFailed => "Not written to the EHR",
        EventKind::RulesLive => "Rule made live",
        EventKind::RuleReviewed => "Rule reviewed",
        EventKind::RuleRetired => "Rule taken out of use",
        EventKind::RuleVersionAdded => "Rule version added",
        EventKind::TaskOpened => "Handed to people",
        EventKind::TaskDone => "Done by a person",
        EventKind::TextsReviewed => "Texts read over by a qualified person",
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
        EventKind::HistoryExported => "History exported",
        EventKind::CheckpointSigned => "Checkpoint of the history signed",
        EventKind::HistoryVerified => "History verified",
        EventKind::AlertOpened => "Alert opened",
        EventKind::AlertAcknowledged => "Alert acknowledged",
        EventKind::BackupTaken => "Backup taken",
        EventKind::Restored => "Restored from a backup",
        EventKind::Reconciled => "Reconciled after a restore",
        EventKind::DayReconciled => "A day was reconciled",
        EventKind::KeyRotated => "Key rotated",
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What of the detail a person can read: words, numbers and instants.
fn scalars(detail: &Value, zone: Tz) -> Vec<(String, String)> {
    let is_code = |text: &str| text.len() >= 32 && !text.contains(' ');
    let Value::Object(entries) = detail else { return Vec::new() };
    entries
        .iter()
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) if !is_code(text) && name != "reason" => moment_or_text(text, zone),
                Value::Number(number) => number.to_string(),
                Value::Bool(true) => "yes".to_owned(),
                Value::Bool(false) => "no".to_owned(),
                _ => return None,
            };
            Some((code_words(name), text))
        })
        .collect()
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
