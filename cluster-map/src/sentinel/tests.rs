//! Sentinels that disagree, and answers that are none.

use super::*;
use crate::node::Role;
use crate::topology::{Complaint, Topology};

fn fields(text: &str) -> Value {
    let words = text.split_whitespace();
    let words = words.flat_map(|pair| pair.split('=').map(Value::text));
    Value::List(words.collect())
}

/// A master row at `h:port` of an epoch, in its Sentinel's report; the others are replicas.
fn view(sentinel: u64, port: u64, epoch: u64, flags: &str, replicas: &[&str]) -> Report {
    let master = format!("name=main ip=h port={port} flags={flags} config-epoch={epoch}");
    let rows = Value::List(replicas.iter().map(|row| fields(row)).collect());
    let watched = Watched {
        master: super::master(&fields(&master)).unwrap(),
        addr: None,
        replicas: super::replicas(&rows).unwrap(),
    };
    Report {
        asked: Addr::new("s", sentinel).unwrap(),
        masters: vec![watched],
    }
}

fn shape(map: &Topology) -> String {
    let words = map.groups().iter().flat_map(|group| &group.nodes);
    let words = words.map(|node| {
        let role = if node.role == Role::Master { "m" } else { "r" };
        format!(
            "{}{role} {}",
            node.addr.as_ref().unwrap().port,
            node.health.name()
        )
    });
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_most_decide_and_the_epoch_among_equals() {
    for (views, expected) in [
        (&[(1, 0), (1, 0), (2, 1)][..], "1m online, 2r online"),
        (&[(1, 0), (2, 1), (2, 1)], "2m online, 1r online"),
        (&[(1, 0), (2, 1)], "2m online, 1r online"),
        (&[(2, 1), (1, 1)], "1m online, 2r online"),
        (&[(1, 0)], "1m online"),
    ] {
        let numbered = views.iter().zip(1..);
        let reports: Vec<_> = numbered
            .map(|((port, epoch), sentinel)| view(sentinel, *port, *epoch, "master", &[]))
            .collect();
        let map = Topology::of_sentinels(&reports, &[], 3);
        assert_eq!(shape(&map), expected, "{views:?}");
        let disagree = views.iter().any(|view| view.0 != views[0].0);
        let complaint = map.complaints().first().map(Complaint::name);
        assert_eq!(complaint, disagree.then_some("disagreement"), "{views:?}");
        assert_eq!(map.is_complete(), views.len() > 1);
    }
}

#[test]
fn the_promoted_node_is_believed_before_it_is_named() {
    let mut leader = view(
        1,
        1,
        3,
        "master,o_down,failover_in_progress",
        &["name=h:2 ip=h port=2 flags=slave,promoted master-link-status=ok"],
    );
    leader.masters[0].addr = Addr::new("h", 2);
    let map = Topology::of_sentinels(&[leader], &["main"], 1);
    assert_eq!(shape(&map), "2m online, 1r failed");
}

#[test]
fn replicas_are_as_most_sentinels_find_them() {
    let up = "name=h:2 ip=h port=2 flags=slave master-link-status=ok slave-repl-offset=5";
    let down = "name=h:2 ip=h port=2 flags=s_down,slave,disconnected master-link-status=err";
    let alone = "name=h:2 ip=h port=2 flags=slave master-link-status=err";
    for (rows, expected) in [
        ([up, up, up], "1m online, 2r online"),
        ([up, up, down], "1m online, 2r suspect"),
        ([up, down, down], "1m online, 2r failed"),
        ([up, alone, alone], "1m online, 2r loading"),
    ] {
        let reports = rows
            .iter()
            .zip(1..)
            .map(|(row, n)| view(n, 1, 0, "master", &[row]));
        let reports: Vec<_> = reports.collect();
        assert_eq!(shape(&Topology::of_sentinels(&reports, &[], 3)), expected);
    }
    for (flags, expected) in [
        (["master", "master", "master,s_down"], "1m suspect"),
        (["master", "master,s_down", "master,s_down"], "1m failed"),
        (["master", "master", "master,s_down,o_down"], "1m failed"),
    ] {
        let reports = [1, 2, 3].map(|n| view(n as u64, 1, 0, flags[n - 1], &[]));
        assert_eq!(shape(&Topology::of_sentinels(&reports, &[], 3)), expected);
    }
}

#[test]
fn masters_of_other_names_are_left_out() {
    let reports = [view(1, 1, 0, "master", &[])];
    assert_eq!(Topology::of_sentinels(&reports, &["other"], 1).groups(), []);
    assert_eq!(Topology::of_sentinels(&[], &[], 0).groups(), []);
    assert!(!Topology::of_sentinels(&[], &[], 0).is_complete());
}

#[test]
fn what_is_no_answer_is_refused() {
    for reply in [Value::Null, Value::Int(1), Value::Error("ERR x".into())] {
        assert!(masters(&reply).is_err(), "{reply:?}");
        assert!(master(&reply).is_err(), "{reply:?}");
    }
    for row in ["", "name=a port=1", "ip=h port=1", "name=a ip=h"] {
        assert!(master(&fields(row)).is_err(), "{row}");
    }
    // A replica that Sentinel has with port 0 has no address, and is no error.
    let odd = Value::List(vec![fields("name=h:0 ip=h port=0 flags=slave")]);
    assert_eq!(replicas(&odd).unwrap()[0].addr, None);
    let many = Value::List(vec![Value::Null; NODES_MAX + 1]);
    assert!(matches!(replicas(&many), Err(Error::Limit { .. })));
    for members in [&["h"][..], &["h", "0"], &["", "1"], &["h", "1", "x"]] {
        let reply = Value::List(members.iter().map(Value::text).collect());
        assert!(addr(&reply).is_err(), "{members:?}");
    }
}
