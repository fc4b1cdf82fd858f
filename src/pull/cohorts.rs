//! Cohorts of rules that went live: their patients are asked to be planned anew a batch at a time, each in a transaction
//! of its own, so that it may be cut off anywhere.

use crate::domain::{EhrId, TenantId};
use crate::store::{Store, StoreError};

/// Patients asked for in one transaction.
const BATCH: u64 = 1000;

/// Takes the next batch of an open cohort. Answers whether there was one.
pub(super) async fn step(store: &Store, tenant: &TenantId, ehr: &EhrId) -> Result<bool, StoreError> {
    if !store.view(tenant).has_open_cohort(ehr).await? {
        return Ok(false);
    }
    let mut tx = store.write(tenant).await?;
    let step = tx.step_cohort(ehr, BATCH).await?;
    tx.commit().await?;
    Ok(step.is_some())
}
