//! Which keys must be read again, which reads are under way, and what may be taken from a reply
//! (`reference/replication.md` 6.5).
//!
//! A reply is stamped with the offset `at` which the server had reached when it looked. It may be
//! taken if the model has applied everything up to `at` and the key was not written after it:
//!
//! ```text
//! in flight --reply, at > applied-----------------> early: the caller holds it
//!     |------reply, last write > at---------------> stale: queued again
//!     |------reply, otherwise---------------------> taken
//!     |------connection lost----------------------> queued again
//! ```

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::text;
use crate::view::Cursor;

/// Most keys that wait in one queue; a key that does not fit is met again by the walk.
const QUEUE_MAX: usize = 16 * 1024;

/// Most keys that are put off: what is too busy now may be so for long, and is not to keep others out.
const RESTING_MAX: usize = QUEUE_MAX / 2;

/// Most name bytes that wait in one queue.
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How a doubt is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// By asking for the encoding and the expiry.
    Probe,
    /// By asking for every fact but the value, MEMORY USAGE among them.
    Size,
    /// By reading the value.
    Value,
}

/// A key to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Want {
    /// Logical database.
    pub db: u32,
    /// Name.
    pub name: Vec<u8>,
    /// What to ask for.
    pub need: Need,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is in the model.
    Taken,
    /// The key was written after the server looked: queued again.
    Stale,
    /// The model has not reached the reply's offset: nothing was changed, hold it.
    Early,
    /// The key's doubt, or the key, is gone: nothing to do.
    Moot,
}

/// A key in a queue.
#[derive(Debug)]
struct Waiting {
    db: u32,
    name: Box<[u8]>,
}

/// Keys waiting to be asked for.
///
/// ```text
/// raised --push--> queue --pop_in--> asked for
///                    |                  ^
///                    +--put_off--> resting, looked at once in a second
/// no room, or loaded ----> in no queue: the walk through the pages finds it
/// ```
#[derive(Debug)]
pub(crate) struct Lane {
    queue: VecDeque<Waiting>,
    /// Found too busy, with the second of that.
    resting: VecDeque<(u32, Waiting)>,
    bytes: usize,
    /// Name bytes of those that rest: they keep no others out.
    resting_bytes: usize,
    /// Where the walk for keys that are not queued goes on.
    pub(crate) walk: Cursor,
    /// Where bytes are in doubt everywhere, every other round takes those that room makes doubtful,
    /// and the next the others as well, which are off by less.
    pub(crate) walks_all: bool,
    /// Keys in doubt may be in no queue.
    unqueued: bool,
    /// The round under way left keys where they are.
    left_some: bool,
    /// The second in which a round found nothing to queue: the next one may.
    fruitless: Option<u32>,
    /// The round under way queued keys.
    queued_some: bool,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane {
            queue: VecDeque::new(),
            resting: VecDeque::new(),
            bytes: 0,
            resting_bytes: 0,
            walk: Cursor::default(),
            walks_all: false,
            // A load queues nothing.
            unqueued: true,
            left_some: true,
            fruitless: None,
            queued_some: false,
        }
    }
}

impl Lane {
    /// Queues a key; false if there is no room.
    pub(crate) fn push(&mut self, db: u32, name: &[u8]) -> bool {
        let takes = self.bytes + name.len() <= QUEUE_BYTES_MAX || self.queue.is_empty();
        let fits = takes && self.queue.len() < QUEUE_MAX;
        if fits {
            self.bytes += name.len();
            let name = name.into();
            self.queue.push_back(Waiting { db, name });
        } else {
            self.leave();
        }
        fits
    }

    /// Puts a key that was taken out in that second aside until the next one.
    pub(crate) fn put_off(&mut self, db: u32, name: Box<[u8]>, second: u32) {
        let takes = self.resting_bytes + name.len() <= QUEUE_BYTES_MAX || self.resting.is_empty();
        if takes && self.resting.len() < RESTING_MAX {
            self.resting_bytes += name.len();
            self.resting.push_back((second, Waiting { db, name }));
        } else {
            self.leave();
        }
    }

    /// A key in doubt stays in no queue.
    pub(crate) fn leave(&mut self) {
        self.unqueued = true;
        self.left_some = true;
    }

    pub(crate) fn pop(&mut self) -> Option<(u32, Box<[u8]>)> {
        let Waiting { db, name } = self.queue.pop_front()?;
        self.bytes -= name.len();
        Some((db, name))
    }

    /// The same, and behind those the keys that were put off, but for this very second.
    pub(crate) fn pop_in(&mut self, second: u32) -> Option<(u32, Box<[u8]>)> {
        if let Some(next) = self.pop() {
            return Some(next);
        }
        let (put_off, _) = self.resting.front()?;
        if *put_off == second {
            return None;
        }
        let (_, Waiting { db, name }) = self.resting.pop_front()?;
        self.resting_bytes -= name.len();
        Some((db, name))
    }

    /// True if the walk may find keys that rest: some are in no queue, and the last round was not in
    /// vain a moment ago.
    pub(crate) fn may_find(&self, second: u32) -> bool {
        self.unqueued && self.fruitless != Some(second)
    }

    /// True if nothing can be taken out before the next second.
    pub(crate) fn is_resting(&self, second: u32) -> bool {
        let rests = |(put_off, _): &(u32, Waiting)| *put_off == second;
        self.queue.is_empty() && self.resting.front().is_none_or(rests) && !self.may_find(second)
    }

    /// The walk went on: it queues some keys, left others where they are, or did not.
    pub(crate) fn walked(&mut self, met: &[(u32, Vec<u8>)], left_some: bool) {
        self.left_some |= left_some;
        self.queued_some |= !met.is_empty();
        for (db, name) in met {
            self.push(*db, name);
        }
    }

    /// A round of the walk through all pages is over.
    pub(crate) fn end_round(&mut self, second: u32) {
        if self.walks_all {
            self.unqueued = self.left_some;
            self.fruitless = (!self.queued_some).then_some(second);
        } else {
            self.left_some = false;
            self.queued_some = false;
        }
        self.walks_all = !self.walks_all;
    }
}

/// A read under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    /// Offset of the key's last write, or that of the asking.
    pub(crate) written: u64,
    /// The key was not in doubt.
    pub(crate) audit: bool,
}

/// A key as the reads under way know it: its database, and the digest of its name. Every write asks
/// whether its key is being read, so the question must not cost a copy of the name.
type Mark = (u32, u64);

/// Hashes a [`Mark`]: its digest is a keyed hash already, and a second one would cost every write
/// more than the question is worth.
#[derive(Debug, Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.0 ^= u64::from(n);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 ^= n;
    }
}

/// Reads to come and reads under way.
#[derive(Debug)]
pub(crate) struct Wants {
    seed: u64,
    pub(crate) probes: Lane,
    pub(crate) sizes: Lane,
    pub(crate) values: Lane,
    /// Keys without a doubt, to be compared with the server.
    pub(crate) audits: Lane,
    in_flight: HashMap<Mark, (Box<[u8]>, Flight), BuildHasherDefault<Prehashed>>,
    auditing: usize,
}

impl Wants {
    /// Nothing is wanted. `seed` keys the digests of names.
    pub(crate) fn new(seed: u64) -> Wants {
        Wants {
            seed,
            probes: Lane::default(),
            sizes: Lane::default(),
            values: Lane::default(),
            audits: Lane::default(),
            in_flight: HashMap::default(),
            auditing: 0,
        }
    }

    fn mark(&self, db: u32, name: &[u8]) -> Mark {
        (db, text::digest(name, self.seed))
    }

    pub(crate) fn lane(&mut self, need: Need) -> &mut Lane {
        match need {
            Need::Probe => &mut self.probes,
            Need::Size => &mut self.sizes,
            Need::Value => &mut self.values,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(crate) fn is_in_flight(&self, db: u32, name: &[u8]) -> bool {
        !self.in_flight.is_empty() && self.in_flight.contains_key(&self.mark(db, name))
    }

    /// A read of the key is under way; the model has applied everything up to `offset`.
    pub(crate) fn start(&mut self, db: u32, name: &[u8], flight: Flight) {
        self.auditing += usize::from(flight.audit);
        let mark = self.mark(db, name);
        self.in_flight.insert(mark, (name.into(), flight));
    }

    /// True if writes to keys without a doubt matter, too.
    pub(crate) fn is_auditing(&self) -> bool {
        self.auditing > 0
    }

    /// The read of the key is over, if there was one under way.
    pub(crate) fn end(&mut self, db: u32, name: &[u8]) -> Option<Flight> {
        let (_, flight) = self.in_flight.remove(&self.mark(db, name))?;
        self.auditing -= usize::from(flight.audit);
        Some(flight)
    }

    /// The key with that digest was written at `offset`.
    #[inline]
    pub(crate) fn touch(&mut self, db: u32, digest: u64, offset: u64) {
        if self.in_flight.is_empty() {
            return;
        }
        if let Some((_, flight)) = self.in_flight.get_mut(&(db, digest)) {
            flight.written = offset;
        }
    }

    /// Every key of the database was written at `offset`.
    pub(crate) fn touch_db(&mut self, db: u32, offset: u64) {
        let of_db = self.in_flight.iter_mut().filter(|(key, _)| key.0 == db);
        for (_, (_, flight)) in of_db {
            flight.written = offset;
        }
    }

    /// Forgets the reads under way and returns their keys, in order.
    pub(crate) fn give_up(&mut self) -> Vec<(u32, Box<[u8]>)> {
        self.auditing = 0;
        let reads = self.in_flight.drain();
        let mut keys: Vec<_> = reads.map(|((db, _), (name, _))| (db, name)).collect();
        keys.sort_unstable();
        keys
    }
}
