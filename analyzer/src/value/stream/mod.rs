//! A stream: the ids of its entries and the sizes of its nodes, its consumer groups and what they
//! have pending. No field, value or name is kept.
//!
//! A node is a listpack of about a hundred entries in a radix tree (`node`, `rax`); entries that are
//! deleted stay in it, marked, until the last live one goes. Ids are kept for all of them, one or
//! two bytes each, so that XDEL, XTRIM and XCLAIM do what they did on the master. A stream without
//! entries is still a key.

mod edit;
mod group;
mod load;
mod node;
mod rax;
mod reweigh;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::input::StreamId;
use crate::profile::Profile;
use crate::value::{Encoding, Fit, Samples, Usage};
use crate::whatif::{Becomes, Guess, SAMPLE_MAX};
use group::Group;
use node::{Node, ms, seq};
use rax::{Ids, Regrown, Shape, signed};
use rules::Rules;

pub use load::Builder;

pub(crate) use edit::{Bound, Claim, Trim};

/// The object of a value.
const OBJECT: u64 = 16;

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream {
    nodes: Nodes,
    length: u64,
    last: u128,
    first: u128,
    max_deleted: u128,
    entries_added: u64,
    groups: Vec<Group>,
    /// Bytes that the server says it has more than the formulas.
    unexplained: i64,
}

/// The nodes in order, with their sums.
#[derive(Clone, Debug)]
struct Nodes {
    nodes: VecDeque<Node>,
    shape: Shape,
    blocks: u64,
    /// What the allocator adds to those.
    spare: u64,
    heap: usize,
}

/// A consumer group, as XINFO GROUPS tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// Digest of its name, with the process's seed.
    pub name: u64,
    /// Consumers.
    pub consumers: u64,
    /// Pending entries.
    pub pending: u64,
    /// Last id delivered.
    pub last: StreamId,
    /// Entries read; `None` if unknown.
    pub entries_read: Option<u64>,
}

/// A consumer, as XINFO CONSUMERS tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerFacts {
    /// Digest of its name, with the process's seed.
    pub name: u64,
    /// Pending entries.
    pub pending: u64,
    /// Last seen, unix milliseconds.
    pub seen_ms: i64,
    /// Last active, unix milliseconds; `None` if it never got an entry.
    pub active_ms: Option<i64>,
}

/// Names of groups are not kept, nor their lengths: they are taken to be as long as this, bytes.
const GROUP_NAME: u64 = 8;

impl Stream {
    /// An empty stream.
    pub fn new(profile: &Profile) -> Stream {
        Stream {
            nodes: Nodes::new(&Rules::of(profile)),
            length: 0,
            last: 0,
            first: 0,
            max_deleted: 0,
            entries_added: 0,
            groups: Vec::new(),
            unexplained: 0,
        }
    }

    /// Live entries.
    pub fn count(&self) -> u64 {
        self.length
    }

    /// Bytes of the value part of MEMORY USAGE, the 16 of the object included.
    pub fn memory(&self, profile: &Profile) -> u64 {
        let rules = Rules::of(profile);
        let keys = self.nodes.nodes.len() as u64;
        let groups: u64 = self.groups.iter().map(|group| group.memory(&rules)).sum();
        (OBJECT
            + rules.stream()
            + rules.meter.memory(1, keys, self.nodes.shape)
            + self.nodes.blocks
            + groups)
            .saturating_add_signed(self.unexplained)
    }

    /// Takes what the server says of the value part. A snapshot does not show how much room is left
    /// in the last node, nor what trees look like that had more ids once.
    pub(crate) fn fit(&mut self, usage: Usage, profile: &Profile) -> Option<Fit> {
        if usage.samples == Samples::One {
            return None;
        }
        let rules = Rules::of(profile);
        let ours = self.memory(profile);
        if ours == usage.bytes {
            return Some(Fit::Same);
        }
        let tail = self.nodes.nodes.back();
        let room = tail.and_then(|node| (node.block + usage.bytes).checked_sub(ours));
        let room = room.filter(|room| {
            *room <= rules.new_block()
                && rules.block(*room) == *room
                && tail.is_some_and(|node| *room >= node.bytes)
        });
        if let (Some(room), Some(at)) = (room, self.nodes.nodes.len().checked_sub(1)) {
            self.nodes.edit(at, &rules, |node| node.block = room);
        } else if !profile.allocator.libc {
            // With the C library's malloc it is chance, which the key keeps (`Entry::extra`).
            let more = i64::try_from(usage.bytes).ok()? - i64::try_from(ours).ok()?;
            self.unexplained = self.unexplained.saturating_add(more);
        }
        Some(Fit::Odd)
    }

    /// What the server's blocks take beyond [`Stream::memory`], less than nothing where it guesses
    /// its trees too large: structs are counted as they are, before 6.2 listpacks too.
    pub(crate) fn beyond(&self, profile: &Profile) -> i64 {
        let rules = Rules::of(profile);
        let keys = self.nodes.nodes.len() as u64;
        let groups = self.groups.iter().map(|group| group.beyond(&rules));
        let names = match self.groups.len() as u64 {
            0 => 0,
            count => rules.meter.names(count, GROUP_NAME),
        };
        rules.stream_beyond()
            + signed(names)
            + rules.meter.beyond(1, keys, self.nodes.shape)
            + signed(self.nodes.spare)
            + groups.sum::<i64>()
    }

    /// Bytes the model allocates.
    pub fn heap_bytes(&self) -> usize {
        let groups: usize = self.groups.iter().map(Group::heap_bytes).sum();
        size_of::<Stream>()
            + self.nodes.heap
            + self.nodes.nodes.capacity() * size_of::<Node>()
            + self.groups.capacity() * size_of::<Group>()
            + groups
    }

    /// A stream never lives in a record.
    pub fn pack(&self, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// A stream never lives in a record.
    pub fn unpack(_encoding: Encoding, _bytes: &[u8]) -> Option<Stream> {
        None
    }

    /// Last id ever given.
    pub fn last_id(&self) -> StreamId {
        split(self.last)
    }

    /// First live id; 0-0 if there is none.
    pub fn first_id(&self) -> StreamId {
        split(self.first)
    }

    /// Last live id; `None` if there is none.
    pub fn last_live_id(&self) -> Option<StreamId> {
        let mut nodes = self.nodes.nodes.iter().rev();
        nodes.find_map(Node::last_live).map(split)
    }

    /// Largest id that XDEL ever removed.
    pub fn max_deleted_id(&self) -> StreamId {
        split(self.max_deleted)
    }

    /// Entries ever added.
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Listpacks: the keys of the radix tree.
    pub fn radix_keys(&self) -> u64 {
        self.nodes.nodes.len() as u64
    }

    /// Nodes of the radix tree.
    pub fn radix_nodes(&self) -> u64 {
        self.nodes.shape.nodes
    }

    /// The groups, in the order of their making.
    pub fn groups(&self) -> impl Iterator<Item = GroupFacts> {
        self.groups.iter().map(|group| GroupFacts {
            name: group.name,
            consumers: group.consumers.len() as u64,
            pending: group.pending.len() as u64,
            last: split(group.last),
            entries_read: group.entries_read,
        })
    }

    /// The consumers of the group whose name has that digest, in no particular order.
    pub fn consumers(&self, group: u64) -> impl Iterator<Item = ConsumerFacts> {
        let group = self.groups.iter().find(|found| found.name == group);
        let consumers = group.into_iter().flat_map(|group| &group.consumers);
        consumers.map(|(&name, consumer)| ConsumerFacts {
            name,
            pending: consumer.pending.len() as u64,
            seen_ms: consumer.seen_ms,
            active_ms: consumer.active_ms,
        })
    }

    /// What COPY makes of it: no spare room, and empty trees as they were never used.
    pub(crate) fn recreate(&mut self, profile: &Profile) {
        let rules = Rules::of(profile);
        let nodes = &mut self.nodes;
        if let Some(at) = nodes.nodes.len().checked_sub(1) {
            nodes.edit(at, &rules, |node| node.block = rules.block(node.bytes));
        } else {
            nodes.shape = Shape::empty(&rules.meter);
        }
        for group in &mut self.groups {
            group.recreate(&rules);
        }
    }

    /// Bytes of the value part of MEMORY USAGE on a server as `to` that has loaded it from a server
    /// as `from`: nodes as they are, without spare room, and trees that were never used where they
    /// are empty.
    pub(crate) fn reloaded(&self, from: &Profile, to: &Profile) -> Becomes {
        let rules = Rules::of(to);
        let mut trees = Regrown::new(from, rules.meter, SAMPLE_MAX);
        let nodes = &self.nodes.nodes;
        let shape = trees.tree(self.nodes.shape, nodes.iter().map(|node| node.id));
        let blocks: u64 = nodes.iter().map(|node| rules.block(node.bytes)).sum();
        let groups = self.groups.iter();
        let groups: u64 = groups.map(|group| group.reloaded(&rules, &mut trees)).sum();
        let tree = rules.meter.memory(1, nodes.len() as u64, shape);
        Becomes {
            encoding: Encoding::Stream,
            memory: OBJECT + rules.stream() + tree + blocks + groups,
            guess: trees.sampled.then_some(Guess::Sampled),
        }
    }

    /// Bytes of its listpacks.
    pub(crate) fn packed_bytes(&self) -> u64 {
        self.nodes.nodes.iter().map(|node| node.bytes).sum()
    }

    /// MEMORY USAGE of the value part, about, if its nodes had `times` as many entries, as long as
    /// those fit into `full` bytes.
    pub(crate) fn refilled(&self, (times, full): (u64, u64), profile: &Profile) -> u64 {
        let rules = Rules::of(profile);
        let keys = self.nodes.nodes.len() as u64;
        let nodes = keys
            .div_ceil(times)
            .max(self.packed_bytes().div_ceil(full))
            .max(1);
        let spared = keys.saturating_sub(nodes) * Node::head_bytes(0, 1);
        let each = self.packed_bytes().saturating_sub(spared) / nodes;
        let tree = rules.meter.memory(1, keys, self.nodes.shape);
        let then = (nodes - 1) * rules.block(each)
            + rules.new_block().max(rules.block(each))
            + tree * nodes / keys.max(1);
        (self.memory(profile) + then).saturating_sub(self.nodes.blocks + tree)
    }

    fn first_live(&self) -> u128 {
        self.nodes
            .nodes
            .iter()
            .find_map(Node::first_live)
            .unwrap_or(0)
    }
}

impl Nodes {
    fn new(rules: &Rules) -> Nodes {
        Nodes {
            nodes: VecDeque::new(),
            shape: Shape::empty(&rules.meter),
            blocks: 0,
            spare: 0,
            heap: 0,
        }
    }

    fn edit<R>(
        &mut self,
        at: usize,
        rules: &Rules,
        edit: impl FnOnce(&mut Node) -> R,
    ) -> Option<R> {
        let node = self.nodes.get_mut(at)?;
        let (block, heap) = (node.block, node.heap_bytes());
        let out = edit(node);
        self.blocks = self.blocks + node.block - block;
        let spare = self.spare + rules.block_spare(node.block);
        self.spare = spare.saturating_sub(rules.block_spare(block));
        self.heap = self.heap + node.heap_bytes() - heap;
        Some(out)
    }

    /// Adds a node behind the others.
    fn push(&mut self, node: Node, rules: &Rules) {
        self.shape = self.shape.added(&self.nodes, node.id, &rules.meter);
        self.blocks += node.block;
        self.spare += rules.block_spare(node.block);
        self.heap += node.heap_bytes();
        self.nodes.push_back(node);
    }

    fn remove(&mut self, at: usize, rules: &Rules) -> Option<Node> {
        let node = self.nodes.remove(at)?;
        self.shape = self.shape.removed(&self.nodes, node.id, &rules.meter);
        self.blocks -= node.block;
        self.spare = self.spare.saturating_sub(rules.block_spare(node.block));
        self.heap -= node.heap_bytes();
        Some(node)
    }

    /// The node that an id belongs to, if there is one.
    fn holding(&self, id: u128) -> Option<usize> {
        self.nodes
            .partition_point(|node| node.id <= id)
            .checked_sub(1)
    }
}

impl Ids for VecDeque<Node> {
    fn below(&self, id: u128) -> Option<u128> {
        let at = self.partition_point(|node| node.id < id).checked_sub(1)?;
        self.get(at).map(|node| node.id)
    }
    fn from(&self, id: u128) -> Option<u128> {
        let at = self.partition_point(|node| node.id < id);
        self.get(at).map(|node| node.id)
    }
}

fn split(id: u128) -> StreamId {
    (ms(id), seq(id))
}
