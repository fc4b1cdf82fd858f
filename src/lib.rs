//! Beckon: a FHIR-integrated patient engagement gateway. ARCHITECTURE.md says what the rooms are and who may import whom.

pub mod app;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod ehr;
pub mod fhir;
pub mod history;
pub mod outbox;
pub mod pull;
pub mod rules;
pub mod sandbox;
pub mod scheduler;
pub mod seal;
pub mod store;
pub mod telemetry;
pub mod web;
