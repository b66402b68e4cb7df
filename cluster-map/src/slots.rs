//! Sets of slots, kept as the ranges that servers speak of.

use std::fmt;

pub use crate::slot::{SLOTS, Slot};

/// A set of slots: ranges with both ends included, in order, apart from each other by at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slots(Vec<(Slot, Slot)>);

impl Slots {
    /// The set of the ranges given, both ends included, in any order and overlap; a range whose
    /// end is before its start is empty.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (Slot, Slot)>) -> Slots {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(a, b)| a <= b).collect();
        ranges.sort_unstable();
        let mut joined: Vec<(Slot, Slot)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match joined.last_mut() {
                Some((_, last)) if start.number() <= last.number().saturating_add(1) => {
                    *last = end.max(*last);
                }
                Some(_) | None => joined.push((start, end)),
            }
        }
        Slots(joined)
    }

    /// All 16384.
    pub fn all() -> Slots {
        let first = Slot::new(0);
        let last = Slot::new(SLOTS.saturating_sub(1));
        Slots::from_ranges(first.zip(last))
    }

    /// The ranges, both ends included, in order.
    pub fn ranges(&self) -> &[(Slot, Slot)] {
        &self.0
    }

    /// Whether it has the slot; takes the logarithm of the number of ranges.
    pub fn contains(&self, slot: Slot) -> bool {
        let behind = self.0.partition_point(|(start, _)| *start <= slot);
        let found = behind.checked_sub(1).and_then(|at| self.0.get(at));
        found.is_some_and(|(_, end)| slot <= *end)
    }

    /// How many slots.
    pub fn count(&self) -> usize {
        let length = |(start, end): &(Slot, Slot)| {
            usize::from(end.number().saturating_sub(start.number())).saturating_add(1)
        };
        self.0.iter().map(length).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every slot, in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> {
        let range = |(start, end): &(Slot, Slot)| start.number()..=end.number();
        self.0.iter().flat_map(range).filter_map(Slot::new)
    }
}

impl FromIterator<Slot> for Slots {
    fn from_iter<T: IntoIterator<Item = Slot>>(slots: T) -> Slots {
        Slots::from_ranges(slots.into_iter().map(|slot| (slot, slot)))
    }
}

impl fmt::Display for Slots {
    /// As CLUSTER NODES writes them: `0-5460 7000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (start, end)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            if start == end {
                write!(f, "{start}")?;
            } else {
                write!(f, "{start}-{end}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(ranges: &[(u16, u16)]) -> Slots {
        let slot = |n| Slot::new(n).unwrap();
        Slots::from_ranges(ranges.iter().map(|(a, b)| (slot(*a), slot(*b))))
    }

    #[test]
    fn ranges_are_joined_and_sorted() {
        let set = slots(&[(7000, 7000), (3, 9), (0, 2), (5, 6), (11, 10)]);
        assert_eq!(set.to_string(), "0-9 7000");
        assert_eq!(set.count(), 11);
        assert_eq!(set.iter().count(), 11);
        for (slot, within) in [
            (0, true),
            (9, true),
            (10, false),
            (7000, true),
            (16_383, false),
        ] {
            assert_eq!(set.contains(Slot::new(slot).unwrap()), within, "{slot}");
        }
        assert_eq!(set.iter().collect::<Slots>(), set);
        assert_eq!(Slots::all().count(), usize::from(SLOTS));
        assert!(slots(&[]).is_empty());
    }
}
