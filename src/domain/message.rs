//! What goes to a person, how often it was tried, and what came back.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Address, AttemptId, Channel, ConsentBasis, EhrId, MessageId, PatientId, Phi, ReceiptId, ReminderId, ReplyId,
    RuleId, RuleVersionId, StaffId,
};

/// Why a person is contacted (HIPAA's classes). Marketing exists in the schema and is refused everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Treatment,
    Operations,
    Marketing,
}

/// How much PHI a text carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Names the organisation and nothing of the person's care.
    Neutral,
    /// Date, time and place of an appointment.
    Limited,
    /// What the care is about.
    Full,
}

/// To whom a message about a patient goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    Patient(PatientId),
    /// A RelatedPerson of the patient, by logical id.
    RelatedPerson(String),
}

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageOrigin {
    Reminders(Vec<ReminderId>),
    Manual {
        by: StaffId,
    },
    /// An answer that the person asked for, such as the confirmation of STOP.
    Answer {
        to: ReplyId,
    },
}

/// One or more released reminders, or a manual message, to one recipient at one contact point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    pub ehr: EhrId,
    /// Whom it is about.
    pub subject: PatientId,
    pub recipient: Recipient,
    pub origin: MessageOrigin,
    pub rule: Option<RuleId>,
    pub rule_version: Option<RuleVersionId>,
    pub purpose: Purpose,
    pub channel: Channel,
    pub address: Address,
    pub language: String,
    pub template: String,
    pub detail: Detail,
    pub basis: ConsentBasis,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// As sent; frozen with the first attempt.
    pub body: Option<MessageBody>,
}

/// What the person sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageBody {
    /// Email only.
    pub subject: Option<Phi<String>>,
    pub text: Phi<String>,
    /// Email only.
    pub html: Option<Phi<String>>,
}

/// One try over one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    pub message: MessageId,
    /// Counts from 1 within the message.
    pub number: u32,
    pub channel: Channel,
    /// Who carries it: `smtp`, `twilio`.
    pub provider: String,
    pub state: AttemptState,
    /// The provider's own id (`SM…`), or the Message-ID of a mail.
    pub provider_ref: Option<String>,
    /// The provider's code when it refused or failed.
    pub code: Option<String>,
    /// How the hop to the provider was protected, such as `TLSv1.3`.
    pub protection: Option<String>,
    pub opened_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
}

/// Forward only: a later receipt never takes an attempt back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    Opened,
    Unknown,
    Accepted,
    Rejected,
    Failed,
    Expired,
    Delivered,
    Read,
}

impl AttemptState {
    pub const ALL: [Self; 8] = [
        Self::Opened,
        Self::Unknown,
        Self::Accepted,
        Self::Rejected,
        Self::Failed,
        Self::Expired,
        Self::Delivered,
        Self::Read,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Opened => 0,
            Self::Unknown => 1,
            Self::Accepted => 2,
            Self::Rejected | Self::Failed | Self::Expired => 3,
            Self::Delivered => 4,
            Self::Read => 5,
        }
    }

    /// The state after `next` is reported: the further one of the two.
    pub const fn advance(self, next: Self) -> Self {
        if next.rank() > self.rank() { next } else { self }
    }
}

/// Derived from the attempts, never stored as a fact of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    Queued,
    OnItsWay,
    Delivered,
    Read,
    Failed,
    Unknown,
    Cancelled,
    Expired,
}

impl MessageState {
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::OnItsWay,
        Self::Delivered,
        Self::Read,
        Self::Failed,
        Self::Unknown,
        Self::Cancelled,
        Self::Expired,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::OnItsWay => "on_its_way",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// What the attempts say together. `closed` is set when no further attempt will be made (cancelled or expired
    /// while queued, or retries used up).
    pub fn derive(attempts: &[AttemptState], closed: Option<Self>) -> Self {
        let has = |state| attempts.contains(&state);
        if has(AttemptState::Read) {
            Self::Read
        } else if has(AttemptState::Delivered) {
            Self::Delivered
        } else if has(AttemptState::Accepted) {
            Self::OnItsWay
        } else if has(AttemptState::Unknown) {
            Self::Unknown
        } else if let Some(state) = closed {
            state
        } else {
            Self::Queued
        }
    }
}

/// What a provider answered at once; decided by the adapter that knows the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Accepted {
        provider_ref: String,
        protection: Option<String>,
    },
    /// Not taken, and it is certain that it was not taken: it may be tried again.
    Retry {
        /// At least this long from now, where the provider says so.
        after: Option<TimeDelta>,
        code: String,
    },
    /// Refused for good.
    Reject {
        code: String,
        because: Rejection,
    },
    /// The request went out and no answer came back: it may or may not have been taken (I2).
    Unknown {
        code: String,
    },
}

/// What a refusal means beyond this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Only this message.
    Message,
    /// The address does not exist or cannot take this channel.
    Address,
    /// The person opted out at the provider.
    OptedOut,
    /// Our account, credentials or configuration: everything else would fail too.
    Sender,
}

/// What a provider said later about an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub id: ReceiptId,
    pub provider: String,
    pub provider_ref: String,
    pub state: AttemptState,
    pub code: Option<String>,
    pub received_at: DateTime<Utc>,
}

/// What a patient answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub id: ReplyId,
    pub channel: Channel,
    pub provider: String,
    pub provider_ref: String,
    pub from: Address,
    pub to: String,
    pub text: Phi<String>,
    /// What the provider took it for, where it answered by itself (STOP, START, HELP): then so do we.
    pub handled: Option<ReplyMeaning>,
    pub received_at: DateTime<Utc>,
}

/// What a reply means, as far as it can be told without guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyMeaning {
    Stop,
    Start,
    Help,
    Confirm,
    /// They will come, and want to hear no more about this visit. No opt-out.
    ConfirmNoMore,
    CannotCome,
    FreeText,
}

impl ReplyMeaning {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Help => "help",
            Self::Confirm => "confirm",
            Self::ConfirmNoMore => "confirm_no_more",
            Self::CannotCome => "cannot_come",
            Self::FreeText => "free_text",
        }
    }
}

/// Whether the EHR knows what happened. The local ledger is the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteBackState {
    Pending,
    Written,
    Unsupported,
    Failed,
}

impl WriteBackState {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Written, Self::Unsupported, Self::Failed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Written => "written",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_only_move_an_attempt_forward() {
        assert_eq!(AttemptState::Delivered.advance(AttemptState::Accepted), AttemptState::Delivered);
        assert_eq!(AttemptState::Unknown.advance(AttemptState::Accepted), AttemptState::Accepted);
        assert_eq!(AttemptState::Accepted.advance(AttemptState::Failed), AttemptState::Failed);
        assert_eq!(AttemptState::Failed.advance(AttemptState::Accepted), AttemptState::Failed);
        assert_eq!(AttemptState::Rejected.advance(AttemptState::Delivered), AttemptState::Delivered);
    }

    #[test]
    fn a_message_is_as_far_as_its_furthest_attempt() {
        use AttemptState as A;
        for (attempts, closed, expected) in [
            (&[][..], None, MessageState::Queued),
            (&[A::Opened], None, MessageState::Queued),
            (&[A::Rejected, A::Accepted], None, MessageState::OnItsWay),
            (&[A::Unknown], Some(MessageState::Failed), MessageState::Unknown),
            (&[A::Rejected], Some(MessageState::Failed), MessageState::Failed),
            (&[A::Failed, A::Delivered], None, MessageState::Delivered),
            (&[], Some(MessageState::Expired), MessageState::Expired),
        ] {
            assert_eq!(MessageState::derive(attempts, closed), expected, "{attempts:?} {closed:?}");
        }
    }
}
