//! CLUSTER NODES: the one answer that every version has, and the one with epochs and flags.
//!
//! ```text
//! <id> <ip>:<port>[@<cport>][,<hostname>][,<k>=<v>]* <flags> <master|-> <ping> <pong> <epoch> <link> <slots>...
//! 07c3.. 10.0.0.1:6379@16379,a.example myself,master - 0 0 3 connected 0-5460 7000 [93->-292f..] [95-<-cf31..]
//! ```
//!
//! The host name is there since 7.0, the pairs only in nodes.conf; `@` since 4.0. An IPv6 address
//! has no brackets, so the port follows the last colon. The address is `:0@0` when nobody knows it
//! (flag `noaddr`) and begins with the colon when a node does not know its own. Slots on their way
//! are on the line of the node that was asked, and no other. Nodes in `handshake` have an id that
//! will change, and are left out. (Redis 8.0 and Valkey 9.1 `clusterGenNodeDescription`.)

use crate::error::Error;
use crate::node::{Addr, Asked, Health, NodeId, Role};
use crate::report::{RANGES_MAX, Report, Told};
use crate::slots::{Slot, Slots};
use crate::value::Value;

/// Longest text accepted, in bytes: [`crate::report::NODES_MAX`] long lines and all slots.
pub const TEXT_BYTES_MAX: usize = 8 << 20;

/// Reads a reply.
///
/// # Errors
/// It is an error, or no text of nodes, or too large.
pub fn parse(reply: &Value, asked: &Asked) -> Result<Report, Error> {
    match reply {
        Value::Text(text) => parse_text(text, asked),
        Value::Error(words) => Err(Error::refused(words)),
        Value::Null | Value::Int(_) | Value::List(_) | Value::Map(_) => {
            Err(malformed(0, "lines of text"))
        }
    }
}

/// Reads the text of a reply.
///
/// # Errors
/// It is no text of nodes, or too large.
pub fn parse_text(text: &[u8], asked: &Asked) -> Result<Report, Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::Limit {
            what: "bytes of CLUSTER NODES",
            max: TEXT_BYTES_MAX,
        });
    }
    let text = std::str::from_utf8(text).map_err(|_| malformed(0, "plain text"))?;
    let mut report = Report::new(&asked.addr);
    let mut ranges_left = RANGES_MAX;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    for (at, line) in lines.enumerate() {
        let line = Line {
            words: line.split_ascii_whitespace(),
            number: at.saturating_add(1),
        };
        if let Some((id, told)) = line.read(asked, &mut ranges_left)? {
            report.add(id, told)?;
        }
    }
    if report.nodes().is_empty() {
        return Err(malformed(0, "at least one node"));
    }
    Ok(report)
}

fn malformed(item: usize, expected: &'static str) -> Error {
    Error::Malformed {
        reply: "CLUSTER NODES",
        item,
        expected,
    }
}

struct Line<'a> {
    words: std::str::SplitAsciiWhitespace<'a>,
    number: usize,
}

impl<'a> Line<'a> {
    fn word(&mut self, expected: &'static str) -> Result<&'a str, Error> {
        self.words.next().ok_or(malformed(self.number, expected))
    }

    /// The node of the line; `None` if it is in handshake.
    fn read(mut self, asked: &Asked, left: &mut usize) -> Result<Option<(NodeId, Told)>, Error> {
        let number = self.number;
        let bad = |expected| move || malformed(number, expected);
        let id = NodeId::new(self.word("a node id")?).ok_or_else(bad("a node id"))?;
        let place = self.word("an address")?;
        let flags = Flags::read(self.word("flags")?);
        let master = self.word("a master")?;
        self.word("the time of a ping")?;
        self.word("the time of a pong")?;
        let epoch = self.word("an epoch")?.parse();
        self.word("the state of the link")?;
        let Some(role) = flags.role else {
            return Ok(None);
        };
        let mut told = Told::new(role);
        if role == Role::Replica {
            told.master = NodeId::new(master).filter(|id| id.as_str() != "-");
        }
        told.epoch = epoch.map_err(|_| malformed(number, "an epoch"))?;
        told.health = flags.health;
        told.myself = flags.myself;
        let place = Place::read(place).ok_or_else(bad("an address"))?;
        told.shard = place.shard.map(Box::from);
        told.addr = match flags.has_addr {
            true => place.addr(asked, flags.myself),
            false => None,
        };
        self.slots(&mut told, left)?;
        Ok(Some((id, told)))
    }

    fn slots(self, told: &mut Told, left: &mut usize) -> Result<(), Error> {
        let mut ranges = Vec::new();
        for word in self.words {
            *left = left.checked_sub(1).ok_or(Error::Limit {
                what: "ranges of slots",
                max: RANGES_MAX,
            })?;
            let item = Item::read(word).ok_or(malformed(self.number, "slots"))?;
            match item {
                Item::Range(start, end) => ranges.push((start, end)),
                Item::Migrating(slot, to) => told.migrating.push((slot, to)),
                Item::Importing(slot, from) => told.importing.push((slot, from)),
            }
        }
        told.slots = Slots::from_ranges(ranges);
        Ok(())
    }
}

struct Flags {
    role: Option<Role>,
    health: Health,
    myself: bool,
    has_addr: bool,
}

impl Flags {
    /// Unknown flags are left alone: versions to come will have more.
    fn read(text: &str) -> Flags {
        let mut flags = Flags {
            role: None,
            health: Health::Online,
            myself: false,
            has_addr: true,
        };
        let mut handshake = false;
        for flag in text.split(',') {
            match flag {
                "myself" => flags.myself = true,
                "master" => flags.role = Some(Role::Master),
                "slave" => flags.role = Some(Role::Replica),
                "fail?" => flags.health = flags.health.max(Health::Suspect),
                "fail" => flags.health = Health::Failed,
                "noaddr" => flags.has_addr = false,
                "handshake" => handshake = true,
                _ => {}
            }
        }
        if handshake {
            flags.role = None;
        }
        flags
    }
}

/// The second word of a line.
struct Place<'a> {
    host: &'a str,
    port: u64,
    hostname: &'a str,
    shard: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn read(word: &'a str) -> Option<Place<'a>> {
        let mut parts = word.split(',');
        let addr = parts.next()?;
        let addr = addr.split_once('@').map_or(addr, |(addr, _)| addr);
        let (host, port) = addr.rsplit_once(':')?;
        let mut place = Place {
            host,
            port: port.parse().ok()?,
            hostname: "",
            shard: None,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("shard-id", id)) => place.shard = is_id(id).then_some(id),
                Some(_) => {}
                None => place.hostname = part,
            }
        }
        Some(place)
    }

    /// The IP address; a node that does not know its own has the one that was dialled.
    fn addr(&self, asked: &Asked, myself: bool) -> Option<Addr> {
        if let Some(addr) = Addr::new(self.host, self.port) {
            return Some(addr);
        }
        match myself {
            true => Some(asked.addr.clone()),
            false => Addr::new(self.hostname, self.port),
        }
    }
}

fn is_id(text: &str) -> bool {
    NodeId::new(text).is_some()
}

enum Item {
    Range(Slot, Slot),
    Migrating(Slot, NodeId),
    Importing(Slot, NodeId),
}

impl Item {
    fn read(word: &str) -> Option<Item> {
        let slot = |text: &str| text.parse().ok().and_then(Slot::new);
        if let Some(moving) = word.strip_prefix('[') {
            let moving = moving.strip_suffix(']')?;
            if let Some((number, to)) = moving.split_once("->-") {
                return Some(Item::Migrating(slot(number)?, NodeId::new(to)?));
            }
            let (number, from) = moving.split_once("-<-")?;
            return Some(Item::Importing(slot(number)?, NodeId::new(from)?));
        }
        let (start, end) = word.split_once('-').unwrap_or((word, word));
        let (start, end) = (slot(start)?, slot(end)?);
        (start <= end).then_some(Item::Range(start, end))
    }
}

#[cfg(test)]
mod tests;
