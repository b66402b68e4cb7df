//! INFO replication: the map of plain servers, for those who want a replica of one.
//!
//! ```text
//! role:master                                       role:slave
//! slave0:ip=10.0.0.2,port=6379,state=online,        master_host:10.0.0.1
//!        offset=14,lag=0[,type=replica]             master_port:6379
//! master_repl_offset:14                             master_link_status:up
//! master_replid:...                                 slave_repl_offset:14
//! ```
//!
//! Lines of replicas whose port cannot be one are no replicas: programs announce 0, or 65536, to be
//! left alone. The second connection of a full sync (`type=rdb-channel`, Redis 8.0 and Valkey 8) is
//! none either. (Redis 8.0 and Valkey 9.1 `genRedisInfoString`.)

use std::collections::BTreeMap;

use crate::error::Error;
use crate::node::{Addr, Asked, Group, Health, Node, NodeId, Role};
use crate::report::NODES_MAX;
use crate::slots::Slots;
use crate::topology::Topology;

impl Topology {
    /// The map of one plain server: what [`parse`] made of its answer.
    pub fn of_info(group: Group) -> Topology {
        Topology::build(vec![group], Vec::new(), true)
    }
}

/// Reads the text of a server's INFO replication. The group is named by the address that was
/// asked; if that is a replica, its master is in the group, and the other replicas are not.
///
/// # Errors
/// It is no such text, or too large.
pub fn parse(text: &[u8], asked: &Asked) -> Result<Group, Error> {
    let text = std::str::from_utf8(text).map_err(|_| malformed("plain text"))?;
    let fields = || text.lines().filter_map(|line| line.split_once(':'));
    let field = |name: &str| {
        fields()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let number = |name: &str| field(name).and_then(|value| value.parse().ok());
    let mut nodes = BTreeMap::new();
    let this = |role| Node {
        id: NodeId::of(&asked.addr),
        addr: Some(asked.addr.clone()),
        role,
        flagged: role,
        health: Health::Online,
        offset: number("master_repl_offset"),
    };
    match field("role") {
        Some("master") => {
            nodes.insert(asked.addr.clone(), this(Role::Master));
            for (_, line) in fields().filter(|(key, _)| is_replica_line(key)) {
                if let Some((addr, node)) = replica(line) {
                    nodes.entry(addr).or_insert(node);
                }
                if nodes.len() > NODES_MAX {
                    return Err(Error::Limit {
                        what: "nodes",
                        max: NODES_MAX,
                    });
                }
            }
        }
        Some("slave") => {
            let mut replica = this(Role::Replica);
            replica.offset = number("slave_repl_offset").or(replica.offset);
            if field("master_link_status") != Some("up") {
                replica.health = Health::Loading;
            }
            nodes.insert(asked.addr.clone(), replica);
            let master = field("master_host").zip(number("master_port"));
            if let Some(master) = master.and_then(|(host, port)| Addr::new(host, port)) {
                nodes
                    .entry(master.clone())
                    .or_insert(plain(master, Role::Master));
            }
        }
        Some(_) | None => return Err(malformed("role:master or role:slave")),
    }
    Ok(Group {
        id: asked.addr.to_string().into(),
        nodes: nodes.into_values().collect(),
        slots: Slots::default(),
        epoch: 0,
        migrating: Vec::new(),
        importing: Vec::new(),
    })
}

fn malformed(expected: &'static str) -> Error {
    Error::Malformed {
        reply: "INFO replication",
        item: 0,
        expected,
    }
}

/// `slave0`, not `slave_repl_offset`.
fn is_replica_line(key: &str) -> bool {
    let number = key.strip_prefix("slave").unwrap_or("");
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn plain(addr: Addr, role: Role) -> Node {
    Node {
        id: NodeId::of(&addr),
        addr: Some(addr),
        role,
        flagged: role,
        health: Health::Online,
        offset: None,
    }
}

fn replica(line: &str) -> Option<(Addr, Node)> {
    let pair = |name: &str| {
        let pairs = line.trim_end().split(',');
        let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if pair("type").is_some_and(|kind| kind != "replica") {
        return None;
    }
    let addr = Addr::new(pair("ip")?, pair("port")?.parse().ok()?)?;
    let node = Node {
        health: match pair("state") {
            Some("online") => Health::Online,
            Some(_) | None => Health::Loading,
        },
        offset: pair("offset").and_then(|offset| offset.parse().ok()),
        ..plain(addr.clone(), Role::Replica)
    };
    Some((addr, node))
}

#[cfg(test)]
mod tests;
