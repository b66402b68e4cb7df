//! A truth campaign on one server: write, stand still, compare, and again.
//!
//! ```text
//!   fill + a first share of the operations        (what the snapshot brings)
//!   attach Keyscape, wait until it is synced
//!   compare
//!   for each phase: operations, with cuts if asked for; compare
//! ```
//!
//! Instead of Keyscape a real replica can be attached: then the driver and the comparator are under
//! test themselves, and what differs is what no replica can know.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::app::App;
use crate::cluster;
use crate::driver::{self, Driver};
use crate::fault::{Plan, Proxy};
use crate::fill::{self, Shape};
use crate::follow::Follow;
use crate::quiet::Found;
use crate::resp::Client;
use crate::seed::Rng;
use crate::server::Server;
use crate::servers::Install;
use crate::tap::Tap;
use crate::truth::analytics::{Auditor, View, calm};
use crate::truth::{self, Report, Rules};
use crate::wait::{self, PATIENCE};

/// Comparisons after the first.
const PHASES: u64 = 4;

/// Keyscape asks for the configuration once a second.
const CONFIG_SEEN: Duration = Duration::from_secs(2);

/// Reconnects at once, so that many cuts fit into a run, and re-reads and audits faster than it
/// would of a server in production.
const CONFIG: &str = "
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

/// A line of that.
const AUDITS: &str = "audits_per_s_max = 20000";

/// What it is while analytics are computed anew: a key that is repaired meanwhile disturbs.
const AUDITS_GENTLE: &str = "audits_per_s_max = 200";

/// Mistakes that the audit logged and that are told.
const MISTAKES_TOLD: usize = 25;

/// Mismatches told with their history at each comparison.
const TOLD: usize = 12;

/// What to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Commands to issue.
    pub ops: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Link cuts.
    pub cuts: u64,
    /// Keys of the mixed keyspace written first.
    pub preload: u64,
    /// Attach a real replica instead of Keyscape.
    pub replica: bool,
    /// Change encoding thresholds on the way.
    pub thresholds: bool,
    /// Commands to leave out.
    pub without: Vec<String>,
    /// Say which commands were refused, and why.
    pub refusals: bool,
    /// Compute every analytic anew at each comparison, as well.
    pub analytics: bool,
    /// The server is in cluster mode, alone with all slots.
    pub slots: bool,
    /// Tell each mismatch with the commands that named its key.
    pub trace: bool,
}

/// What to do to a whole deployment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Course {
    /// Commands to issue.
    pub ops: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Which nodes are followed.
    pub follow: Follow,
    /// Compute every analytic anew at each comparison, as well.
    pub analytics: bool,
}

impl Course {
    /// Who computes the analytics, if they are wanted.
    #[must_use]
    pub fn auditor(&self) -> Option<Auditor> {
        self.analytics.then(Auditor::default)
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Keys, facts and differences over all comparisons.
    pub report: Report,
    /// Keys that were still inexact or unverified at a comparison.
    pub inexact: u64,
}

impl Outcome {
    /// Tells what was found at a quiescent point and adds it.
    pub fn tell_and_add(&mut self, found: Found, what: &str, say: &mut dyn FnMut(String)) {
        found.tell(what, TOLD, say);
        self.inexact += found.inexact;
        self.report.add(found.report);
    }
}

/// Who follows the master.
enum Follower {
    App(Box<App>),
    Replica(Box<Server>),
}

struct Campaign<'a> {
    options: &'a Options,
    master: Server,
    control: Client,
    proxy: Option<Proxy>,
    tap: Option<Tap>,
    rng: Rng,
    auditor: Auditor,
    say: &'a mut dyn FnMut(String),
}

/// Runs the campaign; `say` gets a line for each step.
///
/// # Errors
/// If a server or Keyscape fails to do its part at all (differences are no error).
pub fn run(install: &Install, options: &Options, say: &mut dyn FnMut(String)) -> Result<Outcome> {
    let backlog = if options.cuts > 0 { "256kb" } else { "64mb" };
    let master = Server::start(
        install,
        &[
            ("repl-backlog-size", backlog),
            ("repl-ping-replica-period", "3600"),
            ("repl-timeout", "7200"),
            ("cluster-enabled", if options.slots { "yes" } else { "no" }),
        ],
    )?;
    let mut control = master.client()?;
    if options.slots {
        cluster::own_all(&mut control)?;
    }
    let tap = if options.trace {
        Some(Tap::attach(&master)?)
    } else {
        None
    };
    let rng = Rng::new(options.seed ^ 0x5eed);
    let mut campaign = Campaign {
        options,
        master,
        control,
        proxy: None,
        tap,
        rng,
        auditor: Auditor::default(),
        say,
    };
    campaign.run()
}

impl Campaign<'_> {
    fn run(&mut self) -> Result<Outcome> {
        let options = self.options;
        let own = driver::Options {
            seed: options.seed,
            thresholds: options.thresholds,
            without: options.without.clone(),
            agreed: options.replica,
            cluster: options.slots,
        };
        let mut driver = Driver::attach(&self.master, &own)?;
        fill::fill(&mut self.master.client()?, Shape::Mixed, options.preload)?;
        let share = options.ops / (PHASES + 1);
        driver.run(share)?;
        let follower = self.attach()?;
        let mut outcome = Outcome::default();
        self.compare(&follower, &mut outcome, "after the snapshot")?;
        for phase in 1..=PHASES {
            let started = Instant::now();
            if options.cuts > 0 {
                self.cut_while_writing(&mut driver, share, options.cuts.div_ceil(PHASES))?;
            } else {
                driver.run(share)?;
            }
            let what = format!("phase {phase}, written in {:.1?}", started.elapsed());
            self.compare(&follower, &mut outcome, &what)?;
        }
        self.summary(&driver, &follower)?;
        Ok(outcome)
    }

    fn attach(&mut self) -> Result<Follower> {
        let mut target = self.master.addr;
        if self.options.cuts > 0 {
            let proxy = Proxy::start(target, Box::new(|_| Plan::CLEAN))?;
            target = proxy.addr;
            self.proxy = Some(proxy);
        }
        if self.options.replica {
            let text = format!("{} {}", target.ip(), target.port());
            let replica = Server::start(&self.master.install, &[("replicaof", &text)])?;
            let mut client = replica.client()?;
            wait::for_true(PATIENCE, "the replica's link", || {
                Ok(client.info("replication", "master_link_status")? == "up")
            })?;
            return Ok(Follower::Replica(Box::new(replica)));
        }
        let config = if self.options.analytics {
            CONFIG.replace(AUDITS, AUDITS_GENTLE)
        } else {
            CONFIG.to_owned()
        };
        let app = App::start(&[format!("redis://{target}")], &config)?;
        app.wait_synced(PATIENCE)?;
        Ok(Follower::App(Box::new(app)))
    }

    /// Writes a share of the operations while the link is cut that many times.
    fn cut_while_writing(&mut self, driver: &mut Driver, ops: u64, cuts: u64) -> Result<()> {
        let Some(proxy) = &self.proxy else {
            return Ok(());
        };
        let each = (ops / cuts.max(1)).max(50);
        let mut rng = self.rng.fork();
        // From about as far as the stream gets between two cuts, which is well into a snapshot, to
        // far behind its end.
        let least = each * 150;
        proxy.reschedule(Box::new(move |_| {
            let most = least << rng.below(9);
            Plan::random(&mut rng, most)
        }));
        proxy.cut();
        for _ in 0..cuts {
            let before = proxy.ended();
            driver.run(each / 2 + self.rng.below(each))?;
            let since = Instant::now();
            wait::until(PATIENCE, "the link to be there and cut", || {
                if proxy.ended() > before {
                    return Ok(Some(()));
                }
                if since.elapsed() > Duration::from_millis(1500) {
                    proxy.cut();
                }
                Ok(None)
            })?;
        }
        proxy.reschedule(Box::new(|_| Plan::CLEAN));
        proxy.cut();
        Ok(())
    }

    fn compare(&mut self, follower: &Follower, outcome: &mut Outcome, what: &str) -> Result<()> {
        self.control.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
        let mut audited = Report::default();
        self.audit_expired(follower, &mut audited)?;
        // Reading deletes what has expired, so the first walk settles the keyspace.
        let databases = self.databases();
        let keys = truth::read_of(&mut self.control, databases)?;
        if self.options.analytics {
            calm(&mut self.control, &keys)?;
        }
        let keys = keys.len();
        let inexact = self.settle(follower)?;
        self.audit(follower, keys)?;
        let theirs = truth::read_of(&mut self.control, databases)?;
        self.settle(follower)?;
        let ours = truth::read_of(&mut follower.client()?, databases)?;
        let mut report = truth::compare(&theirs, &ours, &self.rules());
        if let (Follower::App(app), true) = (follower, self.options.analytics) {
            self.auditor.all(app, &self.view(), &mut audited)?;
        }
        report.add(audited);
        self.control.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"])?;
        (self.say)(format!(
            "{}: {what}: keys={} facts={} expired={} inexact={inexact} mismatches={}",
            self.master.install.name,
            report.keys,
            report.facts,
            report.expired,
            report.mismatches.len()
        ));
        (self.say)(format!(
            "{}: {}",
            self.master.install.name,
            truth::population(&theirs)
        ));
        self.tell(&report);
        outcome.inexact += inexact;
        outcome.report.add(report);
        Ok(())
    }

    /// Databases that keys may be in.
    const fn databases(&self) -> u32 {
        if self.options.slots {
            1
        } else {
            truth::DATABASES
        }
    }

    /// What is audited: the one master.
    const fn view(&self) -> View {
        View {
            masters: Vec::new(),
            databases: self.databases(),
        }
    }

    /// While expired keys are still there, and behind some writes of a known number.
    fn audit_expired(&mut self, follower: &Follower, report: &mut Report) -> Result<()> {
        let (Follower::App(app), true) = (follower, self.options.analytics) else {
            return Ok(());
        };
        // What a full sync brings was not seen being written.
        self.settle(follower)?;
        let mut writer = self.master.client()?;
        self.auditor
            .write_hot(|commands| writer.pipeline(commands).map(|_| ()))?;
        self.settle(follower)?;
        self.auditor.expiries(app, &self.view(), report)
    }

    /// The first mismatches with what the stream said of their keys.
    fn tell(&mut self, report: &Report) {
        let Some(tap) = &self.tap else { return };
        for mismatch in report.mismatches.iter().take(TOLD) {
            (self.say)(format!("{}: {mismatch}", self.master.install.name));
            for line in tap.history(&mismatch.key) {
                (self.say)(format!("    {line}"));
            }
        }
    }

    /// Waits until the follower stands where the master stands; returns how many keys it still
    /// calls inexact.
    fn settle(&mut self, follower: &Follower) -> Result<u64> {
        let control = &mut self.control;
        let mut seen = (0, 0);
        let result = wait::for_true(PATIENCE, "the offsets to meet", || {
            let theirs: i64 = control.info("replication", "master_repl_offset")?.parse()?;
            seen = (theirs, follower.offset()?);
            Ok(seen.0 == seen.1)
        });
        result.with_context(|| format!("offsets {seen:?}; {}", follower.complaint()))?;
        let Follower::App(app) = follower else {
            return Ok(0);
        };
        if self.options.thresholds {
            // Only the next look at the configuration tells that it was changed.
            thread::sleep(CONFIG_SEEN);
        }
        let exact = wait::for_true(PATIENCE, "all keys to be exact", || {
            let status = app.status()?;
            Ok(status.synced && status.inexact == 0 && status.unverified == 0)
        });
        let status = app.status()?;
        if exact.is_err() {
            (self.say)(format!(
                "{}: still inexact: {} unverified: {} synced: {}",
                self.master.install.name, status.inexact, status.unverified, status.synced
            ));
        }
        Ok(status.inexact + status.unverified)
    }

    /// Waits for one round of the audit: servers change some encodings without replicating
    /// anything, and only the audit finds those.
    fn audit(&mut self, follower: &Follower, keys: usize) -> Result<()> {
        let Follower::App(app) = follower else {
            return Ok(());
        };
        // A round asks for no key twice, so as many audits as there are keys are a round at least.
        let before = app.metric("keyscape_audit_keys_total")?;
        let round = wait::for_true(PATIENCE, "a round of the audit", || {
            Ok(app.metric("keyscape_audit_keys_total")? - before >= keys as u64)
        });
        if let Err(error) = round {
            (self.say)(format!("{}: {error:#}", self.master.install.name));
        }
        Ok(())
    }

    fn rules(&self) -> Rules {
        // Before 7.0 expiries travel as spans of time, counted from when they arrive.
        let old = self.master.install.numbers() < (7, 0, 0);
        let lag = if self.options.cuts > 0 { 30_000 } else { 2_000 };
        Rules {
            expiry_tolerance_ms: if old { lag } else { 0 },
            any_string_encoding: self.options.replica,
        }
    }

    fn summary(&mut self, driver: &Driver, follower: &Follower) -> Result<()> {
        let name = self.master.install.name.clone();
        let version = self.master.install.version.clone();
        let tally = driver.tally();
        let never = driver.never_succeeded();
        let cuts = self.proxy.as_ref().map_or(0, Proxy::ended);
        let stat = |client: &mut Client, field| client.info("stats", field);
        let full = stat(&mut self.control, "sync_full")?;
        let partial = stat(&mut self.control, "sync_partial_ok")?;
        (self.say)(format!(
            "{name}: version {version} seed={} sent={} refused={} cuts={cuts} sync_full={full} \
             sync_partial_ok={partial}{}",
            self.options.seed,
            tally.sent,
            tally.errors,
            if never.is_empty() {
                String::new()
            } else {
                format!(" never succeeded: {never:?}")
            },
        ));
        if self.options.refusals {
            for (command, sample) in &tally.samples {
                let (done, refused) = tally.by_name.get(command).copied().unwrap_or_default();
                (self.say)(format!(
                    "{name}: {command}: done {done} refused {refused}: {sample}"
                ));
            }
        }
        if let Follower::App(app) = follower {
            let (_, metrics) = app.get("/metrics").unwrap_or_default();
            let told = |line: &&str| line.contains("reread") || line.contains("_audit");
            for line in mistakes(&app.log()).iter().take(MISTAKES_TOLD) {
                (self.say)(format!("{name}: {line}"));
            }
            let rereads = metrics.lines().filter(told);
            for line in rereads.filter(|line| !line.starts_with('#')) {
                (self.say)(format!("{name}: {line}"));
            }
        }
        Ok(())
    }
}

/// The lines of Keyscape's log about what the audit found wrong.
#[must_use]
pub fn mistakes(log: &str) -> Vec<String> {
    let wrong = log.lines().filter(|line| line.contains("was wrong about"));
    wrong.map(str::to_owned).collect()
}

impl Follower {
    fn client(&self) -> Result<Client> {
        match self {
            Self::App(app) => app.client(),
            Self::Replica(server) => server.client(),
        }
    }

    fn offset(&self) -> Result<i64> {
        match self {
            Self::App(app) => Ok(app.status()?.offset),
            Self::Replica(server) => Ok(server
                .client()?
                .info("replication", "slave_repl_offset")?
                .parse()?),
        }
    }

    fn complaint(&self) -> String {
        match self {
            Self::App(app) => app.log_tail(),
            Self::Replica(server) => server.log().lines().last().unwrap_or_default().to_owned(),
        }
    }
}
