//! Changes of a list that go by position: push, pop, trim, set, and the splits and merges behind
//! them (quicklist.c `_quicklistInsert`, `quicklistReplaceEntry`, `_quicklistMergeNodes`,
//! `quicklistDelRange`; t_list.c `listTypeTryConversion`).

use super::item::Item;
use super::node::{End, Node};
use super::rules::Rules;
use super::{Flags, List};
use crate::profile::Profile;
use crate::text::Text;

/// On which side of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Where an element is to go: beside the one at an offset of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) at: usize,
    pub(super) offset: usize,
    pub(super) side: Side,
}

impl List {
    /// What this list keeps of a text.
    pub(crate) fn item(&self, text: &Text<'_>, seed: u64) -> Item {
        Item::of(text, self.flags.prints.then_some(seed))
    }

    /// LPUSH and RPUSH: the elements one after the other at an end.
    pub(crate) fn push(&mut self, end: End, texts: &[Text<'_>], seed: u64, profile: &Profile) {
        let rules = Rules::of(profile);
        let bytes = texts.iter().map(Text::len).sum();
        self.grow(bytes, texts.len() as u64, &rules);
        for text in texts {
            self.push_one(end, &self.item(text, seed), &rules);
        }
    }

    /// The push of LMOVE and RPOPLPUSH. An integer that comes out of a quicklist is a number by
    /// then, and numbers do not count for the conversion.
    pub(crate) fn push_moved(&mut self, end: End, item: &Item, number: bool, profile: &Profile) {
        let rules = Rules::of(profile);
        self.grow(if number { 0 } else { item.len() }, 1, &rules);
        self.push_one(end, item, &rules);
    }

    /// A pop of one element, without the check that follows a removal ([`List::shrink`]).
    pub(crate) fn pop(&mut self, end: End, profile: &Profile) -> Option<Item> {
        let rules = Rules::of(profile);
        let at = self.end_node(end);
        let item = self
            .nodes
            .edit(at, &rules, |node| node.pop(end, &rules))??;
        self.count -= 1;
        self.drop_if_empty(at, &rules);
        self.nodes.compress(usize::MAX, &rules);
        Some(item)
    }

    /// What a removal ends with: a quicklist that has become small enough is bare again.
    pub(crate) fn shrink(&mut self, profile: &Profile) {
        let rules = Rules::of(profile);
        if !rules.small_lists || self.nodes.len() != 1 || (self.bare && !self.flags.open) {
            return;
        }
        if self
            .nodes
            .get(0)
            .is_some_and(|node| rules.fits_bare(node, true))
        {
            self.bare = true;
            self.flags.open = false;
        }
    }

    /// Removes `n` elements from an end: LPOP and RPOP with a count, LTRIM.
    pub(crate) fn cut(&mut self, end: End, n: u64, profile: &Profile) {
        let rules = Rules::of(profile);
        let mut left = n.min(self.count);
        self.count -= left;
        while left > 0 {
            let at = self.end_node(end);
            let Some(node) = self.nodes.get(at) else {
                break;
            };
            if node.count() <= left && !self.bare {
                left -= node.count();
                self.nodes.remove(at, &rules);
            } else {
                self.nodes
                    .edit(at, &rules, |node| node.drop_at(end, left, &rules));
                left = 0;
            }
        }
        self.nodes.compress(usize::MAX, &rules);
    }

    /// LSET of the element at `index` from the head.
    pub(crate) fn set(&mut self, index: u64, item: &Item, profile: &Profile) {
        let rules = Rules::of(profile);
        self.grow(item.len(), 1, &rules);
        let Some((at, offset)) = self.locate(index) else {
            return;
        };
        let Some(node) = self.nodes.get(at) else {
            return;
        };
        let item = &self.printed(item);
        match (self.bare, node.is_plain(), rules.plain(item.len())) {
            (true, _, _) | (false, false, false) => self.replace(at, offset, item, &rules),
            (false, true, true) => {
                self.nodes.remove(at, &rules);
                let node = Node::plain(item, self.flags.prints);
                self.nodes.insert(at, node, &rules);
            }
            (false, true, false) => {
                let side = Side::After;
                self.insert_at(Spot { at, offset, side }, item, &rules);
                self.nodes.remove(at, &rules);
                self.count -= 1;
            }
            (false, false, true) => self.replace_by_plain(at, offset, item, &rules),
        }
        self.nodes.compress(at, &rules);
    }

    /// Inserts at a spot; the caller has asked [`List::grow`].
    pub(super) fn insert_at(&mut self, spot: Spot, item: &Item, rules: &Rules) {
        let Spot { at, offset, side } = spot;
        self.count += 1;
        let item = &self.printed(item);
        let Some(node) = self.nodes.get(at) else {
            return;
        };
        if self.bare || rules.takes(Some(node), item.len()) {
            let offset = offset + usize::from(side == Side::After);
            self.nodes.edit(at, rules, |node| {
                node.splice(offset, 0, std::slice::from_ref(item), rules)
            });
            return;
        }
        // 6.x misses the tail: an insert behind it splits off an empty node and merges.
        let at_edge = match side {
            Side::After => offset + 1 == node.len() && !rules.ziplist,
            Side::Before => offset == 0,
        };
        let (plain_node, plain) = (node.is_plain(), rules.plain(item.len()));
        let beside = match side {
            Side::After => at.checked_add(1),
            Side::Before => at.checked_sub(1),
        };
        let neighbour = beside.and_then(|i| self.nodes.get(i));
        let new_at = at + usize::from(side == Side::After);
        if plain && (plain_node || at_edge) {
            self.nodes
                .insert(new_at, Node::plain(item, self.flags.prints), rules);
        } else if plain {
            let after = offset + usize::from(side == Side::After);
            let right = self.split(at, after, rules);
            self.nodes
                .insert(at + 1, Node::plain(item, self.flags.prints), rules);
            self.nodes.insert(at + 2, right, rules);
        } else if let (true, true, Some(i)) = (at_edge, rules.takes(neighbour, item.len()), beside)
        {
            let end = match side {
                Side::After => End::Head,
                Side::Before => End::Tail,
            };
            self.nodes
                .edit(i, rules, |node| node.push(item, end, rules));
        } else if at_edge && (neighbour.is_some() || !rules.ziplist) {
            let mut node = Node::new(self.flags.prints, rules);
            node.push(item, End::Head, rules);
            self.nodes.insert(new_at, node, rules);
        } else {
            self.insert_split(spot, item, rules);
        }
    }

    /// Inserts into a full node: splits it there, and merges what fits.
    fn insert_split(&mut self, spot: Spot, item: &Item, rules: &Rules) {
        let Spot { at, offset, side } = spot;
        let center = match side {
            Side::After => {
                let mut right = self.split(at, offset + 1, rules);
                right.push(item, End::Head, rules);
                self.nodes.insert(at + 1, right, rules);
                at
            }
            Side::Before => {
                let right = self.split(at, offset, rules);
                self.nodes
                    .edit(at, rules, |left| left.push(item, End::Tail, rules));
                self.nodes.insert(at + 1, right, rules);
                at + 1
            }
        };
        self.merge_around(center, rules);
    }

    fn split(&mut self, at: usize, offset: usize, rules: &Rules) -> Node {
        self.nodes
            .edit(at, rules, |node| node.split(offset, rules))
            .unwrap_or_else(|| Node::new(self.flags.prints, rules))
    }

    fn replace(&mut self, at: usize, offset: usize, item: &Item, rules: &Rules) {
        self.nodes.edit(at, rules, |node| {
            node.set_compressed(None);
            node.splice(offset, 1, std::slice::from_ref(item), rules);
        });
    }

    /// LSET of a large element into a packed node: the node is split around it.
    fn replace_by_plain(&mut self, at: usize, offset: usize, item: &Item, rules: &Rules) {
        let Some(len) = self.nodes.get(at).map(Node::len) else {
            return;
        };
        if offset + 1 < len {
            let right = self.split(at, offset + 1, rules);
            self.nodes.insert(at + 1, right, rules);
        }
        self.nodes
            .insert(at + 1, Node::plain(item, self.flags.prints), rules);
        self.nodes
            .edit(at, rules, |node| node.pop(End::Tail, rules));
        if offset > 0 {
            self.merge_around(at + 1, rules);
        } else {
            self.nodes.remove(at, rules);
        }
    }

    /// Merges the neighbours of a node, and it with them, where they fit.
    fn merge_around(&mut self, center: usize, rules: &Rules) {
        let mut center = center;
        if center >= 2 && self.merge_at(center - 2, rules) {
            center -= 1;
        }
        self.merge_at(center + 1, rules);
        if center >= 1 && self.merge_at(center - 1, rules) {
            center -= 1;
        }
        self.merge_at(center, rules);
    }

    /// Merges node `at` with the one behind it, if there is one and they fit.
    fn merge_at(&mut self, at: usize, rules: &Rules) -> bool {
        let fit = match (self.nodes.get(at), self.nodes.get(at + 1)) {
            (Some(left), Some(right)) => rules.merges(left, right),
            (_, _) => false,
        };
        if fit && let Some(right) = self.nodes.remove(at + 1, rules) {
            self.nodes.edit(at, rules, |left| left.merge(&right, rules));
        }
        fit
    }

    /// What precedes a growth: a bare listpack that would exceed the limit becomes a quicklist.
    pub(super) fn grow(&mut self, bytes: u64, added: u64, rules: &Rules) {
        let Some(node) = self.nodes.get(0) else {
            return;
        };
        if !(self.bare && rules.outgrows(node, bytes, added)) {
            return;
        }
        self.bare = false;
        self.flags.open = false;
        if self.count == 0 {
            self.nodes = super::Nodes::new();
        }
    }

    fn push_one(&mut self, end: End, item: &Item, rules: &Rules) {
        let item = &self.printed(item);
        let at = self.end_node(end);
        let new_at = if end == End::Head {
            0
        } else {
            self.nodes.len()
        };
        self.count += 1;
        if self.bare || rules.takes(self.nodes.get(at), item.len()) {
            self.nodes
                .edit(at, rules, |node| node.push(item, end, rules));
            return;
        }
        let node = if rules.plain(item.len()) {
            Node::plain(item, self.flags.prints)
        } else {
            let mut node = Node::new(self.flags.prints, rules);
            node.push(item, end, rules);
            node
        };
        self.nodes.edit(at, rules, Node::settle);
        self.nodes.insert(new_at, node, rules);
        self.nodes.compress(usize::MAX, rules);
    }

    /// The item as this list keeps it: without a fingerprint if none are kept.
    fn printed(&self, item: &Item) -> Item {
        let Flags { prints, .. } = self.flags;
        Item {
            print: if prints { item.print } else { 0 },
            ..*item
        }
    }

    fn end_node(&self, end: End) -> usize {
        match end {
            End::Head => 0,
            End::Tail => self.nodes.len().saturating_sub(1),
        }
    }

    pub(super) fn drop_if_empty(&mut self, at: usize, rules: &Rules) {
        if !self.bare && self.nodes.get(at).is_some_and(|node| node.count() == 0) {
            self.nodes.remove(at, rules);
        }
    }

    /// Node and offset of an index from the head, walking from the nearer end.
    fn locate(&self, index: u64) -> Option<(usize, usize)> {
        let from_tail = self.count.checked_sub(index)?;
        let (at, offset) = if index <= self.count / 2 {
            let mut left = index;
            let at = self.nodes.iter().position(|node| {
                let here = left < node.count();
                left -= if here { 0 } else { node.count() };
                here
            })?;
            (at, left)
        } else {
            let mut left = from_tail;
            let at = self.nodes.iter().rev().position(|node| {
                let here = left <= node.count();
                left -= if here { 0 } else { node.count() };
                here
            })?;
            let at = self.nodes.len() - 1 - at;
            (at, self.nodes.get(at)?.count() - left)
        };
        Some((at, usize::try_from(offset).ok()?))
    }
}
