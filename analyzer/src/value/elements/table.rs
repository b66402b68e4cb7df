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
    /// Buckets of the table being moved to, as a power of two, plus one; 0 if there is none.
    next: u8,
    /// While it grows: operations until it is the only one, with dicts in sixteenths (with bucket
    /// tables, an operation is a bucket). While it shrinks: old buckets that were not come to, in sixteenths.
    /// When a dict is likely to be the only one: operations until that is certain, in sixteenths.
    left: u32,
    /// Valkey 8.0's sets: expected buckets whose bare key is gone, in sixteenths. See
    /// [`Table::orphan`].
    orphans: u32,
}

/// Why an operation looks into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A key is looked for, or added.
    Looked,
    /// A key is removed.
    Removed,
}

/// Which implementation the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// dict.c, shrinking below one tenth (Redis up to 7.2).
    DictTenth,
    /// dict.c, shrinking at one eighth (Redis 7.4 and later, Valkey 8.0).
    DictEighth,
    /// hashtable.c (Valkey 8.1).
    Buckets,
    /// The same, stepping over empty buckets while it shrinks (Valkey 9).
    BucketsSkip,
}

impl Kind {
    /// That of a server.
    pub(crate) fn of(profile: &Profile) -> Kind {
        match profile.family {
            Family::Redis if profile.version < Version::new(7, 4) => Kind::DictTenth,
            Family::Redis => Kind::DictEighth,
            Family::Valkey if profile.version < Version::new(8, 0) => Kind::DictTenth,
            Family::Valkey if profile.version < Version::new(8, 1) => Kind::DictEighth,
            Family::Valkey if profile.version < Version::new(9, 0) => Kind::Buckets,
            Family::Valkey => Kind::BucketsSkip,
        }
    }
}

/// Entries of a dict bucket array below which it never goes: 4 buckets.
const DICT_MIN: u8 = 2;
/// More keys than any server has; hints above it are not believed.
const KEYS_MAX: u64 = 1 << 40;
/// Keys in a hashtable bucket.
const BUCKET_KEYS: u64 = 7;
/// In the packed form, beside the exponent.
const HAS_ORPHANS: u8 = 0x80;
/// Empty buckets that a dict steps over in one operation (dict.c `dictRehash`).
const EMPTY_VISITS: i32 = 10;

impl Table {
    /// An empty table.
    pub(crate) fn empty(kind: Kind) -> Table {
        Table {
            exp: match kind {
                Kind::DictTenth | Kind::DictEighth => DICT_MIN,
                Kind::Buckets | Kind::BucketsSkip => 0,
            },
            next: 0,
            left: 0,
            orphans: 0,
        }
    }

    /// A table sized for `n` keys at once.
    pub(crate) fn sized(kind: Kind, n: u64) -> Table {
        Table {
            exp: fitting(kind, n),
            next: 0,
            left: 0,
            orphans: 0,
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

    /// The table of `n` keys in an image: made for as many if the server loaded them itself, else
    /// grown.
    pub(crate) fn in_image(kind: Kind, n: u64, reloaded: bool) -> Table {
        if reloaded {
            Table::sized(kind, n)
        } else {
            Table::grown(kind, n)
        }
    }

    /// The table that `n` keys leave that are added to an empty one without a search, one step each.
    pub(crate) fn filled(kind: Kind, n: u64) -> Table {
        let mut table = Table::empty(kind);
        table.fill(kind, 0, n);
        table
    }

    /// `from` keys and then those up to `to` added one by one, each with one step.
    pub(crate) fn fill(&mut self, kind: Kind, from: u64, to: u64) {
        for used in from..to {
            if self.next == 0 && to <= self.capacity(kind) {
                return;
            }
            self.insert(kind, used, 1);
        }
    }

    fn capacity(self, kind: Kind) -> u64 {
        match kind {
            Kind::DictTenth | Kind::DictEighth => 1 << self.exp,
            Kind::Buckets | Kind::BucketsSkip => BUCKET_KEYS << self.exp,
        }
    }

    /// A key is about to be added to `used` others, by a command that looks into the table `steps`
    /// times.
    pub(crate) fn insert(&mut self, kind: Kind, used: u64, steps: u32) {
        self.step(kind, used, steps);
        self.make_room(kind, used);
    }

    /// Grows if `used` keys fill it: what a search for a place to insert does, found or not.
    pub(crate) fn make_room(&mut self, kind: Kind, used: u64) {
        if self.next == 0 && used + 1 > self.capacity(kind) {
            self.move_to(kind, fitting(kind, used + 1).max(self.exp + 1), used);
        }
    }

    /// A load expects `n` keys more or in all, with `used` in it (`dictExpand`).
    pub(crate) fn expand(&mut self, kind: Kind, used: u64, n: u64) {
        if self.next == 0 && used <= n {
            self.move_to(kind, fitting(kind, n), used);
        }
    }

    /// A key was removed; `used` are left.
    pub(crate) fn remove(&mut self, kind: Kind, used: u64) {
        if self.next != 0 {
            self.move_some(kind, used, 1, Why::Removed);
        } else {
            self.settle(1);
        }
        let buckets = 1u64 << self.exp;
        let sparse = match kind {
            Kind::DictTenth => self.exp > DICT_MIN && used * 100 / buckets < 10,
            Kind::DictEighth => self.exp > DICT_MIN && used * 8 <= buckets,
            Kind::Buckets | Kind::BucketsSkip => {
                self.exp > 0 && used * 100 <= BUCKET_KEYS * buckets * 13
            }
        };
        if self.next == 0 && sparse {
            self.move_to(kind, fitting(kind, used), used);
        }
    }

    /// A command looked into the table of `used` keys so many times: each moves a bucket if a move
    /// is under way.
    #[inline]
    pub(crate) fn step(&mut self, kind: Kind, used: u64, steps: u32) {
        if self.next != 0 {
            self.move_some(kind, used, steps, Why::Looked);
        } else {
            self.settle(steps);
        }
    }

    #[inline]
    fn settle(&mut self, steps: u32) {
        self.left = self.left.saturating_sub(steps.saturating_mul(SIXTEENTHS));
    }

    /// True if chance decides whether a dict has one table by now or still two: which buckets the keys
    /// stand in says how many operations a move takes.
    pub(crate) fn is_guess(self, kind: Kind) -> bool {
        match kind {
            Kind::Buckets | Kind::BucketsSkip => false,
            Kind::DictTenth | Kind::DictEighth => match self.next {
                0 => self.left > 0,
                next if next > self.exp + 1 => self.left <= spread(self.exp),
                _ => true,
            },
        }
    }

    /// What the server has told to be there is no guess, until more is done to it.
    pub(super) fn told(mut self) -> Table {
        if self.next == 0 {
            self.left = 0;
        }
        self
    }

    fn move_some(&mut self, kind: Kind, used: u64, steps: u32, why: Why) {
        let grows = self.next > self.exp;
        // A key that is removed was there when its bucket was moved.
        let keys = used + u64::from(why == Why::Removed);
        let moved = match kind {
            Kind::Buckets | Kind::BucketsSkip if grows => steps,
            Kind::DictTenth if grows => steps * SIXTEENTHS + self.emptied(keys, why),
            Kind::DictEighth if grows => steps * SIXTEENTHS,
            Kind::Buckets => steps * SIXTEENTHS,
            Kind::DictTenth | Kind::BucketsSkip => {
                steps.saturating_mul(covered(1 << self.exp, keys))
            }
            Kind::DictEighth => steps.saturating_mul(self.visited(keys, why)),
        };
        self.left = self.left.saturating_sub(moved);
        let over = match kind {
            Kind::DictTenth | Kind::DictEighth if grows => self.left < SIXTEENTHS / 2,
            Kind::Buckets => self.left == 0,
            Kind::BucketsSkip if grows => self.left == 0,
            Kind::DictTenth | Kind::DictEighth | Kind::BucketsSkip => self.all_moved(keys),
        };
        if over {
            self.left = match kind {
                Kind::Buckets | Kind::BucketsSkip => 0,
                Kind::DictTenth | Kind::DictEighth if grows => spread(self.exp),
                Kind::DictTenth | Kind::DictEighth => self.to_come(keys),
            };
            self.exp = self.next - 1;
            self.next = 0;
            // Whatever is moved is chained anew.
            self.orphans = 0;
        }
    }

    /// Sixteenths of buckets of a growing dict that a removal leaves empty, beside the one that it moves:
    /// those need not be moved any more (up to Redis 7.2; later the bucket of the key is moved).
    fn emptied(self, used: u64, why: Why) -> u32 {
        if why != Why::Removed {
            return 0;
        }
        let (old, keys) = ((1u64 << self.exp) as f64, used.max(1) as f64);
        let load = (keys / old).min(1.0);
        let alone = (-load).exp();
        // Of the buckets that wait, those with keys are what is left.
        let waiting = f64::from(self.left) / f64::from(SIXTEENTHS) / (1.0 - alone) / old;
        let there = (waiting * old * load / keys).min(1.0);
        u32::try_from(rounded(there * alone * f64::from(SIXTEENTHS))).unwrap_or(0)
    }

    /// Operations, in sixteenths, until a shrinking dict has come to its last bucket.
    fn to_come(self, keys: u64) -> u32 {
        let operations = self.left.div_ceil(covered(1 << self.exp, keys).max(1));
        operations.saturating_mul(SIXTEENTHS)
    }

    /// The part of a shrinking table that waits to be moved.
    fn waiting(self) -> f64 {
        let whole = (1u64 << self.exp) as f64 * f64::from(SIXTEENTHS);
        (f64::from(self.left) / whole).min(1.0)
    }

    /// True if it is likely enough that none of `keys` waits to be moved: the move ends with the last of
    /// them, wherever it stands. One that is removed counts still, because the server looks before.
    ///
    /// To take a table for gone that is not is the smaller error, since the key is larger then: so a
    /// chance of three in ten is enough. Simulated over tables of 14 to 600 keys of which 93% are
    /// removed, sums are right and the mean error is smallest there.
    fn all_moved(self, keys: u64) -> bool {
        const ENOUGH: f64 = 0.3;
        (1.0 - self.waiting()).powf(keys as f64) >= ENOUGH
    }

    /// Sixteenths of a bucket that one operation covers in a shrinking dict of Redis 7.4, Valkey 8.0
    /// and later: where the key that it is about waits to be moved, its bucket is moved and no other
    /// (dict.c `dictBucketRehash`). One that is removed then is gone, and nothing else has changed.
    fn visited(self, used: u64, why: Why) -> u32 {
        let (old, waiting) = (1u64 << self.exp, self.waiting());
        let onward = (1.0 - waiting) * f64::from(covered(old, used));
        let own = match why {
            Why::Removed => 0.0,
            Why::Looked => waiting * f64::from(SIXTEENTHS) * old as f64 / used.max(1) as f64,
        };
        u32::try_from(rounded((onward + own).min(u32::MAX.into()))).unwrap_or(u32::MAX)
    }

    /// A member of one of Valkey 8.0's sets is about to be removed from `used` of them. The first
    /// member of a bucket stands in it bare, the others in front of it have an entry each; when the
    /// bare one goes, the others keep theirs (dict.c `dictGenericDelete`).
    pub(crate) fn orphan(&mut self, used: u64) {
        if used == 0 {
            return;
        }
        let (buckets, keys) = ((1u64 << self.exp) as f64, used as f64);
        let empty = (-keys / buckets).exp();
        let single = keys * empty;
        let several = buckets * (1.0 - empty) - single;
        let sixteenths = f64::from(SIXTEENTHS);
        let orphans = f64::from(self.orphans) / sixteenths;
        let share = (orphans / (single + several)).min(1.0);
        let more = (several * (1.0 - share) - single * share) / keys;
        let after = (orphans + more).max(0.0) * sixteenths;
        self.orphans = u32::try_from(rounded(after)).unwrap_or(u32::MAX);
    }

    fn move_to(&mut self, kind: Kind, exp: u8, used: u64) {
        if exp == self.exp {
            return;
        }
        if used == 0 {
            // Nothing to move: the next operation ends it, or even this one.
            self.exp = exp;
            return;
        }
        let old = 1u64 << self.exp;
        let left = match kind {
            Kind::Buckets if exp < self.exp => {
                // Done with the last bucket that has keys.
                (old * u64::from(SIXTEENTHS)).saturating_mul(used) / (used + 1)
            }
            _ if exp < self.exp => old * u64::from(SIXTEENTHS),
            Kind::DictTenth | Kind::DictEighth => {
                rounded(taken(old, used)).max(1) * u64::from(SIXTEENTHS)
            }
            Kind::Buckets | Kind::BucketsSkip => old,
        };
        self.next = exp + 1;
        self.left = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
    }

    /// Every table that a collection of `n` keys may have: settled, growing, shrinking. How far a
    /// move has come is not known, so half of what was left when its last key came is assumed.
    pub(crate) fn candidates(kind: Kind, n: u64) -> impl Iterator<Item = Table> {
        /// A server with a child does not shrink; beyond this nothing is believed.
        const SPARSE_MAX: u8 = 20;
        let low = Table::grown(kind, n).exp;
        let smallest = Table::empty(kind).exp;
        let settled =
            (low.saturating_sub(4).max(smallest)..=low + SPARSE_MAX).map(move |exp| Table {
                exp,
                ..Table::empty(kind)
            });
        // A full one doubles; while the server has a child it waits until it is several times too
        // small, and does not move on either.
        let growing = (low.saturating_sub(4).max(smallest)..=low).flat_map(move |exp| {
            let above = exp + 1..=low + 1;
            above.map(move |next| Table::moving(kind, (exp, next), n))
        });
        // Made for fewer than have come since: what moves does not grow.
        let least = smallest.max(low.saturating_sub(2));
        let shrinking = (low..=low + SPARSE_MAX).flat_map(move |exp| {
            let below = least..exp.saturating_sub(1);
            below.map(move |next| Table::moving(kind, (exp, next), n))
        });
        settled.chain(growing).chain(shrinking)
    }

    fn moving(kind: Kind, (exp, next): (u8, u8), n: u64) -> Table {
        let mut table = Table {
            exp,
            ..Table::empty(kind)
        };
        let full = table.capacity(kind);
        let used = if next > exp { n.max(full) } else { n };
        table.move_to(kind, next, used.max(1));
        let unit = match kind {
            Kind::DictTenth | Kind::DictEighth => u64::from(SIXTEENTHS),
            Kind::Buckets | Kind::BucketsSkip => 1,
        };
        let since = u32::try_from(n.saturating_sub(full) * unit).unwrap_or(u32::MAX);
        table.left = (table.left.saturating_sub(since) / 2).max(1);
        table
    }

    /// Buckets of both tables.
    pub(crate) fn buckets(self) -> u64 {
        self.arrays().iter().sum()
    }

    /// Buckets of each of its arrays; none of the second if nothing is moved.
    pub(crate) fn arrays(self) -> [u64; 2] {
        let next = match self.next {
            0 => 0,
            next => 1 << (next - 1),
        };
        [1 << self.exp, next]
    }

    /// Bytes of the buckets of both tables, child buckets of crowded ones included at their
    /// expectation.
    pub(crate) fn bytes(self, kind: Kind, used: u64) -> u64 {
        match kind {
            Kind::DictTenth | Kind::DictEighth => 8 * self.buckets(),
            Kind::Buckets | Kind::BucketsSkip => 64 * (self.buckets() + self.children(used)),
        }
    }

    /// Expected child buckets, rounded. While a grown table is moved, the old buckets that are left are full
    /// and the others have half of that.
    fn children(self, used: u64) -> u64 {
        let old = 1u64 << self.exp;
        let per_old = used * LOAD / old;
        if self.next == 0 {
            if self.exp == 0 {
                // One bucket is not a matter of chance.
                return used.saturating_sub(BUCKET_KEYS).div_ceil(BUCKET_KEYS - 1);
            }
            return whole(old * per_bucket(per_old));
        }
        let new = 1u64 << (self.next - 1);
        if new < old {
            let left = u64::from(self.left / SIXTEENTHS).min(old);
            let moved = used - used * left / old;
            return whole(new * per_bucket(moved * LOAD / new));
        }
        let left = u64::from(self.left).min(old);
        let came = used.saturating_sub(BUCKET_KEYS * old) * LOAD / new;
        let moved = old - left;
        let (full, half) = (
            per_bucket(BUCKET_KEYS * LOAD),
            per_bucket(BUCKET_KEYS * LOAD * old / new + came),
        );
        whole(left * full + moved * (new / old) * half)
    }

    /// Expected keys of Valkey 8.0's sets that stand bare in their bucket, in both tables: a grown
    /// one was full when its move began.
    pub(crate) fn bare(self, used: u64) -> f64 {
        let old = 1u64 << self.exp;
        if self.next == 0 {
            let orphans = f64::from(self.orphans) / f64::from(SIXTEENTHS);
            return (taken(old, used) - orphans).max(0.0);
        }
        let new = 1u64 << (self.next - 1);
        let orphans = f64::from(self.orphans) / f64::from(SIXTEENTHS);
        if new > old {
            let all = old.min(used);
            let waiting = f64::from(self.left) / f64::from(SIXTEENTHS);
            let left = (waiting / taken(old, old)).min(1.0);
            let in_old = (taken(old, all) - orphans).max(0.0) * left;
            return in_old + bare_in_grown((old, all), used - all, left, new / old);
        }
        let left = (f64::from(self.left) / (old as f64 * f64::from(SIXTEENTHS))).min(1.0);
        let moved = used as f64 * (1.0 - left);
        let in_new = new as f64 * (1.0 - (1.0 - 1.0 / new as f64).powf(moved));
        (taken(old, used) - orphans).max(0.0) * left + in_new
    }

    /// Appends the packed form.
    pub(crate) fn pack(self, out: &mut Vec<u8>) {
        let marked = if self.orphans == 0 { 0 } else { HAS_ORPHANS };
        out.extend([self.exp | marked, self.next]);
        put_varint(u64::from(self.left), out);
        if marked != 0 {
            put_varint(u64::from(self.orphans), out);
        }
    }

    /// Takes the packed form from the front of `bytes`.
    pub(crate) fn unpack(bytes: &mut &[u8]) -> Option<Table> {
        let (&[exp, next], rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        let left = u32::try_from(take_varint(bytes)?).ok()?;
        let mut orphans = 0;
        if exp & HAS_ORPHANS != 0 {
            orphans = u32::try_from(take_varint(bytes)?).ok()?;
        }
        Some(Table {
            exp: exp & !HAS_ORPHANS,
            next,
            left,
            orphans,
        })
    }
}

const SIXTEENTHS: u32 = 16;
/// Loads are in hundredths of a key per bucket.
const LOAD: u64 = 100;
/// Children are in ten-thousandths of a bucket.
const PARTS: u64 = 10_000;

/// The next whole number of buckets: always the lower one would make small tables, of which most have
/// less than one child, too small by half a child on average.
const fn whole(parts: u64) -> u64 {
    (parts + PARTS / 2) / PARTS
}

/// Expected buckets with keys in the table that a full one is being moved to: `old` buckets had `all`
/// keys when the move began, the share `left` of those that are not empty waits, `came` keys came
/// since, and a bucket becomes `split` of them.
///
/// What was moved stands only in the buckets that it was split into, and a key that comes moves the
/// bucket that it would have joined (dict.c `dictFindPositionForInsert`), so that keys crowd there;
/// those whose bucket was empty have the rest to themselves.
fn bare_in_grown((old, all): (u64, u64), came: u64, left: f64, split: u64) -> f64 {
    let (old, came, split) = (old as f64, came as f64, split as f64);
    let load = all as f64 / old;
    let empty = (-load).exp();
    let moved = old * (1.0 - empty) * (1.0 - left);
    let mut bare = 0.0;
    if moved > 0.0 {
        // Chance that none of a bucket's keys goes to one of the new ones.
        let missed = ((-load / split).exp() - empty) / (1.0 - empty);
        let joined = came * (1.0 - empty) / moved;
        bare += moved * split * (1.0 - missed * (-joined / split).exp());
    }
    let alone = old * empty * split;
    bare + alone * (1.0 - (-came / (old * split)).exp())
}

/// Expected children of a bucket with `load` keys on average: a Poisson number of keys `k` above 7
/// takes `ceil((k - 7) / 6)` more (hashtable.c `bucketConvertToChained`).
fn per_bucket(load: u64) -> u64 {
    /// At 0, 0.5, 1 .. 14 keys per bucket.
    const CURVE: [u64; 29] = [
        0, 0, 0, 2, 11, 42, 119, 268, 512, 868, 1341, 1922, 2597, 3344, 4141, 4970, 5815, 6663,
        7510, 8352, 9188, 10020, 10849, 11677, 12505, 13335, 14166, 14998, 15831,
    ];
    const STEP: u64 = LOAD / 2;
    let last = CURVE.len() as u64 - 1;
    let at = (load / STEP).min(last - 1);
    let i = usize::try_from(at).unwrap_or(0);
    let (low, high) = (CURVE[i], CURVE[i + 1]);
    // Beyond the curve it goes on as it ends.
    low + (high - low) * (load - at * STEP) / STEP
}

/// Operations, in sixteenths, that the move out of a full dict may take more or less than expected: three
/// times the deviation of its buckets that are not empty, 0.31 times the root of all.
fn spread(exp: u8) -> u32 {
    let deviation = 0.31 * f64::from(1u32 << exp.min(31)).sqrt();
    u32::try_from(rounded(3.0 * deviation * f64::from(SIXTEENTHS))).unwrap_or(u32::MAX)
}

/// Sixteenths of a bucket that one operation covers in a table of `buckets` with `keys`: it moves one
/// bucket that is not empty, or steps over ten that are.
fn covered(buckets: u64, keys: u64) -> u32 {
    let full = taken(buckets, keys) / buckets as f64;
    if full <= 0.0 {
        return u32::MAX;
    }
    let covered = (1.0 - (1.0 - full).powi(EMPTY_VISITS)) / full;
    u32::try_from(rounded(covered * f64::from(SIXTEENTHS))).unwrap_or(u32::MAX)
}

/// Expected buckets that are not empty.
fn taken(buckets: u64, keys: u64) -> f64 {
    let buckets = buckets.max(1) as f64;
    buckets * (1.0 - (1.0 - 1.0 / buckets).powf(keys as f64))
}

/// Expected keys that do not stand alone in front of their bucket, in a dict that grew to `n` keys.
pub(crate) fn chained(n: u64) -> u64 {
    let buckets = n.clamp(1 << DICT_MIN, KEYS_MAX).next_power_of_two();
    n.saturating_sub(rounded(taken(buckets, n)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an expectation that is not negative and below 2^40"
)]
fn rounded(n: f64) -> u64 {
    n.round() as u64
}

/// Exponent of the table that is made for `n` keys.
fn fitting(kind: Kind, n: u64) -> u8 {
    let n = n.min(KEYS_MAX);
    let buckets = match kind {
        Kind::DictTenth | Kind::DictEighth => n.max(1 << DICT_MIN),
        Kind::Buckets | Kind::BucketsSkip => (n * 5).div_ceil(32).max(1),
    };
    u8::try_from(buckets.next_power_of_two().ilog2()).unwrap_or(63)
}

#[cfg(test)]
mod tests;
