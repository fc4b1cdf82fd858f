//! Connections that wait for the next mail. Relays limit how many there may be, and how long one may idle.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Relays commonly hang up after a minute or more of silence.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Pool<C> {
    slots: Semaphore,
    idle: Mutex<Vec<(Instant, C)>>,
}

impl<C> Pool<C> {
    pub fn new(connections: u32) -> Self {
        Self { slots: Semaphore::new(connections.max(1) as usize), idle: Mutex::new(Vec::new()) }
    }

    /// Waits until one more connection may be used. `None` never happens: the semaphore is not closed.
    pub async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// The connection that waited the shortest, if it did not wait too long.
    pub fn take(&self) -> Option<C> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < LONGEST_IDLE);
        idle.pop().map(|(_, connection)| connection)
    }

    pub fn give_back(&self, connection: C) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), connection));
    }
}
