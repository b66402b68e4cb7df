//! Shapes that servers do not always answer.

use super::*;

fn asked(tls: bool) -> Asked {
    Asked {
        addr: Addr::new("seed", 7000).unwrap(),
        tls,
    }
}

/// `name=value` pairs; a value that begins with a digit is a number.
fn map(text: &str) -> Value {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        let number = value.parse().ok().map(Value::Int);
        let value = match value {
            "null" => Value::Null,
            value => number.unwrap_or(Value::text(value)),
        };
        (Value::text(name), value)
    };
    Value::Map(text.split_whitespace().map(pair).collect())
}

fn shard(slots: &[i64], nodes: &[&str]) -> Value {
    let slots = slots.iter().map(|n| Value::Int(*n)).collect();
    let nodes = nodes.iter().map(|node| map(node)).collect();
    Value::List(vec![
        Value::text("slots"),
        Value::List(slots),
        Value::text("nodes"),
        Value::List(nodes),
    ])
}

fn parse(shards: Vec<Value>, tls: bool) -> Result<Report, Error> {
    super::parse(&Value::List(shards), &asked(tls))
}

#[test]
fn ports_and_endpoints_depend_on_how_one_asks() {
    for (node, tls, expected) in [
        ("port=1 tls-port=2 endpoint=h ip=10.0.0.1", false, "h:1"),
        ("port=1 tls-port=2 endpoint=h ip=10.0.0.1", true, "h:2"),
        ("tls-port=2 endpoint=h ip=10.0.0.1", false, "-"),
        ("port=1 endpoint=h ip=10.0.0.1", true, "-"),
        ("port=1 endpoint=? ip=10.0.0.1", false, "10.0.0.1:1"),
        ("port=1 endpoint= ip=10.0.0.1", false, "seed:1"),
        ("port=1 endpoint=null ip=10.0.0.1", false, "seed:1"),
        ("port=1 ip=10.0.0.1", false, "seed:1"),
        ("port=1 endpoint=?", false, "-"),
        ("port=65536 endpoint=h", false, "-"),
    ] {
        let node = format!("id=a role=master health=online {node}");
        let report = parse(vec![shard(&[], &[&node])], tls).unwrap();
        let told = report.nodes().values().next().unwrap();
        let addr = told.addr.as_ref().map_or("-".to_owned(), Addr::to_string);
        assert_eq!(addr, expected, "{node} {tls}");
    }
}

#[test]
fn the_heir_of_a_failed_master_has_its_slots() {
    let nodes = [
        "id=a role=master health=fail port=1 endpoint=h replication-offset=0",
        "id=b role=master health=online port=2 endpoint=h replication-offset=9",
        "id=c role=replica health=loading port=3 endpoint=h",
    ];
    let report = parse(vec![shard(&[0, 5, 7, 7], &nodes)], false).unwrap();
    let node = |id| &report.nodes()[&NodeId::new(id).unwrap()];
    assert_eq!(node("b").slots.to_string(), "0-5 7");
    assert!(node("a").slots.is_empty());
    assert_eq!(node("c").master, NodeId::new("b"));
    assert_eq!(node("c").health, Health::Loading);
    assert_eq!(node("a").health, Health::Failed);
    assert_eq!((node("a").offset, node("b").offset), (Some(0), Some(9)));
    assert!(
        report
            .nodes()
            .values()
            .all(|told| told.kin == NodeId::new("a"))
    );
}

#[test]
fn what_is_no_list_of_shards_is_refused() {
    let node = "id=a role=master port=1 endpoint=h";
    for shards in [
        vec![Value::Int(1)],
        vec![Value::List(vec![])],
        vec![shard(&[0], &[node])],
        vec![shard(&[5, 4], &[node])],
        vec![shard(&[0, 16_384], &[node])],
        vec![shard(&[-1, 4], &[node])],
        vec![shard(&[0, 1], &["role=master port=1"])],
        vec![shard(&[0, 1], &["id=a role=king port=1"])],
        vec![shard(&[0, 1], &["id=a port=1"])],
    ] {
        let error = parse(shards.clone(), false).unwrap_err();
        assert!(
            matches!(error, Error::Malformed { item: 1, .. }),
            "{shards:?}: {error}"
        );
    }
    let many = vec![0; RANGES_MAX + 2];
    let many = parse(vec![shard(&many, &[node])], false).unwrap_err();
    assert!(matches!(many, Error::Limit { .. }));
    assert!(super::parse(&Value::Null, &asked(false)).is_err());
    let refused = super::parse(
        &Value::Error("ERR unknown subcommand".into()),
        &asked(false),
    );
    assert!(matches!(refused, Err(Error::Refused(_))));
}
