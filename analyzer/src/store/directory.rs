//! The pages of a table in segments, so that they never move as a whole.
//!
//! A page has bounds of what its records weigh, and so has each block of pages:
//!
//! ```text
//! segment:  bounds of a block    | 96   40 | 80   64 |  .. eight
//!           pages, each with its | p p p ..| p p p ..|  .. 32 in a block
//! ```
//!
//! Who looks for large keys passes nearly all pages by for what is said of their blocks, which the
//! caches hold; the heads of the pages themselves are too many for that. Blocks, like pages, may have
//! higher bounds than need be.

use std::mem;

use crate::store::bounds::Bounds;
use crate::store::page::Page;

/// Pages per segment.
const SEGMENT: usize = 256;

/// Pages per block.
const BLOCK: usize = 32;

#[derive(Debug, Default)]
struct Segment {
    bounds: [Bounds; SEGMENT / BLOCK],
    pages: Vec<Page>,
}

/// The pages, by their numbers. There is always one.
#[derive(Debug)]
pub(crate) struct Directory {
    segments: Vec<Segment>,
    pages: usize,
}

impl Directory {
    /// One empty page.
    pub(crate) fn new() -> Directory {
        let mut directory = Directory {
            segments: Vec::new(),
            pages: 0,
        };
        directory.push(Page::default());
        directory
    }

    /// Pages.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.pages
    }

    #[inline]
    pub(crate) fn page(&self, number: usize) -> &Page {
        &self.segments[number / SEGMENT].pages[number % SEGMENT]
    }

    /// A page to be changed; what comes to it is to be told to `raise` as well.
    #[inline]
    pub(crate) fn page_mut(&mut self, number: usize) -> &mut Page {
        &mut self.segments[number / SEGMENT].pages[number % SEGMENT]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Page> {
        self.segments.iter().flat_map(|segment| &segment.pages)
    }

    /// The bounds of the page's block.
    #[inline]
    pub(crate) fn bounds_around(&self, number: usize) -> Bounds {
        self.segments[number / SEGMENT].bounds[number % SEGMENT / BLOCK]
    }

    #[inline]
    fn block_mut(&mut self, number: usize) -> &mut Bounds {
        &mut self.segments[number / SEGMENT].bounds[number % SEGMENT / BLOCK]
    }

    /// Something came to a page.
    #[inline]
    pub(crate) fn raise(&mut self, number: usize, bounds: Bounds) {
        self.page_mut(number).bounds.raise(bounds);
        self.block_mut(number).raise(bounds);
    }

    /// The bounds of a page were found out.
    pub(crate) fn rebound(&mut self, number: usize, bounds: Bounds) {
        self.page_mut(number).bounds = bounds;
        self.rebound_block(number);
    }

    /// Puts another page in the place of one, whose records it may have or not.
    pub(crate) fn put(&mut self, number: usize, page: Page) -> Page {
        let bounds = page.bounds;
        let old = mem::replace(self.page_mut(number), page);
        self.block_mut(number).raise(bounds);
        if !self.bounds_around(number).is_coarse() {
            self.rebound_block(number);
        }
        old
    }

    /// Gives the page's block the bounds of its pages.
    fn rebound_block(&mut self, number: usize) {
        let segment = &mut self.segments[number / SEGMENT];
        let block = number % SEGMENT / BLOCK;
        let pages = segment.pages.iter().skip(block * BLOCK).take(BLOCK);
        let mut bounds = Bounds::default();
        pages.for_each(|page| bounds.raise(page.bounds));
        segment.bounds[block] = bounds;
    }

    /// Adds a page behind the last one.
    pub(crate) fn push(&mut self, page: Page) {
        if self
            .segments
            .last()
            .is_none_or(|last| last.pages.len() == SEGMENT)
        {
            self.segments.push(Segment {
                pages: Vec::with_capacity(self.pages.clamp(1, SEGMENT)),
                ..Segment::default()
            });
        }
        let (number, bounds) = (self.pages, page.bounds);
        if let Some(last) = self.segments.last_mut() {
            last.pages.push(page);
        }
        self.pages += 1;
        self.block_mut(number).raise(bounds);
    }

    /// Takes the last page away.
    pub(crate) fn pop(&mut self) -> Option<Page> {
        let last = self.segments.last_mut()?;
        let page = last.pages.pop();
        let was_first = last.pages.len().is_multiple_of(BLOCK);
        if was_first {
            last.bounds[last.pages.len() / BLOCK] = Bounds::default();
        }
        if last.pages.is_empty() {
            self.segments.pop();
        }
        self.pages -= 1;
        page
    }

    /// Frees one segment; true if none is left. For a table that is no longer used.
    pub(crate) fn shed(&mut self) -> bool {
        self.segments.pop().is_none()
    }

    /// Bytes allocated for the directory itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.pages.next_multiple_of(SEGMENT) * size_of::<Page>()
            + self.segments.capacity() * size_of::<Segment>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(bytes: u64) -> Bounds {
        Bounds { bytes, count: 1 }
    }

    fn page(bytes: u64) -> Page {
        let mut page = Page::default();
        page.bounds = bounds(bytes);
        page
    }

    #[test]
    fn blocks_are_never_below_their_pages_and_come_down_with_them() {
        let mut directory = Directory::new();
        for number in 1..SEGMENT * 2 + 1 {
            directory.push(page(number as u64));
            assert_eq!(directory.bounds_around(number), bounds(number as u64));
        }
        // One large key comes and goes, another one stays.
        directory.raise(40, bounds(9_000));
        directory.raise(41, bounds(5_000));
        assert_eq!(directory.bounds_around(63), bounds(9_000));
        assert_eq!(directory.bounds_around(31), bounds(31));
        assert_eq!(directory.bounds_around(64), bounds(95));
        directory.rebound(40, bounds(7));
        assert_eq!(directory.bounds_around(32), bounds(5_000));
        // A split leaves the large key to the other page.
        let old = directory.put(41, page(3));
        assert_eq!(old.bounds, bounds(5_000));
        assert_eq!(directory.bounds_around(32), bounds(63));
        directory.push(old);
        assert_eq!(directory.bounds_around(SEGMENT * 2 + 1), bounds(5_000));
        while directory.len() > BLOCK {
            assert!(directory.pop().is_some());
        }
        directory.push(page(1));
        assert_eq!(directory.bounds_around(BLOCK), bounds(1));
    }
}
