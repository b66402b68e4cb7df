//! The tables of the databases: what the server says of them, and what they are after growth.
//!
//! ```text
//! MEMORY STATS says of a database          in it, and not here
//! overhead.hashtable.main      buckets     16 a key: its object, counted with the key
//!                              structs     24 a key where tables are dicts: its entry, likewise
//!                              index       of a cluster's slots: made at startup (but Valkey 9)
//! overhead.hashtable.expires   buckets, structs, index, 24 a key where tables are dicts
//! ```
//!
//! Figures of structs and of the index: measured on the servers of the matrix, sources of 6.0, 7.0
//! and Valkey 8.0 (object.c `getMemoryOverheadData`, kvstore.c `kvstoreMemUsage`).

use super::{Line, Source, ToldTables, signed};
use crate::profile::{Family, Profile, Version};
use crate::size::Allocator;
use crate::slots::{SLOTS, SlotSums};
use crate::value::elements::{Table, TableKind};

/// The object of a key's value.
const OBJECT: u64 = 16;
/// A dict entry.
const ENTRY: u64 = 24;
/// Keys by slot, as a tree of sums (`dict_size_index`).
const INDEX: u64 = 8 * (SLOTS as u64 + 1);
/// What a database of a Valkey 9 cluster has for every slot beside its two indexes: three arrays of
/// tables (keys, expiries, hashes with fields that expire), and the third index.
const DATABASE: u64 = 3 * 8 * SLOTS as u64 + INDEX;

/// What the model holds of one database that has keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) keys: u64,
    pub(super) expires: u64,
    /// Hashes with fields that expire.
    pub(super) volatile: u64,
    pub(super) slots: Option<&'a SlotSums>,
}

/// How a server keeps the tables of its databases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    allocator: Allocator,
    kind: TableKind,
    /// Entries are blocks of their own; those of keys may hold the name (Valkey 8.0).
    entries: Entries,
    /// A table for each slot, in cluster mode.
    by_slot: bool,
    /// The index is part of what the server used at startup.
    early_index: bool,
    /// Structs of a table of keys and of one of expiries, where they come with the first key.
    structs: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entries {
    /// A dict entry for each key and each expiry.
    Both,
    /// The same, but those of keys are counted as the blocks that they are.
    Expires,
    /// None.
    None,
}

impl Frame {
    pub(super) fn of(profile: &Profile) -> Frame {
        let before = |major, minor| profile.version < Version::new(major, minor);
        let (kvstore, structs) = match profile.family {
            Family::Redis if before(7, 4) => (false, [0, 0]),
            Family::Redis if before(8, 0) => (true, [64, 64]),
            // Two histograms of key sizes (kvstore.c `kvstoreDictMetadataExtendSize`).
            Family::Redis => (true, [56 + 8 + 2400, 64]),
            Family::Valkey if before(8, 0) => (false, [0, 0]),
            Family::Valkey if before(8, 1) => (true, [72, 72]),
            Family::Valkey if before(9, 0) => (true, [88, 88]),
            Family::Valkey => (true, [96, 96]),
        };
        let entries = match profile.family {
            Family::Redis => Entries::Both,
            Family::Valkey if before(8, 0) => Entries::Both,
            Family::Valkey if before(8, 1) => Entries::Expires,
            Family::Valkey => Entries::None,
        };
        Frame {
            allocator: profile.allocator,
            kind: TableKind::of(profile),
            entries,
            by_slot: kvstore && profile.cluster,
            early_index: profile.family == Family::Redis || before(9, 0),
            structs,
        }
    }

    /// The lines of all tables.
    pub(super) fn lines(self, told: Option<ToldTables>, held: &[Held<'_>]) -> Vec<Line> {
        let keys: u64 = held.iter().map(|db| db.keys).sum();
        let expires: u64 = held.iter().map(|db| db.expires).sum();
        let [main_rest, expires_rest] = self.at_rest(held);
        let databases = told.map_or(held.len() as u64, |told| told.databases);
        let index = if self.by_slot && self.early_index {
            INDEX * databases
        } else {
            0
        };
        let told = told.filter(|_| !self.miscounts());
        let (main_told, expires_told) = match told {
            Some(told) => (
                signed(told.main) - signed(keys * self.counted_with_key() + index),
                signed(told.expires) - signed(index),
            ),
            None => (signed(main_rest), signed(expires_rest)),
        };
        let source = if told.is_some() {
            Source::Server
        } else {
            Source::Formula
        };
        let line = |name, source, bytes, at_rest| Line {
            name,
            bytes,
            source,
            at_rest,
        };
        let rounding = signed(self.rounding(held, keys, expires));
        let more = if self.by_slot && !self.early_index {
            signed(databases.saturating_sub(1) * DATABASE)
        } else {
            0
        };
        vec![
            line("main_tables", source, main_told, Some(main_rest)),
            line("expires_tables", source, expires_told, Some(expires_rest)),
            line("rounding", Source::Formula, rounding, None),
            line("databases", Source::Formula, more, None),
            line(
                "field_expiries",
                Source::Formula,
                self.field_expiries(held),
                None,
            ),
        ]
    }

    /// True if the server's own count is not to be trusted: where each slot has a dict, the buckets of
    /// one that is freed because its slot is empty stay counted for ever (kvstore.c
    /// `freeDictIfNeeded`, dict.c `dictRelease`; seen on Redis 8.0 and Valkey 8.0: two megabytes too
    /// much after 75,000 deletions).
    fn miscounts(self) -> bool {
        self.by_slot && self.entries != Entries::None
    }

    /// Bytes of a key that MEMORY STATS counts with its table and MEMORY USAGE with the key.
    fn counted_with_key(self) -> u64 {
        match self.entries {
            Entries::Both | Entries::Expires => OBJECT + ENTRY,
            Entries::None => OBJECT,
        }
    }

    /// Tables of keys and of expiries as they are after growth, when nothing moves.
    fn at_rest(self, held: &[Held<'_>]) -> [u64; 2] {
        let (mut main, mut expires) = (0, 0);
        if self.by_slot && !self.early_index {
            main += INDEX * held.len() as u64;
            expires += INDEX * held.len() as u64;
        }
        for db in held {
            match db.slots.filter(|_| self.by_slot) {
                Some(slots) => {
                    let tables = slots.filled().map(|(_, sum)| self.table(sum.keys, 0));
                    main += tables.sum::<u64>();
                    expires += self.spread((db.expires, db.keys), slots);
                }
                None => {
                    main += self.table(db.keys, 0);
                    expires += self.table(db.expires, 1);
                }
            }
            if self.entries != Entries::None {
                expires += ENTRY * db.expires;
            }
        }
        [main, expires]
    }

    /// Tables of some of the keys, by slot. Which slots they are in is not kept: each key is one of
    /// them with the same chance.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "expectations that are not negative and far below 2^53"
    )]
    fn spread(self, (some, keys): (u64, u64), slots: &SlotSums) -> u64 {
        let chance = some as f64 / keys.max(1) as f64;
        let tables = slots.filled().map(|(_, sum)| {
            let keys = sum.keys as f64;
            let filled = 1.0 - (1.0 - chance).powf(keys);
            if filled <= 0.0 {
                return 0.0;
            }
            let each = (keys * chance / filled).round() as u64;
            filled * self.table(each, 1) as f64
        });
        tables.sum::<f64>() as u64
    }

    /// Tables of hashes with fields that expire (Valkey 9 `keys_with_volatile_items`), which nobody
    /// tells of. Redis has a tree by expiry instead, five bytes a hash (measured on 8.0), which is
    /// left unexplained.
    fn field_expiries(self, held: &[Held<'_>]) -> i64 {
        if self.early_index {
            return 0;
        }
        let tables = held
            .iter()
            .map(|db| match db.slots.filter(|_| self.by_slot) {
                Some(slots) => self.spread((db.volatile, db.keys), slots),
                None => self.table(db.volatile, 1),
            });
        signed(tables.sum())
    }

    /// One table of so many keys, its struct included.
    fn table(self, keys: u64, which: usize) -> u64 {
        if keys == 0 {
            return 0;
        }
        let bytes = Table::grown(self.kind, keys).bytes(self.kind, keys);
        bytes + self.structs.get(which).copied().unwrap_or(0)
    }

    /// What the allocator adds to entries and structs.
    fn rounding(self, held: &[Held<'_>], keys: u64, expires: u64) -> u64 {
        let spare = |bytes: u64| self.allocator.class(bytes) - bytes;
        let entries = match self.entries {
            Entries::Both => keys + expires,
            Entries::Expires => expires,
            Entries::None => 0,
        };
        let [main, expiring] = self.structs.map(spare);
        let structs = held.iter().map(|db| {
            let tables = match db.slots.filter(|_| self.by_slot) {
                Some(slots) => slots.filled().count() as u64,
                None => 1,
            };
            tables * main + tables.min(db.expires) * expiring
        });
        entries * spare(ENTRY) + structs.sum::<u64>()
    }
}
