//! What a run shows that a person must look at; and what it shows to be well again.

use serde_json::json;

use crate::domain::{Actor, Alert, AlertKind, EventKind};
use crate::ehr::connection::EhrConnection;
use crate::ehr::error::EhrError;
use crate::ehr::plan::CapabilityPlan;
use crate::ehr::plan_words::{self, PlanLine};
use crate::ehr::token::AccessToken;
use crate::store::{Store, StoreError};

use super::report::{RunReport, TypeReport};

/// Fewer than this in quarantine are everyday life.
const FEW: usize = 20;

/// Raises or closes the alert about tokens of this EHR. A server that is merely down is the business of the alert
/// about overdue pulls.
pub(super) async fn of_token(
    store: &Store,
    connection: &EhrConnection,
    result: Result<&AccessToken, &EhrError>,
) -> Result<(), StoreError> {
    let subject = connection.id.as_str();
    let mut tx = store.write(&connection.tenant).await?;
    match result {
        Ok(token) => {
            tx.resolve_alert(AlertKind::TokenRefused, subject).await?;
            if token.missing.is_empty() {
                tx.resolve_alert(AlertKind::ScopesMissing, subject).await?;
            } else {
                let missing: Vec<String> = token.missing.iter().map(ToString::to_string).collect();
                let words = format!(
                    "The EHR did not grant {}. What lies behind looks empty; register these scopes with the EHR.",
                    missing.join(", ")
                );
                tx.raise_alert(AlertKind::ScopesMissing, subject, &words).await?;
            }
        }
        Err(error @ EhrError::Token(token)) if !token.is_transient() => {
            let words = format!("{error}. To check: {}", token.advice().join(" "));
            tx.raise_alert(AlertKind::TokenRefused, subject, &words).await?;
        }
        Err(_) => return Ok(()),
    }
    tx.commit().await
}

/// Keeps the plan of this run, and tells people where it differs from the one before. The alert ends with the run after
/// somebody saw it.
pub(super) async fn of_plan(
    store: &Store,
    connection: &EhrConnection,
    plan: &CapabilityPlan,
) -> Result<(), StoreError> {
    let (ehr, subject) = (&connection.id, connection.id.as_str());
    let now = plan.lines();
    let before = store.view(&connection.tenant).ehr_plan(ehr).await?;
    let before: Option<Vec<PlanLine>> = before.and_then(|before| serde_json::from_value(before).ok());
    if before.as_ref() == Some(&now) {
        let open = store.view(&connection.tenant).alerts(true, None, 1000).await?;
        let seen =
            |it: &Alert| it.kind == AlertKind::PlanChanged && it.subject == subject && it.acknowledged_at.is_some();
        if open.iter().any(seen) {
            let mut tx = store.write(&connection.tenant).await?;
            tx.resolve_alert(AlertKind::PlanChanged, subject).await?;
            tx.commit().await?;
        }
        return Ok(());
    }
    let changes = before.map(|before| plan_words::changes(&before, &now)).unwrap_or_default();
    let mut tx = store.write(&connection.tenant).await?;
    tx.set_ehr_plan(ehr, &json!(now)).await?;
    if !changes.is_empty() {
        let event = tx.event(Actor::system("pull"), EventKind::EhrPlanChanged).about_ehr(ehr);
        tx.append(event.with_detail(json!({"changes": changes}))).await?;
        let words = format!(
            "The way in which this EHR is asked has changed. {}. If that is not as it should be: beckon ehr override {subject} \
             --help",
            changes.join(". ")
        );
        tx.raise_alert(AlertKind::PlanChanged, subject, &words).await?;
    }
    tx.commit().await
}

/// Raises or closes the alert about unusable resources: more than a tenth of what was read, and more than a few.
pub(super) async fn of_quarantine(
    store: &Store,
    connection: &EhrConnection,
    report: &RunReport,
) -> Result<(), StoreError> {
    let sum = |count: fn(&TypeReport) -> usize| report.types.iter().map(|(_, it)| count(it)).sum::<usize>();
    let (read, aside) = (sum(|it| it.read), sum(|it| it.quarantined));
    let mut tx = store.write(&connection.tenant).await?;
    if aside > FEW && aside * 10 > read {
        let words = format!(
            "{aside} of {read} resources of the last run cannot be used. The quarantine says which and why; their \
             patients get no reminders from them."
        );
        tx.raise_alert(AlertKind::QuarantineSpike, connection.id.as_str(), &words).await?;
    } else {
        tx.resolve_alert(AlertKind::QuarantineSpike, connection.id.as_str()).await?;
    }
    tx.commit().await
}
