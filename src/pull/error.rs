//! Why pulling or planning could not be done.

use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the live rule {rule} cannot be compiled: {problem}")]
    Rule { rule: String, problem: String },
}
