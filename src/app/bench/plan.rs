//! How fast patients are planned: by the pure planner on facts in memory, and from the store and back into it.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::Tell;
use super::corpus::{Corpus, Source};
use super::house::{BenchDatabase, House, Place, monday};
use super::meter::{Cost, Meter};
use super::pull::mirror;
use crate::app::AppError;
use crate::domain::{Appointment, Patient, ResourceType, ResourceVersion};
use crate::fhir::{prune, read};
use crate::pull::{self, Mode, PullOptions};
use crate::rules::{self, CompiledRule, Facilities, Mirror, PatientFacts};
use crate::sandbox::generator::Generator;

/// Patients whose facts are held at once.
const BATCH: usize = 500;

/// How many patients.
pub type PlanInput = u32;

/// Planning in memory.
#[derive(Debug, Clone, Serialize)]
pub struct PlanFigures {
    pub patients: u32,
    pub rules: usize,
    pub reminders: u64,
    /// From resources to facts, in seconds.
    pub reading_seconds: f64,
    /// From facts to a plan, in seconds.
    pub planning_seconds: f64,
    /// Reading and planning together.
    pub patients_per_second: f64,
    pub micros_each: f64,
    /// Planning alone.
    pub planning_micros_each: f64,
    pub peak_megabytes: f64,
}

/// Planning through the store.
#[derive(Debug, Clone, Serialize)]
pub struct StoredFigures {
    pub patients: usize,
    pub database: &'static str,
    pub reminders: usize,
    pub cost: Cost,
    pub patients_per_second: f64,
    pub micros_each: f64,
}

struct Chart {
    resources: Vec<(ResourceVersion, Value)>,
}

struct Facts<'c> {
    patient: Patient,
    value: &'c Value,
    mirror: Mirror<'c>,
    appointments: Vec<Appointment>,
}

/// Plans all starter rules for generated patients, on one thread, without a database.
pub fn pure(patients: PlanInput, tell: Tell<'_>) -> Result<PlanFigures, AppError> {
    tell(&format!("planning {patients} patients in memory"));
    let now = monday();
    let generator = Generator::new(1, now.date_naive());
    let (rules, _) = rules::starter_rules();
    let sites = generator.sites();
    let locations = sites.iter().filter(|site| site["resourceType"] == "Location");
    let facilities = Facilities::read(locations, &BTreeMap::new(), "Willow Creek Clinic", None, now);
    let mut figures = PlanFigures {
        patients,
        rules: rules.len(),
        reminders: 0,
        reading_seconds: 0.0,
        planning_seconds: 0.0,
        patients_per_second: 0.0,
        micros_each: 0.0,
        planning_micros_each: 0.0,
        peak_megabytes: 0.0,
    };
    let meter = Meter::start();
    let mut charts = generator.charts(patients).peekable();
    while charts.peek().is_some() {
        // Made and pruned outside the measured time, as the mirror holds them.
        let batch: Vec<Chart> = charts.by_ref().take(BATCH).map(|chart| chart_of(&chart.resources)).collect();
        let begun = Instant::now();
        let facts: Vec<Facts<'_>> = batch.iter().filter_map(|chart| facts_of(chart, now)).collect();
        let read = Instant::now();
        for facts in &facts {
            figures.reminders += plan_one(facts, &rules, &facilities, now);
        }
        figures.reading_seconds += (read - begun).as_secs_f64();
        figures.planning_seconds += read.elapsed().as_secs_f64();
    }
    let seconds = figures.reading_seconds + figures.planning_seconds;
    figures.patients_per_second = f64::from(patients) / seconds;
    figures.micros_each = seconds * 1e6 / f64::from(patients);
    figures.planning_micros_each = figures.planning_seconds * 1e6 / f64::from(patients);
    figures.peak_megabytes = meter.stop().peak_megabytes;
    Ok(figures)
}

fn chart_of(resources: &[Value]) -> Chart {
    let resources = resources.iter().filter_map(|it| Some((read::version_of(it)?, prune::prune(it)))).collect();
    Chart { resources }
}

fn facts_of(chart: &Chart, now: chrono::DateTime<chrono::Utc>) -> Option<Facts<'_>> {
    let of = |kind: ResourceType| chart.resources.iter().filter(move |(it, _)| it.key.resource_type == kind);
    let (_, value) = of(ResourceType::Patient).next()?;
    let patient = read::patient(value, now).value?;
    let appointments = of(ResourceType::Appointment).filter_map(|(_, value)| read::appointment(value).value).collect();
    let mut mirror = Mirror::default();
    for (version, value) in &chart.resources {
        mirror.add(version, value);
    }
    for kind in ResourceType::ALL {
        mirror.cover(*kind, now);
    }
    Some(Facts { patient, value, mirror, appointments })
}

fn plan_one(
    facts: &Facts<'_>,
    rules: &[CompiledRule],
    facilities: &Facilities,
    now: chrono::DateTime<chrono::Utc>,
) -> u64 {
    let facts = PatientFacts {
        patient: &facts.patient,
        patient_value: facts.value,
        mirror: &facts.mirror,
        appointments: &facts.appointments,
        facilities,
        existing: &[],
        enrolments: &[],
        clinic_defaults: &[],
    };
    rules::plan(&facts, rules, now).reminders.len() as u64
}

/// Plans generated patients from the mirror, and stores reminders with their history.
pub async fn stored(
    patients: PlanInput,
    database: &BenchDatabase,
    place: &Place,
    tell: Tell<'_>,
) -> Result<StoredFigures, AppError> {
    tell(&format!("filling the mirror with {patients} patients"));
    let corpus = Corpus::prepare(&Source::Generated(patients), place, monday().date_naive())?;
    let house = House::build(database, place, "").await?;
    let (rules, _) = rules::starter_rules();
    house.publish(&rules).await?;
    mirror(&corpus, &house).await?;
    corpus.remove();
    tell(&format!("planning {patients} patients from the store"));
    let options = PullOptions::new(&house.settings, Mode::Full, "bench");
    let meter = Meter::start();
    let counts = pull::plan_due(&house.store, &house.tenant, &house.ehr, &options, &|_| {}).await?;
    let cost = meter.stop();
    house.remove().await?;
    let planned = counts.patients as u64;
    Ok(StoredFigures {
        patients: counts.patients,
        database: database.name(),
        reminders: counts.planned,
        cost,
        patients_per_second: cost.rate(planned),
        micros_each: cost.seconds * 1e6 / planned.max(1) as f64,
    })
}
