//! One client per EHR and replica: token, budget and connections are shared by whoever asks.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::client::FhirClient;
use super::connect::{self, ConnectError};
use super::retry::Sleeper;
use crate::domain::{EhrId, TenantId};
use crate::store::{EhrStamp, Store};

/// Opens clients of a tenant's EHRs when they are first asked for. Clones share them.
#[derive(Debug, Clone)]
pub struct Clients {
    store: Store,
    tenant: TenantId,
    sleeper: Arc<dyn Sleeper>,
    open: Arc<Mutex<HashMap<EhrId, Open>>>,
}

#[derive(Debug, Clone)]
struct Open {
    client: FhirClient,
    stamp: EhrStamp,
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
        if let Some(it) = open.get(ehr) {
            return Ok(it.client.clone());
        }
        // Read before: what changes meanwhile is a change.
        let stamp = self.store.view(&self.tenant).ehr_stamp(ehr).await?;
        let stamp = stamp.ok_or_else(|| ConnectError::Unknown(ehr.to_string()))?;
        let client = connect::open(&self.store, &self.tenant, ehr, Arc::clone(&self.sleeper)).await?;
        open.insert(ehr.clone(), Open { client: client.clone(), stamp });
        Ok(client)
    }

    /// The client of one EHR as it is to be asked now: opened anew where a rule went live that reads more, or less.
    ///
    /// # Errors
    /// As [`Clients::get`].
    pub async fn current(&self, ehr: &EhrId) -> Result<FhirClient, ConnectError> {
        let client = self.get(ehr).await?;
        if client.connection().settings.scopes_follow_rules {
            let connection = connect::load(&self.store, &self.tenant, ehr).await?;
            let asked = connect::asking(&self.store, connection).await?.scopes;
            if asked != client.connection().scopes {
                self.forget(ehr).await;
                return self.get(ehr).await;
            }
        }
        Ok(client)
    }

    /// Forgets a client, so that changed settings or keys are read anew.
    pub async fn forget(&self, ehr: &EhrId) {
        self.open.lock().await.remove(ehr);
    }

    /// Takes up what an operator or another replica changed: a client whose settings changed is opened anew at its next
    /// use, and new keys are handed to the one that is open. Also writes what the ledgers have not written yet. One
    /// connection that cannot be read keeps no other from its news.
    pub async fn refresh(&self) {
        let standing: Vec<(EhrId, Open)> =
            self.open.lock().await.iter().map(|(ehr, open)| (ehr.clone(), open.clone())).collect();
        for (ehr, open) in standing {
            open.client.flush_ledger().await;
            if let Err(error) = self.refresh_one(&ehr, &open).await {
                tracing::warn!(%error, %ehr, "whether this connection was changed cannot be told; it is looked at again");
            }
        }
    }

    async fn refresh_one(&self, ehr: &EhrId, open: &Open) -> Result<(), ConnectError> {
        let stamp = self.store.view(&self.tenant).ehr_stamp(ehr).await?;
        match stamp {
            Some(stamp) if stamp == open.stamp => {}
            Some(stamp) if stamp.said == open.stamp.said => {
                let keys = connect::keys(&self.store, &self.tenant, ehr).await?;
                open.client.tokens().set_keys(keys);
                if let Some(standing) = self.open.lock().await.get_mut(ehr) {
                    standing.stamp = stamp;
                }
            }
            _ => self.forget(ehr).await,
        }
        Ok(())
    }
}
