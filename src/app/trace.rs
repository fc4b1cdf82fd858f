//! Why a patient was, or was not, reminded: for each live rule its reminders, and what it does not apply to.

use std::sync::Arc;

use super::AppError;
use crate::config::Settings;
use crate::domain::{EhrId, PatientId, Reminder, RuleId, RuleVersionId, TenantId};
use crate::pull::{self, Mode, PullOptions};
use crate::rules::NotApplicable;
use crate::store::Store;

/// What one rule says about one patient now.
#[derive(Debug, Clone)]
pub struct RuleTrace {
    pub rule: RuleId,
    pub version: Option<RuleVersionId>,
    pub reminders: Vec<Reminder>,
    pub not_applicable: Vec<NotApplicable>,
}

/// The trace of a patient: live rules first, then rules that left reminders behind.
pub async fn of_patient(
    store: &Store,
    tenant: &TenantId,
    settings: &Arc<Settings>,
    ehr: &EhrId,
    patient: &PatientId,
) -> Result<Vec<RuleTrace>, AppError> {
    let options = PullOptions::new(settings, Mode::Increment, "trace");
    let preview = pull::preview(store, tenant, ehr, patient, &options).await?;
    let live = store.view(tenant).live_rules().await?;
    let mut traces: Vec<RuleTrace> = live
        .into_iter()
        .map(|rule| RuleTrace { rule: rule.id, version: Some(rule.version), reminders: vec![], not_applicable: vec![] })
        .collect();
    for reminder in preview.existing {
        match traces.iter_mut().find(|it| it.rule == reminder.plan.rule) {
            Some(trace) => trace.reminders.push(reminder),
            None => traces.push(RuleTrace {
                rule: reminder.plan.rule.clone(),
                version: None,
                reminders: vec![reminder],
                not_applicable: vec![],
            }),
        }
    }
    for absent in preview.plan.not_applicable {
        if let Some(trace) = traces.iter_mut().find(|it| it.rule == absent.rule) {
            trace.not_applicable.push(absent);
        }
    }
    Ok(traces)
}
