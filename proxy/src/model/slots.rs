//! Questions about hash slots: from the counts where the model keeps them, else by walks in slices.

use analyzer::Keyspace;
use analyzer::keyspace::Detail;
use analyzer::slots::{SLOTS, SlotSum, SlotSums};
use analyzer::view::{Cursor, Item};
use cluster_map::{Slot, Slots};

use crate::model::answer::{send, start};
use crate::model::ask::{Freshness, Reply, SlotTotal, WALK_MAX};

/// A walk that counts keys by slot.
pub(super) struct Tally {
    db: Option<u32>,
    cursor: Cursor,
    sums: SlotSums,
    to: To,
}

/// Who waits for a tally.
enum To {
    All(Reply<Vec<SlotTotal>>),
    One(u16, Reply<u64>),
}

/// Answers with the sums of every slot; where they are not kept, the walk that will.
pub(super) fn sums(
    keyspace: &Keyspace,
    db: Option<u32>,
    reply: Reply<Vec<SlotTotal>>,
    fresh: Freshness,
) -> Option<Tally> {
    if !keyspace.counts_slots() {
        return Some(Tally::new(db, To::All(reply)));
    }
    send(reply, fresh, added_up(keyspace, db));
    None
}

/// The sums of the slots outside a set, where they are kept.
pub(super) fn outside(keyspace: &Keyspace, db: Option<u32>, own: &Slots) -> Option<Vec<SlotTotal>> {
    keyspace.counts_slots().then(|| {
        let mut rows = added_up(keyspace, db);
        rows.retain(|row| Slot::new(row.slot).is_some_and(|slot| !own.contains(slot)));
        rows
    })
}

/// The sums over one database, or over all.
fn added_up(keyspace: &Keyspace, db: Option<u32>) -> Vec<SlotTotal> {
    let detail = keyspace.detail();
    let mut kept = kept(keyspace, db);
    let (first, second) = (kept.next(), kept.next());
    // Clusters have one database, but for some of the newest.
    let (Some(_), Some(_)) = (first, second) else {
        return first.map_or_else(Vec::new, |sums| rows(sums.filled(), &detail));
    };
    let mut all = vec![SlotSum::default(); SLOTS];
    for sums in first.into_iter().chain(second).chain(kept) {
        for (slot, more) in sums.filled() {
            if let Some(sum) = all.get_mut(usize::from(slot)) {
                sum.keys += more.keys;
                sum.bytes += more.bytes;
            }
        }
    }
    rows((0..).zip(all), &detail)
}

/// Answers with the keys of one slot, likewise.
pub(super) fn count(
    keyspace: &Keyspace,
    (db, slot): (Option<u32>, u16),
    reply: Reply<u64>,
    fresh: Freshness,
) -> Option<Tally> {
    if !keyspace.counts_slots() {
        return Some(Tally::new(db, To::One(slot, reply)));
    }
    let keys: u64 = kept(keyspace, db).map(|sums| sums.get(slot).keys).sum();
    send(reply, fresh, keyspace.detail().for_all(keys));
    None
}

/// The counts of one database, or of all.
fn kept(keyspace: &Keyspace, db: Option<u32>) -> impl Iterator<Item = &SlotSums> {
    let dbs = match db {
        Some(db) => vec![db],
        None => keyspace.dbs().into_iter().map(|db| db.db).collect(),
    };
    dbs.into_iter().filter_map(|db| keyspace.slots(db))
}

/// An estimate for all keys, where some were folded.
fn rows(sums: impl Iterator<Item = (u16, SlotSum)>, detail: &Detail) -> Vec<SlotTotal> {
    let filled = sums.filter(|(_, sum)| sum.keys > 0);
    let row = |(slot, sum): (u16, SlotSum)| SlotTotal {
        slot,
        keys: detail.for_all(sum.keys),
        memory: detail.for_all(sum.bytes),
    };
    filled.map(row).collect()
}

fn slot_of(name: &[u8]) -> u16 {
    Slot::of(name).number()
}

impl Tally {
    fn new(db: Option<u32>, to: To) -> Tally {
        Tally {
            db,
            cursor: start(db),
            sums: SlotSums::new(slot_of),
            to,
        }
    }

    pub(super) fn restart(&mut self) {
        self.cursor = start(self.db);
        self.sums = SlotSums::new(slot_of);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        match &self.to {
            To::All(reply) => reply.is_closed(),
            To::One(_, reply) => reply.is_closed(),
        }
    }

    /// Counts about so many keys more; true at the end.
    pub(super) fn advance(&mut self, keyspace: &Keyspace, budget: usize) -> bool {
        let sums = &mut self.sums;
        let mut take = |item: Item<'_>| sums.add(item.name, item.facts.bytes);
        keyspace.walk(&mut self.cursor, budget, &mut take)
    }

    pub(super) fn finish(self, fresh: Freshness) {
        match self.to {
            To::All(reply) => {
                let rows = rows(self.sums.filled(), &fresh.detail);
                send(reply, fresh, rows);
            }
            To::One(slot, reply) => {
                let keys = fresh.detail.for_all(self.sums.get(slot).keys);
                send(reply, fresh, keys);
            }
        }
    }
}

/// A walk that looks for keys of some slots.
pub(super) struct Named {
    db: u32,
    slots: Slots,
    /// Most names.
    limit: usize,
    cursor: Cursor,
    names: Vec<Vec<u8>>,
    reply: Reply<Vec<Vec<u8>>>,
}

impl Named {
    pub(super) fn new(
        (db, slots): (u32, Slots),
        limit: usize,
        reply: Reply<Vec<Vec<u8>>>,
    ) -> Named {
        Named {
            db,
            slots,
            limit: limit.min(WALK_MAX),
            cursor: Cursor::db(db),
            names: Vec::new(),
            reply,
        }
    }

    pub(super) fn restart(&mut self) {
        self.cursor = Cursor::db(self.db);
        self.names = Vec::new();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Looks at about so many keys more; true at the end, or when nothing is missing.
    pub(super) fn advance(&mut self, keyspace: &Keyspace, budget: usize) -> bool {
        let (slots, names) = (&self.slots, &mut self.names);
        // The count saves the rest of the walk; it may change between two slices.
        let limit = match keyspace.slots(self.db) {
            Some(sums) => self.limit.min(count_of(sums, slots)),
            None => self.limit,
        };
        if names.len() >= limit {
            return true;
        }
        let mut take = |item: Item<'_>| {
            if names.len() < limit && slots.contains(Slot::of(item.name)) {
                names.push(item.name.to_vec());
            }
        };
        let done = keyspace.walk(&mut self.cursor, budget, &mut take);
        done || self.names.len() >= limit
    }

    pub(super) fn finish(self, fresh: Freshness) {
        send(self.reply, fresh, self.names);
    }
}

fn count_of(sums: &SlotSums, slots: &Slots) -> usize {
    let keys = slots.iter().map(|slot| sums.get(slot.number()).keys);
    usize::try_from(keys.sum::<u64>()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
