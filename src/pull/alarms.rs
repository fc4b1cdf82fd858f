//! What a run shows that a person must look at; and what it shows to be well again.

use crate::domain::AlertKind;
use crate::ehr::connection::EhrConnection;
use crate::ehr::error::EhrError;
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
