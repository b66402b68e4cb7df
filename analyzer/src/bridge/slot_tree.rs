//! The radix tree that a node of a Redis 6 cluster keeps of all its keys (`slots_to_keys`): two bytes
//! of slot, then the name, and nothing else. The server tells nothing of it, and it can take as much
//! as the keys.
//!
//! Its size follows from the names, which are not kept in order here. But the names of a slot are
//! any names, as far as CRC16 scatters them: so trees are built of some hundred names that are taken
//! at random, in groups as large as the slots are, and what a name takes there on average is taken
//! for all. Names of one hash tag share a slot and are not scattered: of those the tree is smaller
//! than is said here.
//!
//! ```text
//! run of L bytes      1: pad(4 + 1) + 8        more: pad(4 + L) + 8 (rax.c, compressed)
//! parting of c        pad(4 + c) + 8 c
//! end of a name       8, none if others go on from it
//! ```

use crate::size::Allocator;
use crate::slots::SlotSums;
use crate::store::Table;

/// Names that are looked at.
const SAMPLE: usize = 4_096;

/// Bytes of the tree of all names.
pub(super) fn bytes(table: &Table, slots: &SlotSums, allocator: Allocator) -> u64 {
    let names = sample(table);
    if names.is_empty() {
        return 0;
    }
    let tree = Tree { allocator };
    // Sizes from the smallest to the largest: names in a sequence fill slots in a pattern.
    let mut sizes: Vec<u64> = slots.filled().map(|(_, slot)| slot.keys).collect();
    sizes.sort_unstable();
    let keys: u64 = sizes.iter().sum();
    let stride = usize::try_from(keys).unwrap_or(usize::MAX) / names.len();
    let (mut at, mut seen, mut sum) = (0, 0, 0);
    for size in sizes.into_iter().step_by(stride.max(1)) {
        let count = usize::try_from(size).unwrap_or(SAMPLE);
        let end = (at + count).min(names.len());
        let mut group = names[at..end].to_vec();
        group.sort_unstable();
        sum += tree.names(&group, 0);
        seen += group.len() as u64;
        at = end;
        if at == names.len() {
            break;
        }
    }
    let product = u128::from(sum) * u128::from(keys) / u128::from(seen.max(1));
    tree.prefixes(slots) + u64::try_from(product).unwrap_or(u64::MAX)
}

/// The names of some whole pages: what page a name is in is a matter of its hash, its place there of
/// its age.
fn sample(table: &Table) -> Vec<&[u8]> {
    let step = usize::try_from(table.len()).unwrap_or(usize::MAX) / SAMPLE;
    let pages = (0..table.pages()).step_by(step.max(1));
    let records = pages.flat_map(|page| table.records(page));
    let names = records.map(|record| table.name(&record));
    let mut names: Vec<&[u8]> = names.take(2 * SAMPLE).collect();
    // Neighbours of a page came one after the other, and are alike.
    names.sort_by_cached_key(|name| table.digest(name));
    names
}

/// Sizes of nodes.
struct Tree {
    allocator: Allocator,
}

impl Tree {
    fn node(&self, data: u64, children: u64) -> u64 {
        let bytes = (4 + data).next_multiple_of(8) + 8 * children;
        self.allocator.class(bytes)
    }

    fn run(&self, len: usize) -> u64 {
        if len == 0 {
            0
        } else {
            self.node(len as u64, 1)
        }
    }

    /// The partings of the two bytes in front of every name.
    fn prefixes(&self, slots: &SlotSums) -> u64 {
        let mut children = [0u64; 256];
        for (slot, _) in slots.filled() {
            children[usize::from(slot >> 8)] += 1;
        }
        let high = children.iter().filter(|&&low| low > 0);
        let partings = high.clone().map(|&low| self.node(low, low));
        let high = high.count() as u64;
        self.node(high, high) + partings.sum::<u64>()
    }

    /// The tree of names in order, each once, that have the first `depth` bytes in common.
    fn names(&self, names: &[&[u8]], depth: usize) -> u64 {
        let (Some(first), Some(last)) = (names.first(), names.last()) else {
            return 0;
        };
        if names.len() == 1 {
            return self.run(first.len() - depth) + self.node(0, 0);
        }
        let same = first.iter().zip(last.iter()).skip(depth);
        let parting = depth + same.take_while(|(a, b)| a == b).count();
        let run = self.run(parting - depth);
        if first.len() == parting {
            return run + self.names(&names[1..], parting);
        }
        let groups = names.chunk_by(|a, b| a.get(parting) == b.get(parting));
        let below: u64 = groups
            .clone()
            .map(|group| self.names(group, parting + 1))
            .sum();
        let children = groups.count() as u64;
        run + self.node(children, children) + below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_canonical() {
        let allocator = Allocator {
            quantum: 16,
            page_above_16k: false,
            libc: false,
        };
        let tree = Tree { allocator };
        let of = |names: &[&str]| {
            let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
            tree.names(&names, 0)
        };
        // pad(4 + 3) + 8 and an end.
        assert_eq!(of(&["abc"]), 16 + 8);
        // Run "ab", a parting of two, two ends.
        assert_eq!(of(&["abc", "abd"]), 16 + 32 + 2 * 8);
        // "a" is a name on the way: a node of one child for it and for what follows.
        assert_eq!(of(&["a", "ab"]), 16 + 16 + 8);
    }
}
