//! Where the hashes of complete subtrees are kept: in tiles of 256, as C2SP tlog-tiles lays them out. Tile `index` of
//! level L holds the nodes of tree level 8·L from 256·`index` on; what lies between is a few hashings away. So a proof
//! or a root reads a handful of rows, whatever the size of the log.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Hash, Node, Span, node};

/// Nodes of a full tile.
pub const WIDTH: u64 = 256;
const BITS: u8 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    pub level: u8,
    pub index: u64,
}

impl TileId {
    /// The tile that a node lies in.
    fn of(it: Node) -> Self {
        let level = it.level / BITS;
        Self { level, index: (it.index << (it.level % BITS)) / WIDTH }
    }
}

/// The tiles at the right edge of a tree of `size` leaves that are not full: each with how many nodes it holds.
pub fn edge(size: u64) -> Vec<(TileId, u64)> {
    let levels = (0..).map(|level| (level, size >> (u64::from(level) * u64::from(BITS))));
    levels
        .take_while(|(_, count)| *count > 0)
        .filter(|(_, count)| count % WIDTH > 0)
        .map(|(level, count)| (TileId { level, index: count / WIDTH }, count % WIDTH))
        .collect()
}

/// Tiles by id.
#[derive(Debug, Clone, Default)]
pub struct Tiles(pub BTreeMap<TileId, Vec<Hash>>);

impl Tiles {
    /// The tiles that these spans need.
    pub fn needed(spans: &[Span]) -> BTreeSet<TileId> {
        spans.iter().flat_map(|span| span.nodes()).map(TileId::of).collect()
    }

    pub fn node(&self, it: Node) -> Option<Hash> {
        let hashes = self.0.get(&TileId::of(it))?;
        let inside = it.level % BITS;
        let start = ((it.index << inside) % WIDTH) as usize;
        Some(complete(hashes.get(start..start + (1 << inside))?))
    }

    pub fn span(&self, span: Span) -> Option<Hash> {
        span.hash(|it| self.node(it))
    }

    /// Appends a leaf as number `size`; answers the tiles that changed through `changed`.
    pub fn push(&mut self, size: u64, leaf: Hash, changed: &mut BTreeSet<TileId>) {
        let (mut level, mut at, mut hash) = (0, size, leaf);
        loop {
            let id = TileId { level, index: at / WIDTH };
            let tile = self.0.entry(id).or_default();
            tile.push(hash);
            changed.insert(id);
            if tile.len() < WIDTH as usize {
                return;
            }
            hash = complete(tile);
            (level, at) = (level + 1, at / WIDTH);
        }
    }
}

/// The root of 2^n hashes side by side.
pub fn complete(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node(&pair[0], &pair[pair.len() - 1])).collect();
    }
    row.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Edge, extends, includes};
    use super::*;
    use crate::history::tree;

    #[test]
    fn tiles_give_the_same_roots_and_proofs_as_the_leaves() {
        let (mut tiles, mut edge_of, mut roots) = (Tiles::default(), Edge::default(), vec![tree::empty()]);
        let leaves: Vec<Hash> = (0..66_000_u64).map(|n| tree::leaf(&n.to_be_bytes())).collect();
        let mut changed = BTreeSet::new();
        for (size, leaf) in (0..).zip(&leaves) {
            tiles.push(size, *leaf, &mut changed);
            edge_of.push(*leaf);
            roots.push(edge_of.root());
        }
        assert!(tiles.0.contains_key(&TileId { level: 2, index: 0 }), "three levels");
        for size in [1, 2, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 66_000] {
            let root = roots[size as usize];
            let whole = Span { start: 0, end: size };
            assert_eq!(tiles.span(whole), Some(root), "{size}");
            assert!(Tiles::needed(&[whole]).len() <= 3, "{size}");
            for index in [0, size / 3, size - 1] {
                let spans = tree::inclusion(index, size);
                let proof: Vec<Hash> = spans.iter().map(|span| tiles.span(*span).unwrap()).collect();
                assert!(includes(&leaves[index as usize], index, size, &proof, &root), "{index} of {size}");
                assert!(Tiles::needed(&spans).len() <= 6, "{index} of {size}");
                let proof: Vec<Hash> =
                    tree::consistency(index + 1, size).iter().map(|span| tiles.span(*span).unwrap()).collect();
                assert!(extends(index + 1, &roots[index as usize + 1], size, &root, &proof), "{index} in {size}");
            }
        }
    }

    #[test]
    fn a_tree_goes_on_from_its_edge_alone() {
        let leaf = |n: u64| tree::leaf(&n.to_be_bytes());
        let mut whole = Tiles::default();
        let mut size = 0;
        for batch in [1, 254, 1, 1, 300, 65_000, 700] {
            let mut changed = BTreeSet::new();
            let mut at_edge = Tiles::default();
            for (id, count) in edge(size) {
                assert_eq!(whole.0[&id].len() as u64, count);
                at_edge.0.insert(id, whole.0[&id].clone());
            }
            for n in size..size + batch {
                at_edge.push(n, leaf(n), &mut changed);
            }
            for id in changed {
                whole.0.insert(id, at_edge.0[&id].clone());
            }
            size += batch;
            let mut grown = Edge::default();
            (0..size).for_each(|n| grown.push(leaf(n)));
            assert_eq!(whole.span(Span { start: 0, end: size }), Some(grown.root()), "{size}");
        }
    }
}
