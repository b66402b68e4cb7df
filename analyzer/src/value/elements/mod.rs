//! The elements of a set, hash or sorted set: a fingerprint and a few bytes each, never the text.
//!
//! ```text
//! record = fingerprint, 6 to 8 bytes le | payload (payload.rs: lengths, number, score, expiry)
//! ```
//!
//! Small collections are one packed run of records, scanned from the front: 48 bits of fingerprint,
//! in insertion order. Above [`SMALL_MAX`] elements the records move into pages (pages.rs), where
//! 64 bits are kept for every element that came later, and 48 for those of the small days.
//! Loading appends without looking for a duplicate; a second copy of an element would only count
//! twice, and a server never writes one.

mod fit;
mod pages;
mod payload;
mod sizes;
mod table;

use std::marker::PhantomData;

pub(crate) use fit::shift;
pub use fit::{Fit, Samples, Usage};
pub(crate) use payload::{Block, Field, FieldRecord, Member, MemberRecord, Payload, ScoredRecord};
use payload::{PAYLOAD_MAX, Packed};
pub(crate) use payload::{Scored, value_info};
pub(crate) use sizes::{HashTable, Sizes, expiry_entry, milli, table_struct};
pub(crate) use table::{Kind as TableKind, Table, chained};

use crate::profile::Profile;
use crate::value::INLINE_MAX;
use pages::Pages;

/// Bytes that a listpack may have (listpack.c `lpSafeToAdd`).
pub(crate) const BLOB_MAX: u64 = 1 << 30;

/// Elements above which the packed run becomes pages.
const SMALL_MAX: usize = 96;
/// Most bytes of a record.
const RECORD_MAX: usize = 8 + PAYLOAD_MAX;
/// Elements at which pages become a packed run again.
const SMALL_AGAIN: usize = 48;
/// Bytes that a packed run starts with.
const FIRST_RUN: usize = 96;
/// Bytes of a run that is lent: any packed run fits.
const LENT_RUN: usize = 4096;
/// Most elements that pages are made for before they come.
const EXPECTED_MAX: usize = 1 << 20;
/// Fingerprint bytes of a record in the packed run.
const SMALL_WIDTH: usize = 6;
/// The digest bits that the packed run keeps.
const SMALL_MASK: u64 = (1 << 48) - 1;

/// What becomes of elements in a buffer that is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// They are needed no longer.
    Gone,
    /// They move into a buffer of their own.
    Here,
}

/// Where a record is; good until the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    page: usize,
    /// Of the payload.
    start: usize,
    end: usize,
}

/// A multiset of records found by digest. Callers keep it a set by looking first.
#[derive(Clone, Debug)]
pub(crate) struct Elements<P> {
    count: usize,
    body: Body,
    payload: PhantomData<P>,
}

#[derive(Clone, Debug)]
enum Body {
    /// Up to `SMALL_MAX` records, packed.
    Small(Vec<u8>),
    /// More of them.
    Large(Box<Pages>),
}

impl<P: Payload> Elements<P> {
    /// No elements.
    pub(crate) fn new() -> Self {
        Elements {
            count: 0,
            body: Body::Small(Vec::new()),
            payload: PhantomData,
        }
    }

    /// Gets ready for so many elements to come, which is a hint: pages for many, or `run`, a buffer
    /// that `give_back` returns, for few.
    pub(crate) fn expect(&mut self, count: u64, run: &mut Vec<u8>) {
        if self.count > 0 {
            return;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > SMALL_MAX {
            self.body = Body::Large(Box::new(Pages::expecting(count.min(EXPECTED_MAX))));
        } else {
            if run.capacity() < LENT_RUN {
                run.reserve_exact(LENT_RUN);
            }
            self.body = Body::Small(std::mem::take(run));
        }
    }

    /// Returns the buffer that `expect` took. The elements themselves are gone with it, unless they
    /// are to stay.
    pub(crate) fn give_back(&mut self, stay: Stay, run: &mut Vec<u8>) {
        match &mut self.body {
            Body::Small(bytes) if bytes.capacity() >= LENT_RUN => {
                let mut own = Vec::new();
                if stay == Stay::Here {
                    reserve(&mut own, bytes.len());
                    own.extend_from_slice(bytes);
                }
                *run = std::mem::replace(bytes, own);
                run.clear();
            }
            Body::Small(_) => {}
            Body::Large(pages) => pages.settle(),
        }
    }

    /// How many elements.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.body {
            Body::Small(bytes) => bytes.capacity(),
            Body::Large(pages) => size_of::<Pages>() + pages.heap_bytes(),
        }
    }

    /// Looks an element up.
    pub(crate) fn find(&self, digest: u64) -> Option<At> {
        match &self.body {
            Body::Small(bytes) => {
                let (start, end) = scan::<P>(bytes, Wanted::small(digest))?;
                Some(At {
                    page: 0,
                    start,
                    end,
                })
            }
            Body::Large(pages) => pages.find::<P>(digest),
        }
    }

    /// The payload of a record.
    pub(crate) fn payload(&self, at: At) -> &[u8] {
        let bytes = match &self.body {
            Body::Small(bytes) => bytes,
            Body::Large(pages) => pages.page(at.page),
        };
        bytes.get(at.start..at.end).unwrap_or(&[])
    }

    /// Adds an element that is not there yet.
    #[inline]
    pub(crate) fn add(&mut self, digest: u64, payload: &Packed) {
        self.count += 1;
        if self.count > SMALL_MAX {
            self.enlarge();
        }
        match &mut self.body {
            Body::Small(bytes) => {
                // A run about to be copied into its key's record may as well double.
                if bytes.capacity() < INLINE_MAX {
                    let first = if bytes.capacity() == 0 { FIRST_RUN } else { 0 };
                    bytes.reserve((SMALL_WIDTH + payload.as_bytes().len()).max(first));
                }
                push_packed(bytes, digest, SMALL_WIDTH, payload);
            }
            Body::Large(pages) => pages.add::<P>(digest, payload),
        }
    }

    #[inline(never)]
    fn enlarge(&mut self) {
        if let Body::Small(bytes) = &self.body {
            let mut pages = Box::new(Pages::new());
            each_record::<P>(bytes, SMALL_WIDTH, |stored, payload| {
                pages.add::<P>(stored, &Packed::of(payload));
            });
            self.body = Body::Large(pages);
        }
    }

    /// Replaces the payload of a record.
    pub(crate) fn replace(&mut self, at: At, payload: &[u8]) {
        match &mut self.body {
            Body::Small(bytes) => replace_payload(bytes, at, payload),
            Body::Large(pages) => pages.replace(at, payload),
        }
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, at: At) {
        self.count -= 1;
        match &mut self.body {
            Body::Small(bytes) => {
                bytes.drain(at.start - SMALL_WIDTH..at.end);
            }
            Body::Large(pages) => {
                pages.remove::<P>(at);
                if self.count <= SMALL_AGAIN {
                    let mut bytes = Vec::with_capacity(pages.record_bytes());
                    pages.each::<P>(|digest, payload| {
                        push_record(&mut bytes, digest, SMALL_WIDTH, payload);
                    });
                    self.body = Body::Small(bytes);
                }
            }
        }
    }

    /// Calls `visit` with the known digest bits and the payload of every element. The bits above
    /// the 48th are 0 where they are not known.
    pub(crate) fn each(&self, mut visit: impl FnMut(u64, &[u8])) {
        match &self.body {
            Body::Small(bytes) => each_record::<P>(bytes, SMALL_WIDTH, &mut visit),
            Body::Large(pages) => pages.each::<P>(&mut visit),
        }
    }

    /// True if `test` accepts the payload of every element; stops at the first that it does not.
    pub(crate) fn all(&self, mut test: impl FnMut(&[u8]) -> bool) -> bool {
        match &self.body {
            Body::Small(bytes) => all_records::<P>(bytes, SMALL_WIDTH, &mut test),
            Body::Large(pages) => pages.all::<P>(&mut test),
        }
    }

    /// Appends the in-record form: `head`, the count and the records. False and nothing appended if
    /// they are not a packed run or more than [`INLINE_MAX`] bytes.
    pub(crate) fn pack(&self, head: &[u8], out: &mut Vec<u8>) -> bool {
        let Body::Small(bytes) = &self.body else {
            return false;
        };
        let Ok(count) = u8::try_from(self.count) else {
            return false;
        };
        if head.len() + 1 + bytes.len() > INLINE_MAX {
            return false;
        }
        out.extend_from_slice(head);
        out.push(count);
        out.extend_from_slice(bytes);
        true
    }

    /// The inverse of `pack`, past the head.
    pub(crate) fn unpack(bytes: &[u8]) -> Option<Self> {
        let (&count, records) = bytes.split_first()?;
        Some(Elements {
            count: usize::from(count),
            body: Body::Small(records.to_vec()),
            payload: PhantomData,
        })
    }
}

/// The table of `n` elements on another server than before; `None` if it is not known which one the
/// table is of. One of the same make stays, for what an image tells of the other is less.
pub(crate) fn table_on(table: Table, n: u64, from: Option<&Profile>, to: &Profile) -> Table {
    let is_dict = |kind| matches!(kind, TableKind::DictTenth | TableKind::DictEighth);
    let kind = TableKind::of(to);
    match from.map(TableKind::of) {
        Some(before) if is_dict(before) == is_dict(kind) => table,
        Some(_) | None => Table::in_image(kind, n, to.reloaded),
    }
}

/// Appends `n`, seven bits a byte, the lowest first.
pub(crate) fn put_varint(mut n: u64, out: &mut Vec<u8>) {
    while n > 0x7f {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

/// Takes a number from the front of `bytes`.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    let mut shift = 0;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(n);
        }
        shift += 7;
    }
}

/// A fingerprint to look for among records of one width.
#[derive(Clone, Copy)]
struct Wanted {
    stored: u64,
    /// Fingerprint bytes per record.
    width: usize,
    /// Bits that must be equal.
    core: u64,
    /// Where the 16 bits begin that are 0 when they are not known.
    soft: u32,
}

impl Wanted {
    fn small(digest: u64) -> Wanted {
        Wanted {
            stored: digest & SMALL_MASK,
            width: SMALL_WIDTH,
            core: SMALL_MASK,
            soft: 48,
        }
    }

    /// In a page whose number implies the low bits that `width` leaves out.
    fn paged(digest: u64, width: usize) -> Wanted {
        let dropped = dropped_bits(width);
        Wanted {
            stored: digest >> dropped,
            width,
            core: SMALL_MASK >> dropped,
            soft: 48 - dropped,
        }
    }
}

/// Low digest bits that a record of `width` fingerprint bytes does not store.
fn dropped_bits(width: usize) -> u32 {
    64 - 8 * u32::try_from(width).unwrap_or(8)
}

/// Eight bytes at `pos`, zeros past the end: the fingerprint and what follows it.
#[inline]
fn word(bytes: &[u8], pos: usize) -> u64 {
    match bytes.get(pos..pos + 8) {
        Some(eight) => u64::from_le_bytes(eight.try_into().unwrap_or_default()),
        None => {
            let mut padded = [0; 8];
            let tail = bytes.get(pos..).unwrap_or(&[]);
            padded[..tail.len()].copy_from_slice(tail);
            u64::from_le_bytes(padded)
        }
    }
}

/// The payload range of the first record with this fingerprint.
#[inline]
fn scan<P: Payload>(bytes: &[u8], wanted: Wanted) -> Option<(usize, usize)> {
    let mut pos = 0;
    while let Some(window) = window_at(bytes, pos) {
        let start = pos + wanted.width;
        let end = match P::quick(window, wanted.width) {
            0 => start + P::width(&bytes[start..]),
            width => start + width,
        };
        let found = u64::from_le_bytes(first_eight(window));
        if (found ^ wanted.stored) & wanted.core == 0 && soft_match(found, wanted) {
            return Some((start, end));
        }
        pos = end;
    }
    // The last records, too near the end for a whole window.
    while pos < bytes.len() {
        let found = word(bytes, pos);
        let start = pos + wanted.width;
        let end = start + P::width(bytes.get(start..).unwrap_or(&[]));
        if (found ^ wanted.stored) & wanted.core == 0 && soft_match(found, wanted) {
            return Some((start, end));
        }
        pos = end;
    }
    None
}

/// A fingerprint and the front of its payload.
type Window = [u8; 16];

#[inline]
fn window_at(bytes: &[u8], pos: usize) -> Option<&Window> {
    bytes.get(pos..)?.first_chunk()
}

#[inline]
fn first_eight(window: &Window) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *window;
    [a, b, c, d, e, f, g, h]
}

/// The upper bits agree, or one side does not know them.
fn soft_match(found: u64, wanted: Wanted) -> bool {
    let width_mask = u64::MAX >> dropped_bits(wanted.width);
    let upper = (found & width_mask) >> wanted.soft;
    let asked = wanted.stored >> wanted.soft;
    upper == asked || upper == 0 || asked == 0
}

/// The same, quicker, for a payload on the stack.
#[inline]
fn push_packed(out: &mut Vec<u8>, stored: u64, width: usize, payload: &Packed) {
    let end = out.len() + width + payload.as_bytes().len();
    if out.capacity() - out.len() < RECORD_MAX || width > 8 {
        return push_record(out, stored, width, payload.as_bytes());
    }
    // Whole arrays are moved by a few instructions each; what is too much is cut off again.
    let mut record = [0; RECORD_MAX];
    record[..8].copy_from_slice(&stored.to_le_bytes());
    record[width..width + PAYLOAD_MAX].copy_from_slice(payload.whole());
    out.extend_from_slice(&record);
    out.truncate(end);
}

fn push_record(out: &mut Vec<u8>, stored: u64, width: usize, payload: &[u8]) {
    reserve(out, width + payload.len());
    out.extend_from_slice(&stored.to_le_bytes()[..width]);
    out.extend_from_slice(payload);
}

/// Makes room for `more` bytes, in steps of the allocator's size classes: a run grows by an eighth
/// or so rather than doubling.
fn reserve(out: &mut Vec<u8>, more: usize) {
    let need = out.len() + more;
    if need > out.capacity() {
        let spacing = (need.max(32) - 1).ilog2().saturating_sub(2);
        let class = need.next_multiple_of((1 << spacing).max(16));
        out.reserve_exact(class - out.len());
    }
}

fn replace_payload(bytes: &mut Vec<u8>, at: At, payload: &[u8]) {
    if payload.len() == at.end - at.start {
        bytes[at.start..at.end].copy_from_slice(payload);
    } else {
        reserve(bytes, payload.len());
        bytes.splice(at.start..at.end, payload.iter().copied());
    }
}

fn each_record<P: Payload>(bytes: &[u8], width: usize, mut visit: impl FnMut(u64, &[u8])) {
    let mask = u64::MAX >> dropped_bits(width);
    let mut pos = 0;
    while pos < bytes.len() {
        let start = pos + width;
        let rest = bytes.get(start..).unwrap_or(&[]);
        let len = P::width(rest);
        visit(word(bytes, pos) & mask, rest.get(..len).unwrap_or(rest));
        pos = start + len;
    }
}

fn all_records<P: Payload>(
    bytes: &[u8],
    width: usize,
    test: &mut impl FnMut(&[u8]) -> bool,
) -> bool {
    let mut pos = width;
    while let Some(rest) = bytes.get(pos..).filter(|rest| !rest.is_empty()) {
        let len = P::width(rest);
        if !test(rest.get(..len).unwrap_or(rest)) {
            return false;
        }
        pos += len + width;
    }
    true
}

#[cfg(test)]
mod tests;
