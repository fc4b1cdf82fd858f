//! Why a patient was, or was not, reminded: for each live rule its reminders, and what it does not apply to, in words.

use crate::domain::{EhrId, PatientId, Reminder, ResourceType, RuleId, RuleVersionId, TenantId};
use crate::rules::{self, Explanation, NotApplicable, Plan};
use crate::store::Store;

use super::options::PullOptions;
use super::planning::{self, Known};
use super::run::PullError;

/// What one rule says about one patient now.
#[derive(Debug, Clone)]
pub struct RuleTrace {
    pub rule: RuleId,
    pub title: String,
    /// `None` where the rule is no longer live.
    pub version: Option<RuleVersionId>,
    pub reminders: Vec<Reminder>,
    pub not_applicable: Vec<(NotApplicable, Explanation)>,
}

/// The trace of a patient: live rules first, then rules that left reminders behind. Nothing is changed.
///
/// # Errors
/// A live rule cannot be compiled, or the store refuses.
pub async fn trace(
    store: &Store,
    tenant: &TenantId,
    ehr: &EhrId,
    patient: &PatientId,
    options: &PullOptions,
) -> Result<Vec<RuleTrace>, PullError> {
    let ground = planning::ground(store, tenant, ehr, options).await?;
    let view = store.view(tenant);
    let now = store.clock().now();
    let one = std::slice::from_ref(patient);
    let known = Known::gather(&view, ehr, one, ResourceType::ALL).await?;
    let mut traces: Vec<RuleTrace> = ground
        .rules
        .iter()
        .map(|rule| RuleTrace {
            rule: rule.id().clone(),
            title: rule.rule().title.clone(),
            version: Some(rule.version().clone()),
            reminders: vec![],
            not_applicable: vec![],
        })
        .collect();
    // Where there is no record nothing applies, and nothing is explained.
    let _explained = known.ask(&ground, patient, now, |facts| {
        let plan: Plan = rules::plan(facts, &ground.rules, now);
        for absent in plan.not_applicable {
            let rule = ground.rules.iter().find(|rule| *rule.id() == absent.rule);
            let trace = traces.iter_mut().find(|it| it.rule == absent.rule);
            if let (Some(rule), Some(trace)) = (rule, trace) {
                let explanation = rules::explain(facts, rule, &absent, now);
                trace.not_applicable.push((absent, explanation));
            }
        }
    });
    for reminder in known.existing(patient).iter().cloned() {
        match traces.iter_mut().find(|it| it.rule == reminder.plan.rule) {
            Some(trace) => trace.reminders.push(reminder),
            None => traces.push(RuleTrace {
                rule: reminder.plan.rule.clone(),
                title: reminder.plan.rule.to_string(),
                version: None,
                reminders: vec![reminder],
                not_applicable: vec![],
            }),
        }
    }
    Ok(traces)
}
