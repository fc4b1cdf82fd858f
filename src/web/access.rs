//! Looking at a patient's data is an act: it is recorded before the data is shown.

use std::collections::BTreeSet;

use serde_json::json;

use super::call::Call;
use super::error::WebError;
use crate::domain::{EhrId, EventKind, PatientId};

/// Records that the visitor sees these patients on the page at `route`. If this fails, nothing may be shown.
pub async fn viewed(call: &Call, route: &str, patients: BTreeSet<(EhrId, PatientId)>) -> Result<(), WebError> {
    if patients.is_empty() {
        return Ok(());
    }
    let actor = call.actor()?;
    let mut tx = call.state.store.write(&call.state.tenant).await?;
    let events = patients
        .iter()
        .map(|(ehr, patient)| {
            tx.event(actor.clone(), EventKind::PatientViewed)
                .about_patient(ehr, patient)
                .with_detail(json!({ "page": route }))
        })
        .collect();
    tx.append_all(events).await?;
    tx.commit().await?;
    Ok(())
}
