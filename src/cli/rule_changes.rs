//! `beckon rules status|versions|diff|add|approve|live|revert|retire`: how a rule comes to be live.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use super::open::{At, Opened, actor};
use super::{Failure, output};
use crate::domain::{Actor, Role, RuleChange, RuleId, RuleStage, RuleVersionId};
use crate::rules;
use crate::store::{RuleVersionLine, StoreError};
use crate::web::auth;

/// Who acts: an account, with its password on standard input.
#[derive(Debug, Args)]
pub(super) struct Person {
    /// Login of the account that acts; its password is read from standard input.
    #[arg(long = "as", value_name = "LOGIN")]
    login: String,
    /// Why, without patients' names.
    #[arg(long)]
    note: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Which {
    rule: String,
    /// The first characters of the version; without it the newest.
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    person: Person,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    rule: String,
    /// The first characters of a version; without it the live one.
    #[arg(long)]
    from: Option<String>,
    /// The first characters of a version; without it the newest.
    #[arg(long)]
    to: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RetireArgs {
    rule: String,
    #[command(flatten)]
    person: Person,
}

pub(super) async fn status(at: &At, as_json: bool) -> Result<(), Failure> {
    let opened = opened(at).await?;
    let versions = opened.store.view(&opened.tenant).rule_versions(None).await.map_err(Failure::remote)?;
    if as_json {
        return output::json(&versions.iter().map(line_json).collect::<Vec<_>>());
    }
    let mut rows = Vec::new();
    let mut ids: Vec<&RuleId> = versions.iter().map(|it| &it.rule.id).collect();
    ids.dedup();
    for id in ids {
        let of_rule: Vec<&RuleVersionLine> = versions.iter().filter(|it| it.rule.id == *id).collect();
        let live = of_rule.iter().find(|it| it.stage == RuleStage::Live);
        let newest = of_rule[0];
        let waiting = match newest.stage {
            RuleStage::Draft => format!("{} waits for a review", short(newest)),
            RuleStage::Reviewed => format!("{} is reviewed and not live", short(newest)),
            RuleStage::Live | RuleStage::Former => String::new(),
        };
        rows.push(vec![id.to_string(), live.map_or_else(|| "not live".to_owned(), |it| short(it)), waiting]);
    }
    output::table(&["RULE", "LIVE", "NEWEST"], &rows, "There is no rule yet.");
    Ok(())
}

pub(super) async fn versions(at: &At, rule: &str, as_json: bool) -> Result<(), Failure> {
    let opened = opened(at).await?;
    let rule = RuleId::new(rule);
    let view = opened.store.view(&opened.tenant);
    let versions = view.rule_versions(Some(&rule)).await.map_err(Failure::remote)?;
    let changes = view.rule_changes(Some(&rule)).await.map_err(Failure::remote)?;
    if as_json {
        let versions: Vec<_> = versions.iter().map(line_json).collect();
        return output::json(&json!({ "versions": versions, "changes": changes }));
    }
    let rows: Vec<Vec<String>> = versions
        .iter()
        .map(|it| vec![short(it), it.stage.as_str().to_owned(), it.added_at.to_rfc3339(), it.added_by.clone()])
        .collect();
    output::table(&["VERSION", "STAGE", "ADDED", "BY"], &rows, "There is no such rule; see beckon rules status");
    println!();
    output::table(
        &["AT (UTC)", "ACT", "VERSION", "BY", "NOTE"],
        &changes.iter().map(change_row).collect::<Vec<_>>(),
        "",
    );
    Ok(())
}

pub(super) async fn diff(at: &At, args: DiffArgs) -> Result<(), Failure> {
    let opened = opened(at).await?;
    let versions = of_rule(&opened, &args.rule).await?;
    let live = || versions.iter().find(|it| it.stage == RuleStage::Live).or(versions.get(1));
    let before = match args.from {
        Some(from) => Some(find(&versions, Some(&from))?),
        None => live(),
    };
    let after = find(&versions, args.to.as_deref())?;
    let before =
        before.ok_or_else(|| Failure::Usage("there is only one version; name another with --from".to_owned()))?;
    println!("--- {} {}\n+++ {} {}", args.rule, short(before), args.rule, short(after));
    let lines = rules::diff(&before.rule, &after.rule);
    if lines.is_empty() {
        println!("They say the same.");
    }
    for line in lines {
        println!("{}{}", line.sign, line.text);
    }
    Ok(())
}

/// Keeps the usable rules of a folder as drafts.
pub(super) async fn add(at: &At, folder: PathBuf) -> Result<(), Failure> {
    let opened = opened(at).await?;
    let (rules, problems) = rules::load_folder(&folder);
    for problem in &problems {
        println!("{problem}");
    }
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    for rule in &rules {
        let is_new = tx.add_rule_version(rule.rule(), &actor()).await.map_err(Failure::remote)?;
        let word = if is_new { "is a draft now" } else { "is known already" };
        println!("{} {}: {word}", rule.id(), rule.version().as_str().chars().take(12).collect::<String>());
    }
    tx.commit().await.map_err(Failure::remote)?;
    if rules.is_empty() {
        return Err(Failure::Problem("the folder holds no rule that can be used".to_owned()));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Review,
    Live,
    Revert,
}

pub(super) async fn act(at: &At, act: Act, which: Which) -> Result<(), Failure> {
    let opened = opened(at).await?;
    let versions = of_rule(&opened, &which.rule).await?;
    let chosen = match (act, which.version.as_deref()) {
        (Act::Revert, None) => previous(&opened, &which.rule, &versions).await?,
        (_, version) => find(&versions, version)?,
    };
    let (rule, version) = (chosen.rule.id.clone(), chosen.rule.version.clone());
    let by = identified(&opened, &which.person, &[Role::Admin, Role::Clinician]).await?;
    let note = which.person.note.as_deref();
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    let done = match act {
        Act::Review => tx.review_rule(&rule, &version, note, &by).await,
        Act::Live => tx.make_rule_live(&rule, &version, note, &by).await,
        Act::Revert => tx.revert_rule(&rule, &version, note, &by).await,
    };
    done.map_err(refused)?;
    tx.commit().await.map_err(Failure::remote)?;
    let word = match act {
        Act::Review => "is reviewed",
        Act::Live => "is live; the patients whom it may concern are planned anew",
        Act::Revert => "is live again; the patients whom it may concern are planned anew",
    };
    println!("{rule} {} {word}.", short(chosen));
    Ok(())
}

pub(super) async fn retire(at: &At, args: RetireArgs) -> Result<(), Failure> {
    let opened = opened(at).await?;
    let by = identified(&opened, &args.person, &[Role::Admin, Role::Clinician]).await?;
    let rule = RuleId::new(args.rule);
    let mut tx = opened.store.write(&opened.tenant).await.map_err(Failure::remote)?;
    tx.retire_rule(&rule, args.person.note.as_deref(), &by).await.map_err(refused)?;
    tx.commit().await.map_err(Failure::remote)?;
    println!("{rule} is retired; what it had planned is cancelled.");
    Ok(())
}

/// The database, with the versions of the rules folder in it.
async fn opened(at: &At) -> Result<Opened, Failure> {
    let opened = at.open().await?;
    crate::app::keep_versions(&opened.store, &opened.tenant, &opened.settings).await.map_err(Failure::remote)?;
    Ok(opened)
}

async fn of_rule(opened: &Opened, rule: &str) -> Result<Vec<RuleVersionLine>, Failure> {
    let view = opened.store.view(&opened.tenant);
    let versions = view.rule_versions(Some(&RuleId::new(rule))).await.map_err(Failure::remote)?;
    if versions.is_empty() {
        return Err(Failure::Usage(format!("there is no rule {rule}; see beckon rules status")));
    }
    Ok(versions)
}

/// The one version that begins so, or the newest.
fn find<'v>(versions: &'v [RuleVersionLine], start: Option<&str>) -> Result<&'v RuleVersionLine, Failure> {
    let Some(start) = start else { return Ok(&versions[0]) };
    let mut fitting = versions.iter().filter(|it| it.rule.version.as_str().starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::Usage(format!("no version begins with {start}; see beckon rules versions"))),
        _ => Err(Failure::Usage(format!("several versions begin with {start}; give more of it"))),
    }
}

/// The version that was live before the one that is.
async fn previous<'v>(
    opened: &Opened,
    rule: &str,
    versions: &'v [RuleVersionLine],
) -> Result<&'v RuleVersionLine, Failure> {
    let view = opened.store.view(&opened.tenant);
    let changes: Vec<RuleChange> = view.rule_changes(Some(&RuleId::new(rule))).await.map_err(Failure::remote)?;
    let before: Option<&RuleVersionId> = changes.iter().rev().find_map(|it| it.before.as_ref());
    before
        .and_then(|version| versions.iter().find(|it| it.rule.version == *version))
        .ok_or_else(|| Failure::Problem("no other version was live before; name one with --version".to_owned()))
}

async fn identified(opened: &Opened, person: &Person, roles: &[Role]) -> Result<Actor, Failure> {
    if std::io::stdin().is_terminal() {
        eprintln!("Password of {} (then Enter):", person.login);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::Usage(error.to_string()))?;
    let password = SecretString::from(line.trim_end_matches(['\r', '\n']).to_owned());
    let staff = auth::identify(&opened.store, &opened.tenant, &person.login, password)
        .await
        .map_err(|error| Failure::Problem(error.to_string()))?;
    if !roles.iter().any(|role| staff.has(*role)) {
        return Err(Failure::Problem(format!("{} has no role that may do this", staff.login)));
    }
    Ok(Actor::Staff(staff.login))
}

fn refused(error: StoreError) -> Failure {
    match error {
        StoreError::Conflict(words) => Failure::Problem(words),
        other => Failure::remote(other),
    }
}

fn short(line: &RuleVersionLine) -> String {
    line.rule.version.as_str().chars().take(12).collect()
}

fn line_json(it: &RuleVersionLine) -> serde_json::Value {
    json!({
        "rule": it.rule.id, "version": it.rule.version, "title": it.rule.title, "stage": it.stage,
        "added_by": it.added_by, "added_at": it.added_at,
    })
}

fn change_row(it: &RuleChange) -> Vec<String> {
    vec![
        it.at.to_rfc3339(),
        it.act.as_str().to_owned(),
        it.version.as_str().chars().take(12).collect(),
        it.by.clone(),
        it.note.clone().unwrap_or_default(),
    ]
}
