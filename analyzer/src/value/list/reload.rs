//! What a list becomes on another server that loads it: its nodes as they were cut, in that server's
//! blobs, compressed by its depth. And what the list is where another server than before is followed.

use super::node::Node;
use super::nodes::pays;
use super::rules::Rules;
use super::{List, OBJECT, QUICKLIST, averaged};
use crate::profile::{Family, Profile, Version};
use crate::value::Encoding;
use crate::whatif::{Becomes, Guess, SAMPLE_MAX};

/// Share of its bytes, in 1/1024, that a node is taken to keep when it is compressed and nothing tells
/// how well.
const RATIO: u64 = 512;

/// The nodes of a list on the other server.
struct Loaded {
    rules: Rules,
    depth: usize,
    /// Nodes.
    len: usize,
    /// Blobs are not what they were: ziplists became listpacks.
    other_blobs: bool,
    /// Elements that were looked at, and bytes of their nodes before and after.
    seen: u64,
    before: u64,
    after: u64,
    memory: u64,
    guess: Option<Guess>,
}

impl List {
    /// Follows another server than before, whose rules may be others; `None` if some of the list may
    /// have come from it already.
    pub(crate) fn reweigh(&mut self, from: Option<&Profile>, to: &Profile) {
        let rules = Rules::of(to);
        if from.is_none_or(|from| from.ziplists() != to.ziplists()) {
            self.nodes.rebuild(&rules);
        }
        self.nodes.resum(&rules);
    }

    /// True if the other server may have cut the list into other nodes: it judges by the bytes of its
    /// own blobs when a node is full.
    pub(crate) fn is_cut_otherwise(&self, from: &Profile, to: &Profile) -> bool {
        self.nodes.len() > 1 && from.ziplists() != to.ziplists()
    }

    /// The list on a server as `to` that has loaded it from a server as `from`.
    pub(crate) fn reloaded(&self, from: &Profile, to: &Profile) -> Becomes {
        let rules = Rules::of(to);
        let mut loaded = Loaded {
            depth: rules.depth,
            len: self.nodes.len(),
            other_blobs: from.ziplists() != to.ziplists(),
            seen: 0,
            before: 0,
            after: 0,
            memory: 0,
            guess: None,
            rules,
        };
        let only = self
            .nodes
            .get(0)
            .filter(|node| loaded.len == 1 && !node.is_plain());
        if let Some(node) = only {
            let bytes = loaded.bytes(node);
            if rules.small_lists && rules.fits(bytes, node.count(), 1) {
                return Becomes {
                    encoding: Encoding::Listpack,
                    memory: OBJECT + rules.block_of(bytes, None),
                    guess: None,
                };
            }
        }
        self.nodes
            .iter()
            .enumerate()
            .for_each(|(at, node)| loaded.add(at, node));
        let by_elements = to.family == Family::Redis && to.version >= Version::new(8, 0);
        let parts = if by_elements {
            self.count
        } else {
            loaded.len as u64
        };
        Becomes {
            encoding: Encoding::Quicklist,
            memory: averaged(OBJECT + QUICKLIST, loaded.memory, parts),
            guess: loaded.guess,
        }
    }
}

impl Loaded {
    fn add(&mut self, at: usize, node: &Node) {
        let bytes = self.bytes(node);
        let compressed = self.compressed(at, node, bytes);
        self.memory += self.rules.node_struct + self.rules.block_of(bytes, compressed);
    }

    /// Bytes of the node's blob.
    fn bytes(&mut self, node: &Node) -> u64 {
        if !self.other_blobs || node.is_plain() {
            return node.bytes();
        }
        if self.seen >= SAMPLE_MAX {
            self.guess = self.guess.or(Some(Guess::Sampled));
            return node.bytes() * self.after / self.before.max(1);
        }
        let bytes = node.fresh_bytes(&self.rules);
        self.seen += node.count();
        self.before += node.bytes();
        self.after += bytes;
        bytes
    }

    /// Bytes of its compressed form, if it has one.
    fn compressed(&mut self, at: usize, node: &Node, bytes: u64) -> Option<u64> {
        let interior =
            self.depth > 0 && at >= self.depth && at < self.len.saturating_sub(self.depth);
        if !interior {
            return None;
        }
        let known = node.compressed().filter(|_| !self.other_blobs);
        if known.is_none() {
            self.guess = Some(Guess::Compression);
        }
        let ratio = node.compressed().map_or(bytes * RATIO / 1024, |small| {
            small * bytes / node.bytes().max(1)
        });
        Some(known.unwrap_or(ratio)).filter(|&small| pays(small, bytes))
    }
}
