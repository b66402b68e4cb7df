//! Picking members by rank or by score.
//!
//! A small sorted set is sorted on the spot. A large one keeps an index in score order from the
//! first such command on, and drops it after as many other changes as it has members: a queue that
//! is popped all day pays for it, a leaderboard that is trimmed once a week does not.

use std::collections::BTreeSet;

use super::Zset;
use crate::profile::Profile;

/// Members above which an index is kept.
const INDEX_FROM: usize = 512;
/// Changes without a use after which a small index is dropped.
const IDLE_MIN: usize = 4096;
/// The digest bits that a member from the small days has.
const SHORT: u64 = (1 << 48) - 1;

/// Members chosen by rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picked {
    /// Their digests, lowest score first.
    pub(crate) digests: Vec<u64>,
    /// Members of one score stand on both sides of an edge, so others may have been chosen.
    pub(crate) unsure: bool,
}

/// Scores in order, as integers that compare like them.
#[derive(Clone, Debug)]
pub(super) struct Order {
    by_score: BTreeSet<(u64, u64)>,
    /// Changes left before it is dropped.
    credit: usize,
}

impl Order {
    pub(super) fn heap_bytes(&self) -> usize {
        // Nodes of up to 11 entries, two thirds full.
        self.by_score.len() * 26
    }

    pub(super) fn add(&mut self, score: f64, digest: u64) {
        self.by_score.insert((rank_key(score), digest));
    }

    pub(super) fn remove(&mut self, score: f64, digest: u64) {
        let key = rank_key(score);
        if !self.by_score.remove(&(key, digest)) && !self.by_score.remove(&(key, digest & SHORT)) {
            // Asked by the short digest of a member known in full.
            let full = self
                .by_score
                .range((key, 0)..=(key, u64::MAX))
                .find(|&&(_, known)| known & SHORT == digest & SHORT)
                .copied();
            if let Some(full) = full {
                self.by_score.remove(&full);
            }
        }
    }
}

/// An integer that sorts as the score does; both zeros are one.
fn rank_key(score: f64) -> u64 {
    let bits = if score == 0.0 { 0 } else { score.to_bits() };
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

/// The inverse of `rank_key`.
fn score_of(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 {
        key & !(1 << 63)
    } else {
        !key
    })
}

impl Zset {
    /// Counts a change against the index.
    pub(super) fn tick(&mut self) {
        if let Some(order) = &mut self.order {
            order.credit = order.credit.saturating_sub(1);
            if order.credit == 0 {
                self.order = None;
            }
        }
    }

    /// Makes sure of an index where one pays: before commands that will come again.
    pub(crate) fn keep_order(&mut self) {
        if self.members.len() < INDEX_FROM {
            self.order = None;
            return;
        }
        let credit = self.members.len().max(IDLE_MIN);
        match &mut self.order {
            Some(order) => order.credit = credit,
            None => {
                let by_score = self.ranked().into_iter().collect();
                self.order = Some(Box::new(Order { by_score, credit }));
            }
        }
    }

    /// All members in score order; equal scores in no order.
    fn ranked(&self) -> Vec<(u64, u64)> {
        let mut all = Vec::with_capacity(self.members.len());
        self.each(|digest, scored| all.push((rank_key(scored.score), digest)));
        all.sort_unstable();
        all
    }

    /// The `n` members of lowest score, or highest.
    pub(crate) fn extreme(&self, highest: bool, n: u64) -> Picked {
        let n = n.min(self.count());
        let from = if highest { self.count() - n } else { 0 };
        self.ranks(from, n)
    }

    /// The `n` members from rank `from` on, lowest score first.
    pub(crate) fn ranks(&self, from: u64, n: u64) -> Picked {
        let count = self.count();
        let until = from.saturating_add(n).min(count);
        if from >= until {
            return Picked::default();
        }
        // One more on each side tells whether an edge cuts through equal scores.
        let before = from.saturating_sub(1);
        let after = (until + 1).min(count);
        let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let window: Vec<(u64, u64)> = match self.order.as_deref() {
            Some(Order { by_score, .. }) if before <= count - after => by_score
                .iter()
                .skip(small(before))
                .take(small(after - before))
                .copied()
                .collect(),
            Some(Order { by_score, .. }) => {
                let mut tail: Vec<_> = by_score
                    .iter()
                    .rev()
                    .skip(small(count - after))
                    .take(small(after - before))
                    .copied()
                    .collect();
                tail.reverse();
                tail
            }
            None => {
                let all = self.ranked();
                all.get(small(before)..small(after)).unwrap_or(&[]).to_vec()
            }
        };
        let lead = small(from - before);
        let picked = &window[lead..lead + small(until - from)];
        let cut = |a: Option<&(u64, u64)>, b: Option<&(u64, u64)>| match (a, b) {
            (Some(a), Some(b)) => a.0 == b.0,
            _ => false,
        };
        let low = lead == 1 && cut(window.first(), picked.first());
        let high = after > until && cut(picked.last(), window.last());
        Picked {
            digests: picked.iter().map(|&(_, digest)| digest).collect(),
            unsure: low || high,
        }
    }

    /// The members whose score `inside` accepts; `low` and `high` bound them.
    pub(crate) fn between(&self, low: f64, high: f64, inside: impl Fn(f64) -> bool) -> Vec<u64> {
        if low > high {
            return Vec::new();
        }
        let (first, last) = ((rank_key(low), 0), (rank_key(high), u64::MAX));
        if let Some(order) = &self.order {
            return order
                .by_score
                .range(first..=last)
                .filter(|&&(key, _)| inside(score_of(key)))
                .map(|&(_, digest)| digest)
                .collect();
        }
        let mut found = Vec::new();
        self.each(|digest, scored| {
            if (low..=high).contains(&scored.score) && inside(scored.score) {
                found.push(digest);
            }
        });
        found
    }

    /// Removes members by digest.
    pub(crate) fn remove_all(&mut self, digests: &[u64], profile: &Profile) {
        for &digest in digests {
            self.remove(digest, profile);
        }
    }
}
