//! Tolerant reading: one bad field never costs a whole resource, unless the fact is one that a decision needs. Then
//! the issue is fatal, there is no value, and the resource goes to quarantine with path and reason.
//!
//! References must be relative; see [`crate::fhir::reference::localize`].

mod appointment;
mod condition;
mod consent;
mod contact;
mod date;
mod issues;
mod location;
mod patient;
mod record;
mod related_person;
mod resource;

pub use appointment::appointment;
pub use condition::{Code, Condition, condition};
pub use consent::{ConsentWord, ContactConsent, Provision, consent};
pub use date::{DateError, instant};
pub use issues::Read;
pub use location::{Location, location};
pub use patient::{patient, replaced, replaces};
pub use record::{Record, named, record};
pub use related_person::{RelatedPerson, related_person};
pub use resource::{group_members, is_restricted, subject_of, subjects_of, version_of};
