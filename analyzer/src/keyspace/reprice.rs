//! Weighing every key of a database anew, because another server is followed, or the server turned
//! out to be another one than was thought.
//!
//! Values keep sums of what their parts weigh, so that a change of one part costs no walk over the
//! others. Those sums are by the rules of the server before: a part that leaves later would take more
//! out of them than it ever gave. So they are made anew, and what that server said of blocks beside
//! its facts (`Entry::extra`) is forgotten.

use crate::aggregate::Totals;
use crate::command::{Doubt, Entry};
use crate::keyspace::SlotOf;
use crate::keyspace::db::{Db, Scratch, hollow};
use crate::profile::Profile;
use crate::store::record::{Body, Draft, Record};
use crate::store::weigh::Scale;
use crate::store::{Place, packing};
use crate::value::Value;

/// From which server to which one.
#[derive(Clone, Copy, Debug)]
pub(in crate::keyspace) struct Change<'a> {
    /// `None` if keys came from both.
    pub(in crate::keyspace) from: Option<&'a Profile>,
    pub(in crate::keyspace) scale: &'a Scale,
}

impl Db {
    /// Weighs everything anew.
    pub(in crate::keyspace) fn reprice(&mut self, change: Change<'_>, slot_of: Option<SlotOf>) {
        self.totals = Totals::new(slot_of);
        self.census.begin_again();
        let mut scratch = Scratch::default();
        for page in 0..self.table.pages() {
            for slot in 0..self.table.page(page).len() {
                let place = Place { page, slot };
                self.resum(place, change, &mut scratch);
                let record = self.table.record(place);
                let weight = self.table.weigh(&record, change.scale);
                let name = self.table.name(&record);
                self.totals.turn(name, None, Some(&weight));
            }
            self.table.rebound(page, change.scale);
        }
    }

    /// Makes the sums of one value anew.
    fn resum(&mut self, place: Place, change: Change<'_>, scratch: &mut Scratch) {
        let Some((mut entry, handle)) = self.take_out(place) else {
            return;
        };
        let profile = change.scale.profile();
        entry.value.reweigh(change.from, profile);
        entry.extra = 0;
        if let (Value::List(list), Some(from)) = (&entry.value, change.from)
            && list.is_cut_otherwise(from, profile)
        {
            entry.doubt(Doubt::Value);
        }
        let (doubt, expire_ms) = (entry.doubt, entry.expire_ms);
        let (count, memory) = (entry.value.count(), entry.value.memory(profile));
        let Scratch {
            record: out,
            packed,
        } = scratch;
        out.clear();
        packed.clear();
        let body = match (&entry.value, handle) {
            (Value::String(value), _) => Body::Str(*value),
            (value, None) if packing::pack(value, packed) => Body::Packed {
                count,
                memory,
                packed,
            },
            (_, handle) => Body::Elsewhere(self.place_large(handle, entry)),
        };
        let record = self.table.record(place);
        Draft {
            form: record.form,
            doubt,
            lru: record.lru,
            expire_ms,
            seat: record.seat,
            extra: 0,
            name: record.name,
            body,
        }
        .write(out);
        let weight = self.table.weigh(&Record::read(out), change.scale);
        self.table.overwrite(place, out, &weight);
    }

    /// The entry at `place`, and where it is to be put back if it is large; `None` if nothing of it
    /// depends on the server.
    fn take_out(&mut self, place: Place) -> Option<(Entry, Option<u32>)> {
        let record = self.table.record(place);
        if let Body::Elsewhere(handle) = record.body() {
            let slot = self.table.large_mut().get_mut(handle)?;
            return Some((std::mem::replace(slot, hollow()), Some(handle)));
        }
        if matches!(record.body(), Body::Str(_)) && record.extra == 0 {
            return None;
        }
        let entry = Entry {
            doubt: record.doubt,
            expire_ms: record.expire_ms,
            extra: record.extra,
            value: packing::value_of(&record)?,
        };
        Some((entry, None))
    }
}
