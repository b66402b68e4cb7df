//! Many small masters at once: what Keyscape takes for them, how long until it knows all keys, and
//! how long its answers about all of them take.

use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::writer::ClusterWriter;
use super::{AGREEMENT, Cluster, Shape};
use crate::app::App;
use crate::fake_fleet::FakeFleet;
use crate::resp::Client;
use crate::servers::Install;
use crate::wait;

/// How long all snapshots may take together.
const PATIENCE: Duration = Duration::from_secs(600);

/// Time between two looks whether all is there.
const LOOK: Duration = Duration::from_millis(300);

/// Times that each question is asked.
const ROUNDS: usize = 40;

/// How long nobody asks anything, to see what following alone takes.
const REST: Duration = Duration::from_secs(10);

/// Processor time in a tick of /proc, in milliseconds.
const TICK_MS: u64 = 10;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Masters of the deployment.
    pub masters: usize,
    /// Keys of all of them, as DBSIZE of the merged port says.
    pub keys: i64,
    /// Keys as the masters say.
    pub keys_theirs: i64,
    /// From the start of the program to the first complete answer.
    pub complete: Duration,
    /// Resident memory then, in bytes.
    pub resident: u64,
    /// Threads of the program.
    pub threads: u64,
    /// Tasks in it.
    pub tasks: u64,
    /// Its open files.
    pub files: u64,
    /// Processor time until then, in milliseconds.
    pub processor_ms: u64,
    /// Processor time afterwards, in thousandths of a core, while nobody asks.
    pub idle_permille: u64,
    /// Series of a scrape.
    pub series: usize,
    /// How long answers take.
    pub answers: Vec<Timed>,
}

/// How long one kind of answer takes.
#[derive(Debug, Clone)]
pub struct Timed {
    /// What was asked.
    pub what: &'static str,
    /// The median.
    pub median: Duration,
    /// The 99th percentile.
    pub most: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fleet: masters={} keys={} of {} complete_ms={} processor_ms={} idle_permille={} \
             resident_mib={} threads={} tasks={} files={} series={}",
            self.masters,
            self.keys,
            self.keys_theirs,
            self.complete.as_millis(),
            self.processor_ms,
            self.idle_permille,
            self.resident >> 20,
            self.threads,
            self.tasks,
            self.files,
            self.series,
        )?;
        for Timed { what, median, most } in &self.answers {
            write!(f, "\nfleet: {what} p50={median:.1?} p99={most:.1?}")?;
        }
        Ok(())
    }
}

/// Starts a cluster of so many real masters with some keys in every slot, and Keyscape on it.
///
/// # Errors
/// If the masters do not come up, or Keyscape does not get there.
pub fn measure(install: &Install, masters: usize) -> Result<Measured> {
    let shape = Shape {
        masters,
        replicas: 0,
    };
    let mut cluster = Cluster::start(install, shape, &[("cluster-node-timeout", "15000")])?;
    let seeds = cluster.running();
    ClusterWriter::new(install, &seeds, 1)?.fill();
    cluster.wait_agreed(AGREEMENT)?;
    let mut theirs = 0;
    for addr in seeds {
        theirs += size(&mut Client::connect(addr)?)?;
    }
    follow(&cluster.url(), masters, theirs)
}

/// The same with scripted masters, with so many keys each.
///
/// # Errors
/// As [`measure`].
pub fn measure_fakes(masters: usize, keys: usize) -> Result<Measured> {
    let fleet = FakeFleet::start(masters, keys)?;
    follow(&fleet.url(), masters, i64::try_from(fleet.keys)?)
}

fn size(client: &mut Client) -> Result<i64> {
    client.ask(&["DBSIZE"]).map(|n| n.int().unwrap_or(0))
}

fn follow(url: &str, masters: usize, theirs: i64) -> Result<Measured> {
    let started = Instant::now();
    let app = App::start(&[url.to_owned()], "")?;
    let mut keys = 0;
    wait::for_true(PATIENCE, "a complete answer", || {
        // Each look asks about all masters, which would be most of the work.
        thread::sleep(LOOK);
        keys = size(&mut app.client()?)?;
        Ok(keys == theirs && app.followed()?.len() == masters && app.status()?.synced)
    })
    .with_context(|| app.log_tail())?;
    let complete = started.elapsed();
    let processor_ms = processor_ms(&app)?;
    thread::sleep(REST);
    let idle_ms = self::processor_ms(&app)? - processor_ms;
    let idle_permille = idle_ms * 1000 / u64::try_from(REST.as_millis())?;
    let answers = answers(&app)?;
    let (_, scrape) = app.get("/metrics")?;
    let status = fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(Measured {
        masters,
        keys,
        keys_theirs: theirs,
        complete,
        resident: field("VmRSS:") * 1024,
        threads: field("Threads:"),
        tasks: app.metric("keyscape_tasks")?,
        files: app.metric("process_open_fds")?,
        processor_ms,
        idle_permille,
        series: scrape.lines().filter(|line| !line.starts_with('#')).count(),
        answers,
    })
}

fn processor_ms(app: &App) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", app.pid()))?;
    // After the name in brackets the 12th and 13th words are ticks, as user and as system.
    let words = stat.rsplit(')').next().unwrap_or_default();
    let ticks = words.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(ticks * TICK_MS)
}

fn answers(app: &App) -> Result<Vec<Timed>> {
    let mut client = app.client()?;
    let questions: [(&'static str, &[&str]); 5] = [
        ("DBSIZE", &["DBSIZE"]),
        ("SCAN COUNT 1000", &["SCAN", "0", "COUNT", "1000"]),
        ("KS.TOP BYTES 100", &["KS.TOP", "BYTES", "100"]),
        ("KS.SUMMARY", &["KS.SUMMARY"]),
        ("KS.NODES", &["KS.NODES"]),
    ];
    let mut found = Vec::new();
    for (what, words) in questions {
        let mut ask = || client.ask(words).map(|_| ());
        found.push(timed(what, &mut ask)?);
    }
    let mut scrape = || app.get("/metrics").map(|_| ());
    found.push(timed("scrape", &mut scrape)?);
    Ok(found)
}

/// Asks again and again.
fn timed(what: &'static str, ask: &mut dyn FnMut() -> Result<()>) -> Result<Timed> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        ask().with_context(|| what.to_owned())?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(Timed {
        what,
        median: times[ROUNDS / 2],
        most: times[ROUNDS * 99 / 100],
    })
}
