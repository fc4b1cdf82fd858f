//! Search results that are read page by page: a list of ids is kept under an opaque token, as HAPI does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};

use crate::sandbox::ehr::archive::Version;

/// One match, as it stood when the search ran.
#[derive(Clone)]
pub struct Match {
    pub version: Arc<Version>,
}

/// A search whose first page has been read.
#[derive(Clone)]
pub struct Kept {
    pub kind: String,
    pub ids: Arc<Vec<String>>,
    pub count: usize,
    pub includes: Vec<(String, String)>,
    pub self_link: String,
    expires: DateTime<Utc>,
}

impl Kept {
    pub fn new(
        kind: String,
        ids: Vec<String>,
        count: usize,
        includes: Vec<(String, String)>,
        self_link: String,
    ) -> Self {
        Self { kind, ids: Arc::new(ids), count, includes, self_link, expires: DateTime::<Utc>::MIN_UTC }
    }
}

#[derive(Default)]
pub struct Pages(Mutex<HashMap<String, Kept>>);

impl Pages {
    /// Keeps a search for so long.
    pub fn keep(&self, token: String, mut kept: Kept, now: DateTime<Utc>, life: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, old| old.expires > now);
        kept.expires = now + life;
        all.insert(token, kept);
    }

    /// The search of a token, unless it has expired.
    pub fn find(&self, token: &str, now: DateTime<Utc>) -> Option<Kept> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(token).filter(|kept| kept.expires > now).cloned()
    }
}
