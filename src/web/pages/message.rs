//! One message as the patient saw it, what became of it, and whether the EHR knows.

use askama::Template;

use super::names::{Named, Names};
use super::titles::Titles;
use crate::domain::{Attempt, Channel, MessageId, MessageOrigin, Reason};
use crate::store::{ReplyFilter, ReplyLine, WriteBack, WriteBackSubject};
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{
    Badge, attempt_badge, carrier_words, channel_word, code_words, language_words, meaning_word, message_badge, moment,
    protection_words, write_back_badge,
};

struct AttemptRow {
    number: u32,
    provider: String,
    opened: String,
    settled: String,
    badge: Badge,
    code: String,
    reference: String,
    protection: String,
}

struct ReplyBubble {
    text: String,
    at: String,
    meaning: &'static str,
}

struct Ledger {
    badge: Badge,
    remote: String,
    error: String,
    tries: u32,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    shell: Shell,
    patient: Option<Named>,
    badge: Badge,
    reason: &'static str,
    channel: &'static str,
    is_mail: bool,
    to: String,
    subject: String,
    /// `None` while nothing was rendered yet.
    text: Option<String>,
    at: String,
    expires: String,
    rule: String,
    template: String,
    language: String,
    basis: String,
    reminders: Vec<String>,
    attempts: Vec<AttemptRow>,
    replies: Vec<ReplyBubble>,
    ledger: Option<Ledger>,
    from_name: String,
}

/// `GET /messages/{id}`
pub async fn message(call: Call) -> Answer {
    let id: MessageId = call.path("id").parse().map_err(|_| WebError::NotFound)?;
    let view = call.state.view();
    let it = view.deliveries(&[id]).await?.pop().ok_or(WebError::NotFound)?;
    let names = Names::of(&call, "/messages/{id}", [(it.message.ehr.clone(), it.message.subject.clone())]).await?;
    let filter = ReplyFilter { message: Some(id), limit: 50, ..ReplyFilter::default() };
    let mut replies = view.list_replies(&filter).await?;
    replies.reverse();
    let ledger = view.write_back_of(WriteBackSubject::Message(id)).await?;
    let titles = Titles::of(&call).await?;
    let zone = call.state.zone();
    let message = it.message;
    let body = message.body;
    page(&MessagePage {
        shell: Shell::of(&call, "Message", "/messages").await?,
        patient: names.show(&call, &message.ehr, &message.subject),
        badge: message_badge(it.state),
        reason: it.reason.map_or("", Reason::words),
        channel: channel_word(message.channel),
        is_mail: message.channel == Channel::Email,
        to: message.address.expose().to_owned(),
        subject: body.as_ref().and_then(|body| body.subject.clone()).map(|it| it.into_inner()).unwrap_or_default(),
        text: body.map(|body| body.text.into_inner()),
        at: moment(message.created_at, zone),
        expires: moment(message.expires_at, zone),
        rule: message.rule.as_ref().map_or_else(|| "None".to_owned(), |rule| titles.title(rule)),
        template: code_words(&message.template),
        language: language_words(&message.language),
        basis: code_words(&code(&message.basis)),
        reminders: match &message.origin {
            MessageOrigin::Reminders(ids) => ids.iter().map(|id| format!("/reminders/{id}")).collect(),
            _ => Vec::new(),
        },
        attempts: it.attempts.into_iter().map(|attempt| attempt_row(&call, attempt)).collect(),
        replies: replies.into_iter().map(|line| bubble(&call, line)).collect(),
        ledger: ledger.map(ledger_of),
        from_name: call.state.settings.organisation.name.clone(),
    })
}

fn attempt_row(call: &Call, attempt: Attempt) -> AttemptRow {
    let zone = call.state.zone();
    AttemptRow {
        number: attempt.number,
        provider: carrier_words(&attempt.provider),
        opened: moment(attempt.opened_at, zone),
        settled: attempt.settled_at.map(|at| moment(at, zone)).unwrap_or_default(),
        badge: attempt_badge(attempt.state),
        code: attempt.code.unwrap_or_default(),
        reference: attempt.provider_ref.unwrap_or_default(),
        protection: protection_words(&attempt.protection.unwrap_or_default()),
    }
}

fn bubble(call: &Call, line: ReplyLine) -> ReplyBubble {
    ReplyBubble {
        text: line.reply.text.into_inner(),
        at: moment(line.reply.received_at, call.state.zone()),
        meaning: meaning_word(line.meaning.as_deref()),
    }
}

fn ledger_of(line: WriteBack) -> Ledger {
    Ledger {
        badge: write_back_badge(line.state),
        remote: line.remote_type.zip(line.remote_id).map(|(kind, id)| format!("{kind}/{id}")).unwrap_or_default(),
        error: line.last_error.unwrap_or_default(),
        tries: line.tries,
    }
}

/// The stable code of a unit variant.
fn code(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
