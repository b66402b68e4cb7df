//! A page: about a hundred records in one allocation, behind an index of 16-bit tags.
//!
//! ```text
//! buf: [tag u16; room] [offset u16; room] [record ...]
//!      <------------ index ------------> <--- data, offsets count from here --->
//! ```
//!
//! A page with more data than 16 bits can count is wide: its offsets are u32.
//!
//! A lookup compares the tags, sixteen at a time, then one name. An overwritten or removed record
//! leaves a hole; a page with a quarter of holes is packed again. Nothing is ever longer than one
//! page's work, whatever the number of keys.

use crate::store::bounds::Bounds;

/// Index entries are added in steps of this many: one comparison step of a lookup.
const STEP: usize = 16;

/// Records of a page in a table that grows.
const FULL: usize = 96;

/// Records that nearly every page has in the end, where the number of keys was known.
const USUAL: usize = 80;

/// Bytes of a tag.
const TAG: usize = 2;

/// Most bytes of data whose offsets fit 16 bits.
const NARROW_MAX: usize = 1 << 16;

/// Holes below this are not worth packing.
const HOLES_MIN: usize = 512;

/// Records and their index. The head takes one line of the cache.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Page {
    buf: Vec<u8>,
    count: u32,
    room: u32,
    dead: u32,
    wide: bool,
    /// Above all records here.
    pub(crate) bounds: Bounds,
}

/// Rounds a capacity to the class that the allocator would give anyway: four per doubling.
fn class(n: usize) -> usize {
    let n = n.max(64);
    n.next_multiple_of(1 << ((n - 1).ilog2() - 2))
}

/// Bytes of an index entry: tag and offset.
fn entry(wide: bool) -> usize {
    if wide { TAG + 4 } else { TAG + 2 }
}

impl Page {
    /// Records in the page.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes of live records.
    pub(crate) fn live_bytes(&self) -> usize {
        self.buf.len() - self.data() - self.dead as usize
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.buf.capacity()
    }

    /// Where the data begin.
    fn data(&self) -> usize {
        self.room as usize * entry(self.wide)
    }

    fn offset(&self, slot: usize) -> usize {
        let offsets = self.room as usize * TAG;
        if self.wide {
            let field = self.buf.get(offsets + slot * 4..);
            let field = field.and_then(|tail| tail.first_chunk());
            field.map_or(0, |field| u32::from_le_bytes(*field) as usize)
        } else {
            let field = self.buf.get(offsets + slot * 2..);
            let field = field.and_then(|tail| tail.first_chunk());
            field.map_or(0, |field| usize::from(u16::from_le_bytes(*field)))
        }
    }

    fn tag(&self, slot: usize) -> u16 {
        u16::from_le_bytes([self.buf[slot * 2], self.buf[slot * 2 + 1]])
    }

    fn set_entry(&mut self, slot: usize, tag: u16, offset: usize) {
        self.buf[slot * 2..slot * 2 + 2].copy_from_slice(&tag.to_le_bytes());
        let offsets = self.room as usize * TAG;
        if self.wide {
            // A page holds far less than 4 GiB: it splits at 48 KiB on average, and what is large is
            // elsewhere.
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            let at = offsets + slot * 4;
            self.buf[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        } else {
            // `append` widens a page before an offset is too large.
            let offset = u16::try_from(offset).unwrap_or(u16::MAX);
            let at = offsets + slot * 2;
            self.buf[at..at + 2].copy_from_slice(&offset.to_le_bytes());
        }
    }

    /// Touches the page's head.
    #[inline]
    pub(crate) fn touch_head(&self) -> u8 {
        let [low, ..] = self.count.to_le_bytes();
        low
    }

    /// Touches the tags, and where a record would be added.
    #[inline]
    pub(crate) fn touch_tags(&self) -> u8 {
        let lines = self.buf.iter().take(self.room as usize * TAG).step_by(64);
        let last = self.buf.last().copied().unwrap_or(0);
        lines.fold(last, |sum, byte| sum ^ byte)
    }

    /// Where the first record with that tag begins, or 0.
    #[inline]
    pub(crate) fn first_at(&self, tag: u16) -> usize {
        self.find(tag, |_| true)
            .map_or(0, |slot| self.data() + self.offset(slot))
    }

    /// Touches a record.
    #[inline]
    pub(crate) fn touch_data(&self, at: usize) -> u8 {
        let byte = |at: usize| self.buf.get(at).copied().unwrap_or(0);
        byte(at) ^ byte(at + 32)
    }

    /// The slot with that tag for whose bytes `same` holds.
    #[inline]
    pub(crate) fn find(&self, tag: u16, mut same: impl FnMut(&[u8]) -> bool) -> Option<usize> {
        let tags = self.buf.get(..self.room as usize * TAG)?;
        let tag_bytes = tag.to_le_bytes();
        for (block, chunk) in tags.chunks_exact(STEP * TAG).enumerate() {
            let hit = chunk
                .as_chunks::<2>()
                .0
                .iter()
                .fold(false, |any, entry| any | (*entry == tag_bytes));
            if !hit {
                continue;
            }
            for (lane, entry) in chunk.as_chunks::<2>().0.iter().enumerate() {
                let slot = block * STEP + lane;
                if *entry == tag_bytes && slot < self.len() && same(self.record(slot)) {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// The record in `slot`, and whatever lies behind it.
    #[inline]
    pub(crate) fn record(&self, slot: usize) -> &[u8] {
        &self.buf[self.data() + self.offset(slot)..]
    }

    /// The record in `slot`, to be changed without changing its length.
    #[inline]
    pub(crate) fn record_mut(&mut self, slot: usize) -> &mut [u8] {
        let at = self.data() + self.offset(slot);
        &mut self.buf[at..]
    }

    /// Makes room for `records` records of `bytes` bytes in all, in one allocation.
    pub(crate) fn with_room(records: usize, bytes: usize) -> Page {
        let room = records.next_multiple_of(STEP);
        let wide = bytes > NARROW_MAX;
        let mut buf = Vec::new();
        buf.reserve_exact(class(room * entry(wide) + bytes));
        buf.resize(room * entry(wide), 0);
        Page {
            buf,
            wide,
            // A page holds a few hundred records.
            room: u32::try_from(room).unwrap_or(u32::MAX),
            ..Page::default()
        }
    }

    /// Makes room for more records of `bytes` in all at once, and for more to come, since loads fill
    /// a page piece by piece: for `first` (a count, and the bytes of one) where many are sure to
    /// come, else for as many again while the page is less than full.
    pub(crate) fn make_room(
        &mut self,
        records: usize,
        bytes: usize,
        first: Option<(usize, usize)>,
    ) {
        let count = self.len() + records;
        let mut room = self.room as usize;
        if count > room {
            let ample = first.map_or((2 * room).min(FULL), |(count, _)| count);
            room = count.max(ample).next_multiple_of(STEP);
        }
        let data = self.buf.len() - self.data() + bytes;
        let wide = self.wide || data > NARROW_MAX;
        if wide == self.wide && room * entry(wide) + data <= self.buf.capacity() {
            self.widen(room);
            return;
        }
        // The index is cheap to make too large, the data is not.
        let ample = match first {
            Some((all, mean)) => data + all.saturating_sub(count) * mean,
            None => data * room.min(USUAL).max(count) / count,
        };
        self.remake(room, wide, ample);
    }

    /// Makes the index anew, with room for so many entries and `bytes` of data.
    fn remake(&mut self, room: usize, wide: bool, bytes: usize) {
        let mut buf = Vec::new();
        buf.reserve_exact(class(room * entry(wide) + bytes));
        buf.resize(room * entry(wide), 0);
        buf.extend_from_slice(&self.buf[self.data()..]);
        let old = std::mem::replace(
            self,
            Page {
                buf,
                wide,
                // A page holds a few hundred records.
                room: u32::try_from(room).unwrap_or(u32::MAX),
                ..*self
            },
        );
        for slot in 0..old.len() {
            self.set_entry(slot, old.tag(slot), old.offset(slot));
        }
    }

    /// Adds a record and returns its slot.
    pub(crate) fn push(&mut self, tag: u16, record: &[u8]) -> usize {
        if self.count == self.room {
            self.widen(self.len() + STEP);
        }
        let slot = self.len();
        let offset = self.append(record);
        self.count += 1;
        self.set_entry(slot, tag, offset);
        slot
    }

    fn append(&mut self, record: &[u8]) -> usize {
        let data = self.buf.len() - self.data() + record.len();
        if data > NARROW_MAX && !self.wide {
            self.remake(self.room as usize, true, data);
        }
        let need = self.buf.len() + record.len();
        if need > self.buf.capacity() {
            self.buf.reserve_exact(class(need) - self.buf.len());
        }
        let offset = self.buf.len() - self.data();
        self.buf.extend_from_slice(record);
        offset
    }

    /// Widens the index to at least so many entries, a multiple of `STEP`.
    fn widen(&mut self, room: usize) {
        let old = self.room as usize;
        let more = room.saturating_sub(old);
        if more == 0 {
            return;
        }
        let end = self.buf.len();
        let need = end + more * entry(self.wide);
        if need > self.buf.capacity() {
            self.buf.reserve_exact(class(need) - end);
        }
        let (offsets, data) = (old * TAG, self.data());
        self.buf.resize(need, 0);
        self.buf
            .copy_within(data..end, data + more * entry(self.wide));
        self.buf.copy_within(offsets..data, offsets + more * TAG);
        // A page holds a few hundred records.
        self.room = u32::try_from(room).unwrap_or(u32::MAX);
    }

    /// Writes `record` over the one in `slot`, which is `old` bytes long.
    pub(crate) fn replace(&mut self, slot: usize, old: usize, record: &[u8]) {
        if record.len() == old {
            self.record_mut(slot)[..old].copy_from_slice(record);
            return;
        }
        self.forget(slot, old);
        let tag = self.tag(slot);
        let offset = self.append(record);
        self.set_entry(slot, tag, offset);
    }

    /// Removes the record in `slot`, which is `old` bytes long; the last slot takes its place.
    pub(crate) fn remove(&mut self, slot: usize, old: usize) {
        self.forget(slot, old);
        let last = self.len() - 1;
        let (tag, offset) = (self.tag(last), self.offset(last));
        self.set_entry(slot, tag, offset);
        self.count -= 1;
    }

    fn forget(&mut self, slot: usize, old: usize) {
        let end = self.data() + self.offset(slot) + old;
        if end == self.buf.len() {
            self.buf.truncate(end - old);
        } else {
            self.dead += u32::try_from(old).unwrap_or(u32::MAX);
        }
    }

    /// True if a quarter of the page is holes, or all of it.
    pub(crate) fn wants_packing(&self) -> bool {
        let dead = self.dead as usize;
        dead > HOLES_MIN && dead > self.buf.len() / 4 || self.count == 0 && self.room > 0
    }

    /// Packs the page; `len_of` tells the length of the record at the front of some bytes.
    pub(crate) fn pack(&mut self, len_of: impl Fn(&[u8]) -> usize) {
        if self.count == 0 {
            *self = Page::default();
            return;
        }
        let mut packed = Page::with_room(self.len(), self.live_bytes());
        for slot in 0..self.len() {
            let record = self.record(slot);
            packed.push(self.tag(slot), &record[..len_of(record)]);
        }
        packed.bounds = self.bounds;
        *self = packed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of these tests: a length byte, then that many bytes.
    fn record(n: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![n; len + 1];
        bytes[0] = u8::try_from(len).expect("a short record");
        bytes
    }

    fn len_of(bytes: &[u8]) -> usize {
        usize::from(bytes[0]) + 1
    }

    #[test]
    fn records_are_found_replaced_and_removed() {
        let mut page = Page::default();
        for n in 0..200u8 {
            page.push(u16::from(n) % 7, &record(n, usize::from(n % 5) + 1));
        }
        let find = |page: &Page, n: u8| page.find(u16::from(n) % 7, |bytes| bytes[1] == n);
        for n in 0..200 {
            let slot = find(&page, n).expect("pushed");
            assert_eq!(len_of(page.record(slot)), usize::from(n % 5) + 2);
            page.replace(slot, len_of(page.record(slot)), &record(n, 9));
        }
        for n in (0..200).step_by(2) {
            let slot = find(&page, n).expect("replaced");
            page.remove(slot, 10);
            assert_eq!(find(&page, n), None);
        }
        assert!(page.wants_packing());
        page.pack(len_of);
        assert!(!page.wants_packing());
        assert_eq!(page.live_bytes(), 100 * 10);
        for n in (1..200).step_by(2) {
            let slot = find(&page, n).expect("kept");
            assert_eq!(&page.record(slot)[..10], record(n, 9));
        }
    }

    /// A record of two length bytes and that many bytes.
    fn long(n: u8, len: u16) -> Vec<u8> {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.resize(usize::from(len) + 2, n);
        bytes
    }

    fn long_len_of(bytes: &[u8]) -> usize {
        usize::from(u16::from_le_bytes([bytes[0], bytes[1]])) + 2
    }

    #[test]
    fn a_page_is_wide_as_long_as_it_must_be() {
        let mut grown = Page::default();
        let mut roomy = Page::default();
        for n in 0..100u8 {
            let record = long(n, 1000);
            roomy.make_room(1, record.len(), None);
            for page in [&mut grown, &mut roomy] {
                page.push(u16::from(n), &record);
                assert_eq!(page.wide, (usize::from(n) + 1) * record.len() > NARROW_MAX);
            }
        }
        for page in [&mut grown, &mut roomy] {
            for n in 0..100u8 {
                let slot = page.find(u16::from(n), |_| true).expect("pushed");
                assert_eq!(page.record(slot)[..1002], long(n, 1000));
            }
            for n in 50..100u8 {
                let slot = page.find(u16::from(n), |_| true).expect("pushed");
                page.remove(slot, 1002);
            }
            page.pack(long_len_of);
            assert!(!page.wide);
            for n in 0..50u8 {
                let slot = page.find(u16::from(n), |_| true).expect("kept");
                assert_eq!(page.record(slot)[..1002], long(n, 1000));
            }
        }
    }

    #[test]
    fn classes_are_four_per_doubling() {
        assert_eq!(class(65), 80);
        assert_eq!(class(4096), 4096);
        assert_eq!(class(4097), 5120);
    }
}
