//! What patients answered.

use askama::Template;

use super::names::{Named, Names};
use super::span::Span;
use crate::store::ReplyFilter;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::shell::Shell;
use crate::web::words::{Choice, address, meaning_word, moment};

const ROWS: u64 = 50;

const PATH: &str = "/replies";

struct Row {
    at: String,
    patient: Option<Named>,
    from: String,
    meaning: &'static str,
    text: String,
    message: Option<String>,
}

#[derive(Template)]
#[template(path = "replies.html")]
struct RepliesPage {
    shell: Shell,
    lead: String,
    day: String,
    lengths: Vec<Choice>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /replies`
pub async fn replies(call: Call) -> Answer {
    let span = Span::of(&call);
    let before = call.query("before").parse().ok();
    let (from, until) = (Some(span.from), Some(span.until));
    let filter = ReplyFilter { from, until, before, limit: ROWS + 1, ..ReplyFilter::default() };
    let mut found = call.state.view().list_replies(&filter).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(ROWS as usize);
    let names = Names::of(&call, PATH, found.iter().filter_map(|line| line.about.clone())).await?;
    let day = span.day.to_string();
    let page_at = |before: &str| address(PATH, &[("day", &day), ("days", span.days), ("before", before)]);
    let next = found.last().filter(|_| more).map(|last| page_at(&last.reply.id.to_string()));
    let zone = call.state.zone();
    let rows = found
        .into_iter()
        .map(|line| Row {
            at: moment(line.reply.received_at, zone),
            patient: line.about.as_ref().and_then(|(ehr, patient)| names.show(&call, ehr, patient)),
            from: line.reply.from.expose().to_owned(),
            meaning: meaning_word(line.meaning.as_deref()),
            text: line.reply.text.into_inner(),
            message: line.message.map(|id| format!("/messages/{id}")),
        })
        .collect();
    page(&RepliesPage {
        shell: Shell::of(&call, "Replies", PATH).await?,
        lead: format!("Received: {}", span.words()),
        lengths: span.choices(),
        rows,
        first: before.map(|_| page_at("")),
        next,
        day: day.clone(),
    })
}
