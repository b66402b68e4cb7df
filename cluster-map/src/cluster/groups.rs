//! From nodes to groups: replicas to their masters, masters without slots to where they belong, and
//! an id for each that stays.

use std::collections::{BTreeMap, BTreeSet};

use super::Seen;
use crate::node::{Group, Node, NodeId, Role};
use crate::topology::{Complaint, Topology};

/// Masters of masters that are followed to the end of a chain; real ones have one step.
const CHAIN_MAX: usize = 8;

/// A master and its replicas, before they have an id.
struct Family {
    master: NodeId,
    replicas: BTreeSet<NodeId>,
}

/// The groups of the nodes.
pub(super) fn groups(
    nodes: BTreeMap<NodeId, Seen>,
    previous: Option<&Topology>,
    complaints: &mut Vec<Complaint>,
) -> Vec<Group> {
    let (families, orphans) = families(&nodes);
    complaints.extend(orphans.iter().map(|id| {
        let master = nodes.get(id).and_then(|seen| seen.told.master.as_ref());
        Complaint::MasterUnknown {
            id: id.clone(),
            master: master.unwrap_or(id).clone(),
        }
    }));
    let origins = Origins::new(&nodes, previous);
    let mut families = absorb(families, orphans, &nodes, &origins);
    // Those with most slots choose their ids first.
    families.sort_by_cached_key(|family| {
        let slots = nodes
            .get(&family.master)
            .map_or(0, |n| n.told.slots.count());
        (std::cmp::Reverse(slots), family.master.clone())
    });
    let mut taken = BTreeSet::new();
    let mut ids: Vec<Box<str>> = Vec::with_capacity(families.len());
    for family in &families {
        let id = id(family, &nodes, &origins, &taken);
        taken.insert(id.clone());
        ids.push(id);
    }
    let mut nodes = nodes;
    let group = |(family, id)| make(family, id, &mut nodes);
    families.into_iter().zip(ids).filter_map(group).collect()
}

/// Where nodes come from, as far as anyone says.
struct Origins {
    /// The shard, by its id or its smallest node.
    shards: BTreeMap<NodeId, Box<str>>,
    /// The group in the map before.
    before: BTreeMap<NodeId, Box<str>>,
}

impl Origins {
    fn new(nodes: &BTreeMap<NodeId, Seen>, previous: Option<&Topology>) -> Origins {
        let shard = |(id, seen): (&NodeId, &Seen)| {
            let kin = seen.told.kin.as_ref().map(|kin| kin.as_str().into());
            Some((id.clone(), seen.told.shard.clone().or(kin)?))
        };
        let groups = previous.map_or(&[][..], Topology::groups);
        let members = |group: &Group| {
            let named = |node: &Node| (node.id.clone(), group.id.clone());
            group.nodes.iter().map(named).collect::<Vec<_>>()
        };
        Origins {
            shards: nodes.iter().filter_map(shard).collect(),
            before: groups.iter().flat_map(members).collect(),
        }
    }
}

/// Every master with the replicas that lead to it, and the replicas that lead nowhere.
fn families(nodes: &BTreeMap<NodeId, Seen>) -> (Vec<Family>, Vec<NodeId>) {
    let mut families: BTreeMap<&NodeId, BTreeSet<NodeId>> = nodes
        .iter()
        .filter(|(_, seen)| seen.told.role == Role::Master)
        .map(|(id, _)| (id, BTreeSet::new()))
        .collect();
    let mut orphans = Vec::new();
    for (id, seen) in nodes {
        if seen.told.role == Role::Master {
            continue;
        }
        match master_of(id, nodes).and_then(|master| families.get_mut(master)) {
            Some(replicas) => {
                replicas.insert(id.clone());
            }
            None => orphans.push(id.clone()),
        }
    }
    let family = |(master, replicas): (&NodeId, BTreeSet<NodeId>)| Family {
        master: master.clone(),
        replicas,
    };
    (families.into_iter().map(family).collect(), orphans)
}

/// The master at the end of the chain that begins with a replica.
fn master_of<'a>(id: &'a NodeId, nodes: &'a BTreeMap<NodeId, Seen>) -> Option<&'a NodeId> {
    let mut at = id;
    for _ in 0..CHAIN_MAX {
        let seen = nodes.get(at)?;
        match seen.told.role {
            Role::Master => return Some(at),
            Role::Replica => at = seen.told.master.as_ref()?,
        }
    }
    None
}

/// Lets masters without slots, with their replicas, and replicas without a known master join the
/// family with slots that they came from.
fn absorb(
    families: Vec<Family>,
    orphans: Vec<NodeId>,
    nodes: &BTreeMap<NodeId, Seen>,
    origins: &Origins,
) -> Vec<Family> {
    let has_slots = |family: &Family| {
        let seen = nodes.get(&family.master);
        seen.is_some_and(|seen| !seen.told.slots.is_empty())
    };
    let (mut homes, rest): (Vec<_>, Vec<_>) = families.into_iter().partition(has_slots);
    let by = |origins: &BTreeMap<NodeId, Box<str>>| {
        let place = |(at, home): (usize, &Family)| Some((origins.get(&home.master)?.clone(), at));
        homes.iter().enumerate().filter_map(place).collect()
    };
    let by_shard: BTreeMap<Box<str>, usize> = by(&origins.shards);
    let by_before: BTreeMap<Box<str>, usize> = by(&origins.before);
    let home_of = |id: &NodeId| {
        let shard = origins.shards.get(id);
        let by_shard = shard.and_then(|shard| by_shard.get(shard));
        // Where shards have ids, they say all. In 7.0 a master that failed is a shard of its own.
        let has_id = nodes.get(id).is_some_and(|seen| seen.told.shard.is_some());
        let before = origins.before.get(id).filter(|_| !has_id);
        by_shard.or_else(|| before.and_then(|before| by_before.get(before)))
    };
    let mut others = Vec::new();
    for family in rest {
        match home_of(&family.master).and_then(|at| homes.get_mut(*at)) {
            Some(home) => {
                home.replicas.insert(family.master);
                home.replicas.extend(family.replicas);
            }
            None => others.push(family),
        }
    }
    for id in orphans {
        if let Some(home) = home_of(&id).and_then(|at| homes.get_mut(*at)) {
            home.replicas.insert(id);
        }
    }
    homes.extend(others);
    homes
}

/// The shard's id where it is told, else the id of the group it was, else the smallest id of its
/// nodes: that of a master that failed counts while it is known, so that instances that start
/// before and after a failover agree.
fn id(
    family: &Family,
    nodes: &BTreeMap<NodeId, Seen>,
    origins: &Origins,
    taken: &BTreeSet<Box<str>>,
) -> Box<str> {
    let master = nodes.get(&family.master);
    let shard = master.and_then(|seen| seen.told.shard.clone());
    let before = origins.before.get(&family.master).cloned();
    let mut members: BTreeSet<&NodeId> = family.replicas.iter().collect();
    members.insert(&family.master);
    members.extend(master.and_then(|seen| seen.told.kin.as_ref()));
    shard
        .into_iter()
        .chain(before)
        .chain(members.into_iter().map(|id| id.as_str().into()))
        .find(|id| !taken.contains(id))
        .unwrap_or_else(|| {
            let numbered = |n: u32| format!("{}.{n}", family.master).into_boxed_str();
            let mut free = (2..=u32::MAX).map(numbered);
            let free = free.find(|id| !taken.contains(id));
            free.unwrap_or_else(|| family.master.as_str().into())
        })
}

fn make(family: Family, id: Box<str>, nodes: &mut BTreeMap<NodeId, Seen>) -> Option<Group> {
    let master = nodes.remove(&family.master)?.told;
    let mut members = vec![Node {
        id: family.master,
        addr: master.addr,
        role: Role::Master,
        flagged: master.role,
        health: master.health,
        offset: master.offset,
    }];
    for id in family.replicas {
        let told = nodes.remove(&id)?.told;
        members.push(Node {
            id,
            addr: told.addr,
            role: Role::Replica,
            flagged: told.role,
            health: told.health,
            offset: told.offset,
        });
    }
    Some(Group {
        id,
        nodes: members,
        slots: master.slots,
        epoch: master.epoch,
        migrating: master.migrating,
        importing: master.importing,
    })
}
