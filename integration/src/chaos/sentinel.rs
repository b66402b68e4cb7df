//! What happens behind Sentinel.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Hands, Kind, Stage};
use crate::resp::Client;
use crate::seed::Rng;
use crate::sentinel::writer::SentinelWriter;
use crate::sentinel::{AGREEMENT, NAME, Watched, replica_of};
use crate::server::Server;
use crate::servers::Install;
use crate::wait::{self, PATIENCE};

/// Short enough for nobody to be replaced.
const MOMENT: Duration = Duration::from_millis(700);

/// A master, two replicas and three Sentinels, to which things happen.
pub struct SentinelStage {
    watched: Watched,
}

impl SentinelStage {
    /// All of them, and a writer that asks the Sentinels.
    ///
    /// # Errors
    /// If they do not come up.
    pub fn start(install: &Install, seed: u64) -> Result<(Self, SentinelWriter)> {
        let watched = Watched::start(install)?;
        let mut writer = SentinelWriter::new(install.clone(), watched.addresses(), seed);
        writer.run(5_000);
        Ok((Self { watched }, writer))
    }

    fn master(&mut self) -> Result<(usize, SocketAddr)> {
        let addr = self.watched.wait_agreed(AGREEMENT)?;
        let index = self.watched.index_of(addr).context("its process")?;
        Ok((index, addr))
    }

    /// A server that is no master.
    fn replica(&mut self, rng: &mut Rng) -> Result<usize> {
        let (master, _) = self.master()?;
        let others = (0..self.watched.servers.len()).filter(|&index| index != master);
        Ok(*rng.pick(&others.collect::<Vec<_>>()))
    }

    fn succeeded(&mut self, before: SocketAddr) -> Result<()> {
        wait::for_true(PATIENCE, "a successor", || {
            Ok(self.watched.agreed()?.is_some_and(|now| now != before))
        })
    }

    fn kill(&mut self, data: bool, at_once: bool) -> Result<()> {
        let (index, addr) = self.master()?;
        let server = &mut self.watched.servers[index];
        if data {
            server.save()?;
        }
        server.kill()?;
        if !data {
            // Without a file there was nothing to remove.
            let _ = std::fs::remove_file(server.file("dump.rdb"));
        }
        if !at_once {
            self.succeeded(addr)?;
        }
        self.watched.servers[index].start_again()
    }

    fn stop_master(&mut self, long: bool) -> Result<()> {
        let (index, addr) = self.master()?;
        self.watched.servers[index].stop()?;
        let replaced = if long {
            self.succeeded(addr)
        } else {
            thread::sleep(MOMENT);
            Ok(())
        };
        self.watched.servers[index].go_on()?;
        replaced
    }

    fn fail_over(&mut self, rng: &mut Rng) -> Result<()> {
        let (_, before) = self.master()?;
        let index = rng.index(self.watched.sentinels.len());
        let mut sentinel = self.watched.sentinels[index].client()?;
        // Right after another failover there may be no replica that it finds good enough.
        wait::for_true(PATIENCE, "a failover to begin", || {
            sentinel.ask(&["SENTINEL", "FAILOVER", NAME]).map(|_| true)
        })?;
        self.succeeded(before)
    }

    /// A replica goes below the other replica, as nobody ordered: back again by hand.
    fn repoint(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        let (master, addr) = self.master()?;
        let moved = self.replica(hands.rng)?;
        let other = (0..self.watched.servers.len()).find(|&i| i != master && i != moved);
        let other = self.watched.servers[other.context("a second replica")?].addr;
        let moved = self.watched.servers[moved].addr;
        replica_of(moved, other)?;
        thread::sleep(MOMENT);
        replica_of(moved, addr)
    }

    fn kill_replica(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        let (_, master) = self.master()?;
        let index = self.replica(hands.rng)?;
        self.watched.servers[index].kill()?;
        thread::sleep(MOMENT);
        self.watched.servers[index].start_again()?;
        // Its configuration may not name a master; Sentinel would take ten seconds to say so.
        let addr = self.watched.servers[index].addr;
        let role = Client::connect(addr)?.info("replication", "role")?;
        if role == "master" {
            replica_of(addr, master)?;
        }
        Ok(())
    }

    fn kill_sentinel(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        let index = hands.rng.index(self.watched.sentinels.len());
        self.watched.sentinels[index].kill()?;
        thread::sleep(MOMENT);
        self.watched.sentinels[index].start_again()
    }
}

impl Stage for SentinelStage {
    type Writer = SentinelWriter;

    fn name(&self) -> String {
        format!("{} sentinel", self.watched.install.name)
    }

    fn kinds(&self) -> Vec<(Kind, u64)> {
        vec![
            (Kind::KillWithData, 2),
            (Kind::KillWithout, 2),
            (Kind::RestartWithData, 2),
            (Kind::RestartEmpty, 1),
            (Kind::KillReplica, 1),
            (Kind::KillSentinel, 2),
            (Kind::SentinelFailover, 5),
            (Kind::ReplicaOf, 2),
            (Kind::StopShort, 2),
            (Kind::StopLong, 2),
            (Kind::StopUs, 2),
            (Kind::Cut, 3),
            (Kind::Stall, 2),
        ]
    }

    fn strike(&mut self, kind: Kind, hands: &mut Hands<'_>) -> Result<()> {
        match kind {
            Kind::KillWithData => self.kill(true, false),
            Kind::KillWithout => self.kill(false, false),
            Kind::RestartWithData => self.kill(true, true),
            Kind::RestartEmpty => self.kill(false, true),
            Kind::KillReplica => self.kill_replica(hands),
            Kind::KillSentinel => self.kill_sentinel(hands),
            Kind::SentinelFailover => self.fail_over(hands.rng),
            Kind::ReplicaOf => self.repoint(hands),
            Kind::StopShort => self.stop_master(false),
            Kind::StopLong => self.stop_master(true),
            Kind::StopUs => hands.stop_us(),
            Kind::Cut => hands.cut(),
            Kind::Stall => hands.stall(),
            Kind::Failover
            | Kind::FailoverForce
            | Kind::FailoverTakeover
            | Kind::AddRemove
            | Kind::GrowShrink
            | Kind::Reshard
            | Kind::ReshardFailover
            | Kind::ReshardAtomic => anyhow::bail!("Sentinel knows no {kind}"),
        }
    }

    fn settle(&mut self) -> Result<Vec<SocketAddr>> {
        Ok(vec![self.watched.wait_agreed(AGREEMENT)?])
    }

    fn servers(&self) -> Vec<SocketAddr> {
        self.watched.servers.iter().map(|s| s.addr).collect()
    }

    fn log(&self, addr: SocketAddr) -> String {
        let server = self.watched.servers.iter().find(|s| s.addr == addr);
        server.map(Server::log).unwrap_or_default()
    }

    fn sentinels(&self) -> Vec<SocketAddr> {
        self.watched.addresses()
    }

    fn databases(&self) -> u32 {
        16
    }

    fn url(&self) -> String {
        self.watched.url()
    }

    fn reseed(&self, _: &mut SentinelWriter) {}

    fn install(&self) -> &Install {
        &self.watched.install
    }
}
