//! `beckon history verify` and `beckon history checkpoint`

use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::json;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::{EventKind, EventOutcome};
use crate::history::note::Verifier;
use crate::history::verify::{Kept, Report, verify};
use crate::history::{HistoryError, checkpoint, packet};

#[derive(Debug, Parser)]
pub(super) struct VerifyArgs {
    /// A checkpoint that was kept elsewhere; may be given several times.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The public key that must have signed it, as `beckon history checkpoint --key` printed it when it was new.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Check an evidence packet instead: this needs no settings, no database and no network.
    #[arg(long, value_name = "FILE")]
    packet: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Parser)]
pub(super) struct CheckpointArgs {
    /// Write the newest checkpoint there.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the public key instead: hand it to whoever is to check.
    #[arg(long)]
    key: bool,
    /// Make a new signing key first. What the old one signed stays valid.
    #[arg(long)]
    rotate_key: bool,
    #[arg(long)]
    json: bool,
}

fn failed(error: HistoryError) -> Failure {
    match error {
        HistoryError::Store(_) => Failure::remote(error),
        _ => Failure::Problem(error.to_string()),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

pub(super) async fn run_verify(at: &At, args: VerifyArgs) -> Result<(), Failure> {
    let key = match &args.key {
        Some(text) => Some(Verifier::parse(text).map_err(|error| Failure::Usage(error.to_string()))?),
        None => None,
    };
    if let Some(path) = &args.packet {
        return check_packet(path, key.as_ref(), &args);
    }
    let mut kept = Vec::with_capacity(args.checkpoint.len());
    for path in &args.checkpoint {
        kept.push(Kept { name: path.display().to_string(), note: read(path)?, key: key.clone() });
    }
    let opened = at.open().await?;
    let bar = if args.json { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::new(0) };
    let told = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let report = verify(&opened.store, &opened.tenant, &kept, &told).await.map_err(failed)?;
    bar.finish_and_clear();
    let outcome = if report.is_whole() { EventOutcome::Done } else { EventOutcome::Failed };
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    let event = tx.event(actor(), EventKind::HistoryVerified).with_outcome(outcome).with_detail(json!({
        "size": report.size, "root": report.root, "findings": report.findings.len() as u64 + report.more,
        "kept_checkpoints": kept.len(),
    }));
    tx.append(event).await.map_err(Failure::remote)?;
    tx.commit().await.map_err(Failure::remote)?;
    if args.json {
        output::json(&report)?;
    } else {
        print(&report);
    }
    match report.findings.len() as u64 + report.more {
        0 => Ok(()),
        1 => Err(Failure::Problem("the history was changed in 1 place".to_owned())),
        many => Err(Failure::Problem(format!("the history was changed in {many} places"))),
    }
}

fn check_packet(path: &Path, key: Option<&Verifier>, args: &VerifyArgs) -> Result<(), Failure> {
    let mut kept = Vec::with_capacity(args.checkpoint.len());
    for path in &args.checkpoint {
        kept.push((path.display().to_string(), read(path)?));
    }
    let file = std::fs::File::open(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    let report = packet::check(std::io::BufReader::new(file), key, &kept).map_err(failed)?;
    if args.json {
        output::json(&report)?;
    } else {
        for problem in &report.problems {
            println!("{problem}");
        }
        println!(
            "{} events are in the log {} of {} events; {} messages are what was sent; the log continues {} earlier and \
             {} kept checkpoints",
            report.events, report.origin, report.size, report.messages, report.earlier, report.kept
        );
        if report.messages_without_digest > 0 {
            println!("of {} messages the log has no digest: they were never tried", report.messages_without_digest);
        }
        println!("signed by {}", report.key);
        if !report.key_was_given {
            println!(
                "Compare that key with the one you were given before, or give it with --key: the packet alone \
                      cannot tell whose it is."
            );
        }
    }
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(Failure::Problem("1 thing in the packet does not hold".to_owned())),
        many => Err(Failure::Problem(format!("{many} things in the packet do not hold"))),
    }
}

fn print(report: &Report) {
    for it in &report.findings {
        println!("{it}");
    }
    if report.more > 0 {
        println!("… and {} more", report.more);
    }
    println!(
        "{} of {} events were recomputed; {} checkpoints hold; root {}",
        report.rows, report.size, report.checkpoints, report.root
    );
    if report.destroyed > 0 {
        println!("of {} only the leaf is left: a retention policy destroyed what they said", report.destroyed);
    }
    if let Some(since) = report.unnumbered_since {
        let since = since.format("%Y-%m-%d %H:%M:%S UTC");
        println!("{} wait for their number, the oldest since {since}", report.unnumbered);
    }
    if report.is_whole() {
        println!("Nothing was altered, removed, moved or inserted.");
    }
}

pub(super) async fn run_checkpoint(at: &At, args: CheckpointArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    let origin = checkpoint::origin(&opened.settings, &opened.tenant);
    if args.rotate_key {
        checkpoint::rotate_key(&opened.store, &opened.tenant, &origin, actor()).await.map_err(failed)?;
    }
    let (row, new) = checkpoint::sign(&opened.store, &opened.tenant, &origin, actor()).await.map_err(failed)?;
    let keys = opened.store.view(&opened.tenant).log_keys().await.map_err(Failure::remote)?;
    let key = keys.iter().find(|key| key.id == row.key).map(checkpoint::verifier).transpose().map_err(failed)?;
    let key = key.map(|key| key.text()).unwrap_or_default();
    if let Some(path) = &args.out {
        std::fs::write(path, &row.note).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    }
    if args.json {
        return output::json(&json!({
            "size": row.size, "signed_at": row.at, "new": new, "key": key, "note": row.note,
        }));
    }
    if args.key {
        println!("{key}");
    } else if args.out.is_none() {
        print!("{}", row.note);
    }
    Ok(())
}
