//! The hash table that the server keeps for a collection: its size, not its content.
//!
//! Redis and Valkey up to 8.0 have dict (two arrays of 8-byte buckets), Valkey 8.1 and later
//! hashtable (64-byte buckets of seven). Both grow by building a second table and moving a little
//! per operation, and count both in MEMORY USAGE, so the state is: size, size to be, and what is
//! left to move. Rules: `reference/memory-model.md` section 5; exactness while rehashing is a later
//! issue's, the state is what it needs.

use super::{put_varint, take_varint};
use crate::profile::{Family, Profile, Version};

/// Sizes of a server-side table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Buckets, as a power of two.
    exp: u8,
    /// Buckets of the table being moved to; 0 if there is none.
    next: u8,
    /// Operations until it is the only one.
    left: u32,
}

/// Which implementation the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// dict.c, shrinking below one tenth (Redis up to 7.2).
    DictTenth,
    /// dict.c, shrinking at one eighth (Redis 7.4 and later, Valkey 8.0).
    DictEighth,
    /// hashtable.c (Valkey 8.1 and later).
    Buckets,
}

impl Kind {
    /// That of a server.
    pub(crate) fn of(profile: &Profile) -> Kind {
        match profile.family {
            Family::Redis if profile.version < Version::new(7, 4) => Kind::DictTenth,
            Family::Redis => Kind::DictEighth,
            Family::Valkey if profile.version < Version::new(8, 0) => Kind::DictTenth,
            Family::Valkey if profile.version < Version::new(8, 1) => Kind::DictEighth,
            Family::Valkey => Kind::Buckets,
        }
    }
}

/// Entries of a dict bucket array below which it never goes: 4 buckets.
const DICT_MIN: u8 = 2;
/// More keys than any server has; hints above it are not believed.
const KEYS_MAX: u64 = 1 << 40;
/// Keys in a hashtable bucket.
const BUCKET_KEYS: u64 = 7;

impl Table {
    /// An empty table.
    pub(crate) fn empty(kind: Kind) -> Table {
        Table {
            exp: match kind {
                Kind::DictTenth | Kind::DictEighth => DICT_MIN,
                Kind::Buckets => 0,
            },
            next: 0,
            left: 0,
        }
    }

    /// A table sized for `n` keys at once.
    pub(crate) fn sized(kind: Kind, n: u64) -> Table {
        Table {
            exp: fitting(kind, n),
            next: 0,
            left: 0,
        }
    }

    /// The smallest table that `n` keys have after growing one by one, settled.
    pub(crate) fn grown(kind: Kind, n: u64) -> Table {
        let mut table = Table::empty(kind);
        while n > table.capacity(kind) {
            table.exp += 1;
        }
        table
    }

    fn capacity(self, kind: Kind) -> u64 {
        match kind {
            Kind::DictTenth | Kind::DictEighth => 1 << self.exp,
            Kind::Buckets => BUCKET_KEYS << self.exp,
        }
    }

    /// A key is about to be added to `used` others.
    pub(crate) fn insert(&mut self, kind: Kind, used: u64) {
        self.step();
        if self.next == 0 && used + 1 > self.capacity(kind) {
            self.move_to(kind, fitting(kind, used + 1).max(self.exp + 1));
        }
    }

    /// A key was removed; `used` are left.
    pub(crate) fn remove(&mut self, kind: Kind, used: u64) {
        self.step();
        let buckets = 1u64 << self.exp;
        let sparse = match kind {
            Kind::DictTenth => self.exp > DICT_MIN && used * 100 / buckets < 10,
            Kind::DictEighth => self.exp > DICT_MIN && used * 8 <= buckets,
            Kind::Buckets => self.exp > 0 && used * 100 <= BUCKET_KEYS * buckets * 13,
        };
        if self.next == 0 && sparse {
            self.move_to(kind, fitting(kind, used));
        }
    }

    /// An operation touched the table: it moves a bucket if there is a move under way.
    pub(crate) fn step(&mut self) {
        if self.next != 0 {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                self.exp = self.next;
                self.next = 0;
            }
        }
    }

    fn move_to(&mut self, kind: Kind, exp: u8) {
        if exp == self.exp {
            return;
        }
        let old = 1u64 << self.exp;
        let steps = match kind {
            // Empty buckets are skipped: at load 1 there are 1 - 1/e non-empty ones.
            Kind::DictTenth | Kind::DictEighth if exp > self.exp => old * 632 / 1000,
            Kind::DictTenth | Kind::DictEighth => old / 10,
            Kind::Buckets => old,
        };
        // Exponent 0 stands for "none" in `next`, and a table of one bucket moves at once.
        if exp == 0 || steps <= 1 {
            self.exp = exp;
        } else {
            self.next = exp;
            self.left = u32::try_from(steps).unwrap_or(u32::MAX);
        }
    }

    /// Buckets of both tables.
    pub(crate) fn buckets(self) -> u64 {
        let next = if self.next == 0 { 0 } else { 1 << self.next };
        (1 << self.exp) + next
    }

    /// Bytes of the buckets of both tables, child buckets of crowded ones included at their
    /// expectation.
    pub(crate) fn bytes(self, kind: Kind, used: u64) -> u64 {
        match kind {
            Kind::DictTenth | Kind::DictEighth => 8 * self.buckets(),
            Kind::Buckets => 64 * (self.buckets() + self.children(used)),
        }
    }

    /// Expected child buckets, interpolated over the load per bucket.
    fn children(self, used: u64) -> u64 {
        /// (keys per bucket in tenths, expected children per bucket in thousandths).
        const CURVE: [(u64, u64); 8] = [
            (0, 0),
            (20, 1),
            (35, 27),
            (40, 50),
            (50, 130),
            (64, 320),
            (70, 410),
            (140, 1410),
        ];
        if self.exp == 0 {
            return 0;
        }
        let buckets = 1u64 << if self.next == 0 { self.exp } else { self.next };
        let load = (used * 10 / buckets).min(139);
        let above = CURVE.iter().position(|&(at, _)| at > load).unwrap_or(7);
        let ((x0, y0), (x1, y1)) = (CURVE[above - 1], CURVE[above]);
        let per_bucket = y0 + (y1 - y0) * (load - x0) / (x1 - x0);
        buckets * per_bucket / 1000
    }

    /// Appends the packed form.
    pub(crate) fn pack(self, out: &mut Vec<u8>) {
        out.extend([self.exp, self.next]);
        put_varint(u64::from(self.left), out);
    }

    /// Takes the packed form from the front of `bytes`.
    pub(crate) fn unpack(bytes: &mut &[u8]) -> Option<Table> {
        let (&[exp, next], rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        let left = u32::try_from(take_varint(bytes)?).ok()?;
        Some(Table { exp, next, left })
    }
}

/// Exponent of the table that is made for `n` keys.
fn fitting(kind: Kind, n: u64) -> u8 {
    let n = n.min(KEYS_MAX);
    let buckets = match kind {
        Kind::DictTenth | Kind::DictEighth => n.max(1 << DICT_MIN),
        Kind::Buckets => (n * 5).div_ceil(32).max(1),
    };
    u8::try_from(buckets.next_power_of_two().ilog2()).unwrap_or(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dict_doubles_and_shrinks() {
        let kind = Kind::DictTenth;
        let mut table = Table::empty(kind);
        for used in 0..1000 {
            table.insert(kind, used);
        }
        while table.next != 0 {
            table.step();
        }
        assert_eq!(table, Table::grown(kind, 1000));
        assert_eq!(table.bytes(kind, 1000), 8 * 1024);
        for used in (0..100).rev() {
            table.remove(kind, used);
        }
        while table.next != 0 {
            table.step();
        }
        assert!(table.buckets() < 256);
    }

    #[test]
    fn a_bucket_table_presizes_below_its_limit() {
        let kind = Kind::Buckets;
        assert_eq!(Table::sized(kind, 7).buckets(), 2);
        assert_eq!(Table::sized(kind, 6).buckets(), 1);
        assert_eq!(Table::grown(kind, 7).buckets(), 1);
        assert_eq!(Table::grown(kind, 8).buckets(), 2);
    }

    #[test]
    fn packed_tables_come_back() {
        let mut table = Table::sized(Kind::DictEighth, 5000);
        table.insert(Kind::DictEighth, 8192);
        let mut bytes = Vec::new();
        table.pack(&mut bytes);
        assert_eq!(Table::unpack(&mut &bytes[..]), Some(table));
    }
}
