//! Load and speed figures of this machine: pulling, planning, sending and the history, each beside something simpler that does the
//! same in the same run. Everything happens on databases that the bench makes and removes.

mod bulk;
mod clock;
mod corpus;
mod exporter;
mod history;
mod house;
mod meter;
mod plan;
mod pull;
mod send;
mod sink;
mod world;

pub use bulk::{BulkFigures, bulk};
pub use history::{HistoryFigures, SearchFigures, history};
pub use house::{BenchDatabase, Place};
pub use meter::Cost;
pub use plan::{PlanFigures, PlanInput, StoredFigures, pure, stored};
pub use pull::{PullFigures, PullInput, pull};
pub use send::{SendFigures, SendInput, SideFigures, StageFigures, send};

/// Tells what is under way.
pub type Tell<'a> = &'a (dyn Fn(&str) + Send + Sync);
