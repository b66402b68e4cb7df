//! One node of a list: the packed infos of its elements and the bytes that the server's blob has.
//!
//! The infos stand in one buffer with room at its front, so that pushing and popping is amortised
//! O(1) at both ends. In a ziplist (before 7.0) an entry also holds the length of the one before, in
//! one byte or, from 254 on, in five; a listpack entry depends on its own text only.

use super::item::{Item, PRINT};
use super::rules::Rules;

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The head: LEFT.
    Head,
    /// The tail: RIGHT.
    Tail,
}

/// The shape of a node's blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A listpack or ziplist.
    Packed,
    /// One element, bare.
    Plain,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Packed infos from `start` on; what is before is free.
    packed: Vec<u8>,
    start: u32,
    count: u32,
    /// Bytes of the blob, uncompressed.
    bytes: u64,
    /// Bytes of its compressed form, 0 if it is not compressed.
    compressed: u32,
    form: Form,
    prints: bool,
}

impl Node {
    /// An empty packed node.
    pub(super) fn new(prints: bool, rules: &Rules) -> Node {
        Node::with_bytes(prints, rules.frame())
    }

    /// An empty packed node whose blob is known to have `bytes` in the end.
    pub(super) fn with_bytes(prints: bool, bytes: u64) -> Node {
        Node {
            packed: Vec::new(),
            start: 0,
            count: 0,
            bytes,
            compressed: 0,
            form: Form::Packed,
            prints,
        }
    }

    /// A node of one plain element.
    pub(super) fn plain(item: &Item, prints: bool) -> Node {
        let mut node = Node::with_bytes(prints, item.len());
        node.form = Form::Plain;
        node.append(item);
        node
    }

    /// A packed node from its packed infos.
    pub(super) fn unpack(prints: bool, count: u32, bytes: u64, packed: &[u8]) -> Node {
        Node {
            packed: packed.to_vec(),
            count,
            ..Node::with_bytes(prints, bytes)
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.form == Form::Plain
    }

    /// Makes it plain: for a node that is announced before its element.
    pub(super) fn set_plain(&mut self) {
        self.form = Form::Plain;
    }

    pub(super) fn count(&self) -> u64 {
        u64::from(self.count)
    }

    pub(super) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Bytes of the compressed form.
    pub(super) fn compressed(&self) -> Option<u64> {
        (self.compressed > 0).then_some(u64::from(self.compressed))
    }

    pub(super) fn set_compressed(&mut self, bytes: Option<u64>) {
        self.compressed = bytes.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
    }

    /// The packed infos.
    pub(super) fn packed(&self) -> &[u8] {
        // `start` never passes the end: it moves by the width of what was read there.
        &self.packed[self.start as usize..]
    }

    /// Bytes that the model allocates for it.
    pub(super) fn heap_bytes(&self) -> usize {
        self.packed.capacity()
    }

    /// Gives back what growing left over; called when the node is no longer an end of the list.
    pub(super) fn settle(&mut self) {
        if self.packed.capacity() > self.packed.len() + 16 || self.start > 16 {
            let start = usize::try_from(self.start).unwrap_or(0);
            self.packed.drain(..start);
            self.start = 0;
            self.packed.shrink_to_fit();
        }
    }

    pub(super) fn iter(&self) -> Items<'_> {
        Items {
            rest: self.packed(),
            prints: self.prints,
        }
    }

    /// Appends without touching the bytes of the blob: the loader knows them.
    pub(super) fn append(&mut self, item: &Item) {
        item.put(self.prints, &mut self.packed);
        self.count += 1;
    }

    /// Adds an element at an end.
    pub(super) fn push(&mut self, item: &Item, end: End, rules: &Rules) {
        self.bytes += self.cost_at(item, end, rules);
        self.compressed = 0;
        match end {
            End::Tail => item.put(self.prints, &mut self.packed),
            End::Head => self.put_front(item),
        }
        self.count += 1;
    }

    /// Takes the element at an end; `None` if there is none.
    pub(super) fn pop(&mut self, end: End, rules: &Rules) -> Option<Item> {
        let (item, width) = match end {
            End::Head => Item::get(self.packed(), self.prints)?,
            End::Tail => Item::get_back(self.packed(), self.prints)?,
        };
        match end {
            End::Head => self.start += u32::try_from(width).unwrap_or(0),
            End::Tail => self.packed.truncate(self.packed.len() - width),
        }
        self.count -= 1;
        // With the element gone, what it adds is what it would add again. A plain node is no blob,
        // and a loaded blob may be shorter than ours would be.
        self.bytes = self.bytes.saturating_sub(self.cost_at(&item, end, rules));
        Some(item)
    }

    /// Drops `n` elements at an end.
    pub(super) fn drop_at(&mut self, end: End, n: u64, rules: &Rules) {
        for _ in 0..n {
            self.pop(end, rules);
        }
    }

    /// Bytes that `item` adds to the blob at an end.
    fn cost_at(&self, item: &Item, end: End, rules: &Rules) -> u64 {
        if !rules.ziplist {
            return item.listpack();
        }
        match end {
            End::Tail => item.ziplist() + if self.ends_long() { 5 } else { 1 },
            End::Head => {
                let own = 1 + item.ziplist();
                if own < 254 {
                    return own;
                }
                // The entry behind gets a wide field, and so does the next one if that lifts it
                // over 254 too.
                let lifted = self
                    .iter()
                    .take_while(|item| matches!(item.ziplist(), 249..=252))
                    .count() as u64;
                own + 4 * (lifted + 1).min(self.count())
            }
        }
    }

    /// True if the last ziplist entry has 254 bytes or more.
    fn ends_long(&self) -> bool {
        let mut rest = self.packed();
        while let Some((item, width)) = Item::get_back(rest, self.prints) {
            match item.ziplist() {
                0..=248 => return false,
                // As long as the field for the one before makes it: the answer for that one is
                // the answer for this.
                249..=252 => rest = &rest[..rest.len() - width],
                _ => return true,
            }
        }
        false
    }

    fn put_front(&mut self, item: &Item) {
        let mut front = Vec::with_capacity(PRINT + 10);
        item.put(self.prints, &mut front);
        let start = usize::try_from(self.start).unwrap_or(0);
        let start = if start < front.len() {
            let room = front.len() + (self.packed.len() - start).clamp(8, 1024);
            self.packed.splice(..start, std::iter::repeat_n(0, room));
            room
        } else {
            start
        };
        let at = start - front.len();
        self.packed[at..start].copy_from_slice(&front);
        self.start = u32::try_from(at).unwrap_or(0);
    }

    /// Where element `index` starts in the packed infos.
    fn offset(&self, index: usize) -> usize {
        let mut items = self.iter();
        for _ in 0..index {
            items.next();
        }
        self.packed().len() - items.rest.len()
    }

    /// Replaces elements `at..at + removed` by `added`, and recounts the bytes.
    pub(super) fn splice(&mut self, at: usize, removed: usize, added: &[Item], rules: &Rules) {
        let before = self.bytes_around(at, removed, rules);
        let from = self.offset(at);
        let to = from + self.width_at(from, removed);
        let mut packed = Vec::new();
        for item in added {
            item.put(self.prints, &mut packed);
        }
        let start = usize::try_from(self.start).unwrap_or(0);
        self.packed.splice(start + from..start + to, packed);
        let counts = u32::try_from(removed)
            .ok()
            .zip(u32::try_from(added.len()).ok());
        let (gone, come) = counts.unwrap_or((0, 0));
        self.count = self.count - gone + come;
        // By difference: a loaded blob may differ from a fresh one.
        let after = self.bytes_around(at, added.len(), rules);
        self.bytes = (self.bytes + after).saturating_sub(before);
    }

    /// Bytes of what `n` elements from `at` on may change: themselves in a listpack, everything in
    /// a ziplist.
    fn bytes_around(&self, at: usize, n: usize, rules: &Rules) -> u64 {
        if rules.ziplist {
            return self.fresh_bytes(rules);
        }
        self.iter()
            .skip(at)
            .take(n)
            .map(|item| item.listpack())
            .sum()
    }

    /// Packed bytes of `n` elements that start at `from`.
    fn width_at(&self, from: usize, n: usize) -> usize {
        let mut items = Items {
            rest: self.packed().get(from..).unwrap_or(&[]),
            prints: self.prints,
        };
        let len = items.rest.len();
        items.by_ref().take(n).for_each(drop);
        len - items.rest.len()
    }

    /// Removes the elements that `gone` names; returns how many.
    pub(super) fn remove_where(
        &mut self,
        rules: &Rules,
        mut gone: impl FnMut(&Item) -> bool,
    ) -> u64 {
        let mut kept = Vec::new();
        let mut removed = 0;
        for item in self.iter() {
            if gone(&item) {
                removed += 1;
            } else {
                item.put(self.prints, &mut kept);
            }
        }
        if removed > 0 {
            let before = self.fresh_bytes(rules);
            self.packed = kept;
            self.start = 0;
            self.count -= removed;
            self.compressed = 0;
            self.bytes = (self.bytes + self.fresh_bytes(rules)).saturating_sub(before);
        }
        u64::from(removed)
    }

    /// Splits off the elements from `at` on.
    pub(super) fn split(&mut self, at: usize, rules: &Rules) -> Node {
        let from = self.offset(at);
        let tail = self.packed()[from..].to_vec();
        let mut right = Node::unpack(
            self.prints,
            self.count - u32::try_from(at).unwrap_or(self.count),
            0,
            &tail,
        );
        self.packed.truncate(self.packed.len() - tail.len());
        self.count -= right.count;
        self.bytes = self.fresh_bytes(rules);
        right.bytes = right.fresh_bytes(rules);
        self.compressed = 0;
        right
    }

    /// Takes in its right neighbour.
    pub(super) fn merge(&mut self, right: &Node, rules: &Rules) {
        self.packed.extend_from_slice(right.packed());
        self.count += right.count;
        self.bytes = self.fresh_bytes(rules);
        self.compressed = 0;
    }

    /// Bytes of the blob if it were built anew from its elements.
    pub(super) fn fresh_bytes(&self, rules: &Rules) -> u64 {
        if self.is_plain() {
            return self.iter().map(|item| item.len()).sum();
        }
        if !rules.ziplist {
            return rules.frame() + self.iter().map(|item| item.listpack()).sum::<u64>();
        }
        let mut total = rules.frame();
        let mut before = 0;
        for item in self.iter() {
            before = item.ziplist() + prev_field(before);
            total += before;
        }
        total
    }
}

/// Bytes of the ziplist field that holds the length of the entry before.
fn prev_field(before: u64) -> u64 {
    if before < 254 { 1 } else { 5 }
}

/// The elements of a node from its head.
#[derive(Clone)]
pub(super) struct Items<'a> {
    rest: &'a [u8],
    prints: bool,
}

impl Iterator for Items<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let (item, width) = Item::get(self.rest, self.prints)?;
        self.rest = &self.rest[width..];
        Some(item)
    }
}
