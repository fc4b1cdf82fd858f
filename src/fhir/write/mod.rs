//! Strict writing: what goes into an EHR is built from domain facts alone and checked before it leaves.

mod communication;
mod profile;

pub use communication::{Category, CommunicationFacts, Course, NotDone, communication, outreach_system};
pub use profile::check_profile;
