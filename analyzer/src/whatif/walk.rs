//! Weighing every key twice more, in pieces, while the keyspace changes in between.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Becomes, Frame, Guess, SAMPLE_MAX};
use crate::keyspace::Keyspace;
use crate::profile::Profile;
use crate::store::record::{Body, Record};
use crate::store::weigh::Seated;
use crate::store::{Table, order_of, packing};
use crate::value::{Encoding, Kind, Value};
use crate::view::{Cursor, FormTotals};

/// What a key costs, in elements.
const KEY_COST: u64 = 8;

/// Sums over keys of one type that change in the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Keys.
    pub keys: u64,
    /// What they take now, bytes.
    pub now: u64,
    /// What they would take after a reload of the same server.
    pub reload: u64,
    /// What they would take on the other one.
    pub then: u64,
}

/// A group of keys that change in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormChange {
    /// Type.
    pub kind: Kind,
    /// Encoding now.
    pub now: Encoding,
    /// Encoding on the other server.
    pub then: Encoding,
    /// Their sums.
    pub sum: Changed,
}

/// One key that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Database.
    pub db: u32,
    /// Name.
    pub name: Vec<u8>,
    /// Type.
    pub kind: Kind,
    /// Encoding now.
    pub encoding_now: Encoding,
    /// Encoding on the other server.
    pub encoding_then: Encoding,
    /// Bytes now.
    pub now: u64,
    /// Bytes on the other server.
    pub then: u64,
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// By type and encodings, ordered.
    pub forms: Vec<FormChange>,
    /// The keys whose bytes change the most, most first.
    pub largest: Vec<KeyChange>,
    /// Keys whose bytes on the other server are estimates, by why.
    pub guesses: Vec<(Guess, u64)>,
    /// Keys that were weighed.
    pub seen: u64,
}

impl Outcome {
    /// Makes the sums those of all keys, where only a part was weighed: each type and encoding by the
    /// bytes that it has in all, guesses by the number of keys.
    pub fn extend_to(&mut self, totals: &[FormTotals]) {
        let all = totals.iter().map(|total| total.keys).sum();
        for (_, keys) in &mut self.guesses {
            *keys = in_proportion(*keys, all, self.seen);
        }
        let mut seen: BTreeMap<(Kind, Encoding), u64> = BTreeMap::new();
        for row in &self.forms {
            *seen.entry((row.kind, row.now)).or_default() += row.sum.now;
        }
        let mut whole: BTreeMap<(Kind, Encoding), u64> = BTreeMap::new();
        for total in totals {
            *whole.entry((total.kind, total.encoding)).or_default() += total.bytes;
        }
        for row in &mut self.forms {
            let group = (row.kind, row.now);
            let (Some(&seen), Some(&whole)) = (seen.get(&group), whole.get(&group)) else {
                continue;
            };
            let scale = |part: u64| in_proportion(part, whole, seen);
            row.sum = Changed {
                keys: scale(row.sum.keys),
                now: scale(row.sum.now),
                reload: scale(row.sum.reload),
                then: scale(row.sum.then),
            };
        }
    }
}

/// What a part comes to in `whole`, if it is one of `seen`.
fn in_proportion(part: u64, whole: u64, seen: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(whole) / u128::from(seen.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// A walk under way.
#[derive(Debug)]
pub struct WhatIf {
    reload: Frame,
    then: Frame,
    /// Most rows of `Outcome::largest`.
    limit: usize,
    cursor: Cursor,
    forms: BTreeMap<(Kind, Encoding, Encoding), Changed>,
    largest: BinaryHeap<Reverse<Ranked>>,
    guesses: [u64; Guess::ALL.len()],
    seen: u64,
}

/// A key by how much it changes, then by database and name the other way round.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked(u64, Reverse<(u32, Vec<u8>)>, Row);

/// The rest of a [`KeyChange`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    kind: Kind,
    encodings: (Encoding, Encoding),
    bytes: (u64, u64),
}

impl WhatIf {
    /// A walk over keys of a server as `from` that would be loaded by one as `to`; `limit` is the
    /// number of single keys to name.
    pub fn new(from: &Profile, to: &Profile, limit: usize) -> WhatIf {
        WhatIf {
            reload: Frame::new(from, from),
            then: Frame::new(from, to),
            limit,
            cursor: Cursor::start(),
            forms: BTreeMap::new(),
            largest: BinaryHeap::new(),
            guesses: [0; Guess::ALL.len()],
            seen: 0,
        }
    }

    /// What was found so far.
    pub fn outcome(self) -> Outcome {
        let mut ranked: Vec<Ranked> = self.largest.into_iter().map(|row| row.0).collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let largest = ranked
            .into_iter()
            .map(|Ranked(_, Reverse((db, name)), row)| KeyChange {
                db,
                name,
                kind: row.kind,
                encoding_now: row.encodings.0,
                encoding_then: row.encodings.1,
                now: row.bytes.0,
                then: row.bytes.1,
            });
        let forms = self
            .forms
            .into_iter()
            .map(|((kind, now, then), sum)| FormChange {
                kind,
                now,
                then,
                sum,
            });
        let guesses = Guess::ALL.into_iter().zip(self.guesses);
        Outcome {
            forms: forms.collect(),
            largest: largest.collect(),
            guesses: guesses.filter(|(_, keys)| *keys > 0).collect(),
            seen: self.seen,
        }
    }

    fn key(&mut self, keyspace: &Keyspace, (db, table): (u32, &Table), record: &Record<'_>) {
        let now = table.weigh(record, keyspace.scale());
        let key = Seated {
            name: table.name(record).len() as u64,
            expire_ms: record.expire_ms,
            seat: record.seat,
        };
        let Some((reload, then)) = self.weigh(table, record, key) else {
            return;
        };
        let (kind, encoding) = (record.form.kind(), record.form.encoding());
        let sum = self
            .forms
            .entry((kind, encoding, then.encoding))
            .or_default();
        sum.keys += 1;
        sum.now += now.bytes;
        sum.reload += reload.memory;
        sum.then += then.memory;
        self.seen += 1;
        if let Some(guess) = then.guess {
            self.guesses[guess as usize] += 1;
        }
        let change = now.bytes.abs_diff(then.memory);
        let full = self.largest.len() == self.limit;
        let least = self.largest.peek().map(|row| row.0.0);
        if self.limit == 0 || change == 0 || (full && least.is_some_and(|least| change < least)) {
            return;
        }
        let row = Row {
            kind,
            encodings: (encoding, then.encoding),
            bytes: (now.bytes, then.memory),
        };
        let name = (db, table.name(record).to_vec());
        self.largest
            .push(Reverse(Ranked(change, Reverse(name), row)));
        if self.largest.len() > self.limit {
            self.largest.pop();
        }
    }

    /// The key after a reload, and on the other server; `None` if its value cannot be read, as in the
    /// middle of an edit.
    fn weigh(&self, table: &Table, record: &Record<'_>, key: Seated) -> Option<(Becomes, Becomes)> {
        let both = |value: &Value| {
            (
                self.reload.collection(value, key),
                self.then.collection(value, key),
            )
        };
        match record.body() {
            Body::Str(value) => Some((
                self.reload.string(&value, key),
                self.then.string(&value, key),
            )),
            Body::Packed { .. } => packing::value_of(record).map(|value| both(&value)),
            Body::Elsewhere(handle) => table.large().get(handle).map(|entry| both(&entry.value)),
        }
    }
}

/// What looking at a record costs, in elements.
fn cost(table: &Table, record: &Record<'_>) -> u64 {
    KEY_COST
        + match record.body() {
            Body::Str(_) => 0,
            Body::Packed { count, packed, .. } => {
                match packing::is_bare(record.form.kind(), count, packed) {
                    true => 0,
                    false => count,
                }
            }
            Body::Elsewhere(handle) => table
                .large()
                .get(handle)
                .map_or(0, |entry| entry.value.count().min(SAMPLE_MAX)),
        }
}

impl Keyspace {
    /// Goes on with a walk, for about as long as `budget` elements take, or one key; true when it is
    /// done.
    pub fn what_if(&self, walk: &mut WhatIf, budget: u64) -> bool {
        let mut cursor = walk.cursor;
        let done = self.each_record(&mut cursor, budget, &mut |at, record| {
            walk.key(self, at, record);
        });
        walk.cursor = cursor;
        done
    }

    /// Hands the next records to `look`, with their database and table, for about as long as
    /// `budget` elements take, or one key; true at the end.
    pub(crate) fn each_record<'a>(
        &'a self,
        cursor: &mut Cursor,
        budget: u64,
        look: &mut dyn FnMut((u32, &'a Table), &Record<'a>),
    ) -> bool {
        let mut spent = 0;
        while spent <= budget {
            let Some((db, table, page)) = cursor.page(self) else {
                return true;
            };
            let mut rows: Vec<(u64, Record<'_>)> = table
                .records(page)
                .map(|record| (order_of(table.digest_of(&record)), record))
                .filter(|row| row.0 >= cursor.order())
                .collect();
            rows.sort_unstable_by_key(|row| row.0);
            let mut last = None;
            for (order, record) in rows {
                if spent > budget && last != Some(order) {
                    cursor.pause(order);
                    return false;
                }
                spent += cost(table, &record);
                look((db, table), &record);
                last = Some(order);
            }
            spent += KEY_COST;
            if !cursor.advance(table) {
                return true;
            }
        }
        false
    }
}
