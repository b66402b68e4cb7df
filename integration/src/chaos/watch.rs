//! What must never happen, looked for all the while.
//!
//! - WAIT is never satisfied by us: it counts no more replicas than there are real ones;
//! - Sentinel never lists us among its replicas, and never names us as the master;
//! - never two full syncs of ours at once on one host (here all servers are on one);
//! - with `follow = "replica"` no full sync of ours on a master;
//! - Sentinel and replicas aside, nobody else is a master than a real server: [`super::Runner`]
//!   compares with those.
//!
//! It also remembers how far we were in each history, which tells whether a promoted replica had
//! everything that we had.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::app::App;
use crate::follow::Follow;
use crate::load::Writer;
use crate::resp::{Client, Reply, field_of};
use crate::sentinel;

/// WAIT is tried this often.
const WAIT_EVERY: Duration = Duration::from_millis(700);

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// In this time a full sync of ours may begin on a new master, as if it were a replica still.
const UNAWARE: Duration = Duration::from_secs(20);

/// The port that we announce, as no server can.
const OURS: u32 = 65_536;

/// Violations remembered.
const VIOLATIONS_MAX: usize = 50;

/// Where a server stands, and where it took over.
#[derive(Debug, Clone)]
pub struct Position {
    /// The history that it took over.
    pub replid2: String,
    /// The first offset that is no longer of that history.
    pub second: i64,
}

impl Position {
    /// Asks a server.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn of(addr: SocketAddr) -> Result<Self> {
        let mut client = Client::connect(addr)?;
        Ok(Self {
            replid2: client.info("replication", "master_replid2")?,
            second: client.info("replication", "second_repl_offset")?.parse()?,
        })
    }
}

/// The one who looks.
#[derive(Default)]
pub struct Watcher {
    admin: Option<SocketAddr>,
    servers: Vec<SocketAddr>,
    sentinels: Vec<SocketAddr>,
    clients: BTreeMap<SocketAddr, Client>,
    waited: Option<Instant>,
    /// By history: the master's name at the time, and how far we were.
    seen: BTreeMap<String, (String, i64)>,
    last: (u64, u64),
    follow: Follow,
    /// Since when each server was seen to be a master.
    masters: BTreeMap<SocketAddr, Instant>,
    /// Since when each server was seen to have a full sync of ours.
    syncing: BTreeMap<SocketAddr, Instant>,
    /// Full syncs, counted over the life of all links.
    pub full: u64,
    /// Partial resyncs likewise.
    pub partial: u64,
    /// Times that it looked.
    pub looks: u64,
    /// What it saw.
    pub violations: Vec<String>,
}

/// One server's replicas, told apart.
#[derive(Debug, Default, Clone)]
struct Replicas {
    /// The ports of those that are not ours. One may have joined that nobody told the watcher of.
    real: BTreeSet<u32>,
    /// Ours that are in the middle of a full sync.
    ours_syncing: u64,
}

impl Watcher {
    /// Watches these.
    #[must_use]
    pub fn new(app: &App, servers: Vec<SocketAddr>, sentinels: Vec<SocketAddr>) -> Self {
        Self {
            admin: Some(app.admin),
            servers,
            sentinels,
            ..Self::default()
        }
    }

    /// Keyscape follows nodes of this kind.
    #[must_use]
    pub fn following(mut self, follow: Follow) -> Self {
        self.follow = follow;
        self
    }

    /// There are other servers by now.
    pub fn reseed(&mut self, servers: &[SocketAddr]) {
        self.servers = servers.to_vec();
    }

    /// Adds what the counters grew by; a link that ended takes its counters along.
    pub fn count(&mut self, full: u64, partial: u64) {
        self.full += full.saturating_sub(self.last.0);
        self.partial += partial.saturating_sub(self.last.1);
        self.last = (full, partial);
    }

    /// How far beyond the point where this server took over we had seen its history, if at all;
    /// `log` is what we logged since.
    #[must_use]
    pub fn ahead(&self, promoted: &Position, log: &str) -> Option<i64> {
        let (name, offset) = self.seen.get(&promoted.replid2)?;
        // What came between the last look and the loss of the link is in the log.
        let own = format!("link lost master={name} ");
        let lost = log.lines().filter(|line| line.contains(&own));
        let lost = lost.filter_map(lost_at).max().unwrap_or(-1);
        // The second offset is the first one that is no longer of the old history.
        let beyond = lost.max(*offset) - (promoted.second - 1);
        (beyond > 0).then_some(beyond)
    }

    /// What was seen belongs to a failover that is over.
    pub fn forget_positions(&mut self) {
        self.seen.clear();
    }

    fn look(&mut self) -> Result<()> {
        self.looks += 1;
        let admin = self.admin.context("an admin port")?;
        let mut client = Client::connect(admin)?;
        client.read_timeout(PATIENCE)?;
        let info = client.ask(&["INFO", "keyscape"])?.string();
        let (mut full, mut partial) = (0, 0);
        for followed in crate::app::followed_in(&info) {
            full += followed.full_syncs;
            partial += followed.partial_syncs;
            let seen = self.seen.entry(followed.replid).or_default();
            *seen = (followed.name, followed.offset.max(seen.1));
        }
        self.count(full, partial);
        self.syncs_at_once();
        if self.waited.is_none_or(|at| at.elapsed() > WAIT_EVERY) {
            self.waited = Some(Instant::now());
            self.wait_on_one();
            self.ask_sentinels();
        }
        Ok(())
    }

    /// A server that is away or busy has nothing to say.
    fn ask(&mut self, addr: SocketAddr, words: &[&str]) -> Option<Reply> {
        let client = match self.clients.entry(addr) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let client = Client::connect(addr).ok()?;
                client.read_timeout(PATIENCE).ok()?;
                entry.insert(client)
            }
        };
        let reply = client.call(words);
        if reply.is_err() {
            self.clients.remove(&addr);
        }
        reply.ok()
    }

    fn replicas(&mut self, addr: SocketAddr) -> Option<(Replicas, String)> {
        let info = self.ask(addr, &["INFO", "replication"])?.string();
        let mut found = Replicas::default();
        let lines = info.lines().filter(|line| is_replica_line(line));
        for line in lines {
            let port = value_of(line, "port").and_then(|port| port.parse::<u32>().ok());
            let state = value_of(line, "state").unwrap_or_default();
            if port != Some(OURS) {
                found.real.extend(port);
            } else if ["wait_bgsave", "send_bulk"].contains(&state) {
                found.ours_syncing += 1;
            }
        }
        self.full_sync_of(addr, &info, found.ours_syncing);
        Some((found, info))
    }

    /// A full sync may have begun while the server was a replica, or while we did not know yet that
    /// it is none any more.
    fn full_sync_of(&mut self, addr: SocketAddr, info: &str, ours_syncing: u64) {
        if ours_syncing == 0 {
            self.syncing.remove(&addr);
        } else {
            self.syncing.entry(addr).or_insert_with(Instant::now);
        }
        if field_of(info, "role").as_deref() != Some("master") {
            self.masters.remove(&addr);
            return;
        }
        let since = *self.masters.entry(addr).or_insert_with(Instant::now);
        let began = self.syncing.get(&addr);
        let late = began.is_some_and(|began| began.saturating_duration_since(since) > UNAWARE);
        if late && self.follow == Follow::Replica {
            self.violation(format!("a full sync on the master {addr}"));
        }
    }

    /// Two full syncs of ours at once; counted only if a second look in the other order says the
    /// same, as one may end and the next begin between two answers.
    fn syncs_at_once(&mut self) {
        let servers = self.servers.clone();
        let syncing = |watcher: &mut Self, servers: &mut dyn Iterator<Item = &SocketAddr>| {
            let counts = servers.filter_map(|addr| watcher.replicas(*addr));
            counts.map(|(found, _)| found.ours_syncing).sum::<u64>()
        };
        if syncing(self, &mut servers.iter()) < 2 {
            return;
        }
        let again = syncing(self, &mut servers.iter().rev());
        if again >= 2 {
            self.violation(format!("{again} full syncs at once on one host"));
        }
    }

    fn wait_on_one(&mut self) {
        let turn = usize::try_from(self.looks).unwrap_or(0) % self.servers.len().max(1);
        let addr = self.servers[turn];
        let Some((before, info)) = self.replicas(addr) else {
            return;
        };
        if field_of(&info, "role").as_deref() != Some("master") {
            return;
        }
        // In a cluster a server has some keys only. A connection that never wrote waits for nothing,
        // and any replica has that.
        let written = (0..12).any(|n| {
            let reply = self.ask(addr, &["SET", &format!("chaos:wait:{n}"), "x"]);
            reply.is_some_and(|reply| !reply.is_error())
        });
        if !written {
            return;
        }
        let Some(reply) = self.ask(addr, &["WAIT", "9", "60"]) else {
            return;
        };
        let Some((after, _)) = self.replicas(addr) else {
            return;
        };
        // One may have left while another one joined.
        let real = i64::try_from(before.real.union(&after.real).count()).unwrap_or(i64::MAX);
        if reply.int().is_some_and(|counted| counted > real) {
            self.violation(format!(
                "WAIT on {addr} counted {reply:?} of {real} replicas"
            ));
        }
    }

    fn ask_sentinels(&mut self) {
        for addr in self.sentinels.clone() {
            let words = ["SENTINEL", "SLAVES", sentinel::NAME];
            let Some(reply) = self.ask(addr, &words) else {
                continue;
            };
            for replica in reply.items() {
                let words: Vec<String> = replica.items().iter().map(Reply::string).collect();
                let port = words.iter().position(|word| word == "port");
                let port = port.and_then(|at| words.get(at + 1));
                let real = |port: &String| {
                    let servers = self.servers.iter();
                    servers.clone().any(|s| s.port().to_string() == *port)
                };
                if !port.is_some_and(real) {
                    self.violation(format!("{addr} lists the replica {}", words.join(" ")));
                }
            }
        }
    }

    fn violation(&mut self, text: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(text);
        }
    }
}

impl Writer for Watcher {
    fn step(&mut self) -> u64 {
        // Keyscape may be stopped at this moment, which is a fault as any other.
        let _ = self.look();
        1
    }
}

fn is_replica_line(line: &str) -> bool {
    let rest = line.strip_prefix("slave");
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let fields = line.split_once(':')?.1.split(',');
    let mut pairs = fields.filter_map(|field| field.split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// The offset in a log line that tells of a lost link.
#[must_use]
pub fn lost_at(line: &str) -> Option<i64> {
    let rest = line.split("in stream at offset ").nth(1)?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}
