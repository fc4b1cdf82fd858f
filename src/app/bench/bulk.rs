//! How fast a bulk export comes in, over HTTP, by the code that a pull runs; and whether it needs more memory when it is
//! larger.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Tell;
use super::corpus::{Corpus, Source};
use super::exporter::Exporter;
use super::house::{BenchDatabase, House, Place, monday};
use super::meter::{Cost, Meter};
use crate::app::AppError;
use crate::domain::{Actor, ResourceType};
use crate::ehr::connect::{self, ConnectError};
use crate::ehr::connection::{BaseUrl, EhrConnection, EhrSettings, Vendor};
use crate::ehr::plan::Export;
use crate::ehr::retry::RealSleeper;
use crate::ehr::scopes::ScopeSet;
use crate::pull::{self, Mode, PlanCounts, PullOptions};
use crate::rules;

/// What a run showed.
#[derive(Debug, Clone, Serialize)]
pub struct BulkFigures {
    pub input: String,
    pub database: &'static str,
    /// Resources that were read from the export: those of types that a rule reads.
    pub resources: u64,
    pub megabytes: f64,
    pub quarantined: usize,
    /// From the kick-off to the last plan: download, mirror, planning.
    pub cost: Cost,
    pub planned: PlanCounts,
    pub resources_per_second: f64,
    pub megabytes_per_second: f64,
}

/// Measures one input on one database.
pub async fn bulk(
    input: &Source,
    database: &BenchDatabase,
    place: &Place,
    tell: Tell<'_>,
) -> Result<BulkFigures, AppError> {
    tell("preparing the input");
    let corpus = Corpus::prepare(input, place, monday().date_naive())?;
    let server = Exporter::start(corpus.files().to_vec())?;
    let house = House::build(database, place, "").await?;
    let (rules, _) = rules::starter_rules();
    house.publish(&rules).await?;
    let mut settings = EhrSettings::default();
    settings.plan.export = Some(Export::System);
    let kinds: Vec<ResourceType> = corpus.files().iter().map(|(kind, _)| *kind).collect();
    settings.plan.export_types = Some(kinds);
    let connection = EhrConnection {
        tenant: house.tenant.clone(),
        id: house.ehr.clone(),
        base_url: BaseUrl::parse(&server.base).map_err(ConnectError::from)?,
        vendor: Vendor::Generic,
        client_id: "bench".to_owned(),
        scopes: ScopeSet::for_backend("system/*.rs").map_err(|error| AppError::BenchSettings(error.to_string()))?,
        settings,
    };
    connect::add(&house.store, &connection, Actor::system("bench")).await?;
    let client = connect::open(&house.store, &house.tenant, &house.ehr, Arc::new(RealSleeper)).await?;
    let mut options = PullOptions::new(&house.settings, Mode::Increment, "bench");
    (options.patience, options.public_url) = (Duration::from_mins(1), None);
    tell("exporting");
    let meter = Meter::start();
    let report = pull::run(&house.store, &client, &options, &|_| {}).await?;
    let cost = meter.stop();
    if let Some((kind, of_type)) = report.types.iter().find(|(_, it)| it.error.is_some()) {
        let words = of_type.error.clone().unwrap_or_default();
        return Err(AppError::Bench(format!("{kind} did not come: {words}")));
    }
    house.remove().await?;
    let brought = || report.types.iter().filter(|(_, it)| it.how == "bulk export");
    let resources: u64 = brought().map(|(_, it)| it.read as u64).sum();
    let mut bytes = 0;
    for (kind, path) in corpus.files() {
        if brought().any(|(brought, _)| brought == kind) {
            bytes += std::fs::metadata(path).map_err(|error| super::house::file("the bench's input", error))?.len();
        }
    }
    let figures = BulkFigures {
        input: match input {
            Source::Generated(patients) => format!("{patients} generated patients"),
            Source::Folder(folder) => folder.display().to_string(),
        },
        database: database.name(),
        resources,
        megabytes: bytes as f64 / 1e6,
        quarantined: brought().map(|(_, it)| it.quarantined).sum(),
        cost,
        planned: report.planned,
        resources_per_second: cost.rate(resources),
        megabytes_per_second: bytes as f64 / 1e6 / cost.seconds.max(1e-9),
    };
    corpus.remove();
    Ok(figures)
}
