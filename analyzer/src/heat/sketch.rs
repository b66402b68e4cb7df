//! Which of very many names are written most, in bounded memory: SpaceSaving in small buckets.
//!
//! A name's digest chooses a bucket of eight rows. A name without a row takes the place of the one
//! that matters least there, and since nobody knows how much it was written before, it begins with
//! the most that anything thrown out of this bucket can have had:
//!
//! ```text
//!   bucket   digest   writes (at most)   error        floor: the most that
//!            9f..     1207               0            anything without a row
//!            03..       41              38   <- new   can have had: 38
//! ```
//!
//! So of every row `writes - error <= truth <= writes`, for whatever came, and the same for bytes,
//! which share the rows. A bucket is a sketch of its own over its part of the names: a write costs one
//! look at one bucket, always. The table begins small and grows before anything is thrown out.

use super::{Rewrites, Work};

/// Rows of a bucket.
const WAYS: usize = 8;

/// Buckets that a table begins with.
const BUCKETS_MIN: usize = 4;

/// Longest part of a name that is kept.
pub(super) const NAME_MAX: usize = 128;

/// A single write of so many bytes is worth remembering its name at once.
const LARGE_WRITE: u64 = 1024;

/// Writes between two looks at what a mean write has.
const MEAN_EVERY: u64 = 1024;

/// A write to something that has a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write<'a> {
    /// Keyed digest of the name.
    pub(super) digest: u64,
    pub(super) db: u32,
    pub(super) name: &'a [u8],
    /// Bytes of the command.
    pub(super) bytes: u64,
}

/// What every write looks at.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// 0 is a row that is free; the first rows are filled first.
    digests: [u64; WAYS],
    /// At most so many writes.
    writes: [u64; WAYS],
    /// At most so many bytes.
    bytes: [u64; WAYS],
    /// Rows that are taken.
    used: u8,
    /// Whose names are kept, by bit.
    named: u8,
    /// The most that anything without a row can have had.
    floor: Work,
}

/// What few writes look at; of a row without a name it is what another one left.
#[derive(Clone, Debug, Default)]
struct Rest {
    db: u32,
    name: Vec<u8>,
    /// Bytes of the whole name.
    name_len: u64,
    error: Work,
    rewrites: Rewrites,
}

/// A row as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) digest: u64,
    pub(super) db: u32,
    pub(super) name: Box<[u8]>,
    pub(super) name_len: u64,
    /// At least so much.
    pub(super) work: Work,
    /// At most so much more.
    pub(super) error: Work,
    pub(super) rewrites: Rewrites,
}

impl Row {
    /// At most so much.
    pub(super) fn upper(&self) -> Work {
        self.work.plus(self.error)
    }
}

/// The rows of a sketch, and what is known of all that has none.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// The most that anything without a row can have had.
    pub(super) floor: Work,
}

/// The sketch.
#[derive(Debug)]
pub(super) struct Sketch {
    buckets: Vec<Bucket>,
    rest: Vec<Rest>,
    buckets_max: usize,
    /// Bytes allocated for names.
    name_bytes: usize,
    /// Of everything, exactly.
    total: Work,
    /// Bytes of a mean write, to weigh writes against bytes.
    mean: u64,
}

impl Sketch {
    /// An empty sketch that will have so many buckets at most, a power of two.
    pub(super) fn new(buckets_max: usize) -> Sketch {
        Sketch {
            buckets: Vec::new(),
            rest: Vec::new(),
            buckets_max,
            name_bytes: 0,
            total: Work::default(),
            mean: 1,
        }
    }

    /// Everything that came, exactly.
    pub(super) fn total(&self) -> Work {
        self.total
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits are an index of a bucket"
    )]
    fn index(&self, digest: u64) -> usize {
        digest as usize & (self.buckets.len().wrapping_sub(1))
    }

    /// Counts a write; returns its row.
    #[inline]
    pub(super) fn add(&mut self, write: &Write<'_>) -> usize {
        let digest = write.digest.max(1);
        self.total = self.total.plus(Work::one(write.bytes));
        let at = self.index(digest);
        if let Some(bucket) = self.buckets.get_mut(at)
            && let Some(way) = bucket.find(digest)
        {
            bucket.writes[way] = bucket.writes[way].saturating_add(1);
            bucket.bytes[way] = bucket.bytes[way].saturating_add(write.bytes);
            let row = at * WAYS + way;
            if bucket.named & (1 << way) == 0 {
                bucket.named |= 1 << way;
                let rest = &mut self.rest[row];
                // It came when the row was taken and it comes now; how many bytes came then was not
                // written down.
                rest.error = Work {
                    writes: bucket.writes[way].saturating_sub(2),
                    bytes: bucket.bytes[way].saturating_sub(write.bytes),
                };
                rest.rewrites = Rewrites::default();
                self.name_bytes += rest.take_name(write);
            }
            return row;
        }
        self.insert(write, digest)
    }

    /// A full overwrite of a large value in this row.
    pub(super) fn rewrite(&mut self, row: usize, rewrite: Rewrites) {
        if let Some(rest) = self.rest.get_mut(row) {
            rest.rewrites = rest.rewrites.plus(rewrite);
        }
    }

    fn insert(&mut self, write: &Write<'_>, digest: u64) -> usize {
        if self.total.writes.is_multiple_of(MEAN_EVERY) {
            self.mean = self.total.bytes / self.total.writes.max(1);
        }
        let mut at = self.index(digest);
        while self.buckets.get(at).is_none_or(Bucket::is_full)
            && self.buckets.len() < self.buckets_max
        {
            self.grow();
            at = self.index(digest);
        }
        let Some(bucket) = self.buckets.get_mut(at) else {
            return 0;
        };
        let is_free = !bucket.is_full();
        let way = match is_free {
            true => bucket.take(),
            false => bucket.least(self.mean),
        };
        if !is_free {
            let out = Work {
                writes: bucket.writes[way],
                bytes: bucket.bytes[way],
            };
            bucket.floor = bucket.floor.max(out);
        }
        let upper = bucket.floor.plus(Work::one(write.bytes));
        bucket.digests[way] = digest;
        bucket.writes[way] = upper.writes;
        bucket.bytes[way] = upper.bytes;
        let row = at * WAYS + way;
        // Where names come and go, most are met once: of theirs nothing is written down.
        if is_free || write.bytes >= LARGE_WRITE {
            bucket.named |= 1 << way;
            let rest = &mut self.rest[row];
            rest.error = bucket.floor;
            rest.rewrites = Rewrites::default();
            self.name_bytes += rest.take_name(write);
        } else {
            bucket.named &= !(1 << way);
        }
        row
    }

    /// Twice as many buckets; nothing was thrown out so far.
    #[cold]
    fn grow(&mut self) {
        let count = (self.buckets.len() * 2)
            .max(BUCKETS_MIN)
            .min(self.buckets_max);
        let old = std::mem::replace(&mut self.buckets, vec![Bucket::default(); count]);
        let old_rest = std::mem::take(&mut self.rest);
        self.rest.resize_with(count * WAYS, Rest::default);
        let mut moved = old_rest.into_iter();
        for bucket in old {
            for way in 0..WAYS {
                let rest = moved.next().unwrap_or_default();
                let digest = bucket.digests[way];
                let at = self.index(digest);
                let to = &mut self.buckets[at];
                // A bucket is split into two, so that there is room.
                if digest != 0 && !to.is_full() {
                    let free = to.take();
                    to.digests[free] = digest;
                    to.writes[free] = bucket.writes[way];
                    to.bytes[free] = bucket.bytes[way];
                    to.named |= (bucket.named >> way & 1) << free;
                    self.rest[at * WAYS + free] = rest;
                } else {
                    self.name_bytes -= rest.name.capacity();
                }
            }
        }
    }

    /// The rows, at most `keep` by writes and `keep` by bytes; the others only raise the floor.
    pub(super) fn rows(&self, keep: usize) -> Rows {
        let floors = self.buckets.iter().map(|bucket| bucket.floor);
        let mut floor = floors.fold(Work::default(), Work::max);
        let mut rows = Vec::new();
        for (at, bucket) in self.buckets.iter().enumerate() {
            for way in (0..WAYS).filter(|&way| bucket.digests[way] != 0) {
                let upper = Work {
                    writes: bucket.writes[way],
                    bytes: bucket.bytes[way],
                };
                if bucket.named & (1 << way) == 0 {
                    floor = floor.max(upper);
                } else {
                    rows.push((upper, at * WAYS + way, bucket.digests[way]));
                }
            }
        }
        let kept = cut(&mut rows, keep, |(upper, ..)| *upper, &mut floor);
        rows.truncate(kept);
        let rows = rows.into_iter();
        let row = |(upper, at, digest): (Work, usize, u64)| {
            let rest = &self.rest[at];
            Row {
                digest,
                db: rest.db,
                name: rest.name.as_slice().into(),
                name_len: rest.name_len,
                work: upper.minus(rest.error),
                error: rest.error,
                rewrites: rest.rewrites,
            }
        };
        Rows {
            rows: rows.map(row).collect(),
            floor,
        }
    }

    /// Begins anew, in the same memory.
    pub(super) fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
        self.total = Work::default();
    }

    /// Bytes allocated, about.
    pub(super) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
            + self.rest.capacity() * size_of::<Rest>()
            + self.name_bytes
    }
}

impl Bucket {
    /// Compares with all of them: which one it is, if any, cannot be foretold.
    #[inline]
    fn find(&self, digest: u64) -> Option<usize> {
        let mut hits = 0u32;
        for way in 0..WAYS {
            hits |= u32::from(self.digests[way] == digest) << way;
        }
        (hits != 0).then(|| hits.trailing_zeros() as usize)
    }

    fn is_full(&self) -> bool {
        usize::from(self.used) == WAYS
    }

    /// The next free row of a bucket that is not full.
    fn take(&mut self) -> usize {
        self.used += 1;
        usize::from(self.used) - 1
    }

    /// The row that matters least by writes and bytes together. Overflow only makes the choice worse.
    fn least(&self, mean: u64) -> usize {
        let (mut least, mut way) = (u64::MAX, 0);
        for other in 0..WAYS {
            let worth = self.writes[other].wrapping_mul(mean);
            let worth = worth.wrapping_add(self.bytes[other]);
            if worth < least {
                (least, way) = (worth, other);
            }
        }
        way
    }
}

impl Rest {
    /// Returns how many bytes more it takes now.
    fn take_name(&mut self, write: &Write<'_>) -> usize {
        let before = self.name.capacity();
        self.db = write.db;
        self.name_len = write.name.len() as u64;
        self.name.clear();
        let kept = write.name.len().min(NAME_MAX);
        self.name.extend_from_slice(&write.name[..kept]);
        self.name.capacity() - before
    }
}

/// Brings the `keep` largest by writes and the `keep` largest by bytes to the front, raises the
/// floor by the rest, and says how many are kept.
pub(super) fn cut<T>(
    rows: &mut [T],
    keep: usize,
    work: impl Fn(&T) -> Work,
    floor: &mut Work,
) -> usize {
    if rows.len() <= keep {
        return rows.len();
    }
    rows.select_nth_unstable_by_key(keep, |row| std::cmp::Reverse(work(row).writes));
    let rest = &mut rows[keep..];
    let more = keep.min(rest.len());
    if more < rest.len() {
        rest.select_nth_unstable_by_key(more, |row| std::cmp::Reverse(work(row).bytes));
    }
    *floor = rest[more..].iter().map(work).fold(*floor, Work::max);
    keep + more
}

/// One account of several spans of time: a row's errors are those where it had one, and the floors
/// where it had none.
pub(super) fn merge<'a>(parts: impl Iterator<Item = &'a Rows>, keep: usize) -> Rows {
    let mut floor = Work::default();
    // Each row beside the floors where it had a row. Its errors there may be larger than those: a row
    // that got its name late has the bytes that came before the name among its error.
    let mut all: Vec<(Row, Work)> = Vec::new();
    for part in parts {
        floor = floor.plus(part.floor);
        all.extend(part.rows.iter().map(|row| (row.clone(), part.floor)));
    }
    all.sort_unstable_by_key(|(row, _)| row.digest);
    let mut rows: Vec<(Row, Work)> = Vec::with_capacity(all.len());
    for (row, covered) in all {
        match rows.last_mut() {
            Some((same, sum)) if same.digest == row.digest => {
                same.work = same.work.plus(row.work);
                same.error = same.error.plus(row.error);
                same.rewrites = same.rewrites.plus(row.rewrites);
                *sum = sum.plus(covered);
            }
            _ => rows.push((row, covered)),
        }
    }
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|(row, covered)| Row {
            error: row.error.plus(floor.minus(covered)),
            ..row
        })
        .collect();
    let kept = cut(&mut rows, keep, Row::upper, &mut floor);
    rows.truncate(kept);
    Rows { rows, floor }
}
