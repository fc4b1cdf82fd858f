//! The first page: today's numbers, each leading to what it counts.

use askama::Template;
use chrono::{DateTime, Utc};

use crate::domain::{MessageState, ReminderState};
use crate::store::ReminderFilter;
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{day_of, moment};

/// A number with what it means and where it leads.
struct Tile {
    number: u64,
    label: &'static str,
    href: String,
    tone: &'static str,
    icon: &'static str,
}

struct Withheld {
    number: u64,
    words: &'static str,
    href: String,
}

#[derive(Template)]
#[template(path = "today.html")]
struct TodayPage {
    shell: Shell,
    date: String,
    tiles: Vec<Tile>,
    withheld: Vec<Withheld>,
    nothing: bool,
    /// When the next reminder falls due, and where it is: what an empty day points to.
    next: Option<(String, String)>,
}

/// `GET /`
pub async fn today(call: Call) -> Answer {
    let (zone, now) = (call.state.zone(), call.state.now());
    let (from, until) = day_of(now, zone);
    let counts = call.state.view().day_counts(from, until).await?;
    let date = now.with_timezone(&zone).date_naive();
    let reminders = |state: ReminderState| counts.reminders.get(&state).copied().unwrap_or(0);
    let went = counts.messages_in(&[MessageState::OnItsWay, MessageState::Delivered, MessageState::Read]);
    let arrived = counts.messages_in(&[MessageState::Delivered, MessageState::Read]);
    let trouble = counts.messages_in(&[MessageState::Failed, MessageState::Unknown, MessageState::Expired]);
    let tile = |number, label, href: String, tone, icon| Tile { number, label, href, tone, icon };
    let day = format!("day={date}");
    // What patients wrote is not for every role.
    let answered = if call.sees_patients() { format!("/replies?{day}") } else { String::new() };
    let tiles = vec![
        tile(counts.due(), "Due today", format!("/reminders?{day}"), "planned", "clock"),
        tile(
            reminders(ReminderState::Waiting),
            "Waiting",
            format!("/reminders?{day}&state=waiting"),
            "planned",
            "pause",
        ),
        tile(went, "Sent", format!("/messages?{day}&state=sent"), "moving", "send"),
        tile(arrived, "Delivered", format!("/messages?{day}&state=arrived"), "arrived", "check"),
        tile(counts.replies, "Answered", answered, "arrived", "reply"),
        tile(
            reminders(ReminderState::Withheld),
            "Withheld",
            format!("/reminders?{day}&state=withheld"),
            "needs",
            "hand",
        ),
        tile(trouble, "Failed or unknown", format!("/messages?{day}&state=trouble"), "needs", "warn"),
        tile(counts.quarantined, "In quarantine", "/quarantine".to_owned(), "needs", "box"),
    ];
    let withheld = counts
        .withheld
        .iter()
        .map(|(reason, number)| Withheld {
            number: *number,
            words: reason.words(),
            href: format!("/reminders?{day}&state=withheld&reason={}", reason.as_str()),
        })
        .collect();
    let nothing = counts.due() == 0 && counts.messages.is_empty();
    page(&TodayPage {
        next: if nothing { next_due(&call, until).await? } else { None },
        shell: Shell::of(&call, "Today", "/").await?,
        date: date.format("%A, %-d %B %Y").to_string(),
        nothing,
        tiles,
        withheld,
    })
}

/// The first planned reminder from `from` on: when it falls due, and the list of that day.
async fn next_due(call: &Call, from: DateTime<Utc>) -> Result<Option<(String, String)>, WebError> {
    let filter = ReminderFilter {
        due_from: Some(from),
        state: Some(ReminderState::Planned),
        limit: 1,
        ..ReminderFilter::default()
    };
    let zone = call.state.zone();
    Ok(call.state.view().list_reminders(&filter).await?.pop().map(|next| {
        let day = next.plan.due_at.with_timezone(&zone).date_naive();
        (moment(next.plan.due_at, zone), format!("/reminders?day={day}"))
    }))
}
