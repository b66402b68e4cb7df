//! Lines that servers write, and lines that they do not.

use super::*;
use crate::report::{CLAIMS_MAX, NODES_MAX};
use crate::topology::Complaint;

fn asked() -> Asked {
    Asked {
        addr: Addr::new("seed", 7000).unwrap(),
        tls: false,
    }
}

fn parse(text: &str) -> Result<Report, Error> {
    super::parse(&Value::text(text), &asked())
}

/// The only node of a text.
fn one(text: &str) -> Told {
    let report = parse(text).unwrap();
    assert_eq!(report.nodes().len(), 1, "{text}");
    report.nodes().values().next().unwrap().clone()
}

#[test]
fn addresses_come_in_many_forms() {
    for (place, flags, expected) in [
        ("10.0.0.1:6379@16379", "master", "10.0.0.1:6379"),
        ("10.0.0.1:6379", "master", "10.0.0.1:6379"),
        ("10.0.0.1:6379@16379,a.example", "master", "10.0.0.1:6379"),
        (
            "10.0.0.1:6379@16379,,shard-id=abc,tls-port=0",
            "master",
            "10.0.0.1:6379",
        ),
        ("fe80::1:6379@16379", "slave", "[fe80::1]:6379"),
        ("::1:6379@16379,", "master,fail", "[::1]:6379"),
        (":6379@16379", "myself,master", "seed:7000"),
        (":0@0", "myself,master", "seed:7000"),
        (":6379@16379,a.example", "master", "a.example:6379"),
        (":0@0", "master,fail,noaddr", "-"),
        (":6379@16379", "master", "-"),
        ("10.0.0.1:0@0", "slave,noaddr", "-"),
    ] {
        let told = one(&format!("id {place} {flags} - 0 0 1 connected"));
        let addr = told.addr.map_or("-".to_owned(), |addr| addr.to_string());
        assert_eq!(addr, expected, "{place} {flags}");
    }
    let told = one("id h:1@2,,shard-id=abc master - 0 0 1 connected");
    assert_eq!(told.shard.as_deref(), Some("abc"));
}

#[test]
fn flags_say_role_and_health() {
    let [master, replica] = [Role::Master, Role::Replica];
    for (flags, role, health, myself) in [
        ("master", master, Health::Online, false),
        ("myself,slave", replica, Health::Online, true),
        ("master,fail?", master, Health::Suspect, false),
        ("slave,fail", replica, Health::Failed, false),
        (
            "master,fail?,fail,nofailover",
            master,
            Health::Failed,
            false,
        ),
        ("slave,what,is,this", replica, Health::Online, false),
    ] {
        let told = one(&format!("id h:1@2 {flags} other 0 0 9 connected"));
        let is = (told.role, told.health, told.myself, told.epoch);
        assert_eq!(is, (role, health, myself, 9), "{flags}");
        let other = NodeId::new("other").filter(|_| role == replica);
        assert_eq!(told.master, other, "{flags}");
    }
}

#[test]
fn nodes_in_handshake_are_left_out() {
    let text = "a h:1@2 handshake - 0 0 0 disconnected\n\
         b h:2@3 master,handshake - 0 0 0 connected\n\
         c h:3@4 noflags - 0 0 0 connected\n\
         d h:4@5 master - 0 0 0 connected\n";
    let report = parse(text).unwrap();
    let ids: Vec<_> = report.nodes().keys().map(NodeId::as_str).collect();
    assert_eq!(ids, ["d"]);
}

#[test]
fn slots_stay_come_and_go() {
    let told = one("id h:1@2 myself,master - 0 0 1 connected 0-5 7 [93->-x] [94-<-y]");
    assert_eq!(told.slots.to_string(), "0-5 7");
    let slot = |n| Slot::new(n).unwrap();
    let id = |text| NodeId::new(text).unwrap();
    assert_eq!(told.migrating, [(slot(93), id("x"))]);
    assert_eq!(told.importing, [(slot(94), id("y"))]);
}

#[test]
fn a_node_that_is_there_twice_is_taken_once() {
    let report = parse("a h:1@2 master - 0 0 1 c 0-1\r\na h:2@3 slave b 0 0 1 c\r\n").unwrap();
    let id = NodeId::new("a").unwrap();
    assert_eq!(report.nodes()[&id].role, Role::Master);
    assert_eq!(report.complaints(), [Complaint::DuplicateNode { id }]);
}

#[test]
fn what_is_no_map_is_refused() {
    let long = "x".repeat(crate::node::ID_BYTES_MAX + 1);
    for (text, expected) in [
        ("", "at least one node"),
        ("id", "item 1: expected an address"),
        ("id h:1@2 master - 0 0 x connected", "an epoch"),
        ("id h:1@2 master - 0 0 -1 connected", "an epoch"),
        ("id h master - 0 0 1 connected", "an address"),
        ("id h:x@2 master - 0 0 1 connected", "an address"),
        ("id h:1@2 master - 0 0 1", "the state of the link"),
        ("id h:1@2 master - 0 0 1 connected 16384", "slots"),
        ("id h:1@2 master - 0 0 1 connected 5-4", "slots"),
        ("id h:1@2 master - 0 0 1 connected -1", "slots"),
        ("id h:1@2 master - 0 0 1 connected [1->-", "slots"),
        ("id h:1@2 master - 0 0 1 connected [1=2]", "slots"),
        ("id h:1@2 master - 0 0 1 connected [1->-]", "slots"),
        (
            &format!("{long} h:1@2 master - 0 0 1 connected"),
            "a node id",
        ),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let not_text = super::parse(&Value::Int(1), &asked()).unwrap_err();
    assert!(not_text.to_string().contains("lines of text"));
    assert!(super::parse(&Value::Text(vec![0xff, b'\n']), &asked()).is_err());
    let words = "W".repeat(1000);
    let refused = super::parse(&Value::Error(words), &asked()).unwrap_err();
    assert_eq!(refused, Error::Refused("W".repeat(crate::error::WORDS_MAX)));
}

#[test]
fn what_is_too_large_is_refused() {
    let nodes = (0..=NODES_MAX).map(|n| format!("n{n} h:1@2 master - 0 0 1 c\n"));
    let ranges = " 1".repeat(RANGES_MAX + 1);
    let all = |n| format!("n{n} h:1@2 master - 0 0 1 c 0-16383\n");
    let claims = (0..=CLAIMS_MAX / 16_384).map(all);
    for text in [
        nodes.collect::<String>(),
        format!("id h:1@2 master - 0 0 1 c{ranges}"),
        claims.collect(),
        " ".repeat(TEXT_BYTES_MAX + 1),
    ] {
        assert!(
            matches!(parse(&text), Err(Error::Limit { .. })),
            "{}",
            text.len()
        );
    }
}
