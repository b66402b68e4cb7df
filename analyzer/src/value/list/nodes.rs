//! The nodes of one list in order, with the sums that make its memory O(1).
//!
//! Most lists are one node; that one stands inline. More are a deque, which takes nodes at both ends
//! in O(1) and in the middle in O(nodes), as often as the server splits or merges there.

use std::collections::VecDeque;

use super::node::Node;
use super::rules::Rules;

/// Nothing to compare with: a compressed node is taken for half its size.
const RATIO_UNKNOWN: u64 = 512;

/// Nodes of this size and more are compressed, if that saves at least [`COMPRESS_SAVES`].
const COMPRESS_MIN: u64 = 48;
const COMPRESS_SAVES: u64 = 8;

/// True if the server would keep a node of `bytes` compressed to `compressed`. An image compresses
/// what saves half of that too, on its own account.
pub(super) fn pays(compressed: u64, bytes: u64) -> bool {
    bytes >= COMPRESS_MIN && compressed + COMPRESS_SAVES < bytes
}

/// Builds a blob anew, and takes it to be compressed as well as it was.
fn rebuild(node: &mut Node, rules: &Rules) {
    if node.is_plain() {
        return;
    }
    let before = node.bytes();
    let bytes = node.fresh_bytes(rules);
    node.set_bytes(bytes);
    let small = node.compressed().map(|small| small * bytes / before.max(1));
    node.set_compressed(small.filter(|&small| pays(small, bytes)));
}

#[derive(Clone, Debug)]
pub(super) enum Nodes {
    One(Node),
    Many(Box<Many>),
}

#[derive(Clone, Debug)]
pub(super) struct Many {
    nodes: VecDeque<Node>,
    /// Node structs and blocks of the server.
    memory: u64,
    /// What the allocator adds to those.
    spare: u64,
    /// Buffers of ours.
    heap: usize,
    /// Compressed by uncompressed bytes of the nodes that were seen compressed, in 1/1024.
    ratio: u64,
}

impl Nodes {
    pub(super) fn new() -> Nodes {
        Nodes::Many(Box::new(Many {
            nodes: VecDeque::new(),
            memory: 0,
            spare: 0,
            heap: 0,
            ratio: RATIO_UNKNOWN,
        }))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Nodes::One(_) => 1,
            Nodes::Many(many) => many.nodes.len(),
        }
    }

    pub(super) fn get(&self, i: usize) -> Option<&Node> {
        match self {
            Nodes::One(node) => (i == 0).then_some(node),
            Nodes::Many(many) => many.nodes.get(i),
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Node> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Edits node `i` and keeps the sums; `None` if there is no such node.
    pub(super) fn edit<R>(
        &mut self,
        i: usize,
        rules: &Rules,
        edit: impl FnOnce(&mut Node) -> R,
    ) -> Option<R> {
        match self {
            Nodes::One(node) => (i == 0).then(|| edit(node)),
            Nodes::Many(many) => {
                let node = many.nodes.get_mut(i)?;
                let (memory, heap) = (rules.node_memory(node), node.heap_bytes());
                let out = edit(node);
                let grown = rules.node_memory(node);
                many.memory = (many.memory + grown).saturating_sub(memory);
                let spare = many.spare + rules.node_spare(grown);
                many.spare = spare.saturating_sub(rules.node_spare(memory));
                many.heap = many.heap + node.heap_bytes() - heap;
                Some(out)
            }
        }
    }

    /// Inserts a node before node `i`.
    pub(super) fn insert(&mut self, i: usize, node: Node, rules: &Rules) {
        if self.len() == 0 {
            *self = Nodes::One(node);
            return;
        }
        let many = self.spread(rules);
        let memory = rules.node_memory(&node);
        many.memory += memory;
        many.spare += rules.node_spare(memory);
        many.heap += node.heap_bytes();
        many.nodes.insert(i.min(many.nodes.len()), node);
    }

    /// Takes node `i` out.
    pub(super) fn remove(&mut self, i: usize, rules: &Rules) -> Option<Node> {
        let many = self.spread(rules);
        let node = many.nodes.remove(i)?;
        let memory = rules.node_memory(&node);
        many.memory = many.memory.saturating_sub(memory);
        many.spare = many.spare.saturating_sub(rules.node_spare(memory));
        many.heap -= node.heap_bytes();
        if many.nodes.len() == 1
            && let Some(last) = many.nodes.pop_back()
        {
            *self = Nodes::One(last);
        }
        Some(node)
    }

    fn spread(&mut self, rules: &Rules) -> &mut Many {
        if let Nodes::One(node) = self {
            let node = std::mem::replace(node, Node::new(false, rules));
            let mut nodes = Nodes::new();
            if let Nodes::Many(many) = &mut nodes {
                many.memory = rules.node_memory(&node);
                many.spare = rules.node_spare(many.memory);
                many.heap = node.heap_bytes();
                many.nodes.push_back(node);
            }
            *self = nodes;
        }
        match self {
            Nodes::Many(many) => many,
            Nodes::One(_) => unreachable!("spread a moment ago"),
        }
    }

    /// Every blob is built anew from its elements: ziplists have become listpacks, or may have.
    pub(super) fn rebuild(&mut self, rules: &Rules) {
        match self {
            Nodes::One(node) => rebuild(node, rules),
            Nodes::Many(many) => many.nodes.iter_mut().for_each(|node| rebuild(node, rules)),
        }
    }

    /// Sums the nodes by other rules than they came by.
    pub(super) fn resum(&mut self, rules: &Rules) {
        let Nodes::Many(many) = self else { return };
        (many.memory, many.spare) = (0, 0);
        for node in &many.nodes {
            let memory = rules.node_memory(node);
            many.memory += memory;
            many.spare += rules.node_spare(memory);
        }
    }

    /// Node structs and blocks of the server.
    pub(super) fn memory(&self, rules: &Rules) -> u64 {
        match self {
            Nodes::One(node) => rules.node_memory(node),
            Nodes::Many(many) => many.memory,
        }
    }

    /// What the allocator adds to [`Nodes::memory`].
    pub(super) fn spare(&self, rules: &Rules) -> u64 {
        match self {
            Nodes::One(node) => rules.node_spare(rules.node_memory(node)),
            Nodes::Many(many) => many.spare,
        }
    }

    /// Bytes that the model allocates.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Nodes::One(node) => node.heap_bytes(),
            Nodes::Many(many) => {
                many.heap + many.nodes.capacity() * size_of::<Node>() + size_of::<Many>()
            }
        }
    }

    /// Takes the ratio of the nodes that came compressed.
    pub(super) fn learn_ratio(&mut self) {
        let (mut small, mut whole) = (0, 0);
        for node in self.iter() {
            if let Some(bytes) = node.compressed() {
                small += bytes;
                whole += node.bytes();
            }
        }
        if let (Nodes::Many(many), 1..) = (self, whole) {
            many.ratio = small * 1024 / whole;
        }
    }

    /// True if some nodes are compressed, or may be.
    pub(super) fn compresses(&self, rules: &Rules) -> bool {
        rules.depth > 0 && self.len() > rules.depth.saturating_mul(2)
    }

    /// A list that was taken for `ours` bytes has `theirs`: gives each compressed node its share of
    /// the difference, and the same ratio to those that come. Where none was worth compressing so
    /// far, each that may be is taken for one.
    pub(super) fn share_out(&mut self, ours: u64, theirs: u64, rules: &Rules) {
        let Nodes::Many(many) = &*self else { return };
        let any = self.iter().any(|node| node.compressed().is_some());
        let inner = rules.depth..many.nodes.len().saturating_sub(rules.depth);
        let shares: Vec<usize> = (0..many.nodes.len())
            .filter(|i| match many.nodes.get(*i) {
                Some(node) if any => node.compressed().is_some(),
                Some(node) => inner.contains(i) && node.bytes() >= COMPRESS_MIN,
                None => false,
            })
            .collect();
        let (mut blocks, mut whole) = (0, 0);
        for node in shares.iter().filter_map(|i| many.nodes.get(*i)) {
            blocks += rules.block(node);
            whole += node.bytes();
        }
        let blocks = blocks.saturating_add(theirs).saturating_sub(ours);
        let Some(ratio) = blocks.min(whole).saturating_mul(1024).checked_div(whole) else {
            return;
        };
        // A block is rounded up: what one has too much the next has less.
        let mut over = 0;
        for i in shares {
            self.edit(i, rules, |node| {
                let share = node.bytes() * ratio / 1024;
                let bytes = rules.compressed_in(share.saturating_sub(over));
                node.set_compressed(pays(bytes, node.bytes()).then_some(bytes));
                over = (over + rules.block(node)).saturating_sub(share);
            });
        }
        if let Nodes::Many(many) = self {
            many.ratio = ratio;
        }
    }

    /// Makes every node within the depth uncompressed.
    pub(super) fn uncompress_ends(&mut self, rules: &Rules) {
        let len = self.len();
        for i in 0..rules.depth.min(len) {
            self.edit(i, rules, |node| node.set_compressed(None));
            self.edit(len - 1 - i, rules, |node| node.set_compressed(None));
        }
    }

    /// What the server does after any change: nodes within the depth are uncompressed, those just
    /// behind it and the changed one are compressed. How well is guessed by the known ratio.
    pub(super) fn compress(&mut self, changed: usize, rules: &Rules) {
        let (len, depth) = (self.len(), rules.depth);
        if depth == 0 || len < 2 {
            return;
        }
        self.uncompress_ends(rules);
        if len <= depth.saturating_mul(2) {
            return;
        }
        let interior = depth..len - depth;
        for i in [depth, len - 1 - depth, changed] {
            if interior.contains(&i) {
                self.squeeze(i, rules);
            }
        }
    }

    fn squeeze(&mut self, i: usize, rules: &Rules) {
        let Nodes::Many(many) = self else { return };
        let ratio = many.ratio;
        self.edit(i, rules, |node| {
            let bytes = node.bytes();
            let guess = bytes * ratio / 1024;
            if node.compressed().is_none() && pays(guess, bytes) {
                node.set_compressed(Some(guess));
            }
        });
    }
}
