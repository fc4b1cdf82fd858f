//! Seeded people, charts and coming days: the same seed and the same today give the same data, any number of patients, one
//! at a time. Knows no server and no clock.

mod bookings;
mod chart;
mod clinical;
mod dice;
mod kinds;
mod names;
mod person;
mod places;
mod script;
mod sites;

pub use chart::{Chart, Generator, write_ndjson};
pub use kinds::{Awkward, AwkwardKind};
pub use person::MRN_SYSTEM;
pub use script::{Action, ScriptEvent};
