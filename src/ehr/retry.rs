//! When to try again, and how long to wait first. Pure but for the sleeping, which comes in as an argument.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::clock::Entropy;

/// Waits. Tests pass one that only notes the wish.
#[async_trait::async_trait]
pub trait Sleeper: Send + Sync + std::fmt::Debug {
    async fn sleep(&self, duration: Duration);
}

/// Waits in real time.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealSleeper;

#[async_trait::async_trait]
impl Sleeper for RealSleeper {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// How patient one call is. Longer waits are the caller's: it comes back later instead of holding a task.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Tries in all.
    pub attempts: u32,
    /// Upper end of the first wait; it doubles from there.
    pub base: Duration,
    /// Longest wait inside one call, asked for by the server or chosen by us.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 4, base: Duration::from_millis(500), cap: Duration::from_mins(1) }
    }
}

/// No answer of a server is believed beyond this.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

impl RetryPolicy {
    /// The wait before try number `next` (the second try is 2), or `None` where this call must give up: all tries
    /// used, or the server wants more patience than one call has.
    pub fn wait(&self, next: u32, retry_after: Option<Duration>, entropy: &dyn Entropy) -> Option<Duration> {
        if next > self.attempts {
            return None;
        }
        // Never earlier than asked for; a little later, so that many callers do not come back in one instant.
        if let Some(asked) = retry_after {
            return (asked <= self.cap).then(|| asked + jitter(self.base, entropy));
        }
        let doublings = next.saturating_sub(2).min(16);
        Some(jitter(self.base.saturating_mul(1 << doublings).min(self.cap), entropy))
    }
}

/// A uniformly random part of `most` ("full jitter").
pub fn jitter(most: Duration, entropy: &dyn Entropy) -> Duration {
    let mut random = [0_u8; 4];
    entropy.fill(&mut random);
    most.mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))
}

/// Reads `Retry-After` in either form (seconds or HTTP date). A date is measured against the server's own `Date`
/// where there is one, so that a wrong clock on either side does no harm. Clamped to [`LONGEST_RETRY_AFTER`].
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = http_date(text)?;
            let server_now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or(now);
            (until - server_now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// Reads the date form of RFC 9110 section 5.6.7.
pub fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// Whether a status means "not now" rather than "no".
pub const fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;
    use crate::clock::SeededEntropy;

    const POLICY: RetryPolicy = RetryPolicy { attempts: 4, base: Duration::from_secs(1), cap: Duration::from_mins(1) };

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_wait_doubles_is_jittered_and_ends() {
        let entropy = SeededEntropy::new(1);
        for (next, most) in [(2, 1), (3, 2), (4, 4)] {
            let waits: Vec<Duration> = (0..50).map(|_| POLICY.wait(next, None, &entropy).unwrap()).collect();
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(most)), "try {next}");
            assert!(waits.iter().max() > waits.iter().min());
        }
        assert_eq!(POLICY.wait(5, None, &entropy), None);
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_never_cut_short() {
        let entropy = SeededEntropy::new(1);
        let wait = POLICY.wait(2, Some(Duration::from_secs(30)), &entropy).unwrap();
        assert!((30..=31).contains(&wait.as_secs()));
        assert_eq!(POLICY.wait(2, Some(Duration::from_secs(61)), &entropy), None, "the caller comes back later");
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).unwrap();
        type Case = (&'static [(&'static str, &'static str)], Option<u64>);
        let cases: [Case; 6] = [
            (&[("retry-after", "120")], Some(120)),
            (&[("retry-after", "Mon, 02 Mar 2026 10:00:30 GMT")], Some(30)),
            (&[("retry-after", "Mon, 02 Mar 2026 12:00:30 GMT"), ("date", "Mon, 02 Mar 2026 12:00:20 GMT")], Some(10)),
            (&[("retry-after", "Mon, 02 Mar 2026 09:00:00 GMT")], Some(0)),
            (&[("retry-after", "999999999")], Some(3600)),
            (&[("retry-after", "soon")], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(retry_after(&headers(pairs), now).map(|wait| wait.as_secs()), expected, "{pairs:?}");
        }
    }
}
