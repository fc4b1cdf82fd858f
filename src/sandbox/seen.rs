//! A log of what was asked of the hospital.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// A request that reached the hospital.
#[derive(Debug, Clone, Serialize)]
pub struct SeenRequest {
    pub at: DateTime<Utc>,
    pub method: String,
    /// Path and query as sent. Patients are simulated: nothing to protect.
    pub path: String,
    pub status: u16,
}

/// The last requests, newest last.
#[derive(Debug, Default)]
pub struct Seen(Mutex<VecDeque<SeenRequest>>);

const KEPT: usize = 10_000;

impl Seen {
    pub fn note(&self, request: SeenRequest) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() == KEPT {
            seen.pop_front();
        }
        seen.push_back(request);
    }

    pub fn all(&self) -> Vec<SeenRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
