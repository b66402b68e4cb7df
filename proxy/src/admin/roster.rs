//! Every node of every deployment, followed or not: what KS.NODES, INFO and the metrics tell.

use std::sync::Arc;

use cluster_map::node::{Addr, Group, Health, Node};
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
    /// It did not answer.
    Unreachable,
    /// The others say that it failed.
    Failed,
    /// Not followed for another reason.
    Other,
}

impl Standing {
    /// All of them.
    pub(crate) const ALL: [Standing; 6] = [
        Standing::Followed,
        Standing::Spare,
        Standing::Unowned,
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
            Standing::Unreachable => "unreachable",
            Standing::Failed => "failed",
            Standing::Other => "not_followed",
        }
    }
}

/// What is said of a node that no plan of ours speaks of.
const UNOWNED: &str = "another instance follows its shard";

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
    let mut entries = Vec::new();
    for group in topology.groups() {
        let master = masters.iter().find(|m| m.place().group == group.id);
        let nodes = group.nodes.iter();
        entries.extend(nodes.map(|node| of_node(deployment, &view, (group, node), master)));
    }
    let known = |master: &&Arc<Master>| topology.group(&master.place().group).is_some();
    let lost = masters.iter().filter(|master| !known(master));
    entries.extend(lost.map(|master| Entry {
        why: "it is not in the map any more".to_owned(),
        ..alone(deployment, master.clone())
    }));
    entries
}

fn of_node(
    deployment: &Arc<Deployment>,
    view: &View,
    (group, node): (&Group, &Node),
    master: Option<&Arc<Master>>,
) -> Entry {
    let following = master.and_then(|master| master.place().following.clone());
    let followed = following.is_some() && following == node.addr;
    let said = view.not_followed.iter().find(|n| n.node == node.id);
    let why = match (said, followed, master) {
        (_, true, _) => String::new(),
        (Some(said), false, _) => said.why.clone(),
        (None, false, Some(_)) => "another node of its shard is followed".to_owned(),
        (None, false, None) if view.unowned > 0 => UNOWNED.to_owned(),
        (None, false, None) => "its link is not open yet".to_owned(),
    };
    let slots = match node.role {
        Role::Master => group.slots.clone(),
        Role::Replica => Slots::default(),
    };
    Entry {
        deployment: deployment.clone(),
        group: group.id.to_string(),
        id: node.id.to_string(),
        addr: node.addr.clone(),
        role: node.role.name(),
        health: Some(node.health),
        slots,
        master: master.cloned(),
        followed,
        why,
        reach: reach(view, node.addr.as_ref()),
    }
}

fn reach(view: &View, addr: Option<&Addr>) -> Reach {
    let seed = view.seeds.iter().find(|seed| Some(&seed.addr) == addr);
    seed.map(|seed| seed.reach.clone()).unwrap_or_default()
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

/// Before the first map only those are known that are asked for it.
fn seeds(deployment: &Arc<Deployment>, view: &View) -> Vec<Entry> {
    let entry = |seed: &fleet::Seed| Entry {
        deployment: deployment.clone(),
        group: String::new(),
        id: seed.addr.to_string(),
        addr: Some(seed.addr.clone()),
        role: "seed",
        health: None,
        slots: Slots::default(),
        master: None,
        followed: false,
        why: "there is no map yet".to_owned(),
        reach: seed.reach.clone(),
    };
    view.seeds.iter().map(entry).collect()
}
