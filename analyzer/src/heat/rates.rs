//! What is counted exactly, because there are few of them: commands, slots.

use super::Work;
use crate::slots::{Blocks, Packed};

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

/// Work by hash slot, of the span that is open.
#[derive(Debug, Default)]
pub(super) struct Slots(Blocks<[Work; BLOCK], BLOCK>);

impl Slots {
    #[inline]
    pub(super) fn add(&mut self, slot: u16, bytes: u64) {
        if let Some((block, at)) = self.0.make(slot, || [Work::default(); BLOCK]) {
            block[at] = block[at].plus(Work::one(bytes));
        }
    }

    /// The slots that were written, in order.
    pub(super) fn written(&self) -> BySlot {
        let blocks = self.0.made();
        let slots = blocks.flat_map(|(first, block)| (first..).zip(block.iter().copied()));
        BySlot::new(slots.filter(|(_, work)| work.writes > 0))
    }

    /// Begins anew, in the same memory.
    pub(super) fn clear(&mut self) {
        for (_, block) in self.0.made_mut() {
            block.fill(Work::default());
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

/// Work by slot of a span that is over, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct BySlot(Packed<2>);

impl BySlot {
    pub(super) fn new(slots: impl Iterator<Item = (u16, Work)>) -> BySlot {
        let rows = slots.map(|(slot, work)| (slot, [work.writes, work.bytes]));
        BySlot(Packed::new(rows))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Work)> {
        let rows = self.0.iter();
        rows.map(|(slot, [writes, bytes])| (slot, Work { writes, bytes }))
    }

    /// Sums of several accounts.
    pub(super) fn merged<'a>(parts: impl Iterator<Item = &'a BySlot>) -> BySlot {
        let mut sums = Vec::new();
        for part in parts.filter(|part| !part.0.is_empty()) {
            sums = added(sums, part.iter());
        }
        BySlot::new(sums.into_iter())
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

/// Sums of two accounts that are in order.
fn added(sums: Vec<(u16, Work)>, more: impl Iterator<Item = (u16, Work)>) -> Vec<(u16, Work)> {
    let mut both = Vec::with_capacity(sums.len());
    let mut sums = sums.into_iter().peekable();
    for (slot, mut work) in more {
        while let Some(before) = sums.next_if(|(own, _)| *own < slot) {
            both.push(before);
        }
        if let Some((_, own)) = sums.next_if(|(own, _)| *own == slot) {
            work = work.plus(own);
        }
        both.push((slot, work));
    }
    both.extend(sums);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_by_slot_are_added_up() {
        let of = |parts: &[&[(u16, u64)]]| {
            let parts = parts.iter().map(|part| {
                let works = part.iter().map(|(slot, bytes)| (*slot, Work::one(*bytes)));
                BySlot::new(works)
            });
            let parts: Vec<_> = parts.collect();
            let sums = BySlot::merged(parts.iter());
            let sums = sums.iter();
            sums.map(|(slot, sum)| (slot, sum.writes, sum.bytes))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[&[], &[(7, 3)]]), [(7, 1, 3)]);
        let parts: [&[(u16, u64)]; 3] = [&[(0, 1), (9, 2)], &[(9, 3), (16_383, 4)], &[(9, 5)]];
        assert_eq!(of(&parts), [(0, 1, 1), (9, 3, 10), (16_383, 1, 4)]);
    }
}
