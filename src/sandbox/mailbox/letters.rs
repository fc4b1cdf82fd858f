//! The mails that were taken, as their readers see them.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use mail_parser::MessageParser;
use serde::Serialize;

use crate::clock::Clock;
use crate::sandbox::faults::Faults;

/// One mail in one delivery; it may have several recipients.
#[derive(Debug, Clone, Serialize)]
pub struct Mail {
    /// 1, 2, 3 … in order of arrival.
    pub number: usize,
    pub received: DateTime<Utc>,
    /// The envelope sender, empty for a bounce.
    pub envelope_from: String,
    /// The envelope recipients.
    pub recipients: Vec<String>,
    /// Without angle brackets.
    pub message_id: Option<String>,
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
    /// Name and raw value, in order.
    pub headers: Vec<(String, String)>,
    /// As it came, dots unstuffed.
    pub raw: String,
}

/// All mails, and what the server does with the next ones.
pub struct Mailbox {
    pub clock: Arc<dyn Clock>,
    pub faults: Arc<Faults>,
    /// AUTH is required when set.
    pub login: Option<(String, String)>,
    mails: Mutex<Vec<Mail>>,
}

impl Mailbox {
    pub fn new(clock: Arc<dyn Clock>, faults: Arc<Faults>, login: Option<(String, String)>) -> Self {
        Self { clock, faults, login, mails: Mutex::default() }
    }

    /// Keeps a mail and says its number.
    pub fn keep(&self, envelope_from: String, recipients: Vec<String>, raw: &[u8]) -> usize {
        let parsed = MessageParser::default().parse(raw);
        let part = |body: Option<std::borrow::Cow<'_, str>>| body.map(std::borrow::Cow::into_owned);
        let message = parsed.as_ref();
        // Only what was really sent, not the parser's rendering of the other part.
        let has = |subtype: &str| message.is_some_and(|m| m.parts.iter().any(|p| is_text(p, subtype)));
        let mut mail = Mail {
            number: 0,
            received: self.clock.now(),
            envelope_from,
            recipients,
            message_id: message.and_then(|m| m.message_id()).map(str::to_owned),
            subject: message.and_then(|m| m.subject()).unwrap_or_default().to_owned(),
            text: message.filter(|_| has("plain")).and_then(|m| part(m.body_text(0))),
            html: message.filter(|_| has("html")).and_then(|m| part(m.body_html(0))),
            headers: message
                .map(|m| m.headers_raw().map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
                .unwrap_or_default(),
            raw: String::from_utf8_lossy(raw).into_owned(),
        };
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mail.number = mails.len() + 1;
        mails.push(mail);
        mails.len()
    }

    /// Every mail, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn is_text(part: &mail_parser::MessagePart<'_>, subtype: &str) -> bool {
    use mail_parser::MimeHeaders as _;
    match part.content_type() {
        Some(kind) => kind.ctype() == "text" && kind.subtype().is_some_and(|found| found.eq_ignore_ascii_case(subtype)),
        None => subtype == "plain" && part.is_text(),
    }
}
