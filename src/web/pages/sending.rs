//! Whether anything goes out: the mode, the stop button, and messages held because there are unusually many.

use askama::Template;

use super::event_words::who_text;
use super::titles::Titles;
use crate::domain::{Channel, RuleId};
use crate::store::{HaltScope, SendMode, Sending};
use crate::web::answer::{Answer, page, redirect_done, what_was_done};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::{Shell, mode_words};
use crate::web::words::{Choice, channel_word, moment};

const PATH: &str = "/sending";

struct HaltRow {
    scope: String,
    words: String,
    reason: String,
    by: String,
    at: String,
}

struct ModeRow {
    mode: &'static str,
    title: &'static str,
    words: &'static str,
    current: bool,
}

#[derive(Template)]
#[template(path = "sending.html")]
struct SendingPage {
    shell: Shell,
    done: Option<&'static str>,
    modes: Vec<ModeRow>,
    changed: Option<String>,
    safe_addresses: usize,
    held: Option<String>,
    halts: Vec<HaltRow>,
    scopes: Vec<Choice>,
    hours: Vec<(String, u32)>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    shell: Shell,
    question: String,
    consequence: &'static str,
    action: String,
    back: String,
    fields: Vec<(&'static str, String)>,
    yes: &'static str,
}

/// `GET /sending`
pub async fn sending(call: Call) -> Answer {
    let view = call.state.view();
    let (now, zone) = (view.sending().await?, call.state.zone());
    let titles = Titles::of(&call).await?;
    let mut hours = view.releases_by_hour(24).await?;
    hours.sort();
    page(&SendingPage {
        shell: Shell::of(&call, "Sending", PATH).await?,
        done: done_words(&what_was_done(&call.request)),
        modes: SendMode::ALL.into_iter().map(|mode| mode_row(mode, now.mode)).collect(),
        changed: changed(&now, zone),
        safe_addresses: call.state.settings.send.safe_addresses.len(),
        held: now.held_at.map(|at| moment(at, zone)),
        halts: now
            .halts
            .iter()
            .map(|halt| HaltRow {
                scope: scope_text(&halt.scope),
                words: scope_words(&halt.scope, &titles),
                reason: halt.reason.clone(),
                by: who_text(&halt.by),
                at: moment(halt.at, zone),
            })
            .collect(),
        scopes: scope_choices(&titles),
        hours: hours.into_iter().map(|(hour, count)| (moment(hour, zone), count)).collect(),
    })
}

/// `POST /sending/mode`
pub async fn set_mode(call: Call) -> Answer {
    let mode = SendMode::parse(call.field("mode"))
        .ok_or_else(|| WebError::BadInput("There is no such mode.".to_owned(), "Choose off, test or live."))?;
    // Less may go out at once; more only after a second look.
    if mode != SendMode::Off && !is_confirmed(&call) {
        let (question, consequence) = match mode {
            SendMode::Live => (
                "Send to real patients?",
                "From then on every reminder that falls due, and is released, reaches the patient it is for. What \
                 waits because sending was off goes out too, as far as its time is not over.",
            ),
            _ => (
                "Send to the safe addresses?",
                "From then on only the addresses listed in the settings are reached; every other message waits.",
            ),
        };
        let fields = vec![("mode", mode.as_str().to_owned())];
        return confirm(&call, question.to_owned(), consequence, "/sending/mode", fields, "Yes, switch").await;
    }
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.set_send_mode(mode, &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect_done(&call, "/sending", "mode"))
}

/// `POST /sending/halt`: no second question, a stop button stops.
pub async fn halt(call: Call) -> Answer {
    let scope = read_scope(&call)?;
    let reason = call.field("reason");
    let reason = if reason.is_empty() { "no reason given" } else { reason };
    if reason.chars().count() > 200 {
        return Err(WebError::BadInput(
            "The reason is longer than 200 characters.".to_owned(),
            "Go back and shorten it; do not name patients.",
        ));
    }
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.halt(&scope, reason, &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect_done(&call, "/sending", "halt"))
}

/// `POST /sending/resume`
pub async fn resume(call: Call) -> Answer {
    let scope = read_scope(&call)?;
    if !is_confirmed(&call) {
        let titles = Titles::of(&call).await?;
        return confirm(
            &call,
            format!("Let sending go on: {}?", scope_words(&scope, &titles)),
            "What waited because of this halt goes out, as far as its time is not over and nothing else stops it.",
            "/sending/resume",
            vec![("scope", scope_text(&scope))],
            "Yes, go on",
        )
        .await;
    }
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.resume(&scope, &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect_done(&call, "/sending", "resume"))
}

/// `POST /sending/release`
pub async fn release_hold(call: Call) -> Answer {
    if !is_confirmed(&call) {
        return confirm(
            &call,
            "Let the held messages go?".to_owned(),
            "Look at the reminders first: unusually many can mean that a rule or a pull went wrong. For the next hour \
             nothing is held again.",
            "/sending/release",
            Vec::new(),
            "Yes, let them go",
        )
        .await;
    }
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.release_flood(&call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect_done(&call, "/sending", "release"))
}

pub(super) fn is_confirmed(call: &Call) -> bool {
    call.field("confirmed") == "yes"
}

pub(super) async fn confirm(
    call: &Call,
    question: String,
    consequence: &'static str,
    action: impl Into<String>,
    fields: Vec<(&'static str, String)>,
    yes: &'static str,
) -> Answer {
    let action = action.into();
    // Every such question is asked by the page one level up.
    let back = action.rsplit_once('/').map_or(PATH, |(home, _)| home).to_owned();
    let (title, current) = if back == PATH { ("Sending", PATH) } else { ("Rules", "/rules") };
    let shell = Shell::of(call, title, current).await?;
    page(&ConfirmPage { shell, question, consequence, action, back, fields, yes })
}

fn mode_row(mode: SendMode, current: SendMode) -> ModeRow {
    let (title, words) = mode_words(mode);
    ModeRow { mode: mode.as_str(), title, words, current: mode == current }
}

fn changed(sending: &Sending, zone: chrono_tz::Tz) -> Option<String> {
    let (by, at) = sending.changed_by.as_ref().zip(sending.changed_at)?;
    Some(format!("Set by {}, {}.", who_text(by), moment(at, zone)))
}

fn done_words(code: &str) -> Option<&'static str> {
    match code {
        "mode" => Some("The send mode is changed, on every replica within seconds."),
        "halt" => Some("Sending is halted, on every replica within seconds."),
        "resume" => Some("Sending goes on."),
        "release" => Some("The held messages go out."),
        _ => None,
    }
}

fn scope_text(scope: &HaltScope) -> String {
    match scope {
        HaltScope::Everything => "all".to_owned(),
        HaltScope::Rule(rule) => format!("rule:{rule}"),
        HaltScope::Channel(channel) => format!("channel:{channel}"),
    }
}

fn read_scope(call: &Call) -> Result<HaltScope, WebError> {
    let scope = match call.field("scope").split_once(':') {
        None if call.field("scope") == "all" => Some(HaltScope::Everything),
        Some(("rule", rule)) if !rule.is_empty() => Some(HaltScope::Rule(RuleId::new(rule))),
        Some(("channel", channel)) => Channel::parse(channel).map(HaltScope::Channel),
        _ => None,
    };
    scope.ok_or_else(|| WebError::BadInput("It is not said what to halt.".to_owned(), "Go back and choose."))
}

fn scope_words(scope: &HaltScope, titles: &Titles) -> String {
    match scope {
        HaltScope::Everything => "everything".to_owned(),
        HaltScope::Rule(rule) => format!("the rule {}", titles.title(rule)),
        HaltScope::Channel(channel) => format!("the channel {}", channel_word(*channel)),
    }
}

fn scope_choices(titles: &Titles) -> Vec<Choice> {
    let mut choices = vec![Choice::new("all", "Everything", true)];
    for channel in [Channel::Sms, Channel::Email, Channel::Voice] {
        choices.push(Choice::new(format!("channel:{channel}"), format!("Only: {}", channel_word(channel)), false));
    }
    let rules = titles.choices("").into_iter().filter(|choice| !choice.value.is_empty());
    choices.extend(
        rules.map(|rule| Choice::new(format!("rule:{}", rule.value), format!("Only the rule: {}", rule.label), false)),
    );
    choices
}
