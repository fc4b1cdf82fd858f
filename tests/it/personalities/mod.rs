//! Each vendor's EHR from the first pull to the write-back, on both databases: what it refuses is gone around, and what
//! cannot be done is told.

mod demo;
mod proof;
mod pulls;
mod roster;
mod write_back;

use beckon::domain::{ResourceKey, ResourceType};
use beckon::ehr::connection::{EhrConnection, Vendor};
use beckon::ehr::scopes::ScopeSet;
use beckon::pull;
use beckon::sandbox::Personality;
use serde_json::json;

use crate::support::house::{House, Setup, each_house_with, operator};

fn as_vendor(ehr: &mut EhrConnection, vendor: Vendor) {
    ehr.vendor = vendor;
    ehr.scopes = ScopeSet::for_backend(EhrConnection::scopes_for(vendor)).unwrap();
}

pub fn epic() -> Setup {
    Setup {
        hospital: |options| options.personality = Personality::epic(),
        connection: |ehr| as_vendor(ehr, Vendor::Epic),
        ..Setup::default()
    }
}

pub fn oracle() -> Setup {
    Setup {
        hospital: |options| options.personality = Personality::oracle(),
        connection: |ehr| as_vendor(ehr, Vendor::Oracle),
        ..Setup::default()
    }
}

pub fn athena() -> Setup {
    Setup {
        hospital: |options| options.personality = Personality::athena(),
        connection: |ehr| {
            as_vendor(ehr, Vendor::Athena);
            let practice = ("ah-practice".to_owned(), "Organization/a-1.Practice-1".to_owned());
            ehr.settings.search_parameters.extend([practice]);
        },
        ..Setup::default()
    }
}

/// Runs a test at each vendor that differs from the book, on every database.
pub async fn each_vendor(test: impl AsyncFn(House)) {
    for setup in [epic(), oracle(), athena()] {
        each_house_with(setup, &test).await;
    }
}

impl House {
    /// Names on the roster what this vendor's EHR does not list: the hospital's Group of all its patients, its clinics,
    /// or its list of appointments.
    pub async fn call_the_roll(&self) {
        let ids = |kind: ResourceType| {
            let resources = self.hospital.resources(kind.as_str());
            resources.iter().map(|it| ResourceKey::new(kind, it["id"].as_str().unwrap())).collect::<Vec<_>>()
        };
        let vendor = self.gateway.clients.get(&self.ehr).await.unwrap().connection().vendor;
        let keys = match vendor {
            Vendor::Epic => {
                let members = ids(ResourceType::Patient)
                    .iter()
                    .map(|key| json!({"entity": {"reference": key.to_string()}}))
                    .collect::<Vec<_>>();
                let group = json!({"resourceType": "Group", "id": "registry", "type": "person", "actual": true, "member": members});
                self.hospital.put(group).unwrap();
                vec![ResourceKey::new(ResourceType::Group, "registry")]
            }
            Vendor::Oracle => ids(ResourceType::Location),
            Vendor::Athena => ids(ResourceType::Appointment),
            Vendor::Generic | Vendor::Hapi => Vec::new(),
        };
        let keys = keys.into_iter().collect();
        pull::import_roster(&self.t.store, &self.t.tenant, &self.ehr, &keys, true, operator()).await.unwrap();
    }
}
