//! The Merkle tree of RFC 9162, section 2.1, over the numbered events: pure arithmetic on hashes. The hash of a complete
//! subtree never changes once its last leaf is there, which is why it can be stored.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The root of a tree without leaves.
pub fn empty() -> Hash {
    fixed(digest(&SHA256, b"").as_ref())
}

/// The hash of a leaf's content.
pub fn leaf(content: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(content);
    fixed(context.finish().as_ref())
}

/// The hash of two subtrees side by side.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1_u8; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    fixed(digest(&SHA256, &bytes).as_ref())
}

fn fixed(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(bytes);
    hash
}

/// A complete subtree: 2^`level` leaves, the `index`-th of its kind from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    pub level: u8,
    pub index: u64,
}

/// The leaves `start..end`. As a proof's part `start` is a multiple of the largest power of two in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// The complete subtrees that it is made of, left to right, the largest first.
    pub fn nodes(self) -> Vec<Node> {
        let (mut at, mut nodes) = (self.start, Vec::new());
        while at < self.end {
            let fits = (self.end - at).ilog2();
            let level = at.trailing_zeros().min(fits) as u8;
            nodes.push(Node { level, index: at >> level });
            at += 1 << level;
        }
        nodes
    }

    /// Its hash, from the hashes of its nodes; `None` where one is not known.
    pub fn hash(self, known: impl Fn(Node) -> Option<Hash>) -> Option<Hash> {
        let mut right: Option<Hash> = None;
        for part in self.nodes().into_iter().rev() {
            let hash = known(part)?;
            right = Some(right.map_or(hash, |right| node(&hash, &right)));
        }
        Some(right.unwrap_or_else(empty))
    }
}

/// The largest power of two below `n`, which is at least 2.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// What proves that leaf `index` is in the tree of `size` leaves, from the leaf upward (RFC 9162, 2.1.3.1).
pub fn inclusion(index: u64, size: u64) -> Vec<Span> {
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(Span { start: middle, end });
            end = middle;
        } else {
            path.push(Span { start, end: middle });
            start = middle;
        }
    }
    path.reverse();
    path
}

/// What proves that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 9162, 2.1.4.1).
pub fn consistency(old: u64, new: u64) -> Vec<Span> {
    if old == 0 || old >= new {
        return Vec::new();
    }
    let (mut start, mut end, mut whole, mut path) = (0, new, true, Vec::new());
    while start + (old - start) != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(Span { start: middle, end });
            end = middle;
        } else {
            path.push(Span { start, end: middle });
            start = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(Span { start, end });
    }
    path.reverse();
    path
}

/// Whether `proof` shows `leaf` as the `index`-th of `size` leaves below `root` (RFC 9162, 2.1.3.2).
pub fn includes(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(step, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree `old_root` of `old` leaves is the beginning of `new_root` (RFC 9162, 2.1.4.2).
pub fn extends(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 || old > new {
        return old == 0 && proof.is_empty() && *old_root == empty();
    }
    let mut steps = proof.iter();
    // A complete old tree is a node of the new one and stands for itself.
    let first = if old.is_power_of_two() { Some(old_root) } else { steps.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut before, mut after) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (before, after) = (node(step, &before), node(step, &after));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            after = node(&after, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && before == *old_root && after == *new_root
}

/// A tree that grows leaf by leaf and keeps only what its root needs: a hash for each complete subtree at its edge.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    size: u64,
    peaks: Vec<Hash>,
}

impl Edge {
    pub const fn size(&self) -> u64 {
        self.size
    }

    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty() };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::hexadecimal;
    use proptest::prelude::*;

    /// The leaves and roots that logs of RFC 6962 are tested with.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [(usize, &str); 7] = [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ];

    fn bytes(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// Straight from the definition: MTH of RFC 9162, section 2.1.1.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [one] => *one,
            many => {
                let k = split(many.len() as u64) as usize;
                node(&by_definition(&many[..k]), &by_definition(&many[k..]))
            }
        }
    }

    fn numbered(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    fn hashes(spans: &[Span], leaves: &[Hash]) -> Vec<Hash> {
        let known = |it: Node| {
            let start = (it.index << it.level) as usize;
            leaves.get(start..start + (1 << it.level)).map(by_definition)
        };
        spans.iter().map(|span| span.hash(known).unwrap()).collect()
    }

    #[test]
    fn the_roots_are_those_of_the_published_vectors() {
        let leaves: Vec<Hash> = LEAVES.iter().map(|text| leaf(&bytes(text))).collect();
        for (size, root) in ROOTS {
            let mut edge = Edge::default();
            leaves[..size].iter().for_each(|leaf| edge.push(*leaf));
            assert_eq!(hexadecimal(&edge.root()), root, "{size} leaves, growing");
            assert_eq!(hexadecimal(&by_definition(&leaves[..size])), root, "{size} leaves, by definition");
            assert_eq!(hashes(&[Span { start: 0, end: size as u64 }], &leaves), [bytes(root).as_slice()], "{size}");
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_no_other_one() {
        let leaves = numbered(40);
        for size in 1..=40_u64 {
            let root = by_definition(&leaves[..size as usize]);
            for index in 0..size {
                let proof = hashes(&inclusion(index, size), &leaves);
                let it = &leaves[index as usize];
                assert!(includes(it, index, size, &proof, &root), "leaf {index} of {size}");
                assert!(!includes(&leaf(b"x"), index, size, &proof, &root), "another leaf at {index} of {size}");
                assert!(!includes(it, index + 1, size, &proof, &root), "leaf {index} of {size} a place further");
                for at in 0..proof.len() {
                    let mut spoiled = proof.clone();
                    spoiled[at][7] ^= 1;
                    assert!(!includes(it, index, size, &spoiled, &root), "step {at} of {index} in {size}");
                }
                assert!(!includes(it, index, size, &[&proof[..], &[root]].concat(), &root), "a longer proof");
            }
        }
    }

    #[test]
    fn every_tree_is_proven_to_begin_with_every_smaller_one() {
        let leaves = numbered(40);
        for new in 1..=40_u64 {
            let new_root = by_definition(&leaves[..new as usize]);
            for old in 1..=new {
                let old_root = by_definition(&leaves[..old as usize]);
                let proof = hashes(&consistency(old, new), &leaves);
                assert!(extends(old, &old_root, new, &new_root, &proof), "{old} in {new}");
                let mut other = leaves[..old as usize].to_vec();
                other[old as usize / 2][0] ^= 1;
                assert!(!extends(old, &by_definition(&other), new, &new_root, &proof), "a rewritten {old} in {new}");
                for at in 0..proof.len() {
                    let mut spoiled = proof.clone();
                    spoiled[at][31] ^= 1;
                    assert!(!extends(old, &old_root, new, &new_root, &spoiled), "step {at} of {old} in {new}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn proofs_hold_in_trees_of_any_size(size in 1_u64..3000, index in any::<prop::sample::Index>()) {
            let leaves = numbered(size);
            let root = by_definition(&leaves);
            let index = index.index(size as usize) as u64;
            let proof = hashes(&inclusion(index, size), &leaves);
            prop_assert!(proof.len() <= 12);
            prop_assert!(includes(&leaves[index as usize], index, size, &proof, &root));
            let old = index + 1;
            let old_root = by_definition(&leaves[..old as usize]);
            prop_assert!(extends(old, &old_root, size, &root, &hashes(&consistency(old, size), &leaves)));
        }
    }
}
