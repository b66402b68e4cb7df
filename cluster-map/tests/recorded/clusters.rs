//! Clusters.

use cluster_map::{
    Addr, Follow, Group, Health, Link, LinkState, Policy, Report, Role, Slot, Topology, Value,
    nodes_text, plan, shards, slots_reply,
};

use crate::SERVERS;
use crate::answers::{Answers, asked};

fn report(answers: &Answers, name: &str) -> Report {
    let nodes = answers.get(&format!("{name}.nodes"));
    let mut report = nodes_text::parse(nodes, &asked()).unwrap();
    if let Some(more) = answers.find(&format!("{name}.shards")) {
        report.complement(&shards::parse(more, &asked()).unwrap());
    } else if let Some(more) = answers.find(&format!("{name}.slots")) {
        report.complement(&slots_reply::parse(more, &asked()).unwrap());
    }
    report
}

fn steady(answers: &Answers) -> Topology {
    let reports: Vec<_> = (0..5)
        .map(|n| report(answers, &format!("steady{n}")))
        .collect();
    Topology::of_cluster(&reports, None)
}

fn owner(map: &Topology, slot: u16) -> &Group {
    map.owner(Slot::new(slot).unwrap()).unwrap()
}

fn port(addr: Option<&Addr>) -> u16 {
    addr.map_or(0, |addr| addr.port % 100)
}

/// `master:replica...`, by the last digit of their ports, which is their order of creation.
fn shape(group: &Group) -> String {
    let nodes = group.nodes.iter();
    let words = nodes.map(|node| (port(node.addr.as_ref()) % 10).to_string());
    words.collect::<Vec<_>>().join(":")
}

#[test]
fn a_steady_cluster_is_three_groups() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let map = steady(&answers);
        assert_eq!(map.complaints(), [], "{server}");
        assert!(map.is_complete(), "{server}");
        assert_eq!(map.groups().len(), 3, "{server}");
        for (slot, expected, slots) in [
            (0, "0:3", "0-5460"),
            (5461, "1:4", "5461-10922"),
            (16_383, "2", "10923-16383"),
        ] {
            let group = owner(&map, slot);
            assert_eq!(shape(group), expected, "{server}");
            assert_eq!(group.slots.to_string(), slots, "{server}");
            assert!(
                group
                    .master()
                    .is_some_and(|node| node.health == Health::Online)
            );
        }
        let (from, to) = (owner(&map, 0), owner(&map, 5461));
        let slot = Slot::new(93).unwrap();
        assert_eq!(from.migrating, [(slot, to.nodes[0].id.clone())], "{server}");
        assert_eq!(to.importing, [(slot, from.nodes[0].id.clone())], "{server}");
        assert!(from.replicas().all(|node| node.role == Role::Replica));
    }
}

#[test]
fn every_node_tells_the_same_map() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let whole = steady(&answers);
        for node in 0..5 {
            let one = Topology::of_cluster(&[report(&answers, &format!("steady{node}"))], None);
            let shapes = |map: &Topology| {
                let groups = map.groups().iter();
                groups
                    .map(|group| (shape(group), group.slots.clone()))
                    .collect::<Vec<_>>()
            };
            let mut shapes = [shapes(&whole), shapes(&one)];
            shapes
                .iter_mut()
                .for_each(|shapes| shapes.sort_by_key(|(shape, _)| shape.clone()));
            assert_eq!(shapes[0], shapes[1], "{server} {node}");
        }
    }
}

#[test]
fn both_protocols_say_the_same() {
    for server in SERVERS {
        let answers = Answers::of(server);
        for name in [
            "steady0",
            "failing1",
            "failedover1",
            "ipv6",
            "unknown",
            "nameless",
            "lone",
        ] {
            let name = format!("{name}.shards");
            let Some((two, three)) = answers.find(&name).zip(answers.resp3(&name)) else {
                assert_eq!(server, "redis-6.0", "{name}");
                continue;
            };
            assert!(
                matches!(three.as_list(), Some([Value::Map(_), ..])),
                "{server}"
            );
            let [two, three] = [two, three].map(|reply| shards::parse(reply, &asked()));
            assert!(two.is_ok(), "{server} {name}");
            assert_eq!(two, three, "{server} {name}");
        }
    }
}

#[test]
fn a_master_that_some_cannot_reach_is_suspect_and_keeps_its_slots() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let map = Topology::of_cluster(&[report(&answers, "failing1")], Some(&steady(&answers)));
        let group = owner(&map, 0);
        assert_eq!(shape(group), "0:3", "{server}");
        assert!(group.nodes[0].health >= Health::Suspect, "{server}");
    }
}

#[test]
fn a_failover_moves_one_link_and_no_group() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let before = steady(&answers);
        let reports: Vec<_> = (1..5)
            .map(|n| report(&answers, &format!("failedover{n}")))
            .collect();
        let after = Topology::of_cluster(&reports, Some(&before));
        assert_eq!(after.complaints(), [], "{server}");
        let ids = |map: &Topology| {
            let groups = map.groups().iter();
            groups.map(|group| group.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&before), ids(&after), "{server}");
        let group = owner(&after, 0);
        assert_eq!(shape(group), "3:0", "{server}");
        assert_eq!(group.nodes[1].health, Health::Failed, "{server}");

        let opened = plan(&before, &[], &Policy::default());
        assert_eq!(opened.actions.len(), 3, "{server}");
        let links: Vec<Link> = before
            .groups()
            .iter()
            .zip(0..)
            .map(|(group, id)| {
                let node = group.master().unwrap();
                let link = Link::open(id, group, &node.id, node.addr.as_ref().unwrap());
                Link {
                    state: LinkState::Live,
                    ..link
                }
            })
            .collect();
        for (follow, moves) in [(Follow::Master, 1), (Follow::Local, 0)] {
            let policy = Policy {
                follow,
                ..Policy::default()
            };
            let made = plan(&after, &links, &policy);
            assert_eq!(made.actions.len(), moves, "{server} {:?}", made.actions);
        }
    }
}

/// Instances that start before and after a failover name the groups alike, where the servers say
/// which nodes are of one shard: all but Redis before 7.2.
#[test]
fn ids_of_groups_are_the_same_to_those_who_come_later() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let before = steady(&answers);
        let after = Topology::of_cluster(&[report(&answers, "failedover1")], None);
        if matches!(server, "redis-6.0" | "redis-7.0") {
            assert_eq!(after.groups().len(), 4, "{server}: the lost one is alone");
            continue;
        }
        assert_eq!(owner(&before, 0).id, owner(&after, 0).id, "{server}");
        assert_eq!(shape(owner(&after, 0)), "3:0", "{server}");
    }
}

#[test]
fn valkey_tells_the_ids_of_its_shards() {
    let answers = Answers::of("valkey-9.1");
    let mine = answers.get("steady0.myshardid").as_str().unwrap();
    assert_eq!(&*owner(&steady(&answers), 0).id, mine);
}

#[test]
fn endpoints_are_names_or_the_dialled_host_or_addresses() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let hosts = |name: &str, of: &str| {
            let mut map = nodes_text::parse(answers.get("ipv6.nodes"), &asked()).unwrap();
            let reply = answers.get(&format!("{name}.{of}"));
            let more = match of {
                "slots" => slots_reply::parse(reply, &asked()),
                _ => shards::parse(reply, &asked()),
            };
            map.complement(&more.unwrap());
            let addrs = map.nodes().values().map(|told| told.addr.clone().unwrap());
            let mut hosts: Vec<String> = addrs.map(|addr| addr.host).collect();
            hosts.sort();
            hosts.dedup();
            hosts.join(" ")
        };
        if server == "redis-6.0" {
            assert_eq!(hosts("ipv6", "slots"), "::1");
            continue;
        }
        for (name, expected) in [
            ("ipv6", "node.example"),
            ("unknown", "seed.example"),
            ("nameless", "::1"),
        ] {
            assert_eq!(hosts(name, "shards"), expected, "{server} {name}");
        }
        // A young replica is not in CLUSTER SLOTS, and keeps the address that CLUSTER NODES has.
        assert!(hosts("ipv6", "slots").ends_with("node.example"), "{server}");
        assert!(
            hosts("unknown", "slots").ends_with("seed.example"),
            "{server}"
        );
        assert_eq!(hosts("nameless", "slots"), "::1", "{server}");
    }
}

#[test]
fn a_node_alone_is_where_it_was_dialled_and_owns_nothing() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let map = Topology::of_cluster(&[report(&answers, "lone")], None);
        let [group] = map.groups() else {
            panic!("{server}: {map:?}");
        };
        assert_eq!(
            group.nodes[0].addr.as_ref().unwrap().host,
            "seed.example",
            "{server}"
        );
        assert!(group.slots.is_empty());
        assert!(!map.is_complete());
        let off = nodes_text::parse(answers.get("off.nodes"), &asked()).unwrap_err();
        assert!(
            off.to_string().contains("cluster support disabled"),
            "{server}: {off}"
        );
    }
}
