//! Replica lines that name replicas, and lines that do not.

use super::*;

fn parse(text: &str) -> Result<Group, Error> {
    let asked = Asked {
        addr: Addr::new("m", 1).unwrap(),
        tls: false,
    };
    super::parse(text.as_bytes(), &asked)
}

#[test]
fn only_those_with_a_port_are_replicas() {
    for (line, expected) in [
        ("ip=h,port=2,state=online,offset=9,lag=0", "h:2 online 9"),
        (
            "ip=h,port=2,state=online,offset=9,lag=0,type=replica",
            "h:2 online 9",
        ),
        (
            "ip=fe80::1,port=2,state=online,offset=9",
            "[fe80::1]:2 online 9",
        ),
        (
            "ip=h,port=2,state=wait_bgsave,offset=0,lag=0",
            "h:2 loading 0",
        ),
        (
            "ip=h,port=2,state=send_bulk,offset=0,lag=0",
            "h:2 loading 0",
        ),
        (
            "ip=h,port=2,state=bg_transfer,offset=0,type=rdb-channel",
            "",
        ),
        ("ip=h,port=0,state=online,offset=0,lag=0", ""),
        ("ip=h,port=65536,state=online,offset=0,lag=0", ""),
        ("ip=h,port=-5,state=online,offset=0,lag=0", ""),
        ("ip=,port=2,state=online,offset=0,lag=0", ""),
        ("what", ""),
    ] {
        let text = format!("role:master\r\nslave0:{line}\r\nslave_x:{line}\r\n");
        let group = parse(&text).unwrap();
        let words = group.replicas().map(|node| {
            let offset = node.offset.unwrap();
            format!("{} {} {offset}", node.id, node.health.name())
        });
        assert_eq!(words.collect::<String>(), expected, "{line}");
    }
}

#[test]
fn a_replica_without_its_master_is_not_followed_for_now() {
    let text = "role:slave\r\nmaster_host:h\r\nmaster_port:2\r\nmaster_link_status:down\r\n\
         slave_repl_offset:7\r\nmaster_repl_offset:8\r\n";
    let group = Topology::of_info(parse(text).unwrap()).groups()[0].clone();
    assert_eq!(&*group.id, "m:1");
    assert_eq!(group.nodes[0].id.as_str(), "h:2");
    let replica = group.replicas().next().unwrap();
    assert_eq!((replica.health, replica.offset), (Health::Loading, Some(7)));
}

#[test]
fn what_is_no_info_is_refused() {
    for text in ["", "role:sentinel\r\n", "roll:master\r\n"] {
        assert!(
            matches!(parse(text), Err(Error::Malformed { .. })),
            "{text}"
        );
    }
    let line = |n: usize| format!("slave{n}:ip=h{n},port=1,state=online\r\n");
    let lines: String = (0..=NODES_MAX).map(line).collect();
    let many = parse(&format!("role:master\r\n{lines}"));
    assert!(matches!(many, Err(Error::Limit { .. })));
}
