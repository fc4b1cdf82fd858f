//! When an EHR fails so often that asking on makes it worse: nobody asks for a while, then one call tries, and only when
//! that is answered do the others follow. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Entropy;
use crate::ehr::error::EhrError;
use crate::ehr::retry::jitter;

/// Trouble in a row that opens the circuit.
const TOO_MUCH: u32 = 10;
/// A call that took all its time and brought nothing weighs as much as several that failed at once: it also held a place.
const TIME_OUT_WEIGHS: u32 = 4;
/// The first rest; it doubles up to the longest.
const FIRST_REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_mins(15);

/// What an answer, or its absence, says of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ehr) enum Sign {
    /// It answers; what it answers is not the circuit's business.
    Well,
    Trouble(u32),
    /// Nothing: an answer that is too large, or a call that we gave up ourselves.
    None,
}

impl Sign {
    pub fn of_status(status: u16) -> Self {
        // Being told to slow down is an answer: that is what pauses are for.
        if status >= 500 && status != 501 { Self::Trouble(1) } else { Self::Well }
    }

    pub fn of_error(error: &EhrError) -> Self {
        match error {
            EhrError::TimedOut { .. } => Self::Trouble(TIME_OUT_WEIGHS),
            EhrError::Unreachable { .. } | EhrError::Interrupted { .. } => Self::Trouble(1),
            _ => Self::None,
        }
    }
}

/// Trouble in a row, as this process saw it.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    trouble: u32,
    /// How often in a row it was opened, by any replica; 0 while it is closed.
    pub level: u32,
    /// The one call that tries, after a rest.
    pub probing: bool,
}

/// What a sign does to the circuit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    /// Nobody asks until then.
    Open(DateTime<Utc>),
    Close,
}

impl Circuit {
    pub fn hear(&mut self, sign: Sign, now: DateTime<Utc>, entropy: &dyn Entropy) -> Turn {
        match sign {
            Sign::None => Turn::Nothing,
            Sign::Well => {
                self.trouble = 0;
                let was_open = std::mem::take(&mut self.level) > 0;
                if was_open { Turn::Close } else { Turn::Nothing }
            }
            Sign::Trouble(weight) => {
                self.trouble = self.trouble.saturating_add(weight);
                // After a rest the first trouble is enough.
                if self.trouble < TOO_MUCH && self.level == 0 {
                    return Turn::Nothing;
                }
                self.trouble = 0;
                let doublings = self.level.min(10);
                let rest = FIRST_REST.saturating_mul(1 << doublings).min(LONGEST_REST);
                let rest = rest + jitter(rest / 4, entropy);
                self.level += 1;
                Turn::Open(now + TimeDelta::from_std(rest).unwrap_or(TimeDelta::minutes(15)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededEntropy;

    fn now() -> DateTime<Utc> {
        "2026-03-02T18:00:00Z".parse().unwrap()
    }

    #[test]
    fn it_opens_after_trouble_in_a_row_and_rests_longer_each_time() {
        let (entropy, mut circuit) = (SeededEntropy::new(1), Circuit::default());
        for _ in 0..9 {
            assert_eq!(circuit.hear(Sign::Trouble(1), now(), &entropy), Turn::Nothing);
        }
        let mut rests = Vec::new();
        for _ in 0..8 {
            let Turn::Open(until) = circuit.hear(Sign::Trouble(1), now(), &entropy) else { panic!("stays closed") };
            rests.push((until - now()).num_seconds());
        }
        assert!((30..=38).contains(&rests[0]), "{rests:?}");
        assert!((60..=75).contains(&rests[1]), "{rests:?}");
        assert!(rests.iter().all(|rest| *rest <= 15 * 60 * 5 / 4), "{rests:?}");
        assert_eq!(circuit.hear(Sign::Well, now(), &entropy), Turn::Close);
        assert_eq!(circuit.hear(Sign::Trouble(1), now(), &entropy), Turn::Nothing, "it begins from nought");
    }

    #[test]
    fn an_answer_in_between_keeps_it_closed_and_time_outs_weigh_more() {
        let (entropy, mut circuit) = (SeededEntropy::new(1), Circuit::default());
        for _ in 0..50 {
            assert_eq!(circuit.hear(Sign::Trouble(4), now(), &entropy), Turn::Nothing);
            assert_eq!(circuit.hear(Sign::Trouble(4), now(), &entropy), Turn::Nothing);
            assert_eq!(circuit.hear(Sign::Well, now(), &entropy), Turn::Nothing);
        }
        assert_eq!(circuit.hear(Sign::Trouble(4), now(), &entropy), Turn::Nothing);
        assert_eq!(circuit.hear(Sign::None, now(), &entropy), Turn::Nothing);
        assert_eq!(circuit.hear(Sign::Trouble(4), now(), &entropy), Turn::Nothing);
        assert!(matches!(circuit.hear(Sign::Trouble(4), now(), &entropy), Turn::Open(_)));
    }

    #[test]
    fn refusals_are_answers() {
        for (status, sign) in [
            (200, Sign::Well),
            (404, Sign::Well),
            (429, Sign::Well),
            (501, Sign::Well),
            (500, Sign::Trouble(1)),
            (503, Sign::Trouble(1)),
        ] {
            assert_eq!(Sign::of_status(status), sign, "{status}");
        }
    }
}
