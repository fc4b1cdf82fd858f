//! A FHIR R4 server with SMART Backend Services, in memory. Its words are those of the R4 http.html and search.html pages.

mod archive;
mod batch;
mod export;
mod metadata;
mod outcome;
mod personality;
mod reading;
mod refusals;
mod search;
mod server;
mod smart;
mod subscriptions;
mod vendors;
mod writing;

pub use archive::{Archive, Found};
pub use export::{ExportManner, Level, Storage, from_storage};
pub use personality::Personality;
pub use server::Ehr;
pub use smart::{Authority, JwksSource};
pub use subscriptions::{Subscribing, SubscriptionManner, deliver};
