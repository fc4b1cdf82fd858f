//! Subscriptions: R4 classic, the R5 backport on R4, R5, and athenahealth's dialect. Each event is delivered when time
//! passes, as a server's own queue would.

mod bundles;
mod checks;
mod deliver;
mod manner;
mod operations;
mod state;

pub use checks::refused;
pub use deliver::deliver;
pub use manner::{Subscribing, SubscriptionManner};
pub use operations::{events, status};
pub use state::Hooks;
