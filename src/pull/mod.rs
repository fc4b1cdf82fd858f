//! One pull run: from the EHR's resources to the mirror, from the mirror to a plan. Knows no channel, no message and no
//! page.

mod error;
mod planning;

pub use error::PullError;
pub use planning::{PatientPlan, Planner};
