//! Reading: tolerant, from JSON to domain facts, with a list of issues. Writing: strict, checked resources.
//!
//! Everything that knows the shape of a FHIR R4 resource lives here; the canonical form in memory is
//! `serde_json::Value`. This room must not know where a resource came from, who asked for it or where it is kept: no
//! HTTP, no database, no clock (`now` is an argument).

pub mod bundle;
pub mod capability;
pub mod codes;
pub mod export_manifest;
pub mod hash;
mod json;
pub mod notice;
pub mod operation_outcome;
pub mod prune;
pub mod read;
pub mod reference;
pub mod release;
pub mod write;
