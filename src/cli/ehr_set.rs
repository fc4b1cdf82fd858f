//! `beckon ehr set`

use clap::Parser;
use serde_json::{Map, Value, json};

use super::ehr::load;
use super::open::{Opened, actor};
use super::{Failure, output};
use crate::domain::{EhrId, ResourceType};
use crate::ehr::connect;
use crate::ehr::connection::EhrSettings;
use crate::ehr::plan::{Export, Notices};

/// Examples: beckon ehr set north --export group     beckon ehr set north --file-host files.ehr.example
#[derive(Debug, Parser)]
pub(super) struct Args {
    id: String,
    /// Another host from which exported files may be fetched, such as the EHR's object storage; `*.` before a name means
    /// everything below it. May be given several times; replaces what was set before.
    #[arg(long = "file-host", value_name = "HOST")]
    file_hosts: Option<Vec<String>>,
    /// Whose data is exported in bulk; `auto` leaves it to the plan.
    #[arg(long, value_parser = ["auto", "off", "system", "patient", "group"])]
    export: Option<String>,
    /// Which types are exported, such as Condition,Observation; `auto` leaves it to the plan.
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    export_types: Option<Vec<String>>,
    /// How the EHR tells of changes by itself; `auto` leaves it to the plan.
    #[arg(long, value_parser = ["auto", "off", "classic", "backport", "r5", "athena"])]
    notices: Option<String>,
    /// What it is to tell of: a topic by its canonical URL, or for `classic` a type; may be given several times, and `auto`
    /// leaves it to the plan.
    #[arg(long = "topic", value_name = "URL")]
    topics: Option<Vec<String>>,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(opened: &Opened, args: Args) -> Result<(), Failure> {
    let mut settings = load(opened, &args.id).await?.settings;
    let changed = change(&mut settings, &args)?;
    if changed.is_empty() {
        return Err(Failure::Usage("nothing to change was named; see beckon ehr set --help".to_owned()));
    }
    let detail = Value::Object(changed);
    let new = settings.clone();
    connect::change_settings(
        &opened.store,
        &opened.tenant,
        &EhrId::new(args.id.clone()),
        move |settings| *settings = new,
        detail.clone(),
        actor(),
    )
    .await
    .map_err(Failure::remote)?;
    if args.json {
        return output::json(&detail);
    }
    println!(
        "Changed. A gateway that runs takes it up when it starts again; beckon ehr test {} shows the plan.",
        args.id
    );
    Ok(())
}

/// Makes the changes, and answers what the history is told of them.
fn change(settings: &mut EhrSettings, args: &Args) -> Result<Map<String, Value>, Failure> {
    let mut changed = Map::new();
    if let Some(hosts) = &args.file_hosts {
        if let Some(wrong) =
            hosts.iter().find(|host| host.contains(['/', ':', '@']) || host.trim_start_matches("*.").is_empty())
        {
            return Err(Failure::Usage(format!(
                "--file-host {wrong:?} is not the name of a host, such as files.ehr.example"
            )));
        }
        settings.file_hosts.clone_from(hosts);
        changed.insert("file_hosts".to_owned(), json!(hosts));
    }
    if let Some(export) = &args.export {
        settings.plan.export = match export.as_str() {
            "off" => Some(Export::Off),
            "system" => Some(Export::System),
            "patient" => Some(Export::Patient),
            "group" => Some(Export::Group),
            _ => None,
        };
        changed.insert("export".to_owned(), json!(export));
    }
    if let Some(names) = &args.export_types {
        let named = |name: &String| {
            ResourceType::parse(name).ok_or_else(|| Failure::Usage(format!("{name:?} is no type that Beckon reads")))
        };
        let auto = names.len() == 1 && names[0] == "auto";
        settings.plan.export_types = if auto { None } else { Some(names.iter().map(named).collect::<Result<_, _>>()?) };
        changed.insert("export_types".to_owned(), json!(names));
    }
    if let Some(notices) = &args.notices {
        settings.plan.notices = Notices::parse(notices);
        changed.insert("notices".to_owned(), json!(notices));
    }
    if let Some(topics) = &args.topics {
        let auto = topics.len() == 1 && topics[0] == "auto";
        settings.plan.topics = (!auto).then(|| topics.clone());
        changed.insert("topics".to_owned(), json!(topics));
    }
    Ok(changed)
}

/// `beckon ehr subscriptions`
pub(super) async fn subscriptions(opened: &Opened, id: &str, as_json: bool) -> Result<(), Failure> {
    let ehr = load(opened, id).await?.id;
    let all = opened.store.view(&opened.tenant).subscriptions(&ehr).await.map_err(Failure::remote)?;
    if as_json {
        let rows: Vec<Value> = all
            .iter()
            .map(|it| {
                json!({"dialect": it.dialect, "about": it.name, "state": it.state.as_str(), "at_ehr": it.remote_id,
                       "heard_at": it.heard_at, "last_event": it.last_event, "error": it.error})
            })
            .collect();
        return output::json(&rows);
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|it| {
            let heard =
                it.heard_at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
            vec![
                it.name.clone(),
                it.dialect.clone(),
                it.state.as_str().to_owned(),
                heard,
                it.error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let empty = "This EHR tells of nothing by itself; beckon ehr test says why.";
    output::table(&["ABOUT", "DIALECT", "STATE", "HEARD", "NOTE"], &rows, empty);
    Ok(())
}
