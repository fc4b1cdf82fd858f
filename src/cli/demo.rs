//! `beckon demo`

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;

use super::{Failure, output};
use crate::app::accounts::Accounts;
use crate::app::demo::{DemoClock, DemoHouse, DemoOptions};
use crate::clock::{Clock as _, ManualClock, SystemClock};
use crate::config::{Log, LogFormat};
use crate::sandbox::Personality;

/// Days that `--once` lets pass.
const DAYS: i64 = 14;
/// Days that a visitor finds in the past.
const HISTORY_DAYS: i64 = 4;

/// Examples: beckon demo          beckon demo --once --json --personality epic          beckon demo --folder ./demo
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// How many patients the simulated hospital has.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    patients: u32,
    /// The same seed makes the same patients.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whose EHR the simulated hospital has.
    #[arg(long, default_value = "hapi", value_parser = Personality::NAMES)]
    personality: String,
    /// Keep the database here; without it a temporary folder is used.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The address to listen on; nobody else reaches the default.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Run the whole loop without pages, with the clock moved forward 14 days, print counts and end.
    #[arg(long)]
    once: bool,
    #[arg(long, requires = "once")]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    crate::telemetry::init(&Log { format: LogFormat::Text, filter: "warn".to_owned() });
    let temporary = std::env::temp_dir().join(format!("beckon-demo-{}", std::process::id()));
    let is_temporary = args.folder.is_none();
    let folder = args.folder.clone().unwrap_or_else(|| temporary.clone());
    let port = if args.once { 0 } else { args.port };
    let personality = Personality::named(&args.personality)
        .ok_or_else(|| Failure::Usage(format!("there is no personality {:?}", args.personality)))?;
    let (patients, seed, listen) = (args.patients, args.seed, args.listen);
    let options = DemoOptions { patients, seed, personality, folder, listen, port };
    let result = if args.once { Box::pin(once(&args, &options)).await } else { Box::pin(interactive(&options)).await };
    if is_temporary {
        // What cannot be removed now goes with the machine's temporary files.
        let _left_behind = std::fs::remove_dir_all(&temporary);
    }
    result
}

async fn interactive(options: &DemoOptions) -> Result<(), Failure> {
    // A folder that was used before has its history already.
    let days = if options.folder.join("beckon.sqlite").exists() { 0 } else { HISTORY_DAYS };
    let clock = Arc::new(DemoClock::days_ago(days));
    let house = DemoHouse::build(options, clock.clone(), true).await.map_err(Failure::remote)?;
    println!("Beckon's demo starts. Nothing leaves this machine; everybody you see is invented.");
    println!("  pages         http://{}/", house.address);
    println!("  the EHR       {}", house.hospital.fhir_base());
    println!("  the phone     {}", house.hospital.phone_base());
    println!("  the mailbox   {}:{} (SMTP)", house.hospital.smtp_host(), house.hospital.smtp_port());
    println!("  the data      {}", options.folder.display());
    let bar = indicatif::ProgressBar::new(days as u64).with_message("living through the last days");
    let stop = async {
        // Without a signal handler the process ends by the signal itself.
        let _signal = tokio::signal::ctrl_c().await;
    };
    let ready = || {
        bar.finish_and_clear();
        println!("It is ready: open the pages and sign in with one click. Stop with Ctrl-C.");
    };
    Box::pin(house.run(&clock, &|day| bar.set_position(day as u64), ready, stop)).await.map_err(Failure::remote)
}

async fn once(args: &Args, options: &DemoOptions) -> Result<(), Failure> {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let house = DemoHouse::build(options, clock.clone(), true).await.map_err(Failure::remote)?;
    let bar = if args.json { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::new(DAYS as u64) };
    let tell = |day: i64| bar.set_position(day as u64);
    let accounts = Box::pin(house.run_days(&clock, DAYS, &tell)).await.map_err(Failure::remote)?;
    bar.finish_and_clear();
    if args.json {
        output::json(&accounts)?;
    } else {
        print_accounts(&accounts);
    }
    if accounts.unexplained.is_empty() {
        Ok(())
    } else {
        Err(Failure::Problem(format!("{} things cannot be explained", accounts.unexplained.len())))
    }
}

fn print_accounts(accounts: &Accounts) {
    println!(
        "{} patients, {} appointments, {} resources set aside",
        accounts.patients, accounts.appointments, accounts.quarantined
    );
    for (kind, count) in &accounts.out_of_roster {
        println!("{count} of type {kind} at the EHR are named by no roster and looked at by no question");
    }
    let mut rows = Vec::new();
    for (state, by_reason) in &accounts.reminders {
        for (reason, count) in by_reason {
            rows.push(vec!["reminder".to_owned(), state.clone(), reason.clone(), count.to_string()]);
        }
    }
    for (channel, by_state) in &accounts.messages {
        for (state, count) in by_state {
            rows.push(vec!["message".to_owned(), state.clone(), channel.clone(), count.to_string()]);
        }
    }
    for (meaning, count) in &accounts.replies {
        rows.push(vec!["reply".to_owned(), meaning.clone(), String::new(), count.to_string()]);
    }
    for (state, count) in &accounts.write_backs {
        rows.push(vec!["written back".to_owned(), state.clone(), String::new(), count.to_string()]);
    }
    output::table(&["WHAT", "STATE", "REASON OR CHANNEL", "COUNT"], &rows, "Nothing happened.");
    println!("{} events in the history; {} unexplained", accounts.events, accounts.unexplained.len());
    for line in &accounts.unexplained {
        println!("  {line}");
    }
}
