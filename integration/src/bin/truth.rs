//! `cargo truth -- --servers redis-7.0,valkey-9.1 --ops 200000 --seed 7 [--cuts 50]`: the model
//! against real servers. With `--cluster` each is a cluster of three masters and three replicas
//! that fails over, moves slots and loses a master on the way; with `--sentinel` a master with two
//! replicas and three Sentinels; with `--suite <source tree>` the server's own tests write. The
//! last line is
//! `truth: servers=N keys=N facts=N mismatches=N`; the exit status is 1 if anything differs.
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::Parser;
use integration::campaign::{self, Course, Options};
use integration::follow::Follow;
use integration::servers::Install;
use integration::truth::keyspaces::Kind;
use integration::truth::{advice, bridge, memory, whatif};
use integration::{cluster, sentinel, servers, suite};

/// Mismatches printed in full for each server.
const SHOWN: usize = 25;

/// The servers that whole deployments are made of.
const DEPLOYED: [&str; 5] = [
    "redis-6.0",
    "redis-7.0",
    "redis-8.0",
    "valkey-8.1",
    "valkey-9.1",
];

/// Keys of a class told with their history, if asked for.
const TOLD: usize = 6;

/// Which facts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    All,
    Memory,
    #[value(name = "whatif")]
    WhatIf,
    Bridge,
    Rebalance,
    Analytics,
    Advice,
}

/// Compares Keyscape's model with real servers under random writes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Names from the matrix, separated by commas; all if not given.
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    /// What to compare: `all` facts but memory under random writes, `memory`: MEMORY USAGE of keys of
    /// every size, `whatif`: what KS.WHATIF foretells, done on real servers, `bridge`: how much of
    /// `used_memory` is explained, `rebalance`: a plan of KS.REBALANCE, run on a skewed cluster,
    /// `analytics`: `all`, and every analytic computed anew, or `advice`: the savings that KS.ADVISE promises, realised.
    #[arg(long, value_enum, default_value_t = Which::All)]
    facts: Which,
    /// With `--facts memory`: attach to a master whose keys have a past, without probes and with.
    #[arg(long)]
    history: bool,
    /// Keys to weigh: 4,400 with `--facts memory`, 100,000 strings with `--facts bridge`.
    #[arg(long)]
    keys: Option<u64>,
    /// Keyspaces to measure with `--facts bridge`, or rules with `--facts advice`, separated by
    /// commas; all if not given.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Commands to issue on each server.
    #[arg(long, default_value_t = 50_000)]
    ops: u64,
    /// Where the random numbers start; printed, so that a run can be repeated.
    #[arg(long)]
    seed: Option<u64>,
    /// Cuts of the link on each server.
    #[arg(long, default_value_t = 0)]
    cuts: u64,
    /// Keys written before anything else.
    #[arg(long, default_value_t = 5_000)]
    preload: u64,
    /// Change encoding thresholds with CONFIG SET on the way.
    #[arg(long)]
    thresholds: bool,
    /// Tell mismatches with the last commands that named their keys.
    #[arg(long)]
    trace: bool,
    /// Commands to leave out, separated by commas.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Say which commands the server refused, and why.
    #[arg(long)]
    refusals: bool,
    /// A cluster of three masters and three replicas of each server, instead of a single one.
    #[arg(long, conflicts_with_all = ["cuts", "replica", "trace", "thresholds"])]
    cluster: bool,
    /// A master with two replicas and three Sentinels of each server, instead of a single one.
    #[arg(long, conflicts_with_all = ["cluster", "cuts", "replica", "trace", "thresholds"])]
    sentinel: bool,
    /// A single server of each in cluster mode, which has all slots.
    #[arg(long, conflicts_with_all = ["cluster", "sentinel"])]
    slots: bool,
    /// The top of a source tree of Redis or Valkey: its own tests write instead of random commands.
    /// Needs tclsh.
    #[arg(long, conflicts_with_all = ["cluster", "sentinel", "cuts", "replica", "trace"])]
    suite: Option<PathBuf>,
    /// Units of the suite, such as `unit/type/hash`, separated by commas; those about keys if none.
    #[arg(long, value_delimiter = ',', requires = "suite")]
    units: Vec<String>,
    /// Which nodes are followed, with `--cluster` and `--sentinel`.
    #[arg(long, value_enum, default_value_t = Follow::Master)]
    follow: Follow,
    /// Compare with a real replica instead of Keyscape: a test of this program.
    #[arg(long)]
    replica: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let deployed = arguments.cluster || arguments.sentinel;
    if arguments.follow != Follow::Master && !deployed {
        bail!("--follow needs --cluster or --sentinel: a plain server is followed as it is");
    }
    if arguments.follow == Follow::Local && arguments.cluster {
        bail!("all masters are compared, and one is local: see `cargo chaos -- --follow local`");
    }
    let all = if deployed || arguments.facts == Which::Rebalance {
        DEPLOYED.to_vec()
    } else {
        servers::names()
    };
    let names = if arguments.servers.is_empty() {
        all.into_iter().map(str::to_owned).collect()
    } else {
        arguments.servers.clone()
    };
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seed = arguments.seed.unwrap_or(since.as_secs());
    println!("truth: seed={seed}");
    let (mut all, mut failed) = (Sum::default(), Vec::new());
    for name in &names {
        let outcome = servers::get(name).and_then(|install| match arguments.facts {
            Which::Memory => weigh(&install, &arguments, seed),
            Which::WhatIf => foretell(&install, &arguments, seed),
            Which::Bridge => explain(&install, &arguments),
            Which::Advice => advise(&install, &arguments),
            Which::Rebalance => rebalance(&install, &arguments),
            Which::All | Which::Analytics => compare(&install, &arguments, seed),
        });
        match outcome {
            Ok(sum) => all.add(&sum),
            Err(error) => {
                println!("{name}: failed: {error:#}");
                failed.push(name.clone());
            }
        }
    }
    println!(
        "truth: servers={} keys={} facts={} mismatches={}",
        names.len(),
        all.keys,
        all.facts,
        all.mismatches
    );
    if !failed.is_empty() {
        bail!("no result from {}", failed.join(", "));
    }
    Ok(if all.mismatches == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What was compared, for the last line.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    keys: u64,
    facts: u64,
    mismatches: usize,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.facts += other.facts;
        self.mismatches += other.mismatches;
    }
}

/// All facts but memory, on a server, a deployment, or under a server's own tests.
fn compare(install: &Install, arguments: &Arguments, seed: u64) -> Result<Sum> {
    let mut say = |line| println!("{line}");
    let course = Course {
        ops: arguments.ops,
        seed,
        follow: arguments.follow,
        analytics: arguments.facts == Which::Analytics,
    };
    let outcome = if let Some(tree) = &arguments.suite {
        let options = suite::Options {
            tree: tree.clone(),
            units: arguments.units.clone(),
            seed,
        };
        suite::run(install, &options, &mut say)?
    } else if arguments.cluster {
        cluster::campaign::run(install, &course, &mut say)?
    } else if arguments.sentinel {
        sentinel::campaign::run(install, &course, &mut say)?
    } else {
        campaign::run(install, &options(arguments, seed), &mut say)?
    };
    for mismatch in outcome.report.mismatches.iter().take(SHOWN) {
        println!("{}: {mismatch}", install.name);
    }
    Ok(Sum {
        keys: outcome.report.keys,
        facts: outcome.report.facts,
        mismatches: outcome.report.mismatches.len(),
    })
}

fn options(arguments: &Arguments, seed: u64) -> Options {
    Options {
        ops: arguments.ops,
        seed,
        cuts: arguments.cuts,
        preload: arguments.preload,
        replica: arguments.replica,
        thresholds: arguments.thresholds,
        trace: arguments.trace,
        without: arguments.without.clone(),
        refusals: arguments.refusals,
        analytics: arguments.facts == Which::Analytics,
        slots: arguments.slots,
    }
}

/// Explains what a server uses; more than 1% that is not explained counts as a mismatch. The table
/// is that of the README.
fn explain(install: &Install, arguments: &Arguments) -> Result<Sum> {
    let wanted = |kind: &Kind| {
        let mut kinds = arguments.kinds.iter();
        arguments.kinds.is_empty() || kinds.any(|name| name == kind.name())
    };
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(wanted).collect();
    let options = bridge::Options {
        keys: arguments.keys.unwrap_or(100_000),
        kinds,
        lines: arguments.trace,
    };
    let mut say = |line| println!("{line}");
    let (mut sum, mut rows) = (Sum::default(), Vec::new());
    for mode in bridge::Mode::ALL {
        let found = bridge::run(install, mode, &options, &mut say)?;
        rows.push(bridge::row((install, mode), &found, &options.kinds));
        sum.add(&Sum {
            keys: found.iter().map(|found| found.keys).sum(),
            facts: found.len() as u64,
            mismatches: found.iter().filter(|found| found.misses()).count(),
        });
    }
    println!("{}", bridge::head(&options.kinds));
    rows.iter().for_each(|row| println!("{row}"));
    Ok(sum)
}

/// Evens a cluster out by the plan of KS.REBALANCE; a master that is not as predicted counts as a
/// mismatch.
fn rebalance(install: &Install, arguments: &Arguments) -> Result<Sum> {
    let keys = arguments.keys.unwrap_or(60_000);
    let outcome = cluster::rebalance::run(install, keys)?;
    println!("| server | master | bytes before | predicted | after | error |");
    let lines = outcome.lines(&install.name);
    lines.iter().for_each(|line| println!("{line}"));
    Ok(Sum {
        keys,
        facts: outcome.shares.len() as u64,
        mismatches: outcome.missed(),
    })
}

/// Carries out what rules advise; a saving that is not as promised counts as a mismatch.
fn advise(install: &Install, arguments: &Arguments) -> Result<Sum> {
    println!("| server | rule | keys | bytes before | promised | realised | error |");
    let kept = advice::run(install, &arguments.kinds, &mut |line| println!("{line}"))?;
    Ok(Sum {
        keys: kept.iter().map(|one| one.keys).sum(),
        facts: kept.len() as u64,
        mismatches: kept.iter().filter(|one| !one.holds()).count(),
    })
}

/// Weighs keys on a server; a bar that is missed counts as a mismatch.
fn weigh(install: &Install, arguments: &Arguments, seed: u64) -> Result<Sum> {
    let options = memory::Options {
        keys: arguments.keys.unwrap_or(4_400),
        seed,
        history: arguments.history,
        told: if arguments.trace { TOLD } else { 0 },
    };
    let mut say = |line| println!("{line}");
    let weighed = memory::run(install, &options, &mut say)?;
    let whats = if arguments.history {
        ["guessed", "probed"]
    } else {
        ["live", "loaded"]
    };
    memory::print(install, whats, &weighed, &mut say);
    let keys = weighed.iter().map(|one| one.total().keys).sum();
    Ok(Sum {
        keys,
        facts: keys,
        mismatches: weighed.iter().map(|one| one.missed.len()).sum(),
    })
}

/// Asks a server what its keys would be elsewhere, and does it; what does not come as foretold counts
/// as a mismatch.
fn foretell(install: &Install, arguments: &Arguments, seed: u64) -> Result<Sum> {
    let options = whatif::Options {
        keys: arguments.keys.unwrap_or(4_400),
        seed,
        into: Vec::new(),
        configurations: true,
        told: arguments.trace,
    };
    println!("| from | question | keys | bytes now | foretold | came | foretold / came |");
    let all = whatif::run(install, &options, &mut |line| println!("{line}"))?;
    Ok(Sum {
        keys: all.iter().map(|one| one.keys).sum(),
        facts: all.len() as u64,
        mismatches: all.iter().filter(|one| !one.holds()).count(),
    })
}
