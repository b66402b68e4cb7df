//! The pages of a table in segments, so that they never move as a whole.

use crate::store::page::Page;

/// Pages per segment.
const SEGMENT: usize = 256;

/// The pages, by their numbers. There is always one.
#[derive(Debug)]
pub(crate) struct Directory {
    segments: Vec<Vec<Page>>,
    pages: usize,
}

impl Directory {
    /// One empty page.
    pub(crate) fn new() -> Directory {
        Directory {
            segments: vec![vec![Page::default()]],
            pages: 1,
        }
    }

    /// Pages.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.pages
    }

    #[inline]
    pub(crate) fn page(&self, number: usize) -> &Page {
        &self.segments[number / SEGMENT][number % SEGMENT]
    }

    #[inline]
    pub(crate) fn page_mut(&mut self, number: usize) -> &mut Page {
        &mut self.segments[number / SEGMENT][number % SEGMENT]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Page> {
        self.segments.iter().flatten()
    }

    /// Adds a page behind the last one.
    pub(crate) fn push(&mut self, page: Page) {
        if self
            .segments
            .last()
            .is_none_or(|last| last.len() == SEGMENT)
        {
            self.segments
                .push(Vec::with_capacity(SEGMENT.min(self.pages)));
        }
        if let Some(last) = self.segments.last_mut() {
            last.push(page);
        }
        self.pages += 1;
    }

    /// Takes the last page away.
    pub(crate) fn pop(&mut self) -> Option<Page> {
        let last = self.segments.last_mut()?;
        let page = last.pop();
        if last.is_empty() {
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
    }
}
