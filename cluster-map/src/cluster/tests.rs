//! Nodes that see different things, lie, or are not of this cluster.

use super::*;
use crate::node::{Addr, Asked};
use crate::nodes_text;

/// What a node says: lines of `id flags master epoch slots...`; the address is `id:1`, and `myself`
/// is added to the flags of the one that was asked.
fn report(asked: &str, lines: &str) -> Report {
    let addr = Addr::new(asked, 1).unwrap();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap();
        let (id, flags, master, epoch) = (word(), word(), word(), word());
        let myself = if id == asked { "myself," } else { "" };
        let slots: Vec<_> = words.collect();
        let slots = slots.join(" ");
        format!("{id} {id}:1@2 {myself}{flags} {master} 0 0 {epoch} connected {slots}\n")
    };
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    let text: String = lines.map(line).collect();
    nodes_text::parse_text(text.as_bytes(), &Asked { addr, tls: false }).unwrap()
}

/// A group a line: `id: master/replicas slots`, the failed ones with a `!`, the suspect with a `?`.
fn shape(map: &Topology) -> String {
    let group = |group: &crate::node::Group| {
        let nodes = group.nodes.iter().map(|node| {
            let mark = match node.health {
                Health::Online | Health::Loading => "",
                Health::Suspect => "?",
                Health::Failed => "!",
            };
            format!("{}{mark}", node.id)
        });
        let nodes: Vec<_> = nodes.collect();
        format!("{}: {} {}", group.id, nodes.join("/"), group.slots)
    };
    let groups: Vec<_> = map.groups().iter().map(group).collect();
    groups.join("; ")
}

fn complaints(map: &Topology) -> Vec<&'static str> {
    map.complaints().iter().map(Complaint::name).collect()
}

const STEADY: &str = "a master - 1 0-8191\nb master - 2 8192-16383\nc slave a 1\nd slave b 2\n";

fn steady() -> Topology {
    let reports = ["a", "b"].map(|asked| report(asked, STEADY));
    let map = Topology::of_cluster(&reports, None);
    assert_eq!(shape(&map), "a: a/c 0-8191; b: b/d 8192-16383");
    assert_eq!(complaints(&map), [""; 0]);
    map
}

#[test]
fn the_higher_epoch_has_the_slots() {
    let late = report("b", STEADY);
    let early = report(
        "d",
        "a master,fail - 1\nc master - 3 0-8191\nb master - 2 8192-16383\nd slave b 2\n",
    );
    let said = report(
        "c",
        "a master,fail - 1\nc master - 3 0-8191\nb master - 2 8192-16383\nd slave b 2\n",
    );
    for reports in [
        [late.clone(), early.clone(), said.clone()],
        [said, early, late],
    ] {
        let map = Topology::of_cluster(&reports, Some(&steady()));
        assert_eq!(shape(&map), "a: c/a! 0-8191; b: b/d 8192-16383");
        // What it lost its slots to does not make it a replica.
        let nodes = map.groups().iter().flat_map(|group| &group.nodes);
        let told: Vec<_> = nodes.map(|node| (node.role, node.flagged)).collect();
        let (master, replica) = (Role::Master, Role::Replica);
        let pairs = [(master, master), (replica, master)];
        assert_eq!(
            told,
            [pairs, [(master, master), (replica, replica)]].concat()
        );
    }
}

#[test]
fn a_split_brain_ends_with_the_one_that_was_elected() {
    let minority = report("a", STEADY);
    let majority = report(
        "c",
        "a master,fail - 1\nc master - 3 0-8191\nb master - 2 8192-16383\nd slave b 2\n",
    );
    let map = Topology::of_cluster(&[minority, majority], Some(&steady()));
    // It answers, so it is up; its slots are gone, and it stays where it was.
    assert_eq!(shape(&map), "a: c/a 0-8191; b: b/d 8192-16383");
    assert_eq!(complaints(&map), ["slots_twice"]);
}

#[test]
fn a_failed_master_without_an_heir_keeps_its_slots() {
    let lines = STEADY.replace("a master", "a master,fail");
    let map = Topology::of_cluster(&[report("b", &lines)], Some(&steady()));
    assert_eq!(shape(&map), "a: a!/c 0-8191; b: b/d 8192-16383");
    let both = lines.replace("c slave", "c slave,fail");
    let map = Topology::of_cluster(&[report("b", &both)], Some(&steady()));
    assert_eq!(shape(&map), "a: a!/c! 0-8191; b: b/d 8192-16383");
}

#[test]
fn most_of_the_others_say_who_failed() {
    let suspects = STEADY.replace("a master", "a master,fail?");
    let failed = STEADY.replace("a master", "a master,fail");
    for (reports, expected) in [
        ([STEADY, STEADY, &failed], "a?/c"),
        ([STEADY, &failed, &failed], "a!/c"),
        ([&suspects, &suspects, &suspects], "a?/c"),
    ] {
        let asked = ["b", "c", "d"];
        let mut reports = asked
            .iter()
            .zip(reports)
            .map(|(asked, lines)| report(asked, lines));
        let reports = [(); 3].map(|()| reports.next().unwrap());
        let map = Topology::of_cluster(&reports, None);
        let expected = format!("a: {expected} 0-8191; b: b/d 8192-16383");
        assert_eq!(shape(&map), expected);
        // Whoever answers has not failed.
        let answers = report("a", STEADY);
        let [one, two, three] = reports;
        let map = Topology::of_cluster(&[one, two, three, answers], None);
        assert_eq!(shape(&map), "a: a/c 0-8191; b: b/d 8192-16383");
    }
}

#[test]
fn slots_on_the_move_change_hands_with_the_epoch() {
    let moved =
        "a master - 1 1-8191 [5->-b]\nb master - 4 0 8192-16383\nc slave a 1\nd slave b 4\n";
    let map = Topology::of_cluster(&[report("a", STEADY), report("b", moved)], Some(&steady()));
    assert_eq!(shape(&map), "a: a/c 1-8191; b: b/d 0 8192-16383");
    let map = Topology::of_cluster(&[report("a", moved)], None);
    let group = map.owner(Slot::new(5).unwrap()).unwrap();
    assert_eq!(
        group.migrating,
        [(Slot::new(5).unwrap(), NodeId::new("b").unwrap())]
    );
}

/// Moves of a map: `group: out slot>node, in slot<node`.
fn moves(map: &Topology) -> String {
    let group = |group: &crate::node::Group| {
        let out = group
            .migrating
            .iter()
            .map(|(slot, to)| format!("{slot}>{to}"));
        let into = group
            .importing
            .iter()
            .map(|(slot, from)| format!("{slot}<{from}"));
        let moves: Vec<_> = out.chain(into).collect();
        format!("{}: {}", group.id, moves.join(" "))
    };
    let groups: Vec<_> = map.groups().iter().map(group).collect();
    groups.join("; ")
}

/// In a cluster of more nodes than are asked at once, moves were known for as long as the turn of their
/// masters lasted, and KS.REBALANCE planned the slots anew behind it.
#[test]
fn moves_are_remembered_until_their_master_is_asked_again() {
    let out = STEADY.replace("0-8191", "0-8191 [5->-b] [6->-b]");
    let into = STEADY.replace("8192-16383", "8192-16383 [5-<-a] [6-<-a]");
    let map = Topology::of_cluster(&[report("a", &out), report("b", &into)], Some(&steady()));
    assert_eq!(moves(&map), "a: 5>b 6>b; b: 5<a 6<a");
    let others = |map: &Topology, lines: &str| {
        Topology::of_cluster(&[report("c", lines), report("d", lines)], Some(map))
    };
    let map = others(&map, STEADY);
    assert_eq!(moves(&map), "a: 5>b 6>b; b: 5<a 6<a");
    // A slot that has arrived is on its way no more, whoever says so.
    let arrived = STEADY.replace("0-8191", "0-4 6-8191");
    let arrived = arrived.replace("b master - 2 ", "b master - 7 5 ");
    let map = others(&map, &arrived);
    assert_eq!(shape(&map), "a: a/c 0-4 6-8191; b: b/d 5 8192-16383");
    assert_eq!(moves(&map), "a: 6>b; b: 6<a");
    // A master that tells of none has none; the other side was not asked.
    let map = Topology::of_cluster(&[report("a", &arrived)], Some(&map));
    assert_eq!(moves(&map), "a: ; b: 6<a");
    // One that was promoted away has none to remember.
    let failed = arrived
        .replace("a master", "a master,fail")
        .replace(" 0-4 6-8191", "");
    let failed = failed.replace("c slave a 1", "c master - 9 0-4 6-8191");
    let before = Topology::of_cluster(&[report("a", &out)], None);
    assert_eq!(moves(&others(&before, &failed)), "a: ; b: ");
}

#[test]
fn equal_epochs_are_settled_by_the_id() {
    let lines = "a master - 1 0-16383\nb master - 1 5\n";
    for reports in [
        [report("a", lines), report("b", lines)],
        [report("b", lines), report("a", lines)],
    ] {
        let map = Topology::of_cluster(&reports, None);
        assert_eq!(shape(&map), "a: a 0-16383; b: b ");
        let [Complaint::SlotsTwice { slots, kept, lost }] = map.complaints() else {
            panic!("{:?}", map.complaints());
        };
        assert_eq!((slots.count(), kept.as_str(), lost.as_str()), (1, "a", "b"));
    }
}

#[test]
fn a_half_covered_cluster_is_a_map_from_which_nothing_is_concluded() {
    let map = Topology::of_cluster(&[report("a", "a master - 1 0-8191\n")], Some(&steady()));
    assert_eq!(shape(&map), "a: a 0-8191");
    assert_eq!(complaints(&map), ["uncovered"]);
    assert!(!map.is_complete());
    assert_eq!(map.owner(Slot::new(8192).unwrap()), None);
}

#[test]
fn a_removed_node_that_still_answers_is_not_there() {
    let after = "a master - 1 0-8191\nb master - 2 8192-16383\nd slave b 2\n";
    let reports = [report("a", after), report("b", after), report("c", STEADY)];
    let map = Topology::of_cluster(&reports, Some(&steady()));
    assert_eq!(shape(&map), "a: a 0-8191; b: b/d 8192-16383");
    assert_eq!(complaints(&map), [""; 0]);
}

#[test]
fn a_seed_of_another_cluster_is_left_out() {
    let other = report("x", "x master - 9 0-16383\ny slave x 9\n");
    let reports = [other.clone(), report("a", STEADY)];
    let map = Topology::of_cluster(&reports, Some(&steady()));
    assert_eq!(shape(&map), shape(&steady()));
    assert_eq!(complaints(&map), ["foreign"]);
    // Whoever was reset lists itself alone.
    let reports = [report("a", STEADY), report("z", "z master - 0\n")];
    let map = Topology::of_cluster(&reports, None);
    assert_eq!(shape(&map), shape(&steady()));
}

#[test]
fn strangers_are_believed_in_the_end() {
    let other = report("x", "x master - 9 0-16383\n");
    let mut map = steady();
    for _ in 0..STRANGERS_MAX {
        map = Topology::of_cluster(std::slice::from_ref(&other), Some(&map));
        assert_eq!(shape(&map), shape(&steady()));
        assert!(!map.is_complete());
        // Silence is not a stranger.
        map = Topology::of_cluster(&[], Some(&map));
        assert_eq!(shape(&map), shape(&steady()));
    }
    map = Topology::of_cluster(std::slice::from_ref(&other), Some(&map));
    assert_eq!(shape(&map), "x: x 0-16383");
    assert!(map.is_complete());
}

/// Pods of another cluster have got the addresses of ours: ten looks at them took as little as four
/// seconds while links were down, and no seed had to be asked in them.
#[test]
fn strangers_are_not_believed_while_no_seed_answers() {
    let others = [report("x", "x master - 9 0-16383\n")];
    let mut map = steady();
    for _ in 0..STRANGERS_MAX * 2 {
        map = Topology::of_cluster_by(&others, Some(&map), false);
        assert_eq!(shape(&map), shape(&steady()));
        assert!(map.stands_in() && !map.is_complete());
    }
    for _ in 0..STRANGERS_MAX {
        map = Topology::of_cluster_by(&others, Some(&map), true);
        assert_eq!(shape(&map), shape(&steady()));
    }
    map = Topology::of_cluster_by(&others, Some(&map), false);
    assert_eq!(shape(&map), shape(&steady()), "a seed has to say it");
    let ours = Topology::of_cluster_by(&[report("a", STEADY)], Some(&map), false);
    assert!(ours.is_complete() && !ours.stands_in());
    map = Topology::of_cluster_by(&others, Some(&map), true);
    assert_eq!(shape(&map), "x: x 0-16383");
}

#[test]
fn replicas_of_the_unknown_stay_where_they_were() {
    let lines = STEADY.replace("c slave a", "c slave q") + "e slave q 1\n";
    let map = Topology::of_cluster(&[report("b", &lines)], Some(&steady()));
    assert_eq!(shape(&map), shape(&steady()));
    assert_eq!(complaints(&map), ["master_unknown", "master_unknown"]);
    // Chains end at a master, circles nowhere.
    let lines = "a master - 1 0-16383\nb slave a 1\nc slave b 1\nd slave e 1\ne slave d 1\n";
    let map = Topology::of_cluster(&[report("a", lines)], None);
    assert_eq!(shape(&map), "a: a/b/c 0-16383");
    assert_eq!(complaints(&map), ["master_unknown", "master_unknown"]);
}

#[test]
fn two_at_one_address_are_noticed_unless_one_is_gone() {
    let text = |flags: &str| {
        format!("a h:1@2 master - 0 0 1 c 0-16383\nb h:1@2 {flags} - 0 0 1 c\n").into_bytes()
    };
    let asked = Asked {
        addr: Addr::new("h", 1).unwrap(),
        tls: false,
    };
    for (flags, expected) in [("master", &["same_address"][..]), ("master,fail", &[])] {
        let report = nodes_text::parse_text(&text(flags), &asked).unwrap();
        assert_eq!(complaints(&Topology::of_cluster(&[report], None)), expected);
    }
}

/// A master that gave its last slots away stays a group; one that was promoted away is none.
#[test]
fn groups_without_slots_are_kept_if_they_are_nobodys() {
    let given = "a master - 1\nb master - 5 0-16383\nc slave a 1\nd slave b 5\n";
    let map = Topology::of_cluster(&[report("a", given)], Some(&steady()));
    assert_eq!(shape(&map), "a: a/c ; b: b/d 0-16383");
    let joined =
        "a master - 1 0-8191\nb master - 2 8192-16383\nc slave a 1\nd slave b 2\ne master - 0\n";
    let map = Topology::of_cluster(&[report("a", joined)], Some(&steady()));
    assert_eq!(shape(&map), "a: a/c 0-8191; b: b/d 8192-16383; e: e ");
}

/// Both successors of one group cannot have its id.
#[test]
fn a_group_that_falls_apart_has_one_heir() {
    let lines = "a master - 1 0-99\nc master - 3 100-8191\nb master - 2 8192-16383\nd slave b 2\n";
    let map = Topology::of_cluster(&[report("b", lines)], Some(&steady()));
    assert_eq!(shape(&map), "a: c 100-8191; a.2: a 0-99; b: b/d 8192-16383");
}

#[test]
fn the_map_of_many_nodes_takes_no_time_to_speak_of() {
    let masters = 1000;
    let lines = (0..masters).flat_map(|n| {
        let (start, end) = (n * 16, n * 16 + if n == masters - 1 { 399 } else { 15 });
        let master = format!("m{n} master - {n} {start}-{end}\n");
        [master]
            .into_iter()
            .chain((0..9).map(move |r| format!("r{n}.{r} slave m{n} {n}\n")))
    });
    let lines: String = lines.collect();
    let report = report("m0", &lines);
    let reports = vec![report; 5];
    let before = Topology::of_cluster(&reports, None);
    assert_eq!(before.groups().len(), masters);
    let after = Topology::of_cluster(&reports, Some(&before));
    assert_eq!(before, after);
}
