//! Nodes: what they are called, where they are, what they are and how they are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::slots::{Slot, Slots};

/// Longest host name, in bytes (`NET_HOST_STR_LEN` of the servers, less its NUL).
pub const HOST_BYTES_MAX: usize = 255;

/// Longest id of a node or a group, in bytes: a host and a port, or a master's name of Sentinel.
pub const ID_BYTES_MAX: usize = 300;

/// Names a node: 40 hex digits in clusters; `host:port` elsewhere. Never empty, no blanks, at most
/// [`ID_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// An id from its text; `None` if it is empty, too long, or has blanks in it.
    pub fn new(text: &str) -> Option<NodeId> {
        is_word(text, ID_BYTES_MAX).then(|| NodeId(text.into()))
    }

    /// The id of a node that has nothing but its address.
    pub fn of(addr: &Addr) -> NodeId {
        NodeId(addr.to_string().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// True for text without blanks and control characters, from 1 to `max` bytes long.
pub(crate) fn is_word(text: &str, max: usize) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    (1..=max).contains(&text.len()) && text.chars().all(plain)
}

/// Where a node listens. Written `host:port`, an IPv6 host in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr {
    /// Name or IP address, without brackets.
    pub host: String,
    /// Port, not 0.
    pub port: u16,
}

impl Addr {
    /// An address; `None` without a host, with one that cannot be one, or with a port that is 0 or
    /// no port.
    pub fn new(host: &str, port: u64) -> Option<Addr> {
        let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let host = is_word(host, HOST_BYTES_MAX).then(|| host.to_owned())?;
        Some(Addr { host, port })
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAddr;

impl fmt::Display for NotAnAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected host:port")
    }
}

impl std::error::Error for NotAnAddr {}

impl FromStr for Addr {
    type Err = NotAnAddr;

    /// Reads `host:port`, `[v6]:port`, and `v6:port` as CLUSTER NODES writes it: the port is what
    /// follows the last colon.
    fn from_str(text: &str) -> Result<Addr, NotAnAddr> {
        let (host, port) = text.rsplit_once(':').ok_or(NotAnAddr)?;
        let port = port.parse().map_err(|_| NotAnAddr)?;
        Addr::new(host, port).ok_or(NotAnAddr)
    }
}

/// How a node was asked: what fills the gaps in what it says about itself and others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The address that was dialled.
    pub addr: Addr,
    /// Whether TLS was spoken, and so which of two ports is wanted.
    pub tls: bool,
}

/// What a node is within its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Takes the writes of its group. A group has at most one.
    Master,
    /// Any other: a replica, or a master that lost its slots to another of its group.
    Replica,
}

impl Role {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Replica => "replica",
        }
    }
}

/// How a node is, according to those that were asked. Later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// As it should be.
    Online,
    /// Reads its data, or has not finished its first copy of its master's.
    Loading,
    /// Some cannot reach it: `fail?`, `s_down`, `disconnected`.
    Suspect,
    /// Enough agree that it cannot be reached: `fail`, `o_down`.
    Failed,
}

impl Health {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Health::Online => "online",
            Health::Loading => "loading",
            Health::Suspect => "suspect",
            Health::Failed => "failed",
        }
    }
}

/// One node of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Where it says that it is; `None` if nobody knows.
    pub addr: Option<Addr>,
    /// What it is.
    pub role: Role,
    /// What it is flagged as: a master that lost its slots to another of its group is still one here.
    pub flagged: Role,
    /// How it is.
    pub health: Health,
    /// Its replication offset, if told; some seconds old.
    pub offset: Option<u64>,
}

/// A master with its replicas: a shard of a cluster, a named master of Sentinel, or a plain server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Stays over failovers: the shard's id where the servers have one, else found again by
    /// membership; Sentinel: the master's name; plain: `host:port` as configured.
    pub id: Box<str>,
    /// The master first, if there is one; then the others by id.
    pub nodes: Vec<Node>,
    /// The slots of its master; empty outside clusters.
    pub slots: Slots,
    /// Config epoch of the master; 0 where there is none.
    pub epoch: u64,
    /// Slots on their way out, with the node they go to. Told only by the master itself, the last time
    /// that it was asked.
    pub migrating: Vec<(Slot, NodeId)>,
    /// Slots on their way in, with the node they come from; told in the same way.
    pub importing: Vec<(Slot, NodeId)>,
}

impl Group {
    /// Its master.
    pub fn master(&self) -> Option<&Node> {
        self.nodes.first().filter(|node| node.role == Role::Master)
    }

    /// Its replicas.
    pub fn replicas(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.role == Role::Replica)
    }

    /// The node of that id.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, host, port) in [
            ("h:1", "h", 1),
            ("[::1]:6379", "::1", 6379),
            ("fe80::1:6379", "fe80::1", 6379),
            ("10.0.0.1:65535", "10.0.0.1", 65_535),
        ] {
            let addr: Addr = text.parse().unwrap();
            assert_eq!((addr.host.as_str(), addr.port), (host, port), "{text}");
            assert_eq!(addr.to_string().parse(), Ok(addr), "{text}");
        }
        for text in [
            "", "h", ":1", "h:0", "h:65536", "h:-1", "a b:1", "h:x", "[]:1",
        ] {
            assert_eq!(text.parse::<Addr>(), Err(NotAnAddr), "{text}");
        }
        assert_eq!(Addr::new(&"h".repeat(HOST_BYTES_MAX + 1), 1), None);
    }

    #[test]
    fn ids_are_words_of_bounded_length() {
        assert!(NodeId::new("a").is_some());
        for text in ["", "a b", "a\n", &"a".repeat(ID_BYTES_MAX + 1)] {
            assert_eq!(NodeId::new(text), None, "{text}");
        }
    }
}
