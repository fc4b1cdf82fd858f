//! The whole way of a reminder, from the EHR to the phone and back, on both databases.

mod answers;
mod changes;
mod consents;
mod modes;
mod providers;
mod replicas;
mod same_day;
mod sending;
mod tasks;
mod write_back;
