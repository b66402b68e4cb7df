//! From a map and the links that exist: which to open, to move and to close.
//!
//! A link belongs to a group, not to a node, and lives as long as its group; what moves it is a
//! promotion, a node that left or failed, or a better place by the mode. It is never closed for a
//! bad map: a node that failed without a successor keeps its link, which tries again, and a group
//! must be gone from [`MISSING_MAX`] complete maps in a row, and for as long as the caller says
//! ([`Link::overdue`]): maps follow each other within a second while links are down. Only a node that
//! is seen in another group needs no such wait. Slots that move close nothing.
//!
//! [`plan`] is a function of its arguments: the same map gives the same plan, and a plan that was
//! carried out ([`Plan::next`], [`Link::open`]) is followed by one without actions.

mod choose;
mod share;

use std::collections::BTreeMap;

pub use self::share::{NotAShare, SHARES_MAX, Share};
use crate::node::{Addr, Group, Health, NodeId};
use crate::topology::Topology;

/// Complete maps in a row without its group, after which a link may be closed.
pub const MISSING_MAX: u32 = 3;

/// Maps in a row with a live link before it is moved for the sake of the mode alone. A replica that
/// comes and goes does not take its link with it each time.
pub const SETTLED_MIN: u32 = 3;

/// Bytes that a replica may be behind a link for the link to be moved there for the sake of the
/// mode alone. Offsets in maps are some seconds old.
pub const BEHIND_BYTES_MAX: u64 = 16 << 20;

/// Which node of a group is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// The master.
    #[default]
    Master,
    /// A replica; a link is never opened on a master. A link whose replica is promoted stays until
    /// there is another replica.
    Replica,
    /// A replica if there is one that can be had, else the master until there is.
    PreferReplica,
    /// The node at one of our own addresses, whatever its role.
    Local,
}

impl Follow {
    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Follow::Master => "master",
            Follow::Replica => "replica",
            Follow::PreferReplica => "prefer-replica",
            Follow::Local => "local",
        }
    }
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// Follows the stream.
    Live,
    /// Attaches, or loads a snapshot.
    Loading,
    /// Is down and tries again.
    Down,
}

/// A link as its keeper knows it. The counters are kept by [`Plan::next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Names the link to the caller.
    pub id: u32,
    /// Its group.
    pub group: Box<str>,
    /// The nodes of its group in the last map that had it.
    pub members: Vec<NodeId>,
    /// The node it is on.
    pub node: NodeId,
    /// The address it dials.
    pub addr: Addr,
    /// How it is.
    pub state: LinkState,
    /// The offset it has applied, if it has one.
    pub offset: Option<u64>,
    /// Complete maps in a row without its group.
    pub missing: u32,
    /// It has had no group for as long as its keeper would wait; the keeper has the clock.
    pub overdue: bool,
    /// Maps in a row since it was opened or moved, while it was live.
    pub settled: u32,
}

impl Link {
    /// A link just opened.
    pub fn open(id: u32, group: &Group, node: &NodeId, addr: &Addr) -> Link {
        Link {
            id,
            group: group.id.clone(),
            members: members(group),
            node: node.clone(),
            addr: addr.clone(),
            state: LinkState::Loading,
            offset: None,
            missing: 0,
            overdue: false,
            settled: 0,
        }
    }
}

fn members(group: &Group) -> Vec<NodeId> {
    group.nodes.iter().map(|node| node.id.clone()).collect()
}

/// What the caller wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy<'a> {
    /// Which node of a group is followed.
    pub follow: Follow,
    /// Addresses of servers that are local, for [`Follow::Local`].
    pub local: &'a [Addr],
    /// Addresses of this process itself. A node that announces one of them is not followed.
    pub own: &'a [Addr],
    /// Nodes that could not be reached of late, as the caller remembers; they come last.
    pub avoid: &'a [NodeId],
    /// The part of the groups that is ours; all if `None`.
    pub shard: Option<Share>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a link.
    Open {
        /// The group.
        group: Box<str>,
        /// The node.
        node: NodeId,
        /// Where it is.
        addr: Addr,
    },
    /// Move a link to another node or address of the same group, by +CONTINUE where it can be.
    Move {
        /// The link.
        link: u32,
        /// The node.
        node: NodeId,
        /// Where it is.
        addr: Addr,
        /// Why.
        why: Cause,
    },
    /// The group of a link has got another id.
    Regroup {
        /// The link.
        link: u32,
        /// The new id.
        group: Box<str>,
    },
    /// Close a link.
    Close {
        /// The link.
        link: u32,
        /// Why.
        why: Cause,
    },
}

/// Why a link is moved or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another node is the master now.
    Promoted,
    /// The node has another address now.
    Address,
    /// The node failed or left its group, or cannot be reached, and another can.
    Lost,
    /// The mode prefers this node.
    Preferred,
    /// The group is gone.
    Gone,
    /// Another link follows the group.
    Duplicate,
    /// The group is another instance's.
    NotOurs,
}

impl Cause {
    /// The word for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Promoted => "promoted",
            Cause::Address => "address",
            Cause::Lost => "lost",
            Cause::Preferred => "preferred",
            Cause::Gone => "gone",
            Cause::Duplicate => "duplicate",
            Cause::NotOurs => "not_ours",
        }
    }
}

/// Why a node is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another node of its group is.
    Spare,
    /// It is not local, and the mode is.
    NotLocal,
    /// It announces our own address.
    Ourselves,
    /// Nobody knows its address.
    NoAddress,
    /// It failed.
    Failed,
    /// It could not be reached of late.
    Unreachable,
    /// It is a master, or a replica without data, and the mode wants a replica.
    NoReplica,
    /// Its group has no master that is up, and the mode wants it.
    NoMaster,
}

impl Why {
    /// The words for people.
    pub fn name(self) -> &'static str {
        match self {
            Why::Spare => "spare",
            Why::NotLocal => "not local",
            Why::Ourselves => "ourselves",
            Why::NoAddress => "no address",
            Why::Failed => "failed",
            Why::Unreachable => "unreachable",
            Why::NoReplica => "no replica to follow",
            Why::NoMaster => "no master to follow",
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which to do it: closing, regrouping, moving, opening; by link, by group.
    pub actions: Vec<Action>,
    /// Groups that are another instance's, by id.
    pub unowned: Vec<Box<str>>,
    /// Nodes of our groups that no link is on after the actions, by group and node.
    pub not_followed: Vec<(NodeId, Why)>,
    /// Links whose group a complete map did not have.
    pub missing: Vec<u32>,
}

impl Plan {
    /// The link after the actions of this plan; `None` if it is closed.
    pub fn next(&self, link: &Link, topology: &Topology) -> Option<Link> {
        let mut next = link.clone();
        if next.state == LinkState::Live {
            next.settled = next.settled.saturating_add(1);
        }
        for action in &self.actions {
            match action {
                Action::Close { link, .. } if *link == next.id => return None,
                Action::Regroup { link, group } if *link == next.id => next.group = group.clone(),
                Action::Move {
                    link, node, addr, ..
                } if *link == next.id => {
                    next.node = node.clone();
                    next.addr = addr.clone();
                    next.settled = 0;
                }
                Action::Open { .. }
                | Action::Move { .. }
                | Action::Regroup { .. }
                | Action::Close { .. } => {}
            }
        }
        if let Some(group) = topology.group(&next.group) {
            next.members = members(group);
            (next.missing, next.overdue) = (0, false);
        } else if self.missing.contains(&next.id) {
            next.missing = next.missing.saturating_add(1);
        }
        Some(next)
    }
}

/// Says what to do.
pub fn plan(topology: &Topology, links: &[Link], policy: &Policy<'_>) -> Plan {
    let mut plan = Plan::default();
    let seats = seats(topology, links, policy.shard, &mut plan);
    for group in topology.groups() {
        let link = seats.get(&*group.id).copied();
        if !is_ours(group, policy.shard) {
            plan.unowned.push(group.id.clone());
            plan.actions.extend(link.map(|link| Action::Close {
                link: link.id,
                why: Cause::NotOurs,
            }));
            continue;
        }
        let choice = choose::choose(group, link, policy);
        plan.not_followed.extend(choice.idle);
        plan.actions.extend(choice.action);
    }
    plan.actions.sort_by_key(rank);
    plan
}

/// Closing before all else frees servers for those that move; ties keep the order they came in,
/// which is that of the groups.
fn rank(action: &Action) -> (u8, u32) {
    match action {
        Action::Close { link, .. } => (0, *link),
        Action::Regroup { link, .. } => (1, *link),
        Action::Move { link, .. } => (2, *link),
        Action::Open { .. } => (3, 0),
    }
}

/// Which link is whose: at most one per group. Links beyond that, and those whose group is gone,
/// are dealt with here.
fn seats<'a>(
    topology: &'a Topology,
    links: &'a [Link],
    shard: Option<Share>,
    plan: &mut Plan,
) -> BTreeMap<&'a str, &'a Link> {
    let mut order: Vec<&Link> = links.iter().collect();
    order.sort_by_key(|link| (link.state, link.id));
    let mut seats: BTreeMap<&str, &Link> = BTreeMap::new();
    let (named, lost): (Vec<_>, Vec<_>) = order
        .into_iter()
        .partition(|link| topology.group(&link.group).is_some());
    for link in named {
        if seats.contains_key(&*link.group) {
            plan.actions.push(Action::Close {
                link: link.id,
                why: Cause::Duplicate,
            });
        } else {
            seats.insert(&link.group, link);
        }
    }
    for link in lost {
        let heir = heir(topology, link, &seats);
        match heir.filter(|group| is_ours(group, shard)) {
            Some(group) => {
                seats.insert(&group.id, link);
                plan.actions.push(Action::Regroup {
                    link: link.id,
                    group: group.id.clone(),
                });
            }
            None => miss(topology, link, plan),
        }
    }
    seats
}

fn is_ours(group: &Group, shard: Option<Share>) -> bool {
    shard.is_none_or(|share| share.owns(&group.id))
}

/// The group without a link that has the link's node, or else at least half of the link's members.
fn heir<'a>(
    topology: &'a Topology,
    link: &Link,
    seats: &BTreeMap<&str, &Link>,
) -> Option<&'a Group> {
    let free = || {
        let groups = topology.groups().iter();
        groups.filter(|group| !seats.contains_key(&*group.id))
    };
    let shared = |group: &Group| {
        let known = |id: &&NodeId| group.node(id).is_some();
        link.members.iter().filter(known).count()
    };
    let half = link.members.len().div_ceil(2).max(1);
    free()
        .find(|group| group.node(&link.node).is_some())
        .or_else(|| free().find(|group| shared(group) >= half))
}

fn miss(topology: &Topology, link: &Link, plan: &mut Plan) {
    if !topology.is_complete() {
        return;
    }
    plan.missing.push(link.id);
    let is_elsewhere = topology.group_of(&link.node).is_some();
    if link.missing.saturating_add(1) >= MISSING_MAX && (link.overdue || is_elsewhere) {
        plan.actions.push(Action::Close {
            link: link.id,
            why: Cause::Gone,
        });
    }
}

/// How willing a node is to be followed: lower is better. `None`: not at all.
fn rank_of(health: Health) -> Option<u8> {
    match health {
        Health::Online => Some(0),
        Health::Suspect => Some(1),
        Health::Loading | Health::Failed => None,
    }
}

#[cfg(test)]
mod tests;
