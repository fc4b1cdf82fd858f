//! The mail itself: headers and a text and an HTML alternative (RFC 5322, 2045, 8058, 3834).

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::address::Envelope;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use crate::channels::error::ChannelError;
use crate::config;
use crate::domain::{EmailAddress, Phi};

/// One mail to one person.
#[derive(Debug)]
pub struct OutboundEmail<'a> {
    pub to: &'a EmailAddress,
    pub subject: &'a Phi<String>,
    pub text: &'a Phi<String>,
    pub html: Option<&'a Phi<String>>,
    /// `<id@domain>`; the same on every repeat, so that a receiver can tell a repeat.
    pub message_id: &'a str,
    /// Address for one-click unsubscribing (RFC 8058); https.
    pub list_unsubscribe: Option<&'a str>,
    /// Envelope sender, where bounces go, if it is not `smtp.from`.
    pub envelope_from: Option<&'a EmailAddress>,
    pub date: DateTime<Utc>,
}

/// Who the mail is from.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

impl Sender {
    pub fn new(settings: &config::Smtp) -> Result<Self, ChannelError> {
        let address = |setting, text: &str| {
            text.parse::<Address>().map_err(|_| ChannelError::settings(setting, "is not an email address"))
        };
        if settings.from_name.as_deref().is_some_and(breaks_a_header) {
            return Err(ChannelError::settings("smtp.from_name", "holds a control character"));
        }
        Ok(Self {
            from: Mailbox::new(settings.from_name.clone(), address("smtp.from", &settings.from)?),
            reply_to: match &settings.reply_to {
                Some(text) => Some(Mailbox::new(None, address("smtp.reply_to", text)?)),
                None => None,
            },
        })
    }
}

/// The envelope and the bytes to transfer, or a code for what is wrong with the mail.
pub(super) fn build(sender: &Sender, email: &OutboundEmail<'_>) -> Result<(Envelope, Vec<u8>), &'static str> {
    let subject = email.subject.expose();
    if breaks_a_header(subject) {
        return Err("subject_control_character");
    }
    if !is_message_id(email.message_id) {
        return Err("message_id");
    }
    let to: Address = email.to.expose().parse().map_err(|_| "recipient")?;
    let bounce = match email.envelope_from {
        Some(address) => address.expose().parse().map_err(|_| "envelope_sender")?,
        None => sender.from.email.clone(),
    };
    let mut builder = Message::builder()
        .from(sender.from.clone())
        .to(Mailbox::new(None, to.clone()))
        .date(SystemTime::from(email.date))
        .subject(subject.as_str())
        .message_id(Some(email.message_id.to_owned()))
        .header(AutoSubmitted);
    if let Some(reply_to) = &sender.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(url) = email.list_unsubscribe {
        if !url.starts_with("https://") || !url.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>') {
            return Err("list_unsubscribe");
        }
        builder = builder.header(ListUnsubscribe(url.to_owned())).header(ListUnsubscribePost);
    }
    let text = email.text.expose().clone();
    let message = match email.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html.expose().clone())),
        None => builder.singlepart(SinglePart::plain(text)),
    };
    let message = message.map_err(|_| "message")?;
    let envelope = Envelope::new(Some(bounce), vec![to]).map_err(|_| "envelope")?;
    Ok((envelope, message.formatted()))
}

/// A line break in a header starts another header, of the sender's choice.
fn breaks_a_header(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn is_message_id(id: &str) -> bool {
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    inner.is_some_and(|id| {
        id.len() <= 200
            && id.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
            && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>')
    })
}

type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Tells auto-responders to be silent, which guards against loops (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Refused> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[derive(Clone)]
struct ListUnsubscribe(String);

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Refused> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), format!("<{}>", self.0))
    }
}

#[derive(Clone)]
struct ListUnsubscribePost;

impl Header for ListUnsubscribePost {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Refused> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "List-Unsubscribe=One-Click".to_owned())
    }
}
