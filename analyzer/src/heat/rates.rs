//! What is counted exactly, because there are few of them: commands, slots.

use super::Work;
use crate::slots::SLOTS;

/// Slots of a block.
const BLOCK: usize = 128;

/// Work by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbered(pub(super) Vec<Work>);

impl Numbered {
    #[inline]
    pub(super) fn add(&mut self, number: usize, work: Work) {
        if let Some(sum) = self.0.get_mut(number) {
            *sum = sum.plus(work);
            return;
        }
        self.0.resize(number + 1, Work::default());
        self.0[number] = work;
    }

    /// Takes another account of the same numbers.
    pub(super) fn take(&mut self, other: &Numbered) {
        for (number, work) in other.0.iter().enumerate() {
            if work.writes > 0 {
                self.add(number, *work);
            }
        }
    }
}

/// Work by hash slot, in blocks that are made when a slot of them is first written.
#[derive(Debug, Default)]
pub(super) struct Slots {
    blocks: Vec<Option<Box<[Work; BLOCK]>>>,
}

impl Slots {
    #[inline]
    pub(super) fn add(&mut self, slot: u16, bytes: u64) {
        let slot = usize::from(slot);
        if self.blocks.is_empty() {
            self.blocks.resize(SLOTS / BLOCK, None);
        }
        let Some(block) = self.blocks.get_mut(slot / BLOCK) else {
            return;
        };
        let block = block.get_or_insert_with(|| Box::new([Work::default(); BLOCK]));
        let sum = &mut block[slot % BLOCK];
        *sum = sum.plus(Work::one(bytes));
    }

    /// The slots that were written, in order.
    pub(super) fn written(&self) -> Vec<(u16, Work)> {
        let blocks = (0u16..).step_by(BLOCK).zip(&self.blocks);
        let blocks = blocks.filter_map(|(first, block)| Some((first, block.as_deref()?)));
        blocks
            .flat_map(|(first, block)| (first..).zip(block.iter().copied()))
            .filter(|(_, work)| work.writes > 0)
            .collect()
    }

    /// Begins anew, in the same memory.
    pub(super) fn clear(&mut self) {
        for block in self.blocks.iter_mut().flatten() {
            block.fill(Work::default());
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let made = self.blocks.iter().flatten().count();
        made * size_of::<[Work; BLOCK]>() + self.blocks.capacity() * size_of::<usize>()
    }
}

/// Sums of several accounts by slot, each of which is in order. Most masters of a large deployment
/// write to few of their slots, so nothing is made for the others.
pub(super) fn merge_slots<'a>(parts: impl Iterator<Item = &'a [(u16, Work)]>) -> Vec<(u16, Work)> {
    let mut sums: Vec<(u16, Work)> = parts.flatten().copied().collect();
    sums.sort_by_key(|(slot, _)| *slot);
    sums.dedup_by(|(slot, work), (kept, sum)| {
        let same = slot == kept;
        if same {
            *sum = sum.plus(*work);
        }
        same
    });
    sums.shrink_to_fit();
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_by_slot_are_added_up() {
        let of = |parts: &[&[(u16, u64)]]| {
            let parts = parts.iter().map(|part| {
                let works = part.iter().map(|(slot, bytes)| (*slot, Work::one(*bytes)));
                works.collect::<Vec<_>>()
            });
            let parts: Vec<_> = parts.collect();
            let sums = merge_slots(parts.iter().map(Vec::as_slice));
            let sums = sums.into_iter();
            sums.map(|(slot, sum)| (slot, sum.writes, sum.bytes))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[&[], &[(7, 3)]]), [(7, 1, 3)]);
        let parts: [&[(u16, u64)]; 3] = [&[(0, 1), (9, 2)], &[(9, 3), (16_383, 4)], &[(9, 5)]];
        assert_eq!(of(&parts), [(0, 1, 1), (9, 3, 10), (16_383, 1, 4)]);
    }
}
