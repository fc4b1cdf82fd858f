//! `beckon rules`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::open::At;
use super::rule_changes::{Act, DiffArgs, RetireArgs, Which};
use super::rule_exchange::{ExportArgs, ImportArgs};
use super::{Failure, output, rule_changes, rule_exchange, rule_texts};
use crate::rules::{RuleProblem, Severity, load_folder, starter_rules};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check rules and report every mistake with its file and line: beckon rules check rules/
    Check {
        /// A folder of rules; without it those of the settings, or the starter rules.
        folder: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// List rules with their versions.
    List {
        folder: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Show every text as a patient would get it, with its size, its reading level and who read it over.
    Texts {
        folder: Option<PathBuf>,
        /// One rule only.
        #[arg(long)]
        rule: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Record that a qualified person read the texts of a rule in one language, as they stand:
    /// beckon rules review flu-season es --by "Ana Ruiz" --qualification "certified translator, ATA 12345"
    Review(rule_texts::ReviewArgs),
    /// Which version of each rule is live, and what waits for a person.
    Status {
        #[arg(long)]
        json: bool,
    },
    /// Every version of a rule, and who did what with it.
    Versions {
        rule: String,
        #[arg(long)]
        json: bool,
    },
    /// What changed between two versions: beckon rules diff appointment-reminder
    Diff(DiffArgs),
    /// Keep the rules of a folder as drafts: beckon rules add rules/
    Add { folder: PathBuf },
    /// Say that you looked at a version and find it right: beckon rules approve no-show-follow-up --as ada
    Approve(Which),
    /// Make a reviewed version live; whoever reviewed it cannot: beckon rules live no-show-follow-up --as ben
    Live(Which),
    /// Go back to the version that was live before, or to another that was.
    Revert(Which),
    /// Write rules as FHIR PlanDefinition: beckon rules export appointment-reminder
    Export(ExportArgs),
    /// Keep rules that come as FHIR PlanDefinition as drafts, and name what cannot be mapped.
    Import(ImportArgs),
    /// Take a rule out of use; what it planned is cancelled.
    Retire(RetireArgs),
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    match command {
        Command::Status { json } => return rule_changes::status(at, json).await,
        Command::Versions { rule, json } => return rule_changes::versions(at, &rule, json).await,
        Command::Diff(args) => return rule_changes::diff(at, args).await,
        Command::Add { folder } => return rule_changes::add(at, folder).await,
        Command::Approve(which) => return rule_changes::act(at, Act::Review, which).await,
        Command::Live(which) => return rule_changes::act(at, Act::Live, which).await,
        Command::Revert(which) => return rule_changes::act(at, Act::Revert, which).await,
        Command::Export(args) => return rule_exchange::export(at, args).await,
        Command::Import(args) => return rule_exchange::import(at, args).await,
        Command::Retire(args) => return rule_changes::retire(at, args).await,
        Command::Check { folder, json: as_json } => {
            let (rules, problems) = load(at, folder);
            let errors = problems.iter().filter(|it| it.severity == Severity::Error).count();
            if as_json {
                output::json(&json!({
                    "rules": rules.iter().map(|it| it.id()).collect::<Vec<_>>(),
                    "problems": problems.iter().map(problem).collect::<Vec<_>>(),
                }))?;
            } else {
                for problem in &problems {
                    println!("{problem}");
                }
                println!("{} rules are fine, {errors} mistakes found.", rules.len());
            }
            if errors > 0 {
                return Err(Failure::Problem("the rules named above must be put right; the others work".to_owned()));
            }
        }
        Command::List { folder, json: as_json } => {
            let (rules, _) = load(at, folder);
            if as_json {
                let rows: Vec<_> = rules
                    .iter()
                    .map(|it| json!({ "id": it.id(), "version": it.version(), "title": it.rule().title }))
                    .collect();
                return output::json(&rows);
            }
            let rows: Vec<Vec<String>> = rules
                .iter()
                .map(|it| {
                    let steps: Vec<&str> = it.rule().steps.iter().map(|step| step.id.as_str()).collect();
                    let version = it.version().as_str().chars().take(12).collect();
                    vec![it.id().to_string(), version, it.rule().title.clone(), steps.join(", ")]
                })
                .collect();
            output::table(&["RULE", "VERSION", "TITLE", "STEPS"], &rows, "There are no rules in this folder.");
        }
        Command::Texts { folder, rule, json: as_json } => {
            let (rules, _) = load(at, folder);
            rule_texts::show(&rules, rule.as_deref(), as_json)?;
        }
        Command::Review(args) => {
            let (rules, _) = load(at, None);
            rule_texts::review(at, &rules, args).await?;
        }
    }
    Ok(())
}

fn load(at: &At, folder: Option<PathBuf>) -> (Vec<crate::rules::CompiledRule>, Vec<RuleProblem>) {
    // Rules can be checked before there are any settings.
    let folder = folder.or_else(|| at.settings().ok().and_then(|settings| settings.rules.folder.clone()));
    match folder {
        Some(folder) => load_folder(&folder),
        None => starter_rules(),
    }
}

fn problem(it: &RuleProblem) -> serde_json::Value {
    json!({
        "severity": if it.severity == Severity::Error { "error" } else { "warning" },
        "rule": it.rule, "file": it.file, "line": it.line, "what": it.what, "suggestion": it.suggestion,
    })
}
