//! The messages of some days.

use askama::Template;

use super::names::{Named, Names};
use super::span::Span;
use super::titles::Titles;
use crate::domain::{Channel, MessageState, Reason, RuleId};
use crate::store::MessageFilter;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::shell::Shell;
use crate::web::words::{Badge, Choice, address, channel_word, message_badge, moment};

const ROWS: u64 = 50;

const PATH: &str = "/messages";

/// Groups of states that people ask for together.
const GROUPS: [(&str, &str, &[MessageState]); 4] = [
    ("sent", "Sent", &[MessageState::OnItsWay, MessageState::Delivered, MessageState::Read]),
    ("arrived", "Delivered or read", &[MessageState::Delivered, MessageState::Read]),
    ("trouble", "Failed, unknown or expired", &[MessageState::Failed, MessageState::Unknown, MessageState::Expired]),
    ("queued", "Queued", &[MessageState::Queued]),
];

struct Row {
    href: Option<String>,
    made: String,
    patient: Option<Named>,
    channel: &'static str,
    rule: String,
    badge: Badge,
    reason: &'static str,
    attempts: u32,
}

#[derive(Template)]
#[template(path = "messages.html")]
struct MessagesPage {
    shell: Shell,
    lead: String,
    day: String,
    lengths: Vec<Choice>,
    states: Vec<Choice>,
    channels: Vec<Choice>,
    rules: Vec<Choice>,
    rows: Vec<Row>,
    sees_patients: bool,
    filtered: bool,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /messages`
pub async fn messages(call: Call) -> Answer {
    let span = Span::of(&call);
    let asked = call.query("state");
    let channel = Channel::parse(call.query("channel"));
    let rule = Some(call.query("rule")).filter(|rule| !rule.is_empty());
    let before = call.query("before").parse().ok();
    let filter = MessageFilter {
        from: Some(span.from),
        until: Some(span.until),
        states: states_of(asked),
        channel,
        rule: rule.map(RuleId::new),
        patient: None,
        before,
        limit: ROWS + 1,
    };
    let mut found = call.state.view().list_messages(&filter).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(ROWS as usize);

    let day = span.day.to_string();
    let page_at = |before: &str| {
        address(
            PATH,
            &[
                ("day", &day),
                ("days", span.days),
                ("state", asked),
                ("channel", call.query("channel")),
                ("rule", call.query("rule")),
                ("before", before),
            ],
        )
    };
    let zone = call.state.zone();
    let titles = Titles::of(&call).await?;
    let names = Names::of(&call, PATH, found.iter().map(|it| (it.ehr.clone(), it.patient.clone()))).await?;
    let rows = found
        .iter()
        .map(|it| Row {
            href: call.sees_patients().then(|| format!("{PATH}/{}", it.id)),
            made: moment(it.created_at, zone),
            patient: names.show(&call, &it.ehr, &it.patient),
            channel: channel_word(it.channel),
            rule: it.rule.as_ref().map_or_else(|| "By hand or in answer".to_owned(), |rule| titles.title(rule)),
            badge: message_badge(it.state),
            reason: it.reason.map_or("", Reason::words),
            attempts: it.attempts,
        })
        .collect();
    page(&MessagesPage {
        shell: Shell::of(&call, "Messages", PATH).await?,
        lead: format!("Made: {}", span.words()),
        lengths: span.choices(),
        states: state_choices(asked),
        channels: channel_choices(channel),
        rules: titles.choices(call.query("rule")),
        rows,
        sees_patients: call.sees_patients(),
        filtered: !asked.is_empty() || channel.is_some() || rule.is_some(),
        first: before.map(|_| page_at("")),
        next: found.last().filter(|_| more).map(|last| page_at(&last.id.to_string())),
        day: day.clone(),
    })
}

fn states_of(asked: &str) -> Vec<MessageState> {
    let group = GROUPS.iter().find(|(code, ..)| *code == asked).map(|(.., states)| states.to_vec());
    group.unwrap_or_else(|| MessageState::parse(asked).into_iter().collect())
}

fn state_choices(asked: &str) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "Every state", asked.is_empty())];
    choices.extend(GROUPS.iter().map(|(code, label, _)| Choice::new(*code, *label, *code == asked)));
    let single = MessageState::ALL.into_iter().filter(|state| *state != MessageState::Queued);
    choices.extend(single.map(|state| Choice::new(state.as_str(), message_badge(state).word, state.as_str() == asked)));
    choices
}

fn channel_choices(asked: Option<Channel>) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "Every channel", asked.is_none())];
    choices.extend(
        [Channel::Email, Channel::Sms]
            .into_iter()
            .map(|channel| Choice::new(channel.as_str(), channel_word(channel), asked == Some(channel))),
    );
    choices
}
