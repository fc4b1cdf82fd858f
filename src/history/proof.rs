//! Roots and proofs from the stored tiles: a handful of rows, whatever the size of the log.

use std::collections::BTreeSet;

use super::HistoryError;
use super::tiles::{TileId, Tiles};
use super::tree::{self, Hash, Span};
use crate::store::View;

/// The hashes of these spans.
async fn hashes(view: &View<'_>, spans: &[Span]) -> Result<Vec<Hash>, HistoryError> {
    let tiles = load(view, Tiles::needed(spans)).await?;
    let missing = || HistoryError::Altered("a tile is missing or cut short".to_owned());
    spans.iter().map(|span| tiles.span(*span).ok_or_else(missing)).collect()
}

async fn load(view: &View<'_>, ids: BTreeSet<TileId>) -> Result<Tiles, HistoryError> {
    let ids = ids.into_iter().map(|id| (id.level, id.index)).collect();
    let mut tiles = Tiles::default();
    for tile in view.history_tiles(&ids).await? {
        if !tile.genuine {
            return Err(HistoryError::Altered(format!("tile {} of level {}", tile.number, tile.level)));
        }
        tiles.0.insert(TileId { level: tile.level, index: tile.number }, tile.hashes);
    }
    Ok(tiles)
}

/// The root of the first `size` events.
pub async fn root(view: &View<'_>, size: u64) -> Result<Hash, HistoryError> {
    let found = hashes(view, &[Span { start: 0, end: size }]).await?;
    Ok(found.first().copied().unwrap_or_else(tree::empty))
}

/// What proves that the event at `place` is in the log of `size` events.
pub async fn inclusion(view: &View<'_>, place: u64, size: u64) -> Result<Vec<Hash>, HistoryError> {
    if place >= size {
        return Err(HistoryError::NoSuchPlace(place, size));
    }
    hashes(view, &tree::inclusion(place, size)).await
}

/// What proves that the log of `old` events is the beginning of the log of `new` events.
pub async fn consistency(view: &View<'_>, old: u64, new: u64) -> Result<Vec<Hash>, HistoryError> {
    if old > new {
        return Err(HistoryError::NoSuchPlace(old, new));
    }
    hashes(view, &tree::consistency(old, new)).await
}

/// The same for many places at once: their tiles are read together.
pub async fn inclusions(view: &View<'_>, places: &[u64], size: u64) -> Result<Vec<Vec<Hash>>, HistoryError> {
    if let Some(beyond) = places.iter().find(|place| **place >= size) {
        return Err(HistoryError::NoSuchPlace(*beyond, size));
    }
    let spans: Vec<Vec<Span>> = places.iter().map(|place| tree::inclusion(*place, size)).collect();
    let tiles = load(view, spans.iter().flat_map(|spans| Tiles::needed(spans)).collect()).await?;
    let missing = || HistoryError::Altered("a tile is missing or cut short".to_owned());
    let of = |spans: &Vec<Span>| spans.iter().map(|span| tiles.span(*span).ok_or_else(missing)).collect();
    spans.iter().map(of).collect()
}
