//! What needs a person.

use askama::Template;

use super::event_words::who_text;
use crate::domain::{Alert, AlertId, AlertKind, Role};
use crate::web::answer::{Answer, page, redirect};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Badge, address, counted, moment};

const ROWS: u64 = 50;

const PATH: &str = "/worklist";

struct Row {
    id: String,
    title: &'static str,
    subject: String,
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
    let page_at = |before: &str| address(PATH, &[("all", if all { "yes" } else { "" }), ("before", before)]);
    page(&WorklistPage {
        shell: Shell::of(&call, "Worklist", PATH).await?,
        all,
        next: found.last().filter(|_| more).map(|last| page_at(&last.id.to_string())),
        rows: found.into_iter().map(|alert| row(&call, alert)).collect(),
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

fn row(call: &Call, alert: Alert) -> Row {
    let zone = call.state.zone();
    let badge = match (alert.resolved_at, alert.acknowledged_at) {
        (Some(_), _) => Badge { tone: "quiet", icon: "check", word: "Over" },
        (None, Some(_)) => Badge { tone: "planned", icon: "check", word: "Seen" },
        (None, None) => Badge { tone: "needs", icon: "bell", word: "Needs you" },
    };
    Row {
        id: alert.id.to_string(),
        title: title(alert.kind),
        subject: alert.subject,
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
