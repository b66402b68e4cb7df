//! How the keyspace grew: every byte of a window's change, by type, pattern and cause.

use std::collections::BTreeMap;

use super::slots::REST;
use super::{Cause, Change, Flow, Of, PatternFlows, Verb};
use crate::census::Portion;
use crate::keyspace::Keyspace;
use crate::keyspace::db::Turn;
use crate::value::Kind;

/// A row of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowthRow<T> {
    /// What it is about.
    pub of: T,
    /// What happened to it.
    pub flow: Flow,
}

/// What commands had done to all bytes at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Seconds.
    pub at_s: i64,
    /// Bytes more than at the beginning, full syncs and corrections left out.
    pub level: i128,
}

/// What happened in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// When the window begins, unix seconds: later than asked if less is remembered.
    pub since_s: i64,
    /// Seconds until now.
    pub covered_s: u64,
    /// All keys at its beginning.
    pub before: Portion,
    /// All keys now. What they changed by is the sum of `kinds` and `causes`.
    pub now: Portion,
    /// By type.
    pub kinds: Vec<GrowthRow<Kind>>,
    /// What was no command on a key.
    pub causes: Vec<GrowthRow<Cause>>,
    /// By pattern, whatever its database, as far as they are told one by one. With `rest` the sum of
    /// `kinds`.
    pub patterns: Vec<GrowthRow<Vec<u8>>>,
    /// The same by database and pattern.
    pub patterns_of_dbs: Vec<GrowthRow<(u32, Vec<u8>)>>,
    /// The other patterns.
    pub rest: Flow,
    /// By hash slot, as far as they are told one by one; none where keys are not counted by slot.
    pub slots: Vec<GrowthRow<u16>>,
    /// The other slots. With `slots` it comes to the same change as `kinds`.
    pub slots_rest: Flow,
    /// Keys that the server says it evicted: they are among those deleted.
    pub evicted: u64,
    /// For the slope.
    pub points: Vec<Point>,
}

impl Keyspace {
    /// What happened in the last so many seconds, three days at most. The beginning is that of a
    /// second, minute or hour, whichever is fine enough for the window.
    pub fn growth(&mut self, window_s: u32) -> Growth {
        self.close_flows();
        let window_s = i64::from(window_s.max(1));
        let history = &self.flows().history;
        let past = history.window(window_s);
        let covered = history.now_s().saturating_sub(past.since_s);
        let mut growth = Growth {
            since_s: past.since_s.saturating_add(history.skew_s()),
            covered_s: u64::try_from(covered).unwrap_or(0),
            before: past.before,
            now: history.total(),
            points: history.points(window_s),
            ..Growth::default()
        };
        for (of, flow) in past.slots {
            match of {
                REST => growth.slots_rest = flow,
                _ => growth.slots.push(GrowthRow { of, flow }),
            }
        }
        let mut globs: BTreeMap<Vec<u8>, Flow> = BTreeMap::new();
        for (of, flow) in past.sums {
            match of {
                Of::Kind(of) => growth.kinds.push(GrowthRow { of, flow }),
                Of::Cause(of) => growth.causes.push(GrowthRow { of, flow }),
                Of::Pattern(number) => {
                    let (db, glob) = history.name(number);
                    globs.entry(glob.to_vec()).or_default().add(&flow);
                    let of = (db, glob.to_vec());
                    growth.patterns_of_dbs.push(GrowthRow { of, flow });
                }
                Of::Rest => growth.rest.add(&flow),
                Of::Evicted => growth.evicted = flow.changed,
            }
        }
        let rows = globs.into_iter();
        growth.patterns = rows.map(|(of, flow)| GrowthRow { of, flow }).collect();
        growth
    }

    /// What commands did to the keys of each pattern, since this was asked last: whoever adds it up
    /// has counters.
    pub fn take_pattern_flows(&mut self) -> PatternFlows {
        self.close_flows();
        std::mem::take(&mut self.flows_mut().history.unasked)
    }

    /// Takes back what nobody has added up.
    pub fn return_pattern_flows(&mut self, taken: PatternFlows) {
        self.flows_mut().history.unasked.add(taken);
    }

    /// Bytes that the history takes: some of it for every pattern and slot that is written, bounded.
    pub fn history_bytes(&self) -> usize {
        self.flows().history.heap_bytes()
    }

    /// The server says that it evicted so many keys since it was asked last.
    pub fn told_evicted(&mut self, keys: u64) {
        self.flows_mut().evicted(keys);
    }

    /// What commands did to keys since the model was made, up to the last full second; what FLUSHALL
    /// and FLUSHDB took is removed.
    pub fn flow_ever(&self) -> Flow {
        self.flows().ever
    }

    /// A command changed a key; its slot, where keys are counted by slot.
    #[inline]
    pub(crate) fn note_flow(&mut self, db: u32, turn: &Turn, slot: Option<u16>) {
        let needs_verb = turn.before.is_some_and(|before| {
            let lost = before.expire_ms.is_some()
                && turn.after.is_some_and(|after| after.expire_ms.is_none());
            turn.after.is_none() || lost
        });
        let verb = if needs_verb { self.verb() } else { Verb::Other };
        let change = Change::new(turn, verb, self.now_ms());
        let slot = slot.map(|slot| (slot, self.live().share().one_in()));
        let across = self.flows_mut().enter(&change, slot);
        let Some(tally) = self.live_mut().db_mut(db).census.turned_mut(turn.pattern) else {
            return;
        };
        if let Some(deleted) = change.deleted() {
            tally.deleted = tally.deleted.or(deleted);
        }
        match across {
            None => change.enter(&mut tally.flow),
            Some(across) => {
                tally.flow.add(&across.went);
                tally.flow.add(&across.came);
            }
        }
    }

    /// A second is over.
    #[cold]
    pub(crate) fn pass_flows(&mut self, now_ms: i64) {
        self.close_flows();
        self.flows_mut().history.pass(now_ms);
    }

    /// Takes what happened until now into the history.
    pub(crate) fn close_flows(&mut self) {
        let total = self.live().total();
        let m = self.live().share().one_in();
        let named = self.live_mut().take_flows();
        self.flows_mut().close(total, m, named);
    }
}
