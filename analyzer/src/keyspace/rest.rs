//! Keys whose bytes a write may have changed in a way that nobody can compute.
//!
//! The C library's malloc gives a block 16 bytes more now and then, by what was freed before
//! anywhere in the process (`size`): there a key of any type may weigh something else after every
//! write to it. Each write leaves the doubt behind that a snapshot leaves, and the same probes settle
//! it; what no fact of the key explains is kept beside it (`Entry::extra`). A probe costs the server
//! a walk over the elements, so a key is asked for when it has come to rest, and not again before the
//! next write. A list whose nodes are compressed is such a key anywhere: how well they can be is in
//! the values. So is a set or a hash whose old table may be gone by now or not
//! ([`Table::is_guess`](crate::value::elements::Table)), which is chance.
//!
//! ```text
//! exact --write--> in doubt --two seconds and more without a write--> asked for --answer--> exact
//!                     ^  |                                               |
//!                     +--+ write                  in doubt <--write------+
//! ```
//!
//! How long is a rest follows from the counter of writes: what was written often will be written
//! again, and an answer that the next write makes void is worth nothing.

use crate::command::{Doubt, Entry};
use crate::keyspace::Keyspace;
use crate::keyspace::db::{COUNTER_INIT, NewStr, OldStr, SECONDS_MASK};
use crate::keyspace::settle::need_of;
use crate::keyspace::wants::Need;
use crate::store::record::{Body, Record};
use crate::store::weigh::Scale;
use crate::store::{Table, packing};

/// Seconds without a write that are a rest for a key that was hardly ever written.
const REST_S: u64 = 2;

/// Seconds more, at most, for one that was: one for each step of its counter, which is there after
/// some 4000 writes.
const REST_MORE_MAX_S: u8 = 28;

/// The clock of a command may be behind that of the key's last write: an idle time that is this
/// close to the whole clock is less than nothing.
const BEHIND_MAX_S: u64 = 3600;

/// Seconds that idle times count, before they begin anew.
const CLOCK_S: u64 = SECONDS_MASK as u64;

/// Queued keys that one look at a queue drops or puts off, at most.
const DROPS_MAX: usize = 4096;

impl Scale {
    /// Takes the doubt about the size of a key that is about to be written off it, for the write to
    /// raise it again: beside it a smaller doubt that a command has would not be seen, though that
    /// one need not wait for a rest. True if there was one.
    pub(in crate::keyspace) fn lift(&self, slot: &mut Option<Entry>) -> bool {
        match slot {
            Some(entry)
                if entry.doubt == Doubt::Size && self.is_open_when_written(&entry.value) =>
            {
                entry.doubt = Doubt::None;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Puts a key that was written in doubt about its size, or back into it. What must be asked for
    /// first is left as it is: its answer comes through here as well. What the blocks before had
    /// more than was asked for says nothing of those that are there now.
    pub(in crate::keyspace) fn leave_open(&self, slot: &mut Option<Entry>, lifted: bool) {
        let Some(entry) = slot else { return };
        entry.extra = 0;
        if entry.doubt == Doubt::None && (lifted || self.is_open_when_written(&entry.value)) {
            entry.doubt = Doubt::Size;
        }
    }

    /// The same around an edit of a string.
    #[inline]
    pub(in crate::keyspace) fn edit_open(
        &self,
        old: Option<OldStr>,
        edit: impl FnOnce(Option<OldStr>) -> Option<NewStr>,
    ) -> Option<NewStr> {
        if !self.blocks_vary() {
            return edit(old);
        }
        let lifted = old.map(|old| match old.doubt {
            Doubt::Size => OldStr {
                doubt: Doubt::None,
                ..old
            },
            Doubt::None | Doubt::Probe | Doubt::Value => old,
        });
        let mut new = edit(lifted)?;
        if new.doubt == Doubt::None {
            new.doubt = Doubt::Size;
        }
        Some(new)
    }
}

impl Keyspace {
    /// True if all keys whose size is in doubt are to be left alone until the next second.
    pub fn sizes_rest(&self) -> bool {
        self.scale.writes_leave_open() && self.wants.sizes.is_resting(self.pulse.second())
    }

    /// The first key of a queue that needs to be asked for. One that has not come to rest is looked at
    /// again in another second.
    pub(in crate::keyspace) fn take_wanted(&mut self, need: Need) -> Option<(u32, Box<[u8]>)> {
        let second = self.pulse.second();
        for _ in 0..DROPS_MAX {
            let (db, name) = self.wants.lane(need).pop_in(second)?;
            let facts = self.facts(db, &name);
            let Some(facts) = facts.filter(|facts| need_of(facts.doubt) == Some(need)) else {
                continue;
            };
            if self.wants.is_in_flight(db, &name) {
                // What is told may leave it in the same doubt.
                self.wants.lane(need).leave();
                continue;
            }
            let is_at_rest = is_rest(facts.idle_s, facts.freq);
            if need == Need::Size && !is_at_rest && self.is_to_rest(db, &name) {
                self.wants.lane(need).put_off(db, name, second);
                continue;
            }
            return Some((db, name));
        }
        None
    }

    fn is_to_rest(&self, db: u32, name: &[u8]) -> bool {
        let Some(db) = self.live.db(db) else {
            return false;
        };
        let digest = crate::text::digest(name, self.seed());
        let place = db.table.find(digest, name);
        place.is_some_and(|place| self.rests(&db.table, &db.table.record(place)))
    }

    fn rests(&self, table: &Table, record: &Record<'_>) -> bool {
        let (kind, encoding) = (record.form.kind(), record.form.encoding());
        self.scale.rests(record.form, || match record.body() {
            Body::Str(_) => None,
            Body::Packed { packed, .. } => packing::table(kind, encoding, packed),
            Body::Elsewhere(handle) => table.large().get(handle)?.value.table(),
        })
    }

    /// True if the key of a record is to be left alone for now.
    pub(in crate::keyspace) fn is_restless(&self, table: &Table, record: &Record<'_>) -> bool {
        let pulse = self.pulse();
        let idle_s = u64::from(pulse.idle_s(record.lru));
        !is_rest(idle_s, pulse.freq(record.lru)) && self.rests(table, record)
    }
}

fn is_rest(idle_s: u64, freq: u8) -> bool {
    let steps = freq.saturating_sub(COUNTER_INIT).min(REST_MORE_MAX_S);
    (REST_S + u64::from(steps)..CLOCK_S - BEHIND_MAX_S).contains(&idle_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_often_rests_longer() {
        assert!(!is_rest(1, COUNTER_INIT));
        assert!(is_rest(2, COUNTER_INIT));
        assert!(is_rest(2, 0));
        assert!(!is_rest(11, COUNTER_INIT + 10));
        assert!(is_rest(12, COUNTER_INIT + 10));
        assert!(is_rest(30, u8::MAX));
    }

    #[test]
    fn a_write_ahead_of_the_clock_is_no_rest() {
        assert!(!is_rest(CLOCK_S, COUNTER_INIT));
        assert!(is_rest(CLOCK_S / 2, COUNTER_INIT));
    }
}
