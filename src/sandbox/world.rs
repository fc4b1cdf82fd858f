//! What the simulated servers share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::days::Script;
use super::ehr::Ehr;
use super::faults::Faults;
use super::generator::Awkward;
use super::mailbox::Mailbox;
use super::phone::Phone;
use super::seen::Seen;
use crate::clock::Clock;

/// Everything that is behind the listeners.
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub ehr: Ehr,
    pub phone: Phone,
    pub mailbox: Arc<Mailbox>,
    /// By which the EHR delivers notices.
    pub http: reqwest::Client,
    pub script: Script,
    pub awkward: Vec<Awkward>,
    pub faults: Arc<Faults>,
    pub seen: Seen,
}

/// Counts at the EHR, for reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    pub by_type: BTreeMap<String, usize>,
    pub appointments_by_status: BTreeMap<String, usize>,
}

impl World {
    /// Every live resource of a type, by id.
    pub fn resources(&self, kind: &str) -> Vec<Value> {
        self.ehr.archive.filter(kind, |_| true).iter().map(|version| version.body().clone()).collect()
    }

    pub fn truth(&self) -> Truth {
        let mut appointments_by_status = BTreeMap::new();
        for version in self.ehr.archive.filter("Appointment", |_| true) {
            let status = version.body()["status"].as_str().unwrap_or("none").to_owned();
            *appointments_by_status.entry(status).or_default() += 1;
        }
        Truth { by_type: self.ehr.archive.counts(), appointments_by_status }
    }
}
