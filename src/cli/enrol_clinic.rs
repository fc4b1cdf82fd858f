//! `beckon enrol-clinic`

use clap::Parser;
use serde_json::json;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::{EhrId, ResourceKey, ResourceType, RuleId};

/// Examples: beckon enrol-clinic          beckon enrol-clinic loc-east no-show-follow-up off          beckon enrol-clinic all diabetes-check-up off
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// Id of a Location, or `all` for the whole organisation. Without it the defaults are listed.
    #[arg(requires = "rule")]
    clinic: Option<String>,
    #[arg(requires = "state")]
    rule: Option<String>,
    /// `unset` goes back to what holds for the whole organisation.
    #[arg(value_parser = ["on", "off", "unset"])]
    state: Option<String>,
    /// Needed where there are several.
    #[arg(long)]
    ehr: Option<String>,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(at: &At, args: Args) -> Result<(), Failure> {
    let opened = at.open().await?;
    let view = opened.store.view(&opened.tenant);
    let wanted = args.ehr.map(EhrId::new);
    let ehrs: Vec<EhrId> = view.ehrs().await.map_err(Failure::remote)?.into_iter().map(|row| row.id).collect();
    let chosen: Vec<EhrId> = ehrs.into_iter().filter(|id| wanted.as_ref().is_none_or(|wanted| wanted == id)).collect();
    let (Some(clinic), Some(rule), Some(state)) = (args.clinic, args.rule, args.state) else {
        let mut rows = Vec::new();
        let mut documents = Vec::new();
        for ehr in &chosen {
            for it in view.clinic_defaults(ehr).await.map_err(Failure::remote)? {
                rows.push(vec![
                    ehr.to_string(),
                    it.location.clone().unwrap_or_else(|| "all".to_owned()),
                    it.rule.to_string(),
                    if it.on { "on" } else { "off" }.to_owned(),
                    it.by.clone(),
                    it.at.to_rfc3339(),
                ]);
                documents.push(json!({ "ehr": ehr, "default": it }));
            }
        }
        if args.json {
            return output::json(&documents);
        }
        output::table(
            &["EHR", "CLINIC", "RULE", "STATE", "BY", "SINCE"],
            &rows,
            "No clinic has a default of its own: every live rule is on.",
        );
        return Ok(());
    };
    let [ehr] = chosen.as_slice() else {
        return Err(Failure::Usage("name one EHR with --ehr; `beckon ehr list` shows those there are".to_owned()));
    };
    let rule = RuleId::new(rule);
    if view.rule_versions(Some(&rule)).await.map_err(Failure::remote)?.is_empty() {
        return Err(Failure::Usage(format!("there is no rule {rule}; see beckon rules status")));
    }
    let location = (clinic != "all").then_some(clinic.as_str());
    if let Some(id) = location {
        let key = ResourceKey::new(ResourceType::Location, id);
        if view.mirror_resource(ehr, &key).await.map_err(Failure::remote)?.is_none() {
            return Err(Failure::Problem(format!(
                "the mirror has no Location/{id} of {ehr}; pull first, or check the id"
            )));
        }
    }
    let on = match state.as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    tx.set_clinic_default(ehr, location, &rule, on, &actor()).await.map_err(Failure::remote)?;
    tx.commit().await.map_err(Failure::remote)?;
    println!("{rule} is {state} for {clinic} at {ehr}; a patient's own switch beats it.");
    Ok(())
}
