//! `beckon ehr roster`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::json;

use super::open::{Opened, actor};
use super::{Failure, ehr, output};
use crate::domain::{EhrId, ResourceType};
use crate::ehr::connect;
use crate::ehr::retry::RealSleeper;
use crate::pull::{self, Mode, PullOptions};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take over a list, one id a line (of a CSV the first column):
    /// beckon ehr roster import north clinics.txt          with lines such as Location/12, Group/registry, Patient/e3b
    Import {
        id: String,
        file: PathBuf,
        /// The type of ids that stand alone.
        #[arg(long = "type", value_parser = ["Patient", "Appointment", "Location", "Group"])]
        kind: Option<String>,
        /// The list holds record numbers (MRN) instead of ids: the EHR is asked whose they are.
        #[arg(long, conflicts_with = "kind")]
        mrn: bool,
        /// The identifier system of the record numbers, such as urn:oid:2.16.840.1.113883.19.5.
        #[arg(long, requires = "mrn")]
        system: Option<String>,
        /// Forget what earlier lists named and this one does not.
        #[arg(long)]
        replace: bool,
    },
    /// How many of each type the roster names, and who named them.
    List {
        id: String,
        #[arg(long)]
        json: bool,
    },
}

async fn by_number(opened: &Opened, id: &str, file: &Path, system: Option<&str>, replace: bool) -> Result<(), Failure> {
    ehr::load(opened, id).await?;
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", file.display())))?;
    let numbers = pull::read_numbers(&text, system).map_err(|error| Failure::Usage(error.to_string()))?;
    let sleeper = Arc::new(RealSleeper);
    let client =
        connect::open(&opened.store, &opened.tenant, &EhrId::new(id), sleeper).await.map_err(Failure::remote)?;
    let options = PullOptions::new(&opened.settings, Mode::Increment, &actor().as_text());
    let bar = ProgressBar::new(numbers.len() as u64);
    let tell = |count: usize| bar.set_position(count as u64);
    let report = pull::import_numbers(&opened.store, &client, &options, &numbers, replace, actor(), &tell).await;
    bar.finish_and_clear();
    let report = report.map_err(Failure::remote)?;
    println!("{} of {} record numbers were found. The next pull looks at them.", report.found, numbers.len());
    for (lines, words) in [(&report.unknown, "the EHR does not find"), (&report.ambiguous, "more than one patient has")]
    {
        if !lines.is_empty() {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            println!("{words} the numbers on these lines: {}", lines.join(", "));
        }
    }
    if report.unknown.is_empty() && report.ambiguous.is_empty() {
        return Ok(());
    }
    Err(Failure::Problem("not every record number names one patient; the others are on the roster".to_owned()))
}

pub(super) async fn run(opened: &Opened, command: Command) -> Result<(), Failure> {
    match command {
        Command::Import { id, file, mrn: true, system, replace, .. } => {
            by_number(opened, &id, &file, system.as_deref(), replace).await
        }
        Command::Import { id, file, kind, replace, .. } => {
            ehr::load(opened, &id).await?;
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", file.display())))?;
            let kind = kind.as_deref().and_then(ResourceType::parse);
            let keys = pull::read_list(&text, kind).map_err(|error| Failure::Usage(error.to_string()))?;
            let ehr = EhrId::new(id);
            let change = pull::import_roster(&opened.store, &opened.tenant, &ehr, &keys, replace, actor())
                .await
                .map_err(Failure::remote)?;
            println!(
                "{} named; {} of earlier lists forgotten. The next pull looks at them.",
                keys.len(),
                change.removed
            );
            Ok(())
        }
        Command::List { id, json: as_json } => {
            ehr::load(opened, &id).await?;
            let counts = opened.store.view(&opened.tenant).roster_counts(&EhrId::new(id)).await;
            let counts = counts.map_err(Failure::remote)?;
            if as_json {
                let rows: Vec<_> = counts
                    .iter()
                    .map(|((source, kind), count)| json!({"source": source, "type": kind, "count": count}))
                    .collect();
                return output::json(&rows);
            }
            let rows: Vec<Vec<String>> =
                counts.into_iter().map(|((source, kind), count)| vec![source, kind, count.to_string()]).collect();
            output::table(&["NAMED BY", "TYPE", "COUNT"], &rows, "The roster names nobody: beckon ehr roster import");
            Ok(())
        }
    }
}
