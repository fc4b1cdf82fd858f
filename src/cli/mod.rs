//! The command line: one file a subcommand, thin: parse, call, print. Every listing takes `--json`. Exit codes: 0 done,
//! 1 problem found, 2 wrong usage, 3 a remote side failed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this room talks to a terminal")]

mod alerts;
mod backup;
mod bench;
mod check;
mod demo;
mod ehr;
mod ehr_change;
mod ehr_keys;
mod ehr_roster;
mod ehr_set;
mod enrol;
mod enrol_clinic;
mod history;
mod history_proof;
mod open;
mod optout;
mod output;
mod reconcile;
mod rule_changes;
mod rule_exchange;
mod rule_texts;
mod rules;
mod sending;
mod serve;
mod simulate;
mod staff;
mod sync;
mod tasks;
mod tenant;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How a command ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command ran and found something that needs a person.
    #[error("{0}")]
    Problem(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// An EHR, a provider or a database did not do its part.
    #[error("{0}")]
    Remote(String),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Problem(_) => 1,
            Self::Usage(_) => 2,
            Self::Remote(_) => 3,
        }
    }

    pub(crate) fn remote(error: impl std::fmt::Display) -> Self {
        Self::Remote(error.to_string())
    }
}

/// A FHIR-integrated patient engagement gateway.
#[derive(Debug, Parser)]
#[command(name = "beckon", version, about, arg_required_else_help = true)]
struct Cli {
    /// The settings file.
    #[arg(long, global = true, default_value = "beckon.toml", value_name = "FILE")]
    config: PathBuf,
    /// The tenant that the command is about.
    #[arg(long, global = true, default_value = "main", value_name = "TENANT")]
    tenant: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A simulated hospital and a gateway, with ready-made data, on one SQLite file.
    Demo(demo::Args),
    /// Run the gateway.
    Serve(serve::Args),
    /// Check the settings and report every problem at once.
    Check,
    /// Check the connections: database, EHRs, mail relay, SMS provider.
    Doctor(ehr::DoctorArgs),
    /// Connect an EHR and look after its keys.
    #[command(subcommand)]
    Ehr(ehr::Command),
    /// Pull from the EHR now.
    Sync(sync::Args),
    /// Check, compare and list rules, and make them live.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Who would get what, when, and who would not and why; nothing leaves.
    Simulate(simulate::Args),
    /// Why a patient was, or was not, reminded.
    Why(why::Args),
    /// Is everything that was due on a day accounted for?
    Reconcile(reconcile::Args),
    /// Search the history, sign it, and prove that nothing in it was changed.
    #[command(subcommand)]
    History(Box<history::Command>),
    /// Switch a rule for a patient.
    Enrol(enrol::Args),
    /// Switch a rule for everybody who comes to a clinic, and list what is set.
    EnrolClinic(enrol_clinic::Args),
    /// Record and list opt-outs.
    #[command(subcommand)]
    Optout(optout::Command),
    /// Stop sending at once.
    Halt(sending::HaltArgs),
    /// Let sending go on.
    Resume(sending::ResumeArgs),
    /// Show or set what may leave: off, test (safe addresses only) or live.
    SendMode(sending::ModeArgs),
    /// What needs a person.
    #[command(subcommand)]
    Alerts(alerts::Command),
    /// Reminders that were handed to people.
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// Write everything into one sealed file, while the gateway runs.
    Backup(backup::BackupArgs),
    /// Put a backup into an empty database; sending starts halted.
    Restore(backup::RestoreArgs),
    /// Staff accounts.
    #[command(subcommand)]
    Staff(staff::Command),
    /// Tenants.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Load and speed figures of this machine.
    #[command(subcommand)]
    Bench(bench::Command),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    end_with_the_reader();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("beckon: no runtime can be started: {error}");
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("beckon: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// A reader that has seen enough (`beckon why … | head`) ends the command; that is no fault to tell of.
fn end_with_the_reader() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if words.starts_with("failed printing to std") && words.contains("Broken pipe") {
            std::process::exit(0);
        }
        tell(panic);
    }));
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let at = open::At { config: cli.config, tenant: crate::domain::TenantId::new(cli.tenant) };
    match cli.command {
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Serve(args) => Box::pin(serve::run(&at, args)).await,
        Command::Check => check::run(&at),
        Command::Doctor(args) => Box::pin(ehr::doctor(&at, args)).await,
        Command::Ehr(command) => Box::pin(ehr::run(&at, command)).await,
        Command::Sync(args) => Box::pin(sync::run(&at, args)).await,
        Command::Rules(command) => Box::pin(rules::run(&at, command)).await,
        Command::Simulate(args) => Box::pin(simulate::run(&at, args)).await,
        Command::Why(args) => Box::pin(why::run(&at, args)).await,
        Command::Reconcile(args) => Box::pin(reconcile::run(&at, args)).await,
        Command::History(command) => Box::pin(history::run(&at, *command)).await,
        Command::Enrol(args) => Box::pin(enrol::run(&at, args)).await,
        Command::EnrolClinic(args) => Box::pin(enrol_clinic::run(&at, args)).await,
        Command::Optout(command) => Box::pin(optout::run(&at, command)).await,
        Command::Halt(args) => Box::pin(sending::halt(&at, args)).await,
        Command::Resume(args) => Box::pin(sending::resume(&at, args)).await,
        Command::SendMode(args) => Box::pin(sending::mode(&at, args)).await,
        Command::Alerts(command) => Box::pin(alerts::run(&at, command)).await,
        Command::Tasks(command) => Box::pin(tasks::run(&at, command)).await,
        Command::Backup(args) => Box::pin(backup::backup(&at, args)).await,
        Command::Restore(args) => Box::pin(backup::restore(&at, args)).await,
        Command::Staff(command) => Box::pin(staff::run(&at, command)).await,
        Command::Tenant(command) => Box::pin(tenant::run(&at, command)).await,
        Command::Bench(command) => Box::pin(bench::run(command)).await,
    }
}
