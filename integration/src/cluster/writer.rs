//! The differential driver in a cluster: the whole command table within single slots, and plain
//! small keys all over the others.
//!
//! Multi-key commands, transactions and scripts use keys of one hash tag, of which there are few, so
//! that the keys grow, shrink and meet each other as they do on a single server. The plain keys see
//! to it that a slot that moves has something in it.

use std::net::SocketAddr;

use anyhow::Result;

use super::client::{ClusterClient, Unit, slot_of};
use crate::driver::{Deck, Options, Tally};
use crate::load::Writer;
use crate::resp::{Client, Command, Reply};
use crate::seed::Rng;
use crate::servers::Install;
use crate::truth;

/// Hash tags that the command table is played on.
const TAGS: u64 = 20;

/// Plain keys, about two in each slot.
const PLAIN: u64 = 30_000;

/// Units of one round.
const ROUND: i64 = 24;

/// All masters are flushed once in so many rounds.
const FLUSH: u64 = 20_000;

/// Writes to a cluster whatever may be written there.
pub struct ClusterWriter {
    deck: Deck,
    rng: Rng,
    client: ClusterClient,
    tally: Tally,
    library: bool,
    flushes: bool,
}

impl ClusterWriter {
    /// Learns the commands from the first seed.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn new(install: &Install, seeds: &[SocketAddr], seed: u64) -> Result<Self> {
        let options = Options {
            seed,
            // Any replica may become the one that is compared with.
            agreed: true,
            cluster: true,
            ..Options::default()
        };
        let first = *seeds.first().ok_or_else(|| anyhow::anyhow!("no seed"))?;
        let deck = Deck::new(install, &mut Client::connect(first)?, &options)?;
        Ok(Self {
            deck,
            rng: Rng::new(seed ^ 0xc1c1),
            client: ClusterClient::new(seeds),
            tally: Tally::default(),
            library: true,
            flushes: true,
        })
    }

    /// Starts over from these nodes, some of which may be new.
    pub fn reseed(&mut self, seeds: &[SocketAddr]) {
        self.client.reseed(seeds);
        self.library = true;
    }

    /// Whether all masters are flushed now and then.
    pub fn flush_now_and_then(&mut self, flushes: bool) {
        self.flushes = flushes;
    }

    /// What was sent so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Redirections, repetitions and losses so far.
    #[must_use]
    pub const fn ways(&self) -> super::client::Ways {
        self.client.ways
    }

    /// Writes until so many commands were sent.
    pub fn run(&mut self, ops: u64) {
        let end = self.tally.sent + ops;
        let mut idle = 0;
        while self.tally.sent < end && idle < 1000 {
            idle = if self.step() == 0 { idle + 1 } else { 0 };
        }
    }

    /// Small keys in every slot.
    pub fn fill(&mut self) {
        self.fill_some(PLAIN);
    }

    /// So many small keys.
    pub fn fill_some(&mut self, keys: u64) {
        for chunk in (0..keys).collect::<Vec<_>>().chunks(500) {
            let units: Vec<Unit> = chunk.iter().map(|&n| plain_set(n)).collect();
            self.client.round(&units);
        }
    }

    fn unit(&mut self) -> Unit {
        if self.rng.one_in(4) {
            return self.plain();
        }
        let tag = self.tag();
        self.deck.use_tag(&tag);
        Unit {
            slot: slot_of(tag.as_bytes()),
            commands: self.deck.unit(),
        }
    }

    fn tag(&mut self) -> String {
        // The first few are hot.
        let most = if self.rng.one_in(2) { 5 } else { TAGS };
        format!("t{}", self.rng.below(most))
    }

    fn plain(&mut self) -> Unit {
        let n = self.rng.below(PLAIN);
        let name = plain_name(n);
        let words: &[&str] = match (n % 5, self.rng.below(6)) {
            (_, 0) => &["DEL"],
            (_, 1) => &["PEXPIRE", "90000"],
            (0, _) => &["SET", "some value"],
            (1, _) => &["INCR"],
            (2, _) => &["RPUSH", "one", "two"],
            (3, _) => &["HSET", "field", "value", "other", "7"],
            _ => &["SADD", "1", "2", "three"],
        };
        let mut command: Command = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        command.insert(1, name.clone());
        Unit {
            slot: slot_of(&name),
            commands: vec![command],
        }
    }

    fn gather_payload(&mut self) {
        let tag = self.tag();
        self.deck.use_tag(&tag);
        let (kind, command) = self.deck.dump();
        let unit = Unit {
            slot: slot_of(tag.as_bytes()),
            commands: vec![command],
        };
        if let Some(Reply::Bulk(payload)) = self.client.round(&[unit]).pop().and_then(first) {
            self.deck.keep_payload(kind, payload);
        }
    }
}

impl Writer for ClusterWriter {
    fn step(&mut self) -> u64 {
        self.deck.set_time(truth::unix_ms());
        if self.library {
            self.library = false;
            if let Some(load) = self.deck.library() {
                self.client.every_master(&load);
            }
        }
        if self.flushes && self.rng.one_in(FLUSH) {
            self.client.every_master(&[b"FLUSHALL".to_vec()]);
        }
        if self.rng.one_in(4) {
            self.gather_payload();
        }
        let units: Vec<Unit> = (0..self.rng.range(1, ROUND)).map(|_| self.unit()).collect();
        let replies = self.client.round(&units);
        let before = self.tally.sent;
        for (unit, replies) in units.iter().zip(&replies) {
            for (command, reply) in unit.commands.iter().zip(replies) {
                self.tally.count(command, reply);
            }
        }
        self.tally.sent - before
    }
}

fn first(replies: Vec<Reply>) -> Option<Reply> {
    replies.into_iter().next()
}

fn plain_name(n: u64) -> Vec<u8> {
    format!("plain:{n}").into_bytes()
}

fn plain_set(n: u64) -> Unit {
    let name = plain_name(n);
    Unit {
        slot: slot_of(&name),
        commands: vec![vec![b"SET".to_vec(), name, n.to_string().into_bytes()]],
    }
}
