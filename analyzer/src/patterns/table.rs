//! Which node a step leads to: an open-addressing table from the fingerprint of a step (the node it
//! starts from, the separator, the token) to the node where it ends.
//!
//! A fingerprint is 64 bits, keyed with the process's seed, and passes for the step: should two ever
//! share one, two tokens of one place would count as one pattern, each time in the same way.

/// Of an entry without a node.
const VACANT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    print: u64,
    node: u32,
}

const EMPTY: Entry = Entry {
    print: 0,
    node: VACANT,
};

/// Slots at first.
const SLOTS_MIN: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// A power of two of them, half of them vacant at least.
    slots: Vec<Entry>,
    len: usize,
}

impl Steps {
    pub(super) fn new() -> Steps {
        Steps {
            slots: vec![EMPTY; SLOTS_MIN],
            len: 0,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits of a fingerprint"
    )]
    fn home(&self, print: u64) -> usize {
        print as usize & (self.slots.len() - 1)
    }

    fn find(&self, print: u64) -> (usize, Option<u32>) {
        let mut at = self.home(print);
        loop {
            let entry = self.slots[at];
            if entry.node == VACANT {
                return (at, None);
            }
            if entry.print == print {
                return (at, Some(entry.node));
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    pub(super) fn get(&self, print: u64) -> Option<u32> {
        self.find(print).1
    }

    /// Adds a step that is not there.
    pub(super) fn insert(&mut self, print: u64, node: u32) {
        if self.len * 2 >= self.slots.len() {
            let double = self.slots.len() * 2;
            let old = std::mem::replace(&mut self.slots, vec![EMPTY; double]);
            for entry in old {
                if entry.node != VACANT {
                    let (at, _) = self.find(entry.print);
                    self.slots[at] = entry;
                }
            }
        }
        let (at, _) = self.find(print);
        self.slots[at] = Entry { print, node };
        self.len += 1;
    }

    /// Removes a step; those behind it close up.
    pub(super) fn remove(&mut self, print: u64) {
        let (mut hole, found) = self.find(print);
        if found.is_none() {
            return;
        }
        let mask = self.slots.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.slots[at];
            if entry.node == VACANT {
                break;
            }
            // How far each is from where it belongs, going round.
            let from_home = at.wrapping_sub(self.home(entry.print)) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.slots[hole] = entry;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn steps_are_found_until_they_are_removed() {
        let mut steps = Steps::new();
        let mut naive = BTreeMap::new();
        let mut dice = 7u64;
        for round in 0..20_000u32 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few homes, so that runs are long and go round the end.
            let print = (dice >> 40) % 600 * 0x1_0000_0000 + (dice >> 33) % 24;
            if naive.remove(&print).is_some() {
                steps.remove(print);
            } else {
                naive.insert(print, round);
                steps.insert(print, round);
            }
            assert_eq!(steps.len, naive.len());
        }
        for (print, node) in &naive {
            assert_eq!(steps.get(*print), Some(*node));
        }
        assert_eq!(steps.get(u64::MAX), None);
    }
}
