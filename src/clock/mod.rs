//! Where time and randomness come from. Every other room receives them as arguments, so that a decision can be
//! replayed and a test never waits. This room must not know what the time is used for.

mod entropy;

use std::sync::Mutex;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

pub use entropy::{Entropy, SeededEntropy, SystemEntropy, hexadecimal};

/// A source of the current instant, UTC, truncated to microseconds (what PostgreSQL keeps).
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock. Its accuracy is the operator's NTP's.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the system clock is read")]
    fn now(&self) -> DateTime<Utc> {
        to_micros(Utc::now())
    }
}

/// A clock that stands still until it is told to move; for tests and the fast-forwarded demo.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    pub fn at(start: DateTime<Utc>) -> Self {
        Self(Mutex::new(to_micros(start)))
    }

    /// Moves to `instant`; a clock never goes back, so an earlier instant changes nothing.
    pub fn set(&self, instant: DateTime<Utc>) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = to_micros(instant).max(*now);
    }

    pub fn advance(&self, by: TimeDelta) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = to_micros(*now + by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Drops what is finer than a microsecond, so that an instant compares equal after a trip through either database.
pub fn to_micros(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(instant)
}
