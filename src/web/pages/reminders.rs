//! The reminders of some days, with their states and reasons.

use askama::Template;
use chrono::{DateTime, Utc};

use super::names::{Named, Names};
use super::span::Span;
use super::titles::Titles;
use crate::domain::{Reason, Reminder, ReminderState, RuleId};
use crate::store::{DueCursor, ReminderFilter};
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Badge, Choice, address, code_words, moment, reminder_badge};

/// Rows of one page.
const ROWS: u64 = 50;

const PATH: &str = "/reminders";

struct Row {
    href: Option<String>,
    due: String,
    patient: Option<Named>,
    rule: String,
    step: String,
    badge: Badge,
    reason: &'static str,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "reminders.html")]
struct RemindersPage {
    shell: Shell,
    lead: String,
    day: String,
    lengths: Vec<Choice>,
    states: Vec<Choice>,
    rules: Vec<Choice>,
    reasons: Vec<Choice>,
    rows: Vec<Row>,
    sees_patients: bool,
    filtered: bool,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /reminders`
pub async fn reminders(call: Call) -> Answer {
    let span = Span::of(&call);
    let state = ReminderState::parse(call.query("state"));
    let reason = Reason::parse(call.query("reason"));
    let rule = Some(call.query("rule")).filter(|rule| !rule.is_empty());
    let after = read_cursor(call.query("after"));
    let filter = ReminderFilter {
        due_from: Some(span.from),
        due_until: Some(span.until),
        state,
        rule: rule.map(RuleId::new),
        reason,
        after,
        limit: ROWS + 1,
    };
    let mut found = call.state.view().list_reminders(&filter).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(ROWS as usize);

    let day = span.day.to_string();
    let page_at = |after: &str| {
        address(
            PATH,
            &[
                ("day", &day),
                ("days", span.days),
                ("state", call.query("state")),
                ("rule", call.query("rule")),
                ("reason", call.query("reason")),
                ("after", after),
            ],
        )
    };
    let next = found.last().filter(|_| more).map(|last| page_at(&cursor_text(last.plan.due_at, last.id.0)));
    let titles = Titles::of(&call).await?;
    let names = Names::of(&call, PATH, found.iter().map(|it| (it.ehr.clone(), it.patient.clone()))).await?;
    page(&RemindersPage {
        shell: Shell::of(&call, "Reminders", PATH).await?,
        lead: format!("Due: {}", span.words()),
        day: day.clone(),
        lengths: span.choices(),
        states: state_choices(state),
        rules: titles.choices(call.query("rule")),
        reasons: reason_choices(reason),
        rows: rows(&call, &found, &names, &titles)?,
        sees_patients: call.sees_patients(),
        filtered: state.is_some() || reason.is_some() || rule.is_some(),
        first: after.map(|_| page_at("")),
        next,
    })
}

fn rows(call: &Call, found: &[Reminder], names: &Names, titles: &Titles) -> Result<Vec<Row>, WebError> {
    let zone = call.state.zone();
    Ok(found
        .iter()
        .map(|it| Row {
            href: call.sees_patients().then(|| format!("{PATH}/{}", it.id)),
            due: moment(it.plan.due_at, zone),
            patient: names.show(call, &it.ehr, &it.patient),
            rule: titles.title(&it.plan.rule),
            step: code_words(it.plan.step.as_str()),
            badge: reminder_badge(it.state),
            reason: it.reason.map_or("", Reason::words),
            next: (it.state == ReminderState::Waiting).then(|| moment(it.next_at, zone)),
        })
        .collect())
}

fn state_choices(asked: Option<ReminderState>) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "Every state", asked.is_none())];
    choices.extend(
        ReminderState::ALL
            .into_iter()
            .map(|state| Choice::new(state.as_str(), reminder_badge(state).word, asked == Some(state))),
    );
    choices
}

fn reason_choices(asked: Option<Reason>) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "Every reason", asked.is_none())];
    choices
        .extend(Reason::ALL.iter().map(|reason| Choice::new(reason.as_str(), reason.words(), asked == Some(*reason))));
    choices
}

/// The cursor as it stands in an address: microseconds and id, both opaque.
fn cursor_text(due_at: DateTime<Utc>, id: uuid::Uuid) -> String {
    format!("{}-{}", due_at.timestamp_micros(), id.simple())
}

fn read_cursor(text: &str) -> Option<DueCursor> {
    let (micros, id) = text.rsplit_once('-')?;
    Some(DueCursor { due_at: DateTime::from_timestamp_micros(micros.parse().ok()?)?, id: id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_an_address_as_it_went() {
        let id = uuid::Uuid::from_u128(7);
        for at in ["2026-03-02T18:00:00.123456Z", "1960-01-01T00:00:00Z"] {
            let at: DateTime<Utc> = at.parse().unwrap();
            assert_eq!(read_cursor(&cursor_text(at, id)), Some(DueCursor { due_at: at, id }));
        }
        assert_eq!(read_cursor("nonsense"), None);
    }
}
