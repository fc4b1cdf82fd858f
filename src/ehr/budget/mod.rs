//! How much of an EHR we use: calls at once, calls a second and a day, less at peak hours, pauses that it asks for, a
//! circuit that opens when it fails, and a ledger of what it was asked. Every call passes here. All of it is shared by
//! all replicas through the database; without one (tests) it holds within the process.

mod admission;
mod circuit;
mod ledger;
mod limits;
mod route;

pub use admission::{Budget, Permit};
pub use ledger::{Proof, Usage};
pub use limits::{BudgetError, BudgetSettings};

pub use admission::PausedWhy;
pub(super) use admission::{NotAdmitted, Shared};
pub(super) use circuit::Sign;
pub(super) use ledger::Draft;
