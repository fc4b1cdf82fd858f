//! What needs a person.

use askama::Template;
use uuid::Uuid;

use super::event_words::who_text;
use crate::domain::{Alert, AlertId, AlertKind, MessageId, Role};
use crate::store::ReplyFilter;
use crate::web::answer::{Answer, page, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Badge, address, carrier_words, counted, moment};

const ROWS: u64 = 50;

const PATH: &str = "/worklist";

struct Row {
    id: String,
    title: &'static str,
    /// The part of the house it is about; empty where that is a patient's message or answer.
    subject: String,
    /// Where what it is about can be read, for those who may.
    href: Option<String>,
    words: String,
    badge: Badge,
    times: String,
    seen: Option<String>,
    waits: bool,
}

#[derive(Template)]
#[template(path = "worklist.html")]
struct WorklistPage {
    shell: Shell,
    all: bool,
    rows: Vec<Row>,
    can_acknowledge: bool,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /worklist`
pub async fn worklist(call: Call) -> Answer {
    let all = call.query("all") == "yes";
    let before: Option<AlertId> = call.query("before").parse().ok();
    let mut found = call.state.view().alerts(!all, before, ROWS + 1).await?;
    let more = found.len() as u64 > ROWS;
    found.truncate(ROWS as usize);
    let mut rows = Vec::with_capacity(found.len());
    let next = found.last().filter(|_| more).map(|last| last.id.to_string());
    for alert in found {
        let href = place_of(&call, &alert).await?;
        rows.push(row(&call, alert, href));
    }
    let page_at = |before: &str| address(PATH, &[("all", if all { "yes" } else { "" }), ("before", before)]);
    page(&WorklistPage {
        shell: Shell::of(&call, "Worklist", PATH).await?,
        all,
        next: next.map(|before| page_at(&before)),
        rows,
        can_acknowledge: call.has(Role::Admin) || call.has(Role::Clinician),
        first: before.map(|_| page_at("")),
    })
}

/// `POST /worklist/{id}/acknowledge`
pub async fn acknowledge(call: Call) -> Answer {
    let id: AlertId = call.path("id").parse().map_err(|_| WebError::NotFound)?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    tx.acknowledge_alert(id, &call.actor()?).await?;
    tx.commit().await?;
    Ok(redirect(PATH))
}

/// The message or answer that an alert is about, for those who may read it.
async fn place_of(call: &Call, alert: &Alert) -> Result<Option<String>, WebError> {
    if !call.sees_patients() {
        return Ok(None);
    }
    let message = match alert.kind {
        AlertKind::OutcomeUnknown => alert.subject.parse().ok(),
        AlertKind::ReplyNeedsPerson => {
            let Ok(reply) = alert.subject.parse() else { return Ok(None) };
            let filter = ReplyFilter { only: Some(reply), limit: 1, ..ReplyFilter::default() };
            let Some(line) = call.state.view().list_replies(&filter).await?.pop() else { return Ok(None) };
            if line.message.is_none() {
                // It answers nothing that we sent, or nobody can tell what: it stands among the answers of its day.
                let day = line.reply.received_at.with_timezone(&call.state.zone()).date_naive();
                return Ok(Some(format!("/replies?day={day}")));
            }
            line.message
        }
        _ => None,
    };
    Ok(message.map(|message: MessageId| format!("/messages/{message}")))
}

fn row(call: &Call, alert: Alert, href: Option<String>) -> Row {
    let zone = call.state.zone();
    let badge = match (alert.resolved_at, alert.acknowledged_at) {
        (Some(_), _) => Badge { tone: "quiet", icon: "check", word: "Over" },
        (None, Some(_)) => Badge { tone: "planned", icon: "check", word: "Seen" },
        (None, None) => Badge { tone: "needs", icon: "bell", word: "Needs you" },
    };
    Row {
        id: alert.id.to_string(),
        title: title(alert.kind),
        subject: match alert.kind {
            AlertKind::OutcomeUnknown | AlertKind::ReplyNeedsPerson if Uuid::parse_str(&alert.subject).is_ok() => {
                String::new()
            }
            AlertKind::ProviderDown => carrier_words(&alert.subject),
            _ => alert.subject,
        },
        href,
        words: alert.words,
        badge,
        times: format!(
            "Since {}, {}, last {}",
            moment(alert.opened_at, zone),
            counted(alert.count.into(), "time", "times"),
            moment(alert.last_at, zone)
        ),
        seen: alert
            .acknowledged_by
            .zip(alert.acknowledged_at)
            .map(|(by, at)| format!("Seen by {}, {}", who_text(&by), moment(at, zone))),
        waits: alert.acknowledged_at.is_none() && alert.resolved_at.is_none(),
    }
}

const fn title(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::PullOverdue => "The EHR was not pulled for too long",
        AlertKind::WriteBackStuck => "The EHR does not take what happened",
        AlertKind::ProviderDown => "A provider does not work",
        AlertKind::OutcomeUnknown => "It is not known whether messages arrived",
        AlertKind::Unaccounted => "Something that was due is not accounted for, or is stuck",
        AlertKind::SubscriptionDown => "The EHR does not tell of changes by itself",
        AlertKind::ReplyNeedsPerson => "A patient wrote something a person should read",
        AlertKind::RuleBroken => "A live rule cannot be used as it stands",
        AlertKind::CheckpointMissing => "The history has no recent checkpoint",
        AlertKind::QuarantineSpike => "Many resources cannot be used",
        AlertKind::ZoneUnresolvedSpike => "Many time zones cannot be told",
        AlertKind::HeldForPerson => "Messages are held for a person",
        AlertKind::KeyTrouble => "Trouble with a key",
        AlertKind::DiskTrouble => "Trouble with the disk",
        AlertKind::TokenRefused => "The EHR refuses access",
        AlertKind::EhrDown => "The EHR fails again and again",
        AlertKind::EhrBudgetSpent => "The EHR's calls of the day are used up",
        AlertKind::PlanChanged => "The EHR is asked in another way than before",
        AlertKind::ScopesMissing => "The EHR granted less than was asked",
    }
}
