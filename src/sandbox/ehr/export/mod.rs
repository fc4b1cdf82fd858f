//! Bulk Data Access (STU3, and what the STU4 ballot changes): kick-off, status, files, and a storage on another origin
//! that wants no token.

mod jobs;
mod kick_off;
mod manner;
mod serve;

pub use jobs::Exports;
pub use kick_off::kick_off;
pub use manner::{ExportManner, Level, Storage};
pub use serve::{file, from_storage, status};
