//! The evidence packet of one patient: one zip file with messages, consents, decisions, who looked, the events behind
//! them with their proofs, a summary to read, and how to check it without us. What it says of a message can be held
//! against the log; what the log says can be held against a checkpoint that somebody else kept.

mod check;
mod gather;
mod readme;
mod sheets;
mod summary;
mod write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{Actor, EhrId, PatientId};
pub use check::{PacketReport, check};
pub use write::write;

/// The form of the packet's files.
const FORM: u32 = 1;

/// The names of its files.
pub(crate) mod names {
    pub const README: &str = "README.txt";
    pub const SUMMARY: &str = "summary.pdf";
    pub const MESSAGES: &str = "messages.json";
    pub const MESSAGES_SHEET: &str = "messages.csv";
    pub const CONSENTS_SHEET: &str = "consents.csv";
    pub const DECISIONS_SHEET: &str = "decisions.csv";
    pub const ACCESS_SHEET: &str = "access.csv";
    pub const BUNDLE: &str = "bundle.json";
    pub const EVENTS: &str = "events.ndjson";
    pub const CHECKPOINT: &str = "checkpoint.txt";
    pub const KEY: &str = "key.txt";
    pub const EARLIER: &str = "earlier-checkpoints.json";
    pub const MANIFEST: &str = "manifest.json";
    pub const SEAL: &str = "manifest.note";
}

/// Whose packet, for whom, and what stands on it.
#[derive(Debug, Clone)]
pub struct Request {
    pub ehr: EhrId,
    pub patient: PatientId,
    pub by: Actor,
    /// Why it was asked for, in the officer's words; part of the event.
    pub reason: Option<String>,
    /// The hospital's name, as it stands on the summary.
    pub organisation: String,
    /// The gateway's public address, for the identifiers of FHIR resources.
    pub gateway: String,
    /// The log's name, should it have to be signed for the first time.
    pub origin: String,
    pub zone: chrono_tz::Tz,
}

/// What went into a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PacketCounts {
    pub messages: usize,
    pub events: usize,
    /// Size of the log at the checkpoint that everything is proven against.
    pub size: u64,
    pub key: String,
}

/// One line of `events.ndjson`.
#[derive(Debug, Serialize, Deserialize)]
struct EventLine {
    /// Number of the event in the log, from 0.
    place: u64,
    /// Exactly the bytes that the leaf covers; absent where a retention policy destroyed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// 32 bytes, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    /// Hexadecimal.
    leaf: String,
    /// Hashes from the leaf upward, hexadecimal.
    proof: Vec<String>,
}

/// One earlier checkpoint, with what proves that the log only grew since.
#[derive(Debug, Serialize, Deserialize)]
struct Earlier {
    note: String,
    proof: Vec<String>,
}

/// `manifest.json`
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    beckon_packet: u32,
    version: String,
    made_at: DateTime<Utc>,
    /// SHA-256 of each other file, hexadecimal.
    files: std::collections::BTreeMap<String, String>,
}

/// The text that the key signs for a packet. Its second line is no size, so that it can never be taken for a checkpoint.
fn seal_text(origin: &str, manifest_sha256: &str) -> String {
    format!("{origin}\npacket\n{manifest_sha256}\n")
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
