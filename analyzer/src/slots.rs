//! Keys and bytes by hash slot, for one database.
//!
//! A master of a cluster has some of the 16384 slots, mostly in runs. Sums stand in blocks of 128
//! slots that are made when a key of them first comes: at most 257 KiB a database, and a few
//! hundred bytes for one of a hundred masters.

mod blocks;
mod packed;
mod set;

use std::fmt;

use crate::keyspace::SlotOf;

pub(crate) use self::blocks::Blocks;
pub(crate) use self::packed::Packed;
pub(crate) use self::set::SlotSet;

/// Slots that can be counted, of every cluster.
pub const SLOTS: usize = 16_384;

/// Slots of a block: 2 KiB.
const BLOCK: usize = 128;

/// How uneven the masters of a cluster are: what the largest has by the mean of all, 1 where they are
/// even; `None` if none has anything.
///
/// Everything that tells a skew tells this one, of the masters that own slots, and of each what is
/// in its own slots: keys of slots that move, or were left behind, are not its share.
#[expect(clippy::cast_precision_loss, reason = "a ratio of sums")]
pub fn skew(loads: impl IntoIterator<Item = u64>) -> Option<f64> {
    let (mut masters, mut all, mut most) = (0u64, 0u64, 0);
    for load in loads {
        masters += 1;
        all = all.saturating_add(load);
        most = load.max(most);
    }
    (all > 0).then(|| most as f64 * masters as f64 / all as f64)
}

/// What the keys of one slot sum up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotSum {
    /// Keys.
    pub keys: u64,
    /// Sum of MEMORY USAGE.
    pub bytes: u64,
}

/// Sums of every slot that has keys.
#[derive(Clone)]
pub struct SlotSums {
    slot_of: SlotOf,
    blocks: Blocks<[SlotSum; BLOCK], BLOCK>,
}

impl SlotSums {
    /// No key yet. Keys whose slot is 16384 or more are not counted.
    pub fn new(slot_of: SlotOf) -> SlotSums {
        SlotSums {
            slot_of,
            blocks: Blocks::default(),
        }
    }

    /// What tells the slot of a key.
    pub(crate) fn function(&self) -> SlotOf {
        self.slot_of
    }

    /// A key of so many bytes comes.
    pub fn add(&mut self, name: &[u8], bytes: u64) {
        self.change(name, None, Some(bytes));
    }

    /// A key had so many bytes, and has now; `None` is "not there".
    pub(crate) fn change(&mut self, name: &[u8], before: Option<u64>, after: Option<u64>) {
        let slot = (self.slot_of)(name);
        let Some((block, at)) = self.blocks.make(slot, || [SlotSum::default(); BLOCK]) else {
            return;
        };
        let sum = &mut block[at];
        if let Some(bytes) = before {
            sum.keys -= 1;
            sum.bytes = sum.bytes.wrapping_sub(bytes);
        }
        if let Some(bytes) = after {
            sum.keys += 1;
            sum.bytes = sum.bytes.wrapping_add(bytes);
        }
    }

    /// The sum of one slot.
    pub fn get(&self, slot: u16) -> SlotSum {
        let block = self.blocks.get(slot);
        block.map_or_else(SlotSum::default, |(block, at)| block[at])
    }

    /// The slots that have keys, in order.
    pub fn filled(&self) -> impl Iterator<Item = (u16, SlotSum)> {
        let slots = self.blocks.made();
        slots
            .flat_map(|(first, block)| (first..).zip(block.iter().copied()))
            .filter(|(_, sum)| sum.keys > 0)
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.blocks.heap_bytes()
    }
}

impl PartialEq for SlotSums {
    fn eq(&self, other: &SlotSums) -> bool {
        self.filled().eq(other.filled())
    }
}

impl Eq for SlotSums {}

impl fmt::Debug for SlotSums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.filled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(name: &[u8]) -> u16 {
        u16::try_from(name.len()).expect("short names")
    }

    #[test]
    fn sums_follow_changes_and_blocks_come_with_keys() {
        let mut sums = SlotSums::new(length);
        assert_eq!(sums.heap_bytes(), 0);
        sums.add(b"abc", 10);
        let one = sums.heap_bytes();
        sums.add(b"xyz", 5);
        sums.add(&[b'a'; 200], 7);
        assert_eq!(sums.heap_bytes(), one + 2048);
        sums.change(b"abc", Some(10), Some(30));
        assert_eq!(sums.get(3), SlotSum { keys: 2, bytes: 35 });
        sums.change(&[b'a'; 200], Some(7), None);
        let filled: Vec<_> = sums.filled().collect();
        assert_eq!(filled, [(3, SlotSum { keys: 2, bytes: 35 })]);
        let mut other = SlotSums::new(length);
        other.add(b"123", 30);
        other.add(b"456", 5);
        assert_eq!(sums, other, "an empty block is no difference");
    }

    #[test]
    fn slots_beyond_the_last_are_left_out() {
        let mut sums = SlotSums::new(|_| u16::MAX);
        sums.add(b"a", 1);
        assert_eq!(sums.filled().count(), 0);
    }
}
