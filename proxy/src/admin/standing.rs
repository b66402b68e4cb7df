//! Where a master stands, for its advice: from its status, its place, and the map of its deployment.

use std::sync::Arc;

use analyzer::advice::{Cluster, Guard, Link, Node, Pace, Standing};
use cluster_map::node::{self, Group};
use cluster_map::slots::SLOTS;
use cluster_map::{Addr, Health, Slot, Topology};

use crate::clock;
use crate::fleet::{self, Deployment, Kind, Master, Role, Status, View};

/// A deployment, as all of its masters have it in common.
pub(crate) struct Whole {
    kind: Kind,
    view: Arc<View>,
    /// Nothing in it is of one master.
    cluster: Option<Cluster>,
}

impl Whole {
    /// Looks at the map once: there may be a thousand masters in it.
    pub(crate) fn of(deployment: &Deployment) -> Whole {
        let (kind, view) = (deployment.kind, deployment.view());
        let map = view.topology.as_deref();
        let cluster = match kind {
            Kind::Cluster => map.map(cluster),
            Kind::Standalone | Kind::Sentinel => None,
        };
        Whole {
            kind,
            view,
            cluster,
        }
    }

    /// What is known of a master of it, but for its container; `planned` are its slots that would have
    /// to move for bytes to be even.
    pub(crate) fn standing(&self, master: &Master, planned: &[u16]) -> Standing {
        let status = master.status();
        let place = master.place();
        let topology = self.view.topology.as_deref();
        let own = topology.and_then(|map| map.group(&place.group));
        let guard = self.view.guards.get(&*master.shard).map(guard);
        Standing {
            pace: pace(&status),
            shard: master.shard.to_string(),
            container_bytes: None,
            link: link(master, &status),
            replicas: match self.kind {
                Kind::Standalone => None,
                Kind::Cluster | Kind::Sentinel => Some(replicas(master, &status)),
            },
            guard,
            cluster: self.cluster.as_ref().map(|whole| Cluster {
                planned: planned.to_vec(),
                own_slots: own.map_or(0, |group| group.slots.count() as u64),
                moving: own.map_or_else(Vec::new, |group| {
                    let moving = group.migrating.iter();
                    moving.map(|(slot, _)| slot.number()).collect()
                }),
                ..whole.clone()
            }),
        }
    }
}

fn pace(status: &Status) -> Option<Pace> {
    let rates = status.rates;
    (rates.seconds > 0).then_some(Pace {
        seconds: rates.seconds,
        bytes_mean: rates.bytes_mean,
        bytes_p99: rates.bytes_p99,
        bytes_max: rates.bytes_max,
        commands_per_min: rates.commands_per_min,
    })
}

fn link(master: &Master, status: &Status) -> Link {
    let place = master.place();
    let host = place.following.as_ref().map_or(&place.host, |at| &at.host);
    let heard = Some(status.last_byte_ms).filter(|at| *at > 0);
    Link {
        announced_port: u64::from(status.announced_port),
        is_plain: !status.is_encrypted,
        host: host.clone(),
        on_replica: status.role == Role::Replica,
        full_syncs: full_syncs_of(status),
        silent_ms: heard.map(|at| clock::unix_ms().saturating_sub(at)),
    }
}

/// Our full syncs of the server that is followed now.
fn full_syncs_of(status: &Status) -> u64 {
    let all = status.counters.full_syncs;
    all.saturating_sub(status.full_syncs_before)
}

/// The replicas of its group. Where our port is announced, Sentinel lists us.
fn replicas(master: &Master, status: &Status) -> Vec<Node> {
    let place = master.place();
    let is_ours = |node: &&node::Node| {
        let port = node.addr.as_ref().map(|addr| u32::from(addr.port));
        port == Some(status.announced_port)
    };
    let nodes = place.nodes.iter();
    let nodes = nodes.filter(|node| node.role == cluster_map::Role::Replica && !is_ours(node));
    nodes.map(node_of).collect()
}

fn node_of(node: &node::Node) -> Node {
    let host = node.addr.as_ref().map(|addr| addr.host.clone());
    Node {
        name: match &node.addr {
            Some(addr) => addr.to_string(),
            None => node.id.to_string(),
        },
        host: host.unwrap_or_default(),
        is_down: node.health == Health::Failed,
    }
}

fn guard(guard: &fleet::Guard) -> Guard {
    let node = |addr: &Addr| Node {
        name: addr.to_string(),
        host: addr.host.clone(),
        is_down: false,
    };
    Guard {
        quorum: guard.quorum,
        sentinels: guard.sentinels.iter().map(node).collect(),
    }
}

fn cluster(map: &Topology) -> Cluster {
    let with_slots = |group: &&Group| group.slots.count() > 0;
    let slots_of = |health: Health| {
        let groups = map.groups().iter();
        let groups = groups.filter(|g| g.master().is_some_and(|m| m.health == health));
        groups.map(|group| group.slots.count() as u64).sum()
    };
    let nodes = map.groups().iter().flat_map(|group| &group.nodes);
    let hosts = nodes.filter_map(|node| Some(node.addr.as_ref()?.host.clone()));
    let mut hosts: Vec<String> = hosts.collect();
    hosts.sort_unstable();
    hosts.dedup();
    Cluster {
        masters: map.groups().iter().filter(with_slots).count() as u64,
        uncovered: u64::from(SLOTS).saturating_sub(map.covered() as u64),
        suspect: slots_of(Health::Suspect),
        failed: slots_of(Health::Failed),
        hosts: hosts.into(),
        slot_of: Some(|name| Slot::of(name).number()),
        ..Cluster::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Counters;

    #[test]
    fn full_syncs_of_other_servers_are_not_this_ones() {
        let status = Status {
            full_syncs_before: 3,
            counters: Counters {
                full_syncs: 4,
                ..Counters::default()
            },
            ..Status::default()
        };
        assert_eq!(full_syncs_of(&status), 1);
    }
}
