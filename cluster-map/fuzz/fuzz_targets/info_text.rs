//! INFO replication to a map of one group.

#![no_main]

use cluster_map::{Addr, Asked, Topology, info_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(addr) = Addr::new("seed", 1) else {
        return;
    };
    if let Ok(group) = info_text::parse(bytes, &Asked { addr, tls: false }) {
        let map = Topology::of_info(group);
        let group = &map.groups()[0];
        assert!(group.nodes.iter().skip(1).all(|node| node.role != cluster_map::Role::Master));
    }
});
