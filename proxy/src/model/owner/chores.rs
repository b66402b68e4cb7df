//! What can wait is done between two chunks: what the analyzer counts beyond its totals, and the
//! freeing of a generation that another took the place of.
//!
//! While the stream is silent a slice follows the other; while there is something to do, this has a
//! twentieth of the time, so a full sync is followed by the stream first and by the counts later.

use std::time::{Duration, Instant};

use super::Owner;
use crate::clock;

/// Longest slice between two chunks.
const SLICE: Duration = Duration::from_millis(1);

/// The same while there is something else to do.
const SLICE_BUSY: Duration = Duration::from_micros(300);

/// Keys between two looks at the clock.
const KEYS_AT_ONCE: usize = 250;

/// While there is something else to do, this has one part in so many of the time.
const BUSY_PART: u32 = 20;

impl Owner<'_> {
    /// Works for a slice of time, if there is anything to do and it is its turn.
    pub(super) fn chores(&mut self) {
        let now = clock::now();
        if self.chores_at(now).is_none_or(|at| at > now) {
            return;
        }
        let until = now + if self.is_busy() { SLICE_BUSY } else { SLICE };
        while !self.chore() && clock::now() < until {}
        self.timers.chores = now + clock::now().duration_since(now) * BUSY_PART;
    }

    /// A piece of everything; true if nothing is left.
    fn chore(&mut self) -> bool {
        let counts = self.counts();
        let keyspace = &mut self.mirror.keyspace;
        let freed = keyspace.tidy();
        let counted = !counts || keyspace.recount(KEYS_AT_ONCE);
        freed && counted
    }

    /// True if something is to be counted. What is answered while a full sync loads is about to go.
    fn counts(&self) -> bool {
        self.mirror.load.is_none() && self.mirror.keyspace.is_recount_due()
    }

    /// When the next slice is due; `None` if there is nothing to do.
    pub(super) fn chores_at(&self, now: Instant) -> Option<Instant> {
        if self.mirror.keyspace.is_tidy() && !self.counts() {
            return None;
        }
        Some(if self.is_busy() {
            self.timers.chores
        } else {
            now
        })
    }

    /// True if the stream or a question waits to be worked on.
    pub(super) fn is_busy(&self) -> bool {
        let queued = self.session.as_ref().map(|session| session.wire.queued());
        queued.is_some_and(|bytes| bytes > 0) || self.walks.pending()
    }
}
