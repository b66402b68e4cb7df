//! A set of hash slots.

use super::SLOTS;

/// Slots of one word.
const WORD: usize = 64;

/// A bit for each slot: 2 KiB, however many ranges it was told as.
#[derive(Debug)]
pub(crate) struct SlotSet {
    words: [u64; SLOTS / WORD],
}

impl SlotSet {
    /// No slot.
    pub(crate) fn none() -> SlotSet {
        SlotSet {
            words: [0; SLOTS / WORD],
        }
    }

    /// Adds all from `first` to `last`; false, and nothing is added, if that is no range of slots.
    pub(crate) fn add(&mut self, first: i64, last: i64) -> bool {
        let (Ok(first), Ok(last)) = (usize::try_from(first), usize::try_from(last)) else {
            return false;
        };
        if first > last || last >= SLOTS {
            return false;
        }
        for slot in first..=last {
            self.words[slot / WORD] |= 1 << (slot % WORD);
        }
        true
    }

    /// True if the slot is one of them.
    pub(crate) fn has(&self, slot: u16) -> bool {
        let slot = usize::from(slot);
        let word = self.words.get(slot / WORD);
        word.is_some_and(|word| word >> (slot % WORD) & 1 == 1)
    }

    /// Every slot of the set, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> {
        (0..u16::MAX).take(SLOTS).filter(|slot| self.has(*slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_added_whole_or_not_at_all() {
        let mut set = SlotSet::none();
        assert!(set.add(63, 65) && set.add(16_383, 16_383) && set.add(0, 0));
        for (first, last) in [(2, 1), (-1, 3), (16_380, 16_384), (i64::MIN, i64::MAX)] {
            assert!(!set.add(first, last), "{first} {last}");
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 65, 16_383]);
        assert!(!set.has(16_384) && !set.has(u16::MAX));
    }
}
