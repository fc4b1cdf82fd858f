//! Writes a packet. That it was made is an event, written before a byte of it leaves.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::gather::gather;
use super::readme::readme;
use super::summary::summary;
use super::{Earlier, EventLine, FORM, Manifest, PacketCounts, Request, names, seal_text, sheets};
use crate::clock::hexadecimal;
use crate::domain::{EventKind, TenantId};
use crate::history::note::Signer;
use crate::history::tree::Hash;
use crate::history::{HistoryError, checkpoint, proof};
use crate::store::{Store, View};

/// Earlier checkpoints that go into a packet, the newest; older ones are thinned out.
const EARLIER: usize = 200;
/// Proofs whose tiles are read at once.
const AT_ONCE: usize = 200;

/// Signs the log, gathers, and writes the packet to `out`.
///
/// # Errors
/// The database, or `out`; or the log was changed, and nothing can be proven.
pub async fn write(
    store: &Store,
    tenant: &TenantId,
    request: &Request,
    out: impl Write + Seek + Send,
) -> Result<PacketCounts, HistoryError> {
    let mut tx = store.write(tenant).await?;
    let event = tx
        .event(request.by.clone(), EventKind::HistoryExported)
        .about_patient(&request.ehr, &request.patient)
        .with_detail(json!({ "what": "packet", "reason": request.reason }));
    tx.append(event).await?;
    tx.commit().await?;

    let (row, _) = checkpoint::sign(store, tenant, &request.origin, request.by.clone()).await?;
    let view = store.view(tenant);
    let head = checkpoint::signed(&view, &row).await?;
    let keys = view.log_keys().await?;
    let key = keys.iter().find(|key| key.id == row.key).ok_or(HistoryError::Internal("the log's key is gone"))?;
    let verifier = checkpoint::verifier(key)?;
    let all = gather(&view, request, head.size).await?;

    let now = store.clock().now();
    let mut files = Files { zip: ZipWriter::new(out), digests: BTreeMap::new(), at: now };
    files.put(names::README, readme(&head, &verifier).as_bytes())?;
    files.put(names::SUMMARY, &summary(&all, request, &head, now)?)?;
    files.put(names::MESSAGES_SHEET, &sheets::messages(&all)?)?;
    files.put(names::CONSENTS_SHEET, &sheets::consents(&all)?)?;
    files.put(names::DECISIONS_SHEET, &sheets::decisions(&all)?)?;
    files.put(names::ACCESS_SHEET, &sheets::access(&all)?)?;
    files.put_json(names::MESSAGES, &sheets::messages_json(&all))?;
    files.put_json(names::BUNDLE, &sheets::bundle(&all, request))?;
    files.put(names::EVENTS, &events(&view, &all.events, head.size).await?)?;
    files.put(names::CHECKPOINT, row.note.as_bytes())?;
    files.put(names::KEY, format!("{}\n", verifier.text()).as_bytes())?;
    files.put_json(names::EARLIER, &earlier(&view, head.size).await?)?;
    let manifest = Manifest {
        beckon_packet: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now,
        files: std::mem::take(&mut files.digests),
    };
    let manifest = serde_json::to_vec_pretty(&manifest).map_err(unwritable)?;
    let text = seal_text(&head.origin, &hexadecimal(digest(&SHA256, &manifest).as_ref()));
    files.put(names::SEAL, Signer::new(&key.origin, &key.seed)?.sign(&text).as_bytes())?;
    files.put(names::MANIFEST, &manifest)?;
    files.zip.finish().map_err(unwritable)?;
    Ok(PacketCounts { messages: all.messages.len(), events: all.events.len(), size: head.size, key: verifier.text() })
}

fn unwritable(error: impl std::fmt::Display) -> HistoryError {
    HistoryError::File(error.to_string())
}

struct Files<W: Write + Seek> {
    zip: ZipWriter<W>,
    digests: BTreeMap<String, String>,
    at: chrono::DateTime<chrono::Utc>,
}

impl<W: Write + Seek> Files<W> {
    fn put(&mut self, name: &str, content: &[u8]) -> Result<(), HistoryError> {
        use chrono::{Datelike as _, Timelike as _};
        let at = self.at;
        let time = zip::DateTime::from_date_and_time(
            at.year().clamp(1980, 2107) as u16,
            at.month() as u8,
            at.day() as u8,
            at.hour() as u8,
            at.minute() as u8,
            at.second() as u8,
        );
        let options = SimpleFileOptions::default().last_modified_time(time.unwrap_or_default()).unix_permissions(0o600);
        self.zip.start_file(name, options).map_err(unwritable)?;
        self.zip.write_all(content).map_err(unwritable)?;
        self.digests.insert(name.to_owned(), hexadecimal(digest(&SHA256, content).as_ref()));
        Ok(())
    }

    fn put_json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), HistoryError> {
        self.put(name, &serde_json::to_vec_pretty(value).map_err(unwritable)?)
    }
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| hexadecimal(hash)).collect()
}

async fn events(view: &View<'_>, events: &[crate::store::Evidence], size: u64) -> Result<Vec<u8>, HistoryError> {
    let mut lines = Vec::new();
    for chunk in events.chunks(AT_ONCE) {
        let places: Vec<u64> = chunk.iter().map(|it| it.place).collect();
        let proofs = proof::inclusions(view, &places, size).await?;
        for (it, steps) in chunk.iter().zip(proofs) {
            let (content, salt) = it.content.clone().unzip();
            let line = EventLine { place: it.place, content, salt, leaf: hexadecimal(&it.leaf), proof: texts(&steps) };
            serde_json::to_writer(&mut lines, &line).map_err(unwritable)?;
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

/// Checkpoints that were signed before, each with what proves that the log continues it: all recent ones, and of the
/// older ones every n-th.
async fn earlier(view: &View<'_>, size: u64) -> Result<Vec<Earlier>, HistoryError> {
    let (mut rows, mut before) = (Vec::new(), Some(size));
    loop {
        let page = view.newest_checkpoints(before, 1000).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.size);
        rows.extend(page);
    }
    let (recent, older) = rows.split_at(rows.len().min(EARLIER));
    let every = older.len().div_ceil(EARLIER).max(1);
    let mut found = Vec::new();
    for row in recent.iter().chain(older.iter().step_by(every)) {
        let steps = proof::consistency(view, row.size, size).await?;
        found.push(Earlier { note: row.note.clone(), proof: texts(&steps) });
    }
    Ok(found)
}
