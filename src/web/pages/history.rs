//! The history for a compliance officer: whose data, when, what, and every other field of a question. The form is sent
//! by POST, so that no name stands in an address, and each search is itself an event.

use askama::Template;
use chrono::Days;
use serde_json::json;

use super::event_words::{EventLine, what};
use super::find::{Found, find};
use super::titles::Titles;
use crate::domain::{Channel, EventKind, Purpose, Reason};
use crate::history::question::{Question, about_patient, states};
use crate::store::{EventCursor, EventFilter, SavedQuestion};
use crate::web::answer::{Answer, page, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Choice, channel_word, code_words};

const ROWS: u64 = 50;

/// What the search found, or why it found nothing.
enum Outcome {
    NotAsked,
    Nobody,
    /// A field that makes no sense.
    Unclear(String),
    /// More than one patient is meant: choose.
    Choose(Vec<(String, String)>),
    Events(Vec<EventLine>),
}

/// The choices of the form.
struct Choices {
    kinds: Vec<Choice>,
    channels: Vec<Choice>,
    states: Vec<Choice>,
    reasons: Vec<Choice>,
    purposes: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    shell: Shell,
    who: String,
    question: Question,
    choices: Choices,
    /// Whether a field beyond the first row is set.
    opened: bool,
    saved: Vec<SavedQuestion>,
    outcome: Outcome,
    about: Option<String>,
    /// Of the chosen patient, for further pages and exports.
    patient: String,
    before: Option<String>,
}

impl HistoryPage {
    async fn of(call: &Call, who: String, question: Question, outcome: Outcome) -> Result<Self, WebError> {
        let first_row = Question {
            from: question.from.clone(),
            to: question.to.clone(),
            kind: question.kind.clone(),
            ..Question::default()
        };
        Ok(Self {
            shell: Shell::of(call, "History", "/history").await?,
            who,
            choices: Choices::of(&question),
            opened: first_row != question,
            saved: call.state.view().saved_questions().await?,
            question,
            outcome,
            about: None,
            patient: String::new(),
            before: None,
        })
    }
}

/// `GET /history`; `?saved=ID` fills in a saved question.
pub async fn history(call: Call) -> Answer {
    let today = call.state.now().with_timezone(&call.state.zone()).date_naive();
    let from = today.checked_sub_days(Days::new(7)).unwrap_or(today);
    let mut question = Question { from: from.to_string(), to: today.to_string(), ..Question::default() };
    if let Ok(id) = call.query("saved").parse::<uuid::Uuid>() {
        let saved = call.state.view().saved_questions().await?.into_iter().find(|it| it.id == id);
        let kept = saved.ok_or(WebError::NotFound)?.question;
        question = serde_json::from_value(kept).unwrap_or_default();
    }
    page(&HistoryPage::of(&call, String::new(), question, Outcome::NotAsked).await?)
}

/// `POST /history`
pub async fn search(call: Call) -> Answer {
    let (who, question) = (call.field("who").to_owned(), question_of(&call));
    let mut filter = match filter_of(&call, &question) {
        Ok(filter) => filter,
        Err(unclear) => return page(&HistoryPage::of(&call, who, question, Outcome::Unclear(unclear)).await?),
    };
    filter.before = call.field("before").parse().ok();
    filter.limit = ROWS + 1;
    let found = if who.is_empty() { Vec::new() } else { find(&call, &who).await? };
    let patient = chosen(&call, &found);
    if let Some(it) = patient {
        about_patient(&mut filter, &it.key.0, &it.key.1);
    }
    let (outcome, before) = if who.is_empty() || patient.is_some() {
        record(&call, &filter, &question).await?;
        events(&call, filter).await?
    } else if found.is_empty() {
        record(&call, &filter, &question).await?;
        (Outcome::Nobody, None)
    } else {
        let choices = found.iter().map(|it| (key_text(it), format!("{}, born {}, {}", it.name, it.born, it.mrn)));
        (Outcome::Choose(choices.collect()), None)
    };
    let mut shown = HistoryPage::of(&call, who, question, outcome).await?;
    shown.about = patient.map(|it| {
        let number = if it.mrn.is_empty() { "none" } else { &it.mrn };
        format!("{}, born {}, record number {number}", it.name, it.born)
    });
    shown.patient = patient.map(key_text).unwrap_or_default();
    shown.before = before.map(|it| it.to_string());
    page(&shown)
}

/// `POST /history/questions`: keeps a question under a name, for everybody of the role.
pub async fn save(call: Call) -> Answer {
    let (name, question) = (call.field("name").trim(), question_of(&call));
    if name.is_empty() || name.len() > 80 {
        return Err(WebError::BadInput(
            "A question is kept under a name of up to 80 letters.".to_owned(),
            "Go back and write one.",
        ));
    }
    filter_of(&call, &question).map_err(|unclear| WebError::BadInput(unclear, "Go back and correct the field."))?;
    let login = call.staff()?.login.clone();
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    let id = tx.save_question(name, &login, &json!(question)).await?;
    tx.commit().await?;
    Ok(redirect(&format!("/history?saved={id}")))
}

/// `POST /history/questions/{id}/remove`
pub async fn remove(call: Call) -> Answer {
    let id = call.path("id").parse().map_err(|_| WebError::NotFound)?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    if !tx.remove_question(id).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(redirect("/history"))
}

async fn events(call: &Call, filter: EventFilter) -> Result<(Outcome, Option<EventCursor>), WebError> {
    let mut events = call.state.view().events(&filter).await?;
    let more = events.len() as u64 > ROWS;
    events.truncate(ROWS as usize);
    let before = events.last().filter(|_| more).map(EventCursor::of);
    let titles = Titles::of(call).await?;
    let zone = call.state.zone();
    let lines = events.into_iter().map(|event| EventLine::of(event, &titles, zone)).collect();
    Ok((Outcome::Events(lines), before))
}

/// The search as an event, before anything is shown. What was typed as a name is not kept, whom it found is.
async fn record(call: &Call, filter: &EventFilter, question: &Question) -> Result<(), WebError> {
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    let mut searched = tx.event(call.actor()?, EventKind::HistorySearched).with_detail(json!({
        "asked": question.told(), "further_page": filter.before.is_some(),
    }));
    if let (Some(ehr), Some(patient)) = (&filter.ehr, &filter.patient) {
        searched = searched.about_patient(ehr, patient);
    }
    tx.append(searched).await?;
    tx.commit().await?;
    Ok(())
}

/// The patient that the form names among those found; one that was found alone is meant.
pub(super) fn chosen<'a>(call: &Call, found: &'a [Found]) -> Option<&'a Found> {
    let named = found.iter().find(|it| key_text(it) == call.field("patient"));
    named.or(found.first().filter(|_| found.len() == 1))
}

fn key_text(it: &Found) -> String {
    format!("{}/{}", it.key.0, it.key.1)
}

/// What the form asks.
pub(super) fn question_of(call: &Call) -> Question {
    let field = |name: &str| call.field(name).to_owned();
    Question {
        address: field("address"),
        from: field("from"),
        to: field("to"),
        kind: field("kind"),
        rule: field("rule"),
        version: field("version"),
        channel: field("channel"),
        state: field("state"),
        reason: field("reason"),
        staff: field("staff"),
        purpose: field("purpose"),
        protection: field("protection"),
        ehr: field("ehr"),
        reference: field("reference"),
    }
}

/// The conditions, or in words which field makes no sense.
pub(super) fn filter_of(call: &Call, question: &Question) -> Result<EventFilter, String> {
    let region = &call.state.settings.organisation.region;
    question.filter(call.state.zone(), region).map_err(|unclear| unclear.to_string())
}

impl Choices {
    fn of(question: &Question) -> Self {
        let list = |asked: &str, known: Vec<(&'static str, String)>| {
            let mut choices = vec![Choice::new("", "Any", asked.is_empty())];
            choices.extend(known.into_iter().map(|(code, words)| Choice::new(code, words, code == asked)));
            choices
        };
        let mut kinds: Vec<(&str, String)> =
            EventKind::ALL.iter().map(|kind| (kind.as_str(), what(*kind).to_owned())).collect();
        kinds.sort_by(|one, two| one.1.cmp(&two.1));
        let channels = Channel::ALL.map(|it| (it.as_str(), channel_word(it).to_owned()));
        let states = states().into_iter().map(|(code, _)| (code, code_words(code)));
        let reasons = Reason::ALL.iter().map(|it| (it.as_str(), it.words().to_owned()));
        let purposes = [(Purpose::Treatment, "treatment"), (Purpose::Operations, "operations")];
        Self {
            kinds: list(&question.kind, kinds),
            channels: list(&question.channel, channels.to_vec()),
            states: list(&question.state, states.collect()),
            reasons: list(&question.reason, reasons.collect()),
            purposes: list(&question.purpose, purposes.map(|(_, code)| (code, code_words(code))).to_vec()),
        }
    }
}
