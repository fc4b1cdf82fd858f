//! `beckon ehr roster`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::open::{Opened, actor};
use super::{Failure, ehr, output};
use crate::domain::{EhrId, ResourceType};
use crate::pull;

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

pub(super) async fn run(opened: &Opened, command: Command) -> Result<(), Failure> {
    match command {
        Command::Import { id, file, kind, replace } => {
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
