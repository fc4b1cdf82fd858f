//! The flood guard (I10): a run that would release far more than the usual hour waits for a person.

use chrono::{DateTime, TimeDelta, Utc};

/// Hours that make up "the usual hour".
pub(super) const LOOK_BACK_HOURS: i64 = 24 * 14;

/// Whether `about_to` more releases are too many now. `hours` are past hours with their counts, the current one among
/// them. The usual hour is the mean of the hours in which anything went out; a new installation has none, and the
/// floor stands in for it.
pub(super) fn is_flood(
    hours: &[(DateTime<Utc>, u32)],
    now: DateTime<Utc>,
    about_to: u32,
    factor: u32,
    floor: u32,
) -> bool {
    let this_hour = now - TimeDelta::hours(1);
    let (current, past): (Vec<_>, Vec<_>) = hours.iter().partition(|(hour, _)| *hour > this_hour);
    let released: u32 = current.iter().map(|(_, count)| count).sum();
    let busy = past.iter().filter(|(_, count)| *count > 0).count() as u32;
    let usual = past.iter().map(|(_, count)| count).sum::<u32>().checked_div(busy).unwrap_or(0);
    released + about_to > (usual * factor).max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u32) -> DateTime<Utc> {
        format!("2026-03-02T{hour:02}:00:00Z").parse().unwrap()
    }

    #[test]
    fn a_run_far_above_the_usual_hour_is_held() {
        let now = at(12) + TimeDelta::minutes(30);
        let usual = [(at(8), 100), (at(9), 120), (at(10), 80)];
        assert!(!is_flood(&usual, now, 300, 3, 50), "three times the usual hour may go");
        assert!(is_flood(&usual, now, 301, 3, 50), "one more may not");
        let with_current = [(at(8), 100), (at(12), 299)];
        assert!(is_flood(&with_current, now, 2, 3, 50), "what went out this hour counts");
        assert!(!is_flood(&[], now, 50, 3, 50), "a new installation is measured by the floor");
        assert!(is_flood(&[], now, 51, 3, 50));
    }
}
