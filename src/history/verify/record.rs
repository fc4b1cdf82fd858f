//! The tree as it was recorded, read from its tiles beside the rows: which leaf stood at which place. Whatever lies
//! above the leaves is computed anew and compared.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Change, Finding};
use crate::history::HistoryError;
use crate::history::tiles::{TileId, Tiles, WIDTH};
use crate::history::tree::Hash;
use crate::store::{Tile, View};

/// Tiles that are read at once.
const AHEAD: u64 = 32;

/// Level 0, a stretch at a time, only forward.
#[derive(Default)]
pub struct Record {
    read: BTreeMap<u64, Tile>,
    /// The first tile that was not asked for yet.
    next: u64,
}

impl Record {
    /// Makes the leaves `from..to` ready, and lets go of those before. Tiles that are not as they were written are
    /// named, and give no leaves.
    pub async fn reach(
        &mut self,
        view: &View<'_>,
        from: u64,
        to: u64,
        found: &mut Vec<Finding>,
    ) -> Result<(), HistoryError> {
        let last = to.saturating_sub(1) / WIDTH;
        if last < self.next {
            return Ok(());
        }
        self.read = self.read.split_off(&(from / WIDTH));
        while self.next <= last {
            let limit = (last - self.next + 1).max(AHEAD);
            let tiles = view.history_tiles_from(0, self.next, limit).await?;
            let ended = (tiles.len() as u64) < limit;
            for tile in tiles {
                for missing in self.next..tile.number {
                    found.push(altered(0, missing, "it is missing"));
                }
                self.next = tile.number + 1;
                if !tile.genuine {
                    found.push(altered(0, tile.number, "it is not what was written"));
                }
                self.read.insert(tile.number, tile);
            }
            if ended {
                for missing in self.next..=last {
                    found.push(altered(0, missing, "it is missing"));
                }
                self.next = self.next.max(last + 1);
            }
        }
        Ok(())
    }

    /// The leaf that was recorded at a place, if it can be trusted.
    pub fn leaf(&self, place: u64) -> Option<Hash> {
        let tile = self.read.get(&(place / WIDTH)).filter(|tile| tile.genuine)?;
        tile.hashes.get((place % WIDTH) as usize).copied()
    }

    /// Whether the tile of a place is there and can be trusted.
    pub fn knows(&self, place: u64) -> bool {
        self.read.get(&(place / WIDTH)).is_some_and(|tile| tile.genuine)
    }
}

/// The tree above the leaves, grown anew, and compared with the stored one as far as it is complete.
#[derive(Default)]
pub struct Grown {
    tiles: Tiles,
    pub size: u64,
}

impl Grown {
    pub async fn push(&mut self, view: &View<'_>, leaf: Hash, found: &mut Vec<Finding>) -> Result<(), HistoryError> {
        let mut changed = BTreeSet::new();
        self.tiles.push(self.size, leaf, &mut changed);
        self.size += 1;
        if self.size.is_multiple_of(WIDTH) {
            let full: Vec<TileId> = changed.into_iter().filter(|id| self.is_full(*id)).collect();
            self.compare(view, full, found).await?;
        }
        Ok(())
    }

    /// The rest: tiles that are not full.
    pub async fn finish(&mut self, view: &View<'_>, found: &mut Vec<Finding>) -> Result<(), HistoryError> {
        let rest = self.tiles.0.keys().copied().collect();
        self.compare(view, rest, found).await
    }

    fn is_full(&self, id: TileId) -> bool {
        self.tiles.0.get(&id).is_some_and(|hashes| hashes.len() as u64 == WIDTH)
    }

    async fn compare(
        &mut self,
        view: &View<'_>,
        ids: Vec<TileId>,
        found: &mut Vec<Finding>,
    ) -> Result<(), HistoryError> {
        // The leaves' own tiles are what it was grown from.
        let upper: BTreeSet<(u8, u64)> = ids.iter().filter(|id| id.level > 0).map(|id| (id.level, id.index)).collect();
        let stored = if upper.is_empty() { Vec::new() } else { view.history_tiles(&upper).await? };
        for id in ids {
            let Some(hashes) = self.tiles.0.remove(&id) else { continue };
            if id.level == 0 {
                continue;
            }
            match stored.iter().find(|tile| (tile.level, tile.number) == (id.level, id.index)) {
                None => found.push(altered(id.level, id.index, "it is missing")),
                Some(tile) if !tile.genuine || tile.hashes != hashes => {
                    found.push(altered(id.level, id.index, "it is not what the events below it make"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

pub fn altered(level: u8, number: u64, words: &str) -> Finding {
    let first = (number * WIDTH) << (8 * u32::from(level));
    Finding::new(Change::TileAltered, format!("tile {number} of level {level}, from event {first} on: {words}"))
}
