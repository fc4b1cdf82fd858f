//! How fast resources come into the sealed mirror, by the code that stores a page of a pull.

use std::collections::HashSet;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;

use super::Tell;
use super::corpus::{Corpus, Source};
use super::house::{BenchDatabase, House, Place, monday};
use super::meter::{Cost, Meter};
use crate::app::AppError;
use crate::pull::{self, Destination, Mode, PlanCounts, PullOptions, TypeReport};
use crate::rules;

pub type PullInput = Source;

/// What a run showed.
#[derive(Debug, Clone, Serialize)]
pub struct PullFigures {
    pub input: String,
    pub database: &'static str,
    pub resources: u64,
    pub megabytes: f64,
    /// Lines of types that the mirror does not keep.
    pub skipped: u64,
    pub quarantined: usize,
    /// Only reading the text as JSON.
    pub parse: Cost,
    /// The same text, unsealed, into one plain table of the same database.
    pub plain: Cost,
    /// Read, pruned, hashed, sealed, indexed and stored with history.
    pub mirror: Cost,
    /// Planning everybody afterwards, with history.
    pub planning: Cost,
    pub planned: PlanCounts,
    pub resources_per_second: f64,
    pub megabytes_per_second: f64,
    pub plain_per_second: f64,
    /// Our rate, planning included, as a share of the plain insert's.
    pub share_of_plain: f64,
}

/// Measures one input on one database.
pub async fn pull(
    input: &PullInput,
    database: &BenchDatabase,
    place: &Place,
    tell: Tell<'_>,
) -> Result<PullFigures, AppError> {
    tell("preparing the input");
    let today: NaiveDate = monday().date_naive();
    let corpus = Corpus::prepare(input, place, today)?;
    tell("parsing alone");
    let parse = parse_alone(&corpus)?;
    tell("inserting plainly");
    let plain = insert_plainly(&corpus, database, place).await?;
    tell("pulling into the sealed mirror");
    let house = House::build(database, place, "").await?;
    let (rules, _) = rules::starter_rules();
    house.publish(&rules).await?;
    let meter = Meter::start();
    let quarantined = mirror(&corpus, &house).await?;
    let mirrored = meter.stop();
    tell("planning");
    let options = PullOptions::new(&house.settings, Mode::Full, "bench");
    let meter = Meter::start();
    let planned = pull::plan_due(&house.store, &house.tenant, &house.ehr, &options, &|_| {}).await?;
    let planning = meter.stop();
    house.remove().await?;
    let seconds = mirrored.seconds + planning.seconds;
    let rate = corpus.resources as f64 / seconds;
    let plain_rate = plain.rate(corpus.resources);
    let figures = PullFigures {
        input: match input {
            Source::Generated(patients) => format!("{patients} generated patients"),
            Source::Folder(folder) => folder.display().to_string(),
        },
        database: database.name(),
        resources: corpus.resources,
        megabytes: corpus.bytes as f64 / 1e6,
        skipped: corpus.skipped,
        quarantined,
        parse,
        plain,
        mirror: mirrored,
        planning,
        planned,
        resources_per_second: rate,
        megabytes_per_second: corpus.bytes as f64 / 1e6 / seconds,
        plain_per_second: plain_rate,
        share_of_plain: rate / plain_rate,
    };
    corpus.remove();
    Ok(figures)
}

fn parse_alone(corpus: &Corpus) -> Result<Cost, AppError> {
    let meter = Meter::start();
    for (_, pages) in corpus.types() {
        for page in pages? {
            for line in page? {
                std::hint::black_box(parsed(&line)?);
            }
        }
    }
    Ok(meter.stop())
}

async fn insert_plainly(corpus: &Corpus, database: &BenchDatabase, place: &Place) -> Result<Cost, AppError> {
    let house = House::build(database, place, "").await?;
    house.store.make_plain_table().await?;
    let meter = Meter::start();
    let mut next = 0_i64;
    for (_, pages) in corpus.types() {
        for page in pages? {
            let page = page?;
            let count = page.len() as i64;
            let mut tx = house.store.write(&house.tenant).await?;
            tx.insert_plain(next, page).await?;
            tx.commit().await?;
            next += count;
        }
    }
    let cost = meter.stop();
    house.remove().await?;
    Ok(cost)
}

/// Stores all pages; answers how many resources went into quarantine.
pub(super) async fn mirror(corpus: &Corpus, house: &House) -> Result<usize, AppError> {
    let run = house.begin_run().await?;
    let region = house.settings.organisation.region.clone();
    let destination = Destination { store: &house.store, tenant: &house.tenant, ehr: &house.ehr, run, region: &region };
    let mut asked = HashSet::new();
    let mut quarantined = 0;
    for (kind, pages) in corpus.types() {
        let mut report = TypeReport::default();
        for page in pages? {
            let resources: Result<Vec<Value>, AppError> = page?.iter().map(|line| parsed(line)).collect();
            destination.page(kind, &resources?, &mut asked, &mut report).await?;
        }
        house.complete(kind, run).await?;
        quarantined += report.quarantined;
    }
    Ok(quarantined)
}

fn parsed(line: &str) -> Result<Value, AppError> {
    serde_json::from_str(line).map_err(|error| AppError::Bench(format!("a prepared line is no JSON: {error}")))
}
