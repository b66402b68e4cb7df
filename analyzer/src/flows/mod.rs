//! What happened to the keys over time: created, changed, deleted, expired, and the bytes that came
//! and went.
//!
//! Every byte by which the sum of all keys changes is in exactly one row: of a command of the stream
//! by the type of its key (and once more by its pattern, and in cluster mode by its hash slot), or of
//! a [`Cause`] that is no command. [`Cause::Corrected`] is what re-reads and looks change, and what is
//! left when an interval is closed: what memory made the model give up. So the rows of a window sum
//! up to the change of the total.
//!
//! - A DEL or UNLINK of a key that is past its expiry is an expiry: masters send it for nothing else
//!   unless a client was as quick. That is told by the clock here, with a second's grace. Of other
//!   DELs and UNLINKs the stream does not say whether a client or an eviction sent them; the server's
//!   own counter tells how many were evictions.
//! - A key is changed when it was there and still is. What that adds to its bytes comes in, what it
//!   takes goes out. One that gets another type is removed and created, by type and by pattern.

mod forecast;
mod growth;
mod history;
mod slots;

use crate::census::Portion;
use crate::keyspace::db::Turn;
use crate::patterns::Deleted;
use crate::store::weigh::Weight;
use crate::value::Kind;

pub use forecast::{Slope, slope};
pub use growth::{Growth, GrowthRow, Point};
pub(crate) use history::History;
pub use history::PatternFlows;

/// What happened to some keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Keys that were not there before.
    pub created: u64,
    /// Writes to keys that were there and still are.
    pub changed: u64,
    /// Keys that DEL or UNLINK removed before their expiry: by a client, or evicted.
    pub deleted: u64,
    /// Keys that another command removed: the last element taken, renamed, replaced by one of another
    /// type; in sums since the beginning flushed ones, too.
    pub removed: u64,
    /// Keys that DEL or UNLINK removed past their expiry.
    pub expired: u64,
    /// Expiries lost because a key was written over without KEEPTTL; see [`Flow::ttl_lost`].
    pub ttl_overwritten: u64,
    /// Expiries taken away by PERSIST, or by GETEX PERSIST.
    pub ttl_persisted: u64,
    /// Expiries given to keys that were there without one: by EXPIRE, or by SET with EX.
    pub ttl_given: u64,
    /// Bytes (MEMORY USAGE) that came.
    pub bytes_in: u64,
    /// Bytes that went.
    pub bytes_out: u64,
}

/// How far the master's clock may be ahead of ours: a key that it expires itself goes within a tenth of
/// a second behind its expiry, as a rule, which is to come yet where our clock is behind. Clocks that
/// are kept by NTP differ by less than a second; a client that deletes a key in the last second of its
/// life is rare, and loses nothing by it.
const CLOCKS_APART_MS: i64 = 1000;

impl Flow {
    /// How many counters it has.
    const FIGURES: usize = 10;

    /// Its counters, in one order.
    fn figures(&self) -> [u64; Flow::FIGURES] {
        let mut copy = *self;
        copy.figures_mut().map(|figure| *figure)
    }

    /// One of those counters.
    fn of_figures(figures: [u64; Flow::FIGURES]) -> Flow {
        let mut flow = Flow::default();
        let own = flow.figures_mut().into_iter();
        own.zip(figures).for_each(|(own, figure)| *own = figure);
        flow
    }

    /// The same, to be changed.
    #[inline]
    fn figures_mut(&mut self) -> [&mut u64; Flow::FIGURES] {
        [
            &mut self.created,
            &mut self.changed,
            &mut self.deleted,
            &mut self.removed,
            &mut self.expired,
            &mut self.ttl_overwritten,
            &mut self.ttl_persisted,
            &mut self.ttl_given,
            &mut self.bytes_in,
            &mut self.bytes_out,
        ]
    }

    /// Adds another one.
    pub fn add(&mut self, more: &Flow) {
        for (sum, more) in self.figures_mut().into_iter().zip(more.figures()) {
            *sum = sum.saturating_add(more);
        }
    }

    /// So many times as much: one in so many keys has a record.
    fn scale(&mut self, m: u64) {
        if m == 1 {
            return;
        }
        for sum in self.figures_mut() {
            *sum = sum.saturating_mul(m);
        }
    }

    /// Takes a part out of it.
    fn take_part(&mut self, part: &Flow) {
        for (sum, part) in self.figures_mut().into_iter().zip(part.figures()) {
            *sum = sum.saturating_sub(part);
        }
    }

    /// Nothing happened.
    pub fn is_nothing(&self) -> bool {
        *self == Flow::default()
    }

    /// Writes to keys, whatever they did: as the heat of keys counts them, which knows no reasons.
    pub fn writes(&self) -> u64 {
        let kinds = [
            self.created,
            self.changed,
            self.deleted,
            self.removed,
            self.expired,
        ];
        kinds.into_iter().fold(0, u64::saturating_add)
    }

    /// By how many bytes the sum changed.
    pub fn net_bytes(&self) -> i64 {
        signed(self.bytes_in).saturating_sub(signed(self.bytes_out))
    }

    /// Expiries lost that were not given back, at the least. A client that writes with SET and then
    /// EXPIRE loses one with each SET and gives one with each EXPIRE, so what was given is taken off
    /// what overwriting took; that some of it went to new keys makes this less than the truth.
    pub fn ttl_lost(&self) -> u64 {
        let overwritten = self.ttl_overwritten.saturating_sub(self.ttl_given);
        overwritten.saturating_add(self.ttl_persisted)
    }

    /// By how many the number of keys changed.
    pub fn net_keys(&self) -> i64 {
        let gone = [self.deleted, self.removed, self.expired].map(signed);
        let gone = gone.into_iter().fold(0i64, i64::saturating_add);
        signed(self.created).saturating_sub(gone)
    }

    /// Bytes that came or went.
    fn bytes(&self) -> u64 {
        self.bytes_in.saturating_add(self.bytes_out)
    }

    /// Keys came and went that are no command's.
    fn of(before: Portion, after: Portion) -> Flow {
        Flow {
            created: after.keys,
            removed: before.keys,
            bytes_in: after.bytes,
            bytes_out: before.bytes,
            ..Flow::default()
        }
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// What a command does, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// DEL and UNLINK.
    Delete,
    /// PERSIST and GETEX.
    Persist,
    /// Any other one.
    Other,
}

/// What changes the sum of all keys and is no command on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// FLUSHDB, FLUSHALL.
    Flushed,
    /// A full sync took the place of what was there.
    Resynced,
    /// The server turned out to be another one than was thought: every key weighs otherwise.
    Reweighed,
    /// Re-reads and looks, key by key, and what was given up for want of memory.
    Corrected,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 4] = [
        Cause::Flushed,
        Cause::Resynced,
        Cause::Reweighed,
        Cause::Corrected,
    ];

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Flushed => "flushed",
            Cause::Resynced => "full sync",
            Cause::Reweighed => "weighed anew",
            Cause::Corrected => "corrected",
        }
    }
}

/// A pattern: its database and its glob.
pub(crate) type PatternOf = (u32, Box<[u8]>);

/// What one row of the history is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    Kind(Kind),
    Cause(Cause),
    /// A pattern by the number of its name.
    Pattern(u32),
    /// Of patterns: what is not told one by one.
    Rest,
    /// Keys that the server says it evicted, as changes: part of what was deleted, not more of it.
    Evicted,
}

/// What a command did to one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    before: Option<Weight>,
    after: Option<Weight>,
    verb: Verb,
    now_ms: i64,
}

impl Change {
    #[inline]
    pub(crate) fn new(turn: &Turn, verb: Verb, now_ms: i64) -> Change {
        Change {
            before: turn.before,
            after: turn.after,
            verb,
            now_ms,
        }
    }

    /// Takes it into a sum.
    #[inline]
    pub(crate) fn enter(&self, flow: &mut Flow) {
        match (&self.before, &self.after) {
            (None, None) => {}
            (None, Some(after)) => {
                flow.created += 1;
                flow.bytes_in = flow.bytes_in.saturating_add(after.bytes);
            }
            (Some(before), Some(after)) => {
                flow.changed += 1;
                let (came, went) = (
                    after.bytes.saturating_sub(before.bytes),
                    before.bytes.saturating_sub(after.bytes),
                );
                flow.bytes_in = flow.bytes_in.saturating_add(came);
                flow.bytes_out = flow.bytes_out.saturating_add(went);
                match (before.expire_ms, after.expire_ms, self.verb) {
                    (None, None, _) | (Some(_), Some(_), _) => {}
                    (None, Some(_), _) => flow.ttl_given += 1,
                    (Some(_), None, Verb::Persist) => flow.ttl_persisted += 1,
                    (Some(_), None, Verb::Delete | Verb::Other) => flow.ttl_overwritten += 1,
                }
            }
            (Some(before), None) => {
                flow.bytes_out = flow.bytes_out.saturating_add(before.bytes);
                match (self.verb, self.is_past(before)) {
                    (Verb::Delete, true) => flow.expired += 1,
                    (Verb::Delete, false) => flow.deleted += 1,
                    (Verb::Persist | Verb::Other, _) => flow.removed += 1,
                }
            }
        }
    }

    /// True if the key was past its expiry, as far as that can be told here.
    #[inline]
    fn is_past(&self, key: &Weight) -> bool {
        let by = self.now_ms.saturating_add(CLOCKS_APART_MS);
        key.expire_ms.is_some_and(|at| at <= by)
    }

    /// The key, if it was deleted before its expiry.
    #[inline]
    pub(crate) fn deleted(&self) -> Option<Deleted> {
        let (Some(before), None, Verb::Delete) = (&self.before, &self.after, self.verb) else {
            return None;
        };
        (!self.is_past(before)).then_some(Deleted {
            bytes: before.bytes,
            at_ms: self.now_ms,
        })
    }

    /// The type of the key, if it has no other one than before.
    fn kind(&self) -> Option<Kind> {
        let kind = |weight: &Weight| weight.form.kind();
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => (kind(before) == kind(after)).then(|| kind(after)),
            (None, Some(weight)) | (Some(weight), None) => Some(kind(weight)),
            (None, None) => Some(Kind::String),
        }
    }

    /// As two events: the key of the old type goes, that of the new one comes.
    #[cold]
    pub(crate) fn across(&self) -> Across {
        let (mut went, mut came) = (Flow::default(), Flow::default());
        if let (Some(before), Some(after)) = (&self.before, &self.after) {
            (went.removed, went.bytes_out) = (1, before.bytes);
            (came.created, came.bytes_in) = (1, after.bytes);
            let (had, has) = (before.expire_ms.is_some(), after.expire_ms.is_some());
            came.ttl_overwritten = u64::from(had && !has);
            came.ttl_given = u64::from(has && !had);
        }
        Across { went, came }
    }
}

/// What a command did that gave a key another type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Across {
    pub(crate) went: Flow,
    pub(crate) came: Flow,
}

/// The flows of a keyspace.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    /// Since the last close.
    kinds: [Flow; Kind::ALL.len()],
    causes: [Flow; Cause::ALL.len()],
    evicted: u64,
    /// Since the keyspace was made.
    pub(crate) ever: Flow,
    pub(crate) history: History,
}

impl Flows {
    /// A command changed a key; its slot, where keys are counted by slot, and one in how many has a
    /// record. `Some` if it has another type now: so it is to be taken elsewhere.
    #[inline]
    pub(crate) fn enter(&mut self, change: &Change, slot: Option<(u16, u64)>) -> Option<Across> {
        if let Some((slot, m)) = slot {
            self.history.slots.enter(slot, change, m);
        }
        match change.kind() {
            Some(kind) => {
                change.enter(&mut self.kinds[kind as usize]);
                None
            }
            None => Some(self.enter_across(change)),
        }
    }

    #[cold]
    fn enter_across(&mut self, change: &Change) -> Across {
        let across = change.across();
        if let (Some(before), Some(after)) = (&change.before, &change.after) {
            self.kinds[before.form.kind() as usize].add(&across.went);
            self.kinds[after.form.kind() as usize].add(&across.came);
        }
        across
    }

    /// Something that is no command on a key changed the sums.
    pub(crate) fn cause(&mut self, cause: Cause, before: Portion, after: Portion) {
        self.causes[cause as usize].add(&Flow::of(before, after));
    }

    /// A re-read or a look changed what is known of a key.
    pub(crate) fn corrected(&mut self, turn: &Turn) {
        let bytes = |weight: &Option<Weight>| weight.as_ref().map_or(0, |weight| weight.bytes);
        let (before, after) = (bytes(&turn.before), bytes(&turn.after));
        let is_new = turn.before.is_none() && turn.after.is_some();
        let is_gone = turn.before.is_some() && turn.after.is_none();
        self.causes[Cause::Corrected as usize].add(&Flow {
            created: u64::from(is_new),
            removed: u64::from(is_gone),
            bytes_in: after.saturating_sub(before),
            bytes_out: before.saturating_sub(after),
            ..Flow::default()
        });
    }

    /// The server says that it evicted so many keys since it said so last.
    pub(crate) fn evicted(&mut self, keys: u64) {
        self.evicted = self.evicted.saturating_add(keys);
    }

    /// Takes what happened until now into the history, which comes to this sum of all keys; of
    /// patterns `named` says what is known. One in `m` keys has a record and stands for the others.
    pub(crate) fn close(&mut self, total: Portion, m: u64, mut named: Vec<(PatternOf, Flow)>) {
        named.iter_mut().for_each(|(_, flow)| flow.scale(m));
        let mut kinds = std::mem::take(&mut self.kinds);
        kinds.iter_mut().for_each(|flow| flow.scale(m));
        let causes = std::mem::take(&mut self.causes);
        let mut all = Flow::default();
        let mut rows = Vec::new();
        for (kind, flow) in Kind::ALL.into_iter().zip(kinds) {
            all.add(&flow);
            rows.push((Of::Kind(kind), flow));
        }
        self.ever.add(&all);
        self.ever.add(&causes[Cause::Flushed as usize]);
        let mut change = all;
        for (cause, flow) in Cause::ALL.into_iter().zip(causes) {
            change.add(&flow);
            rows.push((Of::Cause(cause), flow));
        }
        let evicted = Flow {
            changed: std::mem::take(&mut self.evicted),
            ..Flow::default()
        };
        rows.push((Of::Evicted, evicted));
        let before = self.history.total();
        rows.push((Of::Cause(Cause::Corrected), left(before, total, &change)));
        self.history.take(rows, named, total);
    }
}

/// What of a change is in no row.
fn left(before: Portion, after: Portion, told: &Flow) -> Flow {
    let by = |before: u64, after: u64, told: i64| {
        let change = i128::from(after) - i128::from(before) - i128::from(told);
        let size = u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX);
        if change < 0 { (0, size) } else { (size, 0) }
    };
    let (created, removed) = by(before.keys, after.keys, told.net_keys());
    let (bytes_in, bytes_out) = by(before.bytes, after.bytes, told.net_bytes());
    Flow {
        created,
        removed,
        bytes_in,
        bytes_out,
        ..Flow::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::PatternId;

    #[test]
    fn no_size_is_too_large_for_a_sum() {
        let (small, huge) = (Some(Weight::of_raw(1)), Some(Weight::of_raw(u64::MAX)));
        let ways = [(None, huge), (huge, small), (small, huge), (huge, None)];
        let mut flow = Flow::default();
        for (before, after) in ways.into_iter().chain(ways) {
            let turn = Turn {
                before,
                after,
                pattern: PatternId::NONE,
            };
            Change::new(&turn, Verb::Delete, 0).enter(&mut flow);
        }
        assert_eq!((flow.created, flow.changed, flow.deleted), (2, 4, 2));
        assert_eq!((flow.bytes_in, flow.bytes_out), (u64::MAX, u64::MAX));
    }
}
