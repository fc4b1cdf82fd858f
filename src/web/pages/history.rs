//! The history for a compliance officer: whose data, when, what. The form is sent by POST, so that no name stands in
//! an address, and each search is itself an event.

use askama::Template;
use chrono::{Days, NaiveDate};
use serde_json::json;

use super::event_words::{EventLine, what};
use super::find::{Found, find};
use super::titles::Titles;
use crate::domain::{EventId, EventKind};
use crate::store::EventFilter;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Choice, date_begins};

const ROWS: u64 = 50;

/// What the search found, or why it found nothing.
enum Outcome {
    NotAsked,
    Nobody,
    /// More than one patient is meant: choose.
    Choose(Vec<(String, String)>),
    Events(Vec<EventLine>),
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    shell: Shell,
    who: String,
    from: String,
    to: String,
    kinds: Vec<Choice>,
    kind: String,
    outcome: Outcome,
    about: Option<String>,
    before: Option<String>,
}

/// `GET /history`
pub async fn history(call: Call) -> Answer {
    let today = call.state.now().with_timezone(&call.state.zone()).date_naive();
    let from = today.checked_sub_days(Days::new(7)).unwrap_or(today);
    page(&HistoryPage {
        shell: Shell::of(&call, "History", "/history").await?,
        who: String::new(),
        from: from.to_string(),
        to: today.to_string(),
        kinds: kind_choices(""),
        kind: String::new(),
        outcome: Outcome::NotAsked,
        about: None,
        before: None,
    })
}

/// `POST /history`
pub async fn search(call: Call) -> Answer {
    let (who, asked) = (call.field("who").to_owned(), call.field("kind").to_owned());
    let zone = call.state.zone();
    let day = |name: &str| -> Result<Option<NaiveDate>, WebError> {
        let text = call.field(name);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            WebError::BadInput("A day of the search is not a date.".to_owned(), "Go back and write it as 2026-03-02.")
        })
    };
    let (from, to) = (day("from")?, day("to")?);
    let mut filter = EventFilter {
        kinds: EventKind::parse(&asked).into_iter().collect(),
        from: from.map(|day| date_begins(day, zone)),
        until: to.and_then(|day| day.succ_opt()).map(|day| date_begins(day, zone)),
        before: call.field("before").parse().ok(),
        limit: ROWS + 1,
        ..EventFilter::default()
    };
    let found = if who.is_empty() { Vec::new() } else { find(&call, &who).await? };
    let chosen = found.iter().find(|it| key_text(it) == call.field("patient"));
    let patient = chosen.or(found.first().filter(|_| found.len() == 1));
    if let Some(it) = patient {
        (filter.ehr, filter.patient) = (Some(it.key.0.clone()), Some(it.key.1.clone()));
    }
    let (outcome, before) = if who.is_empty() || patient.is_some() {
        record(&call, &filter).await?;
        events(&call, filter).await?
    } else if found.is_empty() {
        record(&call, &filter).await?;
        (Outcome::Nobody, None)
    } else {
        let choices = found.iter().map(|it| (key_text(it), format!("{}, born {}, {}", it.name, it.born, it.mrn)));
        (Outcome::Choose(choices.collect()), None)
    };
    page(&HistoryPage {
        shell: Shell::of(&call, "History", "/history").await?,
        from: from.map(|day| day.to_string()).unwrap_or_default(),
        to: to.map(|day| day.to_string()).unwrap_or_default(),
        kinds: kind_choices(&asked),
        kind: asked,
        about: patient.map(|it| {
            let number = if it.mrn.is_empty() { "none" } else { &it.mrn };
            format!("{}, born {}, record number {number}", it.name, it.born)
        }),
        who,
        outcome,
        before: before.map(|id| id.to_string()),
    })
}

async fn events(call: &Call, filter: EventFilter) -> Result<(Outcome, Option<EventId>), WebError> {
    let mut events = call.state.view().events(&filter).await?;
    let more = events.len() as u64 > ROWS;
    events.truncate(ROWS as usize);
    let before = events.last().filter(|_| more).map(|event| event.id);
    let titles = Titles::of(call).await?;
    let zone = call.state.zone();
    let lines = events.into_iter().map(|event| EventLine::of(event, &titles, zone)).collect();
    Ok((Outcome::Events(lines), before))
}

/// The search as an event, before anything is shown. What was typed is not kept, whom it found is.
async fn record(call: &Call, filter: &EventFilter) -> Result<(), WebError> {
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    let mut searched = tx.event(call.actor()?, EventKind::HistorySearched).with_detail(json!({
        "kind": filter.kinds.first(), "from": filter.from, "until": filter.until, "further_page": filter.before.is_some(),
    }));
    if let (Some(ehr), Some(patient)) = (&filter.ehr, &filter.patient) {
        searched = searched.about_patient(ehr, patient);
    }
    tx.append(searched).await?;
    tx.commit().await?;
    Ok(())
}

fn key_text(it: &Found) -> String {
    format!("{}/{}", it.key.0, it.key.1)
}

fn kind_choices(asked: &str) -> Vec<Choice> {
    let mut kinds: Vec<(&str, &str)> = EventKind::ALL.iter().map(|kind| (kind.as_str(), what(*kind))).collect();
    kinds.sort_by_key(|(_, words)| *words);
    let mut choices = vec![Choice::new("", "Everything", asked.is_empty())];
    choices.extend(kinds.into_iter().map(|(code, words)| Choice::new(code, words, code == asked)));
    choices
}
