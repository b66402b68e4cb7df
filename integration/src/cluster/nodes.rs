//! `CLUSTER NODES`, read for the tests alone: it shares nothing with the map under test.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::SLOTS;
use crate::resp::Client;

/// One line of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// 40 hex digits.
    pub id: String,
    /// Where it listens; none while it is unknown.
    pub addr: Option<SocketAddr>,
    /// The words of its third field.
    pub flags: Vec<String>,
    /// The id of its master, if it is a replica.
    pub master: Option<String>,
    /// Its slots as ranges, both ends included.
    pub slots: Vec<(u16, u16)>,
}

/// What one node says of all.
#[derive(Debug, Clone)]
pub struct Map {
    /// One for each line.
    pub nodes: Vec<Seen>,
}

impl Seen {
    /// Whether it has that flag.
    #[must_use]
    pub fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }

    /// Whether it can be talked to, as far as the node that was asked knows.
    #[must_use]
    pub fn usable(&self) -> bool {
        let bad = ["handshake", "noaddr", "fail", "fail?"];
        self.addr.is_some() && !bad.iter().any(|flag| self.is(flag))
    }

    /// How many slots it serves.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        let spans = self
            .slots
            .iter()
            .map(|(from, to)| usize::from(to - from) + 1);
        spans.sum()
    }
}

impl Map {
    /// Asks a node.
    ///
    /// # Errors
    /// If it does not answer, or says what is no map.
    pub fn of(client: &mut Client) -> Result<Self> {
        let text = client.ask(&["CLUSTER", "NODES"])?.string();
        let nodes = text.lines().filter(|line| !line.trim().is_empty());
        Ok(Self {
            nodes: nodes.map(parse).collect::<Result<_>>()?,
        })
    }

    /// The masters that serve slots.
    pub fn masters(&self) -> impl Iterator<Item = &Seen> {
        let served = self.nodes.iter().filter(|seen| seen.is("master"));
        served.filter(|seen| !seen.slots.is_empty())
    }

    /// The replicas of a master.
    pub fn replicas_of<'a>(&'a self, master: &'a str) -> impl Iterator<Item = &'a Seen> {
        let own = move |seen: &&Seen| seen.master.as_deref() == Some(master);
        self.nodes.iter().filter(own)
    }

    /// The node that serves the slot.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<&Seen> {
        let holds = |seen: &&Seen| seen.slots.iter().any(|(a, b)| (*a..=*b).contains(&slot));
        self.nodes.iter().find(holds)
    }

    /// All slots are served, and every process that runs is known and well.
    #[must_use]
    pub fn settled(&self, running: &[SocketAddr]) -> bool {
        let served: usize = self.masters().map(Seen::slot_count).sum();
        let well = |addr: &SocketAddr| {
            let found = self.nodes.iter().find(|seen| seen.addr == Some(*addr));
            found.is_some_and(Seen::usable)
        };
        let alive = |seen: &Seen| seen.addr.is_some_and(|addr| running.contains(&addr));
        served == usize::from(SLOTS) && running.iter().all(well) && self.masters().all(alive)
    }

    /// Whether both name the same masters, replicas and slots among the nodes that are well.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let core = |map: &Self| {
            let usable = map.nodes.iter().filter(|seen| seen.usable());
            let core = usable.map(|seen| {
                let place = (seen.master.clone(), seen.slots.clone());
                (seen.id.clone(), place)
            });
            core.collect::<BTreeMap<_, _>>()
        };
        core(self) == core(other)
    }
}

/// `id ip:port@cport[,hostname] flags master ping pong epoch link slot slot-slot [moving]`
fn parse(line: &str) -> Result<Seen> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, addr, flags, master, _, _, _, _, slots @ ..] = words.as_slice() else {
        anyhow::bail!("a line of CLUSTER NODES with {} words", words.len());
    };
    let addr = addr.split(['@', ',']).next().unwrap_or_default();
    let mut ranges = Vec::new();
    // What moves stands in brackets and belongs to its owner still.
    for word in slots.iter().filter(|word| !word.starts_with('[')) {
        let (from, to) = word.split_once('-').unwrap_or((word, word));
        let number = |text: &str| text.parse::<u16>().context("a slot");
        ranges.push((number(from)?, number(to)?));
    }
    Ok(Seen {
        id: (*id).to_owned(),
        addr: addr
            .parse()
            .ok()
            .filter(|addr: &SocketAddr| addr.port() > 0),
        flags: flags.split(',').map(str::to_owned).collect(),
        master: (*master != "-").then(|| (*master).to_owned()),
        slots: ranges,
    })
}
