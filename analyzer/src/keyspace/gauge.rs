//! What large values allocate, found by looking at some of them at a time: keeping it by deltas
//! would cost every write more than the figure is worth.

use crate::keyspace::generation::Generation;

/// A count under way, and the last one that came to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauge {
    last: usize,
    sum: usize,
    db: u32,
    segment: usize,
}

impl Gauge {
    /// The figure of the last round.
    pub(crate) fn last(&self) -> usize {
        self.last
    }

    /// Begins the round again: the databases are others now, or stand elsewhere, and what was counted of
    /// those before is none of theirs.
    pub(crate) fn restart(&mut self) {
        (self.sum, self.db, self.segment) = (0, 0, 0);
    }

    /// Counts one more segment of large values; true if that ended a round.
    pub(crate) fn step(&mut self, live: &Generation) -> bool {
        let Some((number, db)) = live.from(self.db).next() else {
            self.last = self.sum;
            self.restart();
            return true;
        };
        if number != self.db {
            (self.db, self.segment) = (number, 0);
        }
        if let Some(entries) = db.table.large().segment(self.segment) {
            self.sum += entries.map(|entry| entry.value.heap_bytes()).sum::<usize>();
            self.segment += 1;
        } else {
            (self.db, self.segment) = (number.saturating_add(1), 0);
        }
        false
    }
}
