//! Where a master stands: what its deployment, its stream and our own link tell, beside what the
//! server says of itself. Plain data that the proxy gathered; absent is what nobody knows.

use std::sync::Arc;

use crate::keyspace::SlotOf;

/// Everything of it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// How fast its stream is; `None` before the first second.
    pub pace: Option<Pace>,
    /// What it is called over failovers.
    pub shard: String,
    /// Bytes that its container may take; `None` if nobody said it.
    pub container_bytes: Option<u64>,
    /// Our link to it.
    pub link: Link,
    /// Its replicas by the map, us not among them; `None` for a plain server.
    pub replicas: Option<Vec<Node>>,
    /// Who watches it, where that is Sentinels.
    pub guard: Option<Guard>,
    /// The cluster that it is a part of.
    pub cluster: Option<Cluster>,
}

/// The stream of the last five to ten minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Seconds that were measured.
    pub seconds: u64,
    /// Bytes a second, in the mean.
    pub bytes_mean: u64,
    /// Bytes a second that 99 of 100 seconds do not exceed.
    pub bytes_p99: u64,
    /// Bytes of the busiest second.
    pub bytes_max: u64,
    /// Commands a minute, in the mean.
    pub commands_per_min: u64,
}

/// What we ourselves are to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The port that we announce as a replica.
    pub announced_port: u64,
    /// It is not encrypted.
    pub is_plain: bool,
    /// The address that we reach the server at.
    pub host: String,
    /// We follow a replica of the master, not itself.
    pub on_replica: bool,
    /// Full syncs that we took of this server since we started.
    pub full_syncs: u64,
    /// Since when nothing arrived, milliseconds; `None` if nothing ever did.
    pub silent_ms: Option<u64>,
}

/// A node of the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `host:port`, or its id where that is not known.
    pub name: String,
    /// Its host; empty where that is not known.
    pub host: String,
    /// Nobody reaches it.
    pub is_down: bool,
}

/// The Sentinels of a master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// How many must agree that it has failed.
    pub quorum: u64,
    /// Where they are.
    pub sentinels: Vec<Node>,
}

/// A cluster, as its nodes agree on it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Masters with slots.
    pub masters: u64,
    /// Slots of this master.
    pub own_slots: u64,
    /// Slots without an owner.
    pub uncovered: u64,
    /// Slots of masters that somebody cannot reach.
    pub suspect: u64,
    /// Slots of masters that have failed.
    pub failed: u64,
    /// Hosts of all nodes, each once.
    pub hosts: Arc<[String]>,
    /// Slots of this master that are on their way to another one.
    pub moving: Vec<u16>,
    /// Slots of this master that would have to move for bytes to be even, whatever is in them.
    pub planned: Vec<u16>,
    /// Which slot a name has.
    pub slot_of: Option<SlotOf>,
}

/// A line `slaveN:..` of INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// `ip:port` as it announced itself.
    pub name: String,
    /// Its host.
    pub host: String,
    /// `online`, `wait_bgsave`, `send_bulk`.
    pub state: String,
    /// Seconds since it was heard of.
    pub lag_s: u64,
    /// No server: Keyscape, or another program whose port cannot be one.
    pub is_program: bool,
}

impl Attached {
    /// Reads a line's value, as `ip=10.0.0.1,port=6379,state=online,offset=5,lag=1`; `own_port` is
    /// what we announce.
    pub fn parse(value: &str, own_port: u64) -> Option<Attached> {
        let fact = |name: &str| {
            let mut facts = value.split(',').filter_map(|fact| fact.split_once('='));
            facts.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let (host, port) = (fact("ip")?, fact("port")?);
        let is_server = port.parse::<u16>().is_ok_and(|port| port > 0);
        Some(Attached {
            name: format!("{host}:{port}"),
            host: host.to_owned(),
            state: fact("state")?.to_owned(),
            lag_s: fact("lag").and_then(|lag| lag.parse().ok()).unwrap_or(0),
            is_program: !is_server || port.parse() == Ok(own_port),
        })
    }

    /// Follows the stream.
    pub fn is_online(&self) -> bool {
        self.state == "online"
    }
}

/// True for an address that other hosts cannot have.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches("::ffff:");
    host.is_empty() || host == "localhost" || host == "::1" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_and_programs_are_told_apart() {
        let parse = |value: &str| Attached::parse(value, 6479);
        let replica = parse("ip=10.0.0.1,port=6379,state=online,offset=5,lag=3,type=replica");
        let replica = replica.unwrap();
        assert_eq!((replica.name.as_str(), replica.lag_s), ("10.0.0.1:6379", 3));
        assert!(replica.is_online() && !replica.is_program);
        for (port, is_program) in [
            ("65536", true),
            ("0", true),
            ("6479", true),
            ("6380", false),
        ] {
            let value = format!("ip=::1,port={port},state=wait_bgsave,offset=0,lag=0");
            assert_eq!(parse(&value).unwrap().is_program, is_program, "{port}");
        }
        assert_eq!(parse("ip=10.0.0.1"), None);
    }

    #[test]
    fn local_addresses() {
        for (host, local) in [
            ("127.0.0.1", true),
            ("127.8.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("10.0.0.1", false),
            ("fd00::2", false),
            ("redis-0.redis", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
