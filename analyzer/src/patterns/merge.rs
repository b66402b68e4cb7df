//! Two nodes become one, with all that is below them, and every key stays where lookups find it.
//!
//! A place is closed (each literal met there has a node) or open (a literal without a node is `*`).
//! Of a place that comes out of two, a literal `t` keeps its node only if no key with `t` can be
//! counted under `*` in either of them:
//!
//! ```text
//!              left has t   left closed, without   left open, without
//! right has t      t                 t                     *
//! ```
//!
//! which is what [`Tree::narrow`] sees to for literals that are there and [`Tree::absorb`] for those
//! that come. Depth is that of a name's tokens, so the recursion is bounded.

use super::class::Classes;
use super::tree::{Group, NIL, SINK, STAR, Tree};

impl Tree {
    /// Merges a node that is in the tree into another one.
    pub(super) fn merge(&mut self, node: u32, into: u32) {
        self.detach(node);
        self.absorb(node, into);
    }

    /// Where literals without a node go, below `node`.
    pub(super) fn shelter(&mut self, node: u32, separator: u8) -> u32 {
        if self.node(node).takes_in(Group::of(separator)) {
            return node;
        }
        self.add_star(node, separator)
    }

    /// Everything below a node is counted at the node from now on.
    pub(super) fn sink(&mut self, node: u32) {
        self.node_mut(node).flags |= SINK;
        self.pull_in(node, node);
    }

    fn pull_in(&mut self, from: u32, into: u32) {
        while let Some(child) = self.first(from) {
            self.merge(child, into);
        }
    }

    fn first(&self, node: u32) -> Option<u32> {
        Some(self.link(node).first).filter(|first| *first != NIL)
    }

    /// Takes in a node that is out of the tree.
    fn absorb(&mut self, node: u32, into: u32) {
        let from = *self.node(node);
        let mut classes = from.classes;
        if !from.is(STAR) && self.node(into).is(STAR) {
            classes = classes.or(Classes::WORD);
        }
        let to = self.node_mut(into);
        to.classes = to.classes.or(classes);
        to.flags |= from.flags & SINK;
        let before = *to;
        self.move_tally(node, into);
        if before.is(SINK) {
            self.pull_in(into, into);
            self.pull_in(node, into);
            self.release(node);
            return;
        }
        for group in Group::ALL {
            if from.is_open(group) {
                self.open_up(into, group);
                self.narrow(into, node, group);
            }
        }
        while let Some(child) = self.first(node) {
            self.detach(child);
            match self.place_for(child, into, before.is_open(self.group(child))) {
                Some(place) => self.absorb(child, place),
                None => self.attach(child, into),
            }
        }
        self.release(node);
    }

    fn group(&self, node: u32) -> Group {
        Group::of(self.node(node).separator)
    }

    /// What a child from elsewhere is merged into below `into`; `None` if it may stay itself.
    fn place_for(&mut self, child: u32, into: u32, was_open: bool) -> Option<u32> {
        let group = self.group(child);
        let separator = self.node(child).separator;
        if group == Group::Digits && self.node(into).takes_in(group) {
            return Some(into);
        }
        if self.node(child).is(STAR) {
            if self.node(into).takes_in(group) {
                return Some(into);
            }
            return self.star(into, separator);
        }
        let known = self.literal(into, separator, &self.link(child).label);
        if known.is_some() {
            return known;
        }
        was_open.then(|| self.shelter(into, separator))
    }

    /// Opens a place. A `*` that takes in what follows it takes in what followed it so far.
    pub(super) fn open_up(&mut self, node: u32, group: Group) {
        self.open(node, group);
        if !self.node(node).takes_in(group) {
            return;
        }
        let mine =
            |tree: &Tree, child: &u32| tree.node(*child).is(STAR) && tree.group(*child) == group;
        loop {
            let star = self.children(node).find(|child| mine(self, child));
            let Some(star) = star else {
                return;
            };
            self.merge(star, node);
        }
    }

    /// Gives up the literals of an open place that `other`, whose place is open as well, has no node
    /// for.
    fn narrow(&mut self, node: u32, other: u32, group: Group) {
        for child in self.literals(node, group) {
            // What was done for those before may have taken this one away.
            if !self.is_literal_of(child, node, group) {
                continue;
            }
            let separator = self.node(child).separator;
            let known = self.literal(other, separator, &self.link(child).label);
            if known.is_none() {
                let shelter = self.shelter(node, separator);
                self.merge(child, shelter);
            }
        }
    }

    /// The literals of a place.
    pub(super) fn literals(&self, node: u32, group: Group) -> Vec<u32> {
        let children = self.children(node);
        children
            .filter(|child| self.is_literal_of(*child, node, group))
            .collect()
    }

    pub(super) fn is_literal_of(&self, child: u32, node: u32, group: Group) -> bool {
        let found = self.node(child);
        !self.is_vacant(child)
            && found.parent == node
            && !found.is(STAR)
            && Group::of(found.separator) == group
    }
}
