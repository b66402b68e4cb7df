//! Moving slots under load, key by key as every version can, and atomically where the server can.
//!
//! ```text
//!   key by key:  target SETSLOT IMPORTING -> source SETSLOT MIGRATING
//!                -> GETKEYSINSLOT, MIGRATE, again until there are none
//!                -> SETSLOT NODE at the target, at the source, at every other master
//!   atomic:      source CLUSTER MIGRATESLOTS (Valkey 9.0), until it says that it is done
//! ```

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use super::nodes::{Map, Seen};
use crate::resp::{Client, Reply};
use crate::wait::{self, PATIENCE};

/// Keys of one MIGRATE.
const BATCH: &str = "20";

/// A slot on its way.
#[derive(Debug, Clone)]
pub struct Move {
    /// Which slot.
    pub slot: u16,
    /// From where: node id and address.
    pub from: (String, SocketAddr),
    /// To where.
    pub to: (String, SocketAddr),
}

impl Move {
    /// A move of this slot from its owner to that master.
    ///
    /// # Errors
    /// If nobody owns the slot, or addresses are unknown.
    pub fn new(map: &Map, slot: u16, to: &Seen) -> Result<Self> {
        let from = map.owner(slot).context("an owner of the slot")?;
        let place = |seen: &Seen| Some((seen.id.clone(), seen.addr?));
        Ok(Self {
            slot,
            from: place(from).context("the source's address")?,
            to: place(to).context("the target's address")?,
        })
    }

    /// Declares the move on both sides. The target's epoch has to be the highest: a heartbeat of
    /// the source would take the slot back otherwise, and then nobody has it. Two bumps that do not
    /// know of each other collide, so the second waits for the first to get around.
    ///
    /// # Errors
    /// If one of them refuses.
    pub fn begin(&self) -> Result<()> {
        let slot = self.slot.to_string();
        let mut to = Client::connect(self.to.1)?;
        wait::for_true(PATIENCE, "the epoch to get around", || {
            let epoch = |client: &mut Client| client.info_of_cluster("cluster_current_epoch");
            Ok(epoch(&mut to)? == epoch(&mut Client::connect(self.from.1)?)?)
        })?;
        to.ask(&["CLUSTER", "BUMPEPOCH"])?;
        setslot(&mut to, &[&slot, "IMPORTING", &self.from.0])?;
        let mut from = Client::connect(self.from.1)?;
        setslot(&mut from, &[&slot, "MIGRATING", &self.to.0])
    }

    /// Moves up to so many batches of keys; returns whether the slot is empty by now.
    ///
    /// # Errors
    /// If a key cannot be moved.
    pub fn carry(&self, batches: usize) -> Result<bool> {
        let mut from = Client::connect(self.from.1)?;
        let slot = self.slot.to_string();
        let (ip, port) = (self.to.1.ip().to_string(), self.to.1.port().to_string());
        for _ in 0..batches {
            let keys = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, BATCH])?;
            if keys.items().is_empty() {
                return Ok(true);
            }
            let head = ["MIGRATE", &ip, &port, "", "0", "60000", "REPLACE", "KEYS"];
            let mut words: Vec<Vec<u8>> = head.iter().map(|w| w.as_bytes().to_vec()).collect();
            words.extend(
                keys.items()
                    .iter()
                    .filter_map(Reply::text)
                    .map(<[u8]>::to_vec),
            );
            from.ask(&words)?;
        }
        Ok(false)
    }

    /// Gives the slot to the target, everywhere, and insists until all masters say so.
    ///
    /// # Errors
    /// If the target or the source refuses.
    pub fn end(&self, map: &Map) -> Result<()> {
        let slot = self.slot.to_string();
        for (_, addr) in [&self.to, &self.from] {
            let mut client = Client::connect(*addr)?;
            setslot(&mut client, &[&slot, "NODE", &self.to.0])?;
        }
        let others: Vec<SocketAddr> = map.masters().filter_map(|seen| seen.addr).collect();
        wait::for_true(PATIENCE, "all masters to know the slot's owner", || {
            let mut known = true;
            for addr in [self.to.1, self.from.1].iter().chain(&others) {
                let mut client = Client::connect(*addr)?;
                let view = Map::of(&mut client)?;
                if view.owner(self.slot).map(|seen| &seen.id) != Some(&self.to.0) {
                    known = false;
                    setslot(&mut client, &[&slot, "NODE", &self.to.0])?;
                }
            }
            Ok(known)
        })
    }

    /// Takes the declaration back on both sides, as far as they live.
    pub fn forget(&self) {
        let slot = self.slot.to_string();
        for (_, addr) in [&self.to, &self.from] {
            let told = Client::connect(*addr)
                .and_then(|mut client| setslot(&mut client, &[&slot, "STABLE"]));
            drop(told);
        }
    }

    /// The whole of it.
    ///
    /// # Errors
    /// As the steps.
    pub fn run(&self, map: &Map) -> Result<()> {
        self.begin()?;
        // Writes may bring new keys to a slot only where it migrates to, so this ends.
        wait::until(PATIENCE, "the slot to be empty", || {
            Ok(self.carry(50)?.then_some(()))
        })?;
        self.end(map)
    }
}

/// `CLUSTER SETSLOT`. Valkey 8 waits for replicas in it, and refuses if they do not confirm within
/// two seconds: on a busy machine that is asked again, and one that never confirms fails all the same.
fn setslot(client: &mut Client, words: &[&str]) -> Result<()> {
    let all = [&["CLUSTER", "SETSLOT"], words].concat();
    wait::until(PATIENCE, "the replicas to confirm a slot's state", || {
        let reply = client.call(&all)?;
        let text = reply.string();
        if reply.is_error() && text.starts_with("NOREPLICAS") {
            return Ok(None);
        }
        // A master that gave its last slot away has become a replica, and knows better already.
        let became_replica = text.contains("only with masters");
        anyhow::ensure!(!reply.is_error() || became_replica, "{text}");
        Ok(Some(()))
    })
}

/// Moves a range of slots of one owner atomically (Valkey 9.0).
///
/// # Errors
/// If the server refuses, fails, or takes too long.
pub fn migrate_atomically(from: SocketAddr, (first, last): (u16, u16), to: &str) -> Result<()> {
    let mut client = Client::connect(from)?;
    let (first, last) = (first.to_string(), last.to_string());
    client.ask(&[
        "CLUSTER",
        "MIGRATESLOTS",
        "SLOTSRANGE",
        &first,
        &last,
        "NODE",
        to,
    ])?;
    wait::until(PATIENCE, "the slots to have moved", || {
        let jobs = client.ask(&["CLUSTER", "GETSLOTMIGRATIONS"])?;
        // The newest job comes first; a job is a flat list of names and values.
        let job = jobs.items().first().context("a migration")?;
        let texts: Vec<String> = job.items().iter().map(Reply::string).collect();
        let state = texts
            .iter()
            .position(|name| name == "state")
            .and_then(|at| texts.get(at + 1))
            .context("the state of the migration")?;
        match state.as_str() {
            "success" => Ok(Some(())),
            "failed" | "canceled" => bail!("the migration ended as {}", texts.join(" ")),
            _ => Ok(None),
        }
    })
}
