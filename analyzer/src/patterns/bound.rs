//! How many literals a place may have, and what becomes of those that are too many.
//!
//! A place that has too many is generalised: its light literals are merged into `*`, heavy ones stay,
//! and from then on a literal without a node is `*` there. Heavy is what lies above a gap: the
//! literals of one place in order of their keys, the last that has four times the keys of the next,
//! and more than a handful. Names drawn from one hat, however unevenly, have no such gap; services
//! beside stray keys have. A literal with a good share of the place stays in any case.

use super::tree::{Group, KEEP, ROOT, STAR, Tree};
use crate::flows::Flow;

/// Literals of the first token.
const ROOT_MAX: usize = 256;

/// Literals at any other place.
const PLACE_MAX: usize = 64;

/// Light literals of a place where nearly all are ids: then those are ids that look like words.
const BESIDE_IDS_MAX: usize = 16;

/// The same when a sample of all keys was seen.
const LEARNED_BESIDE_IDS_MAX: usize = 4;

/// Nearly all are ids if light literals have one in so many of their keys.
const IDS_SHARE: u64 = 8;

/// Numbers behind one word.
const DIGITS_MAX: usize = 8;

/// Bounds are not made smaller than that.
const BOUND_MIN: usize = 2;

/// Keys of a literal that can be heavy.
const HEAVY_MIN: u64 = 8;

/// A literal above a gap has so many times the keys of the one below.
const GAP: u64 = 4;

/// One in so many of the first tokens' keys make a literal heavy, gap or not.
pub(super) const ROOT_SHARE: u64 = 2048;

/// The same at any other place.
pub(super) const PLACE_SHARE: u64 = 4;

/// One in so many of a word's keys make a number behind it heavy: there is one such number, `v2`
/// beside a stray `v1234`.
const NUMBER_SHARE: u64 = 2;

/// How strict to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Strictness {
    /// How often the bounds were halved.
    pub(super) halved: u32,
    /// The tree was learned from a sample.
    pub(super) learned: bool,
}

impl Tree {
    /// Most literals of a place.
    fn bound(&self, node: u32, group: Group, strict: Strictness) -> usize {
        let most = match group {
            Group::Digits => DIGITS_MAX,
            Group::Strong | Group::Weak if self.node(node).is_open(group) => kept_max(node),
            Group::Strong | Group::Weak => kept_max(node) * 2,
        };
        (most >> strict.halved).max(BOUND_MIN)
    }

    /// True if a place has more literals than it may.
    pub(super) fn is_over(&self, node: u32, group: Group, strict: Strictness) -> bool {
        let place = self.node(node);
        let literals = usize::from(place.literals[group as usize]);
        // Beside longer numbers short ones are the same.
        if group == Group::Digits && literals > 0 && place.stars[2] > 0 && !place.is_open(group) {
            return true;
        }
        // Most nodes have one child, and no more is to be asked of them.
        if literals <= BOUND_MIN {
            return false;
        }
        let is_closed = group != Group::Digits && !place.is_open(group);
        let has_ids = place.stars[group as usize] > 0 || place.may_take_in(group);
        literals > self.bound(node, group, strict)
            || (is_closed && has_ids && self.is_of_ids(node, group, strict))
    }

    /// True if nearly all keys of a place have ids there, and some words beside them.
    fn is_of_ids(&self, node: u32, group: Group, strict: Strictness) -> bool {
        let most = if strict.learned {
            LEARNED_BESIDE_IDS_MAX
        } else {
            BESIDE_IDS_MAX
        };
        if usize::from(self.node(node).literals[group as usize]) <= most {
            return false;
        }
        let weights = self.literals(node, group).into_iter();
        let weights = weights.map(|child| self.weight(child));
        let light: Vec<u64> = weights.filter(|weight| *weight < HEAVY_MIN).collect();
        if light.len() <= most {
            return false;
        }
        // What follows an id behind a weak separator may be a part of it.
        let ids = if self.node(node).may_take_in(group) {
            self.weight(node)
        } else {
            self.ids(node, group)
        };
        light.iter().sum::<u64>() * IDS_SHARE <= ids
    }

    /// Keys under `*` of a place.
    fn ids(&self, node: u32, group: Group) -> u64 {
        let stars = self.children(node).filter(|child| {
            let child = self.node(*child);
            child.is(STAR) && Group::of(child.separator) == group
        });
        stars.map(|star| self.weight(star)).sum()
    }

    /// Merges the light literals of a place into `*`.
    pub(super) fn generalise(&mut self, node: u32, group: Group, strict: Strictness) {
        let literals = self.literals(node, group);
        let heavy = self.mark_heavy((node, group), &literals, strict);
        self.open_up(node, group);
        for child in &literals {
            // Those before may have taken it along.
            if !self.is_literal_of(*child, node, group) || self.node(*child).is(KEEP) {
                continue;
            }
            let separator = self.node(*child).separator;
            let shelter = self.shelter(node, separator);
            self.merge(*child, shelter);
        }
        if heavy > 0 {
            for child in self.literals(node, group) {
                self.node_mut(child).flags &= !KEEP;
            }
        }
    }

    /// Marks the literals of a place that stay; how many.
    fn mark_heavy(
        &mut self,
        (node, group): (u32, Group),
        literals: &[u32],
        strict: Strictness,
    ) -> usize {
        let mut weights: Vec<(u64, u32)> = literals
            .iter()
            .map(|child| (self.weight(*child), *child))
            .collect();
        weights.sort_unstable_by(|a, b| b.cmp(a));
        let all: u64 = match node {
            ROOT => self.weight(ROOT),
            _ => {
                let literals = weights.iter().map(|(weight, _)| weight);
                self.ids(node, group) + literals.sum::<u64>()
            }
        };
        let share = if node == ROOT {
            ROOT_SHARE
        } else {
            PLACE_SHARE
        };
        let most = (kept_max(node) >> strict.halved).max(BOUND_MIN);
        let heavy = match group {
            Group::Digits => shared(&weights, all.div_ceil(NUMBER_SHARE), most),
            Group::Strong | Group::Weak => heavy(&weights, all / share, most),
        };
        for (_, child) in weights.iter().take(heavy) {
            self.node_mut(*child).flags |= KEEP;
        }
        heavy
    }

    /// Generalises wherever there are too many literals, from the first token down.
    pub(super) fn tighten(&mut self, strict: Strictness) {
        let mut waiting = vec![ROOT];
        while let Some(node) = waiting.pop() {
            // What one group merges can end up in another one of the same node.
            while let Some(group) = self.first_over(node, strict) {
                self.generalise(node, group, strict);
            }
            waiting.extend(self.children(node));
        }
    }

    fn first_over(&self, node: u32, strict: Strictness) -> Option<Group> {
        let mut groups = Group::ALL.into_iter();
        groups.find(|group| self.is_over(node, *group, strict))
    }

    /// Forgets everything that has no keys. What happened to those that it had, and was not asked for
    /// yet, is given out.
    pub(super) fn prune(&mut self) -> Flow {
        let mut flow = Flow::default();
        let mut order: Vec<u32> = self.below(ROOT).collect();
        // Children stand behind their parents.
        while let Some(node) = order.pop() {
            if self.tally(node).is_some_and(|tally| tally.is_empty())
                && let Some(gone) = self.take_tally(node)
            {
                flow.add(&gone.flow);
            }
            let is_bare = self.tally(node).is_none() && self.children(node).next().is_none();
            if is_bare && node != ROOT {
                self.detach(node);
                self.release(node);
            }
        }
        flow
    }

    /// Makes every node of a depth the last of its path: those below are counted at it.
    pub(super) fn cut_at(&mut self, depth: usize) {
        let nodes: Vec<u32> = self.below(ROOT).collect();
        for node in nodes {
            if !self.is_vacant(node) && self.path(node).len() == depth {
                self.sink(node);
            }
        }
    }
}

/// Literals that an open place keeps at most.
fn kept_max(node: u32) -> usize {
    match node {
        ROOT => ROOT_MAX / 2,
        _ => PLACE_MAX / 2,
    }
}

/// How many of these weights, which are in order, have a share of the place.
fn shared(weights: &[(u64, u32)], share: u64, most: usize) -> usize {
    let heavy = weights.iter().take(most);
    let heavy = heavy.take_while(|(weight, _)| *weight >= HEAVY_MIN.max(share));
    heavy.count()
}

/// How many of these weights, which are in order, are heavy.
fn heavy(weights: &[(u64, u32)], share: u64, most: usize) -> usize {
    let weight = |at: usize| weights.get(at).map_or(0, |(weight, _)| *weight);
    let mut in_reach = (0..weights.len().min(most)).rev();
    let gap = in_reach.find(|at| weight(*at) >= HEAVY_MIN.max(GAP * weight(at + 1)));
    gap.map_or(0, |at| at + 1).max(shared(weights, share, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_is_what_lies_above_a_gap_or_has_a_share() {
        let check = |weights: &[u64], share, most, expected| {
            let weights: Vec<(u64, u32)> = weights.iter().map(|weight| (*weight, 0)).collect();
            assert_eq!(heavy(&weights, share, most), expected, "{weights:?}");
        };
        check(&[], 10, 4, 0);
        check(&[1, 1, 1], 10, 4, 0);
        check(&[900, 40, 20, 1, 1, 1], 1000, 4, 3);
        check(&[900, 450, 300, 225, 180, 150], 1000, 4, 0);
        check(&[900, 450, 300, 225, 180, 150], 400, 4, 2);
        check(&[7, 1, 1], 1, 4, 0);
        check(&[20, 20, 20], 1000, 4, 3);
        check(&[20, 20, 20, 20, 20], 1000, 4, 0);
    }
}
