//! `cargo chaos -- --minutes 10 --seed 7 [--servers redis-7.0,valkey-9.1] [--mode cluster|sentinel|both]
//! [--faults 200] [--follow master|replica|prefer-replica|local]`: everything that happens to deployments, one thing after the other, under a
//! constant write load. After the counts of each fault the last line is
//! `chaos: faults=N full=N partial=N keys=N mismatches=N`; the exit status is 1 if anything differs
//! or if something happened that must never happen. With `--fleet 100` it measures Keyscape on a
//! cluster of 100 small masters instead;
//! with `--fleet 1000 --fake` the masters are scripted.
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use integration::chaos::cluster::ClusterStage;
use integration::chaos::sentinel::SentinelStage;
use integration::chaos::{self, Options, Outcome};
use integration::follow::Follow;
use integration::{cluster, servers};

/// What a run is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Clusters of three masters and three replicas.
    Cluster,
    /// A master, two replicas and three Sentinels.
    Sentinel,
    /// Each server twice.
    Both,
}

/// Lets everything happen to deployments and compares at every quiescent point.
#[derive(Debug, Parser)]
struct Arguments {
    /// Minutes for all servers together.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Faults for all servers together; the minutes end the run all the same.
    #[arg(long, default_value_t = u64::MAX)]
    faults: u64,
    /// Where the random numbers start; printed, so that a run can be repeated.
    #[arg(long)]
    seed: Option<u64>,
    /// Names from the matrix, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "redis-7.0,valkey-9.1")]
    servers: Vec<String>,
    /// Clusters, Sentinel, or both.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    mode: Mode,
    /// Nothing but these kinds of fault, separated by commas, such as `Failover,StopLong`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Which nodes are followed.
    #[arg(long, value_enum, default_value_t = Follow::Master)]
    follow: Follow,
    /// Compute every analytic anew at each quiescent point, too.
    #[arg(long)]
    analytics: bool,
    /// No chaos: measure Keyscape on a cluster of so many masters of the first server.
    #[arg(long)]
    fleet: Option<usize>,
    /// With `--fleet`: scripted masters in place of real ones.
    #[arg(long, requires = "fleet")]
    fake: bool,
    /// With `--fake`: keys of each master.
    #[arg(long, default_value_t = 100, requires = "fake")]
    keys: usize,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(masters) = arguments.fleet {
        return fleet(&arguments, masters);
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seed = arguments.seed.unwrap_or(since.as_secs());
    println!("chaos: seed={seed}");
    let modes = match arguments.mode {
        Mode::Both => vec![Mode::Cluster, Mode::Sentinel],
        Mode::Cluster | Mode::Sentinel => vec![arguments.mode],
    };
    let runs = (arguments.servers.len() * modes.len()).max(1) as u64;
    let mut options = Options {
        limit: Duration::from_secs(arguments.minutes * 60 / runs),
        faults: arguments.faults.div_ceil(runs),
        seed,
        only: arguments.only.clone(),
        follow: arguments.follow,
        analytics: arguments.analytics,
    };
    let (mut all, mut failed) = (Outcome::default(), false);
    for name in &arguments.servers {
        for mode in &modes {
            println!("{name} {mode:?}: seed={}", options.seed);
            let outcome = one(name, *mode, options.clone());
            // Another order of faults for the next, and one that can be had by itself.
            options.seed = options.seed.wrapping_add(1);
            match outcome {
                Ok(outcome) => all.add(outcome),
                Err(error) => {
                    println!("{name} {mode:?}: failed: {error:#}");
                    failed = true;
                }
            }
        }
    }
    report(&all);
    let clean = all.report.mismatches.is_empty() && all.violations.is_empty() && !failed;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn one(name: &str, mode: Mode, options: Options) -> Result<Outcome> {
    let install = servers::get(name)?;
    let mut say = |line: String| println!("{line}");
    if mode == Mode::Sentinel {
        let (stage, writer) = SentinelStage::start(&install, options.seed)?;
        return chaos::run(stage, writer, options, &mut say);
    }
    let (stage, writer) = ClusterStage::start(&install, options.seed)?;
    chaos::run(stage, writer, options, &mut say)
}

fn fleet(arguments: &Arguments, masters: usize) -> Result<ExitCode> {
    let found = if arguments.fake {
        cluster::fleet::measure_fakes(masters, arguments.keys)?
    } else {
        cluster::fleet::measure(&servers::get(&arguments.servers[0])?, masters)?
    };
    println!("{found}");
    Ok(ExitCode::SUCCESS)
}

fn report(all: &Outcome) {
    for (kind, count) in &all.faults {
        println!("chaos: {kind} {count}");
    }
    for violation in &all.violations {
        println!("chaos: never: {violation}");
    }
    println!(
        "chaos: failovers in sync={} continued={} (we were ahead of the promoted replica in {} more)",
        all.in_sync, all.continued, all.ahead
    );
    println!(
        "chaos: looks={} violations={}",
        all.looks,
        all.violations.len()
    );
    println!(
        "chaos: faults={} full={} partial={} keys={} mismatches={}",
        all.total(),
        all.full,
        all.partial,
        all.report.keys,
        all.report.mismatches.len()
    );
}
