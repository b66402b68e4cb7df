//! Giving detail up, and taking it back, when the look-out over the process's memory says so.
//!
//! ```text
//! less:  the old generation, while a new one loads
//!        the elements of collections above 1 MiB, 64 KiB, 4 KiB, 512 bytes, all
//!        half of the keys, and again
//! more:  elements, by re-reads; folded keys, by a full sync, at most one in ten minutes
//! ```
//!
//! Each "less" is one step, which frees what it can between the chunks that follow; the next comes
//! only if that was not enough. "More" is taken only if by all that is known the result fits well
//! below the mark, so that it is not given up again.

use std::time::{Duration, Instant};

use analyzer::keyspace::Detail;
use replica_shim::Verdict;

use super::Owner;
use crate::clock;
use crate::fault::Fault;
use crate::fleet::Loss;
use crate::link::full::RESYNC_EVERY;
use crate::memory::Order;

/// Bytes that the elements of one collection may take, step by step.
const LEVELS: [usize; 5] = [1 << 20, 64 << 10, 4 << 10, 512, 0];

/// Elements are worth giving up while they take one part in so many of the model.
const WORTH_PART: u64 = 8;

/// Bytes of an element in the model, on average over types.
const ELEMENT_BYTES: u64 = 12;

/// Longest slice of freeing between two chunks.
const SLICE: Duration = Duration::from_millis(3);

/// Keys between two looks at the clock.
const SWEPT_AT_ONCE: usize = 2_000;

/// How long a load is given to do what it was told: it does so elsewhere.
const LOAD_PATIENCE: Duration = Duration::from_millis(100);

/// What an owner remembers of it.
#[derive(Debug, Default)]
pub(super) struct Relief {
    /// How many levels of `LEVELS` were taken.
    level: usize,
    /// Since when something is being freed.
    since: Option<Instant>,
    /// Bytes of a generation that is dropped and not yet freed.
    dropped: u64,
}

impl Owner<'_> {
    /// What memory asks for between two chunks, for a few milliseconds at most.
    pub(super) fn relieve(&mut self, now: Instant) {
        let memory = &self.given.shared.fleet.memory;
        if memory.cap().is_some() {
            if self.mirror.load.is_some() {
                let room = memory.room_without(self.relief.dropped);
                self.mirror.keyspace.set_room(room);
            }
            match self.claim.take() {
                Some(Order::Less) => self.give_up(now),
                Some(Order::More) => self.take_back(now),
                None => {}
            }
        }
        if self.is_relieving() {
            self.free(now);
        }
    }

    /// A full sync begins: two generations must fit, or the old one goes.
    pub(super) fn make_room_for_load(&mut self) {
        let memory = self.given.shared.fleet.memory.clone();
        if memory.cap().is_none() {
            return;
        }
        let model = self.mirror.keyspace.heap_bytes() as u64;
        if self.mirror.keyspace.keys() > 0 && memory.room() < model {
            self.forget(model);
        }
        let room = memory.room_without(self.relief.dropped);
        self.mirror.keyspace.set_room(room);
    }

    /// True if there is something to be freed before anything else. Without a cap a former generation
    /// can wait for its turn.
    pub(super) fn is_relieving(&self) -> bool {
        let keyspace = &self.mirror.keyspace;
        let is_capped = self.given.shared.fleet.memory.cap().is_some();
        self.relief.since.is_some() || keyspace.is_sweeping() || (is_capped && !keyspace.is_tidy())
    }

    fn forget(&mut self, bytes: u64) {
        tracing::warn!(master = %self.given.master, bytes, "the former generation is dropped for want of memory");
        self.relief.dropped = bytes;
        self.relief.since.get_or_insert(clock::now());
        self.mirror.forget();
    }

    fn give_up(&mut self, now: Instant) {
        self.relief.since = Some(now);
        self.timers.dirty = true;
        let keyspace = &mut self.mirror.keyspace;
        if self.mirror.load.is_some() && keyspace.keys() > 0 {
            let bytes = keyspace.heap_bytes() as u64;
            return self.forget(bytes);
        }
        let model = keyspace.model_bytes();
        let worth = keyspace.collection_bytes() > model / WORTH_PART;
        let largest = keyspace.largest_collection().unwrap_or(usize::MAX);
        let levels = LEVELS.iter().enumerate().skip(self.relief.level);
        let level = levels
            .filter(|_| worth)
            .find(|(_, bytes)| **bytes < largest);
        if let Some((level, bytes)) = level {
            self.relief.level = level + 1;
            keyspace.limit_elements(Some(*bytes));
            tracing::warn!(master = %self.given.master, above = *bytes, "collections lose their elements for want of memory");
            return;
        }
        if keyspace.fold() {
            tracing::warn!(master = %self.given.master, "half of the keys are folded into sums for want of memory");
        }
    }

    /// Frees for a slice of time what was given up.
    fn free(&mut self, now: Instant) {
        let until = clock::now() + SLICE;
        let keyspace = &mut self.mirror.keyspace;
        let mut left = true;
        // What came before may have taken its time: a step is taken all the same.
        while left {
            keyspace.gauge();
            let tidied = keyspace.tidy();
            let swept = keyspace.sweep(SWEPT_AT_ONCE);
            left = !(tidied && swept);
            if clock::now() >= until {
                break;
            }
        }
        if left {
            return;
        }
        self.relief.dropped = 0;
        let due = self.relief.since.map(|since| since + LOAD_PATIENCE);
        if self.mirror.load.is_none() || due.is_none_or(|due| due <= now) {
            self.relief.since = None;
            self.claim.done();
            self.timers.dirty = true;
        }
    }

    /// What could come back now.
    pub(super) fn returnable(&self, now: Instant) -> Option<Back> {
        let memory = &self.given.shared.fleet.memory;
        let keyspace = &self.mirror.keyspace;
        let detail = keyspace.detail();
        if memory.cap().is_none() || !detail.is_degraded() {
            return None;
        }
        let held = Held {
            model: keyspace.heap_bytes() as u64,
            elements: keyspace.elements(),
        };
        let is_due = self.waits.resync_not_before <= now && self.is_live();
        may_come_back(&detail, &held, memory.room(), is_due)
    }

    fn take_back(&mut self, now: Instant) {
        self.claim.done();
        let Some(back) = self.returnable(now) else {
            return;
        };
        self.claim.accept();
        match back {
            Back::Keys => {
                self.waits.resync_not_before = now + RESYNC_EVERY;
                let text = "there is room for all keys again: they are loaded anew";
                self.lose(Fault::own(Loss::Memory, Verdict::FullResync, text));
            }
            Back::Elements => {
                tracing::info!(master = %self.given.master, "there is room for elements again: collections are read");
                self.relief.level = 0;
                self.mirror.keyspace.limit_elements(None);
            }
        }
    }
}

/// What can come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// All keys, by a full sync.
    Keys,
    /// Elements of collections, by re-reads.
    Elements,
}

/// What there is of a model.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Bytes.
    model: u64,
    /// Elements of all collections, with records or without.
    elements: u64,
}

/// What comes back into so much room; `is_due` if a full sync could be now.
fn may_come_back(detail: &Detail, held: &Held, room: u64, is_due: bool) -> Option<Back> {
    if detail.one_in > 1 {
        let needed = held.model.saturating_mul(detail.one_in - 1);
        return (is_due && needed < room / 2).then_some(Back::Keys);
    }
    // Without a limit, what has no elements is being read, or larger than what is read.
    detail.elements_max?;
    let needed = held.elements.saturating_mul(ELEMENT_BYTES);
    (needed < room / 4 * 3).then_some(Back::Elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_come_back_now_does() {
        let full = Detail::default();
        let folded = Detail {
            one_in: 4,
            folded: 300,
            ..full
        };
        let counts = Detail {
            bare: 5,
            elements_max: Some(4096),
            ..full
        };
        // Its elements are wanted: it is being read, or larger than what is read.
        let too_large = Detail { bare: 1, ..full };
        let held = |elements| Held {
            model: 1000,
            elements,
        };
        let may = |detail, held, room, is_due| may_come_back(&detail, &held, room, is_due);
        assert_eq!(may(full, held(0), 1 << 30, true), None);
        assert_eq!(may(too_large, held(0), 1 << 30, true), None);
        assert_eq!(may(folded, held(0), 10_000, true), Some(Back::Keys));
        assert_eq!(may(folded, held(0), 10_000, false), None);
        assert_eq!(may(folded, held(0), 6000, true), None);
        assert_eq!(may(counts, held(100), 2000, false), Some(Back::Elements));
        assert_eq!(may(counts, held(100), 1600, false), None);
    }
}
