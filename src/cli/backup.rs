//! `beckon backup`, `beckon restore`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use super::open::{At, actor};
use super::{Failure, output};
use crate::app::backup::{self, BackupError};
use crate::app::{self, Gateway, reconcile};
use crate::clock::{SystemClock, SystemEntropy};
use crate::store::DumpError;

/// Examples: beckon backup /var/backups/beckon-2026-03-02.backup
#[derive(Debug, Parser)]
pub(super) struct BackupArgs {
    /// The file to write; it must not be there yet.
    file: PathBuf,
    #[arg(long)]
    json: bool,
}

/// Examples: beckon restore beckon.backup --reconcile          beckon restore --reconcile (after a restore without it)
#[derive(Debug, Parser)]
pub(super) struct RestoreArgs {
    /// The file to restore; without it nothing is restored, and only --reconcile is done.
    #[arg(required_unless_present = "reconcile")]
    file: Option<PathBuf>,
    /// Replace everything that is in the database.
    #[arg(long, requires = "file")]
    force: bool,
    /// Ask the EHR and the SMS provider what went out since the backup, so that it does not go out again.
    #[arg(long)]
    reconcile: bool,
    #[arg(long)]
    json: bool,
}

pub(super) async fn backup(at: &At, args: BackupArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    let bar = progress_bar(args.json, "rows");
    let told = |done, all| show(&bar, done, all);
    let report = backup::take(&opened.store, &opened.settings, &args.file, &told, &actor()).await.map_err(failure)?;
    bar.finish_and_clear();
    if args.json {
        return output::json(&report);
    }
    println!("{} rows as of {} are in {}", report.rows, report.taken_at, report.file.display());
    println!("Only the root key of this gateway opens it: keep a copy of the key in another place.");
    Ok(())
}

pub(super) async fn restore(at: &At, args: RestoreArgs) -> Result<(), Failure> {
    let settings = at.settings()?;
    crate::telemetry::init(&settings.log);
    let store = app::open_store(&settings, Arc::new(SystemClock), Arc::new(SystemEntropy));
    let store = store.await.map_err(Failure::remote)?;
    let mut reports = serde_json::Map::new();
    if let Some(file) = &args.file {
        let bar = progress_bar(args.json, "rows");
        let told = |done, all| show(&bar, done, all);
        let report = backup::restore(&store, &settings, file, args.force, &told, &actor()).await.map_err(failure)?;
        bar.finish_and_clear();
        if !args.json {
            println!("{} rows as of {} are restored. All sending is halted.", report.rows, report.taken_at);
        }
        reports.insert("restored".to_owned(), serde_json::json!(report));
    }
    if args.reconcile {
        let mut all = Vec::new();
        for (tenant, _) in store.tenants().await.map_err(Failure::remote)? {
            let gateway = Gateway::new(store.clone(), tenant.clone(), Arc::clone(&settings)).await;
            let gateway = gateway.map_err(Failure::remote)?;
            let bar = progress_bar(args.json, "patients");
            let report = Box::pin(reconcile::run(&gateway, &|done, all| show(&bar, done, all), &actor())).await;
            bar.finish_and_clear();
            let report = report.map_err(Failure::remote)?;
            if !args.json {
                print_reconciled(tenant.as_str(), &report);
            }
            all.push(serde_json::json!({ "tenant": tenant, "report": report }));
        }
        reports.insert("reconciled".to_owned(), all.into());
    } else if !args.json {
        println!("What went out since the backup is not known here. Before beckon resume: beckon restore --reconcile");
    }
    if args.json { output::json(&reports) } else { Ok(()) }
}

fn print_reconciled(tenant: &str, report: &reconcile::Report) {
    println!("{tenant}: {} reminders had fallen due since the backup", report.due);
    println!("  {} were sent before, as the EHR's Communications show", report.found_at_ehr);
    println!("  {} were sent before, as the SMS provider's log shows", report.found_at_provider);
    println!("  {} messages that were under way are settled", report.messages_settled);
    println!("  {} may have been sent, and nothing can tell: they are withheld; see the worklist", report.uncertain);
    println!("  {} were not sent, and go out after: beckon resume", report.not_sent);
}

fn failure(error: BackupError) -> Failure {
    match &error {
        BackupError::Exists(_) | BackupError::Rows { error: DumpError::NotEmpty(_) | DumpError::InUse { .. }, .. } => {
            Failure::Usage(error.to_string())
        }
        BackupError::Store(_) => Failure::Remote(error.to_string()),
        _ => Failure::Problem(error.to_string()),
    }
}

fn progress_bar(quiet: bool, what: &'static str) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}
