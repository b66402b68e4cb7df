//! Failovers and the rest, as tables: a map and links in, actions out.

use super::*;
use crate::node::{Node, Role};
use crate::slots::Slots;

/// `id:role:health[:offset]`, role `m` or `r`; the address is `id:1`.
fn node(text: &str) -> Node {
    let mut words = text.split(':');
    let id = words.next().unwrap();
    let role = match words.next().unwrap() {
        "m" => Role::Master,
        _ => Role::Replica,
    };
    let health = match words.next().unwrap_or("online") {
        "failed" => Health::Failed,
        "suspect" => Health::Suspect,
        "loading" => Health::Loading,
        _ => Health::Online,
    };
    Node {
        id: id_of(id),
        addr: Some(addr(id)),
        role,
        health,
        offset: words.next().map(|offset| offset.parse().unwrap()),
    }
}

fn id_of(id: &str) -> NodeId {
    NodeId::new(id).unwrap()
}

fn addr(id: &str) -> Addr {
    Addr::new(id, 1).unwrap()
}

/// One group a line: `id nodes...`.
fn map(text: &str) -> Topology {
    let group = |line: &str| {
        let mut words = line.split_whitespace();
        Group {
            id: words.next().unwrap().into(),
            nodes: words.map(node).collect(),
            slots: Slots::default(),
            epoch: 1,
            migrating: Vec::new(),
            importing: Vec::new(),
        }
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Topology::build(lines.map(group).collect(), Vec::new(), true)
}

fn link(id: u32, topology: &Topology, group: &str, node: &str) -> Link {
    let group = topology.group(group).unwrap();
    Link {
        state: LinkState::Live,
        settled: SETTLED_MIN,
        ..Link::open(id, group, &id_of(node), &addr(node))
    }
}

/// What a plan does, a word for each action.
fn words(plan: &Plan) -> String {
    let word = |action: &Action| match action {
        Action::Open { group, node, .. } => format!("open {group} {node}"),
        Action::Move {
            link, node, why, ..
        } => format!("move {link} {node} {}", why.name()),
        Action::Regroup { link, group } => format!("regroup {link} {group}"),
        Action::Close { link, why } => format!("close {link} {}", why.name()),
    };
    plan.actions.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn follow(follow: Follow) -> Policy<'static> {
    Policy {
        follow,
        ..Policy::default()
    }
}

#[test]
fn an_unknown_deployment_is_opened_where_the_mode_says() {
    let map = map("a m1:m r1:r\nb m2:m r2:r:online:9 r3:r:online:12");
    for (mode, expected) in [
        (Follow::Master, "open a m1, open b m2"),
        (Follow::Replica, "open a r1, open b r3"),
        (Follow::PreferReplica, "open a r1, open b r3"),
        (Follow::Local, ""),
    ] {
        assert_eq!(words(&plan(&map, &[], &follow(mode))), expected, "{mode:?}");
    }
}

#[test]
fn a_failover_moves_the_link_to_the_new_master() {
    let before = map("a m1:m r1:r");
    let links = [link(7, &before, "a", "m1")];
    let after = map("a r1:m m1:r:failed");
    let policy = follow(Follow::Master);
    let made = plan(&after, &links, &policy);
    assert_eq!(words(&made), "move 7 r1 promoted");
    let links = [made.next(&links[0], &after).unwrap()];
    assert_eq!(words(&plan(&after, &links, &policy)), "");
}
