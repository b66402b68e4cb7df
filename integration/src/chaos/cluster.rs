//! What happens to clusters.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Hands, Kind, Stage};
use crate::cluster::nodes::Map;
use crate::cluster::reshard::{self, Move};
use crate::cluster::writer::ClusterWriter;
use crate::cluster::{AGREEMENT, Cluster, SLOTS, Shape, client, take_over};
use crate::follow::Follow;
use crate::resp::Client;
use crate::seed::Rng;
use crate::server::Server;
use crate::servers::Install;
use crate::wait::{self, PATIENCE};

/// Short enough for nobody to be replaced.
const MOMENT: Duration = Duration::from_millis(700);

/// How long a replica stays with another master, if it comes back at all.
const STAY: Duration = Duration::from_secs(5);

/// Nodes of the largest cluster.
const NODES_MAX: usize = 9;

/// A cluster, to which things happen.
pub struct ClusterStage {
    cluster: Cluster,
}

impl ClusterStage {
    /// Three masters with a replica each, and a writer on them.
    ///
    /// # Errors
    /// If the cluster does not come up.
    pub fn start(install: &Install, seed: u64) -> Result<(Self, ClusterWriter)> {
        let mut cluster = Cluster::start(install, Shape::USUAL, &[])?;
        let mut writer = ClusterWriter::new(install, &cluster.running(), seed)?;
        writer.fill();
        writer.run(5_000);
        Ok((Self { cluster }, writer))
    }

    fn map(&mut self) -> Result<Map> {
        self.cluster.wait_agreed(AGREEMENT)
    }

    /// A master with a replica: ids and addresses of both.
    fn pair(&mut self, rng: &mut Rng) -> Result<Pair> {
        let map = self.map()?;
        let mut pairs = Vec::new();
        for master in map.masters() {
            for replica in map.replicas_of(&master.id) {
                if let (Some(at), Some(of)) = (replica.addr, master.addr) {
                    pairs.push(Pair {
                        replica: at,
                        master: of,
                        master_id: master.id.clone(),
                    });
                }
            }
        }
        anyhow::ensure!(!pairs.is_empty(), "no master has a replica");
        Ok(rng.pick(&pairs).clone())
    }

    fn server(&mut self, addr: SocketAddr) -> Result<usize> {
        self.cluster.index_of(addr).context("its process")
    }

    /// Waits until somebody else serves the slots of that node.
    fn succeeded(&mut self, id: &str) -> Result<()> {
        wait::for_true(PATIENCE, "a successor", || {
            let map = self.cluster.agreed()?;
            Ok(map.is_some_and(|map| map.masters().all(|seen| seen.id != id)))
        })
    }

    fn kill(&mut self, hands: &mut Hands<'_>, data: bool, at_once: bool) -> Result<()> {
        let pair = self.pair(hands.rng)?;
        let index = self.server(pair.master)?;
        if data {
            self.cluster.nodes[index].save()?;
        }
        self.cluster.nodes[index].kill()?;
        if !data {
            // Without a file there was nothing to remove.
            let _ = std::fs::remove_file(self.cluster.nodes[index].file("dump.rdb"));
        }
        if !at_once {
            self.succeeded(&pair.master_id)?;
        }
        self.cluster.nodes[index].start_again()
    }

    fn fail_over(&mut self, hands: &mut Hands<'_>, how: Option<&str>) -> Result<()> {
        let pair = self.pair(hands.rng)?;
        take_over(pair.replica, how)?;
        self.succeeded(&pair.master_id)
    }

    fn stop_master(&mut self, hands: &mut Hands<'_>, long: bool) -> Result<()> {
        let pair = self.pair(hands.rng)?;
        let index = self.server(pair.master)?;
        self.cluster.nodes[index].stop()?;
        let replaced = if long {
            self.succeeded(&pair.master_id)
        } else {
            thread::sleep(MOMENT);
            Ok(())
        };
        self.cluster.nodes[index].go_on()?;
        replaced
    }

    fn kill_replica(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        let pair = self.pair(hands.rng)?;
        let index = self.server(pair.replica)?;
        self.cluster.nodes[index].kill()?;
        thread::sleep(MOMENT);
        self.cluster.nodes[index].start_again()
    }

    /// A replica goes to another master, or comes back to one that has none.
    fn repoint(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        let pair = self.pair(hands.rng)?;
        let map = self.map()?;
        let others = map.masters().filter(|seen| seen.id != pair.master_id);
        let others: Vec<&str> = others.map(|seen| seen.id.as_str()).collect();
        let bare = others
            .iter()
            .find(|id| map.replicas_of(id).next().is_none());
        let to = bare.unwrap_or_else(|| hands.rng.pick(&others));
        let mut client = Client::connect(pair.replica)?;
        client.ask(&["CLUSTER", "REPLICATE", to])?;
        if hands.follow == Follow::Replica {
            // A master without any replica would not be followed.
            thread::sleep(STAY);
            self.map()?;
            client.ask(&["CLUSTER", "REPLICATE", &pair.master_id])?;
        }
        Ok(())
    }

    /// A replica joins; if there are many by now, another leaves.
    fn add_remove(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        if self.cluster.nodes.len() >= NODES_MAX {
            let pair = self.pair(hands.rng)?;
            let index = self.server(pair.replica)?;
            return self.cluster.remove(index);
        }
        let map = self.map()?;
        let masters: Vec<String> = map.masters().map(|seen| seen.id.clone()).collect();
        let index = self.join()?;
        let to = hands.rng.pick(&masters).clone();
        let mut client = self.cluster.nodes[index].client()?;
        // The newcomer may not have heard of the master yet.
        wait::for_true(AGREEMENT, "the newcomer to become a replica", || {
            client.ask(&["CLUSTER", "REPLICATE", &to]).map(|_| true)
        })?;
        let count = self.cluster.nodes.len();
        self.known_by_all(count)
    }

    fn join(&mut self) -> Result<usize> {
        let index = self.cluster.launch()?;
        self.cluster.meet(index)?;
        let count = self.cluster.nodes.len();
        self.known_by_all(count)?;
        // It believes the cluster to be down until it has heard of all slots.
        let mut client = self.cluster.nodes[index].client()?;
        wait::for_true(AGREEMENT, "the newcomer to know all slots", || {
            Ok(client.info_of_cluster("cluster_state")? == "ok")
        })?;
        Ok(index)
    }

    fn known_by_all(&mut self, count: usize) -> Result<()> {
        wait::for_true(AGREEMENT, "all to know the newcomer", || {
            for addr in self.cluster.running() {
                let map = Map::of(&mut Client::connect(addr)?)?;
                if map.nodes.iter().filter(|seen| seen.usable()).count() < count {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// A master joins, serves some slots for a while, and leaves again.
    fn grow_shrink(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        let index = self.join()?;
        let addr = self.cluster.nodes[index].addr;
        let slots: Vec<u16> = (0..6).map(|_| some_slot(hands.rng)).collect();
        let mut homes = Vec::new();
        for slot in slots {
            let map = self.map()?;
            let own = map.nodes.iter().find(|seen| seen.addr == Some(addr));
            let own = own.context("the newcomer in the map")?;
            let home = map.owner(slot).context("an owner")?.id.clone();
            if home != own.id {
                Move::new(&map, slot, own)?.run(&map)?;
                homes.push((slot, home));
            }
        }
        thread::sleep(MOMENT);
        for (slot, home) in homes {
            let map = self.map()?;
            let to = map.nodes.iter().find(|seen| seen.id == home);
            Move::new(&map, slot, to.context("the slot's home")?)?.run(&map)?;
        }
        self.map()?;
        // Replica migration may have given it a replica; that finds another master.
        let index = self.server(addr)?;
        self.cluster.remove(index)
    }

    fn reshard(&mut self, hands: &mut Hands<'_>, fail_over: bool) -> Result<()> {
        let masters: Vec<_> = self.map()?.masters().cloned().collect();
        let to = hands.rng.pick(&masters).clone();
        for round in 0..6 {
            let slot = some_slot(hands.rng);
            let map = self.map()?;
            let owner = map.owner(slot).context("an owner")?.clone();
            if owner.id == to.id {
                continue;
            }
            let step = Move::new(&map, slot, &to)?;
            if fail_over && round == 2 && map.replicas_of(&owner.id).next().is_some() {
                step.begin()?;
                step.carry(2)?;
                let replica = map.replicas_of(&owner.id).find_map(|seen| seen.addr);
                take_over(replica.context("a replica")?, None)?;
                // The new owner may know nothing of the move; it begins anew. A node that imports
                // the slot does not believe in a new owner before it is told to forget the move.
                step.forget();
                self.succeeded(&owner.id)?;
                let map = self.map()?;
                let to = map.nodes.iter().find(|seen| seen.id == step.to.0);
                let again = Move::new(&map, slot, to.context("the target")?)?;
                again.forget();
                again.run(&map)?;
            } else {
                step.run(&map)
                    .with_context(|| format!("move slot {slot}"))?;
            }
        }
        Ok(())
    }

    fn reshard_atomically(&mut self, hands: &mut Hands<'_>) -> Result<()> {
        let map = self.map()?;
        let slot = some_slot(hands.rng);
        let from = map.owner(slot).context("an owner")?;
        let range = from.slots.iter().find(|(a, b)| (*a..=*b).contains(&slot));
        let last = range
            .map_or(slot, |range| range.1)
            .min(slot.saturating_add(60));
        let others = map.masters().filter(|seen| seen.id != from.id);
        let others: Vec<String> = others.map(|seen| seen.id.clone()).collect();
        let to = hands.rng.pick(&others);
        let addr = from.addr.context("the owner's address")?;
        reshard::migrate_atomically(addr, (slot, last), to)
    }
}

/// A replica and its master.
#[derive(Clone)]
struct Pair {
    replica: SocketAddr,
    master: SocketAddr,
    master_id: String,
}

/// Any slot; often one where much happens.
fn some_slot(rng: &mut Rng) -> u16 {
    if rng.one_in(3) {
        return client::slot_of(format!("t{}", rng.below(20)).as_bytes());
    }
    u16::try_from(rng.below(u64::from(SLOTS))).unwrap_or(0)
}

impl Stage for ClusterStage {
    type Writer = ClusterWriter;

    fn name(&self) -> String {
        format!("{} cluster", self.cluster.install.name)
    }

    fn kinds(&self) -> Vec<(Kind, u64)> {
        let mut kinds = vec![
            (Kind::KillWithData, 2),
            (Kind::KillWithout, 2),
            (Kind::RestartWithData, 2),
            (Kind::RestartEmpty, 1),
            (Kind::KillReplica, 1),
            (Kind::Failover, 5),
            (Kind::FailoverForce, 3),
            (Kind::FailoverTakeover, 3),
            (Kind::ReplicaOf, 1),
            (Kind::StopShort, 2),
            (Kind::StopLong, 2),
            (Kind::StopUs, 2),
            (Kind::Cut, 3),
            (Kind::Stall, 2),
            (Kind::AddRemove, 2),
            (Kind::GrowShrink, 1),
            (Kind::Reshard, 3),
            (Kind::ReshardFailover, 1),
        ];
        if self.cluster.nodes[0].has_atomic_migration() {
            kinds.push((Kind::ReshardAtomic, 3));
        }
        kinds
    }

    fn strike(&mut self, kind: Kind, hands: &mut Hands<'_>) -> Result<()> {
        match kind {
            Kind::KillWithData => self.kill(hands, true, false),
            Kind::KillWithout => self.kill(hands, false, false),
            Kind::RestartWithData => self.kill(hands, true, true),
            Kind::RestartEmpty => self.kill(hands, false, true),
            Kind::KillReplica => self.kill_replica(hands),
            Kind::Failover => self.fail_over(hands, None),
            Kind::FailoverForce => self.fail_over(hands, Some("FORCE")),
            Kind::FailoverTakeover => self.fail_over(hands, Some("TAKEOVER")),
            Kind::ReplicaOf => self.repoint(hands),
            Kind::StopShort => self.stop_master(hands, false),
            Kind::StopLong => self.stop_master(hands, true),
            Kind::StopUs => hands.stop_us(),
            Kind::Cut => hands.cut(),
            Kind::Stall => hands.stall(),
            Kind::AddRemove => self.add_remove(hands),
            Kind::GrowShrink => self.grow_shrink(hands),
            Kind::Reshard => self.reshard(hands, false),
            Kind::ReshardFailover => self.reshard(hands, true),
            Kind::ReshardAtomic => self.reshard_atomically(hands),
            Kind::KillSentinel | Kind::SentinelFailover => {
                anyhow::bail!("a cluster has no Sentinel")
            }
        }
    }

    fn settle(&mut self) -> Result<Vec<SocketAddr>> {
        let map = self.map()?;
        Ok(map.masters().filter_map(|seen| seen.addr).collect())
    }

    fn servers(&self) -> Vec<SocketAddr> {
        self.cluster.nodes.iter().map(|node| node.addr).collect()
    }

    fn log(&self, addr: SocketAddr) -> String {
        let node = self.cluster.nodes.iter().find(|node| node.addr == addr);
        node.map(Server::log).unwrap_or_default()
    }

    fn sentinels(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    fn databases(&self) -> u32 {
        1
    }

    fn url(&self) -> String {
        self.cluster.url()
    }

    fn reseed(&self, writer: &mut ClusterWriter) {
        writer.reseed(&self.servers());
    }

    fn install(&self) -> &Install {
        &self.cluster.install
    }
}
