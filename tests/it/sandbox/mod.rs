//! The simulated hospital, asked from outside as a gateway would ask it.

mod ehr;
mod faults;
mod generator;
mod mailbox;
mod phone;
pub mod support;
mod token;
