//! Where keys live: one table per database, linear hashing over small pages.
//!
//! ```text
//! digest(name) --low bits--> page --16-bit tag--> record
//! page number: low `level` bits; pages below `split` were split already and use one bit more
//! ```
//!
//! The table grows and shrinks by one page at a time, so no insertion ever waits for a rehash of
//! everything. A page's keys are the contiguous range of one prefix of the bit-reversed digest:
//! a scan in that order is not disturbed by splits and merges.

pub(crate) mod beyond;
pub(crate) mod bounds;
mod directory;
pub(crate) mod fit;
pub(crate) mod packing;
pub(crate) mod page;
pub(crate) mod record;
pub(crate) mod slab;
pub(crate) mod varint;
pub(crate) mod weigh;

use crate::command::Entry;
use crate::store::bounds::Bounds;
use crate::store::directory::Directory;
use crate::store::page::Page;
use crate::store::record::{NAME_MAX, Name, Record};
use crate::store::slab::Slab;
use crate::store::weigh::{Scale, Weight};
use crate::text;

/// Keys per page at which the table grows by a page.
pub(crate) const LOAD_MAX: u64 = 96;

/// Bytes of values that are freed at once: a fraction of a millisecond.
const SHED_BYTES: usize = 256 * 1024;

/// Records that a page gets room for at first when its table was made for its keys: half of what it
/// will have. Growing in larger steps from less, or starting with more, takes more memory.
const FIRST_ROOM: usize = 48;

/// Bytes that pages may allocate per byte of records, on the word of an announcement.
const BELIEF: u64 = 8;

/// And in any case.
const BELIEF_MIN: u64 = 2 << 20;

/// Keys per page at which it gives one back.
const LOAD_MIN: u64 = 32;

/// Bytes per page at which the table grows by a page, whatever the number of keys.
const PAGE_BYTES_MAX: u64 = 48 * 1024;

/// Pages that one change of the live table may split; each moves a hundred records or so. A record
/// needs one at most, so this catches up wherever the table is behind.
const SPLITS_MAX: usize = 2;

/// Bits of a scan order.
pub(crate) const ORDER_BITS: u32 = 48;

/// A name too long for a record, with its digest.
#[derive(Debug)]
struct LongName {
    digest: u64,
    name: Box<[u8]>,
}

/// Where a record is, until the next change of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) page: usize,
    pub(crate) slot: usize,
}

/// The keys of one database.
#[derive(Debug)]
pub(crate) struct Table {
    pages: Directory,
    level: u32,
    split: usize,
    keys: u64,
    bytes: u64,
    /// Bytes allocated by the pages.
    page_heap: usize,
    /// Pages were made for keys that were announced.
    announced: bool,
    seed: u64,
    large: Slab<Entry>,
    names: Slab<LongName>,
}

/// Where a digest stands in scan order.
pub(crate) fn order_of(digest: u64) -> u64 {
    digest.reverse_bits() >> (64 - ORDER_BITS)
}

/// The tag comes from bits that neither page numbers nor the order use.
fn tag_of(digest: u64) -> u16 {
    let [.., low, high] = digest.to_le_bytes();
    u16::from_le_bytes([low, high])
}

impl Table {
    pub(crate) fn new(seed: u64) -> Table {
        Table {
            pages: Directory::new(),
            level: 0,
            split: 0,
            keys: 0,
            bytes: 0,
            page_heap: 0,
            announced: false,
            seed,
            large: Slab::new(),
            names: Slab::new(),
        }
    }

    /// Keys.
    pub(crate) fn len(&self) -> u64 {
        self.keys
    }

    /// Pages.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    pub(crate) fn large(&self) -> &Slab<Entry> {
        &self.large
    }

    pub(crate) fn large_mut(&mut self) -> &mut Slab<Entry> {
        &mut self.large
    }

    pub(crate) fn digest(&self, name: &[u8]) -> u64 {
        text::digest(name, self.seed)
    }

    pub(crate) fn page(&self, page: usize) -> &Page {
        self.pages.page(page)
    }

    /// No record in the page, nor in some pages around it, is beyond this.
    #[inline]
    pub(crate) fn bounds_around(&self, page: usize) -> Bounds {
        self.pages.bounds_around(page)
    }

    /// The page of a digest.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits of a digest, as many as there are bits in a number of pages"
    )]
    pub(crate) fn page_of(&self, digest: u64) -> usize {
        let wide = (digest & ((2u64 << self.level) - 1)) as usize;
        if wide < self.pages.len() {
            wide
        } else {
            wide & ((1 << self.level) - 1)
        }
    }

    /// The record of `name`.
    #[inline]
    pub(crate) fn find(&self, digest: u64, name: &[u8]) -> Option<Place> {
        let page = self.page_of(digest);
        let long = |handle| self.long_name(handle);
        self.page(page)
            .find(tag_of(digest), |bytes| record::has_name(bytes, name, long))
            .map(|slot| Place { page, slot })
    }

    /// Where a digest's record would be found, to be touched step by step.
    #[inline]
    pub(crate) fn spot(&self, digest: u64) -> Spot<'_> {
        Spot {
            page: self.page(self.page_of(digest)),
            tag: tag_of(digest),
            at: 0,
        }
    }

    pub(crate) fn record(&self, place: Place) -> Record<'_> {
        Record::read(self.page(place.page).record(place.slot))
    }

    /// The records of a page.
    pub(crate) fn records(&self, page: usize) -> impl Iterator<Item = Record<'_>> {
        let page = self.page(page);
        (0..page.len()).map(|slot| Record::read(page.record(slot)))
    }

    /// The name of a record.
    pub(crate) fn name<'a>(&'a self, record: &Record<'a>) -> &'a [u8] {
        match record.name {
            Name::Here(name) => name,
            Name::Elsewhere(handle) => self.long_name(handle).unwrap_or_default(),
        }
    }

    fn long_name(&self, handle: u32) -> Option<&[u8]> {
        self.names.get(handle).map(|long| &*long.name)
    }

    /// The name as a new record holds it. A long name is stored by this call.
    pub(crate) fn keep_name<'a>(&mut self, digest: u64, name: &'a [u8]) -> Name<'a> {
        if name.len() <= NAME_MAX {
            return Name::Here(name);
        }
        Name::Elsewhere(self.keep_long_name(digest, name.into()))
    }

    /// Stores a long name and returns its handle.
    pub(crate) fn keep_long_name(&mut self, digest: u64, name: Box<[u8]>) -> u32 {
        self.names.insert(Box::new(LongName { digest, name }))
    }

    /// The digest of a record's name.
    pub(crate) fn digest_of(&self, record: &Record<'_>) -> u64 {
        match record.name {
            Name::Here(name) => self.digest(name),
            Name::Elsewhere(handle) => self.names.get(handle).map_or(0, |long| long.digest),
        }
    }

    /// What a record weighs.
    pub(crate) fn weigh(&self, record: &Record<'_>, scale: &Scale) -> Weight {
        let name = match record.name {
            Name::Here(name) => name.len(),
            Name::Elsewhere(handle) => self.long_name(handle).map_or(0, <[u8]>::len),
        };
        scale.weigh(record, name as u64, |handle| self.large.get(handle))
    }

    /// Adds the record of a name that is not there.
    pub(crate) fn insert(&mut self, digest: u64, record: &[u8], weight: &Weight, scale: &Scale) {
        self.push(digest, record, Bounds::of(weight));
        self.grow_some(scale);
    }

    /// The same without growing; `bounds` are those of the key.
    pub(crate) fn push(&mut self, digest: u64, record: &[u8], bounds: Bounds) {
        let number = self.page_of(digest);
        self.change(number, |page| {
            page.push(tag_of(digest), record);
        });
        self.pages.raise(number, bounds);
        self.keys += 1;
        self.bytes += record.len() as u64;
    }

    /// Makes room in a page for some records of `bytes` in all, and for more that will come.
    pub(crate) fn make_room(&mut self, number: usize, records: usize, bytes: usize) {
        let first = self.first_room();
        self.change(number, |page| page.make_room(records, bytes, first));
    }

    /// Records that a page gets room for at first, and the bytes of one, where the number of keys
    /// was announced, and as far as those that came bear that out.
    fn first_room(&self) -> Option<(usize, usize)> {
        let borne_out = (self.page_heap as u64) < BELIEF * self.bytes + BELIEF_MIN;
        if !self.announced || !borne_out {
            return None;
        }
        let mean = usize::try_from(self.bytes.checked_div(self.keys)?).ok()?;
        Some((FIRST_ROOM, mean))
    }

    /// Adds the pages that so many keys need, however many.
    pub(crate) fn grow_to_load(&mut self, scale: &Scale) {
        while self.is_full() {
            self.grow(scale);
        }
    }

    /// The same, but for no more than one change of the table may cost.
    fn grow_some(&mut self, scale: &Scale) {
        for _ in 0..SPLITS_MAX {
            if !self.is_full() {
                return;
            }
            self.grow(scale);
        }
    }

    /// True if there are fewer pages than the keys need.
    fn is_full(&self) -> bool {
        let pages = self.pages() as u64;
        self.keys > LOAD_MAX * pages || self.bytes > PAGE_BYTES_MAX * pages
    }

    /// Makes the pages for so many keys at once, so that loading them splits none. Only an empty
    /// table does; the caller bounds the number, which is a hint from outside.
    pub(crate) fn expect(&mut self, keys: u64) {
        if self.keys > 0 || self.pages() > 1 {
            return;
        }
        let pages = keys / LOAD_MAX;
        self.announced = pages > 1;
        for _ in 1..pages {
            self.pages.push(Page::default());
        }
        self.level = self.pages().ilog2();
        self.split = self.pages() - (1 << self.level);
    }

    /// Writes `record` over the one at `place`.
    pub(crate) fn replace(&mut self, place: Place, record: &[u8], weight: &Weight, scale: &Scale) {
        let old = self.overwrite(place, record, weight);
        // At once, lest the next new key has to make all the pages that became too small.
        if record.len() > old {
            self.grow_some(scale);
        }
    }

    /// The same without growing, for those that go from page to page; the length of the one before.
    pub(crate) fn overwrite(&mut self, place: Place, record: &[u8], weight: &Weight) -> usize {
        let old = self.record(place).len();
        self.change(place.page, |page| {
            page.replace(place.slot, old, record);
            pack(page);
        });
        self.pages.raise(place.page, Bounds::of(weight));
        self.bytes = self.bytes + record.len() as u64 - old as u64;
        old
    }

    /// Removes the record at `place`, with its long name. Its large value is the caller's.
    pub(crate) fn remove(&mut self, place: Place, scale: &Scale) {
        let record = self.record(place);
        let old = record.len();
        if let Name::Elsewhere(handle) = record.name {
            self.names.remove(handle);
        }
        self.change(place.page, |page| {
            page.remove(place.slot, old);
            pack(page);
        });
        self.keys -= 1;
        self.bytes -= old as u64;
        self.shrink(scale);
    }

    /// Changes a page and keeps account of what it allocates.
    #[inline]
    fn change(&mut self, number: usize, change: impl FnOnce(&mut Page)) {
        let page = self.pages.page_mut(number);
        let before = page.heap_bytes();
        change(page);
        let after = page.heap_bytes();
        self.page_heap = self.page_heap - before + after;
    }

    /// Splits the next page in turn.
    fn grow(&mut self, scale: &Scale) {
        let bit = 1u64 << self.level;
        let (mut stay, mut go) = (Vec::new(), Vec::new());
        let (mut stay_bytes, mut go_bytes) = (0, 0);
        let old = self.pages.put(self.split, Page::default());
        for slot in 0..old.len() {
            let record = Record::read(old.record(slot));
            let (digest, len) = (self.digest_of(&record), record.len());
            if digest & bit == 0 {
                stay.push((slot, digest, len));
                stay_bytes += len;
            } else {
                go.push((slot, digest, len));
                go_bytes += len;
            }
        }
        let stay = self.move_records(&old, &stay, stay_bytes, scale);
        let go = self.move_records(&old, &go, go_bytes, scale);
        self.page_heap = self.page_heap + stay.heap_bytes() + go.heap_bytes() - old.heap_bytes();
        self.pages.put(self.split, stay);
        self.pages.push(go);
        self.split += 1;
        if self.split as u64 == bit {
            self.level += 1;
            self.split = 0;
        }
    }

    fn move_records(
        &self,
        from: &Page,
        slots: &[(usize, u64, usize)],
        bytes: usize,
        scale: &Scale,
    ) -> Page {
        let mut page = Page::with_room(slots.len(), bytes);
        for &(slot, digest, len) in slots {
            page.push(tag_of(digest), &from.record(slot)[..len]);
        }
        self.bound(&mut page, from.bounds, scale);
        page
    }

    /// Gives a page bounds: those of the page it came from, or exact ones where that matters.
    fn bound(&self, page: &mut Page, inherited: Bounds, scale: &Scale) {
        page.bounds = match inherited.is_coarse() {
            true => inherited,
            false => self.exact_bounds(page, scale),
        };
    }

    fn exact_bounds(&self, page: &Page, scale: &Scale) -> Bounds {
        let mut bounds = Bounds::default();
        for slot in 0..page.len() {
            let weight = self.weigh(&Record::read(page.record(slot)), scale);
            bounds.raise(Bounds::of(&weight));
        }
        bounds
    }

    /// Makes the bounds of a page exact.
    pub(crate) fn rebound(&mut self, number: usize, scale: &Scale) {
        let bounds = self.exact_bounds(self.page(number), scale);
        self.pages.rebound(number, bounds);
    }

    /// Gives the last page back if the table has become that empty.
    fn shrink(&mut self, scale: &Scale) {
        let fewer = (self.pages() - 1) as u64;
        if fewer == 0 || self.keys > LOAD_MIN * fewer || self.bytes > PAGE_BYTES_MAX / 2 * fewer {
            return;
        }
        if self.split == 0 {
            self.level -= 1;
            self.split = 1 << self.level;
        }
        self.split -= 1;
        let Some(last) = self.pages.pop() else {
            return;
        };
        let first = self.pages.put(self.split, Page::default());
        let bytes = first.live_bytes() + last.live_bytes();
        let mut merged = Page::with_room(first.len() + last.len(), bytes);
        for from in [&first, &last] {
            for slot in 0..from.len() {
                let record = Record::read(from.record(slot));
                let tag = tag_of(self.digest_of(&record));
                merged.push(tag, &from.record(slot)[..record.len()]);
            }
        }
        let mut inherited = first.bounds;
        inherited.raise(last.bounds);
        self.bound(&mut merged, inherited, scale);
        self.page_heap += merged.heap_bytes();
        self.page_heap -= first.heap_bytes() + last.heap_bytes();
        self.pages.put(self.split, merged);
    }

    /// The page that holds the keys of `order`, and where the range of orders behind it begins
    /// (`1 << ORDER_BITS` at the end).
    pub(crate) fn page_at(&self, order: u64) -> (usize, u64) {
        let digest = (order << (64 - ORDER_BITS)).reverse_bits();
        let page = self.page_of(digest);
        let bits = self.width_bits(page);
        (page, ((order >> bits) + 1) << bits)
    }

    /// True if the page's range of orders begins at `order`.
    pub(crate) fn starts_page(&self, page: usize, order: u64) -> bool {
        order.is_multiple_of(1 << self.width_bits(page))
    }

    /// How many orders a page's range has, as a power of two.
    fn width_bits(&self, page: usize) -> u32 {
        let bits = if page < self.split || page >= 1 << self.level {
            self.level + 1
        } else {
            self.level
        };
        ORDER_BITS - bits.min(ORDER_BITS)
    }

    /// Bytes allocated, but for what large values and long names allocate themselves.
    pub(crate) fn heap_bytes(&self) -> usize {
        let directory = self.pages.heap_bytes();
        self.page_heap + directory + self.large.heap_bytes() + self.names.heap_bytes()
    }

    /// Bytes allocated by the pages, counted one by one.
    pub(crate) fn count_page_heap(&self) -> (usize, usize) {
        let pages = self.pages.iter();
        (pages.map(Page::heap_bytes).sum(), self.page_heap)
    }

    /// Frees one segment of pages, or large values or names of about [`SHED_BYTES`]; true if nothing is
    /// left. For a table that is no longer used.
    pub(crate) fn shed(&mut self) -> bool {
        self.pages.shed()
            && !self
                .large
                .shed(SHED_BYTES, |entry| entry.value.heap_bytes())
            && !self.names.shed(SHED_BYTES, |long| long.name.len())
    }
}

/// A lookup in steps, made for their effect on the caches.
#[derive(Debug)]
pub(crate) struct Spot<'a> {
    page: &'a Page,
    tag: u16,
    at: usize,
}

impl Spot<'_> {
    /// First step: the page's head.
    #[inline]
    pub(crate) fn touch_page(&self) -> u8 {
        self.page.touch_head()
    }

    /// Second step: its tags.
    #[inline]
    pub(crate) fn touch_tags(&self) -> u8 {
        self.page.touch_tags()
    }

    /// Third step: the first record with that tag, nearly always the one that is looked for.
    #[inline]
    pub(crate) fn seek(&mut self) {
        self.at = self.page.first_at(self.tag);
    }

    /// Fourth step: that record.
    #[inline]
    pub(crate) fn touch_record(&self) -> u8 {
        self.page.touch_data(self.at)
    }
}

fn pack(page: &mut Page) {
    if page.wants_packing() {
        page.pack(|bytes| Record::read(bytes).len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Doubt;
    use crate::profile::{Family, Profile, Version};
    use crate::store::record::{Body, Draft, Form};
    use crate::value::{Encoding, Kind};

    /// A record of a hash whose fields take so many bytes.
    fn record(name: &[u8], bytes: usize) -> Vec<u8> {
        let mut record = Vec::new();
        Draft {
            form: Form::of(Kind::Hash, Encoding::Listpack),
            doubt: Doubt::None,
            lru: 0,
            expire_ms: None,
            seat: false,
            extra: 0,
            name: Name::Here(name),
            body: Body::Packed {
                count: 1,
                memory: 64,
                packed: &vec![0; bytes],
            },
        }
        .write(&mut record);
        record
    }

    /// The most pages that one of some calls made.
    fn most_made(table: &mut Table, calls: impl Iterator<Item = (u32, usize)>) -> usize {
        let scale = Scale::new(Profile::defaults(Family::Redis, Version::new(7, 2)));
        let made = calls.map(|(n, bytes)| {
            let before = table.pages();
            let name = n.to_le_bytes();
            let digest = table.digest(&name);
            let record = record(&name, bytes);
            let weight = table.weigh(&Record::read(&record), &scale);
            match table.find(digest, &name) {
                Some(place) => table.replace(place, &record, &weight, &scale),
                None => table.insert(digest, &record, &weight, &scale),
            }
            table.pages() - before
        });
        made.max().unwrap_or(0)
    }

    #[test]
    fn no_change_waits_for_many_pages_where_records_became_larger() {
        let mut table = Table::new(0x5eed);
        most_made(&mut table, (0..9_600).map(|n| (n, 8)));
        let before = table.pages();
        // Four times what a page is to hold.
        let made = most_made(&mut table, (0..9_600).map(|n| (n, 2_000)));
        assert!(made <= 2, "{made} by one replacement");
        assert!(table.pages() > before * 3, "{}", table.pages());
        let made = most_made(&mut table, (9_600..9_700).map(|n| (n, 2_000)));
        assert!(made <= 2, "{made} by one insertion");
        assert!(table.bytes <= PAGE_BYTES_MAX * table.pages() as u64);
        for n in 0..9_700u32 {
            let name = n.to_le_bytes();
            assert!(table.find(table.digest(&name), &name).is_some(), "{n}");
        }
    }
}
