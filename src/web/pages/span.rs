//! The days that a list covers, from the address, on the organisation's wall clock.

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::web::call::Call;
use crate::web::words::{Choice, date_begins};

/// Days that a list can cover.
const LENGTHS: [(&str, u64, &str); 3] = [("1", 1, "1 day"), ("7", 7, "7 days"), ("30", 30, "30 days")];

/// A span of whole days.
pub struct Span {
    pub day: NaiveDate,
    pub days: &'static str,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl Span {
    /// `day` and `days` of the address; today alone where they are absent or make no sense.
    pub fn of(call: &Call) -> Self {
        let zone = call.state.zone();
        let today = call.state.now().with_timezone(&zone).date_naive();
        let day: NaiveDate = call.query("day").parse().unwrap_or(today);
        let asked = call.query("days");
        let (days, length, _) = LENGTHS.into_iter().find(|(code, ..)| *code == asked).unwrap_or(LENGTHS[0]);
        let end = day.checked_add_days(Days::new(length)).unwrap_or(day);
        Self { day, days, from: date_begins(day, zone), until: date_begins(end, zone) }
    }

    pub fn choices(&self) -> Vec<Choice> {
        LENGTHS.iter().map(|(code, _, label)| Choice::new(*code, *label, *code == self.days)).collect()
    }

    /// In words, for the page's lead.
    pub fn words(&self) -> String {
        let day = self.day.format("%A, %-d %B %Y");
        if self.days == "1" { day.to_string() } else { format!("{} days from {day}", self.days) }
    }
}
