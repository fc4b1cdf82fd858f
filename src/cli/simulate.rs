//! `beckon simulate`

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::Parser;
use serde_json::json;

use super::open::At;
use super::{Failure, output};
use crate::app::Gateway;
use crate::app::simulate::{Difference, Question, Row, Simulated, compare, rules_of, simulate};
use crate::domain::{RuleId, RuleVersionId};
use crate::rules::{self, CompiledRule};

/// Examples: beckon simulate --from 2026-03-02 --to 2026-03-09          beckon simulate --from 2026-02-01 --to 2026-02-08 --rule no-show-follow-up --folder rules --compare
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// A day (its first instant on the organisation's clock) or an instant.
    #[arg(long)]
    from: String,
    /// A day (its last instant) or an instant.
    #[arg(long)]
    to: String,
    /// Only this rule. The others then spend nothing of anybody's budget.
    #[arg(long)]
    rule: Option<String>,
    /// The first characters of a version of it, instead of the live one.
    #[arg(long, requires = "rule")]
    version: Option<String>,
    /// The rule as it stands in this folder, instead of the live one.
    #[arg(long, requires = "rule", conflicts_with = "version")]
    folder: Option<std::path::PathBuf>,
    /// Shows only what differs from the live version.
    #[arg(long, requires = "rule")]
    compare: bool,
    /// Nothing that came later is known. Without it, a time that is over is replayed as of its beginning.
    #[arg(long)]
    as_of: Option<String>,
    /// Lines of who would get nothing.
    #[arg(long, default_value_t = 200)]
    limit: usize,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(at: &At, args: Args) -> Result<(), Failure> {
    let gateway = at.gateway().await?;
    let zone = gateway.settings.organisation.zone.unwrap_or(Tz::UTC);
    let from = instant(&args.from, zone, false)?;
    let to = instant(&args.to, zone, true)?;
    if to <= from {
        return Err(Failure::Usage("--to lies before --from".to_owned()));
    }
    let now = gateway.store.clock().now();
    let as_of = args.as_of.as_deref().map(|text| instant(text, zone, false)).transpose()?;
    let as_of = as_of.or((from < now).then_some(from));
    if as_of.is_some_and(|as_of| as_of > from) {
        return Err(Failure::Usage("--as-of lies after --from: it would know what had not happened yet".to_owned()));
    }
    let chosen = chosen(&gateway, &args).await?;
    let question = |rules| Question { from, to, as_of, rules };
    let simulated = Box::pin(simulate(&gateway, &question(chosen))).await.map_err(Failure::remote)?;
    if args.compare {
        let only = args.rule.as_deref().map(RuleId::new);
        let live = rules_of(&gateway, only.as_ref(), None).await.map_err(|error| Failure::Usage(error.to_string()))?;
        let before = Box::pin(simulate(&gateway, &question(live))).await.map_err(Failure::remote)?;
        let differences = compare(&before, &simulated);
        if args.json {
            return output::json(&differences);
        }
        print_differences(&differences, zone);
        return Ok(());
    }
    if args.json {
        return output::json(&json!({ "from": from, "to": to, "as_of": as_of, "simulated": simulated }));
    }
    print(&simulated, as_of, zone, args.limit);
    Ok(())
}

async fn chosen(gateway: &Gateway, args: &Args) -> Result<Vec<CompiledRule>, Failure> {
    let only = args.rule.as_deref().map(RuleId::new);
    if let Some(folder) = &args.folder {
        let (found, problems) = rules::load_folder(folder);
        let one = found.into_iter().find(|rule| Some(rule.id()) == only.as_ref());
        return one.map(|one| vec![one]).ok_or_else(|| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failure::Problem(format!("the folder has no such rule that can be used\n{}", told.join("\n")))
        });
    }
    let version = match (&only, args.version.as_deref()) {
        (Some(rule), Some(start)) => {
            let view = gateway.store.view(&gateway.tenant);
            let versions = view.rule_versions(Some(rule)).await.map_err(Failure::remote)?;
            let fitting: Vec<RuleVersionId> =
                versions.into_iter().map(|it| it.rule.version).filter(|it| it.as_str().starts_with(start)).collect();
            match fitting.as_slice() {
                [one] => Some(one.clone()),
                _ => return Err(Failure::Usage(format!("{} versions begin with {start}", fitting.len()))),
            }
        }
        _ => None,
    };
    rules_of(gateway, only.as_ref(), version.as_ref()).await.map_err(|error| Failure::Usage(error.to_string()))
}

/// A day, or an instant with its offset.
fn instant(text: &str, zone: Tz, ends: bool) -> Result<DateTime<Utc>, Failure> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        let day = if ends { day.checked_add_days(Days::new(1)).unwrap_or(day) } else { day };
        return rules::start_of_day(day, zone).ok_or_else(|| Failure::Usage(format!("{text} is no day")));
    }
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .map_err(|_| Failure::Usage(format!("{text:?} is neither a day (2026-03-02) nor an instant")))
}

fn print(simulated: &Simulated, as_of: Option<DateTime<Utc>>, zone: Tz, limit: usize) {
    let (sent, not): (Vec<&Row>, Vec<&Row>) = simulated.rows.iter().partition(|row| row.outcome == "send");
    let rows: Vec<Vec<String>> = sent
        .iter()
        .map(|row| {
            let text = |it: &Option<String>| it.clone().unwrap_or_default();
            vec![
                local(row.at, zone),
                format!("{}/{}", row.ehr, row.patient),
                row.rule.to_string(),
                row.step.as_ref().map(ToString::to_string).unwrap_or_default(),
                row.resource.clone(),
                text(&row.channel),
                text(&row.language),
                text(&row.template),
            ]
        })
        .collect();
    let head = ["WHEN", "PATIENT", "RULE", "STEP", "ABOUT", "CHANNEL", "LANGUAGE", "TEXT"];
    output::table(&head, &rows, "Nobody would get anything.");
    println!();
    let rows: Vec<Vec<String>> = not
        .iter()
        .take(limit)
        .map(|row| {
            vec![
                format!("{}/{}", row.ehr, row.patient),
                row.rule.to_string(),
                row.step.as_ref().map(ToString::to_string).unwrap_or_default(),
                row.resource.clone(),
                row.outcome.to_owned(),
                row.words.clone(),
            ]
        })
        .collect();
    output::table(
        &["NOT", "RULE", "STEP", "ABOUT", "OUTCOME", "WHY"],
        &rows,
        "Everybody in question would get something.",
    );
    if not.len() > limit {
        println!("and {} more; --limit shows them, --json has all", not.len() - limit);
    }
    let mut counts: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for row in &simulated.rows {
        *counts.entry((row.rule.to_string(), row.outcome)).or_default() += 1;
    }
    println!();
    let rows: Vec<Vec<String>> =
        counts.into_iter().map(|((rule, outcome), count)| vec![rule, outcome.to_owned(), count.to_string()]).collect();
    output::table(&["RULE", "OUTCOME", "COUNT"], &rows, "No rule has anything to say.");
    println!("{} patients. Nothing was stored and nothing left.", simulated.patients);
    if let Some(as_of) = as_of {
        println!(
            "As of {}: {} resources changed since and are taken as they are now; {} appointments stood as booked then.",
            local(Some(as_of), zone),
            simulated.changed_since,
            simulated.taken_back
        );
    }
}

fn print_differences(differences: &[Difference], zone: Tz) {
    let told = |row: Option<&Row>| {
        row.map_or_else(
            || "nothing".to_owned(),
            |row| {
                let parts =
                    [Some(row.outcome.to_owned()), row.channel.clone(), row.template.clone(), row.reason.clone()];
                let parts: Vec<String> =
                    parts.into_iter().flatten().chain(row.at.map(|at| local(Some(at), zone))).collect();
                parts.join(" ")
            },
        )
    };
    let rows: Vec<Vec<String>> = differences
        .iter()
        .filter_map(|it| {
            let row = it.after.as_ref().or(it.before.as_ref())?;
            Some(vec![
                format!("{}/{}", row.ehr, row.patient),
                row.resource.clone(),
                row.step.as_ref().map(ToString::to_string).unwrap_or_default(),
                told(it.before.as_ref()),
                told(it.after.as_ref()),
            ])
        })
        .collect();
    output::table(&["PATIENT", "ABOUT", "STEP", "LIVE VERSION", "THIS VERSION"], &rows, "Both versions do the same.");
}

fn local(at: Option<DateTime<Utc>>, zone: Tz) -> String {
    at.map_or_else(String::new, |at| at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string())
}
