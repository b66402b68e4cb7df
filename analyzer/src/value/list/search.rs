//! Changes of a list that go by value: LREM and LINSERT. Without fingerprints they are followed as
//! far as lengths prove what happened; the stream has them only if they had an effect.
//!
//! An element is a candidate if its length and class equal the argument's. Candidates that stand
//! side by side are interchangeable: whichever of them went, the same infos are left. So the usual
//! list of equally long elements stays exact as long as it is one node.

use super::List;
use super::edit::{Side, Spot};
use super::item::Item;
use super::rules::Rules;
use crate::profile::Profile;

/// Whether a change could be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Followed {
    /// The list equals the master's.
    Exactly,
    /// A guess was made; the list must be read again, with fingerprints.
    Guessed,
}

/// Where the candidates are.
struct Candidates {
    count: u64,
    /// Node and offset of the first and the last.
    first: (usize, usize),
    last: (usize, usize),
    /// All in one node and side by side.
    together: bool,
    /// One of them has a fingerprint that is not known, where fingerprints are kept.
    unknown: bool,
}

impl List {
    /// LREM: `count` as given (negative from the tail, 0 for all). At least one was removed.
    pub(crate) fn remove_equal(&mut self, count: i64, item: &Item, profile: &Profile) -> Followed {
        let rules = Rules::of(profile);
        let Some(found) = self.candidates(item) else {
            return self.guessed();
        };
        let limit = match count {
            0 => u64::MAX,
            _ => count.unsigned_abs(),
        };
        let told_apart = self.flags.prints && !found.unknown;
        let proved = told_apart || found.count == 1 || (limit == 1 && found.together);
        let limit = if proved { limit } else { 1 };
        let take = limit.min(found.count);
        let skip = if count < 0 { found.count - take } else { 0 };
        self.remove_found(&found, (skip, take), item, &rules);
        if proved {
            Followed::Exactly
        } else {
            self.guessed()
        }
    }

    /// LINSERT beside the first element that equals `pivot`. There is one.
    pub(crate) fn insert_beside(
        &mut self,
        pivot: &Item,
        side: Side,
        item: &Item,
        profile: &Profile,
    ) -> Followed {
        let rules = Rules::of(profile);
        self.grow(item.len(), 1, &rules);
        let Some(found) = self.candidates(pivot) else {
            return self.guessed();
        };
        let told_apart = self.flags.prints && !found.unknown;
        let stays = self
            .nodes
            .get(found.first.0)
            .is_some_and(|node| self.bare || rules.takes(Some(node), item.len()));
        let same = found.together && stays && item.alike(pivot) && !self.flags.prints;
        let proved = told_apart || found.count == 1 || same;
        let (at, offset) = found.first;
        self.insert_at(Spot { at, offset, side }, item, &rules);
        self.nodes.compress(at, &rules);
        if proved {
            Followed::Exactly
        } else {
            self.guessed()
        }
    }

    fn guessed(&mut self) -> Followed {
        self.flags.wants = true;
        Followed::Guessed
    }

    /// True if `held` equals the text behind `item`, as far as can be told.
    fn may_equal(&self, held: &Item, item: &Item) -> bool {
        held.alike(item) && (!self.flags.prints || held.print == 0 || held.print == item.print)
    }

    fn candidates(&self, item: &Item) -> Option<Candidates> {
        let mut found: Option<Candidates> = None;
        for (at, node) in self.nodes.iter().enumerate() {
            for (offset, held) in node.iter().enumerate() {
                if !self.may_equal(&held, item) {
                    continue;
                }
                let unknown = self.flags.prints && held.print == 0;
                match &mut found {
                    None => {
                        found = Some(Candidates {
                            count: 1,
                            first: (at, offset),
                            last: (at, offset),
                            together: true,
                            unknown,
                        });
                    }
                    Some(found) => {
                        found.together &= found.last == (at, offset.wrapping_sub(1));
                        found.last = (at, offset);
                        found.count += 1;
                        found.unknown |= unknown;
                    }
                }
            }
        }
        found
    }

    /// Removes `take` candidates behind the first `skip`.
    fn remove_found(
        &mut self,
        found: &Candidates,
        (skip, take): (u64, u64),
        item: &Item,
        rules: &Rules,
    ) {
        let (prints, mut seen) = (self.flags.prints, 0);
        let mut at = found.first.0;
        // Nodes that are emptied go, so the next one has the same index then.
        while seen < skip + take && at < self.nodes.len() {
            let gone = self.nodes.edit(at, rules, |node| {
                node.remove_where(rules, |held| {
                    let equal = held.alike(item)
                        && (!prints || held.print == 0 || held.print == item.print);
                    seen += u64::from(equal);
                    equal && seen > skip && seen <= skip + take
                })
            });
            self.count -= gone.unwrap_or(0);
            let nodes = self.nodes.len();
            self.drop_if_empty(at, rules);
            at += usize::from(self.nodes.len() == nodes);
        }
        self.nodes.compress(found.first.0, rules);
    }
}
