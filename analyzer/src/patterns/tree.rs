//! The tree that patterns are paths of: nodes, their links, and the keys counted at them.
//!
//! A node is a token behind its separator, below the token before it. The links form a tree for
//! whoever goes through it; lookups go through [`Steps`] and touch one small record a token.

use super::class::Classes;
use super::table::Steps;
use super::tally::Tally;
use super::token::{NONE, Token, is_weak};
use crate::text;

/// The node that all names begin at.
pub(super) const ROOT: u32 = 0;

/// No node, no tally.
pub(super) const NIL: u32 = u32::MAX;

/// What `*` is spelled as in steps: no literal holds a control character.
const STAR_LABEL: &[u8] = b"\0*";

/// Stands for every token that has no node of its own.
pub(super) const STAR: u8 = 1;
/// Holds the keys of everything below it.
pub(super) const SINK: u8 = 1 << 1;
/// Is not merged now.
pub(super) const KEEP: u8 = 1 << 2;
/// Is not in use.
const VACANT: u8 = 1 << 3;
/// First of three bits, by group: unknown literals are `*`.
const OPEN: u8 = 1 << 4;

/// Tokens below a node, by what separates them from it. Each group is one place where literals are
/// counted, and generalised when they are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Strong = 0,
    Weak = 1,
    /// Digits behind a word.
    Digits = 2,
}

impl Group {
    pub(super) const ALL: [Group; 3] = [Group::Strong, Group::Weak, Group::Digits];

    pub(super) fn of(separator: u8) -> Group {
        match separator {
            NONE => Group::Digits,
            other if is_weak(other) => Group::Weak,
            _ => Group::Strong,
        }
    }

    fn bit(self) -> u8 {
        OPEN << self as u8
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) parent: u32,
    /// Where the keys that end here are counted.
    pub(super) tally: u32,
    /// Children that are literals, by group.
    pub(super) literals: [u16; 3],
    /// Children that are `*`, by group.
    pub(super) stars: [u8; 3],
    /// One of the children that are `*`, found without a look at the steps; `NIL` if none is at hand.
    star: u32,
    pub(super) separator: u8,
    pub(super) flags: u8,
    /// What was met at a `*`.
    pub(super) classes: Classes,
}

impl Node {
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn is_open(&self, group: Group) -> bool {
        self.is(group.bit())
    }

    /// True if unknown literals of any group are `*`.
    pub(super) fn is_any_open(&self) -> bool {
        let mut groups = Group::ALL.into_iter();
        groups.any(|group| self.is_open(group))
    }

    /// True if tokens of a group without a node stay at this one once the place is open.
    pub(super) fn may_take_in(&self, group: Group) -> bool {
        self.is(STAR) && group == Group::Weak
    }

    /// True if a token without a node stays at this one.
    pub(super) fn takes_in(&self, group: Group) -> bool {
        self.is(STAR)
            && match group {
                Group::Strong => false,
                Group::Weak => self.is_open(Group::Weak),
                Group::Digits => true,
            }
    }
}

/// The end of a path that goes no further: there is no node for the token.
#[derive(Debug)]
pub(super) struct Gap<'a> {
    pub(super) node: u32,
    pub(super) token: Token<'a>,
}

#[derive(Clone, Debug)]
pub(super) struct Links {
    print: u64,
    pub(super) first: u32,
    pub(super) next: u32,
    prev: u32,
    pub(super) label: Box<[u8]>,
}

/// A tally and the node that it belongs to; `NIL` if none.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) node: u32,
    pub(super) tally: Tally,
}

/// Nodes and tallies.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    seed: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) links: Vec<Links>,
    vacant: Vec<u32>,
    steps: Steps,
    pub(super) tallies: Vec<Owned>,
    vacant_tallies: Vec<u32>,
    /// Some place was opened.
    is_open: bool,
}

/// 2^64 by the golden ratio: an odd number without pattern.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Both halves of a product in one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn mixed(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Up to eight bytes as a number; the length must tell the rest.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Some(bytes) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*bytes);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    bytes
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

impl Tree {
    pub(super) fn new(seed: u64) -> Tree {
        let mut tree = Tree {
            seed,
            nodes: Vec::new(),
            links: Vec::new(),
            vacant: Vec::new(),
            steps: Steps::new(),
            tallies: Vec::new(),
            vacant_tallies: Vec::new(),
            is_open: false,
        };
        tree.make(0, 0, b"");
        tree
    }

    /// The same tree with room for no more than is in use, and without keys.
    pub(super) fn compacted(&self) -> Tree {
        let mut tree = Tree::new(self.seed);
        let mut numbers = vec![NIL; self.nodes.len()];
        for old in self.below(ROOT) {
            let from = self.node(old);
            let new = match numbers.get(from.parent as usize) {
                None => ROOT,
                Some(parent) if from.is(STAR) => tree.add_star(*parent, from.separator),
                Some(parent) => tree.add_literal(*parent, from.separator, &self.link(old).label),
            };
            numbers[old as usize] = new;
            let to = tree.node_mut(new);
            (to.flags, to.classes) = (from.flags, from.classes);
            tree.is_open |= from.is_any_open();
            if from.tally != NIL {
                tree.add_tally(new);
            }
        }
        tree
    }

    /// False if no literal can be unknown at its place: nowhere are they `*`.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Nodes in use.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.vacant.len()
    }

    /// Tallies in use.
    pub(super) fn patterns(&self) -> usize {
        self.tallies.len() - self.vacant_tallies.len()
    }

    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    pub(super) fn node_mut(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    pub(super) fn link(&self, node: u32) -> &Links {
        &self.links[node as usize]
    }

    fn link_mut(&mut self, node: u32) -> &mut Links {
        &mut self.links[node as usize]
    }

    pub(super) fn is_vacant(&self, node: u32) -> bool {
        self.node(node).is(VACANT)
    }

    /// The fingerprint of a step.
    #[inline]
    pub(super) fn print(&self, parent: u32, separator: u8, label: &[u8]) -> u64 {
        let from = (u64::from(parent) << 8 | u64::from(separator)).wrapping_mul(GOLDEN);
        let seed = self.seed ^ from;
        let (low, high) = match label.len() {
            0..=8 => (word(label), 0),
            9..=16 => (word(&label[..8]), word(&label[label.len() - 8..])),
            _ => return text::digest(label, seed),
        };
        let len = label.len() as u64;
        mixed(mixed(low ^ seed, GOLDEN ^ len) ^ high, seed ^ GOLDEN)
    }

    /// The literal below a node.
    #[inline]
    pub(super) fn literal(&self, node: u32, separator: u8, label: &[u8]) -> Option<u32> {
        self.steps.get(self.print(node, separator, label))
    }

    /// The `*` below a node.
    #[inline]
    pub(super) fn star(&self, node: u32, separator: u8) -> Option<u32> {
        let near = self.node(node).star;
        if near != NIL && self.node(near).separator == separator {
            return Some(near);
        }
        self.literal(node, separator, STAR_LABEL)
    }

    /// Where a token leads, and what is met there if that is a `*`.
    #[inline]
    pub(super) fn step<'a>(&self, node: u32, token: Token<'a>) -> Result<(u32, Classes), Gap<'a>> {
        let here = self.node(node);
        let group = Group::of(token.separator);
        if group == Group::Digits && here.takes_in(group) {
            return Ok((node, Classes::NONE));
        }
        let mut classes = token.classes;
        if !token.is_variable() {
            if let Some(next) = self.literal(node, token.separator, token.text) {
                return Ok((next, Classes::NONE));
            }
            if !here.is_open(group) {
                return Err(Gap { node, token });
            }
            classes = Classes::WORD;
        }
        if here.takes_in(group) {
            return Ok((node, classes));
        }
        match self.star(node, token.separator) {
            Some(star) => Ok((star, classes)),
            None => Err(Gap { node, token }),
        }
    }

    fn make(&mut self, flags: u8, separator: u8, label: &[u8]) -> u32 {
        let node = Node {
            parent: NIL,
            tally: NIL,
            literals: [0; 3],
            stars: [0; 3],
            star: NIL,
            separator,
            flags,
            classes: Classes::NONE,
        };
        let links = Links {
            print: 0,
            first: NIL,
            next: NIL,
            prev: NIL,
            label: label.into(),
        };
        if let Some(number) = self.vacant.pop() {
            *self.node_mut(number) = node;
            *self.link_mut(number) = links;
            return number;
        }
        self.nodes.push(node);
        self.links.push(links);
        u32::try_from(self.nodes.len() - 1).unwrap_or(NIL)
    }

    /// Adds a literal that is not there.
    pub(super) fn add_literal(&mut self, parent: u32, separator: u8, label: &[u8]) -> u32 {
        let node = self.make(0, separator, label);
        self.attach(node, parent);
        node
    }

    /// The `*` below a node, made if need be.
    pub(super) fn add_star(&mut self, parent: u32, separator: u8) -> u32 {
        if let Some(star) = self.star(parent, separator) {
            return star;
        }
        let node = self.make(STAR, separator, STAR_LABEL);
        self.attach(node, parent);
        node
    }

    /// Hangs a node with all below it under another one, which has none of the kind.
    pub(super) fn attach(&mut self, node: u32, parent: u32) {
        let separator = self.node(node).separator;
        let print = self.print(parent, separator, &self.link(node).label);
        self.steps.insert(print, node);
        let first = std::mem::replace(&mut self.link_mut(parent).first, node);
        if first != NIL {
            self.link_mut(first).prev = node;
        }
        let links = self.link_mut(node);
        (links.print, links.next, links.prev) = (print, first, NIL);
        self.node_mut(node).parent = parent;
        self.count(node, parent, 1);
    }

    /// Takes a node with all below it out of the tree.
    pub(super) fn detach(&mut self, node: u32) {
        let Links {
            print, next, prev, ..
        } = *self.link(node);
        let parent = self.node(node).parent;
        self.steps.remove(print);
        if prev == NIL {
            self.link_mut(parent).first = next;
        } else {
            self.link_mut(prev).next = next;
        }
        if next != NIL {
            self.link_mut(next).prev = prev;
        }
        self.count(node, parent, -1);
        self.node_mut(node).parent = NIL;
    }

    fn count(&mut self, node: u32, parent: u32, by: i8) {
        let Node {
            separator, flags, ..
        } = *self.node(node);
        let group = Group::of(separator) as usize;
        let parent = self.node_mut(parent);
        if flags & STAR != 0 {
            parent.stars[group] = parent.stars[group].saturating_add_signed(by);
            match by {
                1.. => parent.star = node,
                _ if parent.star == node => parent.star = NIL,
                _ => {}
            }
        } else {
            parent.literals[group] = parent.literals[group].saturating_add_signed(i16::from(by));
        }
    }

    /// Gives a node back that is out of the tree, without children and without a tally.
    pub(super) fn release(&mut self, node: u32) {
        self.node_mut(node).flags = VACANT;
        self.link_mut(node).label = Box::default();
        self.vacant.push(node);
    }

    /// The children of a node.
    pub(super) fn children(&self, node: u32) -> impl Iterator<Item = u32> {
        let first = Some(self.link(node).first).filter(|first| *first != NIL);
        let next = |node: &u32| Some(self.link(*node).next).filter(|next| *next != NIL);
        std::iter::successors(first, next)
    }

    /// A node and all below it.
    pub(super) fn below(&self, node: u32) -> impl Iterator<Item = u32> {
        let mut waiting = vec![node];
        std::iter::from_fn(move || {
            let node = waiting.pop()?;
            waiting.extend(self.children(node));
            Some(node)
        })
    }

    pub(super) fn open(&mut self, node: u32, group: Group) {
        self.is_open = true;
        self.node_mut(node).flags |= group.bit();
    }

    /// The tally of a node, made if need be.
    pub(super) fn add_tally(&mut self, node: u32) -> u32 {
        if self.node(node).tally != NIL {
            return self.node(node).tally;
        }
        let owned = Owned {
            node,
            tally: Tally::new(),
        };
        let number = if let Some(number) = self.vacant_tallies.pop() {
            self.tallies[number as usize] = owned;
            number
        } else {
            self.tallies.push(owned);
            u32::try_from(self.tallies.len() - 1).unwrap_or(NIL)
        };
        self.node_mut(node).tally = number;
        number
    }

    /// Takes the tally of a node away from it.
    pub(super) fn take_tally(&mut self, node: u32) -> Option<Tally> {
        let number = std::mem::replace(&mut self.node_mut(node).tally, NIL);
        let owned = self.tallies.get_mut(number as usize)?;
        owned.node = NIL;
        self.vacant_tallies.push(number);
        Some(std::mem::replace(&mut owned.tally, Tally::new()))
    }

    /// Gives the tally of one node to another one.
    pub(super) fn move_tally(&mut self, from: u32, to: u32) {
        if self.node(from).tally == NIL {
            return;
        }
        if self.node(to).tally == NIL {
            let number = std::mem::replace(&mut self.node_mut(from).tally, NIL);
            self.node_mut(to).tally = number;
            self.tallies[number as usize].node = to;
        } else if let Some(tally) = self.take_tally(from) {
            let to = self.node(to).tally;
            self.tallies[to as usize].tally.merge(tally);
        }
    }

    /// Keys that are counted at a node or below it.
    pub(super) fn weight(&self, node: u32) -> u64 {
        let tallies = self.below(node).filter_map(|node| self.tally(node));
        tallies.map(|tally| tally.total().keys).sum()
    }

    /// The tally of a node.
    pub(super) fn tally(&self, node: u32) -> Option<&Tally> {
        let owned = self.tallies.get(self.node(node).tally as usize);
        owned.map(|owned| &owned.tally)
    }

    /// The nodes from the first token to this one.
    pub(super) fn path(&self, node: u32) -> Vec<u32> {
        let up = |node: &u32| Some(self.node(*node).parent).filter(|parent| *parent != NIL);
        let mut path: Vec<u32> = std::iter::successors(Some(node), up).collect();
        path.pop();
        path.reverse();
        path
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        let labels: usize = self.links.iter().map(|links| links.label.len()).sum();
        let tallies: usize = self
            .tallies
            .iter()
            .map(|owned| owned.tally.heap_bytes())
            .sum();
        self.nodes.capacity() * size_of::<Node>()
            + self.links.capacity() * size_of::<Links>()
            + self.tallies.capacity() * size_of::<Owned>()
            + (self.vacant.capacity() + self.vacant_tallies.capacity()) * size_of::<u32>()
            + self.steps.heap_bytes()
            + labels
            + tallies
    }
}
