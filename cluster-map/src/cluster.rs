//! From what several nodes of a cluster say to one map.
//!
//! Nodes see the cluster with different delays, and none sees all of it. What is believed:
//!
//! - of its own role and master, a node itself; of one that did not answer, the most of the others;
//! - of a slot, the claim with the highest config epoch, as among the nodes themselves; among equal
//!   epochs the smaller id, which is the one that will get the higher epoch
//!   (Redis `clusterHandleConfigEpochCollision`);
//! - that a node failed, if more than half of the others say so and it did not answer;
//! - that there is a node at all, if more than half list it or it owns slots. One that was removed
//!   may be asked and still believe in itself;
//! - of slots on their way, the two masters themselves, who alone tell of them. Of a master that was
//!   not asked this time, what it said before, as far as it agrees with who owns the slots now.
//!
//! A group keeps its id while one of its members masters it. Masters that have lost all slots to
//! another of their shard, or of their group in the previous map, stay in it: after a failover the
//! old master is one, until it comes back as a replica.

mod groups;

use std::collections::{BTreeMap, BTreeSet};

use crate::node::{Health, NodeId, Role};
use crate::report::{Report, Told};
use crate::slots::{SLOTS, Slot, Slots};
use crate::topology::{COMPLAINTS_MAX, Complaint, Topology};

/// Most reports that make one map; further ones are left out.
pub const REPORTS_MAX: usize = 64;

/// Maps in a row of nothing but strangers, a seed of the configuration among those who answered, after
/// which they are believed: the deployment was made anew at the same addresses.
pub const STRANGERS_MAX: u32 = 10;

/// Groups claimed for one slot.
type Claims<'a> = Vec<Option<(u64, &'a NodeId)>>;

impl Topology {
    /// The map of a cluster, from what some of its nodes say and the map before, if there was one.
    /// Reports that share no node with the others, or with the map before, are of another cluster
    /// and left out; if all are, the map before stays for [`STRANGERS_MAX`] times.
    pub fn of_cluster(reports: &[Report], previous: Option<&Topology>) -> Topology {
        Topology::of_cluster_by(reports, previous, true)
    }

    /// The same where `seed` says whether one of the addresses that are configured has answered.
    /// Without, the map before stays for as long as there are none but strangers: addresses that were
    /// found may be another's by now, as those of pods are, and nobody has meant them.
    pub fn of_cluster_by(reports: &[Report], previous: Option<&Topology>, seed: bool) -> Topology {
        let all = reports.get(..REPORTS_MAX).unwrap_or(reports);
        let (reports, mut complaints) = of_one_cluster(all, previous);
        if let Some(previous) = previous
            && !previous.groups().is_empty()
            && !reports.iter().any(|report| overlaps(report, previous))
        {
            if all.is_empty() {
                return previous.again(complaints);
            }
            if !seed || previous.strangers() < STRANGERS_MAX {
                return previous.for_strangers(complaints, seed);
            }
        }
        for report in &reports {
            complaints.extend(report.complaints().iter().cloned());
        }
        let mut nodes = nodes(&reports);
        own_slots(&reports, &mut nodes, &mut complaints);
        keep_moves(&mut nodes, previous);
        let most = reports.len() / 2;
        nodes.retain(|_, seen| seen.listed > most || !seen.told.slots.is_empty());
        let open = uncovered(nodes.values().map(|seen| &seen.told.slots));
        let complete = open.is_empty() && !reports.is_empty();
        if !complete && !reports.is_empty() {
            complaints.push(Complaint::Uncovered { slots: open });
        }
        same_addresses(&nodes, &mut complaints);
        let groups = groups::groups(nodes, previous, &mut complaints);
        Topology::build(groups, complaints, complete)
    }
}

/// One node, as it comes out of all reports.
#[derive(Debug)]
struct Seen {
    told: Told,
    /// How many reports list it.
    listed: usize,
}

fn overlaps(report: &Report, topology: &Topology) -> bool {
    let groups = topology.groups().iter();
    let mut nodes = groups.flat_map(|group| &group.nodes);
    nodes.any(|node| report.nodes().contains_key(&node.id))
}

/// The reports of the cluster that is meant: of several that share no nodes, the one that the map
/// before knows, else the one with the most slots, else with the most nodes.
fn of_one_cluster<'a>(
    reports: &'a [Report],
    previous: Option<&Topology>,
) -> (Vec<&'a Report>, Vec<Complaint>) {
    let mut clusters: Vec<(Vec<&Report>, BTreeSet<&NodeId>)> = Vec::new();
    for report in reports {
        let ids: BTreeSet<&NodeId> = report.nodes().keys().collect();
        let mut joined = (vec![report], ids);
        let (near, far): (Vec<_>, Vec<_>) = clusters
            .into_iter()
            .partition(|(_, ids)| !ids.is_disjoint(&joined.1));
        for (reports, ids) in near {
            joined.0.splice(0..0, reports);
            joined.1.extend(ids);
        }
        clusters = far;
        clusters.push(joined);
    }
    let worth = |(reports, ids): &(Vec<&Report>, BTreeSet<&NodeId>)| {
        let known = previous.is_some_and(|map| reports.iter().any(|r| overlaps(r, map)));
        let slots = |report: &&Report| report.nodes().values().map(|t| t.slots.count()).sum();
        let slots: usize = reports.iter().map(slots).max().unwrap_or(0);
        let first = ids.first().map(|id| (*id).clone());
        (known, slots, ids.len(), std::cmp::Reverse(first))
    };
    clusters.sort_by_cached_key(worth);
    let meant = clusters.pop().map(|(reports, _)| reports);
    let foreign = clusters.iter().flat_map(|(reports, _)| reports);
    let foreign = foreign.map(|report| Complaint::Foreign {
        asked: report.asked().clone(),
    });
    (meant.unwrap_or_default(), foreign.collect())
}

/// Every node that any report lists, without slots.
fn nodes(reports: &[&Report]) -> BTreeMap<NodeId, Seen> {
    let mut entries: BTreeMap<&NodeId, Vec<&Told>> = BTreeMap::new();
    for report in reports {
        for (id, told) in report.nodes() {
            entries.entry(id).or_default().push(told);
        }
    }
    let seen = |(id, told): (&NodeId, Vec<&Told>)| {
        let seen = Seen {
            listed: told.len(),
            told: believed(&told),
        };
        (id.clone(), seen)
    };
    entries.into_iter().map(seen).collect()
}

/// What is believed of one node, of all that is said about it.
fn believed(entries: &[&Told]) -> Told {
    let own = entries.iter().find(|told| told.myself);
    let votes = |told: &Told| {
        let same = |other: &&&Told| (other.role, &other.master) == (told.role, &told.master);
        entries.iter().filter(same).count()
    };
    let of_most = entries.iter().rev();
    let of_most = of_most.max_by_key(|told| (votes(told), told.epoch));
    let Some(base) = own.or(of_most) else {
        return Told::new(Role::Replica);
    };
    let mut told = Told::clone(base);
    told.slots = Slots::default();
    told.epoch = entries.iter().map(|told| told.epoch).max().unwrap_or(0);
    if own.is_none() {
        told.health = health(entries);
    }
    let first = || own.into_iter().chain(entries);
    told.addr = first().find_map(|told| told.addr.clone());
    told.shard = first().find_map(|told| told.shard.clone());
    told.kin = first().find_map(|told| told.kin.clone());
    let offsets = || entries.iter().filter_map(|told| told.offset);
    told.offset = told.offset.filter(|_| own.is_some()).or(offsets().max());
    told
}

/// How a node is that did not answer.
fn health(entries: &[&Told]) -> Health {
    let count = |health| entries.iter().filter(|told| told.health == health).count();
    let most = entries.len() / 2;
    if count(Health::Failed) > most {
        Health::Failed
    } else if count(Health::Failed) > 0 || count(Health::Suspect) > 0 {
        Health::Suspect
    } else if count(Health::Loading) > most {
        Health::Loading
    } else {
        Health::Online
    }
}

/// Gives every slot to one of those who claim it.
fn own_slots(
    reports: &[&Report],
    nodes: &mut BTreeMap<NodeId, Seen>,
    complaints: &mut Vec<Complaint>,
) {
    let is_master = |id: &NodeId| nodes.get(id).is_some_and(|n| n.told.role == Role::Master);
    let mut owners: Claims<'_> = vec![None; usize::from(SLOTS)];
    for report in reports {
        let masters = report.nodes().iter().filter(|(id, _)| is_master(id));
        for (id, told) in masters {
            for slot in told.slots.iter() {
                if let Some(owner) = owners.get_mut(usize::from(slot.number()))
                    && owner.is_none_or(|(epoch, other)| (epoch, id) < (told.epoch, other))
                {
                    *owner = Some((told.epoch, id));
                }
            }
        }
    }
    complaints.extend(claimed_twice(reports, &owners));
    let mut of_node: BTreeMap<&NodeId, Vec<Slot>> = BTreeMap::new();
    for (number, owner) in (0..SLOTS).zip(&owners) {
        if let Some((slot, (_, id))) = Slot::new(number).zip(*owner) {
            of_node.entry(id).or_default().push(slot);
        }
    }
    for (id, slots) in of_node {
        if let Some(seen) = nodes.get_mut(id) {
            seen.told.slots = slots.into_iter().collect();
        }
    }
}

/// Takes what masters that did not answer had said of slots on their way from the map before: a few
/// are asked at a time. Of slots that have arrived since nothing is kept.
fn keep_moves(nodes: &mut BTreeMap<NodeId, Seen>, previous: Option<&Topology>) {
    for group in previous.map_or(&[][..], Topology::groups) {
        let seen = group.master().and_then(|master| nodes.get_mut(&master.id));
        let Some(Seen { told, .. }) = seen else {
            continue;
        };
        if told.myself || told.role != Role::Master {
            continue;
        }
        let kept = |moves: &[(Slot, NodeId)], owned: bool| {
            let here = |(slot, _): &&(Slot, NodeId)| told.slots.contains(*slot) == owned;
            moves.iter().filter(here).cloned().collect()
        };
        let (migrating, importing) = (kept(&group.migrating, true), kept(&group.importing, false));
        (told.migrating, told.importing) = (migrating, importing);
    }
}

/// Claims that are no mere delay: a master's own, or two in one report.
fn claimed_twice(reports: &[&Report], owners: &Claims<'_>) -> Vec<Complaint> {
    let mut contested: BTreeMap<(&NodeId, &NodeId), BTreeSet<Slot>> = BTreeMap::new();
    for report in reports {
        for (id, told) in report.nodes() {
            for slot in told.slots.iter() {
                let owner = owners.get(usize::from(slot.number())).copied().flatten();
                let Some((_, owner)) = owner.filter(|(_, owner)| *owner != id) else {
                    continue;
                };
                let theirs = report.nodes().get(owner);
                let too = theirs.is_some_and(|theirs| theirs.slots.contains(slot));
                if (told.myself || too) && contested.len() < COMPLAINTS_MAX {
                    contested.entry((owner, id)).or_default().insert(slot);
                }
            }
        }
    }
    let complaint =
        |((kept, lost), slots): ((&NodeId, &NodeId), BTreeSet<Slot>)| Complaint::SlotsTwice {
            slots: slots.into_iter().collect(),
            kept: kept.clone(),
            lost: lost.clone(),
        };
    contested.into_iter().map(complaint).collect()
}

fn same_addresses(nodes: &BTreeMap<NodeId, Seen>, complaints: &mut Vec<Complaint>) {
    let mut at = BTreeMap::new();
    for (id, seen) in nodes {
        // A node that failed may have left its address to a new one.
        let Some(addr) = seen.told.addr.as_ref() else {
            continue;
        };
        if seen.told.health == Health::Failed {
            continue;
        }
        if let Some(first) = at.insert(addr, id) {
            complaints.push(Complaint::SameAddress {
                addr: addr.clone(),
                first: NodeId::clone(first),
                second: id.clone(),
            });
        }
    }
}

/// The slots that none of the sets has.
fn uncovered<'a>(sets: impl Iterator<Item = &'a Slots>) -> Slots {
    let mut covered = vec![false; usize::from(SLOTS)];
    for slot in sets.flat_map(Slots::iter) {
        if let Some(covered) = covered.get_mut(usize::from(slot.number())) {
            *covered = true;
        }
    }
    let open = (0..SLOTS).zip(covered).filter(|(_, covered)| !covered);
    open.filter_map(|(number, _)| Slot::new(number)).collect()
}

#[cfg(test)]
mod tests;
