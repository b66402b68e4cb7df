//! The truth campaign on a cluster: a constant write load, and at each quiescent point every key of
//! every master against the merged keyspace of Keyscape.
//!
//! ```text
//!   fill, a first share of the operations, attach Keyscape to two seeds      -> compare
//!   write                                                                    -> compare
//!   write while a replica takes over (CLUSTER FAILOVER)                      -> compare
//!   write while slots move, key by key and atomically where that exists      -> compare
//!   write while a master is killed; it comes back as a replica               -> compare
//! ```

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};

use super::nodes::Map;
use super::reshard::{self, Move};
use super::writer::ClusterWriter;
use super::{AGREEMENT, Cluster, Shape, client};
use crate::app::App;
use crate::campaign::{Course, Outcome};
use crate::follow::Follow;
use crate::load::Load;
use crate::quiet::{self, Quiet};
use crate::resp::Client;
use crate::seed::Rng;
use crate::servers::Install;
use crate::truth::analytics::Auditor;
use crate::wait::{self, PATIENCE};

/// Reconnects at once and looks at the map often; re-reads and audits faster than it would of
/// servers in production.
pub const CONFIG: &str = "
[link]
retry_min_ms = 20
retry_max_ms = 200
[reread]
values_per_s_max = 5000
probes_per_s_max = 20000
sizes_per_s_max = 20000
audits_per_s_max = 20000
elements_per_s_max = 50000000
[advice.limits.TTL-04]
keys = 100
";

/// Commands a second while something happens to the cluster.
const LOAD_PER_S: u64 = 4000;

/// Slots that move in the phase of moving.
const MOVED: u16 = 24;

struct Campaign<'a> {
    cluster: Cluster,
    load: Load<ClusterWriter>,
    app: App,
    rng: Rng,
    share: u64,
    follow: Follow,
    auditor: Option<Auditor>,
    outcome: Outcome,
    say: &'a mut dyn FnMut(String),
}

/// Runs the campaign; `say` gets a line for each step.
///
/// # Errors
/// If a server or Keyscape fails to do its part at all (differences are no error).
pub fn run(install: &Install, course: &Course, say: &mut dyn FnMut(String)) -> Result<Outcome> {
    let mut cluster = Cluster::start(install, Shape::USUAL, &[])?;
    let seeds = cluster.running();
    let mut writer = ClusterWriter::new(install, &seeds, course.seed)?;
    writer.fill();
    let share = course.ops / 5;
    writer.run(share);
    let app = App::start(&[cluster.url()], &(course.follow.config() + CONFIG))?;
    app.wait_synced(PATIENCE)?;
    let mut campaign = Campaign {
        cluster,
        load: Load::start(writer, LOAD_PER_S),
        app,
        rng: Rng::new(course.seed ^ 0x5eed),
        share,
        follow: course.follow,
        auditor: course.auditor(),
        outcome: Outcome::default(),
        say,
    };
    campaign.phases()?;
    Ok(campaign.outcome)
}

impl Campaign<'_> {
    fn phases(&mut self) -> Result<()> {
        self.compare("after the snapshots")?;
        self.load.with(|writer| writer.run(self.share));
        self.compare("written")?;
        self.during(Self::fail_over)?;
        self.compare("a replica took over")?;
        self.during(Self::reshard)?;
        self.auditor.iter_mut().for_each(Auditor::moved);
        self.compare("slots moved")?;
        self.during(Self::crash)?;
        self.compare("a master crashed")?;
        self.summary();
        Ok(())
    }

    /// Writes all the while, and until the share is used up.
    fn during(&mut self, work: fn(&mut Self) -> Result<()>) -> Result<()> {
        let sent = |writer: &ClusterWriter| writer.tally().sent;
        let end = self.load.with(|writer| sent(writer)) + self.share;
        self.load.resume();
        work(self)?;
        self.load.pause_at(end, PATIENCE, sent)
    }

    fn fail_over(&mut self) -> Result<()> {
        let map = self.cluster.wait_agreed(AGREEMENT)?;
        let master = self.some_master(&map)?;
        let replica = map.replicas_of(&master).find_map(|seen| seen.addr);
        let replica = replica.context("a replica")?;
        Client::connect(replica)?.ask(&["CLUSTER", "FAILOVER"])?;
        wait::for_true(AGREEMENT, "the replica to take over", || {
            Ok(Client::connect(replica)?.info("replication", "role")? == "master")
        })
    }

    fn reshard(&mut self) -> Result<()> {
        let map = self.cluster.wait_agreed(AGREEMENT)?;
        let tags = [0, 1, 7].map(|n| client::slot_of(format!("t{n}").as_bytes()));
        let plain = (0..MOVED).map(|_| u16::try_from(self.rng.below(16384)).unwrap_or(0));
        let slots: Vec<u16> = tags.into_iter().chain(plain).collect();
        // A tool fills one node at a time, too.
        let masters: Vec<_> = map.masters().cloned().collect();
        let to = self.rng.pick(&masters).clone();
        for slot in slots {
            let map = Map::of(&mut Client::connect(to.addr.context("an address")?)?)?;
            if map.owner(slot).context("an owner")?.id != to.id {
                let step = Move::new(&map, slot, &to)?;
                step.run(&map)
                    .with_context(|| format!("move slot {slot}"))?;
            }
        }
        let map = self.cluster.wait_agreed(AGREEMENT)?;
        if self.cluster.nodes[0].has_atomic_migration() {
            let slot = client::slot_of(b"t2");
            let from = map.owner(slot).context("an owner")?;
            let to = map.masters().find(|seen| seen.id != from.id);
            let to = to.context("another master")?.id.clone();
            reshard::migrate_atomically(from.addr.context("an address")?, (slot, slot), &to)?;
            self.cluster.wait_agreed(AGREEMENT)?;
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<()> {
        let map = self.cluster.wait_agreed(AGREEMENT)?;
        let id = self.some_master(&map)?;
        let addr = map.nodes.iter().find(|seen| seen.id == id);
        let addr = addr.and_then(|seen| seen.addr).context("its address")?;
        let index = self.cluster.index_of(addr).context("its process")?;
        self.cluster.nodes[index].kill()?;
        wait::for_true(AGREEMENT, "a successor", || {
            let map = self.cluster.agreed()?;
            Ok(map.is_some_and(|map| map.masters().all(|seen| seen.id != id)))
        })?;
        self.cluster.nodes[index].start_again()?;
        self.cluster.wait_agreed(AGREEMENT).map(|_| ())
    }

    fn some_master(&mut self, map: &Map) -> Result<String> {
        let with_replica = map
            .masters()
            .filter(|seen| map.replicas_of(&seen.id).next().is_some());
        let ids: Vec<String> = with_replica.map(|seen| seen.id.clone()).collect();
        anyhow::ensure!(!ids.is_empty(), "no master has a replica");
        Ok(self.rng.pick(&ids).clone())
    }

    fn compare(&mut self, what: &str) -> Result<()> {
        let started = Instant::now();
        let map = self.cluster.wait_agreed(AGREEMENT)?;
        let masters: Vec<_> = map.masters().filter_map(|seen| seen.addr).collect();
        let quiet = Quiet {
            app: &self.app,
            masters: &masters,
            reached: &BTreeMap::new(),
            databases: 1,
            rules: &quiet::rules(&self.cluster.install),
            follow: self.follow,
            patience: PATIENCE,
        };
        let found = quiet
            .compare_with(self.auditor.as_mut())
            .with_context(|| what.to_owned())?;
        let name = &self.cluster.install.name;
        let what = format!("{name}: {what} in {:.1?}", started.elapsed());
        self.outcome.tell_and_add(found, &what, self.say);
        Ok(())
    }

    fn summary(&mut self) {
        let (tally, ways) = self
            .load
            .with(|writer| (writer.tally().clone(), writer.ways()));
        let crossed = tally
            .samples
            .iter()
            .find(|(_, text)| text.contains("CROSSSLOT"));
        let status = self.app.status().unwrap_or_default();
        (self.say)(format!(
            "{}: version {} sent={} refused={} {ways:?} full_syncs={} partial_syncs={}{}",
            self.cluster.install.name,
            self.cluster.install.version,
            tally.sent,
            tally.errors,
            status.full_syncs,
            status.partial_syncs,
            crossed.map_or(String::new(), |(name, text)| format!(" {name}: {text}")),
        ));
    }
}
