//! CLUSTER SHARDS (7.0): endpoints, both ports, health, offsets and, in Valkey 9.1, shard ids.
//!
//! ```text
//! [{slots: [start, end, ...], nodes: [{id, port?, tls-port?, ip, endpoint, hostname?,
//!   role: master|replica, replication-offset, health: online|loading|fail}], id?}]
//! ```
//!
//! After a failover the master that failed stays in its shard, and is called a master like its heir;
//! the slots are the heir's. Maps are flat arrays in RESP2. A port is left out when the server does not listen there. The
//! endpoint is `""` or null when clients are to stay with the host that they dialled, and `?` when
//! it should be a host name and the node has none; then the IP address stands in.

use crate::error::Error;
use crate::node::{Addr, Asked, Health, NodeId, Role};
use crate::report::{RANGES_MAX, Report, Told};
use crate::slots::{Slot, Slots};
use crate::value::Value;

/// Reads a reply.
///
/// # Errors
/// It is an error, or no list of shards, or too large.
pub fn parse(reply: &Value, asked: &Asked) -> Result<Report, Error> {
    if let Value::Error(words) = reply {
        return Err(Error::refused(words));
    }
    let shards = reply.as_list().ok_or(malformed(0, "a list of shards"))?;
    let mut report = Report::new(&asked.addr);
    let mut ranges_left = RANGES_MAX;
    for (at, shard) in shards.iter().enumerate() {
        let number = at.saturating_add(1);
        let shard = Shard::read(shard, number, &mut ranges_left)?;
        shard.add_to(&mut report, asked)?;
    }
    Ok(report)
}

fn malformed(item: usize, expected: &'static str) -> Error {
    Error::Malformed {
        reply: "CLUSTER SHARDS",
        item,
        expected,
    }
}

struct Shard<'a> {
    number: usize,
    id: Option<Box<str>>,
    slots: Slots,
    nodes: &'a [Value],
}

impl<'a> Shard<'a> {
    fn read(shard: &'a Value, number: usize, left: &mut usize) -> Result<Shard<'a>, Error> {
        let bad = |expected| move || malformed(number, expected);
        let nodes = shard.get("nodes").and_then(Value::as_list);
        let slots = shard.get("slots").and_then(Value::as_list);
        let slots = slots.ok_or_else(bad("slots"))?;
        *left = left.checked_sub(slots.len()).ok_or(Error::Limit {
            what: "ranges of slots",
            max: RANGES_MAX,
        })?;
        let id = shard.get("id").and_then(Value::as_str);
        Ok(Shard {
            number,
            id: id.and_then(NodeId::new).map(|id| id.as_str().into()),
            slots: ranges(slots).ok_or_else(bad("ranges of slots"))?,
            nodes: nodes.ok_or_else(bad("nodes"))?,
        })
    }

    fn add_to(self, report: &mut Report, asked: &Asked) -> Result<(), Error> {
        let mut nodes = Vec::with_capacity(self.nodes.len().min(64));
        for node in self.nodes {
            let (id, told) = read_node(node, asked).ok_or(malformed(self.number, "a node"))?;
            nodes.push((id, told));
        }
        let master = nodes
            .iter()
            .filter(|(_, told)| told.role == Role::Master)
            .min_by_key(|(_, told)| told.health)
            .map(|(id, _)| id.clone());
        let kin = nodes.iter().map(|(id, _)| id).min().cloned();
        for (id, mut told) in nodes {
            if Some(&id) == master.as_ref() {
                told.slots = self.slots.clone();
            }
            if told.role == Role::Replica {
                told.master.clone_from(&master);
            }
            told.shard.clone_from(&self.id);
            told.kin.clone_from(&kin);
            report.add(id, told)?;
        }
        Ok(())
    }
}

/// Starts and ends in turn.
fn ranges(slots: &[Value]) -> Option<Slots> {
    let slot = |value: &Value| Slot::new(u16::try_from(value.as_u64()?).ok()?);
    let numbers: Option<Vec<Slot>> = slots.iter().map(slot).collect();
    let pairs = numbers?;
    let pairs = pairs.chunks(2).map(|pair| match pair {
        [start, end] if start <= end => Some((*start, *end)),
        _ => None,
    });
    let pairs: Option<Vec<(Slot, Slot)>> = pairs.collect();
    pairs.map(Slots::from_ranges)
}

fn read_node(node: &Value, asked: &Asked) -> Option<(NodeId, Told)> {
    let text = |name: &str| node.get(name).and_then(Value::as_str);
    let id = NodeId::new(text("id")?)?;
    let role = match text("role")? {
        "master" => Role::Master,
        "replica" | "slave" => Role::Replica,
        _ => return None,
    };
    let health = match text("health") {
        Some("loading") => Health::Loading,
        Some("fail" | "failed") => Health::Failed,
        Some(_) | None => Health::Online,
    };
    let port = node.get(if asked.tls { "tls-port" } else { "port" });
    let port = port.and_then(Value::as_u64).unwrap_or(0);
    let host = match text("endpoint") {
        None | Some("") => Some(asked.addr.host.as_str()),
        Some("?") => text("ip"),
        Some(host) => Some(host),
    };
    let told = Told {
        addr: Addr::new(host.unwrap_or(""), port),
        health,
        offset: node.get("replication-offset").and_then(Value::as_u64),
        ..Told::new(role)
    };
    Some((id, told))
}

#[cfg(test)]
mod tests;
