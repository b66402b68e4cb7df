//! What a key's blocks take beyond MEMORY USAGE, or short of it: the command counts structs as they
//! are, not as the allocator rounds them; entries of sets that are not there; small numbers that
//! many keys share; on Valkey 8.1 no names at all (`reference/memory-model.md` section 13).
//!
//! A function of the key's form, of what is kept of it anyway, and for lists and streams of the
//! value, so that sums over all keys follow every write:
//!
//! ```text
//! per key       the object, the structs of a table, of a list, of a skiplist; the name (8.1)
//! per element   the entry of a dict
//! by content    blobs before 7.0, sets without values (7.2 and later), list nodes, radix trees
//! ```
//!
//! What stands beside the keys (tables, clients, buffers) is in [`crate::bridge`].

use super::record::Form;
use super::weigh::Seated;
use crate::profile::{Family, Profile, Version};
use crate::size::Allocator;
use crate::value::elements::{self, HashTable, Table, TableKind};
use crate::value::string::tight_header;
use crate::value::{Encoding, Kind, Value};

/// The object that every value has, and what MEMORY USAGE counts for it.
const OBJECT: u64 = 16;
/// A dict entry: key, value, next.
const ENTRY: u64 = 24;
/// A dict entry without a value.
const BARE_ENTRY: u64 = 16;
/// `quicklist`, and its node before and from 7.0 on.
const QUICKLIST: u64 = 40;
const NODE_6: u64 = 32;
/// `listpackEx`.
const LISTPACK_EX: u64 = 32;
/// `zset`; `zskiplist`, which has its header node inside from Valkey 9 on.
const ZSET: u64 = 16;
const ZSKIPLIST: u64 = 32;
const ZSKIPLIST_9: u64 = 528;
/// Numbers below are one object for all keys (server.h `OBJ_SHARED_INTEGERS`).
const SHARED: std::ops::Range<i64> = 0..10_000;

/// The rules of one server.
#[derive(Clone, Debug)]
pub(crate) struct Beyond {
    allocator: Allocator,
    profile: Profile,
    rules: [Rule; Form::COUNT],
    /// MEMORY USAGE leaves the block with object and name out (Valkey 8.1).
    nameless: bool,
}

/// What a key of one form adds.
#[derive(Clone, Copy, Debug, Default)]
struct Rule {
    key: u64,
    element: u64,
    rest: Rest,
}

/// What depends on the content as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// Nothing.
    #[default]
    Nothing,
    /// The string is in its object's block, which is not rounded (before 7.0).
    Embedded,
    /// A number, which may be shared.
    Number,
    /// One blob behind so many bytes, which is not rounded (before 7.0).
    Blob(u64),
    /// A set's entries are counted with a value, and where there are none.
    Chains,
    /// The nodes of a list.
    Nodes,
    /// The blocks of a stream.
    Stream,
}

/// A key as MEMORY USAGE sees it.
pub(crate) struct Usage<'a> {
    pub(crate) form: Form,
    pub(crate) key: Seated,
    /// Bytes of a string, elements of a collection.
    pub(crate) count: u64,
    /// MEMORY USAGE of the value alone.
    pub(crate) memory: u64,
    /// The number of a string that is one.
    pub(crate) number: Option<i64>,
    /// The value, where it is at hand.
    pub(crate) value: Option<&'a Value>,
    /// The table, where it is known and [`Beyond::rounds_arrays`].
    pub(crate) table: Option<Table>,
}

impl Beyond {
    pub(crate) fn new(profile: &Profile) -> Beyond {
        let mut rules = [Rule::default(); Form::COUNT];
        for form in Form::all() {
            if let Some(rule) = rules.get_mut(form.index()) {
                *rule = Rule::of(form, profile);
            }
        }
        let before = |major, minor| profile.version < Version::new(major, minor);
        Beyond {
            allocator: profile.allocator,
            profile: profile.clone(),
            rules,
            nameless: profile.family == Family::Valkey && !before(8, 1) && before(9, 0),
        }
    }

    /// Bytes beyond MEMORY USAGE of one key, less than nothing where that counts too much.
    #[inline]
    pub(crate) fn of(&self, usage: &Usage<'_>) -> i64 {
        let rule = self.rules.get(usage.form.index()).copied();
        let rule = rule.unwrap_or_default();
        let mut bytes = signed(rule.key + rule.element * usage.count);
        if rule.rest != Rest::Nothing {
            bytes += self.rest(rule.rest, usage);
        }
        if let Some(table) = usage.table {
            bytes += signed(self.arrays(table));
        }
        if self.nameless && usage.form != Form::EMBSTR {
            bytes += signed(self.name(usage.key)) - signed(OBJECT);
        }
        bytes
    }

    /// True if the allocator gives a power of two more than that: with jemalloc none, with the C
    /// library's malloc each, which is then 8 bytes larger, or up to a page.
    pub(crate) fn rounds_arrays(&self) -> bool {
        self.allocator.libc
    }

    /// What the arrays of a table take beyond their buckets.
    fn arrays(&self, table: Table) -> u64 {
        let bucket = match TableKind::of(&self.profile) {
            TableKind::DictTenth | TableKind::DictEighth => 8,
            TableKind::Buckets | TableKind::BucketsSkip => 64,
        };
        let arrays = table.arrays().into_iter().filter(|buckets| *buckets > 0);
        arrays
            .map(|buckets| self.allocator.class(bucket * buckets) - bucket * buckets)
            .sum()
    }

    fn rest(&self, rest: Rest, usage: &Usage<'_>) -> i64 {
        let rounded = |bytes: u64| signed(self.allocator.class(bytes) - bytes);
        match rest {
            Rest::Nothing => 0,
            Rest::Embedded => {
                let block = self.allocator.class(OBJECT + 3 + usage.count + 1);
                signed(block) - signed(OBJECT + 2 + usage.count)
            }
            Rest::Number => match usage.number {
                // There is no object, and what was counted for it is not there either.
                Some(n) if SHARED.contains(&n) => -signed(self.allocator.class(OBJECT)),
                Some(_) | None => 0,
            },
            Rest::Blob(behind) => rounded(usage.memory.saturating_sub(behind)),
            Rest::Chains => {
                let chained = elements::chained(usage.count);
                let entry = self.allocator.class(BARE_ENTRY);
                signed(chained * entry) - signed(usage.count * ENTRY)
            }
            Rest::Nodes => match usage.value {
                Some(Value::List(list)) => signed(list.spare(&self.profile)),
                Some(_) => 0,
                // One node, which is in the record.
                None if self.profile.ziplists() => {
                    let before = OBJECT + QUICKLIST + NODE_6;
                    let blob = usage.memory.saturating_sub(before);
                    rounded(QUICKLIST) + rounded(NODE_6) + rounded(blob)
                }
                None => 2 * rounded(QUICKLIST),
            },
            Rest::Stream => match usage.value {
                Some(Value::Stream(stream)) => stream.beyond(&self.profile),
                Some(_) | None => 0,
            },
        }
    }

    /// The block of an object with its key's name (Valkey 8.1
    /// `createUnembeddedObjectWithKeyAndExpire`).
    fn name(&self, key: Seated) -> u64 {
        let slot = if key.has_slot() || key.name >= 128 {
            8
        } else {
            0
        };
        let header = u64::from(tight_header(key.name));
        self.allocator
            .class(OBJECT + 1 + header + key.name + 1 + slot)
    }
}

impl Rule {
    fn of(form: Form, profile: &Profile) -> Rule {
        let before = |major, minor| profile.version < Version::new(major, minor);
        let spare = |bytes: u64| profile.allocator.class(bytes) - bytes;
        // From Valkey 8.1 on the object is in the key's block, which is rounded.
        let dicts = profile.family == Family::Redis || before(8, 1);
        let object = if dicts { spare(OBJECT) } else { 0 };
        let blob = if profile.ziplists() {
            Rest::Blob(OBJECT)
        } else {
            Rest::Nothing
        };
        let only = |key: u64, rest: Rest| Rule {
            key: object + key,
            element: 0,
            rest,
        };
        let entries = if dicts { spare(ENTRY) } else { 0 };
        let table = |holds: HashTable| spare(elements::table_struct(profile, holds));
        match (form.kind(), form.encoding()) {
            (Kind::String, Encoding::Embstr) => Rule {
                rest: if profile.ziplists() {
                    Rest::Embedded
                } else {
                    Rest::Nothing
                },
                ..Rule::default()
            },
            (Kind::String, Encoding::Int) if dicts => only(0, Rest::Number),
            (Kind::List, Encoding::Quicklist) => only(0, Rest::Nodes),
            (Kind::Set, Encoding::Hashtable) => {
                let key = table(HashTable::Plain);
                // Valkey 8.0 counts what is there.
                let bare =
                    profile.small_sets() && (profile.family == Family::Redis || before(8, 0));
                match (bare, dicts && !profile.small_sets()) {
                    (true, _) => only(key, Rest::Chains),
                    (false, true) => Rule {
                        element: entries,
                        ..only(key, Rest::Nothing)
                    },
                    (false, false) => only(key, Rest::Nothing),
                }
            }
            (Kind::Zset, Encoding::Skiplist) => {
                let nine = profile.family == Family::Valkey && !before(9, 0);
                let list = if nine { ZSKIPLIST_9 } else { ZSKIPLIST };
                Rule {
                    element: entries,
                    ..only(
                        table(HashTable::Plain) + spare(ZSET) + spare(list),
                        Rest::Nothing,
                    )
                }
            }
            (Kind::Hash, Encoding::Hashtable) => Rule {
                element: entries,
                ..only(table(HashTable::Hash), Rest::Nothing)
            },
            (Kind::Hash, Encoding::ListpackEx) => only(spare(LISTPACK_EX), Rest::Nothing),
            (Kind::Stream, Encoding::Stream) => only(0, Rest::Stream),
            (Kind::Set | Kind::Zset | Kind::Hash, _) => only(0, blob),
            (Kind::String | Kind::List | Kind::Stream | Kind::Module, _) => only(0, Rest::Nothing),
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A power of two and the header of its chunk are no multiple of 16.
    #[test]
    fn arrays_are_rounded_by_the_c_library_alone() {
        let mut profile = Profile::defaults(Family::Redis, Version::new(6, 2));
        let kind = TableKind::of(&profile);
        let settled = Table::sized(kind, 20);
        let moving = Table::filled(kind, 17);
        let large = Table::sized(kind, 16_384);
        for (libc, spare) in [(false, [0, 0, 0]), (true, [8, 16, 4080])] {
            profile.allocator = Allocator {
                libc,
                ..profile.allocator
            };
            let beyond = Beyond::new(&profile);
            assert_eq!(
                [settled, moving, large].map(|table| beyond.arrays(table)),
                spare
            );
            assert_eq!(beyond.rounds_arrays(), libc);
        }
    }
}
