//! One client per EHR and replica: token, budget and connections are shared by whoever asks.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::client::FhirClient;
use super::connect::{self, ConnectError};
use super::retry::Sleeper;
use crate::domain::{EhrId, TenantId};
use crate::store::Store;

/// Opens clients of a tenant's EHRs when they are first asked for. Clones share them.
#[derive(Debug, Clone)]
pub struct Clients {
    store: Store,
    tenant: TenantId,
    sleeper: Arc<dyn Sleeper>,
    open: Arc<Mutex<HashMap<EhrId, FhirClient>>>,
}

impl Clients {
    pub fn new(store: Store, tenant: TenantId, sleeper: Arc<dyn Sleeper>) -> Self {
        Self { store, tenant, sleeper, open: Arc::default() }
    }

    /// The client of one EHR.
    ///
    /// # Errors
    /// There is no such connection, or its keys cannot be used.
    pub async fn get(&self, ehr: &EhrId) -> Result<FhirClient, ConnectError> {
        let mut open = self.open.lock().await;
        if let Some(client) = open.get(ehr) {
            return Ok(client.clone());
        }
        let client = connect::open(&self.store, &self.tenant, ehr, Arc::clone(&self.sleeper)).await?;
        open.insert(ehr.clone(), client.clone());
        Ok(client)
    }

    /// Forgets a client, so that changed settings or keys are read anew.
    pub async fn forget(&self, ehr: &EhrId) {
        self.open.lock().await.remove(ehr);
    }
}
