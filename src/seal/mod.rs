//! Envelope encryption and blind indexes: pure cryptography over bytes. Which key belongs to whom, and where wrapped
//! keys lie, is the store's affair.
//!
//! root key (file or environment) → tenant keys → data keys, one per (tenant, retention class, patient). A sealed value
//! is bound to its place (tenant, table, column, row, key) by associated data: moved elsewhere it does not open.

mod index;
mod key;
mod sealed;
mod stream;

pub use index::IndexKey;
pub use key::{Key, KeyBytes, RootKey, WrappedKey};
pub use sealed::{Place, key_of};
pub use stream::{SealedReader, SealedWriter};

/// What can go wrong with sealed bytes. Says nothing of their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the root key is not 32 bytes of base64; see seal.root_key in the settings")]
    RootKey,
    #[error("a sealed value does not open: it was altered, moved, or sealed with another key")]
    DoesNotOpen,
    #[error("a sealed value is cut short or of an unknown format")]
    Malformed,
    #[error("the crypto provider refused")]
    Provider,
}
