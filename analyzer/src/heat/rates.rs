//! What is counted exactly, because there are few of them: commands, slots.

use super::Work;
use crate::slots::SLOTS;
use crate::store::varint;

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
    pub(super) fn written(&self) -> Packed {
        let blocks = (0u16..).step_by(BLOCK).zip(&self.blocks);
        let blocks = blocks.filter_map(|(first, block)| Some((first, block.as_deref()?)));
        let slots = blocks.flat_map(|(first, block)| (first..).zip(block.iter().copied()));
        Packed::new(slots.filter(|(_, work)| work.writes > 0))
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

/// Work by slot of a span that is over, in order: the step from the slot before, writes and bytes as
/// numbers of as few bytes as they need. Of a cluster that writes to all slots all the time that is
/// some 100 KB a span, a quarter of what the plain figures take.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn new(slots: impl Iterator<Item = (u16, Work)>) -> Packed {
        let mut packed = Vec::new();
        let mut before = 0;
        for (slot, work) in slots {
            varint::put(u64::from(slot - before), &mut packed);
            varint::put(work.writes, &mut packed);
            varint::put(work.bytes, &mut packed);
            before = slot;
        }
        Packed(packed.into())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Work)> {
        let (mut at, mut slot) = (0, 0u16);
        std::iter::from_fn(move || {
            if at >= self.0.len() {
                return None;
            }
            let step;
            let mut work = Work::default();
            (step, at) = varint::get(&self.0, at);
            (work.writes, at) = varint::get(&self.0, at);
            (work.bytes, at) = varint::get(&self.0, at);
            slot = slot.saturating_add(u16::try_from(step).unwrap_or(u16::MAX));
            Some((slot, work))
        })
    }

    /// Sums of several accounts.
    pub(super) fn merged<'a>(parts: impl Iterator<Item = &'a Packed>) -> Packed {
        let mut sums = Vec::new();
        for part in parts.filter(|part| !part.0.is_empty()) {
            sums = added(sums, part.iter());
        }
        Packed::new(sums.into_iter())
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.len()
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
                Packed::new(works)
            });
            let parts: Vec<_> = parts.collect();
            let sums = Packed::merged(parts.iter());
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
