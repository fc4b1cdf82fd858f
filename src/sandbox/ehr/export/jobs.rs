//! Exports that were kicked off: what they hold is fixed at that instant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::sandbox::ehr::archive::Version;

/// One file, not yet written out.
#[derive(Debug, Clone)]
pub enum Content {
    Resources(Vec<Arc<Version>>),
    Lines(Vec<Value>),
}

#[derive(Debug, Clone)]
pub struct File {
    /// `output`, `deleted` or `error`.
    pub section: &'static str,
    pub kind: String,
    pub content: Content,
}

impl File {
    pub fn count(&self) -> usize {
        match &self.content {
            Content::Resources(versions) => versions.len(),
            Content::Lines(lines) => lines.len(),
        }
    }

    pub fn ndjson(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut push = |value: &Value| {
            out.extend_from_slice(value.to_string().as_bytes());
            out.push(b'\n');
        };
        match &self.content {
            Content::Resources(versions) => versions.iter().for_each(|version| push(version.body())),
            Content::Lines(lines) => lines.iter().for_each(push),
        }
        out
    }
}

/// One export.
#[derive(Debug, Clone)]
pub struct Job {
    pub request: String,
    pub at: DateTime<Utc>,
    pub expires: DateTime<Utc>,
    pub files: Arc<Vec<File>>,
    /// How often it was asked for.
    pub asked: u32,
}

/// All exports that are kept, by id.
#[derive(Debug, Default)]
pub struct Exports {
    jobs: Mutex<(u32, BTreeMap<String, Job>)>,
}

impl Exports {
    /// Keeps a job under a new id.
    pub fn keep(&self, secret: &str, job: Job) -> String {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.0 += 1;
        let id = format!("{}-{}", jobs.0, secret.get(..12).unwrap_or_default());
        jobs.1.insert(id.clone(), job);
        id
    }

    pub fn find(&self, id: &str, now: DateTime<Utc>) -> Option<Job> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.1.get(id).filter(|job| job.expires > now).cloned()
    }

    pub fn asked(&self, id: &str) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = jobs.1.get_mut(id) {
            job.asked += 1;
        }
    }

    pub fn end(&self, id: &str) -> bool {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).1.remove(id).is_some()
    }

    /// How many are kept now, and how many were ever kicked off.
    pub fn counts(&self) -> (usize, u32) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        (jobs.1.len(), jobs.0)
    }
}

/// A line of a `deleted` file (Bulk Data IG, "deleted").
pub fn deletion(keys: &[(String, String)]) -> Value {
    let entries: Vec<Value> =
        keys.iter().map(|(kind, id)| json!({"request": {"method": "DELETE", "url": format!("{kind}/{id}")}})).collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}
