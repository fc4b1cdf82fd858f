//! `beckon ehr` and `beckon doctor`

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use serde_json::json;

use super::open::{At, Opened, actor};
use super::{Failure, output};
use crate::domain::{EhrId, PatientId};
use crate::ehr::budget::BudgetSettings;
use crate::ehr::connection::{BaseUrl, EhrConnection, EhrSettings, Vendor};
use crate::ehr::doctor::{Health, Report};
use crate::ehr::retry::RealSleeper;
use crate::ehr::scopes::ScopeSet;
use crate::ehr::{connect, doctor as ehr_doctor, portal, proof};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Connect an EHR; its signing keys are made here:
    /// beckon ehr add north --url https://ehr.example/fhir/R4 --client-id 1f2e3d --vendor epic
    Add {
        id: String,
        /// The FHIR base URL.
        #[arg(long)]
        url: String,
        /// The client id that the EHR's vendor gave.
        #[arg(long)]
        client_id: String,
        #[arg(long, default_value = "generic", value_parser = ["generic", "hapi", "epic", "oracle", "athena"])]
        vendor: String,
        /// Scopes to ask for, in quotes, and no others; without it what every run needs and what the live rules read.
        #[arg(long)]
        scopes: Option<String>,
        /// Add a parameter to every search, such as ah-practice=Organization/a-1.Practice-1; may be given several times.
        #[arg(long = "search-parameter", value_name = "NAME=VALUE")]
        search_parameters: Vec<String>,
    },
    List {
        #[arg(long)]
        json: bool,
    },
    /// What is set up, what was granted, and what to enter in the vendor's portal.
    Show {
        id: String,
        #[arg(long)]
        json: bool,
    },
    /// Try the connection: discovery, token, granted scopes, capability plan.
    Test {
        id: String,
        #[arg(long)]
        json: bool,
        /// Create one Communication about a test patient, and use Communications from now on if that works:
        /// beckon ehr test north --prove-write --patient eq081
        #[arg(long, requires = "patient")]
        prove_write: bool,
        /// The id of a test patient at this EHR.
        #[arg(long)]
        patient: Option<String>,
    },
    /// Change how a connection works; a gateway that runs takes it up when it starts again.
    Set(super::ehr_set::Args),
    /// What this EHR tells of by itself, and whether it does.
    Subscriptions {
        id: String,
        #[arg(long)]
        json: bool,
    },
    /// Whom and what to look at, where this EHR cannot list it.
    #[command(subcommand)]
    Roster(super::ehr_roster::Command),
    /// Signing keys.
    #[command(subcommand)]
    Keys(super::ehr_keys::Command),
    /// How this EHR is asked, in words and with reasons.
    Plan {
        id: String,
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Change(super::ehr_change::Command),
}

/// Example: beckon doctor --json
#[derive(Debug, Parser)]
pub(super) struct DoctorArgs {
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(at: &At, command: Command) -> Result<(), Failure> {
    let opened = at.open().await?;
    match command {
        Command::Add { id, url, client_id, vendor, scopes, search_parameters } => {
            let wrong = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
            let vendor = Vendor::parse(&vendor).unwrap_or(Vendor::Generic);
            let scopes_follow_rules = scopes.is_none();
            let scopes = scopes.as_deref().unwrap_or_else(|| EhrConnection::scopes_for(vendor));
            let named = search_parameters.iter().map(|text| {
                let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
                let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
                pair.ok_or_else(|| Failure::Usage(format!("--search-parameter {text:?} is not NAME=VALUE")))
            });
            let search_parameters = named.collect::<Result<_, _>>()?;
            // The EHR's day and busy hours are the organisation's, until somebody says otherwise.
            let budget = BudgetSettings { zone: opened.settings.organisation.zone, ..BudgetSettings::default() };
            let connection = EhrConnection {
                tenant: opened.tenant.clone(),
                id: EhrId::new(id.clone()),
                base_url: BaseUrl::parse(&url).map_err(|error| wrong(&error))?,
                vendor,
                client_id,
                scopes: ScopeSet::for_backend(scopes).map_err(|error| wrong(&error))?,
                settings: EhrSettings { scopes_follow_rules, search_parameters, budget, ..EhrSettings::default() },
            };
            connect::add(&opened.store, &connection, actor())
                .await
                .map_err(|error| Failure::Problem(error.to_string()))?;
            println!("Connected {id}. Enter this in the portal of the EHR's vendor:\n");
            let asking = connect::asking(&opened.store, connection).await.map_err(Failure::remote)?;
            println!("{}\n", portal::registration(&asking, &opened.settings.server.public_url));
            if matches!(vendor, Vendor::Epic | Vendor::Oracle | Vendor::Athena) {
                println!("This EHR does not list whom to remind; name them: beckon ehr roster import {id} --help");
            }
            println!("Then: beckon ehr test {id}");
            Ok(())
        }
        Command::List { json: as_json } => {
            let all = connect::list(&opened.store, &opened.tenant).await.map_err(Failure::remote)?;
            if as_json {
                let rows: Vec<_> = all
                    .iter()
                    .map(|it| json!({ "id": it.id, "url": it.base_url.as_str(), "vendor": it.vendor, "client_id": it.client_id }))
                    .collect();
                return output::json(&rows);
            }
            let rows: Vec<Vec<String>> = all
                .iter()
                .map(|it| vec![it.id.to_string(), it.base_url.as_str().to_owned(), it.vendor.as_str().to_owned()])
                .collect();
            output::table(&["ID", "FHIR BASE URL", "VENDOR"], &rows, "No EHR is connected yet: beckon ehr add --help");
            Ok(())
        }
        Command::Show { id, json: as_json } => show(&opened, load(&opened, &id).await?, as_json).await,
        Command::Plan { id, json: as_json } => {
            load(&opened, &id).await?;
            plan(&opened, &EhrId::new(id), as_json).await
        }
        Command::Change(command) => super::ehr_change::run(&opened, command).await,
        Command::Keys(command) => super::ehr_keys::run(&opened, command).await,
        Command::Test { id, prove_write: true, patient: Some(patient), .. } => {
            load(&opened, &id).await?;
            prove(&opened, &EhrId::new(id), &PatientId::new(patient)).await
        }
        Command::Subscriptions { id, json } => super::ehr_set::subscriptions(&opened, &id, json).await,
        Command::Set(args) => super::ehr_set::run(&opened, args).await,
        Command::Roster(command) => super::ehr_roster::run(&opened, command).await,
        Command::Test { id, json: as_json, .. } => {
            load(&opened, &id).await?;
            let report = test(&opened, &EhrId::new(id)).await?;
            if as_json {
                output::json(&report)?;
            } else {
                print_report(&report);
            }
            verdict(&report)
        }
    }
}

async fn show(opened: &Opened, it: EhrConnection, as_json: bool) -> Result<(), Failure> {
    let it = &connect::asking(&opened.store, it).await.map_err(Failure::remote)?;
    let view = opened.store.view(&opened.tenant);
    let granted = view.ehr(&it.id).await.map_err(Failure::remote)?.and_then(|row| row.granted_scopes);
    let missing = granted.as_deref().map(|granted| it.scopes.missing_from(&ScopeSet::granted(granted)));
    let budget = view.call_budget(&it.id).await.map_err(Failure::remote)?;
    let watch = view.ehr_watch(&it.id).await.map_err(Failure::remote)?;
    if as_json {
        return output::json(&json!({
            "id": it.id, "url": it.base_url.as_str(), "vendor": it.vendor, "client_id": it.client_id,
            "scopes": it.scopes, "granted": granted,
            "missing": missing.map(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "settings": it.settings, "calls_today": budget.map(|budget| budget.day_calls),
            "keys_fetched_at": watch.jwks_fetched_at,
        }));
    }
    println!("{}", portal::registration(it, &opened.settings.server.public_url));
    println!();
    match (&granted, &missing) {
        (None, _) => println!("Granted                not known yet: beckon ehr test {}", it.id),
        (_, Some(missing)) if !missing.is_empty() => {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            println!("Granted                not everything; missing: {}", missing.join(" "));
        }
        _ => println!("Granted                everything that is asked for"),
    }
    let settings = &it.settings.budget;
    let rate = settings.calls_per_second.map_or("no limit".to_owned(), |rate| format!("{rate} a second"));
    let day = settings.calls_per_day.map_or("no limit".to_owned(), |calls| format!("{calls} a day"));
    println!("Calls                  at once {}, rate {rate}, {day}", it.settings.concurrency);
    println!(
        "Busy hours             {} to {} h ({}): pulls use {} %",
        settings.peak_from_hour,
        settings.peak_until_hour,
        settings.zone(),
        settings.peak_share(it.vendor)
    );
    let fetched = watch.jwks_fetched_at.map_or("never".to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string());
    println!("Keys last fetched      {fetched}");
    Ok(())
}

async fn plan(opened: &Opened, id: &EhrId, as_json: bool) -> Result<(), Failure> {
    let client =
        connect::open(&opened.store, &opened.tenant, id, Arc::new(RealSleeper)).await.map_err(Failure::remote)?;
    let plan = client.plan().await;
    client.flush_ledger().await;
    let lines = plan.map_err(Failure::remote)?.lines();
    if as_json {
        return output::json(&lines);
    }
    let rows: Vec<Vec<String>> =
        lines.into_iter().map(|line| vec![line.what, line.how, line.why, line.source.words().to_owned()]).collect();
    output::table(&["WHAT", "HOW", "WHY", "KNOWN FROM"], &rows, "The plan is empty.");
    Ok(())
}

pub(super) async fn load(opened: &Opened, id: &str) -> Result<EhrConnection, Failure> {
    connect::load(&opened.store, &opened.tenant, &EhrId::new(id))
        .await
        .map_err(|error| Failure::Usage(error.to_string()))
}

async fn test(opened: &Opened, id: &EhrId) -> Result<Report, Failure> {
    let client =
        connect::open(&opened.store, &opened.tenant, id, Arc::new(RealSleeper)).await.map_err(Failure::remote)?;
    let mut report = ehr_doctor::test(&client).await;
    let refused = report.lines.iter_mut().find(|line| line.what == "token" && line.health == Health::Bad);
    if let Some(line) = refused {
        let text = portal::registration(client.connection(), &opened.settings.server.public_url);
        line.advice.push(format!("compare with what the vendor's portal holds:\n{text}"));
    }
    if let Ok(plan) = client.plan().await {
        let mut named = BTreeMap::new();
        let counts = opened.store.view(&opened.tenant).roster_counts(id).await.map_err(Failure::remote)?;
        for ((_, kind), count) in counts {
            *named.entry(kind).or_default() += count;
        }
        report.lines.push(ehr_doctor::roster(&plan, &named));
    }
    client.flush_ledger().await;
    Ok(report)
}

async fn prove(opened: &Opened, id: &EhrId, patient: &PatientId) -> Result<(), Failure> {
    let client =
        connect::open(&opened.store, &opened.tenant, id, Arc::new(RealSleeper)).await.map_err(Failure::remote)?;
    let proof = format!("proof-{}", opened.store.new_id());
    let gateway = &opened.settings.server.public_url;
    let written = proof::write(&client, gateway, patient, &proof).await;
    client.flush_ledger().await;
    let written = written.map_err(Failure::remote)?;
    let detail =
        json!({"communication_proven": true, "created": format!("Communication/{written}"), "patient": patient});
    let change = |settings: &mut EhrSettings| settings.plan.communication_proven = true;
    connect::change_settings(&opened.store, &opened.tenant, id, change, detail, actor())
        .await
        .map_err(Failure::remote)?;
    println!("Communication/{written} was created, read back and found. Messages are written back as Communications");
    println!("from now on. Mark the test Communication as entered in error if it disturbs.");
    Ok(())
}

pub(super) async fn doctor(at: &At, args: DoctorArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    let mut reports = vec![("database and providers".to_owned(), crate::app::doctor::local(&opened.settings).await)];
    for ehr in connect::list(&opened.store, &opened.tenant).await.map_err(Failure::remote)? {
        reports.push((format!("EHR {}", ehr.id), test(&opened, &ehr.id).await?));
    }
    if args.json {
        let rows: Vec<_> = reports.iter().map(|(what, report)| json!({ "what": what, "report": report })).collect();
        output::json(&rows)?;
    } else {
        for (what, report) in &reports {
            println!("{what}");
            print_report(report);
        }
    }
    for (_, report) in &reports {
        verdict(report)?;
    }
    Ok(())
}

fn print_report(report: &Report) {
    for line in &report.lines {
        let mark = match line.health {
            Health::Good => "good    ",
            Health::Doubtful => "doubtful",
            Health::Bad => "BAD     ",
        };
        println!("  {mark} {}: {}", line.what, line.found);
        for advice in &line.advice {
            println!("             - {advice}");
        }
    }
}

fn verdict(report: &Report) -> Result<(), Failure> {
    match report.health() {
        Health::Good | Health::Doubtful => Ok(()),
        Health::Bad => {
            Err(Failure::Remote("a connection does not work; the lines marked BAD say what to do".to_owned()))
        }
    }
}
