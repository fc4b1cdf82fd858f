//! The simulated hospital, asked from outside as a gateway would ask it.

mod admin;
mod ehr;
mod faults;
mod generator;
mod mailbox;
mod personalities;
mod phone;
mod reading;
pub mod support;
mod token;
