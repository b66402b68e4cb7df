//! A quiescent point of a deployment: nobody writes, every master is followed to its end, and every
//! key of every master is compared with what the admin port says.
//!
//! ```text
//!   stop active expiry -> read all masters (expires what is due) -> settle -> one round of the audit
//!   -> read all masters -> settle
//!   -> each master against KS.TARGET <master>: every fact of every key (of the node that is followed:
//!      a replica has encodings of its own)
//!   -> all masters against the merged port: every name once, DBSIZE, CLUSTER COUNTKEYSINSLOT
//! ```
//!
//! With an auditor every analytic is computed anew, too: what is told of expiries before anything
//! expires, the others behind the comparison.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::app::{App, Followed};
use crate::cluster::client::{ClusterClient, Unit, slot_of};
use crate::follow::{self, Follow};
use crate::resp::{Client, Command, Reply};
use crate::servers::Install;
use crate::truth::analytics::{Auditor, View, calm};
use crate::truth::{self, Keys, Report, Rules};
use crate::wait::{self, PATIENCE};

/// Commands sent to a cluster at once.
const WRITTEN_AT_ONCE: usize = 500;

/// Before 7.0 expiries travel as spans of time, counted from when they arrive: this late at most.
const LATE_MS: i64 = 60_000;

/// How strictly the keys of a deployment of these servers are compared.
#[must_use]
pub fn rules(install: &Install) -> Rules {
    let relative = install.numbers() < (7, 0, 0);
    Rules {
        expiry_tolerance_ms: if relative { LATE_MS } else { 0 },
        ..Rules::default()
    }
}

/// What is compared with what.
pub struct Quiet<'a> {
    /// Who follows.
    pub app: &'a App,
    /// Every master that is one at this moment.
    pub masters: &'a [SocketAddr],
    /// Where they are reached, if elsewhere than where they listen.
    pub reached: &'a BTreeMap<SocketAddr, SocketAddr>,
    /// Databases that the servers have.
    pub databases: u32,
    /// How strictly.
    pub rules: &'a Rules,
    /// Which nodes are followed.
    pub follow: Follow,
    /// How long the offsets may take to meet, and then keys to become exact.
    pub patience: Duration,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Keys, facts, differences.
    pub report: Report,
    /// Keys still called inexact or unverified.
    pub inexact: u64,
    /// Names that two masters held at once.
    pub twice: u64,
}

impl Found {
    /// Adds what was found at another point.
    pub fn add(&mut self, other: Self) {
        self.report.add(other.report);
        self.inexact += other.inexact;
        self.twice += other.twice;
    }

    /// Whether there is nothing to tell but that all is well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.inexact + self.twice == 0 && self.report.mismatches.is_empty()
    }

    /// Says what was found in a line, and the first `most` differences in one each.
    pub fn tell(&self, what: &str, most: usize, say: &mut dyn FnMut(String)) {
        say(format!(
            "{what}: keys={} facts={} expired={} inexact={} twice={} mismatches={}",
            self.report.keys,
            self.report.facts,
            self.report.expired,
            self.inexact,
            self.twice,
            self.report.mismatches.len(),
        ));
        for mismatch in self.report.mismatches.iter().take(most) {
            say(format!("{what}: {mismatch}"));
        }
    }
}

impl Quiet<'_> {
    /// Waits for the point and compares.
    ///
    /// # Errors
    /// If the follower does not get there, or somebody does not answer.
    pub fn compare(&self) -> Result<Found> {
        self.compare_with(None)
    }

    /// As [`Self::compare`], with every analytic of each master and of all of them.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn compare_with(&self, mut auditor: Option<&mut Auditor>) -> Result<Found> {
        for &addr in self.masters {
            Client::connect(addr)?.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
        }
        let mut audited = Report::default();
        if let Some(auditor) = auditor.as_deref_mut() {
            // What a full sync brings was not seen being written.
            self.settle()?;
            auditor.write_hot(|commands| self.write(commands))?;
            self.settle()?;
            auditor.expiries(self.app, &self.view(), &mut audited)?;
        }
        let keys = self.theirs()?;
        if auditor.is_some() {
            for (addr, keys) in self.masters.iter().zip(&keys) {
                calm(&mut Client::connect(*addr)?, keys)?;
            }
        }
        let keys: Vec<usize> = keys.iter().map(Keys::len).collect();
        let inexact = self.settle()?;
        self.audit(&keys);
        let theirs = self.theirs()?;
        self.settle()?;
        let mut found = Found {
            inexact,
            ..Found::default()
        };
        for (addr, keys) in self.masters.iter().zip(&theirs) {
            let mut client = self.app.client()?;
            client.ask(&["KS.TARGET", &self.name_of(addr)])?;
            let ours = truth::read_of(&mut client, self.databases)?;
            let report = match self.copy(addr)? {
                Some(copy) => truth::compare(&copy, &ours, self.rules),
                None => truth::compare(keys, &ours, self.rules),
            };
            found.report.add(report);
        }
        self.compare_merged(&theirs, &mut found)?;
        if let Some(auditor) = auditor {
            auditor.all(self.app, &self.view(), &mut audited)?;
        }
        found.report.add(audited);
        for &addr in self.masters {
            Client::connect(addr)?.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"])?;
        }
        Ok(found)
    }

    /// What is audited.
    fn view(&self) -> View {
        View {
            masters: self.masters.iter().map(|addr| self.name_of(addr)).collect(),
            databases: self.databases,
        }
    }

    /// Sends commands of one key each to the masters of these keys.
    fn write(&self, commands: &[Command]) -> Result<()> {
        if self.databases > 1 {
            let master = self.masters.first().context("a master")?;
            return Client::connect(*master)?.pipeline(commands).map(|_| ());
        }
        let mut client = ClusterClient::new(self.masters);
        for chunk in commands.chunks(WRITTEN_AT_ONCE) {
            let units = chunk.iter().map(|command| Unit {
                slot: slot_of(command.get(1).map_or(b"", Vec::as_slice)),
                commands: vec![command.clone()],
            });
            let replies = client.round(&units.collect::<Vec<_>>());
            let refused = replies
                .iter()
                .find(|replies| replies.first().is_none_or(Reply::is_error));
            if let Some(refused) = refused {
                bail!("a write was answered {refused:?}");
            }
        }
        Ok(())
    }

    /// The keys of the node that is followed in place of this master, if there is such a one.
    fn copy(&self, addr: &SocketAddr) -> Result<Option<Keys>> {
        if self.follow == Follow::Master {
            return Ok(None);
        }
        let name = self.name_of(addr);
        let mut seats = follow::seats(self.app)?.into_iter();
        let seat = seats.find(|seat| seat.master == name);
        let seat = seat.with_context(|| format!("{name} is not followed"))?;
        if seat.node == name {
            return Ok(None);
        }
        let mut client = Client::connect(seat.node.parse()?)?;
        // Refused where there is no cluster, and not needed there.
        client.call(&["READONLY"])?;
        truth::read_of(&mut client, self.databases).map(Some)
    }

    /// What the admin port calls the master.
    fn name_of(&self, addr: &SocketAddr) -> String {
        self.reached.get(addr).unwrap_or(addr).to_string()
    }

    /// All masters as one keyspace.
    fn compare_merged(&self, theirs: &[Keys], found: &mut Found) -> Result<()> {
        let mut client = self.app.client()?;
        let now_ms = truth::unix_ms();
        let mut names: BTreeMap<(u32, Vec<u8>), u64> = BTreeMap::new();
        for (id, facts) in theirs.iter().flatten() {
            // What may expire between two questions is not asked for.
            let stays = facts.expires_ms < 0 || facts.expires_ms > now_ms + 60_000;
            let count = names.entry(id.clone()).or_default();
            *count += u64::from(stays);
            found.twice += u64::from(*count > 1);
        }
        for db in 0..self.databases {
            if self.databases > 1 {
                client.ask(&["SELECT", &db.to_string()])?;
            }
            let mut listed: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
            for name in truth::scan_as_told(&mut client)? {
                *listed.entry(name).or_default() += 1;
            }
            for (name, count) in &listed {
                let known = names.get(&(db, name.clone()));
                if *count > 1 || known.is_none() {
                    let ours = format!("listed {count} times");
                    found
                        .report
                        .odd((db, name), ("merged", &format!("{known:?}"), &ours));
                }
            }
            let own = names
                .iter()
                .filter(|((at, _), count)| *at == db && **count > 0);
            for ((_, name), _) in own.filter(|((_, name), _)| !listed.contains_key(name)) {
                found
                    .report
                    .odd((db, name), ("merged", "exists", "not listed"));
            }
            found.report.facts += listed.len() as u64;
        }
        if self.databases == 1 {
            self.compare_slots(&names, found)?;
        }
        Ok(())
    }

    /// `CLUSTER COUNTKEYSINSLOT` of every slot that has keys which stay.
    fn compare_slots(
        &self,
        names: &BTreeMap<(u32, Vec<u8>), u64>,
        found: &mut Found,
    ) -> Result<()> {
        let mut slots: BTreeMap<u16, (u64, bool)> = BTreeMap::new();
        for ((_, name), stays) in names {
            let slot = slots.entry(slot_of(name)).or_insert((0, true));
            slot.0 += 1;
            slot.1 &= *stays > 0;
        }
        let sure: Vec<(u16, u64)> = slots
            .into_iter()
            .filter(|(_, (_, sure))| *sure)
            .map(|(slot, (count, _))| (slot, count))
            .collect();
        let mut client = self.app.client()?;
        for chunk in sure.chunks(300) {
            let questions = chunk.iter().map(|(slot, _)| {
                let words = ["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()];
                words.map(|word| word.as_bytes().to_vec()).to_vec()
            });
            let answers = client.pipeline(&questions.collect::<Vec<_>>())?;
            for ((slot, count), answer) in chunk.iter().zip(answers) {
                found.report.facts += 1;
                if answer.int() != i64::try_from(*count).ok() {
                    let name = format!("slot {slot}").into_bytes();
                    let facts = ("slot count", &*count.to_string(), &*answer.string());
                    found.report.odd((0, &name), facts);
                }
            }
        }
        Ok(())
    }

    /// Every key of every master; what is due there has expired then.
    fn theirs(&self) -> Result<Vec<Keys>> {
        let read = |addr: &SocketAddr| {
            truth::read_of(&mut Client::connect(*addr)?, self.databases)
                .with_context(|| format!("read {addr}"))
        };
        self.masters.iter().map(read).collect()
    }

    /// Waits until every master is followed to its end; returns how many keys are still inexact.
    fn settle(&self) -> Result<u64> {
        let mut seen = String::new();
        let result = wait::for_true(
            self.patience,
            "every master to be followed to its end",
            || {
                let followed = self.app.followed()?;
                seen = self.behind(&followed)?;
                Ok(seen.is_empty())
            },
        );
        result.with_context(|| format!("{seen}\n{}", self.app.log_tail()))?;
        let exact = wait::for_true(self.patience, "all keys to be exact", || {
            let status = self.app.status()?;
            Ok(status.synced && status.inexact + status.unverified == 0)
        });
        let status = self.app.status()?;
        if exact.is_err() && !status.synced {
            bail!("not synced: {}", status.text);
        }
        Ok(status.inexact + status.unverified)
    }

    /// What is missing; empty if nothing is.
    fn behind(&self, followed: &[Followed]) -> Result<String> {
        let by_name: BTreeMap<&str, &Followed> =
            followed.iter().map(|f| (f.name.as_str(), f)).collect();
        for addr in self.masters {
            let mut client = Client::connect(*addr)?;
            let offset: i64 = client.info("replication", "master_repl_offset")?.parse()?;
            let replid = client.info("replication", "master_replid")?;
            let Some(own) = by_name.get(self.name_of(addr).as_str()) else {
                let names: Vec<&str> = by_name.keys().copied().collect();
                return Ok(format!("{addr} is not followed, but {names:?}"));
            };
            if own.replid != replid || own.offset != offset {
                return Ok(format!("{addr} is at {replid}:{offset}, we are: {own:?}"));
            }
        }
        Ok(String::new())
    }

    /// Waits for one round of the audit of every master: servers change some encodings without
    /// replicating anything, and only the audit finds those.
    fn audit(&self, keys: &[usize]) {
        let audits = || self.app.series("keyscape_audit_keys_total");
        let Ok(before) = audits() else { return };
        // A series belongs to a master, but which is not told alike by all versions of the labels:
        // as many audits of each as the largest master has keys are a round of each.
        let most = keys.iter().max().copied().unwrap_or(0) as u64;
        let round = wait::for_true(PATIENCE, "a round of the audit", || {
            let now = audits()?;
            let done = |(labels, count): (&String, &u64)| {
                *count >= before.get(labels).copied().unwrap_or(0) + most
            };
            Ok(now.iter().all(done))
        });
        // What a round that does not end leaves undone shows as mismatches.
        drop(round);
    }
}
