//! Commands on whole databases, and on whole slots.

use crate::census::Portion;
use crate::flows::Cause;
use crate::keyspace::Keyspace;
use crate::keyspace::degrade::Sweep;
use crate::slots::SlotSet;

impl Keyspace {
    /// Empties a database.
    pub(crate) fn flush(&mut self, db: u32) {
        // What happened until now was of the share as it was, and what is known of it by pattern goes
        // with the database.
        if self.live.db(db).is_some() || self.live.share().is_partial() {
            self.close_flows();
        }
        self.empty(db);
    }

    /// Empties a database whose flows are closed.
    fn empty(&mut self, db: u32) {
        self.wants.touch_db(db, self.offset);
        self.journal.begin(self.offset);
        if let Some(db) = self.live.take(db) {
            self.writes += 1;
            let lost = db.total(self.live.share());
            self.flows.cause(Cause::Flushed, lost, Portion::default());
            self.retired.push_back(db);
        }
        self.live.unfold_if_empty();
    }

    /// Empties every database.
    pub(crate) fn flush_all(&mut self) {
        let numbers: Vec<u32> = self.live.all().map(|(number, _)| number).collect();
        self.close_flows();
        for number in numbers {
            self.empty(number);
        }
    }

    /// Exchanges two databases.
    pub(crate) fn swap(&mut self, a: u32, b: u32) {
        self.wants.touch_db(a, self.offset);
        self.wants.touch_db(b, self.offset);
        self.journal.begin(self.offset);
        // What happened until now was of the databases as they were.
        self.close_flows();
        self.live.swap(a, b);
        // Those that wait do so under the other number.
        self.wants.sizes.leave();
        self.gauge.restart();
        self.suspect_again();
        self.sweep = self.sweep.take().map(|_| Sweep::default());
        self.heat.swap(a, b);
        self.flows.history.swap(a, b);
        self.swaps += 1;
        self.writes += 1;
    }

    /// Removes every key of some hash slots from every database, in one go. False without a slot
    /// function.
    pub(crate) fn flush_slots(&mut self, slots: &SlotSet) -> bool {
        let Some(slot_of) = self.slot_of else {
            return false;
        };
        let mut doomed = Vec::new();
        for (number, db) in self.live.all() {
            let counted = db.totals.slots();
            if counted.is_some_and(|sums| slots.iter().all(|slot| sums.get(slot).keys == 0)) {
                continue;
            }
            let pages = 0..db.table.pages();
            let records = pages.flat_map(|page| db.table.records(page));
            let names = records.map(|record| db.table.name(&record));
            let here = names.filter(|name| slots.has(slot_of(name)));
            doomed.extend(here.map(|name| (number, name.to_vec())));
        }
        for (number, name) in doomed {
            self.remove(number, &name);
        }
        true
    }
}
