//! All databases of one generation: the live one, or the one that a full sync is building.

use std::collections::BTreeMap;

use crate::census::{Plan, Portion, Round};
use crate::flows::{Flow, PatternOf};
use crate::keyspace::SlotOf;
use crate::keyspace::db::Db;
use crate::keyspace::degrade::Share;
use crate::keyspace::reprice::Change;
use crate::store::weigh::Scale;

/// Databases by number.
#[derive(Debug)]
pub(crate) struct Generation {
    seed: u64,
    /// Set where keys are counted by hash slot.
    slot_of: Option<SlotOf>,
    dbs: BTreeMap<u32, Db>,
    /// Which keys have records.
    share: Share,
    /// Set where keys are counted beyond their totals.
    round: Option<Round>,
}

impl Generation {
    pub(crate) fn new(seed: u64, slot_of: Option<SlotOf>) -> Generation {
        Generation {
            seed,
            slot_of,
            dbs: BTreeMap::new(),
            share: Share::ALL,
            round: None,
        }
    }

    /// Counts about `budget` keys beyond their totals, from now on; true if nothing is left.
    pub(crate) fn recount(
        &mut self,
        scale: &Scale,
        plan: &Plan,
        (now_ms, budget): (i64, usize),
    ) -> bool {
        if self.round.is_none() {
            self.begin_round(Round::new(plan, (self.seed, now_ms)));
        }
        let round = self.round.as_mut();
        round.is_none_or(|round| round.step(&mut self.dbs, scale, (now_ms, budget)))
    }

    /// True if `recount` may have something to do.
    pub(crate) fn is_recount_due(&self, now_ms: i64) -> bool {
        let round = self.round.as_ref();
        round.is_none_or(|round| round.is_due(now_ms))
    }

    /// What happened to the keys of each pattern of each database since that was asked last.
    pub(crate) fn take_flows(&mut self) -> Vec<(PatternOf, Flow)> {
        let of = |(number, db): (&u32, &mut Db)| {
            let number = *number;
            let flows = db.census.take_flows().into_iter();
            flows.map(move |(glob, flow)| ((number, glob.into()), flow))
        };
        self.dbs.iter_mut().flat_map(of).collect()
    }

    /// All keys, with a record or without.
    pub(crate) fn total(&self) -> Portion {
        let totals = self.dbs.values().map(|db| db.total(self.share));
        totals.fold(Portion::default(), Portion::and_told)
    }

    /// True if keys are counted by their totals alone.
    pub(crate) fn is_uncounted(&self) -> bool {
        self.round.is_none()
    }

    /// All keys were loaded: they are counted if those of the generation before were.
    pub(crate) fn take_round(&mut self, before: &Generation) {
        if let Some(round) = &before.round {
            self.begin_round(round.anew());
        }
    }

    fn begin_round(&mut self, round: Round) {
        self.round = Some(round);
        for db in self.dbs.values_mut() {
            db.census.begin();
        }
    }

    /// Which keys have records.
    pub(crate) fn share(&self) -> Share {
        self.share
    }

    /// Only these keys have records from now on; a sweep removes the others.
    pub(crate) fn set_share(&mut self, share: Share) {
        self.share = share;
    }

    /// Carries the sums of folded keys along to now, before the share changes.
    pub(crate) fn settle_folded(&mut self) {
        let m = self.share.one_in();
        for db in self.dbs.values_mut() {
            db.folded.get_or_insert_default().settle(&db.totals, m);
        }
    }

    /// All keys were loaded: what is folded is counted from here on.
    pub(crate) fn begin_folded(&mut self) {
        if !self.share.is_partial() {
            return;
        }
        for db in self.dbs.values_mut() {
            db.folded.get_or_insert_default().begin(&db.totals);
        }
    }

    /// There are no other keys than those with records: every key has one from now on.
    pub(crate) fn unfold(&mut self) {
        self.share = Share::ALL;
        for db in self.dbs.values_mut() {
            db.folded = None;
        }
    }

    /// Unfolds if there is no key at all, kept or folded.
    pub(crate) fn unfold_if_empty(&mut self) {
        let empty = |db: &Db| db.totals.keys == 0 && db.folded.is_none();
        if self.share.is_partial() && self.dbs.values().all(empty) {
            self.unfold();
        }
    }

    /// The slot function, where keys are counted by hash slot.
    pub(crate) fn slot_of(&self) -> Option<SlotOf> {
        self.slot_of
    }

    /// True if keys are counted by hash slot.
    pub(crate) fn counts_slots(&self) -> bool {
        self.slot_of.is_some()
    }

    /// The database, if it was ever used.
    pub(crate) fn db(&self, number: u32) -> Option<&Db> {
        self.dbs.get(&number)
    }

    /// The database, made if need be.
    pub(crate) fn db_mut(&mut self, number: u32) -> &mut Db {
        let (seed, slot_of, round) = (self.seed, self.slot_of, &self.round);
        self.dbs.entry(number).or_insert_with(|| {
            let mut db = Db::new(seed, slot_of);
            if let Some(round) = round {
                db.census = round.of_nothing();
            }
            db
        })
    }

    /// Weighs everything anew, and counts by hash slot from now on, or no longer.
    pub(in crate::keyspace) fn reprice(&mut self, change: Change<'_>, slot_of: Option<SlotOf>) {
        self.slot_of = slot_of;
        if let Some(round) = &mut self.round {
            round.restart();
        }
        if self.share.is_partial() {
            self.settle_folded();
        }
        for db in self.dbs.values_mut() {
            db.reprice(change, slot_of);
        }
        self.begin_folded();
    }

    /// The databases from a number on, in order.
    pub(crate) fn from(&self, number: u32) -> impl Iterator<Item = (u32, &Db)> {
        self.dbs.range(number..).map(|(&number, db)| (number, db))
    }

    /// All databases, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Db)> {
        self.from(0)
    }

    /// Takes one database out.
    pub(crate) fn take(&mut self, number: u32) -> Option<Db> {
        self.dbs.remove(&number)
    }

    /// Takes every database out.
    pub(crate) fn take_all(&mut self) -> Vec<Db> {
        std::mem::take(&mut self.dbs).into_values().collect()
    }

    /// Exchanges two databases.
    pub(crate) fn swap(&mut self, a: u32, b: u32) {
        if a == b {
            return;
        }
        if let Some(round) = &mut self.round {
            // A database may go behind the round that it is waiting for.
            round.restart();
        }
        let (first, second) = (self.dbs.remove(&a), self.dbs.remove(&b));
        if let Some(db) = first {
            self.dbs.insert(b, db);
        }
        if let Some(db) = second {
            self.dbs.insert(a, db);
        }
    }

    /// Keys in all databases.
    pub(crate) fn keys(&self) -> u64 {
        self.dbs.values().map(|db| db.table.len()).sum()
    }
}
