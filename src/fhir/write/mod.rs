//! Strict writing: what goes into an EHR is built from domain facts alone and checked before it leaves.

mod communication;
mod profile;
mod record;

pub use communication::{Category, CommunicationFacts, Course, NotDone, communication, outreach_system};
pub use profile::check_profile;
pub use record::{as_document, as_task};
