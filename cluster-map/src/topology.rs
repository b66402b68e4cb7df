//! The whole map: groups, who owns which slot, and what was wrong with what the nodes said.
//!
//! A topology is built only here and by the parsers, so that its invariants hold: a slot has at
//! most one owner, a node is in at most one group, a group has at most one master, which comes
//! first, and group ids are unique and in order.

use std::fmt;

use crate::node::{Addr, Group, Health, Node, NodeId, Role};
use crate::slots::{Slot, Slots};

/// A deployment as its own nodes describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    groups: Vec<Group>,
    complaints: Vec<Complaint>,
    /// Ranges in order, with the index of the owning group.
    owners: Vec<(Slot, Slot, usize)>,
    complete: bool,
    /// How often in a row this map stood in for one of strangers, as far as that is counted.
    strangers: u32,
    /// It stands in for one of strangers now.
    stands_in: bool,
}

/// Complaints kept of one map; further ones are dropped.
pub const COMPLAINTS_MAX: usize = 100;

/// What was wrong with what the nodes said. The map is usable all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// One answer has the node twice; the first was taken.
    DuplicateNode {
        /// The node.
        id: NodeId,
    },
    /// Two masters claim the same slots; those of the higher config epoch keep them.
    SlotsTwice {
        /// The slots.
        slots: Slots,
        /// Who keeps them.
        kept: NodeId,
        /// Who claims them too.
        lost: NodeId,
    },
    /// Slots that nobody owns.
    Uncovered {
        /// The slots.
        slots: Slots,
    },
    /// Two nodes say that they are at the same address.
    SameAddress {
        /// The address.
        addr: Addr,
        /// The first of the two.
        first: NodeId,
        /// The other.
        second: NodeId,
    },
    /// A replica of a master that the map does not have.
    MasterUnknown {
        /// The replica.
        id: NodeId,
        /// The master it names.
        master: NodeId,
    },
    /// A seed that belongs to some other deployment; what it said was left out.
    Foreign {
        /// The seed.
        asked: Addr,
    },
    /// Sentinels name different masters; that of the most was taken, of the highest config epoch
    /// among equals.
    Disagreement {
        /// The name of the master.
        name: Box<str>,
        /// What was taken.
        taken: Addr,
        /// What others say.
        other: Addr,
    },
}

impl Complaint {
    /// The kind, as a word for labels.
    pub fn name(&self) -> &'static str {
        match self {
            Complaint::DuplicateNode { .. } => "duplicate_node",
            Complaint::SlotsTwice { .. } => "slots_twice",
            Complaint::Uncovered { .. } => "uncovered",
            Complaint::SameAddress { .. } => "same_address",
            Complaint::MasterUnknown { .. } => "master_unknown",
            Complaint::Foreign { .. } => "foreign",
            Complaint::Disagreement { .. } => "disagreement",
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Complaint::DuplicateNode { id } => write!(f, "node {id} is there twice"),
            Complaint::SlotsTwice { slots, kept, lost } => {
                let count = slots.count();
                write!(f, "{count} slots of {kept} are claimed by {lost} too")
            }
            Complaint::Uncovered { slots } => write!(f, "{} slots have no owner", slots.count()),
            Complaint::SameAddress {
                addr,
                first,
                second,
            } => write!(f, "{first} and {second} both say that they are {addr}"),
            Complaint::MasterUnknown { id, master } => {
                write!(f, "{id} is a replica of {master}, which nobody knows")
            }
            Complaint::Foreign { asked } => write!(f, "{asked} belongs to another deployment"),
            Complaint::Disagreement { name, taken, other } => {
                write!(f, "master {name} is {taken} to most and {other} to others")
            }
        }
    }
}

impl Topology {
    /// A map of plain servers that nobody was asked about: each a group of its own, a master as
    /// far as is known.
    pub fn plain(addrs: &[Addr]) -> Topology {
        let group = |addr: &Addr| Group {
            id: addr.to_string().into(),
            nodes: vec![Node {
                id: NodeId::of(addr),
                addr: Some(addr.clone()),
                role: Role::Master,
                flagged: Role::Master,
                health: Health::Online,
                offset: None,
            }],
            slots: Slots::default(),
            epoch: 0,
            migrating: Vec::new(),
            importing: Vec::new(),
        };
        Topology::build(addrs.iter().map(group).collect(), Vec::new(), true)
    }

    /// The groups, by id.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group of that id.
    pub fn group(&self, id: &str) -> Option<&Group> {
        let at = self.groups.binary_search_by(|group| (*group.id).cmp(id));
        self.groups.get(at.ok()?)
    }

    /// The group that a node belongs to.
    pub fn group_of(&self, node: &NodeId) -> Option<&Group> {
        self.groups.iter().find(|group| group.node(node).is_some())
    }

    /// The owner of a slot; takes the logarithm of the number of ranges.
    pub fn owner(&self, slot: Slot) -> Option<&Group> {
        let behind = self.owners.partition_point(|(start, ..)| *start <= slot);
        let (_, end, group) = self.owners.get(behind.checked_sub(1)?)?;
        self.groups.get(*group).filter(|_| slot <= *end)
    }

    /// Who owns which slots: ranges in order, both ends included.
    pub fn owners(&self) -> impl Iterator<Item = (Slot, Slot, &Group)> {
        let group = |at: usize| self.groups.get(at);
        let ranges = self.owners.iter();
        ranges.filter_map(move |(start, end, at)| Some((*start, *end, group(*at)?)))
    }

    /// Slots that have an owner.
    pub fn covered(&self) -> usize {
        self.groups.iter().map(|group| group.slots.count()).sum()
    }

    /// What was wrong, at most [`COMPLAINTS_MAX`].
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// Whether a group that is not in this map is gone: all slots are owned, or most Sentinels
    /// have answered. While a cluster is half covered, nothing is concluded from absence.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Replaces announced addresses by those that can be reached from here.
    pub fn map_addrs(&mut self, reachable: impl Fn(&Addr) -> Addr) {
        let nodes = self.groups.iter_mut().flat_map(|group| &mut group.nodes);
        for addr in nodes.filter_map(|node| node.addr.as_mut()) {
            *addr = reachable(addr);
        }
    }

    /// Sorts and indexes what the builders have gathered; they see to it that ids are unique and
    /// slots have one owner.
    pub(crate) fn build(
        mut groups: Vec<Group>,
        mut complaints: Vec<Complaint>,
        complete: bool,
    ) -> Topology {
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        groups.dedup_by(|a, b| a.id == b.id);
        for group in &mut groups {
            group
                .nodes
                .sort_by(|a, b| (a.role, &a.id).cmp(&(b.role, &b.id)));
        }
        let ranges = |(at, group): (usize, &Group)| {
            let ranges = group.slots.ranges().iter();
            ranges
                .map(|(start, end)| (*start, *end, at))
                .collect::<Vec<_>>()
        };
        let mut owners: Vec<_> = groups.iter().enumerate().flat_map(ranges).collect();
        owners.sort_unstable();
        complaints.truncate(COMPLAINTS_MAX);
        Topology {
            groups,
            complaints,
            owners,
            complete,
            strangers: 0,
            stands_in: false,
        }
    }

    /// True if this is the map before once more, because all who answered are strangers. Whoever was
    /// configured should be asked next.
    pub fn stands_in(&self) -> bool {
        self.stands_in
    }

    /// The same map, which stands in, in a part, for one of strangers.
    pub(crate) fn standing_in(self, stands_in: bool) -> Topology {
        Topology { stands_in, ..self }
    }

    /// How often in a row this map stood in for another, with a seed among the strangers.
    pub(crate) fn strangers(&self) -> u32 {
        self.strangers
    }

    /// This map once more, instead of one that nobody can tell.
    pub(crate) fn again(&self, mut complaints: Vec<Complaint>) -> Topology {
        complaints.truncate(COMPLAINTS_MAX);
        Topology {
            complaints,
            complete: false,
            ..self.clone()
        }
    }

    /// This map once more, instead of one of strangers.
    pub(crate) fn for_strangers(&self, complaints: Vec<Complaint>, is_counted: bool) -> Topology {
        Topology {
            strangers: self.strangers.saturating_add(u32::from(is_counted)),
            stands_in: true,
            ..self.again(complaints)
        }
    }
}
