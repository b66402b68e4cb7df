//! Shapes of nodes, old and new.

use super::*;

fn asked() -> Asked {
    Asked {
        addr: Addr::new("seed", 7000).unwrap(),
        tls: false,
    }
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

fn range(start: i64, end: i64, nodes: &[Value]) -> Value {
    list(
        [Value::Int(start), Value::Int(end)]
            .into_iter()
            .chain(nodes.iter().cloned()),
    )
}

fn node(host: Value, port: i64, id: &str) -> Value {
    list([host, Value::Int(port), Value::text(id)])
}

#[test]
fn nodes_have_two_to_four_members() {
    let meta = list([Value::text("ip"), Value::text("10.0.0.9")]);
    let four = |host| list([host, Value::Int(1), Value::text("a"), meta.clone()]);
    for (node, id, addr) in [
        (list([Value::text("h"), Value::Int(1)]), "h:1", "h:1"),
        (node(Value::text("h"), 1, "a"), "a", "h:1"),
        (node(Value::text(""), 1, "a"), "a", "seed:1"),
        (node(Value::Null, 1, "a"), "a", "seed:1"),
        (four(Value::Null), "a", "seed:1"),
        (four(Value::text("?")), "a", "10.0.0.9:1"),
        (node(Value::text("?"), 1, "a"), "a", "-"),
        (node(Value::text("h"), 0, "a"), "a", "-"),
    ] {
        let (found, told) = super::node(&node, &asked()).unwrap();
        let told = told.map_or("-".to_owned(), |addr| addr.to_string());
        assert_eq!((found.as_str(), told.as_str()), (id, addr), "{node:?}");
    }
}

#[test]
fn a_master_of_several_ranges_is_one_node() {
    let [a, b, c] = ["a", "b", "c"].map(|id| node(Value::text(id), 1, id));
    let reply = list([
        range(0, 5, &[a.clone(), c.clone()]),
        range(6, 6, std::slice::from_ref(&b)),
        range(7, 9, &[a, c]),
    ]);
    let report = parse(&reply, &asked()).unwrap();
    let told = |id| &report.nodes()[&NodeId::new(id).unwrap()];
    assert_eq!(told("a").slots.to_string(), "0-5 7-9");
    assert_eq!(told("b").slots.to_string(), "6");
    assert_eq!(told("c").master, NodeId::new("a"));
    assert_eq!(report.complaints(), []);
}

#[test]
fn what_is_no_list_of_ranges_is_refused() {
    let a = node(Value::text("a"), 1, "a");
    for range in [
        Value::Int(1),
        range(0, 1, &[]),
        range(2, 1, std::slice::from_ref(&a)),
        range(0, 16_384, std::slice::from_ref(&a)),
        range(-1, 1, std::slice::from_ref(&a)),
        range(0, 1, &[Value::text("a")]),
        range(0, 1, &[a, list([Value::text("b")])]),
        range(0, 1, &[node(Value::text("h"), 1, "")]),
    ] {
        let error = parse(&list([range.clone()]), &asked()).unwrap_err();
        assert!(
            matches!(error, Error::Malformed { item: 1, .. }),
            "{range:?}: {error}"
        );
    }
    let many = list(vec![Value::Null; RANGES_MAX + 1]);
    assert!(matches!(parse(&many, &asked()), Err(Error::Limit { .. })));
    assert!(parse(&Value::Null, &asked()).is_err());
}
