//! What happens in the days after the hospital opened: the same days for the same seed.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

/// Something that happens at an instant.
#[derive(Debug, Clone)]
pub struct ScriptEvent {
    pub at: DateTime<Utc>,
    /// The logical id of the patient.
    pub patient: String,
    pub action: Action,
}

#[derive(Debug, Clone)]
pub enum Action {
    /// The same appointment at another time.
    Reschedule {
        appointment: String,
        start: String,
        end: String,
    },
    Cancel {
        appointment: String,
    },
    /// How many systems reschedule: the old one cancelled, a new one under another id.
    CancelAndRebook {
        appointment: String,
        rebooked: Value,
    },
    Book {
        appointment: Value,
    },
    /// The patient answers the first text that reaches the number, `after` it came.
    AnswerText {
        number: String,
        body: String,
        after: Duration,
    },
}
