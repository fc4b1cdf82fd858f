//! What makes the history provable: events get places in a Merkle tree (RFC 9162), its head is signed and given out, and
//! anybody who kept a head can check that nothing before it was changed. Knows how to number, sign, prove, verify and
//! pack; what happened is the store's to say, and where checkpoints go is the wiring's.

pub mod checkpoint;
pub mod export;
pub mod note;
pub mod number;
pub mod packet;
pub mod paper;
pub mod proof;
pub mod question;
pub mod sheet;
pub mod tiles;
pub mod tree;
pub mod verify;

use crate::store::StoreError;
use note::NoteError;

/// Why the log cannot go on or be proven.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Note(#[from] NoteError),
    /// What was stored of the tree is not what this gateway stored: nothing is built on it.
    #[error(
        "the stored tree of the history was changed from outside ({0}); `beckon history verify` says what is wrong"
    )]
    Altered(String),
    /// Signing would contradict what was signed before.
    #[error(
        "the history no longer begins as the checkpoint of {size} events said; no further checkpoint is signed. \
         `beckon history verify` says what was changed"
    )]
    Inconsistent { size: u64 },
    #[error("there is no event number {0} in a log of {1}")]
    NoSuchPlace(u64, u64),
    #[error("the file cannot be written: {0}")]
    File(String),
    #[error("this is no evidence packet: {0}")]
    Packet(String),
    #[error(transparent)]
    Paper(#[from] paper::PaperError),
    #[error("a table cannot be written: {0}")]
    Sheet(#[from] sheet::SheetError),
    #[error("a PDF takes at most 5,000 events; narrow the question, or export CSV")]
    TooMuchForPaper,
    #[error("{0}")]
    Internal(&'static str),
}
