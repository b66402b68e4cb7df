//! CLUSTER SLOTS: the endpoints of those who own slots and of their healthy replicas.
//!
//! ```text
//! [[start, end, [endpoint, port, id, [ip, ..., hostname, ...]?], replica, ...], ...]
//! ```
//!
//! The id is there since 4.0, the fourth member since 7.0. Endpoints are null when clients are to
//! stay with the host that they dialled, `""` when the node does not know its own, and `?` when it
//! should be a host name and there is none; then the IP address stands in. The port is that of the
//! protocol the question came over. Masters without slots are not there, nor are replicas that
//! failed or have no data (Redis 7.0 `isReplicaAvailable`).

use crate::error::Error;
use crate::node::{Addr, Asked, NodeId, Role};
use crate::report::{RANGES_MAX, Report, Told};
use crate::slots::{Slot, Slots};
use crate::value::Value;

/// Reads a reply.
///
/// # Errors
/// It is an error, or no list of ranges, or too large.
pub fn parse(reply: &Value, asked: &Asked) -> Result<Report, Error> {
    if let Value::Error(words) = reply {
        return Err(Error::refused(words));
    }
    let list = reply.as_list().ok_or(malformed(0, "a list of ranges"))?;
    if list.len() > RANGES_MAX {
        return Err(Error::Limit {
            what: "ranges of slots",
            max: RANGES_MAX,
        });
    }
    let mut report = Report::new(&asked.addr);
    let mut owned: Vec<(NodeId, (Slot, Slot))> = Vec::with_capacity(list.len());
    for (at, range) in list.iter().enumerate() {
        let bad = |expected| move || malformed(at.saturating_add(1), expected);
        let range = range.as_list().ok_or_else(bad("a range"))?;
        let [start, end, master, replicas @ ..] = range else {
            return Err(bad("a start, an end and a master")());
        };
        let slots = slot(start).zip(slot(end)).filter(|(a, b)| a <= b);
        let slots = slots.ok_or_else(bad("a range of slots"))?;
        let (id, addr) = node(master, asked).ok_or_else(bad("a master"))?;
        add(
            &mut report,
            &id,
            Told {
                addr,
                ..Told::new(Role::Master)
            },
        )?;
        for replica in replicas {
            let (replica, addr) = node(replica, asked).ok_or_else(bad("a replica"))?;
            let told = Told {
                addr,
                master: Some(id.clone()),
                ..Told::new(Role::Replica)
            };
            add(&mut report, &replica, told)?;
        }
        owned.push((id, slots));
    }
    owned.sort();
    for of_one in owned.chunk_by(|(a, _), (b, _)| a == b) {
        let slots = Slots::from_ranges(of_one.iter().map(|(_, range)| *range));
        report.claim(&slots)?;
        if let Some(told) = of_one.first().and_then(|(id, _)| report.node_mut(id)) {
            told.slots = slots;
        }
    }
    Ok(report)
}

/// A node comes once for each range that it serves.
fn add(report: &mut Report, id: &NodeId, told: Told) -> Result<(), Error> {
    if report.nodes().contains_key(id) {
        return Ok(());
    }
    report.add(id.clone(), told)
}

fn malformed(item: usize, expected: &'static str) -> Error {
    Error::Malformed {
        reply: "CLUSTER SLOTS",
        item,
        expected,
    }
}

fn slot(value: &Value) -> Option<Slot> {
    Slot::new(u16::try_from(value.as_u64()?).ok()?)
}

/// A node without an id is named by its address.
fn node(value: &Value, asked: &Asked) -> Option<(NodeId, Option<Addr>)> {
    let [endpoint, port, more @ ..] = value.as_list()? else {
        return None;
    };
    let host = match endpoint.as_str() {
        None | Some("") => asked.addr.host.as_str(),
        Some("?") => {
            let meta = more.get(1).and_then(|meta| meta.get("ip"));
            meta.and_then(Value::as_str).unwrap_or("")
        }
        Some(host) => host,
    };
    let addr = Addr::new(host, port.as_u64()?);
    let id = match more.first() {
        Some(id) => NodeId::new(id.as_str()?)?,
        None => NodeId::of(addr.as_ref()?),
    };
    Some((id, addr))
}

#[cfg(test)]
mod tests;
