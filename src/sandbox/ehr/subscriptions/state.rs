//! What the server remembers of each subscription besides the resource itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

/// Something that happened, for one subscription.
#[derive(Debug, Clone)]
pub struct HookEvent {
    pub number: u64,
    pub kind: String,
    pub id: String,
    pub at: DateTime<Utc>,
    /// It was deleted.
    pub gone: bool,
}

#[derive(Debug, Default)]
pub struct Hook {
    pub count: u64,
    pub events: VecDeque<HookEvent>,
    /// What waits for delivery, with the first try of each.
    pub waiting: VecDeque<(HookEvent, Option<DateTime<Utc>>)>,
    pub last_sent: Option<DateTime<Utc>>,
    /// The key that athenahealth was given on creation.
    pub secret: Option<String>,
    /// An event that is held back so that its successor overtakes it.
    pub overtaken: Option<HookEvent>,
}

/// All subscriptions by id, and up to which change of the archive they were told.
#[derive(Debug, Default)]
pub struct Hooks {
    state: Mutex<(usize, BTreeMap<String, Hook>)>,
}

impl Hooks {
    pub fn lock(&self) -> MutexGuard<'_, (usize, BTreeMap<String, Hook>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to remember a subscription. What changed before it is not told.
    pub fn begin(&self, id: &str, secret: Option<&str>, changes: usize) {
        let mut state = self.lock();
        if state.1.is_empty() {
            state.0 = changes;
        }
        state.1.insert(id.to_owned(), Hook { secret: secret.map(str::to_owned), ..Hook::default() });
    }
}
