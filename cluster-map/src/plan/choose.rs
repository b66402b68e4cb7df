//! Which node of one group a link should be on.

use super::{
    Action, BEHIND_BYTES_MAX, Cause, Follow, Link, LinkState, Policy, SETTLED_MIN, Why, rank_of,
};
use crate::node::{Addr, Group, Health, Node, NodeId, Role};

/// What comes of one group.
#[derive(Debug)]
pub(super) struct Choice {
    /// What to do, if anything.
    pub(super) action: Option<Action>,
    /// The nodes that no link is on then.
    pub(super) idle: Vec<(NodeId, Why)>,
}

/// Where a link should be.
enum Place<'a> {
    /// Where it is, or nowhere if there is none.
    Stay,
    /// There.
    At(&'a Node, Cause),
}

/// Chooses for a group and the link that it has.
pub(super) fn choose(group: &Group, link: Option<&Link>, policy: &Policy<'_>) -> Choice {
    let scene = Scene {
        group,
        link,
        policy,
    };
    let place = match policy.follow {
        Follow::Master => scene.master(),
        Follow::Replica | Follow::PreferReplica => scene.replica(),
        Follow::Local => scene.local(),
    };
    let action = match place {
        Place::Stay => None,
        Place::At(node, why) => scene.go(node, why),
    };
    let on = match (&action, link) {
        (Some(Action::Open { node, .. } | Action::Move { node, .. }), _) => Some(node),
        (Some(Action::Close { .. } | Action::Regroup { .. }) | None, Some(link)) => {
            Some(&link.node)
        }
        (Some(Action::Close { .. } | Action::Regroup { .. }) | None, None) => None,
    };
    let idle = group.nodes.iter().filter(|node| Some(&node.id) != on);
    let idle = idle.map(|node| (node.id.clone(), scene.why_not(node, on.is_some())));
    let idle = idle.collect();
    Choice { action, idle }
}

#[derive(Clone, Copy)]
struct Scene<'a> {
    group: &'a Group,
    link: Option<&'a Link>,
    policy: &'a Policy<'a>,
}

impl<'a> Scene<'a> {
    /// The mode `master`.
    fn master(self) -> Place<'a> {
        let Some(master) = self.group.master().filter(|node| self.can_dial(node)) else {
            return Place::Stay;
        };
        let here = self.link.is_some_and(|link| link.node == master.id);
        if master.health == Health::Failed && !here {
            return Place::Stay;
        }
        Place::At(master, Cause::Promoted)
    }

    /// The modes that want a replica.
    fn replica(self) -> Place<'a> {
        let Some(link) = self.link else {
            return self.elsewhere(None);
        };
        let Some(current) = self.group.node(&link.node) else {
            return self.elsewhere(Some(&link.node));
        };
        let out_of_reach = link.state == LinkState::Down && self.avoids(&current.id);
        if current.health == Health::Failed || out_of_reach {
            return match self.elsewhere(Some(&link.node)) {
                Place::At(node, why) if !out_of_reach || !self.avoids(&node.id) => {
                    Place::At(node, why)
                }
                Place::At(..) | Place::Stay => Place::Stay,
            };
        }
        let well = link.state == LinkState::Live && link.settled >= SETTLED_MIN;
        if current.role == Role::Master && well {
            let better = self.best(self.group.replicas());
            let better = better.filter(|node| self.is_as_good(node, link));
            if let Some(node) = better {
                return Place::At(node, Cause::Preferred);
            }
        }
        Place::At(current, Cause::Address)
    }

    /// The best node other than `not`, for a link that must be somewhere: the master comes after
    /// replicas that are as reachable and as healthy, if the mode takes it at all.
    fn elsewhere(self, not: Option<&NodeId>) -> Place<'a> {
        let master = match self.policy.follow {
            Follow::PreferReplica => self.group.master(),
            Follow::Master | Follow::Replica | Follow::Local => None,
        };
        let nodes = self.group.replicas().chain(master);
        let best = self.best(nodes.filter(|node| Some(&node.id) != not));
        best.map_or(Place::Stay, |node| Place::At(node, Cause::Lost))
    }

    /// The best of those that can be followed: reachable, healthy, far ahead.
    fn best(self, nodes: impl Iterator<Item = &'a Node>) -> Option<&'a Node> {
        // A replica at 0 has never been in sync.
        let in_sync = |node: &Node| node.role == Role::Master || node.offset != Some(0);
        let fit =
            |node: &&Node| self.can_dial(node) && rank_of(node.health).is_some() && in_sync(node);
        nodes.filter(fit).min_by_key(|node| {
            let pains = (self.avoids(&node.id), rank_of(node.health));
            let behind = std::cmp::Reverse(node.offset);
            (pains, node.role == Role::Master, behind, &node.id)
        })
    }

    /// Whether a link that is well where it is may be moved to the node.
    fn is_as_good(self, node: &Node, link: &Link) -> bool {
        let behind = link.offset.zip(node.offset);
        let behind = behind.map_or(0, |(ours, its)| ours.saturating_sub(its));
        node.health == Health::Online && !self.avoids(&node.id) && behind <= BEHIND_BYTES_MAX
    }

    /// The mode `local`: health does not matter, there is no other.
    fn local(self) -> Place<'a> {
        let is_local = |addr: &Addr| self.policy.local.contains(addr);
        let is_here = |node: &&Node| node.addr.as_ref().is_some_and(is_local);
        // Of several the one that has a link keeps it.
        let linked = self.link.and_then(|link| self.group.node(&link.node));
        let mut nodes = self.group.nodes.iter();
        let local = linked.filter(is_here).or_else(|| nodes.find(is_here));
        local.map_or(Place::Stay, |node| Place::At(node, Cause::Preferred))
    }

    /// The action that brings the link to the node; none if it is there.
    fn go(self, node: &Node, why: Cause) -> Option<Action> {
        let addr = node.addr.clone()?;
        let Some(link) = self.link else {
            return Some(Action::Open {
                group: self.group.id.clone(),
                node: node.id.clone(),
                addr,
            });
        };
        let why = match link.node == node.id {
            true if link.addr == addr || self.is_ourselves(node) => return None,
            true => Cause::Address,
            false => why,
        };
        Some(Action::Move {
            link: link.id,
            node: node.id.clone(),
            addr,
            why,
        })
    }

    fn can_dial(self, node: &Node) -> bool {
        node.addr.is_some() && !self.is_ourselves(node)
    }

    fn is_ourselves(self, node: &Node) -> bool {
        let is_own = |addr: &Addr| self.policy.own.contains(addr);
        node.addr.as_ref().is_some_and(is_own)
    }

    fn avoids(self, node: &NodeId) -> bool {
        self.policy.avoid.contains(node)
    }

    fn why_not(self, node: &Node, group_is_followed: bool) -> Why {
        if node.addr.is_none() {
            return Why::NoAddress;
        }
        if self.is_ourselves(node) {
            return Why::Ourselves;
        }
        if node.health == Health::Failed {
            return Why::Failed;
        }
        let unwanted = match self.policy.follow {
            Follow::Local => return Why::NotLocal,
            Follow::Master => Why::NoMaster,
            Follow::Replica | Follow::PreferReplica => Why::NoReplica,
        };
        if self.avoids(&node.id) {
            return Why::Unreachable;
        }
        if group_is_followed {
            Why::Spare
        } else {
            unwanted
        }
    }
}
