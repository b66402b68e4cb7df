//! Linear hashing over packed pages: a large collection grows and shrinks one page at a time, so
//! no single change ever pays for all elements.
//!
//! The low bits of a digest choose the page; a page at level `l` (it was split `l` times) implies
//! `l` of them, so its records leave out whole bytes of them:
//!
//! ```text
//! pages       0 .. split-1    split .. 2^level-1    2^level .. 2^level+split-1
//! level       level+1         level                 level+1
//! width       8 bytes below level 8, 7 below level 16, 6 from there
//! ```
//!
//! The directory is cut into segments, so that it never moves as a whole either.

use super::{
    At, Packed, Payload, Wanted, all_records, dropped_bits, each_record, push_packed, push_record,
    reserve, scan,
};

/// Pages of one directory segment.
const SEGMENT: usize = 1024;
/// Elements per page above which a page is split.
const FULL: usize = 32;
/// Elements per page below which two pages are merged.
const SPARSE: usize = 12;
/// Pages at the start, as a power of two.
const FIRST_LEVEL: u32 = 2;
/// Low digest bits that may choose a page: those that every element has.
const LEVEL_MAX: u32 = 40;

type Page = Vec<u8>;

/// The pages.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    segments: Vec<Vec<Page>>,
    level: u32,
    /// Next page to split.
    split: usize,
    count: usize,
    /// Capacity of all pages.
    capacity: usize,
    /// Records that an empty page gets room for.
    first: usize,
}

impl Pages {
    pub(super) fn new() -> Pages {
        Pages {
            segments: vec![vec![Page::new(); 1 << FIRST_LEVEL]],
            level: FIRST_LEVEL,
            split: 0,
            count: 0,
            capacity: 0,
            first: 0,
        }
    }

    /// No records yet, but the pages for so many.
    pub(super) fn expecting(count: usize) -> Pages {
        let pages = count.div_ceil(FULL).max(1 << FIRST_LEVEL);
        let level = pages.ilog2();
        let mut segments = vec![vec![Page::new(); SEGMENT]; pages / SEGMENT];
        if !pages.is_multiple_of(SEGMENT) {
            segments.push(vec![Page::new(); pages % SEGMENT]);
        }
        Pages {
            segments,
            level,
            split: pages - (1 << level),
            count: 0,
            capacity: 0,
            first: FULL - FULL / 4,
        }
    }

    /// The records that were expected are here.
    pub(super) fn settle(&mut self) {
        self.first = 0;
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let directory: usize = self.segments.iter().map(Vec::capacity).sum();
        self.capacity
            + directory * size_of::<Page>()
            + self.segments.capacity() * size_of::<Vec<Page>>()
    }

    pub(super) fn record_bytes(&self) -> usize {
        self.segments.iter().flatten().map(Vec::len).sum()
    }

    fn len(&self) -> usize {
        (1 << self.level) + self.split
    }

    pub(super) fn page(&self, page: usize) -> &Page {
        &self.segments[page / SEGMENT][page % SEGMENT]
    }

    fn page_mut(&mut self, page: usize) -> &mut Page {
        &mut self.segments[page / SEGMENT][page % SEGMENT]
    }

    fn level_of(&self, page: usize) -> u32 {
        let split = page < self.split || page >= 1 << self.level;
        self.level + u32::from(split)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "masked to the number of pages, which is a usize"
    )]
    #[inline]
    fn page_of(&self, digest: u64) -> usize {
        let page = (digest & ((1 << self.level) - 1)) as usize;
        if page < self.split {
            (digest & ((2 << self.level) - 1)) as usize
        } else {
            page
        }
    }

    pub(super) fn find<P: Payload>(&self, digest: u64) -> Option<At> {
        let page = self.page_of(digest);
        let wanted = Wanted::paged(digest, width_at(self.level_of(page)));
        let (start, end) = scan::<P>(self.page(page), wanted)?;
        Some(At { page, start, end })
    }

    #[inline]
    pub(super) fn add<P: Payload>(&mut self, digest: u64, payload: &Packed) {
        self.push(self.page_of(digest), digest, payload);
        self.count += 1;
        if self.count > FULL * self.len() && self.level < LEVEL_MAX {
            self.split_next::<P>();
        }
    }

    /// Appends a record to a page, whole digest given.
    #[inline]
    fn push(&mut self, page: usize, digest: u64, payload: &Packed) {
        let width = width_at(self.level_of(page));
        let first = self.first;
        let bytes = self.page_mut(page);
        let before = bytes.capacity();
        if before == 0 {
            reserve(bytes, first * (width + payload.as_bytes().len()));
        }
        push_packed(bytes, digest >> dropped_bits(width), width, payload);
        let after = bytes.capacity();
        self.capacity += after - before;
    }

    pub(super) fn replace(&mut self, at: At, payload: &[u8]) {
        let bytes = self.page_mut(at.page);
        let before = bytes.capacity();
        super::replace_payload(bytes, at, payload);
        let after = bytes.capacity();
        self.capacity += after - before;
    }

    pub(super) fn remove<P: Payload>(&mut self, at: At) {
        let width = width_at(self.level_of(at.page));
        self.page_mut(at.page).drain(at.start - width..at.end);
        self.count -= 1;
        if self.count < SPARSE * self.len() && self.len() > 1 << FIRST_LEVEL {
            self.merge_last::<P>();
        }
    }

    pub(super) fn each<P: Payload>(&self, mut visit: impl FnMut(u64, &[u8])) {
        for page in 0..self.len() {
            self.each_in::<P>(page, &mut visit);
        }
    }

    pub(super) fn all<P: Payload>(&self, test: &mut impl FnMut(&[u8]) -> bool) -> bool {
        (0..self.len()).all(|page| {
            let width = width_at(self.level_of(page));
            all_records::<P>(self.page(page), width, test)
        })
    }

    /// Every record of one page, with its digest made whole again.
    pub(super) fn each_in<P: Payload>(&self, page: usize, mut visit: impl FnMut(u64, &[u8])) {
        let width = width_at(self.level_of(page));
        let dropped = dropped_bits(width);
        let implied = page as u64 & ((1 << dropped) - 1);
        each_record::<P>(self.page(page), width, |stored, payload| {
            visit(stored << dropped | implied, payload);
        });
    }

    /// Splits page `split` between itself and a new last page.
    fn split_next<P: Payload>(&mut self) {
        let low = self.split;
        let high = low + (1 << self.level);
        let width = width_at(self.level);
        let narrow = width_at(self.level + 1);
        let dropped = dropped_bits(width);
        let implied = low as u64 & ((1 << dropped) - 1);
        let bit = 1u64 << self.level;
        let old = std::mem::take(self.page_mut(low));
        let mut kept = Page::new();
        let mut moved = Page::new();
        // One exact reservation each instead of growing through the classes.
        reserve(&mut kept, old.len() / 2 + 8);
        reserve(&mut moved, old.len() / 2 + 8);
        each_record::<P>(&old, width, |stored, payload| {
            let digest = stored << dropped | implied;
            let page = if digest & bit == 0 {
                &mut kept
            } else {
                &mut moved
            };
            push_record(page, digest >> dropped_bits(narrow), narrow, payload);
        });
        self.capacity += kept.capacity() + moved.capacity();
        self.capacity -= old.capacity();
        *self.page_mut(low) = kept;
        if high.is_multiple_of(SEGMENT) {
            self.segments.push(Vec::new());
        }
        if let Some(last) = self.segments.last_mut() {
            last.push(moved);
        }
        self.split += 1;
        if self.split == 1 << self.level {
            self.level += 1;
            self.split = 0;
        }
    }

    /// Takes the last page back into the one it was split from.
    fn merge_last<P: Payload>(&mut self) {
        let last = self.len() - 1;
        let mut records: Vec<(u64, Packed)> = Vec::new();
        if self.split == 0 {
            self.level -= 1;
            self.split = 1 << self.level;
        }
        let low = self.split - 1;
        for page in [low, last] {
            self.each_in::<P>(page, |digest, payload| {
                records.push((digest, Packed::of(payload)));
            });
        }
        let gone = self.segments.last_mut().and_then(Vec::pop);
        if self.segments.last().is_some_and(Vec::is_empty) {
            self.segments.pop();
        }
        let old = std::mem::take(self.page_mut(low));
        self.capacity -= old.capacity() + gone.map_or(0, |page| page.capacity());
        self.split -= 1;
        for (digest, payload) in records {
            self.push(low, digest, &payload);
        }
    }
}

/// Fingerprint bytes of a record in a page at `level`.
#[inline]
fn width_at(level: u32) -> usize {
    match level {
        0..8 => 8,
        8..16 => 7,
        _ => 6,
    }
}

#[cfg(test)]
impl Pages {
    pub(super) fn check(&self) {
        let capacity: usize = self.segments.iter().flatten().map(Vec::capacity).sum();
        assert_eq!(capacity, self.capacity);
        let pages: usize = self.segments.iter().map(Vec::len).sum();
        assert_eq!(pages, self.len());
    }
}
