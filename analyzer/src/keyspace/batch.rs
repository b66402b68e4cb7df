//! Loaded keys on their way to their pages.
//!
//! A keyspace is far larger than the caches, and a file brings its keys in no order that the pages
//! know. So finished records are first sorted roughly: a [`Batch`] gathers those of one part of the
//! pages, and is filled in page by page when it is full. Each page is then visited for several keys
//! at once, and the waits for memory of neighbours overlap.
//!
//! ```text
//! digest   ... | level | level-1 .. level-8 | level-9 .. 0 |
//!               second    which batch          which bin        -> bin = (low bits, second)
//! ```
//!
//! `level` is that of a table with so many keys: a page has the same low bits as its keys' digests.
//! It need not be the real table's; where it is not, fewer keys of a batch meet in a page.

use crate::aggregate::Totals;
use crate::command::Entry;
use crate::keyspace::degrade::Ease;
use crate::store::bounds::Bounds;
use crate::store::record::Draft;
use crate::store::weigh::{Scale, Weight};

/// Batches that gather keys at the same time, as a power of two. With what a batch holds at most,
/// less than 15 MiB wait to be filled in, which takes some 20 ms at the end of a load.
pub(crate) const BATCHES_LEVEL: u32 = 8;

/// Bytes that a batch takes when it is nearly full, with its index.
pub(crate) const BATCH_BYTES: u64 = 64 * 1024;

/// Bins of a batch, as a power of two: more of them than keys do not help.
const BINS_LEVEL: u32 = 11;

/// Bytes of records at which a batch is full.
const BYTES_FULL: usize = 24 * 1024;

/// Keys at which a batch is full.
const KEYS_FULL: usize = 960;

/// Room for the record that fills a batch: name, packed value and the rest.
const RECORD_MAX: usize = 2048;

/// Which keys meet in a batch, and in which order they are filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread {
    level: u32,
    /// Batches, as a power of two.
    batches: u32,
}

impl Spread {
    /// For a table of so many pages.
    pub(crate) fn of_pages(pages: u64, batches_level: u32) -> Spread {
        let level = pages.max(1).ilog2();
        Spread {
            level,
            batches: level.min(batches_level),
        }
    }

    /// Pages of the smallest table that is spread like this.
    pub(crate) fn pages(self) -> u64 {
        1 << self.level
    }

    /// How many batches there are.
    pub(crate) fn batches(self) -> usize {
        1 << self.batches
    }

    /// The batch of a digest.
    #[inline]
    pub(crate) fn batch_of(self, digest: u64) -> usize {
        low_bits(digest >> (self.level - self.batches), self.batches)
    }

    fn bin_bits(self) -> u32 {
        (self.level - self.batches).min(BINS_LEVEL - 1)
    }

    /// How many bins a batch has.
    fn bins(self) -> usize {
        2 << self.bin_bits()
    }

    /// The bin of a digest within its batch.
    #[inline]
    fn bin_of(self, digest: u64) -> usize {
        low_bits(digest, self.bin_bits()) << 1 | low_bits(digest >> self.level, 1)
    }
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a few bits, used as an index"
)]
fn low_bits(digest: u64, bits: u32) -> usize {
    (digest & ((1 << bits) - 1)) as usize
}

/// A finished key: where its record is and what its page must know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    pub(crate) digest: u64,
    start: u32,
    len: u16,
    /// 0, or one more than the index of its `Apart`.
    apart: u16,
    bytes: u32,
    count: u32,
}

/// What a key has that its record cannot hold.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    /// A name too long for a record.
    pub(crate) name: Option<Box<[u8]>>,
    /// A value too large for a record.
    pub(crate) entry: Option<Box<Entry>>,
    /// Those of the key, which may be beyond the limits of `Staged`.
    pub(crate) bounds: Bounds,
}

/// Keys of one part of a database.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) db: u32,
    pub(crate) spread: Spread,
    /// Keys that the database announced, if that was not said yet.
    pub(crate) expected: u64,
    /// What the keys staged since the batch before add to the totals.
    pub(crate) totals: Totals,
    /// The formulas, if they are other ones than those of the batch before.
    pub(crate) scale: Option<Box<Scale>>,
    /// What the keys sum up to that were folded since the batch before.
    pub(crate) folded: Option<Box<Totals>>,
    /// How much is to be kept, if it is another thing than for the batch before.
    pub(crate) ease: Option<Ease>,
    keys: Vec<Staged>,
    records: Vec<u8>,
    apart: Vec<Apart>,
}

impl Batch {
    /// Writes a key's record behind the others.
    #[inline]
    pub(crate) fn push(
        &mut self,
        digest: u64,
        draft: &Draft<'_>,
        weight: &Weight,
        apart: Option<Apart>,
    ) {
        if self.keys.capacity() == 0 {
            self.keys.reserve_exact(KEYS_FULL);
            self.records.reserve_exact(BYTES_FULL + RECORD_MAX);
        }
        let start = self.records.len();
        draft.write(&mut self.records);
        let mut staged = Staged {
            digest,
            // A batch is closed before either limit is near: see `is_full` and `RECORD_MAX`.
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u16::try_from(self.records.len() - start).unwrap_or(u16::MAX),
            apart: 0,
            bytes: u32::try_from(weight.bytes).unwrap_or(u32::MAX),
            count: u32::try_from(weight.count).unwrap_or(u32::MAX),
        };
        let wide = weight.bytes.max(weight.count) > u64::from(u32::MAX);
        if apart.is_some() || wide {
            self.apart.push(Apart {
                bounds: Bounds::of(weight),
                ..apart.unwrap_or_default()
            });
            staged.apart = u16::try_from(self.apart.len()).unwrap_or(u16::MAX);
        }
        self.keys.push(staged);
    }

    /// True if it is to be filled in.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= BYTES_FULL || self.keys.len() >= KEYS_FULL
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Brings the records into the caches: it is long ago that the first of them was written, and
    /// memory is quickest in order.
    fn touch_records(&self) -> u8 {
        self.records
            .iter()
            .step_by(64)
            .fold(0, |sum, byte| sum ^ byte)
    }

    /// The keys in page order; keys of one bin stay in the order they came in.
    pub(crate) fn sort_into(&self, out: &mut Sorted) {
        std::hint::black_box(self.touch_records());
        out.ends.clear();
        out.ends.resize(self.spread.bins(), 0);
        for key in &self.keys {
            out.ends[self.spread.bin_of(key.digest)] += 1;
        }
        let mut sum = 0;
        for end in &mut out.ends {
            let count = *end;
            *end = sum;
            sum += count;
        }
        out.keys.clear();
        out.keys.resize(self.keys.len(), 0);
        for (index, key) in (0u16..).zip(&self.keys) {
            let at = &mut out.ends[self.spread.bin_of(key.digest)];
            out.keys[usize::from(*at)] = index;
            *at += 1;
        }
    }

    /// The key at an index of [`Sorted`].
    #[inline]
    pub(crate) fn key(&self, index: u16) -> Staged {
        self.keys[usize::from(index)]
    }

    /// The record of a key.
    #[inline]
    pub(crate) fn record(&self, key: &Staged) -> &[u8] {
        let start = key.start as usize;
        &self.records[start..start + usize::from(key.len)]
    }

    /// The record of a key, to be completed.
    pub(crate) fn record_mut(&mut self, key: &Staged) -> &mut [u8] {
        let start = key.start as usize;
        &mut self.records[start..start + usize::from(key.len)]
    }

    /// What a key has apart, once.
    pub(crate) fn take_apart(&mut self, key: &Staged) -> Option<Apart> {
        let index = usize::from(key.apart).checked_sub(1)?;
        self.apart.get_mut(index).map(std::mem::take)
    }

    /// Ready for other keys.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.records.clear();
        self.apart.clear();
    }
}

impl Staged {
    /// Bytes of the record.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Those of the key, unless its [`Apart`] knows better.
    #[inline]
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            bytes: u64::from(self.bytes),
            count: u64::from(self.count),
        }
    }
}

/// An order of a batch's keys; the memory is used again.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Indices of keys; a batch has fewer than 65,536.
    pub(crate) keys: Vec<u16>,
    ends: Vec<u16>,
}
