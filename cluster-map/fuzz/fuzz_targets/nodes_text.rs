//! Texts of CLUSTER NODES of up to four nodes, separated by NUL, to one map, and a plan for it; then
//! the same once more with that map as the one before.

#![no_main]

use cluster_map::{Addr, Asked, Link, Policy, Topology, nodes_text, plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let texts = bytes.split(|byte| *byte == 0).take(4);
    let reports = texts.zip(1..).filter_map(|(text, port)| {
        let addr = Addr::new("seed", port)?;
        nodes_text::parse_text(text, &Asked { addr, tls: false }).ok()
    });
    let reports: Vec<_> = reports.collect();
    let first = Topology::of_cluster(&reports, None);
    let again = Topology::of_cluster(&reports, Some(&first));
    for map in [&first, &again] {
        check(map);
    }
});

/// The invariants of a map, and a plan that leaves nothing to do.
fn check(map: &Topology) {
    let slots: usize = map.owners().map(|(a, b, _)| usize::from(b.number() - a.number()) + 1).sum();
    assert!(slots <= 16_384 && slots == map.covered());
    let mut nodes: Vec<_> = map.groups().iter().flat_map(|group| &group.nodes).collect();
    let count = nodes.len();
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    nodes.dedup_by(|a, b| a.id == b.id);
    assert_eq!(nodes.len(), count, "a node is in one group");
    let mut ids: Vec<_> = map.groups().iter().map(|group| &group.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), map.groups().len(), "ids are unique and in order");
    let policy = Policy::default();
    let links: Vec<Link> = map
        .groups()
        .iter()
        .zip(0..)
        .filter_map(|(group, id)| {
            let node = group.master()?;
            Some(Link::open(id, group, &node.id, node.addr.as_ref()?))
        })
        .collect();
    assert!(plan(map, &links, &policy).actions.is_empty());
}
