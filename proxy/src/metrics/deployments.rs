//! Clusters and Sentinel's masters: nodes, maps and slots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster_map::Slot;

use super::keyspace::Sample;
use super::text::{Kind, Text, seconds};
use crate::admin::roster::{self, Standing};
use crate::fleet::{Fleet, Kind as DeploymentKind, Reach};
use crate::model::ask::SlotTotal;

/// Slots that have series: the largest of each cluster.
const SLOTS_SHOWN: usize = 10;

/// What is known of one deployment at the scrape.
pub(super) struct Found {
    cluster: Arc<str>,
    unowned: usize,
    covered: usize,
    complaints: usize,
    refreshed_ms: u64,
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    role: &'static str,
    standing: Standing,
    /// `None` if nobody asked it yet.
    reachable: Option<bool>,
}

impl Found {
    /// Every deployment that discovery works for.
    pub(super) fn of(fleet: &Fleet) -> Vec<Found> {
        let entries = roster::entries(fleet);
        let deployments = fleet.deployments().into_iter();
        let found = deployments.filter(|d| d.kind != DeploymentKind::Standalone);
        found
            .map(|deployment| {
                let view = deployment.view();
                let map = view.topology.as_ref();
                let own = entries.iter();
                let own = own.filter(|e| e.deployment.source == deployment.source);
                Found {
                    cluster: deployment.label.clone(),
                    unowned: view.unowned,
                    covered: map.map_or(0, |map| map.covered()),
                    complaints: map.map_or(0, |map| map.complaints().len()),
                    refreshed_ms: view.refreshed_ms,
                    nodes: own.map(Node::of).collect(),
                }
            })
            .collect()
    }
}

impl Node {
    fn of(entry: &roster::Entry) -> Node {
        Node {
            name: entry.place(),
            role: entry.role,
            standing: entry.standing(),
            reachable: match entry.reach {
                Reach::Unknown => None,
                Reach::Answered => Some(true),
                Reach::Failed(_) => Some(false),
            },
        }
    }
}

pub(super) fn write(samples: &[Sample], found: &[Found], text: &mut Text) {
    for (name, help, value) in FIGURES {
        let mut family = text.family(name, Kind::Gauge, help);
        for one in found {
            family.put(&[("cluster", &one.cluster)], value(one));
        }
    }
    nodes(found, text);
    strays(samples, text);
    slots(samples, text);
}

type Figure = (&'static str, &'static str, fn(&Found) -> f64);

/// Families with one series per deployment.
const FIGURES: &[Figure] = &[
    (
        "keyscape_unowned_masters",
        "Masters that another instance is to follow.",
        |found| count(found.unowned),
    ),
    (
        "keyscape_slots_covered",
        "Slots that have an owner.",
        |found| count(found.covered),
    ),
    (
        "keyscape_map_complaints",
        "What is wrong with the last map.",
        |found| count(found.complaints),
    ),
    (
        "keyscape_map_timestamp_seconds",
        "When a node last told the map; 0 if none ever did.",
        |found| seconds(found.refreshed_ms),
    ),
];

fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn nodes(found: &[Found], text: &mut Text) {
    let mut family = text.family(
        "keyscape_nodes",
        Kind::Gauge,
        "Nodes by what they are to this instance.",
    );
    for one in found {
        for standing in Standing::ALL {
            let nodes = one.nodes.iter().filter(|node| node.standing == standing);
            let labels = [("cluster", &*one.cluster), ("state", standing.name())];
            family.put(&labels, nodes.count());
        }
    }
    let mut family = text.family(
        "keyscape_node_reachable",
        Kind::Gauge,
        "1 if the node answered when it was last asked, 0 if not.",
    );
    for one in found {
        for node in &one.nodes {
            if let Some(reachable) = node.reachable {
                let labels = [
                    ("cluster", &*one.cluster),
                    ("node", node.name.as_str()),
                    ("role", node.role),
                ];
                family.put(&labels, u8::from(reachable));
            }
        }
    }
}

fn strays(samples: &[Sample], text: &mut Text) {
    let mut family = text.family(
        "keyscape_stray_keys",
        Kind::Gauge,
        "Keys in slots of another master: moving, or orphaned.",
    );
    for sample in samples.iter().filter(|sample| !sample.own.is_empty()) {
        let own = |slot| Slot::new(slot).is_some_and(|slot| sample.own.contains(slot));
        let strays = sample
            .slots
            .iter()
            .flatten()
            .filter(|total| !own(total.slot));
        let keys: u64 = strays.map(|total| total.keys).sum();
        family.put_of(&sample.labels, &[], keys);
    }
}

/// Slots by bytes, number, and index of their sample.
type Largest = BTreeSet<(Reverse<u64>, u16, usize)>;

/// The largest slots of each cluster, by bytes.
fn slots(samples: &[Sample], text: &mut Text) {
    type Value = fn(&SlotTotal) -> u64;
    // The largest so far of each cluster, the smallest of them first to go.
    let mut largest: BTreeMap<&str, Largest> = BTreeMap::new();
    for (index, sample) in samples.iter().enumerate() {
        let own = largest.entry(&*sample.cluster).or_default();
        for total in sample.slots.iter().flatten() {
            own.insert((Reverse(total.memory), total.slot, index));
            if own.len() > SLOTS_SHOWN {
                own.pop_last();
            }
        }
    }
    let shown = largest.values().flatten().filter_map(|(_, slot, index)| {
        let sample = samples.get(*index)?;
        let total = sample
            .slots
            .iter()
            .flatten()
            .find(|total| total.slot == *slot)?;
        Some((sample, total))
    });
    let shown: Vec<(&Sample, &SlotTotal)> = shown.collect();
    let families: [(&str, &str, Value); 2] = [
        (
            "keyscape_slot_keys",
            "Keys of the slots with most bytes.",
            |total| total.keys,
        ),
        (
            "keyscape_slot_memory_bytes",
            "Bytes of the slots with most bytes.",
            |total| total.memory,
        ),
    ];
    for (name, help, value) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for (sample, total) in &shown {
            let slot = total.slot.to_string();
            family.put_of(&sample.labels, &[("slot", &slot)], value(total));
        }
    }
}
