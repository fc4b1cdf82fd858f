//! The patients' mailbox.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::hospital::ask;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::shell::Shell;
use crate::web::words::moment;

/// Mails that are drawn at once.
const MAILS: usize = 50;

/// A mail as the simulated mailbox tells it.
#[derive(Deserialize)]
struct Mail {
    received: DateTime<Utc>,
    envelope_from: String,
    recipients: Vec<String>,
    subject: String,
    text: Option<String>,
}

struct Letter {
    from: String,
    to: String,
    subject: String,
    text: String,
    at: String,
}

#[derive(Template)]
#[template(path = "demo_mail.html")]
struct MailPage {
    shell: Shell,
    letters: Vec<Letter>,
    hidden: usize,
}

/// `GET /demo/mail`
pub async fn mail(call: Call) -> Answer {
    let mut mails: Vec<Mail> = ask(&call, "mails").await?;
    mails.reverse();
    let hidden = mails.len().saturating_sub(MAILS);
    let zone = call.state.zone();
    let letters = mails
        .into_iter()
        .take(MAILS)
        .map(|mail| Letter {
            from: mail.envelope_from,
            to: mail.recipients.join(", "),
            subject: mail.subject,
            text: mail.text.unwrap_or_else(|| "(no plain text)".to_owned()),
            at: moment(mail.received, zone),
        })
        .collect();
    page(&MailPage { shell: Shell::of(&call, "Mailbox", "/demo/mail").await?, letters, hidden })
}
