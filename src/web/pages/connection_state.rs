//! How a connection stands, in a word, and times as people say them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{Alert, AlertKind, EhrId, ResourceType};
use crate::store::{CallBudget, EhrRow, PullRunRow, StoreError, View};
use crate::web::words::Badge;

/// What the state of a connection rests on.
pub struct Standing {
    pub runs: Vec<PullRunRow>,
    pub budget: Option<CallBudget>,
    pub alerts: Vec<Alert>,
    /// When patients and appointments were last read to the end: the older of both.
    pub fresh_at: Option<DateTime<Utc>>,
    pub quarantined: u64,
}

impl Standing {
    pub async fn of(view: &View<'_>, ehr: &EhrId) -> Result<Self, StoreError> {
        let marks = view.watermarks(ehr).await?;
        let read = |kind| marks.get(&kind).and_then(|mark| mark.completed_at);
        let alerts = view.alerts(true, None, 1000).await?;
        Ok(Self {
            runs: view.pull_runs(ehr, 8).await?,
            budget: view.call_budget(ehr).await?,
            alerts: alerts.into_iter().filter(|alert| alert.subject == ehr.as_str()).collect(),
            fresh_at: read(ResourceType::Patient).zip(read(ResourceType::Appointment)).map(|(a, b)| a.min(b)),
            quarantined: view.quarantined_in_all(ehr).await?,
        })
    }

    pub fn running(&self) -> Option<&PullRunRow> {
        self.runs.first().filter(|run| run.state == "running")
    }

    pub fn last(&self) -> Option<&PullRunRow> {
        self.runs.iter().find(|run| run.state != "running")
    }

    fn has(&self, kind: AlertKind) -> bool {
        self.alerts.iter().any(|alert| alert.kind == kind)
    }

    pub fn badge(&self, row: &EhrRow) -> Badge {
        let badge = |tone, icon, word| Badge { tone, icon, word };
        if row.disabled_at.is_some() {
            badge("quiet", "minus", "Disabled")
        } else if self.budget.as_ref().is_some_and(|budget| budget.circuit_level > 0) {
            badge("needs", "warn", "Fails again and again")
        } else if self.has(AlertKind::TokenRefused) {
            badge("needs", "warn", "Access refused")
        } else if self.running().is_some() {
            badge("moving", "send", "Pulling now")
        } else if self.has(AlertKind::PullOverdue) {
            badge("needs", "late", "Not pulled for too long")
        } else if self.has(AlertKind::EhrBudgetSpent) {
            badge("needs", "pause", "Calls of the day used up")
        } else {
            match self.last().map(|run| run.state.as_str()) {
                None => badge("planned", "clock", "Never pulled"),
                Some("done") => badge("arrived", "check", "Up to date"),
                Some("partial") => badge("needs", "warn", "Not everything was pulled"),
                Some(_) => badge("needs", "warn", "The last pull failed"),
            }
        }
    }
}

/// `12 min`, `2 h 5 min`, `4 days`.
pub fn long(delta: TimeDelta) -> String {
    let minutes = delta.num_minutes().max(0);
    match minutes {
        0 => "less than a minute".to_owned(),
        1..=59 => format!("{minutes} min"),
        60..=2879 if minutes % 60 == 0 => format!("{} h", minutes / 60),
        60..=2879 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// `1,234` as `1 234`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_are_told_as_people_say_them() {
        for (minutes, words) in
            [(0, "less than a minute"), (12, "12 min"), (120, "2 h"), (125, "2 h 5 min"), (5760, "4 days")]
        {
            assert_eq!(long(TimeDelta::minutes(minutes)), words);
        }
        for (number, words) in [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(grouped(number), words);
        }
    }
}
