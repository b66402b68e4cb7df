//! What can be asked of a keyspace: facts of one key, pages of a scan, slices of a walk, totals.
//! Nothing here changes the model.

mod patterns;
mod scan;
mod top;

use crate::command::Doubt;
use crate::keyspace::Keyspace;
use crate::slots::SlotSums;
use crate::store::record::Form;
use crate::value::{Encoding, Kind, Value};

pub use scan::{Cursor, Item};
pub use top::{By, Glob, Top, TopRow};

/// What is known of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Type.
    pub kind: Kind,
    /// Encoding.
    pub encoding: Encoding,
    /// Bytes of a string, elements of a collection; 0 for a module's value.
    pub count: u64,
    /// MEMORY USAGE key SAMPLES 0.
    pub bytes: u64,
    /// Unix milliseconds at which the key expires.
    pub expire_ms: Option<i64>,
    /// What of this is not certain.
    pub doubt: Doubt,
    /// Seconds since the last write (since the last access, at load, where the RDB said so).
    pub idle_s: u64,
    /// Logarithmic counter of writes, decayed by one a minute, as `OBJECT FREQ` scales it.
    pub freq: u8,
}

/// Sums of one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DbTotals {
    /// Its number.
    pub db: u32,
    /// Keys.
    pub keys: u64,
    /// Keys with an expiry.
    pub expires: u64,
    /// Mean time to live of those, milliseconds; 0 if it is past.
    pub avg_ttl_ms: u64,
    /// Sum of MEMORY USAGE.
    pub bytes: u64,
}

/// Sums of one type and encoding in one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormTotals {
    /// Number of the database.
    pub db: u32,
    /// Type.
    pub kind: Kind,
    /// Encoding.
    pub encoding: Encoding,
    /// Keys.
    pub keys: u64,
    /// Bytes of strings, elements of collections.
    pub elements: u64,
    /// Bytes of the keys' names.
    pub name_bytes: u64,
    /// Sum of MEMORY USAGE.
    pub bytes: u64,
}

/// Keys whose facts are not certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Whose encoding or expiry is to be asked for.
    pub probe: u64,
    /// Whose size is to be asked for.
    pub size: u64,
    /// Whose value is to be read again.
    pub value: u64,
}

/// Tries of `random` before it takes the first key that it meets.
const RANDOM_TRIES: u32 = 64;

/// Most keys of a page that `random` gives the same chance.
const RANDOM_SLOTS: usize = 384;

/// An index below `len`, which is not 0.
fn index(dice: u64, len: usize) -> usize {
    usize::try_from(dice % len as u64).unwrap_or(0)
}

impl Keyspace {
    /// What is known of a key.
    pub fn facts(&self, db: u32, name: &[u8]) -> Option<Facts> {
        let table = &self.live().db(db)?.table;
        let place = table.find(table.digest(name), name)?;
        Some(self.facts_of(table, &table.record(place)))
    }

    /// Shows the value of a key.
    pub fn read_value<R>(&self, db: u32, name: &[u8], look: impl FnOnce(Option<&Value>) -> R) -> R {
        self.read(db, name, |entry| look(entry.map(|entry| &entry.value)))
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.live().keys()
    }

    /// Sum of MEMORY USAGE over all keys, bytes.
    pub fn key_bytes(&self) -> u64 {
        let share = self.live().share();
        let all = self.live().all();
        let forms = all.flat_map(|(_, db)| Form::all().map(move |form| db.form(form, share).bytes));
        forms.fold(0, u64::wrapping_add)
    }

    /// Keys whose facts are not certain.
    pub fn doubts(&self) -> Doubts {
        let mut doubts = Doubts::default();
        for (_, db) in self.live().all() {
            doubts.probe += db.totals.probes;
            doubts.size += db.totals.sizes;
            doubts.value += db.totals.values;
        }
        doubts
    }

    /// Sums per database, in order, empty ones left out.
    pub fn dbs(&self) -> Vec<DbTotals> {
        let share = self.live().share();
        let all = self.live().all();
        let counted = all.map(|(number, db)| {
            let keys = db.totals.keys.saturating_add(db.folded_keys(share));
            (number, db, keys)
        });
        counted
            .filter(|(_, _, keys)| *keys > 0)
            .map(|(number, db, keys)| {
                let totals = &db.totals;
                let mean = totals.expiry_sum.checked_div(i128::from(totals.expires));
                let left = mean.map_or(0, |mean| mean - i128::from(self.now_ms()));
                DbTotals {
                    db: number,
                    keys,
                    expires: totals.expires.saturating_add(db.folded_expires(share)),
                    avg_ttl_ms: u64::try_from(left.max(0)).unwrap_or(u64::MAX),
                    bytes: db.total(share).bytes,
                }
            })
            .collect()
    }

    /// Sums per database, type and encoding, in order, empty ones left out.
    pub fn totals(&self) -> Vec<FormTotals> {
        let mut rows = Vec::new();
        for (number, db) in self.live().all() {
            for form in Form::all() {
                let sum = db.form(form, self.live().share());
                if sum.keys > 0 {
                    rows.push(FormTotals {
                        db: number,
                        kind: form.kind(),
                        encoding: form.encoding(),
                        keys: sum.keys,
                        elements: sum.elements,
                        name_bytes: sum.name_bytes,
                        bytes: sum.bytes,
                    });
                }
            }
        }
        rows
    }

    /// Sums by hash slot of one database, if they are kept: the server is in cluster mode, and was
    /// known to be when the keys were loaded. A database that was never used has none.
    pub fn slots(&self, db: u32) -> Option<&SlotSums> {
        self.live().db(db)?.totals.slots()
    }

    /// True if keys are counted by hash slot.
    pub fn counts_slots(&self) -> bool {
        self.live().counts_slots()
    }

    /// Some key of a database, chosen by `rng`: each about as likely as any other.
    pub fn random(&self, db: u32, rng: u64) -> Option<Vec<u8>> {
        let table = &self.live().db(db)?.table;
        if table.len() == 0 {
            return None;
        }
        let mut dice = rng | 1;
        for _ in 0..RANDOM_TRIES {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let page = index(dice >> 32, table.pages());
            let slot = index(dice >> 20, RANDOM_SLOTS);
            if let Some(record) = table.records(page).nth(slot) {
                return Some(table.name(&record).to_vec());
            }
        }
        let start = index(dice >> 32, table.pages());
        let mut pages = (start..table.pages()).chain(0..start);
        let record = pages.find_map(|page| table.records(page).next())?;
        Some(table.name(&record).to_vec())
    }

    /// Bytes that the model has allocated. What large values allocate is as of the last round that
    /// `tidy` made over them.
    pub fn heap_bytes(&self) -> usize {
        let tables = self.live().all().map(|(_, db)| db.table.heap_bytes());
        let totals = self.live().all().map(|(_, db)| &db.totals);
        let slots = totals.filter_map(|totals| totals.slots());
        let slots = slots.map(SlotSums::heap_bytes);
        let censuses = self.live().all().map(|(_, db)| db.census.heap_bytes());
        let flows = self.flows().history.heap_bytes();
        let counted = slots.sum::<usize>() + censuses.sum::<usize>() + flows;
        tables.sum::<usize>() + counted + self.large_heap() + self.heat_bytes()
    }
}
