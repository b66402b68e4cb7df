//! Figures by slot that change no more, in as few bytes as they need.
//!
//! ```text
//! (step from the slot before, figures) ..   all LEB128, in the order of slots
//! ```
//!
//! Of a cluster that writes to all slots all the time two figures a slot take some 100 KB, a quarter
//! of what they take plain.

use crate::store::varint;

/// `FIGURES` figures for each of some slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed<const FIGURES: usize>(Box<[u8]>);

impl<const FIGURES: usize> Packed<FIGURES> {
    /// Packs rows that are in the order of their slots.
    pub(crate) fn new(rows: impl Iterator<Item = (u16, [u64; FIGURES])>) -> Packed<FIGURES> {
        let mut packed = Vec::new();
        let mut before = 0;
        for (slot, figures) in rows {
            varint::put(u64::from(slot - before), &mut packed);
            figures
                .into_iter()
                .for_each(|n| varint::put(n, &mut packed));
            before = slot;
        }
        Packed(packed.into())
    }

    /// The rows, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, [u64; FIGURES])> {
        let (mut at, mut slot) = (0, 0u16);
        std::iter::from_fn(move || {
            if at >= self.0.len() {
                return None;
            }
            let mut take = || {
                let (n, behind) = varint::get(&self.0, at);
                at = behind;
                n
            };
            // What was packed is a slot's number.
            slot = slot.saturating_add(u16::try_from(take()).unwrap_or(u16::MAX));
            Some((slot, [(); FIGURES].map(|()| take())))
        })
    }

    /// True if there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive() {
        let all: [&[(u16, [u64; 2])]; 4] = [
            &[],
            &[(0, [0, 0])],
            &[(7, [1, u64::MAX])],
            &[
                (0, [1, 2]),
                (1, [127, 128]),
                (300, [3, 4]),
                (16_384, [5, 6]),
            ],
        ];
        for rows in all {
            let packed = Packed::new(rows.iter().copied());
            assert_eq!(packed.iter().collect::<Vec<_>>(), rows);
            assert_eq!(packed.is_empty(), rows.is_empty());
        }
    }
}
