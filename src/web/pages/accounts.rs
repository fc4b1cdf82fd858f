//! Was everything due accounted for? Each reconciled day, and what could not be explained of it.

use askama::Template;
use chrono::NaiveDate;
use serde_json::Value;

use super::event_words::who_text;
use super::names::patient_address;
use super::titles::Titles;
use crate::domain::{EhrId, PatientId, Reason, ReminderState, RuleId};
use crate::store::Reconciliation;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Badge, code_words, moment, reminder_badge};

/// Days that the list shows.
const DAYS: u64 = 60;

const PATH: &str = "/accounts";

struct DayRow {
    href: String,
    day: String,
    ehr: String,
    badge: Badge,
    unexplained: u32,
    stuck: u32,
    made: String,
}

struct Count {
    label: String,
    count: String,
    note: &'static str,
}

struct Named {
    what: String,
    words: String,
    patient: Option<String>,
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    shell: Shell,
    rows: Vec<DayRow>,
}

#[derive(Template)]
#[template(path = "accounts_day.html")]
struct DayPage {
    shell: Shell,
    badge: Badge,
    made: String,
    problem: Option<String>,
    how: String,
    at_ehr: Vec<Count>,
    recomputed: Vec<Count>,
    due: Vec<Count>,
    unexplained: Vec<Named>,
    unexplained_count: u32,
    stuck: Vec<Named>,
}

/// `GET /accounts`
pub async fn accounts(call: Call) -> Answer {
    let zone = call.state.zone();
    let days = call.state.view().reconciliations(DAYS).await?;
    page(&AccountsPage {
        shell: Shell::of(&call, "Accounts", PATH).await?,
        rows: days
            .iter()
            .map(|it| DayRow {
                href: format!("{PATH}/{}/{}", it.ehr, it.day),
                day: it.day.format("%a %-d %b %Y").to_string(),
                ehr: it.ehr.to_string(),
                badge: badge(it),
                unexplained: it.unexplained,
                stuck: it.stuck,
                made: format!("{}, {}", who_text(&it.made_by), moment(it.made_at, zone)),
            })
            .collect(),
    })
}

/// `GET /accounts/{ehr}/{day}`
pub async fn day(call: Call) -> Answer {
    let day: NaiveDate = call.path("day").parse().map_err(|_| WebError::NotFound)?;
    let ehr = EhrId::new(call.path("ehr"));
    let found = call.state.view().reconciliation(&ehr, day).await?.ok_or(WebError::NotFound)?;
    let titles = Titles::of(&call).await?;
    let report = &found.report;
    let title = format!("Accounts of {} at {ehr}", day.format("%a %-d %b %Y"));
    page(&DayPage {
        shell: Shell::of(&call, title, PATH).await?,
        badge: badge(&found),
        made: format!("Made by {}, {}.", who_text(&found.made_by), moment(found.made_at, call.state.zone())),
        problem: report["at_ehr"]["problem"].as_str().map(str::to_owned),
        how: report["at_ehr"]["how"].as_str().unwrap_or_default().to_owned(),
        at_ehr: at_ehr(&report["at_ehr"]),
        recomputed: recomputed(&report["recomputed"], &titles),
        due: by_state(&report["due"]),
        unexplained: list(&report["unexplained"]).map(|it| unexplained(it, &ehr, &titles, &call)).collect(),
        unexplained_count: found.unexplained,
        stuck: list(&report["stuck"])
            .map(|it| Named {
                what: format!("{} {}", code_words(text(it, "what")), text(it, "id")),
                words: format!("{}, since {}", text(it, "words"), text(it, "since")),
                patient: None,
            })
            .collect(),
    })
}

fn badge(it: &Reconciliation) -> Badge {
    let (tone, icon, word) = match it.outcome.as_str() {
        "explained" => ("arrived", "check", "Adds up"),
        "incomplete" => ("planned", "question", "Not all could be asked"),
        _ => ("needs", "warn", "Needs a person"),
    };
    Badge { tone, icon, word }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn at_ehr(it: &Value) -> Vec<Count> {
    let count = |name: &str| it[name].as_u64().map_or_else(|| "not known".to_owned(), |count| count.to_string());
    let row = |label: &str, name: &str, note| Count { label: label.to_owned(), count: count(name), note };
    vec![
        row("Appointments at the EHR", "at_ehr", "Counted anew there."),
        row("of these, mirrored", "mirrored", ""),
        row("in quarantine", "quarantined", ""),
        row("newer than the last pull", "newer", "The next pull brings them."),
        row(
            "out of the roster",
            "out_of_roster",
            "Where the EHR lists only whom the roster names, nobody can count these.",
        ),
        row("Mirrored, and gone from this day since", "gone_since", "Each was read by its id."),
    ]
}

fn recomputed(it: &Value, titles: &Titles) -> Vec<Count> {
    let count = |name: &str| it[name].as_u64().unwrap_or_default().to_string();
    let mut rows = vec![
        Count { label: "Patients looked at".to_owned(), count: count("patients"), note: "" },
        Count {
            label: "of these, being planned just now".to_owned(),
            count: count("being_planned"),
            note: "Judged next time.",
        },
        Count { label: "Appointments of the day".to_owned(), count: count("appointments"), note: "" },
    ];
    for (name, is_reason) in [("reminders", false), ("not_applicable", true)] {
        for (rule, counts) in it[name].as_object().into_iter().flatten() {
            for (code, count) in counts.as_object().into_iter().flatten() {
                let words = if is_reason { reason_words(code) } else { state_word(code) };
                rows.push(Count {
                    label: format!("{}: {words}", titles.title(&RuleId::new(rule.as_str()))),
                    count: count.to_string(),
                    note: "",
                });
            }
        }
    }
    rows
}

fn by_state(it: &Value) -> Vec<Count> {
    let mut rows = Vec::new();
    for (state, reasons) in it.as_object().into_iter().flatten() {
        for (reason, count) in reasons.as_object().into_iter().flatten() {
            let why = if reason.is_empty() { String::new() } else { format!(": {}", reason_words(reason)) };
            rows.push(Count { label: format!("{}{why}", state_word(state)), count: count.to_string(), note: "" });
        }
    }
    rows
}

fn state_word(code: &str) -> String {
    ReminderState::parse(code).map_or_else(|| code_words(code), |state| reminder_badge(state).word.to_owned())
}

fn reason_words(code: &str) -> String {
    Reason::parse(code).map_or_else(|| code_words(code), |reason| reason.words().to_owned())
}

fn unexplained(it: &Value, ehr: &EhrId, titles: &Titles, call: &Call) -> Named {
    let rule = it["rule"].as_str().map(|rule| titles.title(&RuleId::new(rule)));
    let parts = [rule.as_deref(), it["step"].as_str(), it["resource"].as_str()];
    let due = it["due_at"].as_str().and_then(|text| text.parse().ok()).map(|at| moment(at, call.state.zone()));
    Named {
        what: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
        words: due.map_or_else(|| text(it, "words").to_owned(), |due| format!("{}; due {due}", text(it, "words"))),
        patient: it["patient"].as_str().map(|patient| patient_address(ehr, &PatientId::new(patient))),
    }
}
