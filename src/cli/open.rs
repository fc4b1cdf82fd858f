//! Settings and database of a command.

use std::path::PathBuf;
use std::sync::Arc;

use chrono_tz::Tz;

use super::Failure;
use crate::app::{self, Gateway};
use crate::clock::{SystemClock, SystemEntropy};
use crate::config::{self, ConfigError, Settings};
use crate::domain::{Actor, EhrId, PatientId, TenantId};
use crate::store::Store;

/// Where the command line points.
pub(crate) struct At {
    pub(crate) config: PathBuf,
    pub(crate) tenant: TenantId,
}

/// Settings, database and tenant, ready for use.
pub(crate) struct Opened {
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) tenant: TenantId,
}

impl At {
    pub(crate) fn settings(&self) -> Result<Arc<Settings>, Failure> {
        config::load(&self.config).map(Arc::new).map_err(|error| match error {
            ConfigError::NoFile(_) => Failure::Usage(error.to_string()),
            ConfigError::Unreadable(_) | ConfigError::Problems(_) => Failure::Problem(error.to_string()),
        })
    }

    /// Opens the database; the tenant `main` is made when it is first needed.
    pub(crate) async fn open(&self) -> Result<Opened, Failure> {
        let settings = self.settings()?;
        crate::telemetry::init(&settings.log);
        let store = app::open_store(&settings, Arc::new(SystemClock), Arc::new(SystemEntropy))
            .await
            .map_err(Failure::remote)?;
        if self.tenant == TenantId::main() {
            store.add_tenant(&self.tenant, &settings.organisation.name).await.map_err(Failure::remote)?;
        } else if !store.tenants().await.map_err(Failure::remote)?.iter().any(|(id, _)| *id == self.tenant) {
            let words =
                format!("there is no tenant {:?}; `beckon tenant list` shows those there are", self.tenant.as_str());
            return Err(Failure::Usage(words));
        }
        Ok(Opened { settings, store, tenant: self.tenant.clone() })
    }

    pub(crate) async fn gateway(&self) -> Result<Gateway, Failure> {
        let opened = self.open().await?;
        Gateway::new(opened.store, opened.tenant, opened.settings).await.map_err(Failure::remote)
    }
}

impl Opened {
    /// The wall clock on which days are meant.
    pub(crate) fn zone(&self) -> Tz {
        self.settings.organisation.zone.unwrap_or(Tz::UTC)
    }

    /// Finds one patient by `EHR/ID`, logical id or MRN.
    pub(crate) async fn patient(&self, text: &str) -> Result<(EhrId, PatientId), Failure> {
        let view = self.store.view(&self.tenant);
        let ehrs = view.ehrs().await.map_err(Failure::remote)?;
        if let Some((ehr, id)) = text.split_once('/') {
            return Ok((EhrId::new(ehr), PatientId::new(id)));
        }
        let mut found = view.find_patients("mrn", &text.trim().to_lowercase(), 5).await.map_err(Failure::remote)?;
        for ehr in &ehrs {
            let key = crate::domain::ResourceKey::new(crate::domain::ResourceType::Patient, text);
            if view.mirror_resource(&ehr.id, &key).await.map_err(Failure::remote)?.is_some() {
                found.push((ehr.id.clone(), PatientId::new(text)));
            }
        }
        found.dedup();
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Failure::Problem(
                "no patient has this id or MRN; give EHR/ID, a FHIR id or an MRN of a patient that was pulled"
                    .to_owned(),
            )),
            _ => Err(Failure::Problem("several patients have this id or MRN; give it as EHR/ID".to_owned())),
        }
    }
}

/// Who sits at this terminal: the history names them.
pub(crate) fn actor() -> Actor {
    Actor::Cli(config::operating_user())
}
