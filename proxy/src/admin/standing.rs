//! Where a master stands, for its advice: from its status, its place, and the map of its deployment.

use std::sync::Arc;

use analyzer::advice::{Cluster, Guard, Link, Node, Pace, Standing};
use cluster_map::node::{self, Group};
use cluster_map::slots::SLOTS;
use cluster_map::{Addr, Health, Slot, Topology};

use crate::clock;
use crate::fleet::{self, Deployment, Kind, Master, Role, Status};

/// What is known of it; `planned` are its slots that would have to move for bytes to be even.
pub(crate) fn of(master: &Master, deployments: &[Arc<Deployment>], planned: &[u16]) -> Standing {
    let status = master.status();
    let deployment = deployments.iter().find(|d| d.source == master.source);
    let kind = deployment.map_or(Kind::Standalone, |deployment| deployment.kind);
    let view = deployment.map(|deployment| deployment.view());
    let guards = view.as_ref().map(|view| &view.guards);
    let topology = view.as_ref().and_then(|view| view.topology.as_deref());
    Standing {
        pace: pace(&status),
        shard: master.shard.to_string(),
        link: link(master, &status),
        replicas: match kind {
            Kind::Standalone => None,
            Kind::Cluster | Kind::Sentinel => Some(replicas(master, &status)),
        },
        guard: guards.and_then(|all| all.get(&*master.shard)).map(guard),
        cluster: match (kind, topology) {
            (Kind::Cluster, Some(map)) => Some(Cluster {
                planned: planned.to_vec(),
                ..cluster(map, &master.place())
            }),
            (Kind::Cluster | Kind::Standalone | Kind::Sentinel, _) => None,
        },
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

fn cluster(map: &Topology, place: &fleet::Place) -> Cluster {
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
    let own = map.group(&place.group);
    let moving = own.map_or(&[][..], |group| &group.migrating);
    Cluster {
        masters: map.groups().iter().filter(with_slots).count() as u64,
        own_slots: own.map_or(0, |group| group.slots.count() as u64),
        uncovered: u64::from(SLOTS).saturating_sub(map.covered() as u64),
        suspect: slots_of(Health::Suspect),
        failed: slots_of(Health::Failed),
        hosts,
        moving: moving.iter().map(|(slot, _)| slot.number()).collect(),
        planned: Vec::new(),
        slot_of: Some(|name| Slot::of(name).number()),
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
