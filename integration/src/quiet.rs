//! A quiescent point of a deployment: nobody writes, every master is followed to its end, and every
//! key of every master is compared with the merged answers of the admin port.
//!
//! ```text
//!   stop active expiry -> read all masters (expires what is due) -> settle -> one round of the audit
//!   -> read all masters -> settle -> read the admin port -> compare
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::app::{App, Followed};
use crate::resp::Client;
use crate::truth::{self, Keys, Report, Rules};
use crate::wait;

/// How long the offsets may take to meet.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long keys may stay inexact after the last write.
const EXACT: Duration = Duration::from_secs(60);

/// How long a round of the audit may take.
const ROUND: Duration = Duration::from_secs(20);

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

impl Quiet<'_> {
    /// Waits for the point and compares.
    ///
    /// # Errors
    /// If the follower does not get there, or somebody does not answer.
    pub fn compare(&self) -> Result<Found> {
        for &addr in self.masters {
            Client::connect(addr)?.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
        }
        let keys = self.count()?;
        let inexact = self.settle()?;
        self.audit(&keys);
        let (theirs, twice) = self.theirs()?;
        self.settle()?;
        let ours = truth::read_of(&mut self.app.client()?, self.databases)?;
        for &addr in self.masters {
            Client::connect(addr)?.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"])?;
        }
        Ok(Found {
            report: truth::compare(&theirs, &ours, self.rules),
            inexact,
            twice,
        })
    }

    /// How many keys each master has, after whatever is due there has expired.
    fn count(&self) -> Result<Vec<usize>> {
        let count = |addr: &SocketAddr| {
            let keys = truth::read_of(&mut Client::connect(*addr)?, self.databases)?;
            Ok(keys.len())
        };
        self.masters.iter().map(count).collect()
    }

    /// Every key of every master.
    fn theirs(&self) -> Result<(Keys, u64)> {
        let (mut all, mut twice) = (Keys::new(), 0);
        for &addr in self.masters {
            let keys = truth::read_of(&mut Client::connect(addr)?, self.databases)
                .with_context(|| format!("read {addr}"))?;
            for (id, facts) in keys {
                twice += u64::from(all.insert(id, facts).is_some());
            }
        }
        Ok((all, twice))
    }

    /// Waits until every master is followed to its end; returns how many keys are still inexact.
    fn settle(&self) -> Result<u64> {
        let mut seen = String::new();
        let result = wait::for_true(PATIENCE, "every master to be followed to its end", || {
            let followed = self.app.followed()?;
            seen = self.behind(&followed)?;
            Ok(seen.is_empty())
        });
        result.with_context(|| format!("{seen}\n{}", self.app.log_tail()))?;
        let exact = wait::for_true(EXACT, "all keys to be exact", || {
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
            let reached = self.reached.get(addr).unwrap_or(addr).to_string();
            let Some(own) = by_name.get(reached.as_str()) else {
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
        let audits = || self.app.series("keyscape_audits_total");
        let Ok(before) = audits() else { return };
        // A series belongs to a master, but which is not told alike by all versions of the labels:
        // as many audits of each as the largest master has keys are a round of each.
        let most = keys.iter().max().copied().unwrap_or(0) as u64;
        let round = wait::for_true(ROUND, "a round of the audit", || {
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
