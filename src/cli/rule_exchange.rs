//! `beckon rules export|import`: rules as FHIR PlanDefinition.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::{RuleId, RuleStage};
use crate::rules::{from_plan_definition, to_plan_definition};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Without it every rule.
    rule: Option<String>,
    /// The first characters of a version; without it the live one, else the newest.
    #[arg(long, requires = "rule")]
    version: Option<String>,
    /// Writes one file a rule into this folder, instead of one document to the terminal.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// A PlanDefinition, or a Bundle of them, as JSON.
    file: PathBuf,
    /// Says what would come of it and keeps nothing.
    #[arg(long)]
    check: bool,
    #[arg(long)]
    json: bool,
}

pub(super) async fn export(at: &At, args: ExportArgs) -> Result<(), Failure> {
    let opened = at.open().await?;
    crate::app::keep_versions(&opened.store, &opened.tenant, &opened.settings).await.map_err(Failure::remote)?;
    let only = args.rule.as_deref().map(RuleId::new);
    let view = opened.store.view(&opened.tenant);
    let versions = view.rule_versions(only.as_ref()).await.map_err(Failure::remote)?;
    let mut chosen: Vec<&crate::store::RuleVersionLine> = Vec::new();
    for line in &versions {
        let wanted = args.version.as_ref().is_none_or(|start| line.rule.version.as_str().starts_with(start.as_str()));
        let known = chosen.iter().position(|it| it.rule.id == line.rule.id);
        match known {
            // The newest comes first; the live one beats it.
            Some(at) if wanted && line.stage == RuleStage::Live => chosen[at] = line,
            None if wanted => chosen.push(line),
            _ => {}
        }
    }
    if chosen.is_empty() {
        return Err(Failure::Usage("there is no such rule or version; see beckon rules status".to_owned()));
    }
    let written: Vec<Value> = chosen.iter().map(|line| to_plan_definition(&line.rule, line.stage)).collect();
    let Some(folder) = args.out else {
        return match written.as_slice() {
            [one] => output::json(one),
            many => output::json(&json!({
                "resourceType": "Bundle", "type": "collection",
                "entry": many.iter().map(|it| json!({ "resource": it })).collect::<Vec<_>>(),
            })),
        };
    };
    std::fs::create_dir_all(&folder).map_err(|error| Failure::Problem(format!("{}: {error}", folder.display())))?;
    for (line, resource) in chosen.iter().zip(&written) {
        let file = folder.join(format!("{}.json", line.rule.id));
        let text = serde_json::to_string_pretty(resource).map_err(|error| Failure::Problem(error.to_string()))?;
        std::fs::write(&file, text).map_err(|error| Failure::Problem(format!("{}: {error}", file.display())))?;
        println!("{}", file.display());
    }
    Ok(())
}

pub(super) async fn import(at: &At, args: ImportArgs) -> Result<(), Failure> {
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| Failure::Usage(format!("{}: {error}", args.file.display())))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Problem(format!("{} is not JSON: {error}", args.file.display())))?;
    let resources: Vec<&Value> = if document["resourceType"] == "Bundle" {
        document["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"]).collect()
    } else {
        vec![&document]
    };
    let opened = if args.check { None } else { Some(at.open().await?) };
    let (mut reports, mut broken) = (Vec::new(), 0);
    for resource in resources {
        let imported = from_plan_definition(resource);
        let mut is_new = None;
        if let (Some(rule), Some(opened)) = (&imported.rule, &opened) {
            let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
            is_new = Some(tx.add_rule_version(rule.rule(), &actor()).await.map_err(Failure::remote)?);
            tx.commit().await.map_err(Failure::remote)?;
        }
        broken += usize::from(imported.rule.is_none());
        if !args.json {
            for problem in &imported.problems {
                println!("{problem}");
            }
            for place in &imported.unmapped {
                println!("not taken over, for it has no meaning here: {place}");
            }
            if let Some(rule) = &imported.rule {
                let version: String = rule.version().as_str().chars().take(12).collect();
                let word = match is_new {
                    None => "can be used",
                    Some(true) => "is a draft now",
                    Some(false) => "is known already",
                };
                println!("{} {version}: {word}", rule.id());
            }
        }
        reports.push(json!({
            "rule": imported.rule.as_ref().map(crate::rules::CompiledRule::id),
            "version": imported.rule.as_ref().map(crate::rules::CompiledRule::version),
            "problems": imported.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "unmapped": imported.unmapped,
            "new": is_new,
        }));
    }
    if args.json {
        output::json(&reports)?;
    }
    if broken > 0 {
        return Err(Failure::Problem("what is named above must be put right; the others were taken over".to_owned()));
    }
    Ok(())
}
