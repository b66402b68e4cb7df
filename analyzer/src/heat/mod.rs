//! Heat: which keys, hash tags, slots and commands are written most, and with how many bytes.
//!
//! It is read off the command stream, so it is about writes alone: **reads never reach a replica and
//! are not seen here**. Commands and slots are few and are counted exactly; keys and hash tags are
//! many and go through a sketch of bounded size ([`sketch`]), whose every row says how far it can
//! be from the truth. Spans of time are kept for an hour ([`window`]).
//!
//! - A write is a key changed by a command of the stream: a command that changes five keys is five
//!   writes to keys and one command. What a full sync, a re-read or an audit changes is no write.
//! - Its bytes are those of the command's words. Of a command with many keys each key is charged its
//!   own words (MSET: name and value; DEL: the name); where the words cannot be told apart, all.
//! - A *rewrite* is a write of more than 10 KB that left a key about as large as it was, most of whose
//!   bytes it brought along: a whole value sent again for a small change (rule KEY-06).

mod rates;
mod sketch;
mod tags;
mod window;

use std::collections::BTreeMap;

use crate::keyspace::Keyspace;
use crate::keyspace::db::Turn;
use crate::store::weigh::Weight;

use self::sketch::{Row, Rows, Write};
use self::window::Spans;

pub use self::tags::{TagSum, TagWalk, Tagged};
pub use self::window::Window;

/// Bytes from which an overwrite is looked at as a rewrite.
const REWRITE_BYTES: u64 = 10_000;

/// A rewrite changes the key's size by less than one part in so many.
const REWRITE_CHANGE: u64 = 20;

/// Spreads the number of a database over a digest.
const DB_SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Writes, and the bytes that came with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Writes.
    pub writes: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Work {
    #[inline]
    fn one(bytes: u64) -> Work {
        Work { writes: 1, bytes }
    }

    /// Both together.
    #[must_use]
    #[inline]
    pub fn plus(self, more: Work) -> Work {
        Work {
            writes: self.writes.saturating_add(more.writes),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }

    fn minus(self, less: Work) -> Work {
        Work {
            writes: self.writes.saturating_sub(less.writes),
            bytes: self.bytes.saturating_sub(less.bytes),
        }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Work) -> Work {
        Work {
            writes: self.writes.max(other.writes),
            bytes: self.bytes.max(other.bytes),
        }
    }

    /// The figure that something is ordered by.
    pub fn by(self, by: By) -> u64 {
        match by {
            By::Writes => self.writes,
            By::Bytes => self.bytes,
        }
    }
}

/// What hot things are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Writes.
    Writes,
    /// Bytes written.
    Bytes,
}

/// Overwrites of large values that changed little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrites {
    /// How many.
    pub times: u64,
    /// Bytes that they brought.
    pub bytes: u64,
    /// Bytes by which they changed the size of the key.
    pub changed: u64,
}

impl Rewrites {
    fn plus(self, more: Rewrites) -> Rewrites {
        Rewrites {
            times: self.times.saturating_add(more.times),
            bytes: self.bytes.saturating_add(more.bytes),
            changed: self.changed.saturating_add(more.changed),
        }
    }
}

/// A hot key or hash tag. The truth is between `work` and `work` plus `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    /// Database.
    pub db: u32,
    /// The name, or its first 128 bytes.
    pub name: Vec<u8>,
    /// Bytes of the whole name.
    pub name_len: u64,
    /// What it had at least.
    pub work: Work,
    /// What it may have had beyond that.
    pub error: Work,
    /// Overwrites that changed little, of those that were seen.
    pub rewrites: Rewrites,
}

/// An answer about a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard<T> {
    /// Milliseconds that it covers, up to now.
    pub covered_ms: u64,
    /// All writes to keys in that time, exactly; where keys have no record it is not known whether a
    /// DEL or RENAME met any, and the keys that it names are counted.
    pub total: Work,
    /// What a name that is not listed can have had at most; zero where all is counted exactly and
    /// listed.
    pub unlisted: Work,
    /// The rows, hottest first.
    pub rows: Vec<T>,
}

/// What a keyspace knows of its writes.
#[derive(Debug)]
pub(crate) struct Heat {
    spans: Spans,
    /// Bytes that the next written key is charged.
    bytes: u64,
    /// Under which number the keys of a database are counted, if that is not its own: keys keep it
    /// when SWAPDB gives another one to their database. At most as many as the server has databases.
    places: BTreeMap<u32, u32>,
}

impl Heat {
    pub(crate) fn new() -> Heat {
        Heat {
            spans: Spans::new(),
            bytes: 0,
            places: BTreeMap::new(),
        }
    }

    /// Two databases exchange their numbers.
    pub(crate) fn swap(&mut self, a: u32, b: u32) {
        let (of_a, of_b) = (self.place(a), self.place(b));
        for (db, place) in [(a, of_b), (b, of_a)] {
            if db == place {
                self.places.remove(&db);
            } else {
                self.places.insert(db, place);
            }
        }
    }

    #[inline]
    fn place(&self, db: u32) -> u32 {
        if self.places.is_empty() {
            return db;
        }
        self.places.get(&db).copied().unwrap_or(db)
    }

    /// The number of a database now whose keys are counted under that one.
    fn db_at(&self, place: u32) -> u32 {
        let mut moved = self.places.iter();
        let moved = moved.find(|(_, moved)| **moved == place);
        moved.map_or(place, |(db, _)| *db)
    }

    /// Takes the wall clock, unix milliseconds.
    #[inline]
    pub(crate) fn clock(&mut self, now_ms: i64) {
        self.spans.clock(now_ms);
    }

    /// A command of so many bytes begins; `number` is what its name is called.
    #[inline]
    pub(crate) fn begin(&mut self, number: u16, bytes: u64) {
        self.bytes = bytes;
        let commands = &mut self.spans.open.commands;
        commands.add(usize::from(number), Work::one(bytes));
    }

    /// The next keys that the command writes are charged so many bytes each.
    #[inline]
    pub(crate) fn charge(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// A command changed a key.
    #[inline]
    pub(crate) fn wrote(&mut self, db: u32, name: &[u8], digest: u64, turn: Option<&Turn>) {
        let db = self.place(db);
        let write = Write {
            digest: of_db(digest, db),
            db,
            name,
            bytes: self.bytes,
        };
        let row = self.spans.open.keys.add(&write);
        if write.bytes > REWRITE_BYTES
            && let Some(rewrite) = turn.and_then(|turn| rewrite(turn, write.bytes))
        {
            self.spans.open.keys.rewrite(row, rewrite);
        }
    }

    /// The key has a hash tag.
    #[inline]
    pub(crate) fn wrote_tag(&mut self, db: u32, tag: &[u8], digest: u64) {
        let db = self.place(db);
        self.spans.open.tags.add(&Write {
            digest: of_db(digest, db),
            db,
            name: tag,
            bytes: self.bytes,
        });
    }

    /// The key is in this slot.
    #[inline]
    pub(crate) fn wrote_slot(&mut self, slot: u16) {
        self.spans.open.slots.add(slot, self.bytes);
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.spans.heap_bytes()
    }
}

/// The same name in two databases is two names.
#[inline]
fn of_db(digest: u64, db: u32) -> u64 {
    digest ^ u64::from(db).wrapping_mul(DB_SPREAD)
}

/// A large write as a rewrite, if it was one.
#[cold]
fn rewrite(turn: &Turn, bytes: u64) -> Option<Rewrites> {
    // What a string's block is rounded up to says nothing of the value.
    let size = |weight: Weight| match weight.form.is_string() {
        true => weight.count,
        false => weight.bytes,
    };
    let (before, after) = (size(turn.before?), size(turn.after?));
    let changed = before.abs_diff(after);
    let is_whole = bytes >= after / 2;
    (is_whole && changed < before / REWRITE_CHANGE).then_some(Rewrites {
        times: 1,
        bytes,
        changed,
    })
}

/// What stands between the first `{` and the next `}`, unless that is empty (Redis cluster.c
/// `keyHashSlot`).
#[inline]
pub fn hash_tag(name: &[u8]) -> Option<&[u8]> {
    let open = memchr::memchr(b'{', name)?;
    let rest = &name[open + 1..];
    let close = memchr::memchr(b'}', rest)?;
    Some(&rest[..close]).filter(|tag| !tag.is_empty())
}

impl Keyspace {
    /// Bytes that heat takes: nothing where nothing is written, at most some 4 MB where very many long
    /// names are, and in cluster mode 3 MB more where all slots are written all the time.
    pub fn heat_bytes(&self) -> usize {
        self.heat().heap_bytes()
    }

    /// All writes to keys of a window, exactly, and the milliseconds that it covers.
    pub fn written(&self, window: Window) -> (u64, Work) {
        self.heat().spans.total(window)
    }

    /// The keys that were written most, at most `n`.
    pub fn hot_keys(&self, window: Window, by: By, n: usize) -> Heard<Hot> {
        let span = self.heat().spans.window(window);
        let (rows, unlisted) = self.listed(&span.keys, by, n);
        heard(&span, rows, unlisted)
    }

    /// The hash tags that were written most, at most `n`. Keys without one are not in it.
    pub fn hot_tags(&self, window: Window, by: By, n: usize) -> Heard<Hot> {
        let span = self.heat().spans.window(window);
        let (rows, unlisted) = self.listed(&span.tags, by, n);
        heard(&span, rows, unlisted)
    }

    /// The hottest rows, by what they had at least, and what any other can have had at most.
    fn listed(&self, rows: &Rows, by: By, n: usize) -> (Vec<Hot>, Work) {
        let mut order: Vec<&Row> = rows.rows.iter().collect();
        let rank = |row: &&Row| {
            let most = std::cmp::Reverse(row.work.by(by));
            (most, row.db, row.digest)
        };
        order.sort_unstable_by_key(rank);
        let cut = order.split_off(n.min(order.len()));
        let unlisted = cut
            .iter()
            .fold(rows.floor, |most, row| most.max(row.upper()));
        let hot = order.into_iter().map(|row| Hot {
            db: self.heat().db_at(row.db),
            name: row.name.to_vec(),
            name_len: row.name_len,
            work: row.work,
            error: row.error,
            rewrites: row.rewrites,
        });
        (hot.collect(), unlisted)
    }

    /// Every slot that was written, exactly and in order; none where keys are not counted by slot.
    pub fn hot_slots(&self, window: Window) -> Heard<(u16, Work)> {
        let span = self.heat().spans.window(window);
        let slots = span.slots.iter().collect();
        heard(&span, slots, Work::default())
    }

    /// Every command that the stream brought, exactly and by name, in upper case. Commands that the
    /// model does not know are one row without a name.
    pub fn hot_commands(&self, window: Window) -> Heard<(String, Work)> {
        let span = self.heat().spans.window(window);
        let rows = self.named_commands(&span.commands);
        heard(&span, rows.into_iter().collect(), Work::default())
    }

    /// The same since the model was made.
    pub fn commands_ever(&self) -> BTreeMap<String, Work> {
        self.named_commands(&self.heat().spans.commands_ever())
    }

    fn named_commands(&self, commands: &rates::Numbered) -> BTreeMap<String, Work> {
        let mut rows: BTreeMap<String, Work> = BTreeMap::new();
        for (number, work) in commands.0.iter().enumerate() {
            if work.writes > 0 {
                let sum = rows.entry(self.command_name(number)).or_default();
                *sum = sum.plus(*work);
            }
        }
        rows
    }
}

fn heard<T>(span: &window::Span, rows: Vec<T>, unlisted: Work) -> Heard<T> {
    Heard {
        covered_ms: span.took_ms,
        total: span.total,
        unlisted,
        rows,
    }
}

#[cfg(test)]
mod tests;
