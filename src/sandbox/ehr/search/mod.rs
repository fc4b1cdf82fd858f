//! FHIR search (R4 search.html) over JSON: parameters, matching, pages.

mod dates;
mod matching;
mod pages;
mod params;
mod query;

pub use pages::{Kept, Match, Pages};
pub use params::{Kind, names_for, references_of};
pub use query::{Query, parse};
