//! The flows of the past in bounded memory: by the second for two minutes, by the minute for two
//! hours, by the hour for three days.
//!
//! An interval keeps a row for every type and cause that anything happened to, and for the patterns
//! and hash slots that changed most, patterns by writes and by bytes in turns; the others of it are
//! one row, the rest. So the rows of an interval always sum up to what happened in it.
//!
//! Time here is what passed on the wall clock, as it is told about once a second, and never by
//! commands, which are older than that. It never goes back: in the second in which the clock is put
//! back nothing passes.

use std::collections::{BTreeMap, VecDeque};

use super::slots::{self, SlotFlows};
use super::{Flow, Of, PatternOf, Point};
use crate::census::Portion;

/// Names that are remembered; what finds no room is the rest.
const NAMES_MAX: usize = 4096;

/// A resolution: the length of an interval in seconds, how many are kept, and how many patterns are
/// told one by one in each.
pub(crate) const SCALES: [(i64, usize, usize); 3] = [(1, 120, 12), (60, 120, 20), (3600, 72, 32)];

/// What happened in an interval.
#[derive(Clone, Debug)]
struct Interval {
    /// When it ended, seconds.
    end_s: i64,
    rows: Box<[(Of, Flow)]>,
    /// By hash slot.
    slots: slots::Closed,
    /// All keys at its end.
    total: Portion,
    /// What commands did to all bytes since the beginning, at its end.
    level: i128,
}

#[derive(Debug)]
struct Ring {
    length_s: i64,
    keep: usize,
    patterns: usize,
    open: BTreeMap<Of, Flow>,
    closed: VecDeque<Interval>,
    /// Where the oldest kept interval began, and all keys then.
    base: (i64, Portion),
    base_level: i128,
}

impl Ring {
    fn new((length_s, keep, patterns): (i64, usize, usize)) -> Ring {
        Ring {
            length_s,
            keep,
            patterns,
            open: BTreeMap::new(),
            closed: VecDeque::new(),
            base: (0, Portion::default()),
            base_level: 0,
        }
    }

    fn add(&mut self, rows: &[(Of, Flow)]) {
        for (of, flow) in rows {
            self.open.entry(*of).or_default().add(flow);
        }
    }

    /// Closes the interval under way, which ends then; of hash slots this is known.
    fn close(&mut self, end_s: i64, (total, level): (Portion, i128), slots: slots::Closed) {
        if self.open.is_empty() {
            return;
        }
        let open = std::mem::take(&mut self.open);
        let (mut patterns, mut rows): (Vec<_>, Vec<_>) = open
            .into_iter()
            .partition(|(of, _)| matches!(of, Of::Pattern(_)));
        most_changed_first(&mut patterns);
        let mut rest = Flow::default();
        for (_, flow) in patterns.drain(self.patterns.min(patterns.len())..) {
            rest.add(&flow);
        }
        rows.retain(|(of, flow)| match of {
            Of::Rest => {
                rest.add(flow);
                false
            }
            Of::Kind(_) | Of::Cause(_) | Of::Pattern(_) | Of::Evicted => true,
        });
        rows.append(&mut patterns);
        if !rest.is_nothing() {
            rows.push((Of::Rest, rest));
        }
        self.closed.push_back(Interval {
            end_s,
            rows: rows.into(),
            slots,
            total,
            level,
        });
    }

    /// The patterns that it has rows of.
    fn patterns_told(&self) -> impl Iterator<Item = u32> {
        let closed = self.closed.iter().flat_map(|interval| &interval.rows);
        patterns_of(closed.map(|(of, _)| of).chain(self.open.keys()))
    }

    /// Forgets what is too long ago.
    fn forget(&mut self, now_s: i64) {
        let keep = i64::try_from(self.keep).unwrap_or(i64::MAX);
        let oldest = now_s.saturating_sub(keep.saturating_mul(self.length_s));
        while let Some(first) = self.closed.front() {
            if first.end_s > oldest {
                break;
            }
            self.base = (first.end_s, first.total);
            self.base_level = first.level;
            self.closed.pop_front();
        }
    }
}

/// The patterns that some rows are of.
fn patterns_of<'a>(rows: impl Iterator<Item = &'a Of>) -> impl Iterator<Item = u32> {
    rows.filter_map(|of| match of {
        Of::Pattern(number) => Some(*number),
        Of::Kind(_) | Of::Cause(_) | Of::Rest | Of::Evicted => None,
    })
}

/// In front those with most writes and those with most bytes in turns: a counter that is written all
/// the time moves no byte, and a load of large values takes few writes.
fn most_changed_first(patterns: &mut Vec<(Of, Flow)>) {
    let ranked = |by: fn(&Flow) -> u64| {
        let mut order: Vec<usize> = (0..patterns.len()).collect();
        order.sort_by_key(|at| {
            patterns
                .get(*at)
                .map(|(_, flow)| std::cmp::Reverse(by(flow)))
        });
        order
    };
    let (writes, bytes) = (ranked(Flow::writes), ranked(Flow::bytes));
    let mut rank = vec![usize::MAX; patterns.len()];
    let in_turns = writes.into_iter().zip(bytes);
    for (place, at) in in_turns.flat_map(|(a, b)| [a, b]).enumerate() {
        if let Some(rank) = rank.get_mut(at) {
            *rank = place.min(*rank);
        }
    }
    let mut ranked: Vec<(usize, (Of, Flow))> = rank.into_iter().zip(patterns.drain(..)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    patterns.extend(ranked.into_iter().map(|(_, row)| row));
}

/// The names of patterns, by number.
#[derive(Debug, Default)]
struct Names {
    names: Vec<Option<PatternOf>>,
    numbers: BTreeMap<PatternOf, u32>,
    free: Vec<u32>,
}

impl Names {
    fn number(&mut self, name: PatternOf) -> Option<u32> {
        if let Some(number) = self.numbers.get(&name) {
            return Some(*number);
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.names.len() < NAMES_MAX => {
                self.names.push(None);
                u32::try_from(self.names.len() - 1).ok()?
            }
            None => return None,
        };
        *self.names.get_mut(number as usize)? = Some(name.clone());
        self.numbers.insert(name, number);
        Some(number)
    }

    fn swap(&mut self, a: u32, b: u32) {
        for name in self.names.iter_mut().flatten() {
            name.0 = match name.0 {
                db if db == a => b,
                db if db == b => a,
                db => db,
            };
        }
        let names = (0..).zip(&self.names);
        let names = names.filter_map(|(number, name)| Some((name.clone()?, number)));
        self.numbers = names.collect();
    }

    /// True if there is no number for a name that has none.
    fn is_full_for(&self, name: &PatternOf) -> bool {
        let full = self.free.is_empty() && self.names.len() >= NAMES_MAX;
        full && !self.numbers.contains_key(name)
    }

    fn keep(&mut self, used: &[bool]) {
        for (number, name) in (0..).zip(&mut self.names) {
            let is_used = used.get(number as usize).copied().unwrap_or(false);
            if let (false, Some(name)) = (is_used, name.take_if(|_| !is_used)) {
                self.numbers.remove(&name);
                self.free.push(number);
            }
        }
    }
}

/// The flows of the past.
#[derive(Debug)]
pub(crate) struct History {
    /// The clock as it was heard last, seconds.
    wall_s: Option<i64>,
    /// Time that has passed.
    now_s: i64,
    total: Portion,
    level: i128,
    rings: [Ring; SCALES.len()],
    names: Names,
    pub(super) slots: SlotFlows,
    /// What nobody has asked for yet.
    pub(super) unasked: PatternFlows,
}

/// What commands did by pattern, since that was asked last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatternFlows {
    /// By pattern, whatever its database; at most 4096 of them, those that came first.
    pub named: BTreeMap<Vec<u8>, Flow>,
    /// Other patterns, and keys that are counted by none.
    pub rest: Flow,
}

impl PatternFlows {
    fn take(&mut self, named: &[(PatternOf, Flow)], all: &Flow) {
        let mut rest = *all;
        for ((_, glob), flow) in named {
            if let Some(sum) = self.named.get_mut(&**glob) {
                sum.add(flow);
            } else if self.named.len() < NAMES_MAX {
                self.named.insert(glob.to_vec(), *flow);
            } else {
                continue;
            }
            rest.take_part(flow);
        }
        self.rest.add(&rest);
    }

    /// Takes what another one has, too.
    pub(super) fn add(&mut self, other: PatternFlows) {
        for (glob, flow) in other.named {
            if let Some(sum) = self.named.get_mut(&glob) {
                sum.add(&flow);
            } else if self.named.len() < NAMES_MAX {
                self.named.insert(glob, flow);
            } else {
                self.rest.add(&flow);
            }
        }
        self.rest.add(&other.rest);
    }
}

/// What is remembered of a window.
pub(super) struct Past {
    /// When it begins, seconds of the time that has passed.
    pub(super) since_s: i64,
    /// All keys then.
    pub(super) before: Portion,
    /// What happened since.
    pub(super) sums: BTreeMap<Of, Flow>,
    /// The same by hash slot.
    pub(super) slots: slots::Sums,
}

impl Default for History {
    fn default() -> History {
        History {
            wall_s: None,
            now_s: 0,
            total: Portion::default(),
            level: 0,
            rings: SCALES.map(Ring::new),
            names: Names::default(),
            slots: SlotFlows::default(),
            unasked: PatternFlows::default(),
        }
    }
}

impl History {
    /// All keys, when they were told last.
    pub(crate) fn total(&self) -> Portion {
        self.total
    }

    /// True if a second is over at that time.
    #[inline]
    pub(crate) fn is_over(&self, now_ms: i64) -> bool {
        self.wall_s != Some(now_ms.div_euclid(1000))
    }

    /// Takes what happened, and all keys as they are now.
    pub(super) fn take(
        &mut self,
        mut rows: Vec<(Of, Flow)>,
        named: Vec<(PatternOf, Flow)>,
        total: Portion,
    ) {
        let mut rest = Flow::default();
        for (of, flow) in &rows {
            match of {
                Of::Kind(_) => rest.add(flow),
                Of::Cause(_) | Of::Pattern(_) | Of::Rest | Of::Evicted => {}
            }
        }
        self.level += i128::from(rest.net_bytes());
        let flushed = rows
            .iter()
            .filter(|(of, _)| *of == Of::Cause(super::Cause::Flushed));
        self.level += flushed
            .map(|(_, flow)| i128::from(flow.net_bytes()))
            .sum::<i128>();
        self.unasked.take(&named, &rest);
        let mut sought = false;
        for (name, flow) in named {
            // What is found free here is used behind it, so looking once more would find nothing.
            if !sought && self.names.is_full_for(&name) {
                self.free_names(&rows);
                sought = true;
            }
            if let Some(number) = self.names.number(name) {
                rest.take_part(&flow);
                rows.push((Of::Pattern(number), flow));
            }
        }
        rows.push((Of::Rest, rest));
        rows.retain(|(_, flow)| !flow.is_nothing());
        for ring in &mut self.rings {
            ring.add(&rows);
        }
        self.total = total;
    }

    /// Gives up the names that have no row, neither in the rings nor in those that are to come.
    fn free_names(&mut self, rows: &[(Of, Flow)]) {
        let mut used = vec![false; NAMES_MAX];
        let told = self.rings.iter().flat_map(Ring::patterns_told);
        for number in told.chain(patterns_of(rows.iter().map(|(of, _)| of))) {
            if let Some(used) = used.get_mut(number as usize) {
                *used = true;
            }
        }
        self.names.keep(&used);
    }

    /// The clock went on: intervals that are over are closed.
    pub(crate) fn pass(&mut self, now_ms: i64) {
        let wall_s = now_ms.div_euclid(1000);
        let Some(before) = self.wall_s.replace(wall_s) else {
            self.now_s = wall_s;
            for ring in &mut self.rings {
                ring.base.0 = wall_s;
            }
            return;
        };
        let old = self.now_s;
        self.now_s = old.saturating_add(wall_s.saturating_sub(before).max(0));
        for (scale, ring) in self.rings.iter_mut().enumerate() {
            let index = old.div_euclid(ring.length_s);
            if self.now_s.div_euclid(ring.length_s) > index {
                let end_s = (index + 1).saturating_mul(ring.length_s);
                let slots = self.slots.close(scale);
                ring.close(end_s, (self.total, self.level), slots);
                ring.forget(self.now_s);
            }
        }
    }

    /// The resolution for a window.
    fn scale(window_s: i64) -> usize {
        let reach = |(length_s, keep, _): &(i64, usize, usize)| {
            let keep = i64::try_from(*keep).unwrap_or(i64::MAX);
            keep.saturating_mul(*length_s) >= window_s
        };
        SCALES.iter().position(reach).unwrap_or(SCALES.len() - 1)
    }

    /// What happened in the last so many seconds, as far as it is remembered.
    pub(super) fn window(&self, window_s: i64) -> Past {
        let scale = History::scale(window_s);
        let ring = &self.rings[scale];
        let from = self.now_s.saturating_sub(window_s);
        let mut since = ring.base;
        let mut sums: BTreeMap<Of, Flow> = ring.open.clone();
        let mut slots = slots::Sums::new();
        self.slots.add_open(scale, &mut slots);
        for interval in &ring.closed {
            if interval.end_s <= from {
                since = (interval.end_s, interval.total);
                continue;
            }
            for (of, flow) in &interval.rows {
                sums.entry(*of).or_default().add(flow);
            }
            slots::add_closed(&interval.slots, &mut slots);
        }
        // Nothing happened between the end of that interval and the window, if there is a gap.
        let step = from.div_euclid(ring.length_s).saturating_mul(ring.length_s);
        Past {
            since_s: since.0.max(step),
            before: since.1,
            sums,
            slots,
        }
    }

    /// What commands did to all bytes, at the end of each interval of a window, and now.
    pub(super) fn points(&self, window_s: i64) -> Vec<Point> {
        let ring = &self.rings[History::scale(window_s)];
        let from = self.now_s.saturating_sub(window_s).max(ring.base.0);
        let mut level = ring.base_level;
        let mut closed = ring.closed.iter().peekable();
        let first = from.div_euclid(ring.length_s);
        let last = self.now_s.div_euclid(ring.length_s);
        let mut points = Vec::new();
        for index in first..=last {
            let at_s = index.saturating_mul(ring.length_s);
            while let Some(interval) = closed.next_if(|interval| interval.end_s <= at_s) {
                level = interval.level;
            }
            if at_s >= from {
                points.push(Point { at_s, level });
            }
        }
        if last.saturating_mul(ring.length_s) < self.now_s {
            points.push(Point {
                at_s: self.now_s,
                level: self.level,
            });
        }
        points
    }

    /// The database and the glob of a pattern by its number.
    pub(super) fn name(&self, number: u32) -> (u32, &[u8]) {
        let name = self.names.names.get(number as usize);
        let name = name.and_then(Option::as_ref);
        name.map_or((0, &[]), |(db, glob)| (*db, glob))
    }

    /// Two databases exchange their numbers.
    pub(crate) fn swap(&mut self, a: u32, b: u32) {
        self.names.swap(a, b);
    }

    pub(super) fn now_s(&self) -> i64 {
        self.now_s
    }

    /// How far the clock is from the time that has passed.
    pub(super) fn skew_s(&self) -> i64 {
        self.wall_s
            .map_or(0, |wall| wall.saturating_sub(self.now_s))
    }

    /// Bytes allocated, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        let row = size_of::<(Of, Flow)>();
        let rings = self.rings.iter().map(|ring| {
            let closed = ring.closed.iter();
            let closed =
                closed.map(|interval| interval.rows.len() * row + interval.slots.heap_bytes());
            closed.sum::<usize>() + ring.open.len() * row
        });
        let names = self.names.numbers.keys();
        let names = names.map(|(_, glob)| 2 * glob.len() + 80);
        let unasked = self.unasked.named.keys();
        let unasked = unasked.map(|name| name.len() + size_of::<(Vec<u8>, Flow)>());
        let names = names.chain(unasked);
        rings.sum::<usize>() + names.sum::<usize>() + self.slots.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> PatternOf {
        (0, format!("pattern:{n}:*").into_bytes().into())
    }

    /// Takes one new key of each of those patterns.
    fn take(history: &mut History, patterns: std::ops::Range<usize>) {
        let created = |keys: usize| Flow {
            created: keys as u64,
            ..Flow::default()
        };
        let all = vec![(
            Of::Kind(crate::value::Kind::String),
            created(patterns.len()),
        )];
        let named = patterns.map(|n| (name(n), created(1))).collect();
        history.take(all, named, Portion::default());
    }

    #[test]
    fn no_two_patterns_of_one_close_have_one_number() {
        for (before, named) in [(4095, 1), (4096, 0), (4000, 96)] {
            let mut history = History::default();
            history.pass(0);
            take(&mut history, 0..before);
            take(&mut history, before..before + 200);
            let sums = history.window(3600).sums;
            let mut told = 0;
            for (of, flow) in &sums {
                if let Of::Pattern(number) = of {
                    assert_eq!(flow.created, 1, "{:?}", history.name(*number));
                    told += 1;
                }
            }
            assert_eq!(told, before + named);
            let rest = sums.get(&Of::Rest).map(|flow| flow.created);
            assert_eq!(rest, Some(200 - named as u64));
        }
    }

    #[test]
    fn numbers_that_no_row_has_are_given_anew() {
        let mut history = History::default();
        history.pass(0);
        take(&mut history, 0..4096);
        // By then only those have a row that the hour tells one by one.
        history.pass(3 * 3_600_000);
        take(&mut history, 5000..5100);
        let sums = history.window(60).sums;
        let numbers = patterns_of(sums.keys());
        let mut names: Vec<Vec<u8>> = numbers.map(|n| history.name(n).1.to_vec()).collect();
        let mut expected: Vec<Vec<u8>> = (5000..5100).map(|n| name(n).1.to_vec()).collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
    }
}
