//! Many small masters at once: what Keyscape takes for them, and how long until it knows all keys.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::writer::ClusterWriter;
use super::{AGREEMENT, Cluster, Shape};
use crate::app::App;
use crate::resp::Client;
use crate::servers::Install;
use crate::wait;

/// How long all snapshots may take together.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Masters of the cluster.
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
    /// Processor time until then, in milliseconds.
    pub processor_ms: u64,
}

/// Starts a cluster of so many masters with some keys in every slot, and Keyscape on it.
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
    let size = |client: &mut Client| client.ask(&["DBSIZE"]).map(|n| n.int().unwrap_or(0));
    let mut theirs = 0;
    for addr in seeds {
        theirs += size(&mut Client::connect(addr)?)?;
    }
    let started = Instant::now();
    let app = App::start(&[cluster.url()], "")?;
    let mut keys = 0;
    wait::for_true(PATIENCE, "a complete answer", || {
        keys = size(&mut app.client()?)?;
        Ok(keys == theirs && app.followed()?.len() == masters && app.status()?.synced)
    })
    .with_context(|| app.log_tail())?;
    let complete = started.elapsed();
    let status = fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", app.pid()))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
    };
    // After the name in brackets the 12th and 13th words are ticks of 10 ms, as user and as system.
    let words = stat.rsplit(')').next().unwrap_or_default();
    let ticks = words.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(Measured {
        masters,
        keys,
        keys_theirs: theirs,
        complete,
        resident: field("VmRSS:") * 1024,
        threads: field("Threads:"),
        processor_ms: ticks * 10,
    })
}
