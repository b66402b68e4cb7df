//! Every node of every deployment, followed or not: what KS.NODES, INFO and the metrics tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster_map::node::{Addr, Group, Health, Node, NodeId};
use cluster_map::{Role, Slots};

use crate::fleet::{self, Deployment, Fleet, Kind, Master, Reach, View};

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub deployment: Arc<Deployment>,
    /// Its shard, as the map calls it; empty before there is a map.
    pub group: String,
    /// Its id; its address where it has no other.
    pub id: String,
    pub addr: Option<Addr>,
    /// What the map says that it is; for plain servers, what they say themselves.
    pub role: &'static str,
    /// How the map says that it is; `None` without a map.
    pub health: Option<Health>,
    /// Slots of its shard, if it is the master.
    pub slots: Slots,
    /// The master of its shard here, if there is a link.
    pub master: Option<Arc<Master>>,
    /// True if that link is on this node.
    pub followed: bool,
    /// Why it is not; empty if it is.
    pub why: String,
    /// How it was when discovery last asked it.
    pub reach: Reach,
}

/// What a node comes to, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Our link is on it.
    Followed,
    /// Another node of its shard is followed.
    Spare,
    /// Another instance follows its shard.
    Unowned,
    /// It is asked for the map and has no keys of its own: a Sentinel, a seed.
    Asked,
    /// It did not answer.
    Unreachable,
    /// The others say that it failed.
    Failed,
    /// Not followed for another reason.
    Other,
}

impl Standing {
    /// All of them.
    pub(crate) const ALL: [Standing; 7] = [
        Standing::Followed,
        Standing::Spare,
        Standing::Unowned,
        Standing::Asked,
        Standing::Unreachable,
        Standing::Failed,
        Standing::Other,
    ];

    /// The word used in answers and labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Standing::Followed => "followed",
            Standing::Spare => "spare",
            Standing::Unowned => "unowned",
            Standing::Asked => "asked",
            Standing::Unreachable => "unreachable",
            Standing::Failed => "failed",
            Standing::Other => "not_followed",
        }
    }
}

/// What is said of a node that no plan of ours speaks of.
const UNOWNED: &str = "another instance follows its shard";

/// The role of those that are asked and are not in the map.
const ASKED: &str = "asked";

impl Entry {
    /// Where it is, or its id where nobody knows.
    pub(crate) fn place(&self) -> String {
        let addr = self.addr.as_ref();
        addr.map_or_else(|| self.id.clone(), ToString::to_string)
    }

    pub(crate) fn standing(&self) -> Standing {
        if self.followed {
            return Standing::Followed;
        }
        match (&self.reach, self.health) {
            (_, Some(Health::Failed)) => Standing::Failed,
            (Reach::Failed(_), _) => Standing::Unreachable,
            _ if self.role == ASKED => Standing::Asked,
            _ if self.why == UNOWNED => Standing::Unowned,
            _ if self.master.is_some() => Standing::Spare,
            _ => Standing::Other,
        }
    }
}

/// Every node, by deployment and shard.
pub(crate) fn entries(fleet: &Fleet) -> Vec<Entry> {
    let masters = fleet.masters();
    let mut entries = Vec::new();
    for deployment in fleet.deployments() {
        let own: Vec<_> = masters
            .iter()
            .filter(|master| master.source == deployment.source)
            .cloned()
            .collect();
        entries.extend(of_deployment(&deployment, own));
    }
    entries
}

fn of_deployment(deployment: &Arc<Deployment>, masters: Vec<Arc<Master>>) -> Vec<Entry> {
    let view = deployment.view();
    let Some(topology) = &view.topology else {
        return match deployment.kind {
            Kind::Standalone => masters.into_iter().map(|m| alone(deployment, m)).collect(),
            Kind::Cluster | Kind::Sentinel => seeds(deployment, &view),
        };
    };
    let index = Index::new(deployment, &view, &masters);
    let mut entries = Vec::new();
    for group in topology.groups() {
        entries.extend(group.nodes.iter().map(|node| index.entry(group, node)));
    }
    let met: BTreeSet<Addr> = entries.iter().filter_map(|e| e.addr.clone()).collect();
    let others = seeds(deployment, &view).into_iter();
    let others = others.filter(|entry| !entry.addr.as_ref().is_some_and(|a| met.contains(a)));
    entries.extend(others.map(|entry| Entry {
        why: "it only tells the map".to_owned(),
        ..entry
    }));
    let known = |master: &&Arc<Master>| topology.group(&master.place().group).is_some();
    let lost = masters.iter().filter(|master| !known(master));
    entries.extend(lost.map(|master| Entry {
        why: "it is not in the map any more".to_owned(),
        ..alone(deployment, master.clone())
    }));
    entries
}

/// A view, by what it is looked up by: there may be thousands of nodes.
struct Index<'a> {
    deployment: &'a Arc<Deployment>,
    /// The masters, by their group, with the node that each is on.
    masters: BTreeMap<Box<str>, (&'a Arc<Master>, Option<Addr>)>,
    why_not: BTreeMap<&'a NodeId, &'a str>,
    reach: BTreeMap<&'a Addr, &'a Reach>,
    /// Shards are left to other instances.
    shared: bool,
}

impl<'a> Index<'a> {
    fn new(
        deployment: &'a Arc<Deployment>,
        view: &'a View,
        masters: &'a [Arc<Master>],
    ) -> Index<'a> {
        let place = |master: &'a Arc<Master>| {
            let place = master.place();
            (place.group.clone(), (master, place.following.clone()))
        };
        let why_not = view.not_followed.iter();
        let reach = view.seeds.iter();
        Index {
            deployment,
            masters: masters.iter().map(place).collect(),
            why_not: why_not.map(|n| (&n.node, n.why.as_str())).collect(),
            reach: reach.map(|seed| (&seed.addr, &seed.reach)).collect(),
            shared: view.unowned > 0,
        }
    }

    fn entry(&self, group: &Group, node: &Node) -> Entry {
        let (master, following) = match self.masters.get(&group.id) {
            Some((master, following)) => (Some(*master), following.as_ref()),
            None => (None, None),
        };
        let followed = following.is_some() && following == node.addr.as_ref();
        let said = self.why_not.get(&node.id);
        let why = match (said, followed, master) {
            (_, true, _) => "",
            (Some(said), false, _) => said,
            (None, false, Some(_)) => "another node of its shard is followed",
            (None, false, None) if self.shared => UNOWNED,
            (None, false, None) => "its link is not open yet",
        };
        let reach = node.addr.as_ref().and_then(|addr| self.reach.get(addr));
        Entry {
            deployment: self.deployment.clone(),
            group: group.id.to_string(),
            id: node.id.to_string(),
            addr: node.addr.clone(),
            role: node.role.name(),
            health: Some(node.health),
            slots: match node.role {
                Role::Master => group.slots.clone(),
                Role::Replica => Slots::default(),
            },
            master: master.cloned(),
            followed,
            why: why.to_owned(),
            reach: reach.map(|reach| (*reach).clone()).unwrap_or_default(),
        }
    }
}

/// A server that is followed without a map.
fn alone(deployment: &Arc<Deployment>, master: Arc<Master>) -> Entry {
    let (place, status) = (master.place(), master.status());
    let reach = match &status.state {
        fleet::State::Lost { .. } | fleet::State::Failed { .. } => {
            Reach::Failed(status.last_error.clone())
        }
        fleet::State::Connecting => Reach::Unknown,
        fleet::State::Waiting | fleet::State::Loading { .. } | fleet::State::Synced => {
            Reach::Answered
        }
    };
    Entry {
        deployment: deployment.clone(),
        group: master.shard.to_string(),
        id: place.name.clone(),
        addr: place.following.clone(),
        role: status.role.name(),
        health: None,
        slots: place.slots.clone(),
        master: Some(master),
        followed: true,
        why: String::new(),
        reach,
    }
}

/// Those that are asked for the map; before the first one nobody else is known.
fn seeds(deployment: &Arc<Deployment>, view: &View) -> Vec<Entry> {
    let entry = |seed: &fleet::Seed| Entry {
        deployment: deployment.clone(),
        group: String::new(),
        id: seed.addr.to_string(),
        addr: Some(seed.addr.clone()),
        role: ASKED,
        health: None,
        slots: Slots::default(),
        master: None,
        followed: false,
        why: "there is no map yet".to_owned(),
        reach: seed.reach.clone(),
    };
    view.seeds.iter().map(entry).collect()
}
