//! `beckon reconcile`

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use clap::Parser;

use super::open::{At, actor};
use super::{Failure, output};
use crate::domain::EhrId;
use crate::ehr::connect;
use crate::pull::{self, DayReport, Mode, Outcome, PullOptions};

/// Examples: beckon reconcile          beckon reconcile --day 2026-03-02 --ehr north --json
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// The day to reconcile, YYYY-MM-DD on the organisation's clock; without it yesterday.
    #[arg(long, value_name = "DAY")]
    day: Option<NaiveDate>,
    /// Only this EHR.
    #[arg(long)]
    ehr: Option<String>,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(at: &At, args: Args) -> Result<(), Failure> {
    let gateway = at.gateway().await?;
    let wanted = args.ehr.map(EhrId::new);
    let all = connect::list(&gateway.store, &gateway.tenant).await.map_err(Failure::remote)?;
    let chosen: Vec<EhrId> =
        all.into_iter().map(|ehr| ehr.id).filter(|id| wanted.as_ref().is_none_or(|wanted| wanted == id)).collect();
    if chosen.is_empty() {
        return Err(Failure::Usage(
            "there is no such EHR connection; `beckon ehr list` shows those there are".to_owned(),
        ));
    }
    let options = PullOptions::new(&gateway.settings, Mode::Increment, &actor().as_text());
    let zone = options.zone.unwrap_or(Tz::UTC);
    let today = gateway.store.clock().now().with_timezone(&zone).date_naive();
    let day = args.day.or_else(|| today.checked_sub_days(Days::new(1))).unwrap_or(today);
    let mut reports = Vec::new();
    for ehr in chosen {
        let client = gateway.clients.get(&ehr).await.map_err(Failure::remote)?;
        let report = Box::pin(pull::reconcile_day(&gateway.store, &client, &options, day, &actor()))
            .await
            .map_err(Failure::remote)?;
        if !args.json {
            print(&report);
        }
        reports.push(report);
    }
    if args.json {
        output::json(&reports)?;
    }
    if reports.iter().any(|report| report.outcome == Outcome::Unexplained) {
        return Err(Failure::Problem(
            "not everything is accounted for; what is missing or stuck is named above".into(),
        ));
    }
    match reports.iter().find_map(|report| report.at_ehr.problem.as_ref()) {
        Some(problem) => Err(Failure::Remote(format!("not everything could be counted at the EHR: {problem}"))),
        None => Ok(()),
    }
}

fn print(report: &DayReport) {
    let DayReport { at_ehr, recomputed, .. } = report;
    println!("{} at {}: {}", report.day, report.ehr, report.outcome.as_str());
    let out_of_roster = at_ehr.out_of_roster.map_or_else(|| "not known".to_owned(), |count| count.to_string());
    println!(
        "appointments at the EHR: {} = {} mirrored + {} quarantined + {} newer than the last pull; out of roster: \
         {out_of_roster}; gone since: {}",
        at_ehr.at_ehr, at_ehr.mirrored, at_ehr.quarantined, at_ehr.newer, at_ehr.gone_since
    );
    println!(
        "computed anew: {} patients ({} being planned just now), {} appointments of the day",
        recomputed.patients, recomputed.being_planned, recomputed.appointments
    );
    let mut rows = Vec::new();
    for (table, what) in [(&recomputed.reminders, "reminder"), (&recomputed.not_applicable, "not applicable")] {
        for (rule, counts) in table {
            let line = |(code, count): (&String, &u64)| {
                vec![rule.to_string(), what.to_owned(), code.clone(), count.to_string()]
            };
            rows.extend(counts.iter().map(line));
        }
    }
    output::table(&["RULE", "STEPS WITH", "STATE OR REASON", "COUNT"], &rows, "No live rule is about appointments.");
    let due: Vec<Vec<String>> = report
        .due
        .iter()
        .flat_map(|(state, reasons)| reasons.iter().map(move |(reason, count)| (state, reason, count)))
        .map(|(state, reason, count)| vec![state.clone(), reason.clone(), count.to_string()])
        .collect();
    output::table(&["DUE ON THE DAY", "REASON", "COUNT"], &due, "No reminder falls due on this day.");
    for it in &report.unexplained {
        let parts = [
            it.rule.as_ref().map(ToString::to_string),
            it.step.as_ref().map(ToString::to_string),
            it.resource.clone(),
            it.patient.as_ref().map(|patient| format!("patient {}/{patient}", report.ehr)),
            it.due_at.map(|at| format!("due {at}")),
        ];
        println!("UNEXPLAINED {}: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "), it.words);
    }
    for it in &report.stuck {
        println!("STUCK {} {} since {}: {}", it.what, it.id, it.since, it.words);
    }
}
