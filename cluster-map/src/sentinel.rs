//! What Sentinels say, and the map that comes of it.
//!
//! Masters, replicas and other Sentinels come as flat lists of fields, or as maps in RESP3. Names
//! of fields that matter here (Redis 6.0 and Valkey 9.1 `addReplySentinelRedisInstance`):
//!
//! ```text
//! name ip port flags runid config-epoch num-other-sentinels quorum        SENTINEL MASTERS, MASTER
//! name ip port flags runid master-host master-port master-link-status
//!      slave-priority slave-repl-offset replica-announced                 SENTINEL REPLICAS, SLAVES
//! name ip port flags runid                                                SENTINEL SENTINELS
//! [ip, port] or null                                       SENTINEL GET-MASTER-ADDR-BY-NAME
//! ```
//!
//! During a failover the leader answers GET-MASTER-ADDR-BY-NAME with the promoted node before it
//! is named anywhere else. Sentinels that disagree are counted: the address of the most is taken,
//! of the highest config epoch among equals. Those of another deployment are left out before
//! ([`Meant`]).

mod map;
mod meant;

pub use self::meant::Meant;
use crate::error::Error;
use crate::node::{Addr, Health, NodeId};
use crate::report::NODES_MAX;
use crate::value::Value;

/// What one Sentinel says of the masters that it watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The Sentinel.
    pub asked: Addr,
    /// Its masters.
    pub masters: Vec<Watched>,
}

/// One master, as one Sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its own row.
    pub master: Row,
    /// The answer to GET-MASTER-ADDR-BY-NAME, which is ahead of the row during a failover.
    pub addr: Option<Addr>,
    /// The rows of its replicas.
    pub replicas: Vec<Row>,
}

/// A master, a replica or a Sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The master's name; `ip:port` of a replica.
    pub name: Box<str>,
    /// Where it is, if the address can be one.
    pub addr: Option<Addr>,
    /// How this Sentinel finds it. `Failed` is `o_down`, on which a quorum agreed; `Loading` a
    /// replica that has no link to its master.
    pub health: Health,
    /// The epoch of the configuration; 0 of all but masters.
    pub epoch: u64,
    /// Replication offset of a replica.
    pub offset: Option<u64>,
    /// Sentinels that this one knows besides itself; 0 of all but masters.
    pub others: u64,
    /// Sentinels that must agree on a failure; 0 of all but masters.
    pub quorum: u64,
}

/// Reads SENTINEL MASTERS.
///
/// # Errors
/// It is an error, or no list of masters, or too large.
pub fn masters(reply: &Value) -> Result<Vec<Row>, Error> {
    rows("SENTINEL MASTERS", reply)
}

/// Reads SENTINEL MASTER name.
///
/// # Errors
/// It is an error, as for a name that is not known, or no master.
pub fn master(reply: &Value) -> Result<Row, Error> {
    if let Value::Error(words) = reply {
        return Err(Error::refused(words));
    }
    row(reply).ok_or(malformed("SENTINEL MASTER", 0, "a name and an address"))
}

/// Reads SENTINEL REPLICAS name, or SLAVES.
///
/// # Errors
/// It is an error, or no list of replicas, or too large.
pub fn replicas(reply: &Value) -> Result<Vec<Row>, Error> {
    rows("SENTINEL REPLICAS", reply)
}

/// Reads SENTINEL SENTINELS name: all but the one that was asked.
///
/// # Errors
/// It is an error, or no list of Sentinels, or too large.
pub fn sentinels(reply: &Value) -> Result<Vec<Row>, Error> {
    rows("SENTINEL SENTINELS", reply)
}

/// Reads SENTINEL GET-MASTER-ADDR-BY-NAME name; `None` if the name is not known there.
///
/// # Errors
/// It is an error, or no address.
pub fn addr(reply: &Value) -> Result<Option<Addr>, Error> {
    let members = match reply {
        Value::Null => return Ok(None),
        Value::Error(words) => return Err(Error::refused(words)),
        Value::List(list) => list.as_slice(),
        Value::Int(_) | Value::Text(_) | Value::Map(_) => &[],
    };
    let [host, port] = members else {
        return Err(malformed(ADDR, 0, "a host and a port"));
    };
    let addr = host.as_str().zip(port.as_u64());
    let addr = addr.and_then(|(host, port)| Addr::new(host, port));
    addr.map(Some).ok_or(malformed(ADDR, 0, "an address"))
}

const ADDR: &str = "SENTINEL GET-MASTER-ADDR-BY-NAME";

fn malformed(reply: &'static str, item: usize, expected: &'static str) -> Error {
    Error::Malformed {
        reply,
        item,
        expected,
    }
}

fn rows(reply: &'static str, value: &Value) -> Result<Vec<Row>, Error> {
    if let Value::Error(words) = value {
        return Err(Error::refused(words));
    }
    let list = value.as_list().ok_or(malformed(reply, 0, "a list"))?;
    if list.len() > NODES_MAX {
        return Err(Error::Limit {
            what: "nodes",
            max: NODES_MAX,
        });
    }
    let row = |(at, value): (usize, &Value)| {
        let bad = malformed(reply, at.saturating_add(1), "a name and an address");
        row(value).ok_or(bad)
    };
    list.iter().enumerate().map(row).collect()
}

fn row(value: &Value) -> Option<Row> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let flags = text("flags").unwrap_or("");
    let mut health = match text("master-link-status") {
        Some("err") => Health::Loading,
        Some(_) | None => Health::Online,
    };
    for flag in flags.split(',') {
        health = health.max(match flag {
            "o_down" => Health::Failed,
            "s_down" | "disconnected" => Health::Suspect,
            _ => Health::Online,
        });
    }
    Some(Row {
        name: NodeId::new(text("name")?)?.as_str().into(),
        addr: Addr::new(text("ip")?, number("port")?),
        health,
        epoch: number("config-epoch").unwrap_or(0),
        offset: number("slave-repl-offset"),
        others: number("num-other-sentinels").unwrap_or(0),
        quorum: number("quorum").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests;
