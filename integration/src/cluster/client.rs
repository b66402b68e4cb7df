//! A client that knows the cluster: it sends to the owner of the slot, follows MOVED and ASK,
//! reads the map again, and tries again.
//!
//! What belongs together goes together as a [`Unit`]: the commands of a transaction reach one node
//! on one connection in one go, and are tried again as a whole. A unit that still fails after
//! [`ATTEMPTS`] is counted as lost, nothing more: while masters die, writes are refused, and that is
//! the cluster's answer.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::SLOTS;
use crate::resp::{Client, Command, Reply};
use crate::wait;

/// Times that a unit is sent before it is given up.
const ATTEMPTS: u32 = 8;

/// The wait between two of them.
const PAUSE: Duration = Duration::from_millis(25);

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The map is not asked for more often than this.
const REFRESH: Duration = Duration::from_millis(100);

/// Commands for one slot.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Where their keys are.
    pub slot: u16,
    /// What to send, in this order.
    pub commands: Vec<Command>,
}

/// What a client went through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ways {
    /// MOVED replies followed.
    pub moved: u64,
    /// ASK replies followed.
    pub asked: u64,
    /// Units sent again.
    pub again: u64,
    /// Units given up.
    pub lost: u64,
}

/// Connections to every master.
pub struct ClusterClient {
    seeds: Vec<SocketAddr>,
    owners: Vec<Option<SocketAddr>>,
    links: BTreeMap<SocketAddr, Client>,
    refreshed: Option<Instant>,
    /// What it went through.
    pub ways: Ways,
}

/// What the replies to a unit ask for.
enum Verdict {
    Done,
    Again,
    Moved(SocketAddr),
    Ask(SocketAddr),
}

impl ClusterClient {
    /// A client that starts from these nodes.
    #[must_use]
    pub fn new(seeds: &[SocketAddr]) -> Self {
        Self {
            seeds: seeds.to_vec(),
            owners: vec![None; usize::from(SLOTS)],
            links: BTreeMap::new(),
            refreshed: None,
            ways: Ways::default(),
        }
    }

    /// Forgets which nodes there are and starts from these.
    pub fn reseed(&mut self, seeds: &[SocketAddr]) {
        self.seeds = seeds.to_vec();
        self.refreshed = None;
    }

    /// Sends the units at once, each to its owner, and returns the replies in the same order;
    /// those given up have none.
    pub fn round(&mut self, units: &[Unit]) -> Vec<Vec<Reply>> {
        if self.refreshed.is_none() {
            self.refresh();
        }
        let mut targets = Vec::new();
        for unit in units {
            let target = self.owners[usize::from(unit.slot)];
            let pushed = target.is_some_and(|addr| self.push(addr, &unit.commands).is_ok());
            targets.push(target.filter(|_| pushed));
        }
        let mut used: Vec<SocketAddr> = targets.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        for addr in used {
            let flushed = self.links.get_mut(&addr).map(Client::flush);
            if !matches!(flushed, Some(Ok(()))) {
                self.links.remove(&addr);
            }
        }
        let first: Vec<Option<Vec<Reply>>> = units
            .iter()
            .zip(&targets)
            .map(|(unit, target)| self.collect((*target)?, unit.commands.len()))
            .collect();
        let second = units.iter().zip(first);
        second
            .map(|(unit, replies)| self.insist(unit, replies))
            .collect()
    }

    /// Sends a command, whose first argument is a key, until a node takes it: when a busy machine held
    /// the nodes up they say CLUSTERDOWN for longer than a unit is tried. It is done twice if only its
    /// answer was lost.
    ///
    /// # Errors
    /// If no node takes it for very long, or its owner answers with an error.
    pub fn write<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result<Reply> {
        let unit = Unit {
            slot: slot_of(command.get(1).context("a key")?.as_ref()),
            commands: vec![command.iter().map(|word| word.as_ref().to_vec()).collect()],
        };
        let reply = wait::until(wait::PATIENCE, "a node to take a command", || {
            let replies = self.round(slice::from_ref(&unit)).pop();
            Ok(replies.and_then(|replies| replies.into_iter().next()))
        })?;
        ensure!(!reply.is_error(), "{}", reply.string());
        Ok(reply)
    }

    /// Sends a command to every master that owns slots; whoever does not answer is passed over.
    pub fn every_master(&mut self, command: &[Vec<u8>]) {
        self.refreshed = None;
        self.refresh();
        let mut masters: Vec<SocketAddr> = self.owners.iter().flatten().copied().collect();
        masters.sort_unstable();
        masters.dedup();
        for addr in masters {
            self.send(addr, &[command.to_vec()]);
        }
    }

    /// Follows what the replies ask for until the unit is done or given up.
    fn insist(&mut self, unit: &Unit, mut replies: Option<Vec<Reply>>) -> Vec<Reply> {
        for _ in 0..ATTEMPTS {
            let verdict = replies.as_deref().map_or(Verdict::Again, verdict);
            match verdict {
                Verdict::Done => return replies.unwrap_or_default(),
                Verdict::Moved(addr) => {
                    self.ways.moved += 1;
                    self.owners[usize::from(unit.slot)] = Some(addr);
                    self.refreshed = self.refreshed.filter(|at| at.elapsed() < REFRESH);
                    if self.refreshed.is_none() {
                        self.refresh();
                        self.owners[usize::from(unit.slot)] = Some(addr);
                    }
                }
                Verdict::Ask(addr) if unit.commands.len() == 1 => {
                    self.ways.asked += 1;
                    let asking = [vec![vec![b"ASKING".to_vec()]], unit.commands.clone()].concat();
                    let answered = self.send(addr, &asking);
                    replies = answered.map(|replies| replies[1..].to_vec());
                    continue;
                }
                Verdict::Ask(_) | Verdict::Again => {
                    thread::sleep(PAUSE);
                    self.refresh();
                }
            }
            self.ways.again += 1;
            let owner = self.owners[usize::from(unit.slot)];
            replies = owner.and_then(|addr| self.send(addr, &unit.commands));
        }
        self.ways.lost += 1;
        Vec::new()
    }

    /// One unit to one node; `None` if the node does not answer.
    fn send(&mut self, addr: SocketAddr, commands: &[Command]) -> Option<Vec<Reply>> {
        self.push(addr, commands).ok()?;
        let flushed = self.links.get_mut(&addr)?.flush();
        if flushed.is_err() {
            self.links.remove(&addr);
        }
        self.collect(addr, commands.len())
    }

    fn push(&mut self, addr: SocketAddr, commands: &[Command]) -> Result<()> {
        let client = match self.links.entry(addr) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let client = Client::connect(addr)?;
                client.read_timeout(PATIENCE)?;
                entry.insert(client)
            }
        };
        for command in commands {
            client.push(command);
        }
        Ok(())
    }

    fn collect(&mut self, addr: SocketAddr, count: usize) -> Option<Vec<Reply>> {
        let client = self.links.get_mut(&addr)?;
        let replies: Result<Vec<Reply>> = (0..count).map(|_| client.read()).collect();
        if replies.is_err() {
            // What may still come on this connection belongs to nobody any more.
            self.links.remove(&addr);
        }
        replies.ok()
    }

    /// Reads the map from the first node that gives one.
    fn refresh(&mut self) {
        let recent = self.refreshed.is_some_and(|at| at.elapsed() < REFRESH);
        if recent {
            return;
        }
        self.refreshed = Some(Instant::now());
        let mut asked: Vec<SocketAddr> = self.links.keys().copied().collect();
        asked.extend(&self.seeds);
        // Each time another node comes first: one that was cut off may tell old tales.
        let turn = usize::try_from(self.ways.again).unwrap_or(0) % asked.len().max(1);
        asked.rotate_left(turn);
        for addr in asked {
            if let Ok(owners) = owners(addr) {
                self.owners = owners;
                return;
            }
        }
    }
}

/// The owner of each slot, as that node knows it.
fn owners(addr: SocketAddr) -> Result<Vec<Option<SocketAddr>>> {
    let mut client = Client::connect(addr)?;
    client.read_timeout(Duration::from_millis(500))?;
    let reply = client.ask(&["CLUSTER", "SLOTS"])?;
    let mut owners = vec![None; usize::from(SLOTS)];
    for range in reply.items() {
        let [from, to, master, ..] = range.items() else {
            continue;
        };
        let bound = |reply: &Reply| reply.int().and_then(|n| usize::try_from(n).ok());
        let (Some(from), Some(to)) = (bound(from), bound(to)) else {
            continue;
        };
        let [ip, port, ..] = master.items() else {
            continue;
        };
        let owner = format!("{}:{}", ip.string(), port.string()).parse().ok();
        for slot in owners.iter_mut().take(to + 1).skip(from) {
            *slot = owner;
        }
    }
    Ok(owners)
}

fn verdict(replies: &[Reply]) -> Verdict {
    let errors = replies.iter().filter(|reply| reply.is_error());
    for text in errors.map(Reply::string) {
        let mut words = text.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let target = words.nth(1).and_then(|addr| addr.parse().ok());
        match (kind, target) {
            ("MOVED", Some(addr)) => return Verdict::Moved(addr),
            ("ASK", Some(addr)) => return Verdict::Ask(addr),
            ("TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY", _) => {
                return Verdict::Again;
            }
            _ => {}
        }
    }
    Verdict::Done
}

/// The slot of a key: CRC16 of its hash tag, or of all of it.
#[must_use]
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What stands between the first braces of a key, if that is anything.
#[must_use]
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|&byte| byte == b'}')?;
    (close > 0).then(|| &rest[..close])
}

/// CRC-16/XMODEM, bit by bit.
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for &byte in bytes {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::slot_of;

    #[test]
    fn slots_are_those_of_the_servers() {
        // CLUSTER KEYSLOT of Redis 7.0.
        let known: [(&[u8], u16); 5] = [
            (b"123456789", 12739),
            (b"foo", 12182),
            (b"{foo}bar", 12182),
            (b"foo{}{bar}", 8363),
            (b"foo{{bar}}zap", 4015),
        ];
        for (key, slot) in known {
            assert_eq!(slot_of(key), slot, "{}", key.escape_ascii());
        }
    }
}
