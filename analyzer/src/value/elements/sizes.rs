//! What one element and one collection weigh on the server: `reference/memory-model.md` sections 1,
//! 4, 5 and 7. Everything here is a pure function of lengths and of the server's version.

use super::fit::{Found, Sought, Usage, shift};
use super::payload::Block;
use super::table::{Kind, Table};
use super::{Field, Scored};
use crate::profile::{Family, Profile, Version};
use crate::size::{self, Allocator, IntClass, LISTPACK_FRAME};
use crate::value::info::Info;

/// Bytes of the object header in front of every value. Valkey 9 has it in the key's block, which
/// is counted with the key, less this.
const OBJECT: u64 = 16;
/// A dict entry, as MEMORY USAGE counts it.
const DICT_ENTRY: u64 = 24;
/// Header and end byte of a ziplist.
const ZIPLIST_FRAME: u64 = 11;
/// `zset` and `zskiplist`.
const SKIPLIST: u64 = 16 + 32;
/// Levels of a skiplist's header node.
const HEADER_LEVELS: u64 = 32;
/// The same where the header node is inside the structure (Valkey 9).
const SKIPLIST_V9: u64 = 16 + 528;
/// A skiplist node without its levels, where the member has a block of its own.
const NODE_BASE: u64 = 24;
/// Levels that are told apart; what is beyond counts as the last.
const LEVELS: u64 = 8;
/// What `sum_levels` gives for `NODE_BASE`: asked for with every change of a sorted set.
const NODE_EXPECTED_8: u64 = 45_835;
const NODE_EXPECTED_16: u64 = 53_335;
/// Thousandths of a byte: expectations are summed as integers, so that they can be taken out again.
const MILLI: u64 = 1000;

/// The generation of structures that a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    /// Redis 6: ziplists, exact sizes.
    Ziplist,
    /// Redis 7.0 and 7.2, Valkey 7.2.
    Dict,
    /// Redis 7.4 and later: hash fields are mstr.
    Mstr,
    /// Valkey 8.0: entries without values.
    NoValue,
    /// Valkey 8.1: hashtable.
    Buckets,
    /// Valkey 9.
    Valkey9,
}

/// What a hash table belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashTable {
    /// A hash: from Valkey 9 on with a pointer to its fields that expire.
    Hash,
    /// A set or a sorted set.
    Plain,
}

/// The struct of a collection's table, as MEMORY USAGE counts it.
pub(crate) fn table_struct(profile: &Profile, holds: HashTable) -> u64 {
    let sizes = Sizes::of(profile);
    match holds {
        HashTable::Hash => sizes.table_struct() + sizes.hash_metadata(),
        HashTable::Plain => sizes.table_struct(),
    }
}

/// How a server sizes collections; cheap to make from its profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    allocator: Allocator,
    layout: Layout,
    /// Scores are written with 17 digits (up to Redis 7.0), else with as few as read back the same.
    long_scores: bool,
    /// Redis 8.0 looks for a hash field before it adds it; 7.4 does both at once.
    finds_first: bool,
    /// The hash table implementation.
    pub(crate) kind: Kind,
}

impl Sizes {
    /// Those of a server.
    pub(crate) fn of(profile: &Profile) -> Sizes {
        let before = |major, minor| profile.version < Version::new(major, minor);
        let layout = match profile.family {
            Family::Redis if before(7, 0) => Layout::Ziplist,
            Family::Redis if before(7, 4) => Layout::Dict,
            Family::Redis => Layout::Mstr,
            Family::Valkey if before(8, 0) => Layout::Dict,
            Family::Valkey if before(8, 1) => Layout::NoValue,
            Family::Valkey if before(9, 0) => Layout::Buckets,
            Family::Valkey => Layout::Valkey9,
        };
        Sizes {
            allocator: profile.allocator,
            layout,
            long_scores: before(7, 2),
            finds_first: !before(8, 0),
            kind: Kind::of(profile),
        }
    }

    /// Those of `other`, but with scores as texts of our length: as they stand in a blob of ours that
    /// `other` loads.
    pub(crate) fn scores_on(self, other: Sizes) -> Sizes {
        Sizes {
            long_scores: self.long_scores,
            ..other
        }
    }

    /// How often setting a new hash field looks into its table: Redis searches before it adds, but
    /// for 7.4 (t_hash.c `hashTypeSet`).
    pub(crate) fn field_steps(self) -> u32 {
        match self.layout {
            Layout::Ziplist | Layout::Dict => 2,
            Layout::Mstr if self.finds_first => 2,
            Layout::Mstr | Layout::NoValue | Layout::Buckets | Layout::Valkey9 => 1,
        }
    }

    /// True if setting a field that is there makes room for another one first.
    pub(crate) fn field_room(self) -> bool {
        match self.layout {
            Layout::Mstr => !self.finds_first,
            Layout::NoValue => true,
            Layout::Ziplist | Layout::Dict | Layout::Buckets | Layout::Valkey9 => false,
        }
    }

    /// The same for a set's member (t_set.c `setTypeAddAux`).
    pub(crate) fn member_room(self) -> bool {
        matches!(self.kind, Kind::DictTenth | Kind::DictEighth)
    }

    /// True if removed set members may leave entries behind (Valkey 8.0).
    pub(crate) fn orphans(self) -> bool {
        self.layout == Layout::NoValue
    }

    /// Bytes of one entry in a packed blob.
    #[inline]
    pub(crate) fn entry(self, text: &Info) -> u64 {
        match self.layout {
            Layout::Ziplist => ziplist_entry(text),
            Layout::Dict | Layout::Mstr | Layout::NoValue | Layout::Buckets | Layout::Valkey9 => {
                text.listpack_entry()
            }
        }
    }

    /// Bytes of a value that is one packed blob with entries of `bytes` in all.
    pub(crate) fn blob(self, bytes: u64) -> u64 {
        if self.layout == Layout::Ziplist {
            OBJECT + ZIPLIST_FRAME + bytes
        } else {
            OBJECT + self.allocator.class(LISTPACK_FRAME + bytes)
        }
    }

    /// Bytes of a hash in a listpack with expiries.
    pub(crate) fn blob_ex(self, bytes: u64) -> u64 {
        OBJECT + 32 + self.allocator.class(LISTPACK_FRAME + bytes)
    }

    /// Bytes of an intset of `n` integers.
    pub(crate) fn intset(self, n: u64, width: u8) -> u64 {
        let bytes = 8 + n * u64::from(width);
        if self.layout == Layout::Ziplist {
            OBJECT + bytes
        } else {
            OBJECT + self.allocator.class(bytes)
        }
    }

    /// The table's own structure, empty.
    fn table_struct(self) -> u64 {
        match self.layout {
            Layout::Ziplist => 96,
            Layout::Dict | Layout::Mstr | Layout::NoValue => 56,
            Layout::Buckets => 72,
            Layout::Valkey9 => 80,
        }
    }

    /// What a hash's table has behind its structure.
    fn hash_metadata(self) -> u64 {
        if self.layout == Layout::Valkey9 { 8 } else { 0 }
    }

    fn table(self, table: Table, n: u64) -> u64 {
        OBJECT + self.table_struct() + table.bytes(self.kind, n)
    }

    /// Block of a set member in a table.
    #[inline]
    pub(crate) fn member_block(self, text: &Info) -> u64 {
        self.allocator.sds(text.len)
    }

    /// Bytes of a set in a table whose member blocks are `blocks` in all.
    pub(crate) fn set_table(self, table: Table, n: u64, blocks: u64) -> u64 {
        let entries = match self.layout {
            Layout::Ziplist | Layout::Dict | Layout::Mstr => DICT_ENTRY * n,
            Layout::NoValue => chained_entries(table, n),
            Layout::Buckets | Layout::Valkey9 => 0,
        };
        averaged(self.table(table, n), blocks + entries, n)
    }

    /// Fits a set in a table to what the server says of its value part.
    pub(crate) fn fit_set(self, table: Table, n: u64, blocks: u64, usage: Usage) -> Found {
        let chained = match self.layout {
            Layout::NoValue => CHAINED_SD * root(n),
            Layout::Ziplist | Layout::Dict | Layout::Mstr | Layout::Buckets | Layout::Valkey9 => 0,
        };
        let sought = self.sought(table, n, chained, usage);
        let weigh = |table, more| self.set_table(table, n, shift(blocks, more));
        sought.find(self.kind, table, weigh, |table| self.table(table, n))
    }

    fn sought(self, table: Table, n: u64, elements_slack: u64, usage: Usage) -> Sought {
        // Child buckets may be away from their expectation.
        let table_slack = match self.kind {
            Kind::DictTenth | Kind::DictEighth => 0,
            Kind::Buckets | Kind::BucketsSkip => CHILDREN_SD * root(table.buckets()) + 2 * 64,
        };
        Sought {
            n,
            usage,
            elements_slack,
            table_slack,
        }
    }

    /// Blocks of a hash field and its value in a table.
    pub(crate) fn field_block(self, field: &Field) -> u64 {
        let (name, value) = (field.name.len, field.value.len);
        match self.layout {
            Layout::Ziplist | Layout::Dict | Layout::NoValue => {
                self.allocator.sds(name) + self.allocator.sds(value)
            }
            Layout::Mstr => {
                let header = match name {
                    0..32 => 1,
                    32..65_536 => 3,
                    _ => 9,
                };
                // The room stays when the expiry goes.
                let timed = field.expire_ms.is_some() || field.block == Block::Timed;
                let expiry = if timed { 18 } else { 0 };
                self.allocator.class(expiry + header + name + 1) + self.allocator.sds(value)
            }
            Layout::Buckets | Layout::Valkey9 => match field.block {
                Block::Kept(eighths) => 8 * u64::from(eighths),
                Block::Usual | Block::Timed => self.entry_block(field),
            },
        }
    }

    /// Block of a Valkey hash entry that was made for its content (entry.c `entryReqSize`).
    fn entry_block(self, field: &Field) -> u64 {
        let (name, value) = (field.name.len, field.value.len);
        if let Some(whole) = whole_entry(field) {
            return self.allocator.class(whole);
        }
        let (header, expiry) = entry_head(field);
        let apart = header.max(3) + name + 1 + expiry + 8;
        self.allocator.class(apart) + self.allocator.sds(value)
    }

    /// Which block a field has after its value changed: on Valkey 8.1 and later the entry stays
    /// where it is if its new content takes between three quarters and all of its block (entry.c
    /// `entryUpdate`); on Redis 7.4 and later room for an expiry stays.
    pub(crate) fn block_after(self, old: &Field, new: &Field) -> Block {
        match self.layout {
            Layout::Ziplist | Layout::Dict | Layout::NoValue => Block::Usual,
            Layout::Mstr => {
                let had = old.expire_ms.is_some() || old.block == Block::Timed;
                if had && new.expire_ms.is_none() {
                    Block::Timed
                } else {
                    Block::Usual
                }
            }
            Layout::Buckets | Layout::Valkey9 => {
                if old.expire_ms.is_some() != new.expire_ms.is_some() {
                    return Block::Usual;
                }
                let (Some(_), Some(whole)) = (whole_entry(old), whole_entry(new)) else {
                    return Block::Usual;
                };
                let block = self.field_block(old);
                if whole > block || whole * 4 < block * 3 || block == self.allocator.class(whole) {
                    return Block::Usual;
                }
                u8::try_from(block / 8).map_or(Block::Usual, Block::Kept)
            }
        }
    }

    /// Bytes of a hash in a table whose blocks are `blocks` in all; `expiring` fields have one.
    pub(crate) fn hash_table(self, table: Table, n: u64, blocks: u64, expiring: u64) -> u64 {
        let entries = match self.layout {
            Layout::Ziplist | Layout::Dict | Layout::Mstr | Layout::NoValue => DICT_ENTRY * n,
            Layout::Buckets | Layout::Valkey9 => 0,
        };
        averaged(self.hash_base(table, n, expiring), blocks + entries, n)
    }

    /// The same without the fields.
    fn hash_base(self, table: Table, n: u64, expiring: u64) -> u64 {
        let volatile = match (self.layout, expiring) {
            (Layout::Valkey9, 2) => 24,
            (Layout::Valkey9, 3..) => self.allocator.class(8 + 8 * expiring),
            _ => 0,
        };
        self.table(table, n) + self.hash_metadata() + volatile
    }

    /// Fits a hash in a table to what the server says of its value part. Fields that came in a
    /// snapshot may have blocks that an update left them, or room for an expiry that is gone.
    pub(crate) fn fit_hash(
        self,
        table: Table,
        n: u64,
        (blocks, expiring): (u64, u64),
        usage: Usage,
    ) -> Found {
        let kept = match self.layout {
            Layout::Ziplist | Layout::Dict | Layout::NoValue => 0,
            Layout::Mstr if expiring == 0 => 0,
            Layout::Mstr | Layout::Buckets | Layout::Valkey9 => blocks / KEPT_PART,
        };
        let sought = self.sought(table, n, kept, usage);
        let weigh = |table, more| self.hash_table(table, n, shift(blocks, more), expiring);
        let base = |table| self.hash_base(table, n, expiring);
        sought.find(self.kind, table, weigh, base)
    }

    /// Bytes of a score's entry in a packed blob.
    pub(crate) fn score_entry(self, score: f64) -> u64 {
        /// Doubles up to here are written as integers (7.0 util.c `double2ll`).
        const INTEGERS: f64 = 4_611_686_018_427_387_904.0;
        /// From here on `%.17g` writes an exponent; whatever reads as an integer is one in a ziplist,
        /// which "-0" does not (6.0 util.c `d2string`, ziplist.c `zipTryEncoding`).
        const EXPONENTS: f64 = 1e17;
        let is_integer = if self.layout == Layout::Ziplist {
            let is_minus_zero = score == 0.0 && score.is_sign_negative();
            score.abs() < EXPONENTS && !is_minus_zero
        } else {
            score.abs() <= INTEGERS
        };
        if is_integer && score.fract() == 0.0 {
            #[expect(clippy::cast_possible_truncation, reason = "integral and within 2^62")]
            return self.entry(&Info::number(score as i64));
        }
        let digits = if score == 0.0 {
            2
        } else if self.long_scores {
            seventeen_digits(score)
        } else {
            shortest_digits(score)
        };
        self.entry(&Info::text(digits))
    }

    /// Blocks of a sorted-set member beside a skiplist, in thousandths of a byte: the level of its
    /// node is random, so the expectation is counted.
    pub(crate) fn node_block(self, scored: &Scored) -> u64 {
        let len = scored.text.len;
        let (base, rest) = match self.layout {
            Layout::Ziplist | Layout::Dict | Layout::Mstr | Layout::NoValue => {
                (NODE_BASE, self.allocator.sds(len) + DICT_ENTRY)
            }
            Layout::Buckets => (NODE_BASE, self.allocator.sds(len)),
            Layout::Valkey9 => {
                let header = match len {
                    0..32 => 1,
                    32..253 => 3,
                    253..65_531 => 5,
                    _ => 9,
                };
                (16 + 1 + header + len + 1, 0)
            }
        };
        rest * MILLI + self.expected_node(base)
    }

    /// Expected block of a node of `base` bytes and 16 more per level: a level more with
    /// probability one quarter.
    fn expected_node(self, base: u64) -> u64 {
        match (base, self.allocator.quantum) {
            _ if self.allocator.libc => self.sum_levels(base),
            (NODE_BASE, 8) => NODE_EXPECTED_8,
            (NODE_BASE, 16) => NODE_EXPECTED_16,
            _ => self.sum_levels(base),
        }
    }

    fn sum_levels(self, base: u64) -> u64 {
        let mut sum = 0;
        // 2^20 parts: 3/4 of what is left at each level.
        let mut left = 1u64 << 20;
        for level in 1..=LEVELS {
            let here = if level == LEVELS {
                left
            } else {
                left - left / 4
            };
            sum += here * self.allocator.class(base + 16 * level);
            left -= here;
        }
        (sum * MILLI) >> 20
    }

    /// Bytes of a sorted set beside a skiplist.
    pub(crate) fn skiplist(self, table: Table, n: u64, blocks_milli: u64) -> u64 {
        averaged(self.skiplist_base(table, n), blocks_milli / MILLI, n)
    }

    /// Fits a sorted set beside a skiplist to what the server says of its value part; what is left
    /// over is in bytes.
    pub(crate) fn fit_skiplist(
        self,
        table: Table,
        n: u64,
        blocks_milli: u64,
        usage: Usage,
    ) -> Found {
        let levels = LEVELS_SD * root(n) + LEVELS_TAIL;
        let sought = self.sought(table, n, levels, usage);
        let weigh = |table, more| self.skiplist(table, n, shift(blocks_milli, milli(more)));
        sought.find(self.kind, table, weigh, |table| {
            self.skiplist_base(table, n)
        })
    }

    fn skiplist_base(self, table: Table, n: u64) -> u64 {
        let list = if self.layout == Layout::Valkey9 {
            SKIPLIST_V9
        } else {
            SKIPLIST + self.allocator.class(NODE_BASE + 16 * HEADER_LEVELS)
        };
        self.table(table, n) + list
    }
}

/// Six standard deviations of a node's level, bytes per root of a member
/// (`reference/memory-model.md` section 7).
const LEVELS_SD: u64 = 6 * 12;
/// The levels of a few nodes are no normal distribution: one node in a thousand has five or more.
const LEVELS_TAIL: u64 = 96;
/// Six standard deviations of the child buckets, bytes per root of a bucket (section 5.2).
const CHILDREN_SD: u64 = 6 * 31;
/// Six standard deviations of the entries of Valkey 8.0's sets, bytes per root of a member.
const CHAINED_SD: u64 = 6 * 8;
/// The part of a hash's blocks that updates may have left too large.
const KEPT_PART: u64 = 4;

/// The root, rounded up.
fn root(n: u64) -> u64 {
    n.isqrt() + 1
}

/// Multiplies what was left over by thousandths, as the sums of sorted sets are kept.
pub(crate) fn milli(rest: i64) -> i64 {
    rest.saturating_mul(1000)
}

/// Header of the field's name in a Valkey hash entry, and the bytes of its expiry.
fn entry_head(field: &Field) -> (u64, u64) {
    let timed = field.expire_ms.is_some();
    let header = match field.name.len {
        0..32 if !timed => 1,
        0..253 => 3,
        253..65_531 => 5,
        _ => 9,
    };
    (header, if timed { 8 } else { 0 })
}

/// Bytes of a Valkey hash entry with its value inside; `None` if the value has a block of its own.
fn whole_entry(field: &Field) -> Option<u64> {
    let (header, expiry) = entry_head(field);
    let whole = header + field.name.len + 1 + expiry + 3 + field.value.len + 1;
    (whole <= 128).then_some(whole)
}

/// A sum over elements as the server adds it to its `base`: by their average, in doubles, then cut.
/// The result can be a byte short (object.c `objectComputeSize`).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the server's own arithmetic; sizes are far below 2^53 and not negative"
)]
fn averaged(base: u64, sum: u64, n: u64) -> u64 {
    if n == 0 {
        return base;
    }
    (base as f64 + sum as f64 / n as f64 * n as f64) as u64
}

/// Bytes of Valkey 8.0 set entries: the first key of a bucket has none, each further one 16.
fn chained_entries(table: Table, n: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an expectation between 0 and 16 n"
    )]
    let bytes = (16.0 * (n as f64 - table.bare(n))).max(0.0) as u64;
    bytes
}

/// Bytes of a ziplist entry (ziplist.c): the length of the one before, the encoding, the payload.
/// The class and the length do not tell 10 to 12, which take no payload, from other two digits, nor
/// two digits or 100 to 128 below zero, which take one byte, from numbers above 127: a byte too many
/// is assumed for those.
fn ziplist_entry(text: &Info) -> u64 {
    let body = match (text.class, text.number) {
        (IntClass::Text, _) => match text.len {
            0..=63 => 1 + text.len,
            64..=16_383 => 2 + text.len,
            _ => 5 + text.len,
        },
        (_, Some(n)) => match n {
            0..=12 => 1,
            -128..=127 => 2,
            -32_768..=32_767 => 3,
            -8_388_608..=8_388_607 => 4,
            -2_147_483_648..=2_147_483_647 => 5,
            _ => 9,
        },
        (IntClass::Uint7, None) if text.len == 1 => 1,
        (IntClass::Uint7, None) => 2,
        (IntClass::Int13, None) if text.len == 2 => 2,
        (IntClass::Int13 | IntClass::Int16, None) => 3,
        (IntClass::Int24, None) => 4,
        (IntClass::Int32, None) => 5,
        (IntClass::Int64, None) => 9,
    };
    1 + body
}

/// Characters of the shortest decimal form that reads back the same, in the server's notation
/// (fpconv_dtoa: an exponent where the plain form would be long).
fn shortest_digits(score: f64) -> u64 {
    if score.is_infinite() {
        return if score > 0.0 { 3 } else { 4 };
    }
    // Rust's exponent form has the same shortest digits: d.ddde<x>.
    let text = format!("{score:e}");
    let sign = u64::from(score.is_sign_negative());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as u64;
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let magnitude = exponent.unsigned_abs();
    // The power of ten that the last digit stands for.
    let last = exponent - i64::try_from(digits).unwrap_or(0) + 1;
    let body = if last >= 0 && magnitude < digits + 7 {
        magnitude + 1
    } else if last < 0 && (last > -7 || magnitude < 4) {
        if exponent < 0 {
            // 0.00ddd
            1 + magnitude + digits
        } else {
            1 + digits
        }
    } else {
        let point = u64::from(digits > 1);
        digits + point + 2 + crate::text::decimal_len(i64::try_from(magnitude).unwrap_or(0))
    };
    sign + body
}

/// Characters of `%.17g`.
fn seventeen_digits(score: f64) -> u64 {
    if score.is_infinite() {
        return if score > 0.0 { 3 } else { 4 };
    }
    let text = format!("{score:.16e}");
    let sign = u64::from(score.is_sign_negative());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa
        .trim_start_matches('-')
        .replace('.', "")
        .trim_end_matches('0')
        .len()
        .max(1) as u64;
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let magnitude = exponent.unsigned_abs();
    let body = if (-4..17).contains(&exponent) {
        if exponent < 0 {
            1 + magnitude + digits
        } else if magnitude + 1 >= digits {
            magnitude + 1
        } else {
            digits + 1
        }
    } else {
        let point = u64::from(digits > 1);
        digits + point + 2 + if magnitude < 100 { 2 } else { 3 }
    };
    sign + body
}

/// Entry of a field's expiry in a listpack with expiries: 2 bytes without one.
pub(crate) fn expiry_entry(expire_ms: Option<i64>) -> u64 {
    size::listpack_int_entry(expire_ms.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_nodes_are_what_the_levels_sum_to() {
        for (quantum, expected) in [(8, NODE_EXPECTED_8), (16, NODE_EXPECTED_16)] {
            let mut profile = Profile::defaults(Family::Redis, Version::new(7, 0));
            profile.allocator.quantum = quantum;
            assert_eq!(Sizes::of(&profile).sum_levels(NODE_BASE), expected);
        }
    }

    /// Recorded from Redis 6.0.16: MEMORY USAGE of sets of one member, less the rest of them.
    #[test]
    fn a_ziplist_writes_fewer_scores_as_integers() {
        let sizes = |version| Sizes::of(&Profile::defaults(Family::Redis, version));
        let (old, new) = (sizes(Version::new(6, 0)), sizes(Version::new(7, 0)));
        for (score, before, after) in [
            (12.0, 2, 2),
            (-0.0, 4, 2),
            (9e15, 10, 10),
            (1e17, 7, 10),
            (1e20, 7, 7),
        ] {
            let got = (old.score_entry(score), new.score_entry(score));
            assert_eq!(got, (before, after), "{score}");
        }
    }

    #[test]
    fn scores_have_the_length_of_their_text() {
        for (score, long, short) in [
            (0.5, 3, 3),
            (-37.5, 5, 5),
            (71.826, 18, 6),
            (0.000_274, 22, 8),
            (1e-9, 22, 4),
            (1e19, 5, 5),
            (8e19, 5, 5),
            (1.5e300, 23, 8),
            (f64::NEG_INFINITY, 4, 4),
        ] {
            let (got_long, got_short) = (seventeen_digits(score), shortest_digits(score));
            assert_eq!((got_long, got_short), (long, short), "{score}");
        }
    }
}
