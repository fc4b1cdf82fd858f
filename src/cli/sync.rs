//! `beckon sync`

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::EhrId;
use crate::ehr::connect;
use crate::pull::{self, Mode, Progress, PullOptions, RunState};

/// For a bulk export that somebody watches; whoever stops it loses nothing.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_hours(24);

/// Examples: beckon sync          beckon sync --ehr north --full --json
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// Only this EHR.
    #[arg(long)]
    ehr: Option<String>,
    /// Everything, not only what changed.
    #[arg(long)]
    full: bool,
    /// Do not wait for a bulk export that the EHR prepares; the next pull goes on with it.
    #[arg(long)]
    no_wait: bool,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(at: &At, args: Args) -> Result<(), Failure> {
    let gateway = at.gateway().await?;
    let all = connect::list(&gateway.store, &gateway.tenant).await.map_err(Failure::remote)?;
    let wanted = args.ehr.map(EhrId::new);
    let chosen: Vec<EhrId> =
        all.into_iter().map(|ehr| ehr.id).filter(|id| wanted.as_ref().is_none_or(|wanted| wanted == id)).collect();
    if chosen.is_empty() {
        return Err(Failure::Usage(
            "there is no such EHR connection; `beckon ehr list` shows those there are".to_owned(),
        ));
    }
    let mode = if args.full { Mode::Full } else { Mode::Increment };
    let mut options = PullOptions::new(&gateway.settings, mode, &actor().as_text());
    if !args.no_wait {
        options.patience = LONGEST_WAIT;
    }
    let mut reports = Vec::new();
    let mut failed = Vec::new();
    for ehr in chosen {
        let bar = progress_bar(args.json);
        let outcome = match gateway.clients.get(&ehr).await {
            Ok(client) => pull::run(&gateway.store, &client, &options, &|progress| show(&bar, progress))
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        bar.finish_and_clear();
        match outcome {
            Ok(report) => {
                if report.state != RunState::Done {
                    failed.push(format!("{ehr}: not everything could be pulled"));
                }
                if !args.json {
                    print_report(&ehr, &report);
                }
                reports.push(serde_json::json!({ "ehr": ehr, "report": report }));
            }
            Err(error) => failed.push(format!("{ehr}: {error}")),
        }
    }
    if args.json {
        output::json(&reports)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Remote(failed.join("\n"))) }
}

fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Began { kind, how } => {
            bar.set_position(0);
            bar.set_message(format!("{kind} ({how})"));
        }
        Progress::Page { read, total, .. } => {
            if let Some(total) = total {
                bar.set_length(*total);
            }
            bar.set_position(*read as u64);
        }
        Progress::Ended { .. } => {}
        Progress::Exporting { words, wait } => {
            bar.set_message(format!("bulk export: {words}; asked again in {} s", wait.as_secs()));
        }
        Progress::Planned { patients } => {
            bar.set_message("planning");
            bar.set_position(*patients as u64);
        }
    }
}

fn print_report(ehr: &EhrId, report: &pull::RunReport) {
    println!("{ehr}: {}", report.state.as_str());
    let rows: Vec<Vec<String>> = report
        .types
        .iter()
        .map(|(kind, it)| {
            vec![
                kind.to_string(),
                it.how.to_owned(),
                it.read.to_string(),
                it.changed.to_string(),
                it.quarantined.to_string(),
                it.gone.to_string(),
                it.error.clone().or_else(|| it.note.clone()).unwrap_or_default(),
            ]
        })
        .collect();
    output::table(&["TYPE", "HOW", "READ", "CHANGED", "QUARANTINED", "GONE", "NOTE"], &rows, "Nothing was asked for.");
    println!(
        "planned: {} patients, {} new reminders, {} moved, {} ended",
        report.planned.patients, report.planned.planned, report.planned.moved, report.planned.ended
    );
}
