//! One act, recorded in the transaction in which it happened.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EhrId, EventId, MessageId, PatientId, ReminderId, RuleId, TenantId};

/// An append-only record of an act. `detail` may hold PHI and is sealed; everything else stands in the clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub tenant: TenantId,
    pub at: DateTime<Utc>,
    pub actor: Actor,
    pub kind: EventKind,
    pub outcome: EventOutcome,
    pub ehr: Option<EhrId>,
    pub patient: Option<PatientId>,
    pub rule: Option<RuleId>,
    pub reminder: Option<ReminderId>,
    pub message: Option<MessageId>,
    pub detail: Value,
}

impl Event {
    /// An event without subject; the `about_*` methods name what it is about.
    pub fn new(id: EventId, tenant: TenantId, at: DateTime<Utc>, actor: Actor, kind: EventKind) -> Self {
        Self {
            id,
            tenant,
            at,
            actor,
            kind,
            outcome: EventOutcome::Done,
            ehr: None,
            patient: None,
            rule: None,
            reminder: None,
            message: None,
            detail: Value::Null,
        }
    }

    pub fn about_patient(mut self, ehr: &EhrId, patient: &PatientId) -> Self {
        self.ehr = Some(ehr.clone());
        self.patient = Some(patient.clone());
        self
    }

    pub fn about_ehr(mut self, ehr: &EhrId) -> Self {
        self.ehr = Some(ehr.clone());
        self
    }

    pub fn about_rule(mut self, rule: &RuleId) -> Self {
        self.rule = Some(rule.clone());
        self
    }

    pub fn about_reminder(mut self, reminder: ReminderId) -> Self {
        self.reminder = Some(reminder);
        self
    }

    pub fn about_message(mut self, message: MessageId) -> Self {
        self.message = Some(message);
        self
    }

    pub fn with_outcome(mut self, outcome: EventOutcome) -> Self {
        self.outcome = outcome;
        self
    }

    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Beckon itself, by the name of the part that acted: `pull`, `outbox`.
    System(String),
    /// A member of staff, by login.
    Staff(String),
    /// Somebody at the command line, by operating-system user.
    Cli(String),
    /// The patient or whoever holds their phone.
    Patient,
    /// A provider's webhook.
    Provider(String),
}

impl Actor {
    pub fn system(part: &str) -> Self {
        Self::System(part.to_owned())
    }

    /// `staff:ada`, `system:pull`: how it stands in a column and in a listing.
    pub fn as_text(&self) -> String {
        match self {
            Self::System(part) => format!("system:{part}"),
            Self::Staff(login) => format!("staff:{login}"),
            Self::Cli(user) => format!("cli:{user}"),
            Self::Patient => "patient".to_owned(),
            Self::Provider(name) => format!("provider:{name}"),
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("system", part)) => Some(Self::System(part.to_owned())),
            Some(("staff", login)) => Some(Self::Staff(login.to_owned())),
            Some(("cli", user)) => Some(Self::Cli(user.to_owned())),
            Some(("provider", name)) => Some(Self::Provider(name.to_owned())),
            None if text == "patient" => Some(Self::Patient),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventOutcome {
    Done,
    Refused,
    Failed,
}

impl EventOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Refused, Self::Failed].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

macro_rules! event_kinds {
    ($($name:ident => $code:literal),+ $(,)?) => {
        /// What happened. The code is stable: exports and saved questions rest on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventKind { $(#[serde(rename = $code)] $name),+ }

        impl EventKind {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == code)
            }
        }
    };
}

event_kinds! {
    EhrAdded => "ehr.added",
    EhrMoved => "ehr.moved",
    EhrChanged => "ehr.changed",
    EhrKeyCreated => "ehr.key.created",
    EhrKeySigns => "ehr.key.signs",
    EhrKeyPutOff => "ehr.key.put_off",
    EhrKeyWithdrawn => "ehr.key.withdrawn",
    EhrKeyRetired => "ehr.key.retired",
    EhrPlanChanged => "ehr.plan.changed",
    PullWished => "pull.wished",
    QuarantineRetried => "pull.quarantine.retried",
    TokenGranted => "ehr.token.granted",
    TokenRefused => "ehr.token.refused",
    PullStarted => "pull.started",
    PullFinished => "pull.finished",
    ExportAsked => "export.asked",
    ExportEnded => "export.ended",
    SubscriptionMade => "subscription.made",
    SubscriptionEnded => "subscription.ended",
    ResourceQuarantined => "pull.quarantined",
    PatientMerged => "pull.merged",
    ResourceRead => "ehr.read",
    ReminderPlanned => "reminder.planned",
    ReminderMoved => "reminder.moved",
    ReminderCancelled => "reminder.cancelled",
    ReminderWithheld => "reminder.withheld",
    ReminderDecided => "reminder.decided",
    AttemptOpened => "attempt.opened",
    AttemptSettled => "attempt.settled",
    ReceiptReceived => "receipt.received",
    MessageClosed => "message.closed",
    ReplyReceived => "reply.received",
    ReplyUnderstood => "reply.understood",
    OptOutRecorded => "optout.recorded",
    OptOutRevoked => "optout.revoked",
    EnrolmentChanged => "enrolment.changed",
    ClinicDefaultChanged => "enrolment.default.changed",
    PatientChose => "patient.choice",
    WriteBackWritten => "writeback.written",
    WriteBackFailed => "writeback.failed",
    RuleVersionAdded => "rule.version.added",
    RulesLive => "rule.live",
    TextsReviewed => "rule.texts.reviewed",
    RuleReviewed => "rule.reviewed",
    RuleRetired => "rule.retired",
    SendModeChanged => "sending.mode",
    Halted => "sending.halted",
    Resumed => "sending.resumed",
    FloodHeld => "sending.held",
    FloodReleased => "sending.hold.released",
    StaffAdded => "staff.added",
    StaffDisabled => "staff.disabled",
    SignedIn => "staff.signed_in",
    SignInRefused => "staff.sign_in_refused",
    SignedOut => "staff.signed_out",
    PatientViewed => "access.patient",
    HistorySearched => "access.history",
    TaskOpened => "task.opened",
    TaskDone => "task.done",
    HistoryExported => "access.export",
    CheckpointSigned => "history.checkpoint",
    HistoryVerified => "history.verified",
    AlertOpened => "alert.opened",
    AlertAcknowledged => "alert.acknowledged",
    BackupTaken => "backup.taken",
    Restored => "backup.restored",
    Reconciled => "backup.reconciled",
    DayReconciled => "day.reconciled",
    KeyRotated => "key.rotated",
}
