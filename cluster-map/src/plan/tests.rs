//! Failovers and the rest, as tables: a map and links in, actions out.

mod any;

use super::*;
use crate::node::{Node, Role};
use crate::slots::Slots;

/// `id:role:health[:offset]`, role `m` or `r`; the address is `id:1`, none for the health `lost`.
fn node(text: &str) -> Node {
    let mut words = text.split(':');
    let id = words.next().unwrap();
    let role = match words.next().unwrap() {
        "m" => Role::Master,
        _ => Role::Replica,
    };
    let health = words.next().unwrap_or("");
    Node {
        id: id_of(id),
        addr: Some(addr(id)).filter(|_| health != "lost"),
        role,
        flagged: role,
        health: match health {
            "failed" => Health::Failed,
            "suspect" => Health::Suspect,
            "loading" => Health::Loading,
            _ => Health::Online,
        },
        offset: words.next().map(|offset| offset.parse().unwrap()),
    }
}

fn id_of(id: &str) -> NodeId {
    NodeId::new(id).unwrap()
}

fn addr(id: &str) -> Addr {
    Addr::new(id, 1).unwrap()
}

/// Groups, separated by `;`: `id nodes...`.
fn map(text: &str) -> Topology {
    build(text, true)
}

fn build(text: &str, complete: bool) -> Topology {
    let group = |words: &str| {
        let mut words = words.split_whitespace();
        Group {
            id: words.next().unwrap().into(),
            nodes: words.map(node).collect(),
            slots: Slots::default(),
            epoch: 1,
            migrating: Vec::new(),
            importing: Vec::new(),
        }
    };
    let groups = text.split(';').filter(|group| !group.trim().is_empty());
    Topology::build(groups.map(group).collect(), Vec::new(), complete)
}

/// A settled, live link number 7, by the group of a map and the node.
fn link(topology: &Topology, group: &str, node: &str) -> Link {
    let group = topology.group(group).unwrap();
    Link {
        state: LinkState::Live,
        settled: SETTLED_MIN,
        ..Link::open(7, group, &id_of(node), &addr(node))
    }
}

/// What a plan does, a few words for each action.
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

const MODES: [Follow; 3] = [Follow::Master, Follow::Replica, Follow::PreferReplica];

#[test]
fn an_unknown_deployment_is_opened_where_the_mode_says() {
    for (nodes, master, replica, prefer) in [
        ("m:m r:r", "m", "r", "r"),
        ("m:m r:r::9 s:r::12", "m", "s", "s"),
        ("m:m r:r:suspect s:r::1", "m", "s", "s"),
        ("m:m r:r:loading", "m", "", "m"),
        ("m:m r:r::0", "m", "", "m"),
        ("m:m r:r:suspect", "m", "r", "m"),
        ("m:m r:r:failed", "m", "", "m"),
        ("m:m r:r:lost", "m", "", "m"),
        ("m:m", "m", "", "m"),
        ("m:m:suspect r:r", "m", "r", "r"),
        ("m:m:failed r:r", "", "r", "r"),
        ("m:m:failed r:r:failed", "", "", ""),
        ("m:m:lost", "", "", ""),
        ("r:r", "", "r", "r"),
    ] {
        let map = map(&format!("g {nodes}"));
        for (mode, node) in MODES.into_iter().zip([master, replica, prefer]) {
            let expected = if node.is_empty() {
                String::new()
            } else {
                format!("open g {node}")
            };
            assert_eq!(
                words(&plan(&map, &[], &follow(mode))),
                expected,
                "{nodes} {mode:?}"
            );
        }
    }
}

/// The link is on `on` while the map was `before`; then it is `after`.
#[allow(clippy::too_many_lines, reason = "a table is as long as what it lists")]
#[test]
fn a_link_is_where_it_should_be_after_each_event() {
    use Follow::{Master, PreferReplica, Replica};
    let all: &[Follow] = &MODES;
    for (event, before, on, after, modes, expected) in [
        (
            "failover",
            "m:m r:r",
            "m",
            "r:m m:r:failed",
            &[Master][..],
            "move 7 r promoted",
        ),
        (
            "failover, without the old one",
            "m:m r:r",
            "m",
            "r:m",
            &[Master],
            "move 7 r promoted",
        ),
        (
            "failover beside a followed replica",
            "m:m r:r s:r",
            "s",
            "r:m s:r m:r:failed",
            &[Replica, PreferReplica],
            "",
        ),
        (
            "promotion of the followed one",
            "m:m r:r",
            "r",
            "r:m m:r:failed",
            all,
            "",
        ),
        (
            "promotion, with another replica",
            "m:m r:r s:r",
            "r",
            "r:m s:r m:r:failed",
            &[Replica, PreferReplica],
            "move 7 s preferred",
        ),
        (
            "demotion",
            "m:m r:r",
            "m",
            "r:m m:r",
            &[Master],
            "move 7 r promoted",
        ),
        (
            "demotion suits",
            "m:m r:r",
            "m",
            "r:m m:r",
            &[Replica, PreferReplica],
            "",
        ),
        (
            "a replica appears",
            "m:m",
            "m",
            "m:m r:r",
            &[Replica, PreferReplica],
            "move 7 r preferred",
        ),
        (
            "a replica appears to the mode master",
            "m:m",
            "m",
            "m:m r:r",
            &[Master],
            "",
        ),
        ("a replica loads", "m:m", "m", "m:m r:r:loading", all, ""),
        (
            "the followed replica fails",
            "m:m r:r s:r",
            "r",
            "m:m r:r:failed s:r",
            &[Replica, PreferReplica],
            "move 7 s lost",
        ),
        (
            "the only replica fails",
            "m:m r:r",
            "r",
            "m:m r:r:failed",
            &[PreferReplica],
            "move 7 m lost",
        ),
        (
            "the only replica fails, no master wanted",
            "m:m r:r",
            "r",
            "m:m r:r:failed",
            &[Replica],
            "",
        ),
        (
            "the followed replica is suspect",
            "m:m r:r s:r",
            "r",
            "m:m r:r:suspect s:r",
            &[Replica, PreferReplica],
            "",
        ),
        (
            "the followed replica leaves",
            "m:m r:r s:r",
            "r",
            "m:m s:r",
            &[Replica, PreferReplica],
            "move 7 s lost",
        ),
        (
            "the master fails, no heir",
            "m:m r:r",
            "m",
            "m:m:failed r:r",
            &[Master],
            "",
        ),
        ("all fail", "m:m r:r", "m", "m:m:failed r:r:failed", all, ""),
        (
            "all fail, on a replica",
            "m:m r:r",
            "r",
            "m:m:failed r:r:failed",
            &[Replica, PreferReplica],
            "",
        ),
        ("headless", "m:m r:r", "m", "r:r", &[Master], ""),
        ("a replica is added", "m:m", "m", "m:m r:r", &[Master], ""),
        ("the address is lost", "m:m", "m", "m:m:lost", all, ""),
        (
            "the heir has failed too",
            "m:m r:r",
            "m",
            "r:m:failed m:r:failed",
            &[Master],
            "",
        ),
    ] {
        let before = map(&format!("g {before}"));
        let after = map(&format!("g {after}"));
        for mode in modes {
            let links = [link(&before, "g", on)];
            let made = plan(&after, &links, &follow(*mode));
            assert_eq!(words(&made), expected, "{event}, {mode:?}");
        }
    }
}

#[test]
fn a_node_that_moves_house_is_followed_there() {
    let map = map("g m:m r:r");
    for (mode, node) in MODES.into_iter().zip(["m", "r", "r"]) {
        let mut link = link(&map, "g", node);
        link.addr = addr("old");
        let made = plan(&map, &[link.clone()], &follow(mode));
        assert_eq!(words(&made), format!("move 7 {node} address"));
        let next = made.next(&link, &map).unwrap();
        assert_eq!((next.addr, next.settled), (addr(node), 0));
    }
}

#[test]
fn a_flapping_replica_moves_nothing_twice_in_three_maps() {
    let [up, down] = [map("g m:m r:r"), map("g m:m r:r:failed")];
    let policy = follow(Follow::PreferReplica);
    let mut current = link(&up, "g", "r");
    let mut moves = 0;
    for round in 0..30 {
        let topology = if round % 2 == 0 { &down } else { &up };
        let made = plan(topology, std::slice::from_ref(&current), &policy);
        moves += made.actions.len();
        current = made.next(&current, topology).unwrap();
    }
    assert!((1..=15).contains(&moves), "{moves} moves in 30 maps");
    // One that stays moves the link back, once it has stayed.
    let mut maps = 0;
    while current.node != id_of("r") {
        let made = plan(&up, std::slice::from_ref(&current), &policy);
        current = made.next(&current, &up).unwrap();
        maps += 1;
    }
    assert!(maps <= SETTLED_MIN + 1, "{maps}");
}

#[test]
fn a_link_is_not_moved_to_a_replica_far_behind_it() {
    let far = BEHIND_BYTES_MAX + 1_000;
    for (ours, theirs, expected) in [
        (Some(far), "999", ""),
        (Some(far), "1000", "move 7 r preferred"),
        (Some(1), "999", "move 7 r preferred"),
        (None, "1", "move 7 r preferred"),
    ] {
        let map = map(&format!("g m:m r:r::{theirs}"));
        let link = Link {
            offset: ours,
            ..link(&map, "g", "m")
        };
        let made = plan(&map, &[link], &follow(Follow::PreferReplica));
        assert_eq!(words(&made), expected, "{ours:?} {theirs}");
    }
}

#[test]
fn nodes_that_cannot_be_reached_come_last() {
    let map = map("g m:m r:r::9 s:r::1");
    for (avoid, state, on, replica, prefer) in [
        (
            &["r"][..],
            LinkState::Down,
            "r",
            "move 7 s lost",
            "move 7 s lost",
        ),
        (&["r"], LinkState::Live, "r", "", ""),
        (&["r", "s"], LinkState::Down, "r", "", "move 7 m lost"),
        (&["r", "s"], LinkState::Live, "m", "", ""),
        (&["r", "s", "m"], LinkState::Down, "r", "", ""),
        (
            &["r"],
            LinkState::Live,
            "m",
            "move 7 s preferred",
            "move 7 s preferred",
        ),
        (&[], LinkState::Down, "r", "", ""),
        (&["r"], LinkState::Down, "", "open g s", "open g s"),
        (&["r", "s"], LinkState::Down, "", "open g r", "open g m"),
    ] {
        let avoid: Vec<_> = avoid.iter().map(|id| id_of(id)).collect();
        let expected = [(Follow::Replica, replica), (Follow::PreferReplica, prefer)];
        for (mode, expected) in expected {
            let links: Vec<_> = Some(on)
                .filter(|on| !on.is_empty())
                .map(|on| Link {
                    state,
                    ..link(&map, "g", on)
                })
                .into_iter()
                .collect();
            let policy = Policy {
                avoid: &avoid,
                ..follow(mode)
            };
            let made = plan(&map, &links, &policy);
            assert_eq!(words(&made), expected, "{avoid:?} {state:?} {on} {mode:?}");
        }
    }
    // The mode master has no choice.
    let policy = Policy {
        avoid: &[id_of("m")],
        ..follow(Follow::Master)
    };
    assert_eq!(words(&plan(&map, &[], &policy)), "open g m");
}

#[test]
fn groups_come_and_go() {
    let one = map("a m:m r:r");
    let two = map("a m:m r:r; b n:m");
    let policy = Policy::default();
    let mut links = vec![link(&one, "a", "m")];
    let made = plan(&two, &links, &policy);
    assert_eq!(words(&made), "open b n");
    links.push(Link {
        id: 8,
        ..link(&two, "b", "n")
    });
    assert_eq!(words(&plan(&two, &links, &policy)), "");
    // Gone twice, back, gone three times, and then for long enough.
    for (topology, overdue, expected) in [
        (&one, true, ""),
        (&one, true, ""),
        (&two, false, ""),
        (&one, true, ""),
        (&one, true, ""),
        (&one, false, ""),
        (&one, true, "close 8 gone"),
    ] {
        links[1].overdue = overdue;
        let made = plan(topology, &links, &policy);
        assert_eq!(words(&made), expected);
        assert_eq!(
            made.missing,
            if topology == &one { vec![8] } else { vec![] }
        );
        links = links
            .iter()
            .filter_map(|link| made.next(link, topology))
            .collect();
    }
    assert_eq!(links.len(), 1);
}

#[test]
fn nothing_is_closed_for_an_incomplete_map() {
    let whole = map("a m:m; b n:m");
    let half = build("a m:m", false);
    let mut links = vec![link(&whole, "b", "n")];
    for _ in 0..10 {
        let made = plan(&half, &links, &Policy::default());
        assert_eq!(words(&made), "open a m");
        assert_eq!(made.missing, []);
        links = links
            .iter()
            .filter_map(|link| made.next(link, &half))
            .collect();
    }
    assert_eq!(links[0].missing, 0);
    assert_eq!(
        words(&plan(&build("", false), &links, &Policy::default())),
        ""
    );
}

#[test]
fn a_group_that_is_called_otherwise_keeps_its_link() {
    let before = map("old m:m r:r s:r");
    for (after, expected) in [
        ("new m:m r:r", "regroup 7 new"),
        ("new r:m s:r", "regroup 7 new, move 7 r promoted"),
        ("new x:m y:r", "open new x"),
        ("new x:m s:r", "open new x"),
    ] {
        let after = map(after);
        let links = [link(&before, "old", "m")];
        let made = plan(&after, &links, &Policy::default());
        assert_eq!(words(&made), expected);
        if expected.starts_with("regroup") {
            let next = made.next(&links[0], &after).unwrap();
            assert_eq!(&*next.group, "new");
            assert_eq!(next.members.len(), 2);
            assert_eq!(words(&plan(&after, &[next], &Policy::default())), "");
        }
    }
    // Not if the group has a link: all slots went there.
    let after = map("b n:m m:r");
    let links = [
        link(&before, "old", "m"),
        Link {
            id: 8,
            ..link(&after, "b", "n")
        },
    ];
    let made = plan(&after, &links, &Policy::default());
    assert_eq!((words(&made).as_str(), &made.missing[..]), ("", &[7][..]));
    // That is seen, and not only missed: it is not waited for any longer.
    let mut links = links;
    links[0].missing = MISSING_MAX - 1;
    let made = plan(&after, &links, &Policy::default());
    assert_eq!(words(&made), "close 7 gone");
}

#[test]
fn of_two_links_the_live_one_stays() {
    let map = map("a m:m");
    let down = Link {
        id: 1,
        state: LinkState::Down,
        ..link(&map, "a", "m")
    };
    let live = Link {
        id: 2,
        ..link(&map, "a", "m")
    };
    let made = plan(&map, &[down.clone(), live.clone()], &Policy::default());
    assert_eq!(words(&made), "close 1 duplicate");
    let twin = Link {
        id: 1,
        ..live.clone()
    };
    let made = plan(&map, &[live, twin], &Policy::default());
    assert_eq!(words(&made), "close 2 duplicate");
}

#[test]
fn the_local_node_is_followed_whatever_it_is() {
    let before = map("a m:m r:r; b n:m s:r");
    let local = [addr("r")];
    let policy = Policy {
        local: &local,
        ..follow(Follow::Local)
    };
    assert_eq!(words(&plan(&before, &[], &policy)), "open a r");
    let links = [link(&before, "a", "r")];
    for after in [
        "a r:m m:r:failed; b n:m s:r",
        "a m:m r:r:failed; b n:m s:r",
        "a m:m r:r:loading:0; b n:m s:r",
        "a m:m; b n:m s:r",
    ] {
        assert_eq!(words(&plan(&map(after), &links, &policy)), "", "{after}");
    }
    let made = plan(&before, &links, &policy);
    let why = |id: &str| {
        made.not_followed
            .iter()
            .find(|(node, _)| node.as_str() == id)
    };
    assert_eq!(why("m"), Some(&(id_of("m"), Why::NotLocal)));
    assert_eq!(why("n"), Some(&(id_of("n"), Why::NotLocal)));
    assert_eq!(why("r"), None);
}

/// A host with several nodes of one group, as on a developer's machine: a failover among them
/// moves nothing.
#[test]
fn of_several_local_nodes_the_linked_one_is_kept() {
    let local = [addr("m"), addr("r")];
    let policy = Policy {
        local: &local,
        ..follow(Follow::Local)
    };
    let links = [link(&map("a m:m r:r"), "a", "m")];
    assert_eq!(words(&plan(&map("a r:m m:r"), &links, &policy)), "");
}

#[test]
fn our_own_address_is_never_followed() {
    let map = map("a m:m r:r s:r");
    for (own, expected) in [
        ("m", ["", "open a r", "open a r"]),
        ("r", ["open a m", "open a s", "open a s"]),
    ] {
        let addrs = [addr(own)];
        for (mode, expected) in MODES.into_iter().zip(expected) {
            let policy = Policy {
                own: &addrs,
                ..follow(mode)
            };
            let made = plan(&map, &[], &policy);
            assert_eq!(words(&made), expected, "{own} {mode:?}");
            assert!(made.not_followed.contains(&(id_of(own), Why::Ourselves)));
        }
    }
}

#[test]
fn who_is_not_followed_has_a_reason() {
    let map = map("a m:m r:r s:r:failed t:r:lost u:r; b n:m:failed");
    let avoid = [id_of("u")];
    for (mode, expected) in [
        (
            Follow::Master,
            "r spare, s failed, t no address, u unreachable, n failed",
        ),
        (
            Follow::Replica,
            "m spare, s failed, t no address, u unreachable, n failed",
        ),
        (
            Follow::Local,
            "m not local, r not local, s failed, t no address, u not local, n failed",
        ),
    ] {
        let policy = Policy {
            avoid: &avoid,
            ..follow(mode)
        };
        let made = plan(&map, &[], &policy);
        let words = made
            .not_followed
            .iter()
            .map(|(id, why)| format!("{id} {}", why.name()));
        assert_eq!(words.collect::<Vec<_>>().join(", "), expected, "{mode:?}");
    }
    let alone = plan(&self::map("a m:m"), &[], &follow(Follow::Replica));
    assert_eq!(alone.not_followed, [(id_of("m"), Why::NoReplica)]);
    let headless = plan(&self::map("a r:r"), &[], &follow(Follow::Master));
    assert_eq!(headless.not_followed, [(id_of("r"), Why::NoMaster)]);
}

#[test]
fn a_deployment_is_split_over_instances_without_rest() {
    let groups: Vec<_> = (0..60).map(|n| format!("g{n:02} m{n}:m")).collect();
    let map = map(&groups.join(";"));
    let mut opened = Vec::new();
    for index in 0..3 {
        let policy = Policy {
            shard: Share::new(index, 3),
            ..Policy::default()
        };
        let made = plan(&map, &[], &policy);
        assert_eq!(made.actions.len() + made.unowned.len(), 60);
        assert!(
            (10..=30).contains(&made.actions.len()),
            "{}",
            made.actions.len()
        );
        opened.extend(made.actions);
    }
    assert_eq!(opened.len(), 60);
    // A fourth instance takes from each, and whoever loses a group closes its link.
    let policy = Policy {
        shard: Share::new(0, 4),
        ..Policy::default()
    };
    let links: Vec<_> = plan(
        &map,
        &[],
        &Policy {
            shard: Share::new(0, 3),
            ..policy
        },
    )
    .actions
    .iter()
    .zip(0..)
    .map(|(action, id)| match action {
        Action::Open { group, node, .. } => Link {
            id,
            ..link(&map, group, node.as_str())
        },
        Action::Move { .. } | Action::Regroup { .. } | Action::Close { .. } => {
            panic!("{action:?}")
        }
    })
    .collect();
    let made = plan(&map, &links, &policy);
    assert!(!made.actions.is_empty() && made.actions.len() < links.len() / 2);
    let closes = |action: &Action| {
        matches!(
            action,
            Action::Close {
                why: Cause::NotOurs,
                ..
            }
        )
    };
    assert!(made.actions.iter().all(closes));
}
