//! `beckon bench`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Failure, output};
use crate::app::bench::{
    self, BenchDatabase, BulkFigures, Cost, HistoryFigures, Place, PlanFigures, PullFigures, PullInput, SendFigures,
    SendInput, SideFigures, StoredFigures,
};
use crate::config::{Log, LogFormat};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Resources into the sealed mirror, beside parsing alone and beside a plain insert.
    #[command(after_help = "Examples:\n  beckon bench pull --patients 1000,10000\n  beckon bench pull --ndjson \
                            ./synthea --database postgres://beckon@127.0.0.1:5432 --json\n  beckon bench pull --bulk \
                            --patients 1000,50000")]
    Pull(PullArgs),
    /// Planning all starter rules, in memory and through the store.
    #[command(after_help = "Examples:\n  beckon bench plan\n  beckon bench plan --patients 10000,100000 --stored \
                            1000,10000 --json")]
    Plan(PlanArgs),
    /// Due mails to a mail server that keeps nothing, beside the mail client alone and beside a relay.
    #[command(after_help = "Examples:\n  beckon bench send\n  beckon bench send --messages 20000 --reread --json\n  \
                            beckon bench send --relay 127.0.0.1:10025 --sink-port 10026")]
    Send(SendArgs),
    /// Appending to the history, searching it and verifying it, beside a plain table with the same indexes.
    #[command(after_help = "Examples:\n  beckon bench history\n  beckon bench history --events 1000000 --database \
                            postgres://beckon@127.0.0.1:5432 --json")]
    History(HistoryArgs),
}

/// What all benches need.
#[derive(Debug, Parser)]
struct Where {
    /// `sqlite`, or a server on which databases may be made: postgres://user@host:port. Nothing that is there is touched.
    #[arg(long, default_value = "sqlite", value_parser = database)]
    database: BenchDatabase,
    /// Where the bench's own folder is made and removed; the machine's folder for temporary files without it.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Parser)]
pub(super) struct PullArgs {
    /// How many generated patients; several numbers make several runs.
    #[arg(long, value_delimiter = ',', default_value = "1000", value_name = "N")]
    patients: Vec<u32>,
    /// Files *.ndjson or *.ndjson.gz instead of generated patients.
    #[arg(long, value_name = "FOLDER", conflicts_with = "patients")]
    ndjson: Option<PathBuf>,
    /// Over HTTP, as a bulk export of an EHR, with planning; without it from the disk, beside simpler ways.
    #[arg(long)]
    bulk: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Parser)]
pub(super) struct PlanArgs {
    /// How many patients are planned in memory; several numbers make several runs.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000", value_name = "N")]
    patients: Vec<u32>,
    /// How many are planned through the store.
    #[arg(long, value_delimiter = ',', default_value = "1000", value_name = "N")]
    stored: Vec<u32>,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Parser)]
pub(super) struct SendArgs {
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    messages: u32,
    /// Ask a simulated EHR for Patient and Appointment again before each message.
    #[arg(long)]
    reread: bool,
    /// Send the same mails through this relay too; it must forward them to the sink.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "sink_port")]
    relay: Option<SocketAddr>,
    /// Where the mail sink listens; the system chooses without it.
    #[arg(long, value_name = "PORT")]
    sink_port: Option<u16>,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Parser)]
pub(super) struct HistoryArgs {
    /// How many events; several numbers make several runs.
    #[arg(long, value_delimiter = ',', default_value = "100000", value_name = "N")]
    events: Vec<u64>,
    #[command(flatten)]
    place: Where,
}

fn database(text: &str) -> Result<BenchDatabase, String> {
    match text {
        "sqlite" => Ok(BenchDatabase::Sqlite),
        url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Ok(BenchDatabase::Postgres(url.to_owned()))
        }
        _ => Err("write \"sqlite\" or \"postgres://user@host:port\"".to_owned()),
    }
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    crate::telemetry::init(&Log { format: LogFormat::Text, filter: "error".to_owned() });
    match command {
        Command::Pull(args) => Box::pin(pull(args)).await,
        Command::Plan(args) => Box::pin(plan(args)).await,
        Command::Send(args) => Box::pin(send(args)).await,
        Command::History(args) => Box::pin(history(args)).await,
    }
}

impl Where {
    fn place(&self) -> Result<Place, Failure> {
        Place::make(self.folder.as_deref()).map_err(Failure::remote)
    }

    fn spinner(&self) -> ProgressBar {
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        bar
    }
}

async fn pull(args: PullArgs) -> Result<(), Failure> {
    let (place, bar) = (args.place.place()?, args.place.spinner());
    let inputs: Vec<PullInput> = match args.ndjson {
        Some(folder) => vec![PullInput::Folder(folder)],
        None => args.patients.into_iter().map(PullInput::Generated).collect(),
    };
    if args.bulk {
        let mut runs = Vec::new();
        for input in inputs {
            let tell = |words: &str| bar.set_message(words.to_owned());
            runs.push(bench::bulk(&input, &args.place.database, &place, &tell).await.map_err(Failure::remote)?);
        }
        bar.finish_and_clear();
        return print(args.place.json, &runs, |runs| runs.iter().for_each(print_bulk));
    }
    let mut runs = Vec::new();
    for input in inputs {
        let tell = |words: &str| bar.set_message(words.to_owned());
        runs.push(bench::pull(&input, &args.place.database, &place, &tell).await.map_err(Failure::remote)?);
    }
    bar.finish_and_clear();
    print(args.place.json, &runs, |runs| runs.iter().for_each(print_pull))
}

async fn plan(args: PlanArgs) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Runs {
        memory: Vec<PlanFigures>,
        stored: Vec<StoredFigures>,
    }
    let (place, bar) = (args.place.place()?, args.place.spinner());
    let tell = |words: &str| bar.set_message(words.to_owned());
    let mut runs = Runs { memory: Vec::new(), stored: Vec::new() };
    for patients in args.patients {
        runs.memory.push(bench::pure(patients, &tell).map_err(Failure::remote)?);
    }
    for patients in args.stored {
        let stored = bench::stored(patients, &args.place.database, &place, &tell).await;
        runs.stored.push(stored.map_err(Failure::remote)?);
    }
    bar.finish_and_clear();
    print(args.place.json, &runs, |runs| {
        let rows: Vec<Vec<String>> =
            runs.memory.iter().map(plan_row).chain(runs.stored.iter().map(stored_row)).collect();
        output::table(&["PATIENTS", "WHERE", "PATIENTS/S", "µS EACH", "REMINDERS"], &rows, "Nothing was planned.");
    })
}

async fn send(args: SendArgs) -> Result<(), Failure> {
    let (place, bar) = (args.place.place()?, args.place.spinner());
    let tell = |words: &str| bar.set_message(words.to_owned());
    let input = SendInput {
        messages: args.messages,
        reread: args.reread,
        relay: args.relay,
        sink_port: args.sink_port.unwrap_or(0),
    };
    let figures = bench::send(&input, &args.place.database, &place, &tell).await.map_err(Failure::remote)?;
    bar.finish_and_clear();
    print(args.place.json, &figures, print_send)
}

async fn history(args: HistoryArgs) -> Result<(), Failure> {
    let (place, bar) = (args.place.place()?, args.place.spinner());
    let tell = |words: &str| bar.set_message(words.to_owned());
    let mut runs = Vec::new();
    for events in args.events {
        let figures = bench::history(events.max(1000), &args.place.database, &place, &tell).await;
        runs.push(figures.map_err(Failure::remote)?);
    }
    bar.finish_and_clear();
    print(args.place.json, &runs, |runs: &Vec<HistoryFigures>| runs.iter().for_each(print_history))
}

fn print_history(it: &HistoryFigures) {
    println!("{} events on {}", it.events, it.database);
    let rows = [
        cost_row("append", &it.append, it.events),
        cost_row("plain table", &it.plain_append, it.events),
        cost_row("number", &it.number, it.events),
        cost_row("verify", &it.verify, it.events),
    ];
    output::table(&["WHAT", "SECONDS", "EVENTS/S", "CPU µS EACH", "PEAK MB"], &rows, "");
    let searches: Vec<Vec<String>> = it
        .searches
        .iter()
        .map(|it| {
            vec![
                it.what.to_owned(),
                format!("{:.0}", it.micros),
                format!("{:.0}", it.plain_micros),
                format!("{:.2}", it.times_plain),
            ]
        })
        .collect();
    output::table(&["PAGE OF 50", "µS", "PLAIN µS", "TIMES"], &searches, "");
    println!();
}

fn print<T: Serialize>(json: bool, figures: &T, for_people: impl FnOnce(&T)) -> Result<(), Failure> {
    if json {
        return output::json(figures);
    }
    for_people(figures);
    Ok(())
}

fn cost_row(what: &str, cost: &Cost, count: u64) -> Vec<String> {
    vec![
        what.to_owned(),
        format!("{:.2}", cost.seconds),
        format!("{:.0}", cost.rate(count)),
        format!("{:.0}", cost.micros_each(count)),
        format!("{:.0}", cost.peak_megabytes),
    ]
}

fn print_pull(it: &PullFigures) {
    println!(
        "{} on {}: {} resources, {:.1} MB ({} lines of other types, {} in quarantine)",
        it.input, it.database, it.resources, it.megabytes, it.skipped, it.quarantined
    );
    let rows = [
        cost_row("parse alone", &it.parse, it.resources),
        cost_row("plain insert", &it.plain, it.resources),
        cost_row("sealed mirror", &it.mirror, it.resources),
        cost_row("planning", &it.planning, it.resources),
    ];
    output::table(&["WHAT", "SECONDS", "RESOURCES/S", "CPU µS EACH", "PEAK MB"], &rows, "");
    println!(
        "mirror and planning: {:.0} resources/s, {:.1} MB/s, {:.2} of the plain insert; {} reminders of {} patients\n",
        it.resources_per_second, it.megabytes_per_second, it.share_of_plain, it.planned.planned, it.planned.patients
    );
}

fn print_bulk(it: &BulkFigures) {
    println!(
        "{} on {}, by bulk export: {} resources, {:.1} MB ({} in quarantine)",
        it.input, it.database, it.resources, it.megabytes, it.quarantined
    );
    let rows = [cost_row("export, mirror, planning", &it.cost, it.resources)];
    output::table(&["WHAT", "SECONDS", "RESOURCES/S", "CPU µS EACH", "PEAK MB"], &rows, "");
    println!(
        "{:.1} MB/s; {} reminders of {} patients\n",
        it.megabytes_per_second, it.planned.planned, it.planned.patients
    );
}

fn plan_row(it: &PlanFigures) -> Vec<String> {
    vec![
        it.patients.to_string(),
        "memory".to_owned(),
        format!("{:.0}", it.patients_per_second),
        format!("{:.1}", it.micros_each),
        it.reminders.to_string(),
    ]
}

fn stored_row(it: &StoredFigures) -> Vec<String> {
    vec![
        it.patients.to_string(),
        it.database.to_owned(),
        format!("{:.0}", it.patients_per_second),
        format!("{:.1}", it.micros_each),
        it.reminders.to_string(),
    ]
}

fn print_send(it: &SendFigures) {
    println!(
        "{} mails on {}, {}",
        it.messages,
        it.database,
        if it.reread { "EHR read again" } else { "from the mirror" }
    );
    let side = |what: &str, side: &SideFigures| cost_row(what, &side.cost, it.messages.into());
    let mut rows = vec![cost_row("gateway", &it.cost, it.messages.into()), side("mail client alone", &it.bare)];
    rows.extend(it.relay.as_ref().map(|relay| side("relay", relay)));
    output::table(&["WHAT", "SECONDS", "MAILS/S", "CPU µS EACH", "PEAK MB"], &rows, "");
    let stages: Vec<Vec<String>> = it
        .stages
        .iter()
        .map(|stage| {
            vec![
                stage.stage.to_owned(),
                format!("{:.2}", stage.seconds),
                format!("{:.0}", stage.wall_micros_each),
                format!("{:.0}", stage.cpu_micros_each),
            ]
        })
        .collect();
    output::table(&["STAGE", "SECONDS", "µS EACH", "CPU µS EACH"], &stages, "");
    println!("{:.2} of the mail client alone", it.share_of_bare);
    match it.times_relay {
        Some(times) => println!("{times:.2} times the relay"),
        None => println!("no relay was named"),
    }
}
