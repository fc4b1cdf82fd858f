//! What the provider's error codes mean. An unknown code is permanent and not repeated.

use chrono::TimeDelta;

use crate::domain::{Outcome, Rejection};

/// What a code says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It certainly did not arrive, and may be tried again after this time.
    Retry(TimeDelta),
    Reject(Rejection),
}

/// The meaning of a code, from a refusal or from a later report.
pub fn meaning(code: u32) -> Meaning {
    use Rejection as R;
    let minutes = TimeDelta::minutes;
    match code {
        // Too many requests, or the queue is full.
        20429 | 30001 => Meaning::Retry(minutes(5)),
        // Handset switched off or without coverage.
        30003 => Meaning::Retry(minutes(45)),
        // The carrier does not say why.
        30008 => Meaning::Retry(minutes(15)),
        // Campaign rate or daily cap exceeded.
        30022 | 30023 => Meaning::Retry(minutes(60)),
        // Wrong credentials, suspended or unknown account, a sender that is not ours or not registered.
        20003 | 20005 | 20404 | 21603 | 21606 | 21659 | 21660 | 30002 | 30034 => Meaning::Reject(R::Sender),
        21610 => Meaning::Reject(R::OptedOut),
        // Not a number, not reachable from this sender, not a mobile, unknown, a landline. 30004 (blocked by carrier or
        // recipient) is no word of the person, so it costs this address on this channel and no more.
        21211 | 21217 | 21612 | 21614 | 21635 | 30004 | 30005 | 30006 => Meaning::Reject(R::Address),
        // 21408 (region), 21617 (too long), 30007 (filtered), 30036 (validity over), and whatever comes new.
        _ => Meaning::Reject(R::Message),
    }
}

pub(super) fn outcome(code: u32) -> Outcome {
    match meaning(code) {
        Meaning::Retry(after) => Outcome::Retry { after: Some(after), code: code.to_string() },
        Meaning::Reject(because) => Outcome::Reject { code: code.to_string(), because },
    }
}
