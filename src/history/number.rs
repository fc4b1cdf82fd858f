//! Gives events their places in the tree: in batches, by whoever leads, within a second of the commit.

use std::collections::{BTreeMap, BTreeSet};

use super::HistoryError;
use super::tiles::{Tiles, edge};
use crate::domain::TenantId;
use crate::store::{Store, Tile, Tx};

/// Events of one transaction.
pub const BATCH: u64 = 4_000;

/// Numbers one batch; answers how many events it was. Zero as well while another replica is at it.
///
/// # Errors
/// The database; or the stored tree was changed, and nothing may be built on it.
pub async fn number(store: &Store, tenant: &TenantId) -> Result<u64, HistoryError> {
    let mut tx = store.write(tenant).await?;
    let Some(head) = tx.lock_history_head(false).await? else { return Ok(0) };
    if !head.genuine {
        return Err(HistoryError::Altered("the count of numbered events".to_owned()));
    }
    let mut tiles = edge_tiles(&tx, head.size).await?;
    let leaves = tx.number_events(head.size, BATCH).await?;
    if leaves.is_empty() {
        // Lets go of the lock now: a transaction that is only dropped holds it a moment longer.
        tx.commit().await?;
        return Ok(0);
    }
    let mut changed = BTreeSet::new();
    for (place, leaf) in (head.size..).zip(&leaves) {
        tiles.push(place, *leaf, &mut changed);
    }
    let changed = changed
        .into_iter()
        .map(|id| Tile {
            level: id.level,
            number: id.index,
            hashes: tiles.0.remove(&id).unwrap_or_default(),
            genuine: true,
        })
        .collect();
    let count = leaves.len() as u64;
    tx.set_history_head(head.size + count, changed).await?;
    tx.commit().await?;
    metrics::counter!("beckon_history_numbered_total").increment(count);
    Ok(count)
}

/// Numbers until nothing is left.
pub async fn number_all(store: &Store, tenant: &TenantId) -> Result<u64, HistoryError> {
    let mut all = 0;
    loop {
        match number(store, tenant).await? {
            0 => return Ok(all),
            count => all += count,
        }
    }
}

/// The tiles that the next leaf goes on from.
async fn edge_tiles(tx: &Tx<'_>, size: u64) -> Result<Tiles, HistoryError> {
    let needed: BTreeMap<_, u64> = edge(size).into_iter().collect();
    let ids = needed.keys().map(|id| (id.level, id.index)).collect();
    let mut found = BTreeMap::new();
    for tile in tx.view().history_tiles(&ids).await? {
        let id = super::tiles::TileId { level: tile.level, index: tile.number };
        if !tile.genuine || needed.get(&id) != Some(&(tile.hashes.len() as u64)) {
            return Err(HistoryError::Altered(format!("tile {} of level {}", tile.number, tile.level)));
        }
        found.insert(id, tile.hashes);
    }
    match needed.keys().find(|id| !found.contains_key(id)) {
        Some(id) => Err(HistoryError::Altered(format!("tile {} of level {} is missing", id.index, id.level))),
        None => Ok(Tiles(found)),
    }
}
