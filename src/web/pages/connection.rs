//! One EHR connection: how it stands, what it may use, what it cannot do, and what waits for a person.

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::connection_requests::RequestRow;
use super::connection_state::{Standing, grouped, long};
use super::event_words::who_text;
use crate::domain::{EhrId, ResourceType};
use crate::ehr::connect;
use crate::ehr::connection::EhrConnection;
use crate::ehr::keys::KeyRing;
use crate::ehr::plan_words::PlanLine;
use crate::ehr::scopes::ScopeSet;
use crate::store::{HourUsage, PauseReason, PullRunRow, RequestFilter};
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::shell::Shell;
use crate::web::words::{Badge, code_words, counted, moment, write_back_badge};

/// Rows of each list; what is longer has a page of its own.
const ROWS: u64 = 20;

struct RunRow {
    at: String,
    by: String,
    badge: Badge,
    words: String,
    took: String,
}

struct Running {
    since: String,
    now: String,
    read: u64,
    /// 0 where the server does not say how many there are.
    total: u64,
    done: Vec<String>,
}

struct ScopeRow {
    scope: String,
    badge: Badge,
}

struct KeyRow {
    kid: String,
    alg: String,
    words: String,
}

struct HourRow {
    label: String,
    requests: u64,
    words: String,
}

struct AsideRow {
    resource: String,
    kind: String,
    id: String,
    path: String,
    reason: String,
    last: String,
}

struct TroubleRow {
    what: String,
    badge: Badge,
    error: String,
    words: String,
}

struct BudgetForm {
    at_once: u32,
    per_second: String,
    per_day: String,
    peak_from: u8,
    peak_until: u8,
    peak_share: u8,
    zone: String,
}

#[derive(Template)]
#[template(path = "connection.html")]
struct ConnectionPage {
    shell: Shell,
    id: String,
    done: Option<&'static str>,
    badge: Badge,
    facts: Vec<(&'static str, String)>,
    alerts: Vec<String>,
    running: Option<Running>,
    pull_wanted: Option<String>,
    runs: Vec<RunRow>,
    plan: Vec<PlanLine>,
    scopes: Vec<ScopeRow>,
    scopes_text: String,
    budget: BudgetForm,
    used: Vec<(&'static str, String)>,
    most: u64,
    hours: Vec<HourRow>,
    quarantined: u64,
    aside: Vec<AsideRow>,
    wishes: usize,
    queue: Vec<(&'static str, String)>,
    troubles: Vec<TroubleRow>,
    requests: Vec<RequestRow>,
    keys: Vec<KeyRow>,
    keys_fetched: String,
}

/// `GET /connections/{ehr}`
pub async fn connection(call: Call) -> Answer {
    let ehr = EhrId::new(call.path("ehr"));
    let (view, now, zone) = (call.state.view(), call.state.now(), call.state.zone());
    let row = view.ehr(&ehr).await?.ok_or(WebError::NotFound)?;
    let read = connect::load(&call.state.store, &call.state.tenant, &ehr).await;
    let it = read.map_err(|error| WebError::BadInput(error.to_string(), "Set the connection up again."))?;
    // What the live rules read is asked for as well.
    let asking = connect::asking(&call.state.store, it.clone()).await;
    let asking = asking.map_err(|error| WebError::BadInput(error.to_string(), "Set the connection up again."))?;
    let standing = Standing::of(&view, &ehr).await?;
    let watch = view.ehr_watch(&ehr).await?;
    let keys = connect::keys(&call.state.store, &call.state.tenant, &ehr).await.unwrap_or_default();
    let usage = view.ehr_usage(&ehr, now - TimeDelta::hours(24)).await?;
    let queue = view.write_back_queue(&ehr).await?;
    let plan: Vec<PlanLine> =
        view.ehr_plan(&ehr).await?.and_then(|plan| serde_json::from_value(plan).ok()).unwrap_or_default();
    let troubled = RequestFilter { troubled: true, before: None, limit: 5 };
    let at = |at: DateTime<Utc>| moment(at, zone);
    page(&ConnectionPage {
        shell: Shell::of(&call, format!("Connection {ehr}"), "/connections").await?,
        id: ehr.to_string(),
        done: done_words(call.query("done")),
        badge: standing.badge(&row),
        facts: vec![
            ("FHIR base URL", it.base_url.as_str().to_owned()),
            ("Vendor", code_words(it.vendor.as_str())),
            ("Client id", it.client_id.clone()),
            ("Public keys", format!("{}/ehr/{ehr}/jwks.json", call.state.settings.server.public_url)),
            ("Last complete pull", standing.fresh_at.map_or_else(|| "never".to_owned(), at)),
            ("Lag", standing.fresh_at.map_or_else(|| "not known".to_owned(), |at| long(now - at))),
        ],
        alerts: standing.alerts.iter().map(|alert| alert.words.clone()).collect(),
        running: standing.running().map(|run| running(run, now)),
        pull_wanted: watch.pull_wish.as_ref().map(|wish| who_text(&wish.by)),
        runs: standing.runs.iter().map(|run| run_row(run, zone)).collect(),
        plan,
        scopes: scopes(&asking, row.granted_scopes.as_deref()),
        scopes_text: it.scopes.to_string(),
        budget: budget_form(&it),
        used: used(&it, &standing, now, zone),
        most: usage.iter().map(|hour| hour.requests).max().unwrap_or(1),
        hours: usage.iter().map(|hour| hour_row(hour, zone)).collect(),
        quarantined: standing.quarantined,
        aside: view
            .quarantined(&ehr, ROWS)
            .await?
            .into_iter()
            .map(|it| AsideRow {
                resource: format!("{}/{}", it.resource_type, it.resource_id),
                kind: it.resource_type,
                id: it.resource_id,
                path: it.path,
                reason: it.reason,
                last: at(it.last_seen_at),
            })
            .collect(),
        wishes: view.retry_wishes(&ehr, 1000).await?.len(),
        queue: vec![
            ("To be written", grouped(queue.pending)),
            ("Waiting longest", queue.oldest.map_or_else(|| "–".to_owned(), |oldest| long(now - oldest))),
            ("Given up, for a person", grouped(queue.failed)),
        ],
        troubles: view
            .write_back_troubles(&ehr, ROWS)
            .await?
            .into_iter()
            .map(|it| TroubleRow {
                what: code_words(&it.subject_kind),
                badge: write_back_badge(it.state),
                error: it.error,
                words: match it.next_at {
                    Some(next) => format!("{}; again {}", counted(it.tries.into(), "try", "tries"), at(next)),
                    None => format!("{}; last {}", counted(it.tries.into(), "try", "tries"), at(it.updated_at)),
                },
            })
            .collect(),
        requests: view.ehr_requests(&ehr, &troubled).await?.iter().map(|it| RequestRow::of(it, zone)).collect(),
        keys: key_rows(&keys, now, zone),
        keys_fetched: watch.jwks_fetched_at.map_or_else(|| "never".to_owned(), at),
    })
}

fn running(run: &PullRunRow, now: DateTime<Utc>) -> Running {
    let told = &run.counts["now"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let words = match (told["kind"].as_str(), told["planned"].as_u64()) {
        (Some(kind), _) => format!("{kind}, {}", told["how"].as_str().unwrap_or("read")),
        (None, Some(planned)) => format!("Planning: {} so far", counted(planned, "patient", "patients")),
        (None, None) => "Beginning".to_owned(),
    };
    let types = run.counts["types"].as_array().map(Vec::as_slice).unwrap_or_default();
    Running {
        since: long(now - run.started_at),
        now: words,
        read: number(&told["read"]),
        total: number(&told["total"]),
        done: types
            .iter()
            .map(|it| {
                let (kind, read, changed) =
                    (it[0].as_str().unwrap_or("?"), number(&it[1]["read"]), number(&it[1]["changed"]));
                format!("{kind}: {} read, {} changed", grouped(read), grouped(changed))
            })
            .collect(),
    }
}

fn run_row(run: &PullRunRow, zone: chrono_tz::Tz) -> RunRow {
    let badge = |tone, icon, word| Badge { tone, icon, word };
    let sum = |name: &str| {
        let types = run.counts["types"].as_array().map(Vec::as_slice).unwrap_or_default();
        types.iter().filter_map(|it| it[1][name].as_u64()).sum::<u64>()
    };
    let counts = format!(
        "{} read, {} changed, {} set aside",
        grouped(sum("read")),
        grouped(sum("changed")),
        grouped(sum("quarantined"))
    );
    RunRow {
        at: moment(run.started_at, zone),
        by: who_text(&run.triggered_by),
        badge: match run.state.as_str() {
            "running" => badge("moving", "send", "Running"),
            "done" => badge("arrived", "check", "Done"),
            "partial" => badge("needs", "warn", "In part"),
            "abandoned" => badge("needs", "cross", "Broken off"),
            _ => badge("needs", "warn", "Failed"),
        },
        words: run.error.as_ref().map_or(counts.clone(), |error| format!("{counts}. {error}")),
        took: run.finished_at.map_or_else(String::new, |end| long(end - run.started_at)),
    }
}

fn scopes(it: &EhrConnection, granted: Option<&str>) -> Vec<ScopeRow> {
    let granted = granted.map(ScopeSet::granted);
    it.scopes
        .resources()
        .map(|scope| {
            let asked = ScopeSet::granted(&scope.to_string());
            let badge = match granted.as_ref().map(|granted| asked.missing_from(granted)) {
                None => Badge { tone: "quiet", icon: "question", word: "Not known yet" },
                Some(missing) if missing.is_empty() => Badge { tone: "arrived", icon: "check", word: "Granted" },
                Some(missing) if missing.iter().any(|it| it.access == scope.access) => {
                    Badge { tone: "needs", icon: "cross", word: "Not granted" }
                }
                Some(_) => Badge { tone: "needs", icon: "warn", word: "Granted in part" },
            };
            ScopeRow { scope: scope.to_string(), badge }
        })
        .collect()
}

fn budget_form(it: &EhrConnection) -> BudgetForm {
    let budget = &it.settings.budget;
    BudgetForm {
        at_once: it.settings.concurrency,
        per_second: budget.calls_per_second.map(|rate| rate.to_string()).unwrap_or_default(),
        per_day: budget.calls_per_day.map(|calls| calls.to_string()).unwrap_or_default(),
        peak_from: budget.peak_from_hour,
        peak_until: budget.peak_until_hour,
        peak_share: budget.peak_share(it.vendor),
        zone: budget.zone().to_string(),
    }
}

fn used(
    it: &EhrConnection,
    standing: &Standing,
    now: DateTime<Utc>,
    zone: chrono_tz::Tz,
) -> Vec<(&'static str, String)> {
    let Some(budget) = &standing.budget else { return Vec::new() };
    let settings = &it.settings.budget;
    let mut used = Vec::new();
    if let Some(limit) = settings.calls_per_day {
        let today = now.with_timezone(&settings.zone()).date_naive().to_string();
        let calls = if budget.day == today { budget.day_calls } else { 0 };
        used.push((
            "Calls today",
            format!("{} of {} ({} %)", grouped(calls), grouped(limit), calls * 100 / limit.max(1)),
        ));
    }
    let holders = counted(budget.replicas.into(), "process asks", "processes ask");
    used.push((
        "Now",
        if budget.replicas == 0 { "nobody asks".to_owned() } else { format!("{holders}, {} at once", budget.slots) },
    ));
    let busy = if settings.is_peak(now) { "yes: pulls use a part only" } else { "no" };
    used.push(("Busy hours", busy.to_owned()));
    if let Some(pause) = budget.pause {
        let why = match pause.reason {
            PauseReason::Asked => "the EHR asked us to slow down",
            PauseReason::Circuit => "it failed again and again",
        };
        used.push(("Not asked before", format!("{} ({why})", moment(pause.until, zone))));
    }
    used
}

fn hour_row(hour: &HourUsage, zone: chrono_tz::Tz) -> HourRow {
    let mean = hour.millis / hour.requests.max(1);
    let mut words = format!("{mean} ms on average");
    for (count, what) in [(hour.retries, "repeated"), (hour.throttled, "slowed down"), (hour.failed, "failed")] {
        if count > 0 {
            words.push_str(&format!(", {} {what}", grouped(count)));
        }
    }
    HourRow { label: hour.hour.with_timezone(&zone).format("%H:%M").to_string(), requests: hour.requests, words }
}

fn key_rows(ring: &KeyRing, now: DateTime<Utc>, zone: chrono_tz::Tz) -> Vec<KeyRow> {
    ring.keys()
        .iter()
        .filter(|it| it.published_until.is_none_or(|end| now < end))
        .map(|it| {
            let signs = ring.signer(it.key.alg(), now).is_ok_and(|signer| signer.kid() == it.key.kid());
            let state = if signs {
                format!("signs since {}", moment(it.signs_from, zone))
            } else if it.signs_from > now {
                format!("signs from {}", moment(it.signs_from, zone))
            } else {
                "signs no more".to_owned()
            };
            let end =
                it.published_until.map_or_else(String::new, |end| format!(", published until {}", moment(end, zone)));
            KeyRow { kid: it.key.kid().to_owned(), alg: it.key.alg().to_string(), words: format!("{state}{end}") }
        })
        .collect()
}

fn done_words(code: &str) -> Option<&'static str> {
    match code {
        "pull" => Some("A pull begins within seconds; this page shows how far it is."),
        "retry" => Some("What was asked for is read again within seconds. What can be used then leaves the list."),
        "scopes" => Some("These scopes are asked for from now on. Register the same with the EHR."),
        "budget" => Some("The budget holds from now on, on every replica within seconds."),
        "keys" => Some("New keys are published. They sign when the EHR has had time to learn them."),
        "emergency" => Some("The old keys are withdrawn, the new ones sign at once."),
        _ => None,
    }
}

/// Types that a person may ask to be read again.
pub(super) fn is_readable(kind: &str) -> bool {
    ResourceType::parse(kind).is_some()
}
