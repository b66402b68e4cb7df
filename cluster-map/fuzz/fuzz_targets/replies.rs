//! RESP bytes of CLUSTER SHARDS, CLUSTER SLOTS and Sentinel's answers, read with a small reader, to
//! each parser, and what they make to a map.

#![no_main]

use cluster_map::sentinel::{self, Report, Watched};
use cluster_map::{Addr, Asked, Topology, Value, shards, slots_reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(value) = read(&mut { bytes }, 8) else {
        return;
    };
    let Some(addr) = Addr::new("seed", 1) else {
        return;
    };
    let asked = Asked {
        addr: addr.clone(),
        tls: bytes.len() % 2 == 0,
    };
    for report in [shards::parse(&value, &asked), slots_reply::parse(&value, &asked)] {
        if let Ok(report) = report {
            let map = Topology::of_cluster(&[report], None);
            assert_eq!(Topology::of_cluster(&[], Some(&map)).groups(), map.groups());
        }
    }
    let _ = sentinel::addr(&value);
    let _ = sentinel::sentinels(&value);
    if let (Ok(masters), Ok(replicas)) = (sentinel::masters(&value), sentinel::replicas(&value)) {
        let watched = masters.into_iter().map(|master| Watched {
            master,
            addr: None,
            replicas: replicas.clone(),
        });
        let masters: Vec<_> = watched.take(8).collect();
        let map = Topology::of_sentinels(&[Report { asked: addr, masters }], &[], 1);
        for group in map.groups() {
            assert!(group.nodes.iter().skip(1).all(|node| node.role != cluster_map::Role::Master));
        }
    }
});

/// Enough of RESP to make every value; `None` where it is none.
fn read(rest: &mut &[u8], depth: u32) -> Option<Value> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..)?;
    let (kind, text) = line.split_first()?;
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let count = || text.parse::<usize>().ok();
    Some(match kind {
        b'+' => Value::text(text),
        b'-' => Value::Error(text.to_owned()),
        b':' => Value::Int(text.parse().ok()?),
        b'$' => match count() {
            Some(length) if length <= rest.len() => {
                let (bulk, after) = rest.split_at(length);
                *rest = after.strip_prefix(b"\r\n").unwrap_or(after);
                Value::text(bulk)
            }
            _ => Value::Null,
        },
        b'*' | b'%' if depth > 0 => {
            let mut list = Vec::new();
            for _ in 0..count()?.min(1 << 16) {
                list.push(read(rest, depth - 1)?);
            }
            if *kind == b'*' {
                return Some(Value::List(list));
            }
            let mut pairs = Vec::new();
            let mut list = list.into_iter();
            while let (Some(name), Some(value)) = (list.next(), list.next()) {
                pairs.push((name, value));
            }
            Value::Map(pairs)
        }
        _ => Value::Null,
    })
}
