//! The radix tree that a server keeps 16-byte ids in: how many nodes it has, and what they allocate.
//!
//! The tree is canonical: it follows from the set of ids alone (`reference/memory-model.md` section
//! 8). Where ids part it has a node with one child per next byte; a run of bytes between two such
//! places is one node, compressed if longer than one byte; an id ends in an empty leaf. So adding
//! an id either gives a branch one child more or cuts a run in two around a new branch, and what
//! changes can be told from the neighbours of the id.
//!
//! ```text
//! run of L bytes   0: none; 1: a plain node with one child; more: one compressed node
//! ids a, b         a and b share d bytes: run(d), branch(2), run(15 - d) + leaf for each
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::profile::{Family, Profile, Version};
use crate::size::Allocator;

/// Bytes of an id.
const WIDTH: u64 = 16;

/// Ordered ids, as the tree's neighbour search sees them.
pub(super) trait Ids {
    /// The largest below `id`.
    fn below(&self, id: u128) -> Option<u128>;
    /// The smallest from `id` on.
    fn from(&self, id: u128) -> Option<u128>;
}

impl<V> Ids for BTreeMap<u128, V> {
    fn below(&self, id: u128) -> Option<u128> {
        self.range(..id).next_back().map(|(&id, _)| id)
    }
    fn from(&self, id: u128) -> Option<u128> {
        self.range(id..).next().map(|(&id, _)| id)
    }
}

impl Ids for BTreeSet<u128> {
    fn below(&self, id: u128) -> Option<u128> {
        self.range(..id).next_back().copied()
    }
    fn from(&self, id: u128) -> Option<u128> {
        self.range(id..).next().copied()
    }
}

/// How a server counts its trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meter {
    allocator: Allocator,
    /// The real blocks are counted (Valkey 8.1 and later), not an estimate.
    blocks: bool,
}

impl Meter {
    pub(super) fn of(profile: &Profile) -> Meter {
        Meter {
            allocator: profile.allocator,
            blocks: profile.family == Family::Valkey && profile.version >= Version::new(8, 1),
        }
    }

    /// What MEMORY USAGE counts for `trees` trees that have `keys` ids together.
    pub(super) fn memory(&self, trees: u64, keys: u64, shape: Shape) -> u64 {
        if self.blocks {
            trees * self.allocator.class(32) + shape.bytes
        } else {
            keys * WIDTH + shape.nodes * 244
        }
    }

    /// What `trees` trees take beyond that, less than nothing where the guess is too large.
    pub(super) fn beyond(&self, trees: u64, keys: u64, shape: Shape) -> i64 {
        /// `rax` before Valkey 8.1.
        const TREE: u64 = 24;
        if self.blocks {
            return 0;
        }
        let real = trees * self.allocator.class(TREE) + shape.bytes;
        signed(real) - signed(self.memory(trees, keys, shape))
    }

    /// A tree of `count` names of `len` bytes, which MEMORY USAGE leaves out: what names share at
    /// their front is in each of them here.
    pub(super) fn names(&self, count: u64, len: u64) -> u64 {
        let tree = self.allocator.class(if self.blocks { 32 } else { 24 });
        if count == 0 {
            return tree + self.piece(Piece::Empty).bytes;
        }
        let name = self.piece(Piece::Run(len)).plus(self.piece(Piece::Leaf));
        tree + count * name.bytes
    }

    fn piece(&self, piece: Piece) -> Shape {
        let data = match piece {
            Piece::Run(0) => return Shape::default(),
            Piece::Empty => 0,
            Piece::Run(len) => len,
            Piece::Branch(children) => children,
            Piece::Leaf => 0,
        };
        let pointers = match piece {
            Piece::Empty => 0,
            Piece::Run(_) | Piece::Leaf => 1,
            Piece::Branch(children) => children,
        };
        // Header and data are padded to the pointers behind them.
        let bytes = (4 + data).next_multiple_of(8) + 8 * pointers;
        Shape {
            nodes: 1,
            bytes: self.allocator.class(bytes),
        }
    }
}

/// A figure in a sum that has negative ones.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A part of a tree.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// The root of a tree without ids.
    Empty,
    /// Bytes that all ids behind them share.
    Run(u64),
    /// A place where ids part, by children.
    Branch(u64),
    /// The end of an id.
    Leaf,
}

/// Size of a tree, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) nodes: u64,
    /// Their blocks.
    pub(super) bytes: u64,
}

impl Shape {
    /// A tree without ids.
    pub(super) fn empty(meter: &Meter) -> Shape {
        meter.piece(Piece::Empty)
    }

    pub(super) fn plus(self, other: Shape) -> Shape {
        Shape {
            nodes: self.nodes + other.nodes,
            bytes: self.bytes + other.bytes,
        }
    }

    pub(super) fn minus(self, other: Shape) -> Shape {
        Shape {
            nodes: self.nodes.saturating_sub(other.nodes),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// A tree that has lost its last id: the root stays in the block of the run it was.
    pub(super) fn emptied(meter: &Meter) -> Shape {
        meter.piece(Piece::Run(WIDTH))
    }

    /// The tree of these ids, in their order.
    pub(super) fn built(ids: impl Iterator<Item = u128>, meter: &Meter) -> Shape {
        let (mut tree, mut shape) = (BTreeSet::new(), Shape::empty(meter));
        for id in ids {
            shape = shape.added(&tree, id, meter);
            tree.insert(id);
        }
        shape
    }

    /// With `id` added to `ids`, which do not have it yet.
    #[must_use]
    pub(super) fn added(self, ids: &impl Ids, id: u128, meter: &Meter) -> Shape {
        match change(ids, id, meter) {
            Some((old, new)) => self.plus(new).minus(old),
            None => meter
                .piece(Piece::Run(WIDTH))
                .plus(meter.piece(Piece::Leaf)),
        }
    }

    /// With `id` taken from `ids`, which do not have it any more.
    #[must_use]
    pub(super) fn removed(self, ids: &impl Ids, id: u128, meter: &Meter) -> Shape {
        match change(ids, id, meter) {
            Some((old, new)) => self.plus(old).minus(new),
            None => Shape::emptied(meter),
        }
    }
}

/// Trees as another server has them that loads them: the same nodes, in its blocks.
#[derive(Debug)]
pub(super) struct Regrown {
    meter: Meter,
    /// The blocks are not those that are known.
    anew: bool,
    /// Ids that are still looked at.
    left: u64,
    /// What the trees came to that were looked at.
    seen: Shape,
    /// Trees were too large to be looked at: what was seen stands for them.
    pub(super) sampled: bool,
}

impl Regrown {
    /// Trees of a server as `from` on one with this meter; looks at no more than `most` ids.
    pub(super) fn new(from: &Profile, meter: Meter, most: u64) -> Regrown {
        let known = Meter::of(from);
        let other = !known.blocks || known.allocator != meter.allocator;
        Regrown {
            meter,
            anew: meter.blocks && other,
            left: most,
            seen: Shape::default(),
            sampled: false,
        }
    }

    /// A tree whose shape is known, with these ids, in their order.
    pub(super) fn tree(&mut self, known: Shape, ids: impl ExactSizeIterator<Item = u128>) -> Shape {
        let count = ids.len() as u64;
        if count == 0 {
            return Shape::empty(&self.meter);
        }
        if !self.anew {
            return known;
        }
        if count <= self.left {
            self.left -= count;
            let shape = Shape::built(ids, &self.meter);
            self.seen = self.seen.plus(shape);
            return shape;
        }
        self.sampled = true;
        let leaf = self.meter.piece(Piece::Leaf);
        let (nodes, bytes) = match self.seen.nodes {
            0 => (1, leaf.bytes),
            nodes => (nodes, self.seen.bytes),
        };
        Shape {
            nodes: known.nodes,
            bytes: known.nodes * bytes / nodes,
        }
    }
}

/// Trees of a server that is followed no longer, as the next one has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remade {
    /// `None` if it is not known by which one they were made.
    pub(super) from: Option<Meter>,
    pub(super) to: Meter,
}

impl Remade {
    /// A tree whose shape is known, with these ids, in their order.
    pub(super) fn tree(self, known: Shape, ids: impl ExactSizeIterator<Item = u128>) -> Shape {
        if self.from == Some(self.to) {
            return known;
        }
        let was_used = |from: Meter| known == Shape::emptied(&from);
        if ids.len() == 0 && self.from.is_some_and(was_used) {
            return Shape::emptied(&self.to);
        }
        Shape::built(ids, &self.to)
    }
}

/// Bytes that two ids share at their front.
fn shared(a: u128, b: u128) -> u64 {
    u64::from((a ^ b).leading_zeros() / 8)
}

/// The lowest and highest id with the first `len` bytes of `id`.
fn block(id: u128, len: u64) -> (u128, u128) {
    let free = u32::try_from(8 * (WIDTH - len)).unwrap_or(0);
    let mask = u128::MAX.checked_shl(free).unwrap_or(0);
    (id & mask, id | !mask)
}

/// What of the tree goes and what comes when `id` joins `ids`; `None` if it is the only one.
fn change(ids: &impl Ids, id: u128, meter: &Meter) -> Option<(Shape, Shape)> {
    let sum = |pieces: &[Piece]| {
        pieces
            .iter()
            .fold(Shape::default(), |sum, &piece| sum.plus(meter.piece(piece)))
    };
    let sides = [ids.below(id), ids.from(id)];
    let near = sides
        .into_iter()
        .flatten()
        .max_by_key(|&near| shared(near, id))?;
    let depth = shared(near, id);
    if depth == WIDTH {
        // It is there already, which only a broken image can have.
        return Some((Shape::default(), Shape::default()));
    }
    let (low, high) = block(id, depth);
    let (child_low, child_high) = block(near, depth + 1);
    let above = |id: u128| id.checked_add(1).and_then(|next| ids.from(next));
    let first = ids.from(low).unwrap_or(near);
    let last = match high.checked_add(1) {
        Some(next) => ids.below(next).unwrap_or(near),
        None => ids.below(high).max(ids.from(high)).unwrap_or(near),
    };
    let own_end = [Piece::Run(WIDTH - 1 - depth), Piece::Leaf];
    if first < child_low || last > child_high {
        // The ids part here already.
        if !meter.blocks {
            // Where nobody asks for the very blocks, the children are not counted: one more is a
            // byte and a pointer, which is what it takes without the rounding.
            let child = Shape { nodes: 0, bytes: 9 };
            return Some((Shape::default(), sum(&own_end).plus(child)));
        }
        let children = children(ids, low, high, depth);
        let new = sum(&own_end).plus(sum(&[Piece::Branch(children + 1)]));
        return Some((sum(&[Piece::Branch(children)]), new));
    }
    // The run goes from behind the last parting to the next one, or to the end.
    let outside = [ids.below(low), above(high)];
    let start = outside
        .into_iter()
        .flatten()
        .map(|other| shared(other, id) + 1)
        .max()
        .unwrap_or(0);
    let end = if first == last {
        WIDTH
    } else {
        shared(first, last)
    };
    let new = sum(&[
        Piece::Run(depth.saturating_sub(start)),
        Piece::Branch(2),
        Piece::Run(end.saturating_sub(depth + 1)),
    ]);
    let old = sum(&[Piece::Run(end.saturating_sub(start))]);
    Some((old, new.plus(sum(&own_end))))
}

/// How many different bytes follow the first `depth` ones, from `low` to `high`.
fn children(ids: &impl Ids, low: u128, high: u128, depth: u64) -> u64 {
    let mut count = 0;
    let mut from = Some(low);
    while let Some(id) = from.and_then(|at| ids.from(at)).filter(|&id| id <= high) {
        count += 1;
        from = block(id, depth + 1).1.checked_add(1);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree of a sorted set, built from the definition.
    fn fresh(ids: &[u128], depth: u64, run: u64, meter: &Meter) -> Shape {
        let Some((&first, &last)) = ids.first().zip(ids.last()) else {
            return meter.piece(Piece::Empty);
        };
        if first == last {
            let run = meter.piece(Piece::Run(WIDTH - depth + run));
            return run.plus(meter.piece(Piece::Leaf));
        }
        let parting = shared(first, last);
        let run = meter.piece(Piece::Run(parting - depth + run));
        let groups: Vec<&[u128]> = ids.chunk_by(|&a, &b| shared(a, b) > parting).collect();
        let branch = meter.piece(Piece::Branch(groups.len() as u64));
        groups.into_iter().fold(run.plus(branch), |sum, group| {
            sum.plus(fresh(group, parting + 1, 0, meter))
        })
    }

    #[test]
    fn a_tree_changed_id_by_id_equals_one_built_at_once() {
        let meter = Meter {
            allocator: Allocator {
                libc: false,
                quantum: 16,
                page_above_16k: false,
            },
            blocks: true,
        };
        let mut state = 12345u64;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut ids = BTreeSet::new();
        let mut shape = Shape::empty(&meter);
        for round in 0..6_000u64 {
            let ms = [0x0123_4567_89ab, u64::MAX, 0][usize::try_from(next(3)).unwrap()];
            let id = u128::from(ms - (next(700) + next(3) * 65_536).min(ms)) << 64
                | u128::from(next(3) * next(1 << 20));
            if ids.remove(&id) {
                shape = shape.removed(&ids, id, &meter);
            } else {
                shape = shape.added(&ids, id, &meter);
                ids.insert(id);
            }
            if round % 50 == 0 || ids.len() < 4 {
                let all: Vec<u128> = ids.iter().copied().collect();
                let expected = if round > 0 && all.is_empty() {
                    Shape::emptied(&meter)
                } else {
                    fresh(&all, 0, 0, &meter)
                };
                assert_eq!(shape, expected, "{} ids", all.len());
            }
            if round % 1_000 == 999 {
                while let Some(id) = ids.pop_last() {
                    shape = shape.removed(&ids, id, &meter);
                }
                assert_eq!(shape, Shape::emptied(&meter));
            }
        }
    }
}
