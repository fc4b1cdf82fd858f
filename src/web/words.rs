//! States and times as people read them. A state always has a word and an icon; colour only underlines it.

use chrono::{DateTime, Datelike, TimeZone, Utc};
use chrono_tz::Tz;

use crate::domain::{MessageState, ReminderState};

/// How a state looks: `tone` names the colour, `icon` the drawing, `word` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge {
    pub tone: &'static str,
    pub icon: &'static str,
    pub word: &'static str,
}

const fn badge(tone: &'static str, icon: &'static str, word: &'static str) -> Badge {
    Badge { tone, icon, word }
}

pub const fn reminder_badge(state: ReminderState) -> Badge {
    match state {
        ReminderState::Planned => badge("planned", "clock", "Planned"),
        ReminderState::Waiting => badge("planned", "pause", "Waiting"),
        ReminderState::Released => badge("moving", "send", "Released"),
        ReminderState::Withheld => badge("needs", "hand", "Withheld"),
        ReminderState::Cancelled => badge("quiet", "cross", "Cancelled"),
        ReminderState::Expired => badge("needs", "late", "Expired"),
    }
}

pub const fn message_badge(state: MessageState) -> Badge {
    match state {
        MessageState::Queued => badge("planned", "clock", "Queued"),
        MessageState::OnItsWay => badge("moving", "send", "On its way"),
        MessageState::Delivered => badge("arrived", "check", "Delivered"),
        MessageState::Read => badge("arrived", "check", "Read"),
        MessageState::Failed => badge("needs", "warn", "Failed"),
        MessageState::Unknown => badge("needs", "question", "Outcome unknown"),
        MessageState::Cancelled => badge("quiet", "cross", "Cancelled"),
        MessageState::Expired => badge("needs", "late", "Expired"),
    }
}

/// An instant on the organisation's wall clock: `Mon 2 Mar 2026, 12:00 CST`.
pub fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%a %-d %b %Y, %H:%M %Z").to_string()
}

/// The day that `now` lies in on the wall clock of `zone`, as two instants.
pub fn day_of(now: DateTime<Utc>, zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
    let date = now.with_timezone(&zone).date_naive();
    let midnight = |date: chrono::NaiveDate| {
        // Where midnight is skipped, the day begins an hour later.
        (0..4)
            .find_map(|hour| zone.with_ymd_and_hms(date.year(), date.month(), date.day(), hour, 0, 0).earliest())
            .map_or(now, |at| at.with_timezone(&Utc))
    };
    (midnight(date), date.succ_opt().map_or(now, midnight))
}

/// `1 patient`, `2 patients`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_23_24_or_25_hours() {
        let zone = Tz::America__Chicago;
        for (now, hours) in [
            ("2026-03-02T18:00:00Z", 24),
            ("2026-03-08T18:00:00Z", 23),
            ("2026-11-01T18:00:00Z", 25),
            ("2026-03-03T05:59:00Z", 24),
        ] {
            let now: DateTime<Utc> = now.parse().unwrap();
            let (from, until) = day_of(now, zone);
            assert!(from <= now && now < until, "{now}");
            assert_eq!((until - from).num_hours(), hours, "{now}");
        }
    }

    #[test]
    fn times_are_told_on_the_organisations_clock() {
        let at = "2026-03-02T18:05:00Z".parse().unwrap();
        assert_eq!(moment(at, Tz::America__Chicago), "Mon 2 Mar 2026, 12:05 CST");
    }
}
