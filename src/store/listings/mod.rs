//! What pages read: counts, and lists a page at a time. A cursor names the last row that was shown, so that rows that
//! come in meanwhile neither repeat nor hide another.

mod counts;
mod messages;
mod people;
mod quarantine;
mod reminders;
mod replies;
mod write_backs;

pub use counts::DayCounts;
pub use messages::{MessageFilter, MessageLine};
pub use quarantine::QuarantineLine;
pub use reminders::{DueCursor, ReminderFilter};
pub use replies::{ReplyFilter, ReplyLine};
pub use write_backs::{WriteBackQueue, WriteBackTrouble};
