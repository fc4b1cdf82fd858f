//! Checks a packet from its bytes alone.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::Value;
use zip::ZipArchive;

use super::{Earlier, EventLine, FORM, Manifest, from_hexadecimal, names, seal_text};
use crate::clock::hexadecimal;
use crate::history::HistoryError;
use crate::history::note::{Checkpoint, Note, Verifier};
use crate::history::tree::{self, Hash};

/// Bytes of one file that are unpacked at most.
const MAX_FILE: u64 = 512 << 20;
const MAX_FILES: usize = 100;

/// What a packet came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PacketReport {
    /// The log's name.
    pub origin: String,
    /// The key that signed it, as it stands in the packet or as it was given.
    pub key: String,
    /// Whether the key was given from elsewhere; if not, the packet only agrees with itself.
    pub key_was_given: bool,
    /// Size of the log at the checkpoint.
    pub size: u64,
    /// Events whose proof holds.
    pub events: u64,
    /// Of these, how many have only their leaf left.
    pub destroyed: u64,
    /// Messages that are, to the byte, what the log says was sent.
    pub messages: u64,
    /// Messages of which the log has no digest.
    pub messages_without_digest: u64,
    /// Earlier checkpoints that the log continues.
    pub earlier: u64,
    /// Kept checkpoints that the log continues.
    pub kept: u64,
    pub problems: Vec<String>,
}

impl PacketReport {
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A file of the packet that cannot be used at all.
fn unusable(words: impl Into<String>) -> HistoryError {
    HistoryError::Packet(words.into())
}

/// Checks everything. `key` is the log's public key as it was known before; `kept` are (name, note) of checkpoints that
/// somebody kept.
///
/// # Errors
/// It is no packet. What does not hold is a problem in the report.
pub fn check(
    input: impl Read + Seek,
    key: Option<&Verifier>,
    kept: &[(String, String)],
) -> Result<PacketReport, HistoryError> {
    let mut files = unpack(input)?;
    let mut report = PacketReport { key_was_given: key.is_some(), ..PacketReport::default() };
    let text = |name: &str| -> Result<String, HistoryError> {
        let bytes = files.get(name).ok_or_else(|| unusable(format!("it has no {name}")))?;
        String::from_utf8(bytes.clone()).map_err(|_| unusable(format!("{name} is no text")))
    };
    let inside = Verifier::parse(&text(names::KEY)?)?;
    if key.is_some_and(|key| *key != inside) {
        report.problems.push(format!("{} is another key than the one that was given", names::KEY));
    }
    let key = key.cloned().unwrap_or(inside);
    report.key = key.text();
    let note = text(names::CHECKPOINT)?;
    let head = match key.open(&note) {
        Ok(head) => head,
        Err(error) => {
            report.problems.push(format!("{}: {error}", names::CHECKPOINT));
            Checkpoint::parse(Note::parse(&note)?.text)?
        }
    };
    (report.origin, report.size) = (head.origin.clone(), head.size);
    let seal = text(names::SEAL)?;
    manifest(&mut report, &files, &key, &head, &seal)?;
    let events = files.remove(names::EVENTS).ok_or_else(|| unusable(format!("it has no {}", names::EVENTS)))?;
    let sent = check_events(&mut report, &events, &head);
    let messages = files.remove(names::MESSAGES).ok_or_else(|| unusable(format!("it has no {}", names::MESSAGES)))?;
    check_messages(&mut report, &messages, &sent);
    let earlier = files.get(names::EARLIER).map_or(&b"[]"[..], Vec::as_slice);
    let earlier: Vec<Earlier> =
        serde_json::from_slice(earlier).map_err(|_| unusable(format!("{} cannot be read", names::EARLIER)))?;
    check_growth(&mut report, &earlier, &key, &head, kept);
    Ok(report)
}

fn unpack(input: impl Read + Seek) -> Result<BTreeMap<String, Vec<u8>>, HistoryError> {
    let mut zip = ZipArchive::new(input).map_err(|error| unusable(format!("it is no zip file: {error}")))?;
    if zip.len() > MAX_FILES {
        return Err(unusable("it has far more files than a packet"));
    }
    let mut files = BTreeMap::new();
    for at in 0..zip.len() {
        let file = zip.by_index(at).map_err(|error| unusable(error.to_string()))?;
        let name = file.name().map_err(|error| unusable(error.to_string()))?.into_owned();
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unusable(format!("{name}: {error}")))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(unusable(format!("{name} is far larger than a packet's file")));
        }
        if files.insert(name.clone(), bytes).is_some() {
            return Err(unusable(format!("it has {name} twice")));
        }
    }
    Ok(files)
}

/// Every file is the one that was packed, and the packing is signed.
fn manifest(
    report: &mut PacketReport,
    files: &BTreeMap<String, Vec<u8>>,
    key: &Verifier,
    head: &Checkpoint,
    seal: &str,
) -> Result<(), HistoryError> {
    let bytes = files.get(names::MANIFEST).ok_or_else(|| unusable(format!("it has no {}", names::MANIFEST)))?;
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|_| unusable(format!("{} cannot be read", names::MANIFEST)))?;
    if manifest.beckon_packet != FORM {
        return Err(unusable(format!(
            "it was made by Beckon {}, in a form that this one does not know",
            manifest.version
        )));
    }
    let text = seal_text(&head.origin, &hexadecimal(digest(&SHA256, bytes).as_ref()));
    match key.open_text(seal) {
        Ok(signed) if signed == text => {}
        Ok(_) => report.problems.push(format!("{} is not the one that was signed", names::MANIFEST)),
        Err(error) => report.problems.push(format!("{}: {error}", names::SEAL)),
    }
    for (name, expected) in &manifest.files {
        match files.get(name) {
            None => report.problems.push(format!("{name} is missing")),
            Some(bytes) if hexadecimal(digest(&SHA256, bytes).as_ref()) != *expected => {
                report.problems.push(format!("{name} was altered"));
            }
            Some(_) => {}
        }
    }
    let ours = [names::MANIFEST, names::SEAL];
    let strange = files.keys().filter(|name| !manifest.files.contains_key(*name) && !ours.contains(&name.as_str()));
    report.problems.extend(strange.map(|name| format!("{name} was added")));
    Ok(())
}

/// Digests of what was sent, by message: the last attempt's counts.
fn check_events(report: &mut PacketReport, lines: &[u8], head: &Checkpoint) -> BTreeMap<String, String> {
    let mut sent = BTreeMap::new();
    let mut last = None;
    for (number, line) in (1..).zip(lines.split(|it| *it == b'\n').filter(|line| !line.is_empty())) {
        let wrong = |words: &str| format!("{} line {number}: {words}", names::EVENTS);
        let Ok(line) = serde_json::from_slice::<EventLine>(line) else {
            report.problems.push(wrong("it cannot be read"));
            continue;
        };
        if last.is_some_and(|last| last >= line.place) {
            report.problems.push(wrong("it is not in the order of the log"));
        }
        last = Some(line.place);
        let (Some(leaf), Some(proof)) = (hash(&line.leaf), hashes(&line.proof)) else {
            report.problems.push(wrong("a hash in it cannot be read"));
            continue;
        };
        if !tree::includes(&leaf, line.place, head.size, &proof, &head.root) {
            report.problems.push(wrong(&format!("event {} is not in the log that was signed", line.place)));
            continue;
        }
        let (Some(content), Some(salt)) = (&line.content, &line.salt) else {
            report.events += 1;
            report.destroyed += 1;
            continue;
        };
        let salt = from_hexadecimal(salt).unwrap_or_default();
        if tree::leaf(&[content.as_bytes(), &salt].concat()) != leaf {
            report.problems.push(wrong(&format!("event {} was altered", line.place)));
            continue;
        }
        report.events += 1;
        let event: Value = serde_json::from_str(content).unwrap_or_default();
        if event["kind"] == "attempt.opened"
            && let (Some(message), Some(digest)) = (event["message"].as_str(), event["detail"]["body_sha256"].as_str())
        {
            sent.insert(message.to_owned(), digest.to_owned());
        }
    }
    sent
}

fn check_messages(report: &mut PacketReport, messages: &[u8], sent: &BTreeMap<String, String>) {
    let Ok(Value::Array(messages)) = serde_json::from_slice(messages) else {
        report.problems.push(format!("{} cannot be read", names::MESSAGES));
        return;
    };
    for it in &messages {
        let id = it["message"]["id"].as_str().unwrap_or_default();
        let body = serde_json::to_vec(&it["message"]["body"]).unwrap_or_default();
        match sent.get(id) {
            None => report.messages_without_digest += 1,
            Some(expected) if hexadecimal(digest(&SHA256, &body).as_ref()) == *expected => report.messages += 1,
            Some(_) => report.problems.push(format!("message {id} does not say what the log says was sent")),
        }
    }
}

/// The log continues every checkpoint that was signed before it, those that somebody kept among them.
fn check_growth(
    report: &mut PacketReport,
    earlier: &[Earlier],
    key: &Verifier,
    head: &Checkpoint,
    kept: &[(String, String)],
) {
    let mut proofs: BTreeMap<u64, Vec<Hash>> = BTreeMap::new();
    for it in earlier {
        // A key that was replaced since signed the older ones; the packet has only the present one.
        let checkpoint = Note::parse(&it.note).and_then(|note| Checkpoint::parse(note.text));
        let (Ok(checkpoint), Some(proof)) = (checkpoint, hashes(&it.proof)) else {
            report.problems.push(format!("a checkpoint in {} cannot be read", names::EARLIER));
            continue;
        };
        if tree::extends(checkpoint.size, &checkpoint.root, head.size, &head.root, &proof) {
            report.earlier += 1;
        } else {
            let size = checkpoint.size;
            report.problems.push(format!("the log does not continue its own checkpoint of {size} events"));
        }
        proofs.insert(checkpoint.size, proof);
    }
    for (name, note) in kept {
        let checkpoint = match key.open(note) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                report.problems.push(format!("{name}: {error}"));
                continue;
            }
        };
        let same = Vec::new();
        let proof = if checkpoint.size == head.size { Some(&same) } else { proofs.get(&checkpoint.size) };
        match proof {
            _ if checkpoint.size > head.size => {
                report.problems.push(format!("{name} is newer than this packet: ask for a packet of today"));
            }
            None => report.problems.push(format!(
                "{name}: the packet has no proof about a log of {} events, although one was signed",
                checkpoint.size
            )),
            Some(proof) if tree::extends(checkpoint.size, &checkpoint.root, head.size, &head.root, proof) => {
                report.kept += 1;
            }
            Some(_) => report.problems.push(format!("{name}: the history was rewritten after it was signed")),
        }
    }
}

fn hash(text: &str) -> Option<Hash> {
    from_hexadecimal(text)?.try_into().ok()
}

fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    texts.iter().map(|text| hash(text)).collect()
}
