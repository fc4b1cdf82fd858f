//! The clock of a bench: it begins at a chosen instant, runs as time does, and can be moved on.

use std::sync::Mutex;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::{Clock, to_micros};

#[derive(Debug)]
pub struct BenchClock {
    started: Instant,
    /// What the clock showed at `started`, later moves included.
    zero: Mutex<DateTime<Utc>>,
}

impl BenchClock {
    pub fn at(start: DateTime<Utc>) -> Self {
        Self { started: Instant::now(), zero: Mutex::new(start) }
    }

    /// Moves on to `instant`; a clock never goes back.
    pub fn move_to(&self, instant: DateTime<Utc>) {
        let ahead = instant - self.now();
        if ahead > TimeDelta::zero() {
            *self.zero.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += ahead;
        }
    }
}

impl Clock for BenchClock {
    fn now(&self) -> DateTime<Utc> {
        let zero = *self.zero.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        to_micros(zero + TimeDelta::from_std(self.started.elapsed()).unwrap_or_default())
    }
}
