//! What is counted of the keys of a database beyond its totals, by deltas and exactly.
//!
//! A [`Count`] is a pure function of the set of keys (name, digest, weight): whoever counts all of
//! them anew must find the same. While a full sync loads nothing is counted, so that loading stays
//! as fast as it is. Behind it, and whenever a fresh count is wanted, a walk in scan order counts
//! every key into a count of its own, some pages at a time, while the stream goes on:
//!
//! ```text
//! order    0 ............... cursor ............... 2^48
//! keys       counted afresh  |  not yet
//! a write    kept and fresh  |  kept alone
//! ```
//!
//! A position in the order is one that no change of the table can invalidate, so no key is counted
//! twice or left out. At the end the fresh count takes the place of the kept one, which was right
//! all the time. Until there is a first one there is no answer but how far the walk has come.

mod calendar;
mod expiries;
mod groups;
mod plan;
mod round;
mod sizes;

use crate::flows::Flow;
use crate::keyspace::db::Named;
use crate::patterns::{self, Patterns, Tally};
use crate::store::weigh::{Scale, Weight};
use crate::store::{ORDER_BITS, Table, order_of};

pub(crate) use calendar::Calendar;
pub use expiries::{Expiries, Gathered, LIVES, Storm, StormLimits};
pub use groups::GroupRow;
pub(crate) use groups::Groups;
pub use plan::{Group, Matcher, Plan};
pub use round::Progress;
pub(crate) use round::Round;
pub use sizes::{CLASSES, Sizes};

/// Behind the last position of the scan order.
const END: u64 = 1 << ORDER_BITS;

/// Keys and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Keys.
    pub keys: u64,
    /// Sum of MEMORY USAGE.
    pub bytes: u64,
}

impl Portion {
    /// One more key.
    pub(crate) fn give(&mut self, bytes: u64) {
        self.keys = self.keys.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    /// One key less.
    pub(crate) fn take(&mut self, bytes: u64) {
        self.keys = self.keys.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub(bytes);
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Portion) -> Portion {
        Portion {
            keys: self.keys.wrapping_add(other.keys),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }

    /// Both together where a server told some of it, and may have told anything: at the most the
    /// largest number that there is.
    pub(crate) fn and_told(self, other: Portion) -> Portion {
        Portion {
            keys: self.keys.saturating_add(other.keys),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Without a part of it.
    #[must_use]
    pub fn without(self, part: Portion) -> Portion {
        Portion {
            keys: self.keys.wrapping_sub(part.keys),
            bytes: self.bytes.wrapping_sub(part.bytes),
        }
    }
}

/// Which pattern a key belongs to, in its database's count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PatternId(pub(crate) u32);

impl PatternId {
    /// Keys are not counted by pattern.
    pub(crate) const NONE: PatternId = PatternId(u32::MAX);

    /// The key is in none of the patterns, since there are too many.
    pub(crate) const OTHER: PatternId = PatternId(u32::MAX - 1);
}

/// Everything that is counted, of the keys that were shown to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) expiries: Calendar,
    pub(crate) sizes: Sizes,
    /// `None` if keys are not counted by pattern.
    pub(crate) patterns: Option<Patterns>,
    pub(crate) groups: Groups,
}

impl Count {
    /// No key yet, at that time, unix milliseconds.
    pub(crate) fn new(plan: &Plan, (seed, now_ms): (u64, i64)) -> Count {
        let max = plan.patterns_max;
        Count {
            expiries: Calendar::new(now_ms),
            sizes: Sizes::default(),
            patterns: (max > 0).then(|| Patterns::new(seed, max)),
            groups: Groups::new(&plan.groups),
        }
    }

    /// How many names a count is shown before it counts.
    fn lessons(&self) -> u64 {
        self.patterns.as_ref().map_or(0, |_| patterns::LESSONS)
    }

    /// One that has learned the same and has counted nothing.
    pub(crate) fn alike(&self) -> Count {
        Count {
            expiries: self.expiries.alike(),
            sizes: Sizes::default(),
            patterns: self.patterns.as_ref().map(Patterns::alike),
            groups: self.groups.alike(),
        }
    }

    /// Is shown a name, before any key is counted: the first keys of the scan order are a uniform
    /// sample of all.
    fn learn(&mut self, name: &[u8]) {
        if let Some(patterns) = &mut self.patterns {
            patterns.learn(name);
        }
    }

    /// Was shown enough; keys are counted from now on.
    fn end_lessons(&mut self) {
        if let Some(patterns) = &mut self.patterns {
            patterns.end_learning();
        }
    }

    /// Takes one key's change: `None` is "not there". Returns the pattern of the key.
    #[inline]
    pub(crate) fn turn(
        &mut self,
        key: Named<'_>,
        before: Option<&Weight>,
        after: Option<&Weight>,
    ) -> PatternId {
        self.expiries.turn(before, after);
        self.sizes.turn(before, after);
        self.groups.turn(key.name, before, after);
        match &mut self.patterns {
            Some(patterns) => {
                let pattern = patterns.turn(key.name, before, after);
                pattern.map_or(PatternId::OTHER, PatternId)
            }
            None => PatternId::NONE,
        }
    }

    /// All keys are counted, which takes the place of what was counted before.
    fn finish(mut self, before: Option<&Count>) -> Count {
        if let Some(patterns) = &mut self.patterns {
            patterns.finish(before.and_then(|before| before.patterns.as_ref()));
        }
        self
    }

    /// True if a fresh count is wanted at that time.
    fn is_stale(&self, now_ms: i64) -> bool {
        let learnable = self.patterns.as_ref().is_some_and(Patterns::is_stale);
        learnable || self.expiries.is_stale(now_ms)
    }

    fn heap_bytes(&self) -> usize {
        let patterns = self.patterns.as_ref().map_or(0, Patterns::heap_bytes);
        self.expiries.heap_bytes() + patterns + self.groups.heap_bytes()
    }

    /// The first difference to a count of the same keys, in words.
    fn differs_from(&self, other: &Count) -> Option<String> {
        let Count {
            expiries,
            sizes,
            patterns,
            groups,
        } = self;
        if *expiries != other.expiries {
            let naive = &other.expiries;
            return Some(format!("expiries are {expiries:?}, should be {naive:?}"));
        }
        if *sizes != other.sizes {
            let naive = &other.sizes;
            return Some(format!("sizes are {sizes:?}, should be {naive:?}"));
        }
        if *groups != other.groups {
            let naive = &other.groups;
            return Some(format!("groups are {groups:?}, should be {naive:?}"));
        }
        let (counted, naive) = (patterns.as_ref()?, other.patterns.as_ref()?);
        counted.differs_from(naive)
    }
}

/// A count that is being made.
#[derive(Debug)]
struct Fresh {
    count: Count,
    /// Names that are still shown to it; the walk begins anew behind them.
    lessons: u64,
    /// Keys before this position are counted.
    order: u64,
}

impl Fresh {
    fn new(count: Count) -> Fresh {
        Fresh {
            lessons: count.lessons(),
            count,
            order: 0,
        }
    }

    /// True if a key of that digest is counted already.
    fn has(&self, digest: u64) -> bool {
        self.lessons == 0 && order_of(digest) < self.order
    }

    /// Takes the next page; how many keys it met.
    fn page(&mut self, table: &Table, scale: &Scale) -> usize {
        let (page, next) = table.page_at(self.order);
        let whole = table.starts_page(page, self.order);
        let learns = self.lessons > 0;
        let mut met = 0;
        for record in table.records(page) {
            met += 1;
            let digest = table.digest_of(&record);
            // Only after a merge of pages can the cursor stand inside one.
            if !whole && order_of(digest) < self.order {
                continue;
            }
            let name = table.name(&record);
            if learns {
                self.count.learn(name);
                self.lessons = self.lessons.saturating_sub(1);
                continue;
            }
            let weight = table.weigh(&record, scale);
            self.count.turn(Named { name, digest }, None, Some(&weight));
        }
        self.order = next;
        if learns && (self.lessons == 0 || next >= END) {
            (self.lessons, self.order) = (0, 0);
            self.count.end_lessons();
        }
        met
    }
}

#[derive(Debug, Default)]
struct Running {
    /// What answers are given from.
    kept: Option<Count>,
    fresh: Option<Fresh>,
    /// What nobody has asked for yet of flows of counts that were kept before.
    left: Vec<(Vec<u8>, Flow)>,
}

impl Running {
    fn turn(
        &mut self,
        key: Named<'_>,
        before: Option<&Weight>,
        after: Option<&Weight>,
    ) -> PatternId {
        if let Some(fresh) = &mut self.fresh
            && fresh.has(key.digest)
        {
            fresh.count.turn(key, before, after);
        }
        match &mut self.kept {
            Some(count) => count.turn(key, before, after),
            None => PatternId::NONE,
        }
    }

    fn take_flows(&mut self) -> Vec<(Vec<u8>, Flow)> {
        let mut flows = std::mem::take(&mut self.left);
        let kept = self.kept.as_mut();
        if let Some(patterns) = kept.and_then(|count| count.patterns.as_mut()) {
            flows.extend(patterns.take_flows());
        }
        flows
    }
}

/// The counts of one database; nothing is counted by default.
#[derive(Debug, Default)]
pub(crate) struct Census(Option<Box<Running>>);

impl Census {
    /// The census of a database without keys, complete.
    pub(crate) fn of_nothing(plan: &Plan, (seed, now_ms): (u64, i64)) -> Census {
        Census(Some(Box::new(Running {
            kept: Some(Count::new(plan, (seed, now_ms))),
            ..Running::default()
        })))
    }

    /// The census of a database whose keys were not counted, or not as they are now.
    pub(crate) fn begin(&mut self) {
        self.0 = Some(Box::default());
    }

    /// Counts what was kept again from scratch, if anything is counted: it holds no longer.
    pub(crate) fn begin_again(&mut self) {
        if self.0.is_some() {
            self.begin();
        }
    }

    /// Takes one key's change: `None` is "not there". Returns the pattern of the key.
    #[inline]
    pub(crate) fn turn(
        &mut self,
        key: Named<'_>,
        before: Option<&Weight>,
        after: Option<&Weight>,
    ) -> PatternId {
        match &mut self.0 {
            Some(running) => running.turn(key, before, after),
            None => PatternId::NONE,
        }
    }

    /// The pattern that the last turn was of.
    #[inline]
    pub(crate) fn turned_mut(&mut self, pattern: PatternId) -> Option<&mut Tally> {
        let patterns = self.0.as_mut()?.kept.as_mut()?.patterns.as_mut()?;
        match pattern {
            PatternId::NONE => None,
            PatternId::OTHER => Some(patterns.turned_mut(None)),
            PatternId(at) => Some(patterns.turned_mut(Some(at))),
        }
    }

    /// What happened to the keys of each pattern since that was asked last.
    pub(crate) fn take_flows(&mut self) -> Vec<(Vec<u8>, Flow)> {
        let running = self.0.as_mut();
        running.map_or_else(Vec::new, |running| running.take_flows())
    }

    /// What is counted, if it is complete.
    pub(crate) fn count(&self) -> Option<&Count> {
        self.0.as_ref()?.kept.as_ref()
    }

    /// True if a count is being made, or is to be.
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        self.0.as_ref().is_some_and(|running| {
            let stale = |count: &Count| count.is_stale(now_ms);
            running.fresh.is_some() || running.kept.as_ref().is_none_or(stale)
        })
    }

    /// How many of so many keys are counted, about.
    fn progress(&self, keys: u64) -> u64 {
        let Some(running) = &self.0 else {
            return 0;
        };
        if running.kept.is_some() {
            return keys;
        }
        let order = match &running.fresh {
            Some(fresh) if fresh.lessons == 0 => fresh.order,
            Some(_) | None => 0,
        };
        let part = u128::from(keys) * u128::from(order) / u128::from(END);
        u64::try_from(part).unwrap_or(keys)
    }

    /// Counts the next keys, about `budget` of them and by whole pages; how many it met.
    pub(crate) fn step(
        &mut self,
        table: &Table,
        scale: &Scale,
        (count, budget): (impl FnOnce() -> Count, usize),
    ) -> usize {
        let Some(running) = &mut self.0 else {
            return 0;
        };
        let fresh = running.fresh.get_or_insert_with(|| Fresh::new(count()));
        let mut met = 0;
        while met < budget {
            // An empty page costs something, too.
            met += 1 + fresh.page(table, scale);
            if fresh.order >= END {
                // A fresh count may have other patterns and knows no flow.
                running.left = running.take_flows();
                let fresh = running.fresh.take();
                running.kept = fresh.map(|fresh| fresh.count.finish(running.kept.as_ref()));
                break;
            }
        }
        met
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Some(running) = &self.0 else {
            return 0;
        };
        let fresh = running.fresh.as_ref().map(|fresh| &fresh.count);
        let counts = running.kept.iter().chain(fresh);
        size_of::<Running>() + counts.map(Count::heap_bytes).sum::<usize>()
    }

    /// Compares everything that is counted with the keys that there are.
    ///
    /// # Errors
    /// The first difference, in words.
    pub(crate) fn audit(&self, table: &Table, scale: &Scale) -> Result<(), String> {
        let Some(running) = &self.0 else {
            return Ok(());
        };
        let kept = running.kept.as_ref().map(|count| (count, END));
        let fresh = running.fresh.as_ref();
        let fresh = fresh.filter(|fresh| fresh.lessons == 0);
        let fresh = fresh.map(|fresh| (&fresh.count, fresh.order));
        for (count, until) in kept.into_iter().chain(fresh) {
            let mut naive = count.alike();
            for record in (0..table.pages()).flat_map(|page| table.records(page)) {
                let name = table.name(&record);
                let digest = table.digest(name);
                if order_of(digest) < until {
                    let weight = table.weigh(&record, scale);
                    naive.turn(Named { name, digest }, None, Some(&weight));
                }
            }
            if let Some(difference) = count.differs_from(&naive) {
                return Err(difference);
            }
        }
        Ok(())
    }
}
