//! One hospital's EHR: discovery, keys, tokens, the FHIR client and its budget, and the plan of how this server is to
//! be asked. This room must not know why a resource is wanted, what a rule is, or what a page looks like.

pub mod assertion;
pub mod batch;
pub mod budget;
pub mod client;
pub mod clients;
pub mod connect;
pub mod connection;
pub mod discovery;
pub mod doctor;
pub mod download;
pub mod error;
pub mod export;
pub mod http;
pub mod keys;
pub mod needed;
pub mod offer;
pub mod plan;
pub mod plan_words;
pub mod portal;
mod profile;
pub mod proof;
pub mod read;
pub mod retry;
pub mod rotation;
pub mod scopes;
pub mod search;
pub mod subscription;
pub mod token;
pub mod write;
