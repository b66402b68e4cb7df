//! One node of a stream: the ids of its entries, and the bytes of its listpack.
//!
//! ```text
//! listpack  live | deleted | number of fields | the fields | 0           once
//!           flags | ms delta | seq delta | [number | fields] values | n  per entry
//! ids       varint(ms step * 4 + deleted * 2 + sequence follows) [varint(sequence or its step)]
//! ```
//!
//! A step is counted from the entry before, so an entry takes one or two bytes. A sequence of 0 in
//! a new millisecond is left out. Deleting sets a bit in place: it never changes a varint's width.

use crate::size::{LISTPACK_FRAME, listpack_int_entry};
use crate::value::stream::rules::Rules;

const DELETED: u8 = 2;

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its id in the tree: that of the first entry it ever had.
    pub(super) id: u128,
    /// The last entry, deleted or not.
    pub(super) last: u128,
    ids: Vec<u8>,
    pub(super) live: u32,
    pub(super) deleted: u32,
    /// Bytes of the listpack, and of the block it lives in.
    pub(super) bytes: u64,
    pub(super) block: u64,
    /// Digest of the fields that entries need not repeat.
    pub(super) fields: u64,
}

impl Node {
    /// A node without entries whose listpack has `bytes`.
    pub(super) fn new(id: u128, bytes: u64, block: u64, fields: u64) -> Node {
        Node {
            id,
            last: id,
            ids: Vec::new(),
            live: 0,
            deleted: 0,
            bytes,
            block,
            fields,
        }
    }

    /// Bytes of a new listpack before its first entry: `fields` are the sizes of the field entries.
    pub(super) fn head_bytes(fields: u64, count: u64) -> u64 {
        LISTPACK_FRAME + int_entry(1) + 2 * int_entry(0) + int_entry(count) + fields
    }

    /// Appends an id without touching bytes.
    pub(super) fn append(&mut self, id: u128, deleted: bool) {
        let step = ms(id).wrapping_sub(ms(self.last));
        let sequence = if step == 0 {
            seq(id).wrapping_sub(seq(self.last))
        } else {
            seq(id)
        };
        let head = u128::from(step) << 2
            | u128::from(if deleted { DELETED } else { 0 })
            | u128::from(sequence > 0);
        put_varint(head, &mut self.ids);
        if sequence > 0 {
            put_varint(u128::from(sequence), &mut self.ids);
        }
        self.last = id;
        if deleted {
            self.deleted += 1;
        } else {
            self.live += 1;
        }
    }

    /// The entries in order.
    pub(super) fn entries(&self) -> Entries<'_> {
        Entries {
            ids: &self.ids,
            at: 0,
            last: self.id,
        }
    }

    /// The first live id.
    pub(super) fn first_live(&self) -> Option<u128> {
        self.entries()
            .find(|entry| !entry.deleted)
            .map(|entry| entry.id)
    }

    /// The last live id.
    pub(super) fn last_live(&self) -> Option<u128> {
        self.entries()
            .filter(|entry| !entry.deleted)
            .last()
            .map(|entry| entry.id)
    }

    /// Where a live entry stands.
    pub(super) fn find(&self, id: u128) -> Option<usize> {
        self.entries()
            .find(|entry| entry.id == id && !entry.deleted)
            .map(|entry| entry.at)
    }

    /// Marks entries as deleted, without touching the counters.
    pub(super) fn mark(&mut self, at: usize) {
        if let Some(byte) = self.ids.get_mut(at) {
            *byte |= DELETED;
        }
    }

    /// Moves `n` entries from the live to the deleted counter, and rewrites both in the listpack.
    pub(super) fn count_deleted(&mut self, n: u32, rules: &Rules) {
        let (live, deleted) = (self.live - n.min(self.live), self.deleted + n);
        self.rewrite(int_entry(self.live.into()), int_entry(live.into()), rules);
        self.rewrite(
            int_entry(self.deleted.into()),
            int_entry(deleted.into()),
            rules,
        );
        (self.live, self.deleted) = (live, deleted);
    }

    /// Counts one live entry more in the listpack.
    pub(super) fn count_added(&mut self, rules: &Rules) {
        let live = u64::from(self.live);
        self.rewrite(int_entry(live), int_entry(live + 1), rules);
    }

    /// Adds bytes to the listpack.
    pub(super) fn grow(&mut self, bytes: u64, rules: &Rules) {
        self.bytes += bytes;
        if self.bytes > self.block {
            self.block = rules.block(self.bytes);
        }
    }

    /// An entry of the listpack changes its size. Shrinking gives the spare room back.
    fn rewrite(&mut self, old: u64, new: u64, rules: &Rules) {
        if new >= old {
            self.grow(new - old, rules);
        } else {
            self.bytes = self.bytes.saturating_sub(old - new);
            self.block = rules.block(self.bytes);
        }
    }

    /// No more entries will come: gives spare room back, the server's and ours.
    pub(super) fn close(&mut self, rules: &Rules) {
        if rules.gives_back(self) {
            self.block = rules.block(self.bytes);
        }
        self.ids.shrink_to_fit();
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.ids.capacity()
    }
}

/// Milliseconds of an id.
pub(super) fn ms(id: u128) -> u64 {
    (id >> 64) as u64
}

/// Sequence of an id.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is what is wanted"
)]
pub(super) fn seq(id: u128) -> u64 {
    id as u64
}

fn int_entry(n: u64) -> u64 {
    listpack_int_entry(n.cast_signed())
}

/// One entry of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: u128,
    pub(super) deleted: bool,
    pub(super) at: usize,
}

/// The entries of a node.
pub(super) struct Entries<'a> {
    ids: &'a [u8],
    at: usize,
    last: u128,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let at = self.at;
        let head = get_varint(self.ids, &mut self.at)?;
        let sequence = if head & 1 == 1 {
            seq(get_varint(self.ids, &mut self.at)?)
        } else {
            0
        };
        let step = seq(head >> 2);
        let id = if step == 0 {
            join(ms(self.last), seq(self.last).wrapping_add(sequence))
        } else {
            join(ms(self.last).wrapping_add(step), sequence)
        };
        self.last = id;
        Some(Entry {
            id,
            deleted: head & u128::from(DELETED) != 0,
            at,
        })
    }
}

/// An id of its two halves.
pub(super) fn join(ms: u64, seq: u64) -> u128 {
    u128::from(ms) << 64 | u128::from(seq)
}

fn put_varint(mut n: u128, out: &mut Vec<u8>) {
    loop {
        // The lower seven bits.
        let byte = (n & 0x7f) as u8;
        n >>= 7;
        if n == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

fn get_varint(bytes: &[u8], at: &mut usize) -> Option<u128> {
    let (mut n, mut shift) = (0u128, 0);
    loop {
        let &byte = bytes.get(*at)?;
        *at += 1;
        n |= u128::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(n);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_delta_coded_and_read_back() {
        let first = join(1_700_000_000_000, 5);
        let ids = [
            first,
            join(1_700_000_000_000, 6),
            join(1_700_000_000_031, 0),
            join(1_700_000_000_032, 0),
            join(1_700_000_000_032, 900),
            join(u64::MAX, u64::MAX),
        ];
        let mut node = Node::new(first, 0, 0, 0);
        for id in ids {
            node.append(id, false);
        }
        let got: Vec<u128> = node.entries().map(|entry| entry.id).collect();
        assert_eq!(got, ids);
        for (i, id) in ids.into_iter().enumerate() {
            let at = node.find(id).expect("a live entry");
            node.mark(at);
            assert_eq!(node.find(id), None);
            assert_eq!(node.entries().count(), ids.len());
            assert_eq!(node.first_live(), ids.get(i + 1).copied());
        }
    }

    #[test]
    fn an_entry_per_millisecond_takes_a_byte() {
        let mut node = Node::new(join(5_000, 0), 0, 0, 0);
        for ms in 5_000..5_100 {
            node.append(join(ms, 0), false);
        }
        node.ids.shrink_to_fit();
        assert_eq!(node.heap_bytes(), 100);
    }
}
