//! `beckon why`

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use clap::Parser;
use serde_json::{Value, json};

use super::open::At;
use super::{Failure, output};
use crate::domain::{CheckResult, Decision, Reminder, ReminderState, RuleId, Verdict};
use crate::pull::{self, Mode, PullOptions};

/// Examples: beckon why MRN-1042          beckon why p17 --rule appointment-reminder --json
#[derive(Debug, Parser)]
pub(super) struct Args {
    /// MRN, FHIR id, or EHR/ID.
    patient: String,
    #[arg(long)]
    rule: Option<String>,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(at: &At, args: Args) -> Result<(), Failure> {
    let opened = at.open().await?;
    let (ehr, patient) = opened.patient(&args.patient).await?;
    let view = opened.store.view(&opened.tenant);
    let options = PullOptions::new(&opened.settings, Mode::Increment, "why");
    let trace = Box::pin(pull::trace(&opened.store, &opened.tenant, &ehr, &patient, &options))
        .await
        .map_err(Failure::remote)?;
    let wanted = args.rule.map(RuleId::new);
    let mut documents = Vec::new();
    for rule in trace.into_iter().filter(|it| wanted.as_ref().is_none_or(|wanted| *wanted == it.rule)) {
        let mut reminders = Vec::new();
        for reminder in &rule.reminders {
            let decisions = view.decisions_on(reminder.id).await.map_err(Failure::remote)?;
            if !args.json {
                print_reminder(reminder, &decisions, opened.zone());
            }
            reminders.push(json!({ "reminder": reminder, "decisions": decisions }));
        }
        if !args.json {
            for (absent, explanation) in &rule.not_applicable {
                let step = absent.step.as_ref().map_or_else(String::new, |step| format!(" / {step}"));
                println!("{}{step} on {}: no reminder: {}", rule.rule, absent.resource, explanation.words);
                for found in &explanation.found {
                    let version = found.version_id.as_deref().unwrap_or("unversioned");
                    println!("      fact {} (version {version})", found.key);
                }
            }
            if rule.reminders.is_empty() && rule.not_applicable.is_empty() {
                println!("{}: nothing of this patient is of its kind", rule.rule);
            }
        }
        let absent: Vec<Value> = rule
            .not_applicable
            .iter()
            .map(|(it, explanation)| {
                json!({
                    "resource": it.resource.to_string(), "step": it.step, "reason": it.reason,
                    "words": explanation.words, "found": explanation.found, "next": explanation.next,
                })
            })
            .collect();
        documents.push(json!({
            "rule": rule.rule, "version": rule.version, "reminders": reminders, "not_applicable": absent,
        }));
    }
    if args.json {
        output::json(&json!({ "ehr": ehr, "patient": patient, "rules": documents }))?;
    } else if documents.is_empty() {
        println!("No rule is live; see beckon rules status.");
    }
    Ok(())
}

fn print_reminder(reminder: &Reminder, decisions: &[Decision], zone: Tz) {
    let reason = reminder.reason.map_or_else(String::new, |reason| format!(": {}", reason.words()));
    println!(
        "{} / {} on {} (due {}): {}{reason}",
        reminder.plan.rule,
        reminder.plan.step,
        reminder.plan.occasion.resource,
        moment(reminder.plan.due_at, zone),
        reminder.state.as_str(),
    );
    if decisions.is_empty() && reminder.state == ReminderState::Planned {
        println!("    not decided yet; it is decided when it falls due");
    }
    for decision in decisions {
        println!("    {} {}", moment(decision.at, zone), verdict_words(&decision.verdict, zone));
        for check in &decision.checks {
            let mark = match check.result {
                CheckResult::Passed => "ok  ",
                CheckResult::Failed => "FAIL",
                CheckResult::Unknown => "????",
                CheckResult::NotApplicable => "-   ",
            };
            println!("      {mark} {}: {}", check.name, check.words);
        }
        for fact in &decision.facts {
            let source = fact.source.as_ref().map_or_else(String::new, |source| {
                let version = source.version_id.as_deref().unwrap_or("unversioned");
                format!(" ({} version {version})", source.key)
            });
            println!("      fact {} = {}{source}", fact.name, fact.value);
        }
    }
}

/// On the organisation's wall clock.
fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
}

fn verdict_words(verdict: &Verdict, zone: Tz) -> String {
    match verdict {
        Verdict::Release(release) => {
            format!("released by {}, language {}", release.channel.in_words(), release.language)
        }
        Verdict::Withhold(reason) => format!("withheld: {}", reason.words()),
        Verdict::Wait { until, reason } => format!("waits until {}: {}", moment(*until, zone), reason.words()),
        Verdict::Expire(reason) => format!("expired: {}", reason.words()),
        Verdict::Cancel(reason) => format!("cancelled: {}", reason.words()),
    }
}
