//! Chaos: a seeded mix of everything that happens to a deployment, under a constant write load, and
//! after each fault a quiescent point at which the model must be the truth.
//!
//! ```text
//!   deployment up, Keyscape attached through proxies (a NAT map names them)
//!   again and again: writing -> a fault, healed -> everybody agrees -> writing stops -> compare
//!   all the while: what must never happen is watched for ([`watch`])
//! ```
//!
//! What a fault does is in [`cluster`] and [`sentinel`]; the kinds, the order and the report are here.

pub mod cluster;
pub mod sentinel;
pub mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::app::App;
use crate::fault::{Plan, Proxy};
use crate::follow::{self, Follow};
use crate::load::{Load, Writer};
use crate::quiet::{self, Quiet};
use crate::resp::Client;
use crate::seed::Rng;
use crate::servers::Install;
use crate::truth::Report;
use crate::truth::analytics::Auditor;
use crate::wait::PATIENCE;

use watch::{Position, Watcher};

/// Commands a second that are written all the while.
const LOAD_PER_S: u64 = 3000;

/// Looks a second of the watcher.
const WATCH_PER_S: u64 = 25;

/// How long is written before and after a fault.
const BREATH: Duration = Duration::from_millis(400);

/// Faults that happen however long they take.
const FAULTS_MIN: u64 = 2;

/// Mismatches told after each comparison.
const TOLD: usize = 5;

/// Lines of our log told after a full sync that need not have been.
const LOGGED: usize = 25;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// kill -9 a master until another takes over; back with the data of just before.
    KillWithData,
    /// The same; back without any data.
    KillWithout,
    /// kill -9 a master, back at once with its data.
    RestartWithData,
    /// kill -9 a master, back at once, empty.
    RestartEmpty,
    /// kill -9 a replica, back later.
    KillReplica,
    /// kill -9 a Sentinel, back later.
    KillSentinel,
    /// CLUSTER FAILOVER.
    Failover,
    /// CLUSTER FAILOVER FORCE.
    FailoverForce,
    /// CLUSTER FAILOVER TAKEOVER.
    FailoverTakeover,
    /// SENTINEL FAILOVER.
    SentinelFailover,
    /// A replica is sent to another master: CLUSTER REPLICATE, or REPLICAOF below a replica.
    ReplicaOf,
    /// SIGSTOP of a master, SIGCONT before anybody minds.
    StopShort,
    /// SIGSTOP of a master until another takes over.
    StopLong,
    /// SIGSTOP and SIGCONT of Keyscape.
    StopUs,
    /// Our links are cut.
    Cut,
    /// Our links stall and go on.
    Stall,
    /// A node joins as a replica, another leaves.
    AddRemove,
    /// A master joins, gets slots, gives them back and leaves.
    GrowShrink,
    /// Slots move key by key.
    Reshard,
    /// Slots move key by key; their owner fails over on the way.
    ReshardFailover,
    /// Slots move atomically.
    ReshardAtomic,
}

impl Kind {
    /// Whether another node becomes the master.
    const fn fails_over(self) -> bool {
        matches!(
            self,
            Self::KillWithData
                | Self::KillWithout
                | Self::Failover
                | Self::FailoverForce
                | Self::FailoverTakeover
                | Self::SentinelFailover
                | Self::StopLong
        )
    }
}

impl Kind {
    /// Whether slots move, and their masters stay.
    const fn moves_slots(self) -> bool {
        matches!(
            self,
            Self::Reshard | Self::ReshardFailover | Self::ReshardAtomic
        )
    }

    /// Whether a master leaves, and with it what we remembered of it.
    const fn loses_history(self) -> bool {
        matches!(self, Self::AddRemove | Self::GrowShrink)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How long, and from which seed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The run ends after so long.
    pub limit: Duration,
    /// Or after so many faults.
    pub faults: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Nothing but faults of these names; all if there are none.
    pub only: Vec<String>,
    /// Which nodes are followed.
    pub follow: Follow,
    /// Compute every analytic anew at each comparison, as well.
    pub analytics: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Faults of each kind.
    pub faults: BTreeMap<Kind, u64>,
    /// Full syncs of Keyscape.
    pub full: u64,
    /// Partial resyncs.
    pub partial: u64,
    /// Failovers where the promoted replica was in sync with us.
    pub in_sync: u64,
    /// Of those, how many we went over without a full sync.
    pub continued: u64,
    /// Failovers where we had seen more than the promoted replica.
    pub ahead: u64,
    /// Times that the watcher looked.
    pub looks: u64,
    /// What must never happen and did.
    pub violations: Vec<String>,
    /// Comparisons.
    pub report: Report,
}

impl Outcome {
    /// Adds another run.
    pub fn add(&mut self, other: Self) {
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.full += other.full;
        self.partial += other.partial;
        self.in_sync += other.in_sync;
        self.continued += other.continued;
        self.ahead += other.ahead;
        self.looks += other.looks;
        self.violations.extend(other.violations);
        self.report.add(other.report);
    }

    /// How many faults there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.faults.values().sum()
    }
}

/// A deployment that faults can happen to.
pub trait Stage {
    /// Who writes to it.
    type Writer: Writer;

    /// What it is, for the report.
    fn name(&self) -> String;
    /// The kinds of fault that fit, with their weights.
    fn kinds(&self) -> Vec<(Kind, u64)>;
    /// Lets it happen and heals it, under load; every process runs again afterwards.
    ///
    /// # Errors
    /// If a server fails to do what it is asked to.
    fn strike(&mut self, kind: Kind, hands: &mut Hands<'_>) -> Result<()>;
    /// Waits until everybody agrees; returns the masters.
    ///
    /// # Errors
    /// If they do not come to agree.
    fn settle(&mut self) -> Result<Vec<SocketAddr>>;
    /// All servers, running or not.
    fn servers(&self) -> Vec<SocketAddr>;
    /// What a server logged.
    fn log(&self, addr: SocketAddr) -> String;
    /// Where the Sentinels are, if there are any.
    fn sentinels(&self) -> Vec<SocketAddr>;
    /// Databases that the servers have.
    fn databases(&self) -> u32;
    /// The source for Keyscape.
    fn url(&self) -> String;
    /// Tells the writer which servers there are by now.
    fn reseed(&self, writer: &mut Self::Writer);
    /// What the servers are.
    fn install(&self) -> &Install;
}

/// What a fault may reach for besides the deployment.
pub struct Hands<'a> {
    /// Random numbers.
    pub rng: &'a mut Rng,
    /// Keyscape.
    pub app: &'a App,
    /// The proxies between Keyscape and the servers, by the address that the servers announce.
    pub proxies: &'a BTreeMap<SocketAddr, Proxy>,
    /// Which nodes it follows.
    pub follow: Follow,
}

impl Hands<'_> {
    /// Stops Keyscape for a moment, as an overloaded host would.
    ///
    /// # Errors
    /// If it is gone.
    fn stop_us(&mut self) -> Result<()> {
        self.app.signal("STOP")?;
        thread::sleep(Duration::from_millis(300 + self.rng.below(2500)));
        self.app.signal("CONT")
    }

    /// Cuts the links of one server or of all.
    fn cut(&mut self) -> Result<()> {
        let all = self.rng.one_in(2);
        let chosen = self.rng.index(self.proxies.len());
        for (index, proxy) in self.proxies.values().enumerate() {
            if all || index == chosen {
                proxy.cut();
            }
        }
        Ok(())
    }

    /// Lets nothing through from one server or from any, for a while.
    fn stall(&mut self) -> Result<()> {
        let all = self.rng.one_in(2);
        let chosen = self.rng.index(self.proxies.len());
        let stalled = self.proxies.values().enumerate();
        let stalled = stalled.filter(|(index, _)| all || *index == chosen);
        let stalled: Vec<&Proxy> = stalled.map(|(_, proxy)| proxy).collect();
        for proxy in &stalled {
            proxy.hold(true);
        }
        thread::sleep(Duration::from_millis(500 + self.rng.below(3000)));
        for proxy in &stalled {
            proxy.hold(false);
        }
        Ok(())
    }
}

struct Runner<'a, S: Stage> {
    stage: S,
    options: Options,
    /// The only node that is followed, if it is the one at our side.
    home: Option<SocketAddr>,
    app: App,
    proxies: BTreeMap<SocketAddr, Proxy>,
    load: Load<S::Writer>,
    watch: Load<Watcher>,
    rng: Rng,
    auditor: Option<Auditor>,
    outcome: Outcome,
    say: &'a mut dyn FnMut(String),
}

/// Runs chaos on a stage; `say` gets a line for each fault.
///
/// # Errors
/// If a server or Keyscape fails to do its part at all (differences are no error).
pub fn run<S: Stage>(
    mut stage: S,
    writer: S::Writer,
    options: Options,
    say: &mut dyn FnMut(String),
) -> Result<Outcome> {
    stage.settle()?;
    let mut proxies = BTreeMap::new();
    for addr in stage.servers() {
        proxies.insert(addr, Proxy::start(addr, Box::new(|_| Plan::CLEAN))?);
    }
    let home = home(&stage, options.follow);
    let url = match home {
        Some(home) => format!("redis-cluster://{}", proxies[&home].addr),
        None => stage.url(),
    };
    let app = App::start(&[url], &(options.follow.config() + &config(&proxies)))?;
    app.wait_synced(PATIENCE)?;
    let watcher = Watcher::new(&app, stage.servers(), stage.sentinels());
    let watcher = watcher.following(options.follow);
    let mut runner = Runner {
        load: Load::start(writer, LOAD_PER_S),
        watch: Load::start(watcher, WATCH_PER_S),
        app,
        proxies,
        stage,
        rng: Rng::new(options.seed ^ 0xc4a05),
        auditor: options.analytics.then(Auditor::default),
        options,
        home,
        outcome: Outcome::default(),
        say,
    };
    let result = runner.run();
    let log = runner.app.log_tail();
    result.with_context(|| format!("keyscape's log ends with\n{log}"))?;
    Ok(runner.outcome)
}

/// The node at our side, in the mode that has one. On loopback every node that Sentinels know is.
fn home<S: Stage>(stage: &S, follow: Follow) -> Option<SocketAddr> {
    let is_cluster = stage.sentinels().is_empty();
    let first = stage.servers().first().copied();
    first.filter(|_| is_cluster && follow == Follow::Local)
}

/// Reconnects and looks at the map often, re-reads and audits faster than it would of servers in
/// production, and reaches every node through its proxy.
fn config(proxies: &BTreeMap<SocketAddr, Proxy>) -> String {
    let pairs = proxies
        .iter()
        .map(|(announced, proxy)| format!("\"{announced}={}\"", proxy.addr));
    format!(
        "{}[discovery]\npoll_ms = 1000\nnat = [{}]\n",
        crate::cluster::campaign::CONFIG,
        pairs.collect::<Vec<_>>().join(", ")
    )
}

impl<S: Stage> Runner<'_, S> {
    fn run(&mut self) -> Result<()> {
        let end = Instant::now() + self.options.limit;
        let masters = self.stage.settle()?;
        self.compare(&masters, "at the start")?;
        let faults = self.options.faults;
        while self.outcome.total() < faults.min(FAULTS_MIN)
            || (Instant::now() < end && self.outcome.total() < faults)
        {
            let kind = self.choose();
            self.fault(kind).with_context(|| kind.to_string())?;
        }
        let mut watched = self.watch.with(std::mem::take);
        let status = self.app.status()?;
        watched.count(status.full_syncs, status.partial_syncs);
        self.outcome.full = watched.full;
        self.outcome.partial = watched.partial;
        self.outcome.looks = watched.looks;
        self.outcome.violations.extend(watched.violations);
        Ok(())
    }

    fn choose(&mut self) -> Kind {
        let only = &self.options.only;
        let wanted = |kind: &Kind| only.is_empty() || only.contains(&kind.to_string());
        let mut kinds = self.stage.kinds();
        kinds.retain(|(kind, _)| wanted(kind));
        // The node at our side stays there.
        kinds.retain(|(kind, _)| self.home.is_none() || *kind != Kind::AddRemove);
        let total: u64 = kinds.iter().map(|(_, weight)| weight).sum();
        let mut at = self.rng.below(total);
        for (kind, weight) in kinds {
            match at.checked_sub(weight) {
                Some(rest) => at = rest,
                None => return kind,
            }
        }
        Kind::Cut
    }

    fn fault(&mut self, kind: Kind) -> Result<()> {
        let started = Instant::now();
        let before = self.app.status()?;
        let logged = self.app.log().len();
        let copies = self.copies();
        let violations = self.watch.with(|watcher| watcher.violations.len());
        self.load.resume();
        self.watch.resume();
        thread::sleep(BREATH);
        let mut hands = Hands {
            rng: &mut self.rng,
            app: &self.app,
            proxies: &self.proxies,
            follow: self.options.follow,
        };
        self.stage.strike(kind, &mut hands)?;
        *self.outcome.faults.entry(kind).or_default() += 1;
        let masters = self.stage.settle()?;
        let servers = self.stage.servers();
        self.watch.with(|watcher| watcher.reseed(&servers));
        self.load.with(|writer| self.stage.reseed(writer));
        thread::sleep(BREATH);
        self.load.pause();
        self.watch.pause();
        match &mut self.auditor {
            Some(auditor) if kind.loses_history() => auditor.forget(),
            Some(auditor) if kind.moves_slots() => auditor.moved(),
            Some(_) | None => {}
        }
        let what = format!("{} {kind}", self.outcome.total());
        let took = started.elapsed();
        // Everybody may have agreed and changed their minds while there was still writing.
        let masters = if self.stage.settle()? == masters {
            masters
        } else {
            self.stage.settle()?
        };
        self.compare(&masters, &what)?;
        self.seated(&masters, &what)?;
        let after = self.app.status()?;
        let full = after.full_syncs.saturating_sub(before.full_syncs);
        let partial = after.partial_syncs.saturating_sub(before.partial_syncs);
        let log = self.app.log().split_off(logged);
        if self.watch.with(|watcher| watcher.violations.len()) > violations {
            self.tell_log(&log);
        }
        let verdict = self.judge(kind, &masters, (full, copies, &log))?;
        (self.say)(format!(
            "{}: {what}: {took:.1?} and {:.1?}, full +{full} partial +{partial}{verdict}",
            self.stage.name(),
            started.elapsed() - took,
        ));
        Ok(())
    }

    /// Full syncs of the replicas so far, by what they logged; who follows such a one has to take one
    /// too.
    fn copies(&self) -> usize {
        let logs = self.stage.servers().into_iter();
        let logs = logs.map(|addr| self.stage.log(addr));
        logs.map(|log| log.matches("Full resync from ").count())
            .sum()
    }

    /// Whether a failover cost a full sync that it need not have cost.
    fn judge(
        &mut self,
        kind: Kind,
        masters: &[SocketAddr],
        (full, copies, log): (u64, usize, &str),
    ) -> Result<String> {
        let mut ahead = None;
        for &addr in masters {
            let promoted = Position::of(addr)?;
            let beyond = self.watch.with(|watcher| watcher.ahead(&promoted, log));
            ahead = ahead.max(beyond);
        }
        self.watch.with(Watcher::forget_positions);
        if !kind.fails_over() {
            return Ok(String::new());
        }
        if full == 0 {
            self.outcome.in_sync += 1;
            self.outcome.continued += 1;
            return Ok(", continued".to_owned());
        }
        if self.options.follow.wants_replica() && self.copies() > copies {
            self.outcome.ahead += 1;
            return Ok(", our replica had to be synced in full".to_owned());
        }
        if let Some(ahead) = ahead {
            self.outcome.ahead += 1;
            return Ok(format!(", we were {ahead} bytes ahead"));
        }
        self.outcome.in_sync += 1;
        self.tell_log(log);
        for &addr in masters {
            let info = Client::connect(addr)?.ask(&["INFO", "replication"])?;
            (self.say)(format!(
                "    {addr}: {}",
                info.string().replace("\r\n", " ")
            ));
            for line in self.stage.log(addr).lines().rev().take(LOGGED) {
                (self.say)(format!("    {addr}: {line}"));
            }
        }
        Ok(", NOT CONTINUED".to_owned())
    }

    /// What matters of our log.
    fn tell_log(&mut self, log: &str) {
        let told = |line: &&str| !line.contains("in handshake") && !line.contains("g\"");
        for line in log.lines().filter(told).take(LOGGED) {
            (self.say)(format!("    {line}"));
        }
    }

    /// Whether the links are where the mode wants them.
    fn seated(&mut self, masters: &[SocketAddr], what: &str) -> Result<()> {
        if !self.options.follow.wants_replica() {
            return Ok(());
        }
        let reached = self.reached();
        if let Some(wrong) = follow::wait_on_replicas(&self.app, masters, &reached)? {
            self.outcome.violations.push(format!("{what}: {wrong}"));
        }
        Ok(())
    }

    /// Where Keyscape finds the servers.
    fn reached(&self) -> BTreeMap<SocketAddr, SocketAddr> {
        let proxies = self.proxies.iter();
        proxies.map(|(addr, proxy)| (*addr, proxy.addr)).collect()
    }

    /// The masters whose keys are followed.
    fn followed(&self, masters: &[SocketAddr]) -> Result<Vec<SocketAddr>> {
        let Some(home) = self.home else {
            return Ok(masters.to_vec());
        };
        let mut client = Client::connect(home)?;
        if client.info("replication", "role")? == "master" {
            return Ok(vec![home]);
        }
        let host = client.info("replication", "master_host")?;
        let port = client.info("replication", "master_port")?;
        Ok(vec![format!("{host}:{port}").parse()?])
    }

    fn compare(&mut self, masters: &[SocketAddr], what: &str) -> Result<()> {
        let (masters, reached) = (self.followed(masters)?, self.reached());
        let quiet = Quiet {
            app: &self.app,
            masters: &masters,
            reached: &reached,
            databases: self.stage.databases(),
            rules: &quiet::rules(self.stage.install()),
            follow: self.options.follow,
            patience: PATIENCE,
        };
        let found = quiet
            .compare_with(self.auditor.as_mut())
            .with_context(|| what.to_owned())?;
        if !found.is_clean() {
            found.tell(&format!("{}: {what}", self.stage.name()), TOLD, self.say);
        }
        self.outcome.report.add(found.report);
        Ok(())
    }
}
