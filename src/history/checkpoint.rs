//! The signed head of the log. A log that has signed two heads of which one does not continue the other has lied, so
//! before signing the last head is held against the tree that stands now.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;
use serde_json::json;
use zeroize::Zeroizing;

use super::note::{Checkpoint, Signer, Verifier};
use super::{HistoryError, number, proof};
use crate::clock::hexadecimal;
use crate::config::Settings;
use crate::domain::{Actor, EventKind, TenantId};
use crate::store::{CheckpointRow, LogKey, Store, Tx, View};

/// The name of a tenant's log, given once: `beckon.hospital.example/history/main`.
pub fn origin(settings: &Settings, tenant: &TenantId) -> String {
    let url = &settings.server.public_url;
    let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
    format!("{host}/history/{tenant}")
}

/// The public half of a key.
pub fn verifier(key: &LogKey) -> Result<Verifier, HistoryError> {
    let public_key = key.public_key.as_slice().try_into();
    let public_key = public_key.map_err(|_| HistoryError::Internal("a stored public key is not 32 bytes"))?;
    Ok(Verifier { name: key.origin.clone(), public_key })
}

/// Numbers what waits and signs the head, unless nothing happened since the last checkpoint: its own event alone is
/// nothing. Answers the newest checkpoint, and whether it is new.
///
/// # Errors
/// [`HistoryError::Inconsistent`]: the log does not continue what was signed before.
pub async fn sign(
    store: &Store,
    tenant: &TenantId,
    origin: &str,
    by: Actor,
) -> Result<(CheckpointRow, bool), HistoryError> {
    number::number_all(store, tenant).await?;
    let mut tx = store.write(tenant).await?;
    let head = match tx.lock_history_head(true).await? {
        Some(head) if head.genuine => head,
        Some(_) => return Err(HistoryError::Altered("the count of numbered events".to_owned())),
        None => return Err(HistoryError::Internal("the head of the history is not there")),
    };
    let last = tx.view().last_checkpoint().await?;
    if let Some(last) = last {
        let before = signed(&tx.view(), &last).await?;
        if head.size < before.size || proof::root(&tx.view(), before.size).await? != before.root {
            return Err(HistoryError::Inconsistent { size: before.size });
        }
        if head.size <= last.size + 1 {
            tx.commit().await?;
            return Ok((last, false));
        }
    }
    let root = proof::root(&tx.view(), head.size).await?;
    let key = signing_key(store, &mut tx, origin).await?;
    let text = Checkpoint { origin: key.origin.clone(), size: head.size, root }.text();
    let note = Signer::new(&key.origin, &key.seed)?.sign(&text);
    let row = CheckpointRow { size: head.size, key: key.id, note, at: tx.now() };
    tx.add_checkpoint(&row).await?;
    let event = tx.event(by, EventKind::CheckpointSigned).with_detail(json!({
        "size": head.size, "root": hexadecimal(&root), "key": verifier(&key)?.text(),
        "note_sha256": hexadecimal(digest(&SHA256, row.note.as_bytes()).as_ref()),
    }));
    tx.append(event).await?;
    tx.commit().await?;
    Ok((row, true))
}

/// Signs when the last checkpoint is older than `every` and something happened since.
pub async fn sign_when_due(
    store: &Store,
    tenant: &TenantId,
    origin: &str,
    every: TimeDelta,
) -> Result<bool, HistoryError> {
    let view = store.view(tenant);
    let now = store.clock().now();
    let last = view.last_checkpoint().await?;
    if last.as_ref().is_some_and(|it| now - it.at < every) {
        return Ok(false);
    }
    if view.history_head().await?.size <= last.map_or(0, |it| it.size + 1) {
        return Ok(false);
    }
    Ok(sign(store, tenant, origin, Actor::system("scheduler")).await?.1)
}

/// A stored checkpoint, its signature checked with the key that it names.
pub async fn signed(view: &View<'_>, row: &CheckpointRow) -> Result<Checkpoint, HistoryError> {
    let keys = view.log_keys().await?;
    let key = keys.iter().find(|key| key.id == row.key);
    let key = key.ok_or_else(|| HistoryError::Altered(format!("the key of the checkpoint of {} events", row.size)))?;
    let checkpoint = verifier(key)?.open(&row.note)?;
    if checkpoint.size != row.size {
        return Err(HistoryError::Altered(format!("the checkpoint of {} events", row.size)));
    }
    Ok(checkpoint)
}

/// The key that signs now; the first one is made when it is first needed.
async fn signing_key(store: &Store, tx: &mut Tx<'_>, origin: &str) -> Result<LogKey, HistoryError> {
    if let Some(key) = tx.view().log_keys().await?.into_iter().find(|key| key.retired_at.is_none()) {
        return Ok(key);
    }
    let key = new_key(store, origin)?;
    tx.add_log_key(&key).await?;
    Ok(key)
}

/// Makes a new key; the old one signs no more, and what it signed stays valid. Answers the public half.
pub async fn rotate_key(store: &Store, tenant: &TenantId, origin: &str, by: Actor) -> Result<Verifier, HistoryError> {
    let mut tx = store.write(tenant).await?;
    let origin = match tx.view().log_keys().await?.into_iter().next_back() {
        Some(key) => key.origin,
        None => origin.to_owned(),
    };
    let key = new_key(store, &origin)?;
    tx.add_log_key(&key).await?;
    let verifier = verifier(&key)?;
    let event = tx.event(by, EventKind::KeyRotated).with_detail(json!({ "history": verifier.text() }));
    tx.append(event).await?;
    tx.commit().await?;
    Ok(verifier)
}

/// A key from 32 random bytes.
fn new_key(store: &Store, origin: &str) -> Result<LogKey, HistoryError> {
    let mut seed = Zeroizing::new(vec![0_u8; 32]);
    store.entropy().fill(&mut seed);
    Ok(LogKey {
        id: store.new_id(),
        origin: origin.to_owned(),
        public_key: Signer::new(origin, &seed)?.verifier().public_key.to_vec(),
        seed,
        created_at: store.clock().now(),
        retired_at: None,
    })
}
