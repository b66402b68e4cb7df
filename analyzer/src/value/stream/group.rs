//! Consumer groups: who has what pending. Names of groups and consumers are kept as digest and
//! length only.

use std::collections::{BTreeMap, BTreeSet};

use super::rax::{Regrown, Remade, Shape, signed};
use super::rules::Rules;

/// Struct of a pending entry.
const PENDING: u64 = 24;

/// A group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Digest of its name.
    pub(super) name: u64,
    /// Last id delivered.
    pub(super) last: u128,
    /// Entries read; `None` if unknown.
    pub(super) entries_read: Option<u64>,
    pub(super) pending: BTreeMap<u128, Pending>,
    shape: Shape,
    pub(super) consumers: BTreeMap<u64, Consumer>,
    /// The trees of all consumers together, the ids in them, and the bytes of all names.
    consumer_shape: Shape,
    consumer_ids: u64,
    names: u64,
}

/// A delivered entry that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// Digest of the consumer's name; `None` while a load has not said.
    pub(super) consumer: Option<u64>,
    pub(super) delivered_ms: i64,
    pub(super) count: u64,
}

/// A consumer.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    name_len: u64,
    pub(super) seen_ms: i64,
    pub(super) active_ms: Option<i64>,
    pub(super) pending: BTreeSet<u128>,
    shape: Shape,
}

/// Bytes that a pending entry takes in our two trees, roughly: nodes are two thirds full.
const PENDING_HEAP: usize = 96;

impl Group {
    pub(super) fn new(name: u64, last: u128, entries_read: Option<u64>, rules: &Rules) -> Group {
        Group {
            name,
            last,
            entries_read,
            pending: BTreeMap::new(),
            shape: Shape::empty(&rules.meter),
            consumers: BTreeMap::new(),
            consumer_shape: Shape::default(),
            consumer_ids: 0,
            names: 0,
        }
    }

    /// The consumer of that name, made if it is not there.
    pub(super) fn consumer(
        &mut self,
        name: u64,
        name_len: u64,
        now_ms: i64,
        rules: &Rules,
    ) -> &mut Consumer {
        let (names, shape) = (&mut self.names, &mut self.consumer_shape);
        self.consumers.entry(name).or_insert_with(|| {
            let empty = Shape::empty(&rules.meter);
            *names += name_len;
            *shape = shape.plus(empty);
            Consumer {
                name_len,
                seen_ms: now_ms,
                active_ms: None,
                pending: BTreeSet::new(),
                shape: empty,
            }
        })
    }

    /// Removes a consumer and what it has pending.
    pub(super) fn remove_consumer(&mut self, name: u64, rules: &Rules) {
        let Some(consumer) = self.consumers.remove(&name) else {
            return;
        };
        self.names -= consumer.name_len;
        self.consumer_ids -= consumer.pending.len() as u64;
        self.consumer_shape = self.consumer_shape.minus(consumer.shape);
        for id in consumer.pending {
            self.pending.remove(&id);
            self.shape = self.shape.removed(&self.pending, id, &rules.meter);
        }
    }

    /// Adds or replaces a pending entry, without a consumer.
    pub(super) fn put(&mut self, id: u128, pending: Pending, rules: &Rules) {
        if !self.pending.contains_key(&id) {
            self.shape = self.shape.added(&self.pending, id, &rules.meter);
        }
        self.pending.insert(id, pending);
    }

    /// Gives a pending entry to a consumer that is there, and takes it from the one that had it.
    pub(super) fn give(&mut self, id: u128, to: u64, rules: &Rules) {
        let Some(pending) = self.pending.get_mut(&id) else {
            return;
        };
        let from = pending.consumer.replace(to);
        if from != Some(to) {
            if let Some(from) = from {
                self.take_from(id, from, rules);
            }
            let Some(consumer) = self.consumers.get_mut(&to) else {
                return;
            };
            if consumer.pending.contains(&id) {
                return;
            }
            let before = consumer.shape;
            consumer.shape = before.added(&consumer.pending, id, &rules.meter);
            consumer.pending.insert(id);
            self.consumer_ids += 1;
            self.consumer_shape = self.consumer_shape.plus(consumer.shape).minus(before);
        }
    }

    /// Removes a pending entry; true if it was there.
    pub(super) fn acknowledge(&mut self, id: u128, rules: &Rules) -> bool {
        let Some(pending) = self.pending.remove(&id) else {
            return false;
        };
        self.shape = self.shape.removed(&self.pending, id, &rules.meter);
        if let Some(consumer) = pending.consumer {
            self.take_from(id, consumer, rules);
        }
        true
    }

    fn take_from(&mut self, id: u128, name: u64, rules: &Rules) {
        if let Some(consumer) = self.consumers.get_mut(&name)
            && consumer.pending.remove(&id)
        {
            let before = consumer.shape;
            consumer.shape = before.removed(&consumer.pending, id, &rules.meter);
            self.consumer_ids -= 1;
            self.consumer_shape = self.consumer_shape.plus(consumer.shape).minus(before);
        }
    }

    /// After a load: trees that are empty now, but have had ids, are those of a live master.
    pub(super) fn guess_emptied(&mut self, rules: &Rules) {
        let active = self
            .consumers
            .values()
            .any(|consumer| consumer.active_ms.is_some());
        if active && self.pending.is_empty() {
            self.shape = Shape::emptied(&rules.meter);
        }
        self.reshape_empty(Shape::emptied(&rules.meter), |consumer| {
            consumer.active_ms.is_some()
        });
    }

    /// After a copy: an empty tree is a new one.
    pub(super) fn recreate(&mut self, rules: &Rules) {
        if self.pending.is_empty() {
            self.shape = Shape::empty(&rules.meter);
        }
        self.reshape_empty(Shape::empty(&rules.meter), |_| true);
    }

    /// Gives another shape to the empty trees of some consumers.
    fn reshape_empty(&mut self, shape: Shape, of: impl Fn(&Consumer) -> bool) {
        for consumer in self.consumers.values_mut() {
            if consumer.pending.is_empty() && of(consumer) {
                self.consumer_shape = self.consumer_shape.plus(shape).minus(consumer.shape);
                consumer.shape = shape;
            }
        }
    }

    /// Its trees become those of another server.
    pub(super) fn remake(&mut self, trees: Remade) {
        self.shape = trees.tree(self.shape, self.pending.keys().copied());
        self.consumer_shape = Shape::default();
        for consumer in self.consumers.values_mut() {
            consumer.shape = trees.tree(consumer.shape, consumer.pending.iter().copied());
            self.consumer_shape = self.consumer_shape.plus(consumer.shape);
        }
    }

    /// What MEMORY USAGE counts for the group on a server that has loaded it.
    pub(super) fn reloaded(&self, rules: &Rules, trees: &mut Regrown) -> u64 {
        let shape = trees.tree(self.shape, self.pending.keys().copied());
        let mut consumer_shape = Shape::default();
        for consumer in self.consumers.values() {
            let tree = trees.tree(consumer.shape, consumer.pending.iter().copied());
            consumer_shape = consumer_shape.plus(tree);
        }
        self.weigh(rules, shape, consumer_shape)
    }

    /// What MEMORY USAGE counts for the group.
    pub(super) fn memory(&self, rules: &Rules) -> u64 {
        self.weigh(rules, self.shape, self.consumer_shape)
    }

    fn weigh(&self, rules: &Rules, shape: Shape, consumer_shape: Shape) -> u64 {
        let (pending, consumers) = (self.pending.len() as u64, self.consumers.len() as u64);
        rules.group()
            + rules.meter.memory(1, pending, shape)
            + PENDING * pending
            + consumers * rules.consumer()
            + self.names
            + rules
                .meter
                .memory(consumers, self.consumer_ids, consumer_shape)
    }

    /// What the server's blocks take beyond that.
    pub(super) fn beyond(&self, rules: &Rules) -> i64 {
        let (pending, consumers) = (self.pending.len() as u64, self.consumers.len() as u64);
        let mean = self.names.checked_div(consumers).unwrap_or(0);
        let spare = rules.meter.names(consumers, mean)
            + consumers * (rules.text(mean) - mean)
            + rules.spare(rules.group())
            + pending * rules.spare(PENDING)
            + consumers * rules.spare(rules.consumer());
        let trees = rules.meter.beyond(1, pending, self.shape)
            + rules
                .meter
                .beyond(consumers, self.consumer_ids, self.consumer_shape);
        signed(spare) + trees
    }

    /// Bytes the model allocates.
    pub(super) fn heap_bytes(&self) -> usize {
        self.pending.len() * PENDING_HEAP + self.consumers.len() * (size_of::<Consumer>() + 24)
    }
}
