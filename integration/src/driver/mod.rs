//! The differential driver: random write commands over the whole command table of a server.
//!
//! Everything follows from one printed seed: which connection says what, in which database, on which
//! keys. The population ([`keys`]) is chosen so that every type comes by in its small and its large
//! encodings and keeps crossing the thresholds between them. Commands go out pipelined from several
//! connections, alone, in transactions and in scripts ([`wrap`]); what each type's commands look like
//! is in the tables of [`strings`], [`lists`], [`sets`], [`zsets`], [`hashes`], [`streams`] and
//! [`generic`]; [`deck`] deals them. A command that the server does not know is left out by asking it
//! first.
//!
//! Replies are read and counted, nothing more: truth is what the server holds afterwards.

mod command;
mod deck;
mod generic;
mod hashes;
mod keys;
mod lists;
mod sets;
mod streams;
mod strings;
mod wrap;
mod zsets;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::resp::{Client, Command, Reply};
use crate::seed::Rng;
use crate::server::Server;
use crate::servers::Install;

pub(crate) use deck::Deck;
pub use keys::{Key, Kind};

/// Connections that write at the same time.
const CONNECTIONS: usize = 6;

/// Hash tags of a driver in a cluster.
const TAGS: u64 = 20;

/// Databases in use, most of the work in the first.
const DATABASES: [i64; 8] = [0, 0, 0, 0, 1, 1, 5, 15];

/// One line of a type's table.
struct Entry {
    /// Name of the command as COMMAND lists it.
    name: &'static str,
    /// How often it comes, relative to the others.
    weight: u32,
    /// Makes one.
    make: fn(&mut Gen) -> Command,
}

const fn entry(name: &'static str, weight: u32, make: fn(&mut Gen) -> Command) -> Entry {
    Entry { name, weight, make }
}

/// What the driver is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the random numbers start.
    pub seed: u64,
    /// Also change thresholds with CONFIG SET now and then.
    pub thresholds: bool,
    /// Commands to leave out.
    pub without: Vec<String>,
    /// Leave out what a server's own replica would do differently from it.
    pub agreed: bool,
    /// Leave out what has no place in a cluster, and keep what belongs together in one slot.
    pub cluster: bool,
}

/// Where commands are made: the random numbers and what they are drawn from.
struct Gen {
    rng: Rng,
    redis: Option<(u32, u32)>,
    valkey: Option<(u32, u32)>,
    payloads: Vec<(Kind, Vec<u8>)>,
    /// Entries chosen so far for each stream, so that explicit ids grow.
    ticks: u64,
    now_ms: i64,
    agreed: bool,
    /// In a cluster: the hash tag that all keys carry at this moment.
    tag: Option<String>,
}

/// How often each command was sent, and how often it was refused.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Commands sent.
    pub sent: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Successes and errors by command name.
    pub by_name: BTreeMap<String, (u64, u64)>,
    /// One error message for each command that ever failed.
    pub samples: BTreeMap<String, String>,
}

/// A driver attached to one server.
pub struct Driver {
    clients: Vec<Client>,
    control: Client,
    deck: Deck,
    tally: Tally,
    /// Where the hash tags come from, in a cluster.
    tags: Option<Rng>,
}

impl Driver {
    /// Connects and learns which commands there are.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn attach(server: &Server, options: &Options) -> Result<Self> {
        Self::attach_at(&server.install, server.addr, options)
    }

    /// As [`Self::attach`], for whoever listens there now.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub fn attach_at(install: &Install, addr: SocketAddr, options: &Options) -> Result<Self> {
        let mut control = Client::connect(addr)?;
        let deck = Deck::new(install, &mut control, options)?;
        let clients = (0..CONNECTIONS)
            .map(|_| Client::connect(addr))
            .collect::<Result<_>>()?;
        Ok(Self {
            clients,
            control,
            deck,
            tally: Tally::default(),
            tags: options.cluster.then(|| Rng::new(options.seed ^ 0x7a65)),
        })
    }

    /// Issues at least `ops` commands and waits for all their replies.
    ///
    /// # Errors
    /// If the server goes away.
    pub fn run(&mut self, ops: u64) -> Result<()> {
        let end = self.tally.sent + ops;
        while self.tally.sent < end {
            self.deck.make.now_ms = now_ms(&mut self.control)?;
            self.choose_tag();
            self.gather_payloads()?;
            self.round()?;
        }
        Ok(())
    }

    /// Changes how long each of its reads may take.
    ///
    /// # Errors
    /// If a socket refuses.
    pub fn read_timeout(&self, timeout: Duration) -> Result<()> {
        self.control.read_timeout(timeout)?;
        let mut clients = self.clients.iter();
        clients.try_for_each(|client| client.read_timeout(timeout))
    }

    /// What was sent so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Commands of the table that never succeeded.
    #[must_use]
    pub fn never_succeeded(&self) -> Vec<&'static str> {
        self.deck.never_succeeded(&self.tally)
    }

    /// One batch on every connection.
    fn round(&mut self) -> Result<()> {
        let mut batches = Vec::new();
        for index in 0..self.clients.len() {
            self.choose_tag();
            let batch = self.deck.batch();
            let client = &mut self.clients[index];
            for command in &batch {
                client.push(command);
            }
            client.flush()?;
            batches.push(batch);
        }
        for (client, batch) in self.clients.iter_mut().zip(&batches) {
            for command in batch {
                let reply = client.read().with_context(|| show(command))?;
                self.tally.count(command, &reply);
                let demoted = reply.is_error() && reply.string().starts_with("READONLY");
                anyhow::ensure!(!demoted, "the server is a replica by now");
            }
        }
        Ok(())
    }

    fn choose_tag(&mut self) {
        if let Some(tags) = &mut self.tags {
            self.deck.use_tag(&format!("t{}", tags.below(TAGS)));
        }
    }

    /// Keeps a changing set of DUMP payloads of all types for RESTORE.
    fn gather_payloads(&mut self) -> Result<()> {
        let (kind, command) = self.deck.dump();
        if let Reply::Bulk(payload) = self.control.call(&command)? {
            self.deck.keep_payload(kind, payload);
        }
        Ok(())
    }
}

impl Tally {
    /// Counts one reply.
    pub(crate) fn count(&mut self, command: &Command, reply: &Reply) {
        self.sent += 1;
        let name = command
            .first()
            .map_or(&[][..], Vec::as_slice)
            .to_ascii_lowercase();
        let name = String::from_utf8_lossy(&name).into_owned();
        let queued = reply.text() == Some(b"QUEUED");
        let counts = self.by_name.entry(name.clone()).or_default();
        if reply.is_error() {
            counts.1 += 1;
            self.errors += 1;
            self.samples.entry(name).or_insert_with(|| reply.string());
        } else if !queued {
            counts.0 += 1;
        }
    }
}

/// The server's clock.
fn now_ms(client: &mut Client) -> Result<i64> {
    let reply = client.ask(&["TIME"])?;
    let part = |index: usize| -> i64 {
        reply
            .items()
            .get(index)
            .and_then(|item| item.string().parse().ok())
            .unwrap_or(0)
    };
    Ok(part(0) * 1000 + part(1) / 1000)
}

/// A command as text, shortened, for error messages.
fn show(command: &Command) -> String {
    let words = command
        .iter()
        .take(6)
        .map(|word| word.escape_ascii().to_string());
    words
        .map(|word| word.chars().take(40).collect::<String>())
        .collect::<Vec<_>>()
        .join(" ")
}
