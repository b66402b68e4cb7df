//! Keys and bytes by hash tag, in bounded memory.
//!
//! A tag has a row of its own as long as there is room. When the table is full the lighter half is
//! thrown away, so a tag that comes late may be told with less than it has, and one that is light is
//! not told; one that holds a thousandth of all bytes and more is, wherever it comes in the walk's
//! order, which has nothing to do with names.

use std::collections::BTreeMap;

use crate::heat::hash_tag;

/// Rows at most; half of them are left behind a pruning.
const ROWS_MAX: usize = 4096;

/// Bytes of a tag that are kept; longer ones that begin alike are one.
const TAG_BYTES: usize = 128;

/// What the keys of one tag come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagSum {
    /// Keys, at least.
    pub keys: u64,
    /// Their bytes, at least.
    pub bytes: u64,
}

/// The heaviest tags of a walk.
#[derive(Clone, Debug, Default)]
pub struct Tags(BTreeMap<Box<[u8]>, TagSum>);

impl TagSum {
    /// What is added up over keys.
    pub(super) fn sums(&mut self) -> [&mut u64; 2] {
        [&mut self.keys, &mut self.bytes]
    }
}

impl Tags {
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut TagSum> {
        self.0.values_mut()
    }

    /// Takes a key.
    pub(super) fn take(&mut self, name: &[u8], bytes: u64) {
        let Some(tag) = hash_tag(name) else {
            return;
        };
        let tag = &tag[..tag.len().min(TAG_BYTES)];
        if let Some(sum) = self.0.get_mut(tag) {
            sum.keys += 1;
            sum.bytes += bytes;
            return;
        }
        if self.0.len() == ROWS_MAX {
            self.prune();
        }
        self.0.insert(tag.into(), TagSum { keys: 1, bytes });
    }

    fn prune(&mut self) {
        let mut weights: Vec<u64> = self.0.values().map(|sum| sum.bytes).collect();
        weights.sort_unstable();
        let middle = weights.get(weights.len() / 2).copied().unwrap_or(0);
        // Of many that are equally light none is better than the others.
        let mut room = weights.len() / 2;
        self.0.retain(|_, sum| {
            let is_kept = sum.bytes >= middle && room > 0;
            room -= usize::from(is_kept);
            is_kept
        });
    }

    /// Every row, heaviest first.
    pub fn heaviest(&self) -> Vec<(&[u8], TagSum)> {
        let rows = self.0.iter().map(|(tag, sum)| (&**tag, *sum));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heavy_tag_is_told_among_very_many() {
        let mut tags = Tags::default();
        for n in 0..200_000u32 {
            tags.take(format!("{{user:{n}}}:cart").as_bytes(), 100);
            if n % 50 == 0 {
                tags.take(format!("{{all}}:{n}").as_bytes(), 100);
            }
        }
        let rows = tags.heaviest();
        let sum = TagSum {
            keys: 4000,
            bytes: 400_000,
        };
        assert_eq!(rows[0], (&b"all"[..], sum));
        assert!(rows.len() <= ROWS_MAX);
        tags.take(b"{}x", 1 << 40);
        tags.take(b"plain", 1 << 40);
        assert_eq!(tags.heaviest()[0].0, b"all");
    }
}
