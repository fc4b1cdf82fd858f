//! The history: appending, numbering, searching and verifying, beside the same rows in a plain table with the same
//! indexes, in one run.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::Tell;
use super::house::{BenchDatabase, House, Place};
use super::meter::{Cost, Meter};
use crate::app::AppError;
use crate::domain::{Actor, EventKind, PatientId};
use crate::history::verify::verify;
use crate::history::{checkpoint, number};
use crate::store::{EventFilter, PlainEvent};

/// Events of one transaction: about what a batch of messages leaves.
const BATCH: u64 = 400;
/// Events of one patient.
const EACH: u64 = 50;
/// Rows of a page.
const PAGE: u64 = 50;
/// Searches of each kind.
const SEARCHES: u64 = 200;
const KINDS: [EventKind; 5] = [
    EventKind::ReminderPlanned,
    EventKind::ReminderDecided,
    EventKind::AttemptOpened,
    EventKind::AttemptSettled,
    EventKind::ReceiptReceived,
];

/// One kind of search, here and in the plain table.
#[derive(Debug, Clone, Serialize)]
pub struct SearchFigures {
    pub what: &'static str,
    /// Median of one page, in microseconds.
    pub micros: f64,
    pub plain_micros: f64,
    pub times_plain: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct HistoryFigures {
    pub events: u64,
    pub database: &'static str,
    pub append: Cost,
    pub plain_append: Cost,
    pub number: Cost,
    pub verify: Cost,
    pub searches: Vec<SearchFigures>,
}

/// Measures a history of so many events.
///
/// # Errors
/// The database; or the history does not verify.
pub async fn history(
    events: u64,
    database: &BenchDatabase,
    place: &Place,
    tell: Tell<'_>,
) -> Result<HistoryFigures, AppError> {
    let house = House::build(database, place, "").await?;
    tell(&format!("{events} events: appending"));
    let append = append(&house, events).await?;
    tell(&format!("{events} events: into a plain table"));
    let plain_append = append_plain(&house, events).await?;
    tell(&format!("{events} events: numbering"));
    let meter = Meter::start();
    number::number_all(&house.store, &house.tenant).await?;
    let number = meter.stop();
    checkpoint::sign(&house.store, &house.tenant, "bench.example/history/main", Actor::system("bench")).await?;
    tell(&format!("{events} events: searching"));
    let searches = searches(&house, events).await?;
    tell(&format!("{events} events: verifying"));
    let meter = Meter::start();
    let report = verify(&house.store, &house.tenant, &[], &|_, _| {}).await?;
    let verify = meter.stop();
    if !report.is_whole() || report.rows < events {
        return Err(AppError::Bench(format!("the history does not verify: {:?}", report.findings.first())));
    }
    house.remove().await?;
    Ok(HistoryFigures { events, database: database.name(), append, plain_append, number, verify, searches })
}

fn patient(n: u64) -> PatientId {
    PatientId::new(format!("p{n:07}"))
}

/// What an event of a sent message says, more or less.
fn detail(n: u64) -> serde_json::Value {
    json!({
        "attempt": format!("0195f0a0-0000-7000-8000-{n:012}"), "number": 1, "channel": "sms", "provider": "twilio",
        "address": { "phone": format!("+1312{:07}", n % 10_000_000) }, "template": "reminder", "language": "en",
        "basis": "number_provided", "purpose": "treatment", "detail": "limited",
    })
}

async fn append(house: &House, events: u64) -> Result<Cost, AppError> {
    let people = (events / EACH).max(1);
    let meter = Meter::start();
    for first in (0..events).step_by(BATCH as usize) {
        let mut tx = house.store.write(&house.tenant).await?;
        let batch = (first..events.min(first + BATCH)).map(|n| {
            tx.event(Actor::system("bench"), KINDS[(n % 5) as usize])
                .about_patient(&house.ehr, &patient(n % people))
                .with_detail(detail(n))
        });
        let batch = batch.collect();
        tx.append_all(batch).await?;
        tx.commit().await?;
    }
    Ok(meter.stop())
}

async fn append_plain(house: &House, events: u64) -> Result<Cost, AppError> {
    let people = (events / EACH).max(1);
    house.store.make_plain_events().await?;
    let meter = Meter::start();
    for first in (0..events).step_by(BATCH as usize) {
        let mut tx = house.store.write(&house.tenant).await?;
        let batch = (first..events.min(first + BATCH)).map(|n| PlainEvent {
            id: house.store.new_id(),
            at: house.store.clock().now(),
            kind: KINDS[(n % 5) as usize].as_str().to_owned(),
            patient: patient(n % people).to_string(),
            detail: detail(n).to_string(),
        });
        tx.insert_plain_events(&house.ehr, batch.collect()).await?;
        tx.commit().await?;
    }
    Ok(meter.stop())
}

async fn searches(house: &House, events: u64) -> Result<Vec<SearchFigures>, AppError> {
    let people = (events / EACH).max(1);
    let view = house.store.view(&house.tenant);
    let page = EventFilter { limit: PAGE, ..EventFilter::default() };
    let mut figures = Vec::new();
    for what in ["one patient", "one kind", "newest"] {
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for n in 0..SEARCHES {
            let who = (what == "one patient").then(|| patient(n * 7919 % people));
            let kind = (what == "one kind").then(|| KINDS[(n % 5) as usize]);
            let filter = EventFilter {
                ehr: who.as_ref().map(|_| house.ehr.clone()),
                patient: who.clone(),
                kinds: kind.into_iter().collect(),
                ..page.clone()
            };
            let began = Instant::now();
            let found = view.events(&filter).await?.len() as u64;
            ours.push(began.elapsed().as_secs_f64() * 1e6);
            let began = Instant::now();
            let same = view.plain_events(&house.ehr, who.as_ref(), kind, PAGE).await?.len() as u64;
            plain.push(began.elapsed().as_secs_f64() * 1e6);
            if found != same || found == 0 {
                return Err(AppError::Bench(format!("a search by {what} found {found} events, and {same} plain rows")));
            }
        }
        let (micros, plain_micros) = (median(ours), median(plain));
        figures.push(SearchFigures { what, micros, plain_micros, times_plain: micros / plain_micros.max(1e-9) });
    }
    Ok(figures)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
