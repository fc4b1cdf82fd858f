//! Rules, planning and deciding: pure, so that a test is a patient, an instant and an expected answer.

mod deciding;
mod explaining;
mod fixtures;
mod format;
mod histories;
mod planning;
mod saying;
mod starter;
mod time_table;
