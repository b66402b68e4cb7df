//! The links of one deployment: opens, moves and closes them as the plan says, and tells the plan
//! how they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_map::{
    Action, Addr, Cause, Group, Health, Link, LinkState, NodeId, Plan, Role, Topology,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::prefer::Wish;
use crate::clock;
use crate::config::Config;
use crate::fleet::{
    self, Deployment, Helm, Kind, Loss, Master, Named, Order, Place, State, Status, Why,
};
use crate::link::attach::Shared;
use crate::link::supervisor::supervise;
use crate::model::owner::Given;
use crate::side::client::Target;
use crate::source::Source;

/// A link that is down for so long has a node that cannot be used.
const DOWN_LIMIT: Duration = Duration::from_secs(8);

/// A replica whose own link is down for so long has nothing to tell.
const ORPHAN_LIMIT: Duration = Duration::from_secs(15);

/// How long a node that could not be used is remembered.
const AVOID_TIME: Duration = Duration::from_secs(60);

/// How long a group is gone at least before its link is closed: while a link is down some maps in a row
/// take a second, in which all that are asked may be wrong in the same way, and a link that is closed
/// for nothing costs a full sync.
const GONE_MIN: Duration = Duration::from_secs(30);

/// What opening a link takes.
#[derive(Debug)]
pub(super) struct Means {
    /// What all links share.
    pub(super) shared: Arc<Shared>,
    /// Everything configured.
    pub(super) config: Arc<Config>,
    /// The deployment.
    pub(super) deployment: Arc<Deployment>,
    /// How to connect to a node; the address is each one's own.
    pub(super) target: Target,
    /// Where owners run.
    pub(super) tasks: TaskTracker,
    /// The end of the process.
    pub(super) shutdown: CancellationToken,
}

/// The links.
#[derive(Debug)]
pub(super) struct Crew {
    means: Means,
    hands: BTreeMap<u32, Hand>,
    avoid: BTreeMap<NodeId, Instant>,
}

#[derive(Debug)]
struct Hand {
    master: Arc<Master>,
    helm: Helm,
    link: Link,
    stop: CancellationToken,
    /// Since when it is down.
    down: Option<Instant>,
    /// Since when no map has its group.
    gone: Option<Instant>,
    /// Its node was not well in the last map.
    ill: bool,
}

impl Crew {
    /// No links.
    pub(super) fn new(means: Means) -> Crew {
        Crew {
            means,
            hands: BTreeMap::new(),
            avoid: BTreeMap::new(),
        }
    }

    /// The links, as they are now; and how many are down.
    pub(super) fn muster(&mut self) -> (Vec<Link>, usize) {
        let now = clock::now();
        self.avoid.retain(|_, until| *until > now);
        let mut down = 0;
        for hand in self.hands.values_mut() {
            let status = hand.master.status();
            hand.link.state = match state(&status) {
                // Between two attempts that fail it is as down as it was.
                LinkState::Loading if hand.down.is_some() && status.state == State::Connecting => {
                    LinkState::Down
                }
                state @ (LinkState::Live | LinkState::Loading | LinkState::Down) => state,
            };
            hand.link.offset = (status.offset > 0).then_some(status.offset);
            hand.link.overdue = is_overdue(hand.gone, now);
            if hand.link.state != LinkState::Down {
                hand.down = None;
                continue;
            }
            down += 1;
            let since = *hand.down.get_or_insert(now);
            if now.duration_since(since) >= DOWN_LIMIT {
                self.avoid.insert(hand.link.node.clone(), now + AVOID_TIME);
            }
        }
        let links = self.hands.values().map(|hand| hand.link.clone()).collect();
        (links, down)
    }

    /// True if a link follows the group.
    pub(super) fn follows(&self, group: &str) -> bool {
        self.hands.values().any(|hand| &*hand.link.group == group)
    }

    /// Nodes that could not be used of late.
    pub(super) fn avoided(&self) -> Vec<NodeId> {
        self.avoid.keys().cloned().collect()
    }

    /// The links that the plan moves though they are well where they are.
    pub(super) fn wishes(&self, plan: &Plan) -> Vec<Wish> {
        let wish = |action: &Action| match action {
            Action::Move {
                link,
                addr,
                why: Cause::Preferred,
                ..
            } => {
                let status = self.hands.get(link)?.master.status();
                Some(Wish::new(*link, self.target(addr), &status))
            }
            Action::Open { .. }
            | Action::Move { .. }
            | Action::Regroup { .. }
            | Action::Close { .. } => None,
        };
        plan.actions.iter().filter_map(wish).collect()
    }

    /// Does what the plan says.
    pub(super) fn carry_out(&mut self, plan: &Plan, topology: &Topology) {
        for action in &plan.actions {
            match action {
                Action::Close { link, why } => self.close(*link, *why),
                Action::Move {
                    link,
                    node,
                    addr,
                    why,
                } => self.turn(*link, node, addr, *why),
                // The group of a link is part of what comes next.
                Action::Regroup { .. } | Action::Open { .. } => {}
            }
        }
        for hand in self.hands.values_mut() {
            if let Some(next) = plan.next(&hand.link, topology) {
                hand.gone = since(hand.gone, next.missing > 0);
                hand.link = next;
            }
            hand.nudge(topology);
        }
        for action in &plan.actions {
            if let Action::Open { group, node, addr } = action
                && let Some(group) = topology.group(group)
            {
                self.open(group, node, addr);
            }
        }
        for hand in self.hands.values() {
            hand.publish(topology);
        }
    }

    /// The masters, with their places; those whose groups are gone come behind the others, which may
    /// have their slots.
    pub(super) fn places(&self) -> Vec<(u32, Arc<Place>)> {
        let mut hands: Vec<_> = self.hands.iter().collect();
        hands.sort_by_key(|(_, hand)| hand.gone.is_some());
        let place = |(id, hand): (&u32, &Hand)| (*id, hand.master.place());
        hands.into_iter().map(place).collect()
    }

    fn open(&mut self, group: &Group, node: &NodeId, addr: &Addr) {
        let means = &self.means;
        let id = means.shared.fleet.next_id();
        let named = Named {
            id,
            source: means.deployment.source,
            cluster: means.deployment.label.clone(),
            shard: Arc::from(&*group.id),
        };
        let link = Link::open(id, group, node, addr);
        let place = place(&link, Some(group), &Place::of(addr));
        let order = Order {
            target: self.target(addr),
            node: self.identity(node),
            why: Why::Found,
        };
        let (master, seat, helm) = Master::new(named, place, order);
        tracing::info!(
            cluster = %means.deployment.label,
            shard = %group.id,
            %master,
            node = %node,
            address = %addr,
            "following"
        );
        let stop = means.shutdown.child_token();
        let given = Given {
            shared: means.shared.clone(),
            master: master.clone(),
            deployment: means.deployment.clone(),
            config: means.config.clone(),
            shutdown: stop.clone(),
        };
        means.shared.fleet.add(master.clone());
        means.tasks.spawn(supervise(given, seat));
        let hand = Hand {
            master,
            helm,
            link,
            stop,
            down: None,
            gone: None,
            ill: false,
        };
        self.hands.insert(id, hand);
    }

    fn turn(&mut self, id: u32, node: &NodeId, addr: &Addr, why: Cause) {
        let (target, identity) = (self.target(addr), self.identity(node));
        let Some(hand) = self.hands.get_mut(&id) else {
            return;
        };
        if why == Cause::Lost {
            let until = clock::now() + AVOID_TIME;
            self.avoid.insert(hand.link.node.clone(), until);
        }
        // One that is given another chance is judged anew.
        self.avoid.remove(node);
        (hand.down, hand.ill) = (None, false);
        let order = Order {
            target,
            node: identity,
            why: Why::Moved(why),
        };
        hand.helm.orders.send_replace(Arc::new(order));
    }

    fn close(&mut self, id: u32, why: Cause) {
        let Some(hand) = self.hands.remove(&id) else {
            return;
        };
        tracing::warn!(master = %hand.master, shard = %hand.master.shard, why = why.name(), "no longer followed");
        self.means.shared.fleet.remove(id);
        hand.stop.cancel();
    }

    /// Who has to be at the address. Only nodes of a cluster can say who they are.
    fn identity(&self, node: &NodeId) -> Option<NodeId> {
        match self.means.deployment.kind {
            Kind::Cluster => Some(node.clone()),
            Kind::Standalone | Kind::Sentinel => None,
        }
    }

    fn target(&self, addr: &Addr) -> Target {
        let target = &self.means.target;
        Target {
            source: Source {
                host: addr.host.clone(),
                port: addr.port,
                ..target.source.clone()
            },
            ..target.clone()
        }
    }
}

impl Hand {
    /// A node that was ill and is well again is tried at once, however long its owner would wait.
    fn nudge(&mut self, topology: &Topology) {
        let group = topology.group(&self.link.group);
        let Some(node) = group.and_then(|group| group.node(&self.link.node)) else {
            return;
        };
        let was_ill = std::mem::replace(&mut self.ill, node.health != Health::Online);
        if was_ill && !self.ill && self.link.state == LinkState::Down {
            let order = Order {
                why: Why::Recovered,
                ..Order::clone(&self.helm.orders.borrow())
            };
            self.helm.orders.send_replace(Arc::new(order));
        }
    }

    fn publish(&self, topology: &Topology) {
        let old = self.master.place();
        let place = place(&self.link, topology.group(&self.link.group), &old);
        if place != *old {
            self.helm.place.send_replace(Arc::new(place));
        }
    }
}

/// Since when something is so, if it is.
fn since(before: Option<Instant>, is_so: bool) -> Option<Instant> {
    is_so.then(|| before.unwrap_or_else(clock::now))
}

fn is_overdue(gone: Option<Instant>, now: Instant) -> bool {
    gone.is_some_and(|since| now.duration_since(since) >= GONE_MIN)
}

/// Where a link's master is. Of a group that is gone, or has no master now, the last one is kept.
fn place(link: &Link, group: Option<&Group>, old: &Place) -> Place {
    let mut place = old.clone();
    place.following = Some(link.addr.clone());
    place.group = link.group.clone();
    let Some(group) = group else {
        return place;
    };
    let master = group.master().and_then(|node| node.addr.as_ref());
    if let Some(addr) = master {
        place.name = addr.to_string();
        place.host.clone_from(&addr.host);
        place.port = addr.port;
    }
    place.following_role = match group.node(&link.node).map(|node| node.role) {
        Some(Role::Master) => fleet::Role::Master,
        Some(Role::Replica) => fleet::Role::Replica,
        None => fleet::Role::Unknown,
    };
    place.slots = group.slots.clone();
    place.nodes.clone_from(&group.nodes);
    place
}

fn state(status: &Status) -> LinkState {
    match &status.state {
        State::Synced => match status.orphan_since {
            // Connected to somebody who hears nothing is as good as not connected.
            Some(since) if clock::now().duration_since(since) >= ORPHAN_LIMIT => LinkState::Down,
            Some(_) | None => LinkState::Live,
        },
        State::Connecting | State::Waiting | State::Loading { .. } => LinkState::Loading,
        // It waits on purpose: another node would be asked for the full sync that this one is spared.
        State::Lost {
            reason: Loss::Spared,
            ..
        } => LinkState::Loading,
        State::Lost { .. } | State::Failed { .. } => LinkState::Down,
    }
}

#[cfg(test)]
mod tests {
    use cluster_map::{Node, Slots};

    use super::*;

    fn node(name: &str, role: Role) -> Node {
        let addr: Addr = name.parse().unwrap();
        Node {
            id: NodeId::of(&addr),
            addr: Some(addr),
            role,
            flagged: role,
            health: Health::Online,
            offset: None,
        }
    }

    fn group(nodes: Vec<Node>) -> Group {
        Group {
            id: "s".into(),
            nodes,
            slots: Slots::all(),
            epoch: 1,
            migrating: Vec::new(),
            importing: Vec::new(),
        }
    }

    #[test]
    fn a_place_keeps_its_master_while_there_is_none() {
        let all = group(vec![node("a:1", Role::Master), node("b:1", Role::Replica)]);
        let b = all.nodes[1].clone();
        let link = Link::open(0, &all, &b.id, b.addr.as_ref().unwrap());
        let first = place(&link, Some(&all), &Place::default());
        assert_eq!((first.name.as_str(), first.port), ("a:1", 1));
        assert_eq!(first.following, b.addr);
        assert_eq!(first.following_role, fleet::Role::Replica);
        assert_eq!(first.slots.count(), 16_384);
        let orphans = group(vec![node("b:1", Role::Replica)]);
        assert_eq!(place(&link, Some(&orphans), &first).name, "a:1");
        assert_eq!(place(&link, None, &first).slots, first.slots);
        let after = group(vec![node("b:1", Role::Master), node("a:1", Role::Replica)]);
        let after = place(&link, Some(&after), &first);
        assert_eq!(after.name, "b:1");
        assert_eq!(after.following_role, fleet::Role::Master);
    }

    /// Looks follow each other every 0.4 s while a link is down, and three without its group closed it.
    #[test]
    fn a_group_is_missed_for_half_a_minute() {
        let first = since(None, true);
        assert_eq!(since(first, true), first);
        assert_eq!(since(first, false), None);
        let now = first.unwrap();
        assert!(!is_overdue(None, now) && !is_overdue(first, now + GONE_MIN / 2));
        assert!(is_overdue(first, now + GONE_MIN));
    }

    #[test]
    fn a_link_to_an_orphan_is_no_link() {
        let status = |state| Status {
            state,
            ..Status::default()
        };
        let lost = |reason| State::Lost {
            reason,
            retry_in_ms: 1,
        };
        for (status, expected) in [
            (status(State::Synced), LinkState::Live),
            (status(State::Waiting), LinkState::Loading),
            (status(lost(Loss::Closed)), LinkState::Down),
            (status(lost(Loss::Spared)), LinkState::Loading),
        ] {
            assert_eq!(state(&status), expected, "{:?}", status.state);
        }
        let mut orphan = status(State::Synced);
        orphan.orphan_since = Some(clock::now());
        assert_eq!(state(&orphan), LinkState::Live);
        orphan.orphan_since = clock::now().checked_sub(ORPHAN_LIMIT);
        assert_eq!(state(&orphan), LinkState::Down);
    }
}
