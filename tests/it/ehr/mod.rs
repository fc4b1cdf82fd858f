//! The EHR client against the simulated hospital, and against a server that answers as the test says.

mod auth;
mod budget;
pub mod canned;
mod connect;
mod discovery;
mod paging;
mod reading;
mod rotation;
pub mod support;
mod trouble;
mod writing;
