//! What the provider tells us later: reports on a text, and texts from patients. Unknown fields are ignored.

use crate::channels::error::ChannelError;
use crate::domain::{Address, AttemptState, Phi, PhoneNumber, ReplyMeaning};

/// A report on a text that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    pub provider_ref: String,
    pub state: AttemptState,
    pub code: Option<String>,
    /// The provider's own word; (`provider_ref`, `status`) is the key under which a repeated report is known again.
    pub status: String,
}

/// A text that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundSms {
    pub provider_ref: String,
    pub from: Address,
    pub to: String,
    pub text: Phi<String>,
    /// What the provider itself read in it and has already acted on and answered (Advanced Opt-Out).
    pub handled: Option<ReplyMeaning>,
    /// Pictures and the like, which are not fetched.
    pub media: u32,
}

/// The state that a message status of the provider stands for. `sent` means that the carrier took it; many carriers
/// never say more.
pub(super) fn state(status: &str, code: Option<u32>) -> Option<AttemptState> {
    Some(match status {
        "accepted" | "scheduled" | "queued" | "sending" | "sent" | "partially_delivered" => AttemptState::Accepted,
        "delivered" => AttemptState::Delivered,
        "read" => AttemptState::Read,
        // Validity period over.
        "undelivered" | "failed" if code == Some(30036) => AttemptState::Expired,
        "undelivered" | "failed" | "canceled" => AttemptState::Failed,
        _ => return None,
    })
}

pub(super) fn status_report(form: &[(String, String)]) -> Result<StatusReport, ChannelError> {
    let status = field(form, "MessageStatus").or_else(|_| field(form, "SmsStatus"))?;
    let code = field(form, "ErrorCode").ok().filter(|code| *code != "0");
    let number = code.and_then(|code| code.parse().ok());
    Ok(StatusReport {
        provider_ref: sid(form)?,
        state: state(status, number).ok_or(ChannelError::Unknown("MessageStatus"))?,
        // Only a number is kept: the field is the provider's, and stands in the clear.
        code: number.map(|number: u32| number.to_string()),
        status: status.to_owned(),
    })
}

pub(super) fn inbound(form: &[(String, String)], region: &str) -> Result<InboundSms, ChannelError> {
    let from = PhoneNumber::parse(field(form, "From")?, region).map_err(|_| ChannelError::Unknown("From"))?;
    Ok(InboundSms {
        provider_ref: sid(form)?,
        from: Address::Phone(from),
        to: field(form, "To")?.to_owned(),
        text: Phi::new(find(form, "Body").unwrap_or_default().to_owned()),
        handled: match find(form, "OptOutType") {
            Some("STOP") => Some(ReplyMeaning::Stop),
            Some("START") => Some(ReplyMeaning::Start),
            Some("HELP") => Some(ReplyMeaning::Help),
            _ => None,
        },
        media: find(form, "NumMedia").and_then(|count| count.parse().ok()).unwrap_or(0),
    })
}

/// `SM…` or `MM…` and 32 hexadecimal digits at Twilio; compatible providers are freer.
fn sid(form: &[(String, String)]) -> Result<String, ChannelError> {
    let sid = field(form, "MessageSid").or_else(|_| field(form, "SmsSid"))?;
    let plain = sid.len() <= 64 && sid.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    plain.then(|| sid.to_owned()).ok_or(ChannelError::Unknown("MessageSid"))
}

pub(super) fn find<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn field<'a>(form: &'a [(String, String)], name: &'static str) -> Result<&'a str, ChannelError> {
    find(form, name).filter(|value| !value.is_empty()).ok_or(ChannelError::Missing(name))
}
