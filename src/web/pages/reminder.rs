//! Why a reminder went out, or did not: each decision with every check and the facts it rested on.

use askama::Template;
use chrono_tz::Tz;

use super::names::{Named, Names};
use super::titles::Titles;
use crate::domain::{Check, Decision, Fact, Reason, ReminderId, ReminderState, Verdict};
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{
    Badge, channel_word, check_badge, code_words, language_words, moment, moment_or_text, reminder_badge,
};

struct CheckRow {
    name: String,
    badge: Badge,
    words: String,
}

struct FactRow {
    name: String,
    value: String,
    source: String,
}

struct DecisionBlock {
    at: String,
    verdict: String,
    tone: &'static str,
    checks: Vec<CheckRow>,
    facts: Vec<FactRow>,
}

#[derive(Template)]
#[template(path = "reminder.html")]
struct ReminderPage {
    shell: Shell,
    patient: Option<Named>,
    badge: Badge,
    reason: &'static str,
    rule: String,
    rule_version: String,
    step: String,
    /// The type of the resource, and the resource as the EHR names it.
    about: &'static str,
    about_key: String,
    anchor: String,
    due: String,
    expires: String,
    next: Option<String>,
    open: bool,
    message: Option<String>,
    decisions: Vec<DecisionBlock>,
}

/// `GET /reminders/{id}`
pub async fn reminder(call: Call) -> Answer {
    let id: ReminderId = call.path("id").parse().map_err(|_| WebError::NotFound)?;
    let view = call.state.view();
    let it = view.reminder(id).await?.ok_or(WebError::NotFound)?;
    let names = Names::of(&call, "/reminders/{id}", [(it.ehr.clone(), it.patient.clone())]).await?;
    let mut decisions = view.decisions_on(id).await?;
    decisions.reverse();
    let zone = call.state.zone();
    let titles = Titles::of(&call).await?;
    page(&ReminderPage {
        shell: Shell::of(&call, "Reminder", "/reminders").await?,
        patient: names.show(&call, &it.ehr, &it.patient),
        badge: reminder_badge(it.state),
        reason: it.reason.map_or("", Reason::words),
        rule: titles.title(&it.plan.rule),
        rule_version: it.plan.rule_version.as_str().chars().take(12).collect(),
        step: code_words(it.plan.step.as_str()),
        about: it.plan.occasion.resource.resource_type.as_str(),
        about_key: it.plan.occasion.resource.to_string(),
        anchor: moment(it.plan.occasion.anchor, zone),
        due: moment(it.plan.due_at, zone),
        expires: moment(it.plan.expires_at, zone),
        next: (it.state == ReminderState::Waiting).then(|| moment(it.next_at, zone)),
        open: it.state.is_open(),
        message: view.message_of_reminder(id).await?.map(|message| format!("/messages/{message}")),
        decisions: decisions.into_iter().map(|decision| block(decision, zone)).collect(),
    })
}

fn block(decision: Decision, zone: Tz) -> DecisionBlock {
    let (verdict, tone) = verdict_words(&decision.verdict, zone);
    DecisionBlock {
        at: moment(decision.at, zone),
        verdict,
        tone,
        checks: decision.checks.into_iter().map(check_row).collect(),
        facts: decision.facts.into_iter().map(|fact| fact_row(fact, zone)).collect(),
    }
}

fn check_row(check: Check) -> CheckRow {
    CheckRow { name: code_words(&check.name), badge: check_badge(check.result), words: check.words }
}

fn fact_row(fact: Fact, zone: Tz) -> FactRow {
    let source = fact.source.map_or_else(
        || "the gateway's own records".to_owned(),
        |source| {
            let version = source.version_id.map(|version| format!(", version {version}")).unwrap_or_default();
            let updated = source.last_updated.map(|at| format!(", of {}", moment(at, zone))).unwrap_or_default();
            format!("{}{version}{updated}", source.key)
        },
    );
    FactRow { name: fact.name, value: moment_or_text(&fact.value, zone), source }
}

fn verdict_words(verdict: &Verdict, zone: Tz) -> (String, &'static str) {
    match verdict {
        Verdict::Release(release) => (
            format!(
                "Released: {}, in {}, wording “{}”",
                channel_word(release.channel),
                language_words(&release.language),
                code_words(&release.template)
            ),
            "arrived",
        ),
        Verdict::Withhold(reason) => (format!("Withheld: {}", reason.words()), "needs"),
        Verdict::Wait { until, reason } => {
            (format!("Waits until {}: {}", moment(*until, zone), reason.words()), "planned")
        }
        Verdict::Expire(reason) => (format!("Expired: {}", reason.words()), "needs"),
        Verdict::Cancel(reason) => (format!("Cancelled: {}", reason.words()), "quiet"),
    }
}
