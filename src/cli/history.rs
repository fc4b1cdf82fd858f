//! `beckon history`

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;

use super::history_proof::{CheckpointArgs, VerifyArgs, run_checkpoint, run_verify};
use super::open::{At, Opened, actor};
use super::{Failure, output};
use crate::domain::{EhrId, Event, EventKind, PatientId};
use crate::history::export::{Export, Format};
use crate::history::packet;
use crate::history::question::Question;
use crate::history::{HistoryError, checkpoint};
use crate::store::{EventCursor, EventFilter};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Search: beckon history search --patient MRN-1042 --from 2026-03-01 --to 2026-03-31 --json
    Search(SearchArgs),
    /// Write what a search finds into a file: beckon history export --channel sms --out sent.csv
    Export(ExportArgs),
    /// One file with everything about a patient and its proofs: beckon history packet MRN-1042 --out packet.zip
    Packet(PacketArgs),
    /// Recompute everything and say what was changed: beckon history verify --checkpoint kept-in-march.checkpoint
    Verify(VerifyArgs),
    /// Sign the head of the history now, and print it: beckon history checkpoint --out today.checkpoint
    Checkpoint(CheckpointArgs),
}

/// What can be asked; all that is given must hold.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// MRN, FHIR id, or EHR/ID.
    #[arg(long)]
    patient: Option<String>,
    /// A phone number or an email address: what went there, and what became of it.
    #[arg(long)]
    address: Option<String>,
    /// From this day or instant on.
    #[arg(long)]
    from: Option<String>,
    /// Up to and with this day, or up to this instant.
    #[arg(long)]
    to: Option<String>,
    /// Only this kind, such as attempt.settled; may be given several times.
    #[arg(long)]
    kind: Vec<String>,
    #[arg(long)]
    rule: Option<String>,
    /// Version of the rule: the hash that the message names.
    #[arg(long)]
    version: Option<String>,
    /// email, sms, …
    #[arg(long)]
    channel: Option<String>,
    /// State of the message or of the reminder.
    #[arg(long)]
    state: Option<String>,
    /// Why it was not sent or did not arrive, such as opted_out.
    #[arg(long)]
    reason: Option<String>,
    /// Login of a member of staff.
    #[arg(long)]
    staff: Option<String>,
    /// treatment or operations
    #[arg(long)]
    purpose: Option<String>,
    /// How the way to the provider was protected, such as TLSv1.3.
    #[arg(long)]
    protection: Option<String>,
    /// Id of an EHR connection.
    #[arg(long)]
    ehr: Option<String>,
    /// The id of an event, a message or a reminder, a provider's reference, or the id of what was written to the EHR.
    #[arg(long)]
    reference: Option<String>,
}

#[derive(Debug, Parser)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    asked: Asked,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
    /// Go on after the page that ended so.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum As {
    Csv,
    Ndjson,
    Pdf,
}

#[derive(Debug, Parser)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    asked: Asked,
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The end of the file's name says it where this does not.
    #[arg(long)]
    format: Option<As>,
}

#[derive(Debug, Parser)]
pub(super) struct PacketArgs {
    /// MRN, FHIR id, or EHR/ID.
    patient: String,
    #[arg(long, value_name = "FILE", default_value = "packet.zip")]
    out: PathBuf,
    /// Why it is made; the history keeps it.
    #[arg(long)]
    reason: Option<String>,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    match command {
        Command::Search(args) => Box::pin(search(at, args)).await,
        Command::Export(args) => Box::pin(export(at, args)).await,
        Command::Packet(args) => Box::pin(packet(at, args)).await,
        Command::Verify(args) => Box::pin(run_verify(at, args)).await,
        Command::Checkpoint(args) => Box::pin(run_checkpoint(at, args)).await,
    }
}

impl Asked {
    fn question(&self) -> Question {
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        Question {
            address: text(&self.address),
            from: text(&self.from),
            to: text(&self.to),
            kind: self.kind.join(","),
            rule: text(&self.rule),
            version: text(&self.version),
            channel: text(&self.channel),
            state: text(&self.state),
            reason: text(&self.reason),
            staff: text(&self.staff),
            purpose: text(&self.purpose),
            protection: text(&self.protection),
            ehr: text(&self.ehr),
            reference: text(&self.reference),
        }
    }

    /// The conditions, and whom they are about.
    async fn filter(&self, opened: &Opened) -> Result<(EventFilter, Option<(EhrId, PatientId)>), Failure> {
        let organisation = &opened.settings.organisation;
        let zone = organisation.zone.unwrap_or(chrono_tz::Tz::UTC);
        let filter = self.question().filter(zone, &organisation.region);
        let mut filter = filter.map_err(|unclear| Failure::Usage(format!("--{unclear}")))?;
        let patient = match &self.patient {
            Some(text) => Some(opened.patient(text).await?),
            None => None,
        };
        if let Some((ehr, patient)) = &patient {
            crate::history::question::about_patient(&mut filter, ehr, patient);
        }
        Ok((filter, patient))
    }
}

async fn search(at: &At, args: SearchArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    let (mut filter, patient) = args.asked.filter(&opened).await?;
    filter.limit = args.limit;
    if let Some(after) = &args.after {
        let wrong = || Failure::Usage("--after takes what an earlier page ended with".to_owned());
        filter.before = Some(after.parse().map_err(|()| wrong())?);
    }
    // Who searched for what is part of the history too.
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    let mut event = tx.event(actor(), EventKind::HistorySearched).with_detail(json!({
        "asked": args.asked.question().told(), "limit": args.limit, "further_page": args.after.is_some(),
    }));
    if let Some((ehr, patient)) = &patient {
        event = event.about_patient(ehr, patient);
    }
    let events = tx.view().events(&filter).await.map_err(Failure::remote)?;
    tx.append(event).await.map_err(Failure::remote)?;
    tx.commit().await.map_err(Failure::remote)?;
    let more = events.last().filter(|_| events.len() as u64 == args.limit).map(EventCursor::of);
    if args.json {
        output::json(&events)?;
    } else {
        let rows: Vec<Vec<String>> = events.iter().map(row).collect();
        output::table(&["AT (UTC)", "EVENT", "OUTCOME", "ACTOR", "PATIENT", "RULE"], &rows, "Nothing matches.");
    }
    if let Some(more) = more {
        eprintln!("There may be more: --after {more}");
    }
    Ok(())
}

fn row(it: &Event) -> Vec<String> {
    vec![
        it.at.to_rfc3339(),
        it.kind.as_str().to_owned(),
        it.outcome.as_str().to_owned(),
        it.actor.as_text(),
        it.patient.as_ref().map_or_else(String::new, ToString::to_string),
        it.rule.as_ref().map_or_else(String::new, ToString::to_string),
    ]
}

fn failed(error: HistoryError) -> Failure {
    match error {
        HistoryError::Store(_) => Failure::remote(error),
        _ => Failure::Problem(error.to_string()),
    }
}

async fn export(at: &At, args: ExportArgs) -> Result<(), Failure> {
    let by_name = args.out.extension().and_then(|it| it.to_str()).unwrap_or_default().to_lowercase();
    let format = match (args.format, by_name.as_str()) {
        (Some(As::Csv), _) | (None, "csv") => Format::Csv,
        (Some(As::Ndjson), _) | (None, "ndjson") => Format::Ndjson,
        (Some(As::Pdf), _) | (None, "pdf") => Format::Pdf,
        (None, _) => return Err(Failure::Usage("--format is csv, ndjson or pdf".to_owned())),
    };
    let opened = at.open().await?;
    let (filter, patient) = args.asked.filter(&opened).await?;
    let unwritable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", args.out.display()));
    let mut file = std::fs::File::options().write(true).create_new(true).open(&args.out).map_err(unwritable)?;
    let mut export =
        Export::begin(&opened.store, &opened.tenant, filter, format, actor(), &args.asked.question(), patient)
            .await
            .map_err(failed)?;
    let bar = indicatif::ProgressBar::new_spinner();
    while let Some(bytes) = export.next().await.map_err(failed)? {
        file.write_all(&bytes).map_err(unwritable)?;
        bar.set_message(format!("{} events", export.count()));
        bar.tick();
    }
    file.sync_all().map_err(unwritable)?;
    bar.finish_and_clear();
    println!("{} events in {}", export.count(), args.out.display());
    Ok(())
}

async fn packet(at: &At, args: PacketArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    let (ehr, patient) = opened.patient(&args.patient).await?;
    let organisation = &opened.settings.organisation;
    let request = packet::Request {
        ehr,
        patient,
        by: actor(),
        reason: args.reason,
        organisation: organisation.name.clone(),
        gateway: opened.settings.server.public_url.clone(),
        origin: checkpoint::origin(&opened.settings, &opened.tenant),
        zone: organisation.zone.unwrap_or(chrono_tz::Tz::UTC),
    };
    let unwritable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", args.out.display()));
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&args.out).map_err(unwritable)?;
    let counts = Box::pin(packet::write(&opened.store, &opened.tenant, &request, &file)).await.map_err(failed)?;
    file.sync_all().map_err(unwritable)?;
    if args.json {
        return output::json(&counts);
    }
    println!(
        "{}: {} messages, {} events, proven against the first {} events of the log\nkey: {}",
        args.out.display(),
        counts.messages,
        counts.events,
        counts.size,
        counts.key
    );
    Ok(())
}
