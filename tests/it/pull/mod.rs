//! Pull runs against the simulated hospital: all of it or an honest gap, and what it makes of reminders.

mod bench;
mod canned;
mod consents;
mod exports;
mod hl7;
mod increments;
mod merges;
mod notices;
mod planning;
mod trouble;
mod types;
