//! Patterns: what the names of a database's keys have in common, found by itself.
//!
//! ```text
//! user:1:cart  user:2:cart  user:3      names
//! user:*:cart  user:*                   patterns
//! ```
//!
//! A name is cut into tokens (`token`), and tokens that are ids by their looks (`shape`) are `*` at
//! first sight. The others are literals and make a tree (`tree`), until a place has too many of them
//! and its light ones become `*` as well (`bound`). Each name leads to exactly one node, where its key
//! is counted (`tally`); which one is a function of the name and the tree alone. Whatever changes the
//! tree (`merge`) moves what was counted at its nodes to where lookups find the keys afterwards, in
//! one step and without looking at a key again. So the sums over all patterns are those of the
//! database, always, and nothing is kept per key.
//!
//! The number of patterns has a cap. At the cap what has no keys is forgotten, then places keep fewer
//! literals; if that does not help, keys of unknown paths are counted as `(other)` and the tree stays
//! as it is, until it is learned anew.
//!
//! Where a sample of all keys is to be had, before a recount, the tree is learned from it
//! ([`Patterns::learn`]): then what is heavy is known, whatever the order in which keys are met.

mod bound;
mod class;
mod hitters;
mod merge;
mod only;
mod row;
mod run;
mod shape;
mod table;
mod tally;
mod token;
mod tree;

#[cfg(test)]
mod tests;

use bound::{PLACE_SHARE, ROOT_SHARE, Strictness};
use hitters::Hitters;
use token::{Token, Tokens};
use tree::{Gap, Group, NIL, Owned, ROOT, SINK, Tree};

use crate::store::weigh::Weight;

pub use class::Classes;
pub use only::Only;
pub use row::{PatternName, PatternRow, is_literal};
pub use tally::Deleted;
pub(crate) use tally::Tally;

/// Names that a tree is learned from.
pub(crate) const LESSONS: u64 = 65_536;

/// Nodes of a tree that is being learned: then it is tightened before it grows on.
const LEARNING_NODES_MAX: usize = 16_384;

/// How often the bounds are halved at most.
const HALVED_MAX: u32 = 5;

/// Depth of a name's path at most: tokens, and digits behind each.
const DEPTH_MAX: usize = 32;

/// Keys of a database that is worth learning from again.
const RELEARN_MIN: u64 = 4096;

/// Where a key is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    Pattern(u32),
    Other,
}

/// The patterns of one database.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    tree: Tree,
    /// Most patterns.
    max: usize,
    strict: Strictness,
    is_learning: bool,
    /// Nothing is added any more: what has no path is counted as other.
    is_full: bool,
    other: Tally,
    keys: u64,
    /// How many keys there were when the tree was learned.
    learned_at: u64,
    /// How many other keys there were then.
    other_at: u64,
    /// What became heavy since.
    hitters: Hitters,
    /// How many nodes the tree may have while it is learned.
    lessons_room: usize,
}

impl Patterns {
    /// No keys and no patterns, `max` of them at most.
    pub(crate) fn new(seed: u64, max: usize) -> Patterns {
        Patterns {
            tree: Tree::new(seed),
            max,
            strict: Strictness::default(),
            is_learning: false,
            is_full: false,
            other: Tally::new(),
            keys: 0,
            learned_at: 0,
            other_at: 0,
            hitters: Hitters::default(),
            lessons_room: LEARNING_NODES_MAX,
        }
    }

    /// The same tree without keys.
    pub(crate) fn alike(&self) -> Patterns {
        let mut alike = self.clone();
        alike.clear();
        alike
    }

    fn clear(&mut self) {
        for owned in &mut self.tree.tallies {
            owned.tally.clear();
        }
        self.other.clear();
        self.keys = 0;
    }

    /// Is shown a name, before any key is counted; the names must be a uniform sample. Keys are
    /// counted behind [`Patterns::end_learning`] only.
    pub(crate) fn learn(&mut self, name: &[u8]) {
        self.is_learning = true;
        if self.tree.len() >= self.lessons_room {
            self.settle();
            self.lessons_room = LEARNING_NODES_MAX.max(self.tree.len() * 2);
        }
        let node = loop {
            match self.walk(name) {
                Ok(node) => break node,
                Err(Gap { node, token }) => self.add(node, &token),
            }
        };
        let tally = self.tree.add_tally(node);
        if let Some(owned) = self.tree.tallies.get_mut(tally as usize) {
            owned.tally.learn();
        }
    }

    /// What was learned is made a tree that fits.
    fn settle(&mut self) {
        self.strict = Strictness {
            halved: 0,
            learned: true,
        };
        self.tree.tighten(self.strict);
        while !self.has_room() && self.strict.halved < HALVED_MAX {
            self.strict.halved += 1;
            self.tree.tighten(self.strict);
        }
        let mut depth = DEPTH_MAX;
        while !self.has_room() && depth > 0 {
            depth -= 1;
            self.tree.cut_at(depth);
        }
        self.strict.learned = false;
    }

    /// Makes what was learned the tree that keys are counted by.
    pub(crate) fn end_learning(&mut self) {
        if self.is_learning {
            self.settle();
            self.tree = self.tree.compacted();
            self.is_learning = false;
        }
    }

    /// All keys are counted, which takes the place of what was counted before.
    pub(crate) fn finish(&mut self, before: Option<&Patterns>) {
        self.learned_at = self.keys;
        self.other_at = self.other.total().keys;
        self.hitters = before.map_or_else(Hitters::default, |before| {
            before.hitters.next(before.keys, before.has_heavy())
        });
    }

    /// True if some patterns and nodes can be added.
    fn has_room(&self) -> bool {
        self.tree.patterns() <= self.max - self.max / 4 && self.tree.len() <= self.nodes_max() / 2
    }

    /// True if nothing can be added.
    fn is_crowded(&self) -> bool {
        self.tree.patterns() >= self.max || self.tree.len() >= self.nodes_max()
    }

    fn nodes_max(&self) -> usize {
        self.max * 4 + 64
    }

    /// Takes one key's change: `None` is "not there". Returns the number of its pattern, which holds
    /// until the tree changes; `None` for other keys.
    #[inline]
    pub(crate) fn turn(
        &mut self,
        name: &[u8],
        before: Option<&Weight>,
        after: Option<&Weight>,
    ) -> Option<u32> {
        match (before, after) {
            (None, Some(_)) => self.keys += 1,
            (Some(_), None) => self.keys = self.keys.wrapping_sub(1),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let seat = self.seat(name);
        if before.is_none() && self.tree.is_open() && self.hitters.is_next() {
            self.notice(name);
        }
        self.tally_mut(seat).turn(name, before, after);
        match seat {
            Seat::Pattern(pattern) => Some(pattern),
            Seat::Other => None,
        }
    }

    /// A pattern whose keys something happened to; the number is that of the last turn, `None` that
    /// of the other keys.
    #[inline]
    pub(crate) fn turned_mut(&mut self, pattern: Option<u32>) -> &mut Tally {
        match pattern.and_then(|at| self.tree.tallies.get_mut(at as usize)) {
            Some(owned) => &mut owned.tally,
            None => &mut self.other,
        }
    }

    fn tally_mut(&mut self, seat: Seat) -> &mut Tally {
        match seat {
            Seat::Pattern(pattern) => &mut self.tree.tallies[pattern as usize].tally,
            Seat::Other => &mut self.other,
        }
    }

    /// Where a key is counted that is there, or will be.
    #[inline]
    fn seat(&mut self, name: &[u8]) -> Seat {
        if let Ok(node) = self.walk(name) {
            let tally = self.tree.node(node).tally;
            if tally != NIL {
                return Seat::Pattern(tally);
            }
        }
        self.make_seat(name)
    }

    #[cold]
    fn make_seat(&mut self, name: &[u8]) -> Seat {
        loop {
            if self.is_full {
                return Seat::Other;
            }
            match self.walk(name) {
                Ok(node) if self.tree.node(node).tally != NIL => {
                    return Seat::Pattern(self.tree.node(node).tally);
                }
                _ if self.is_crowded() => self.make_room(),
                Ok(node) => return Seat::Pattern(self.tree.add_tally(node)),
                Err(Gap { node, token }) => self.add(node, &token),
            }
        }
    }

    /// At the cap: forgets, and has happened to other keys what happened to those; then tightens, and
    /// if all that does not help nothing is added any more.
    fn make_room(&mut self) {
        let forgotten = self.tree.prune();
        self.other.flow.add(&forgotten);
        while !self.has_room() && self.strict.halved < HALVED_MAX {
            self.strict.halved += 1;
            self.tree.tighten(self.strict);
        }
        // A quarter of fewer than four is none: there may be room for nothing where it is full.
        self.is_full = !self.has_room() || self.is_crowded();
    }

    /// The node of a name's key, or where its path ends too early.
    #[inline]
    fn walk<'a>(&mut self, name: &'a [u8]) -> Result<u32, Gap<'a>> {
        let mut node = ROOT;
        let mut tokens = Tokens::new(name);
        while !self.tree.node(node).is(SINK) {
            let Some(token) = tokens.next() else {
                break;
            };
            let (next, classes) = self.tree.step(node, token)?;
            let met = self.tree.node_mut(next);
            if !met.classes.has(classes) {
                met.classes = met.classes.or(classes);
            }
            node = next;
        }
        Ok(node)
    }

    /// The node of a name's key, if there is one.
    fn find(&self, name: &[u8]) -> Option<u32> {
        let mut node = ROOT;
        let mut tokens = Tokens::new(name);
        while !self.tree.node(node).is(SINK) {
            let Some(token) = tokens.next() else {
                break;
            };
            node = self.tree.step(node, token).ok()?.0;
        }
        Some(node).filter(|node| self.tree.tally(*node).is_some())
    }

    /// The number of the pattern that a key is counted in; see [`Patterns::turn`].
    pub(crate) fn number_of(&self, name: &[u8]) -> Option<u32> {
        self.find(name).map(|node| self.tree.node(node).tally)
    }

    /// Adds the node that a path lacks, and generalises its place if that makes it too full.
    fn add(&mut self, node: u32, token: &Token<'_>) {
        let group = Group::of(token.separator);
        if token.is_variable() || self.tree.node(node).is_open(group) {
            self.tree.add_star(node, token.separator);
        } else {
            self.tree.add_literal(node, token.separator, token.text);
        }
        if !self.is_learning && self.tree.is_over(node, group, self.strict) {
            self.tree.generalise(node, group, self.strict);
            self.tree.tighten(self.strict);
        }
    }

    /// Looks at the first word of a name that is unknown at its place.
    #[cold]
    fn notice(&mut self, name: &[u8]) {
        let mut node = ROOT;
        for token in Tokens::new(name) {
            match self.tree.step(node, token) {
                Ok((next, classes)) if !classes.has(Classes::WORD) => node = next,
                Ok(_) => {
                    let print = self.tree.print(node, token.separator, token.text);
                    return self.hitters.note(node, print);
                }
                Err(_) => return,
            }
        }
    }

    /// True if learning the tree anew may change it for the better: there are far more keys than
    /// there were, or other ones, or a word that is `*` would be told apart.
    pub(crate) fn is_stale(&self) -> bool {
        let other = self.other.total().keys;
        let crowded =
            self.is_full && (self.learned_at == 0 || other / 2 > self.other_at + RELEARN_MIN);
        let grown = self.keys >= RELEARN_MIN && self.keys / 2 > self.learned_at;
        let is_open = || self.tree.nodes.iter().any(|node| node.is_any_open());
        crowded || (grown && is_open()) || self.has_heavy()
    }

    /// True if a word became heavy, and has not just been learned for.
    fn has_heavy(&self) -> bool {
        self.hitters.is_patient(self.keys) && self.hitters.heavy().any(|word| self.is_heavy(word))
    }

    /// True if so many keys with one word are twice what lets it be told apart at its place.
    fn is_heavy(&self, (place, keys): (u32, u64)) -> bool {
        if self.tree.nodes.len() <= place as usize || self.tree.is_vacant(place) {
            return false;
        }
        let (all, share) = match place {
            ROOT => (self.keys, ROOT_SHARE),
            _ => (self.tree.weight(place), PLACE_SHARE),
        };
        all > 0 && keys.saturating_mul(share) >= all.saturating_mul(2)
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.tree.heap_bytes() + self.other.heap_bytes() + self.hitters.heap_bytes()
    }
}

impl PartialEq for Patterns {
    /// True if both count the same keys by the same tree.
    fn eq(&self, other: &Patterns) -> bool {
        let alike = |(mine, its): (&Owned, &Owned)| {
            mine.node == its.node && mine.tally.counts_as(&its.tally)
        };
        self.tree.tallies.len() == other.tree.tallies.len()
            && self.tree.tallies.iter().zip(&other.tree.tallies).all(alike)
            && self.other.counts_as(&other.other)
            && self.keys == other.keys
    }
}

impl Eq for Patterns {}
