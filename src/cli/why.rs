//! `beckon why`

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
                print_reminder(reminder, &decisions);
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

fn print_reminder(reminder: &Reminder, decisions: &[Decision]) {
    let reason = reminder.reason.map_or_else(String::new, |reason| format!(": {}", reason.words()));
    println!(
        "{} / {} on {} (due {}): {}{reason}",
        reminder.plan.rule,
        reminder.plan.step,
        reminder.plan.occasion.resource,
        reminder.plan.due_at,
        reminder.state.as_str(),
    );
    if decisions.is_empty() && reminder.state == ReminderState::Planned {
        println!("    not decided yet; it is decided when it falls due");
    }
    for decision in decisions {
        println!("    {} {}", decision.at, verdict_words(&decision.verdict));
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

fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Release(release) => format!("released by {} in {}", release.channel, release.language),
        Verdict::Withhold(reason) => format!("withheld: {}", reason.words()),
        Verdict::Wait { until, reason } => format!("waits until {until}: {}", reason.words()),
        Verdict::Expire(reason) => format!("expired: {}", reason.words()),
        Verdict::Cancel(reason) => format!("cancelled: {}", reason.words()),
    }
}
