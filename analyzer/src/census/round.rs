//! The way of the recount through the databases.

use std::collections::BTreeMap;

use super::{Census, Count, Plan};
use crate::keyspace::db::Db;
use crate::store::weigh::Scale;

/// How often all databases are looked at for counts that want to be made anew, milliseconds.
const LOOK_EVERY_MS: i64 = 60_000;

/// How far the census of a keyspace has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Keys that are counted, about.
    pub counted: u64,
    /// Of so many.
    pub keys: u64,
    /// Every database has a count that answers can be given from.
    pub complete: bool,
}

impl Progress {
    /// Of one database.
    pub(crate) fn of(db: &Db) -> Progress {
        let keys = db.table.len();
        Progress {
            counted: db.census.progress(keys),
            keys,
            complete: db.census.count().is_some(),
        }
    }

    /// Of both together.
    #[must_use]
    pub(crate) fn and(self, other: Progress) -> Progress {
        Progress {
            counted: self.counted + other.counted,
            keys: self.keys + other.keys,
            complete: self.complete && other.complete,
        }
    }
}

/// Which database is counted next.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    plan: Plan,
    seed: u64,
    /// Those from this number on are still to be looked at; `None` if none is.
    at: Option<u32>,
    /// When they are looked at again.
    again_ms: i64,
    /// The time of the last look, for what is made between two.
    pub(crate) now_ms: i64,
}

impl Round {
    /// At the first database.
    pub(crate) fn new(plan: &Plan, (seed, now_ms): (u64, i64)) -> Round {
        Round {
            plan: plan.clone(),
            seed,
            at: Some(0),
            again_ms: now_ms,
            now_ms,
        }
    }

    /// The same from the beginning, of other databases.
    #[must_use]
    pub(crate) fn anew(&self) -> Round {
        Round::new(&self.plan, (self.seed, self.now_ms))
    }

    /// The census of a database without keys, complete.
    pub(crate) fn of_nothing(&self) -> Census {
        Census::of_nothing(&self.plan, (self.seed, self.now_ms))
    }

    /// Something is to be counted that was passed by, maybe.
    pub(crate) fn restart(&mut self) {
        self.at = Some(0);
    }

    /// True if there may be something to do at that time.
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        // The clock may have been put back.
        self.at.is_some()
            || now_ms >= self.again_ms
            || now_ms < self.again_ms.saturating_sub(2 * LOOK_EVERY_MS)
    }

    /// Counts about `budget` keys; true if nothing is left.
    pub(crate) fn step(
        &mut self,
        dbs: &mut BTreeMap<u32, Db>,
        scale: &Scale,
        (now_ms, budget): (i64, usize),
    ) -> bool {
        if !self.is_due(now_ms) {
            return true;
        }
        self.now_ms = now_ms;
        let mut from = self.at.unwrap_or(0);
        let mut met = 0;
        while met < budget {
            let Some((&number, db)) = dbs.range_mut(from..).next() else {
                self.at = None;
                self.again_ms = now_ms.saturating_add(LOOK_EVERY_MS);
                return true;
            };
            from = number;
            if db.census.is_due(now_ms) {
                let Db { census, table, .. } = db;
                let count = || Count::new(&self.plan, (self.seed, now_ms));
                met += census.step(table, scale, (count, budget - met));
            } else if let Some(next) = number.checked_add(1) {
                met += 1;
                from = next;
            } else {
                self.at = None;
                self.again_ms = now_ms.saturating_add(LOOK_EVERY_MS);
                return true;
            }
        }
        self.at = Some(from);
        false
    }
}
