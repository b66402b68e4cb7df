//! What one node of a cluster says about all of them.
//!
//! CLUSTER NODES makes a report; CLUSTER SHARDS or CLUSTER SLOTS of the same node complements it
//! ([`Report::complement`]), or stands in for it where CLUSTER NODES is not permitted.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::node::{Addr, Health, NodeId, Role};
use crate::slots::{Slot, Slots};
use crate::topology::{COMPLAINTS_MAX, Complaint};

/// Most nodes in one answer. Clusters are not recommended beyond 1000.
pub const NODES_MAX: usize = 10_000;

/// Most ranges of slots, and slots that move, in one answer: every slot alone, twice.
pub const RANGES_MAX: usize = 32_768;

/// Most slots in one answer, with those that several claim counted for each.
pub const CLAIMS_MAX: usize = 65_536;

/// What one node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    asked: Addr,
    nodes: BTreeMap<NodeId, Told>,
    complaints: Vec<Complaint>,
    claims: usize,
}

/// What is said about one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Where it is.
    pub addr: Option<Addr>,
    /// What it is.
    pub role: Role,
    /// The master of a replica.
    pub master: Option<NodeId>,
    /// How it is.
    pub health: Health,
    /// Whether it is the one that was asked.
    pub myself: bool,
    /// Its config epoch, or that of its master; 0 if not told.
    pub epoch: u64,
    /// The slots that it owns.
    pub slots: Slots,
    /// Slots on their way out, with where to; only about the one that was asked.
    pub migrating: Vec<(Slot, NodeId)>,
    /// Slots on their way in, with where from; only about the one that was asked.
    pub importing: Vec<(Slot, NodeId)>,
    /// Its replication offset.
    pub offset: Option<u64>,
    /// The id of its shard.
    pub shard: Option<Box<str>>,
    /// The smallest id of the nodes in its shard, where shards are told: a master that failed is
    /// still among them (7.0).
    pub kin: Option<NodeId>,
}

impl Told {
    /// A node of which nothing but a role is known.
    pub(crate) fn new(role: Role) -> Told {
        Told {
            addr: None,
            role,
            master: None,
            health: Health::Online,
            myself: false,
            epoch: 0,
            slots: Slots::default(),
            migrating: Vec::new(),
            importing: Vec::new(),
            offset: None,
            shard: None,
            kin: None,
        }
    }
}

impl Report {
    pub(crate) fn new(asked: &Addr) -> Report {
        Report {
            asked: asked.clone(),
            nodes: BTreeMap::new(),
            complaints: Vec::new(),
            claims: 0,
        }
    }

    /// The address that was asked.
    pub fn asked(&self) -> &Addr {
        &self.asked
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Told> {
        &self.nodes
    }

    /// The node that was asked, if the answer says which.
    pub fn myself(&self) -> Option<&NodeId> {
        let myself = self.nodes.iter().find(|(_, told)| told.myself);
        myself.map(|(id, _)| id)
    }

    /// What was wrong with it.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// Adds what another answer of the same node says: endpoints, TLS ports, health, offsets and
    /// shard ids. Which nodes there are, their roles and slots stay as they are.
    pub fn complement(&mut self, other: &Report) {
        for (id, told) in &mut self.nodes {
            let Some(more) = other.nodes.get(id) else {
                continue;
            };
            told.addr = more.addr.clone().or(told.addr.take());
            told.health = told.health.max(more.health);
            told.offset = more.offset.or(told.offset);
            told.shard = more.shard.clone().or(told.shard.take());
            told.kin = more.kin.clone().or(told.kin.take());
        }
    }

    /// Adds a node; a second one of the same id is left out with a complaint.
    pub(crate) fn add(&mut self, id: NodeId, told: Told) -> Result<(), Error> {
        if self.nodes.contains_key(&id) {
            self.complain(Complaint::DuplicateNode { id });
            return Ok(());
        }
        if self.nodes.len() >= NODES_MAX {
            return Err(Error::Limit {
                what: "nodes",
                max: NODES_MAX,
            });
        }
        self.claim(&told.slots)?;
        self.nodes.insert(id, told);
        Ok(())
    }

    /// Counts slots that a node is said to own.
    pub(crate) fn claim(&mut self, slots: &Slots) -> Result<(), Error> {
        self.claims = self.claims.saturating_add(slots.count());
        if self.claims > CLAIMS_MAX {
            return Err(Error::Limit {
                what: "slots",
                max: CLAIMS_MAX,
            });
        }
        Ok(())
    }

    /// A node already added.
    pub(crate) fn node_mut(&mut self, id: &NodeId) -> Option<&mut Told> {
        self.nodes.get_mut(id)
    }

    fn complain(&mut self, complaint: Complaint) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }
}
