//! Changes of a list that go by value: LREM and LINSERT. Without fingerprints they are followed as
//! far as lengths prove what happened; the stream has them only if they had an effect.
//!
//! An element is a candidate if its length and class equal the argument's. Candidates that stand
//! side by side are interchangeable: whichever of them went, the same infos are left. So the usual
//! list of equally long elements stays exact as long as it is one node.
//!
//! The search goes from the end that the command names and stops when it knows enough, as the
//! server's does: a removal near the head of a long list must not walk all of it.

use super::List;
use super::edit::{Side, Spot};
use super::item::Item;
use super::node::{End, Node};
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

/// The candidates in the nodes that were searched.
#[derive(Clone, Copy, Debug)]
struct Candidates {
    count: u64,
    /// The lowest node that was searched and has one, and where its first one stands.
    node: usize,
    offset: usize,
    /// All in one node and side by side.
    together: bool,
    /// One of them has a fingerprint that is not known, where fingerprints are kept.
    unknown: bool,
}

/// The candidates of one node.
struct InNode {
    count: u64,
    first: usize,
    together: bool,
    unknown: bool,
}

impl List {
    /// LREM: `count` as given (negative from the tail, 0 for all). At least one was removed.
    pub(crate) fn remove_equal(&mut self, count: i64, item: &Item, profile: &Profile) -> Followed {
        let rules = Rules::of(profile);
        let end = if count < 0 { End::Tail } else { End::Head };
        let limit = match count {
            0 => u64::MAX,
            _ => count.unsigned_abs(),
        };
        let Some(found) = self.candidates(item, end, limit) else {
            return self.guessed();
        };
        let proved = self.tells_apart(&found) || found.count == 1 || (limit == 1 && found.together);
        let take = if proved { limit.min(found.count) } else { 1 };
        let skip = match end {
            End::Head => 0,
            End::Tail => found.count - take,
        };
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
        let Some(found) = self.candidates(pivot, End::Head, 1) else {
            return self.guessed();
        };
        let (at, offset) = (found.node, found.offset);
        let stays = self
            .nodes
            .get(at)
            .is_some_and(|node| self.bare || rules.takes(Some(node), item.len()));
        let same = found.together && stays && item.alike(pivot) && !self.flags.prints;
        let proved = self.tells_apart(&found) || found.count == 1 || same;
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

    /// True if candidates are equal for sure.
    fn tells_apart(&self, found: &Candidates) -> bool {
        self.flags.prints && !found.unknown
    }

    /// Searches from an end until `limit` equal elements are found, or it is clear that candidates
    /// cannot be told apart.
    fn candidates(&self, item: &Item, end: End, limit: u64) -> Option<Candidates> {
        let mut found: Option<Candidates> = None;
        let nodes = self.nodes.len();
        for step in 0..nodes {
            let at = match end {
                End::Head => step,
                End::Tail => nodes - 1 - step,
            };
            let here = self.nodes.get(at).and_then(|node| self.in_node(node, item));
            let Some(here) = here else { continue };
            let sum = match found {
                None => Candidates {
                    count: here.count,
                    node: at,
                    offset: here.first,
                    together: here.together,
                    unknown: here.unknown,
                },
                Some(before) => Candidates {
                    count: before.count + here.count,
                    node: before.node.min(at),
                    offset: if at < before.node {
                        here.first
                    } else {
                        before.offset
                    },
                    together: false,
                    unknown: before.unknown || here.unknown,
                },
            };
            found = Some(sum);
            // Beside a fingerprint that is not known only being the sole candidate proves anything.
            let enough = if self.flags.prints {
                !sum.unknown && sum.count >= limit
            } else {
                !sum.together
            };
            if enough {
                break;
            }
        }
        found
    }

    fn in_node(&self, node: &Node, item: &Item) -> Option<InNode> {
        let mut found: Option<InNode> = None;
        let mut last = 0;
        for (offset, held) in node.iter().enumerate() {
            if !may_equal(&held, item, self.flags.prints) {
                continue;
            }
            let unknown = self.flags.prints && held.print == 0;
            match &mut found {
                None => {
                    found = Some(InNode {
                        count: 1,
                        first: offset,
                        together: true,
                        unknown,
                    });
                }
                Some(found) => {
                    found.count += 1;
                    found.together &= offset == last + 1;
                    found.unknown |= unknown;
                }
            }
            last = offset;
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
        let mut at = found.node;
        // Nodes that are emptied go, so the next one has the same index then.
        while seen < skip + take && at < self.nodes.len() {
            let gone = self.nodes.edit(at, rules, |node| {
                node.remove_where(rules, |held| {
                    let equal = may_equal(held, item, prints);
                    seen += u64::from(equal);
                    equal && seen > skip && seen <= skip + take
                })
            });
            self.count -= gone.unwrap_or(0);
            let nodes = self.nodes.len();
            self.drop_if_empty(at, rules);
            at += usize::from(self.nodes.len() == nodes);
        }
        self.nodes.compress(found.node, rules);
    }
}

/// True if `held` equals the text behind `item`, as far as can be told.
fn may_equal(held: &Item, item: &Item, prints: bool) -> bool {
    held.alike(item) && (!prints || held.print == 0 || held.print == item.print)
}
