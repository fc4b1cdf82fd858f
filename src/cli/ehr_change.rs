//! `beckon ehr scopes`, `budget`, `override`: what of a connection may be changed. A gateway that runs goes by it within
//! seconds.

use chrono_tz::Tz;
use clap::Subcommand;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::open::{Opened, actor};
use super::{Failure, ehr};
use crate::domain::{AlertKind, ResourceType};
use crate::ehr::connect;
use crate::ehr::connection::{EhrConnection, EhrSettings};
use crate::ehr::scopes::ScopeSet;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What the connection asks for; register it with the EHR as well:
    /// beckon ehr scopes north --add "system/Consent.rs"
    Scopes {
        id: String,
        #[arg(long, value_name = "SCOPES")]
        add: Option<String>,
        #[arg(long, value_name = "SCOPES")]
        remove: Option<String>,
        /// Exactly these; `default` asks for what the vendor's connections ask for.
        #[arg(long, value_name = "SCOPES", conflicts_with_all = ["add", "remove"])]
        set: Option<String>,
    },
    /// How much of the EHR may be used, over all replicas:
    /// beckon ehr budget north --calls-per-second 5 --calls-per-day 20000 --peak 7-19 --peak-share 20
    Budget {
        id: String,
        /// Calls under way at once.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
        at_once: Option<u32>,
        /// A number, or `none`.
        #[arg(long)]
        calls_per_second: Option<String>,
        /// A number, or `none`.
        #[arg(long)]
        calls_per_day: Option<String>,
        /// The EHR's busy hours, such as 7-19.
        #[arg(long)]
        peak: Option<String>,
        /// What pulls may use in busy hours, in percent.
        #[arg(long)]
        peak_share: Option<u8>,
        /// Where the EHR's day and busy hours are, such as America/Chicago.
        #[arg(long)]
        zone: Option<Tz>,
    },
    /// What you know better than the EHR's CapabilityStatement and what is known of its vendor:
    /// beckon ehr override north --ask Appointment=by_patient --changes Appointment=snapshot --write-back task
    Override {
        id: String,
        /// whole_type, by_patient, by_location_day, by_id, not_offered; `none` takes the override away.
        #[arg(long, value_name = "TYPE=HOW")]
        ask: Vec<String>,
        /// last_updated, snapshot; `none` takes the override away.
        #[arg(long, value_name = "TYPE=HOW")]
        changes: Vec<String>,
        /// conditional_create, search_before_create, search_by_patient, create_once, document_reference, task,
        /// unsupported, or `none`.
        #[arg(long)]
        write_back: Option<String>,
        /// Several reads in one request.
        #[arg(long, value_parser = ["yes", "no", "none"])]
        batch: Option<String>,
    },
}

pub(super) async fn run(opened: &Opened, command: Command) -> Result<(), Failure> {
    match command {
        Command::Scopes { id, add, remove, set } => {
            let connection = ehr::load(opened, &id).await?;
            scopes(opened, &connection, add.as_deref(), remove.as_deref(), set.as_deref()).await
        }
        Command::Budget { id, at_once, calls_per_second, calls_per_day, peak, peak_share, zone } => {
            let connection = ehr::load(opened, &id).await?;
            let mut settings = connection.settings.clone();
            settings.concurrency = at_once.unwrap_or(settings.concurrency);
            let budget = &mut settings.budget;
            if let Some(text) = &calls_per_second {
                budget.calls_per_second = number(text, "--calls-per-second")?;
            }
            if let Some(text) = &calls_per_day {
                budget.calls_per_day = number(text, "--calls-per-day")?;
            }
            if let Some(text) = &peak {
                let hours =
                    text.split_once('-').and_then(|(from, until)| Some((from.parse().ok()?, until.parse().ok()?)));
                let wrong = || Failure::Usage(format!("--peak {text:?} is not two hours, such as 7-19"));
                (budget.peak_from_hour, budget.peak_until_hour) = hours.ok_or_else(wrong)?;
            }
            budget.peak_share_percent = peak_share.or(budget.peak_share_percent);
            budget.zone = zone.or(budget.zone);
            budget.check().map_err(|error| Failure::Usage(error.to_string()))?;
            let detail = json!({"at_once": settings.concurrency, "budget": settings.budget});
            change(opened, &connection, settings, detail).await?;
            // A higher limit ends what the lower one caused; a limit that still holds raises it again.
            let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
            tx.resolve_alert(AlertKind::EhrBudgetSpent, connection.id.as_str()).await.map_err(Failure::remote)?;
            tx.commit().await.map_err(Failure::remote)
        }
        Command::Override { id, ask, changes, write_back, batch } => {
            let connection = ehr::load(opened, &id).await?;
            let mut settings = connection.settings.clone();
            let plan = &mut settings.plan;
            for text in &ask {
                let (kind, how) = pair(text, "--ask")?;
                match word(how, "--ask")? {
                    Some(how) => plan.ask.insert(kind, how),
                    None => plan.ask.remove(&kind),
                };
            }
            for text in &changes {
                let (kind, how) = pair(text, "--changes")?;
                match word(how, "--changes")? {
                    Some(how) => plan.changes.insert(kind, how),
                    None => plan.changes.remove(&kind),
                };
            }
            if let Some(text) = &write_back {
                plan.write_back = word(text, "--write-back")?;
            }
            match batch.as_deref() {
                Some("yes") => plan.batch = Some(true),
                Some("no") => plan.batch = Some(false),
                Some(_) => plan.batch = None,
                None => {}
            }
            let detail = json!({"plan": settings.plan});
            change(opened, &connection, settings, detail).await?;
            println!("The plan with it: beckon ehr plan {id}");
            Ok(())
        }
    }
}

async fn scopes(
    opened: &Opened,
    connection: &EhrConnection,
    add: Option<&str>,
    remove: Option<&str>,
    set: Option<&str>,
) -> Result<(), Failure> {
    let read = |text: &str| ScopeSet::for_backend(text).map_err(|error| Failure::Usage(error.to_string()));
    let mut scopes = match set {
        Some("default") => read(EhrConnection::scopes_for(connection.vendor))?,
        Some(text) => read(text)?,
        None => connection.scopes.clone(),
    };
    if let Some(text) = add {
        scopes = scopes.with(&read(text)?);
    }
    if let Some(text) = remove {
        scopes = scopes.minus(&read(text)?);
    }
    if scopes.is_empty() {
        return Err(Failure::Usage(
            "a connection that asks for nothing is of no use; leave one scope at least".to_owned(),
        ));
    }
    if scopes == connection.scopes {
        println!("Nothing changed. Asked for: {scopes}");
        return Ok(());
    }
    connect::change_scopes(&opened.store, &opened.tenant, &connection.id, scopes.clone(), actor())
        .await
        .map_err(Failure::remote)?;
    println!("Asked for from now on: {scopes}");
    println!("Register the same with the EHR, then: beckon ehr test {}", connection.id);
    Ok(())
}

async fn change(opened: &Opened, connection: &EhrConnection, to: EhrSettings, detail: Value) -> Result<(), Failure> {
    if to == connection.settings {
        return Err(Failure::Usage("nothing to change was named; see --help".to_owned()));
    }
    connect::change_settings(&opened.store, &opened.tenant, &connection.id, |settings| *settings = to, detail, actor())
        .await
        .map_err(Failure::remote)?;
    println!("Changed. A gateway that runs goes by it within seconds.");
    Ok(())
}

/// A number, or nothing for `none`.
fn number<T: std::str::FromStr>(text: &str, option: &str) -> Result<Option<T>, Failure> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Failure::Usage(format!("{option} {text:?} is not a number, and not none")))
}

fn pair<'a>(text: &'a str, option: &str) -> Result<(ResourceType, &'a str), Failure> {
    let wrong = || Failure::Usage(format!("{option} {text:?} is not TYPE=HOW, such as Appointment=by_patient"));
    let (kind, how) = text.split_once('=').ok_or_else(wrong)?;
    Ok((ResourceType::parse(kind).ok_or_else(wrong)?, how))
}

/// A word as the settings spell it, or nothing for `none`.
fn word<T: DeserializeOwned>(text: &str, option: &str) -> Result<Option<T>, Failure> {
    if text == "none" {
        return Ok(None);
    }
    serde_json::from_value(Value::String(text.to_owned()))
        .map(Some)
        .map_err(|_| Failure::Usage(format!("{option} does not know {text:?}; see --help")))
}
