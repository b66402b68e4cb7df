//! `cargo truth -- --facts memory`: MEMORY USAGE of every key, as the master says it and as Keyscape
//! does, for keys of every type around every threshold.
//!
//! ```text
//! live     Keyscape is attached to an empty master and follows every write
//! loaded   the master reads its own snapshot (DEBUG RELOAD), Keyscape attaches anew
//! guessed  Keyscape attaches to a master whose keys have a past, and does not probe
//! probed   the same with probes, at the rates of production; the lives of strings go on then
//! ```
//!
//! Where the server has the C library's malloc, what a key weighs after a write follows from nothing
//! that is known, and is asked for like that of a key with a past: there every figure but *guessed* is
//! behind those probes, which the comparison waits for, and the report says so.
//!
//! The bars are those of the project: what is determined is exact, and what is random (levels of
//! skiplist nodes, crowded buckets, tables half moved) is right on average.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::histories::{self, Abilities, History};
use crate::app::{App, Status};
use crate::resp::{Client, Command};
use crate::server::Server;
use crate::servers::{Family, Install};
use crate::wait::{self, PATIENCE};

/// Commands, or keys asked about, in one pipeline.
const PIPELINE: usize = 300;

/// Re-reads and probes are not what is measured: they may come at once. Audits would repair what is
/// to be found: they have the rate of production.
pub(super) const CONFIG: &str = "
[reread]
values_per_s_max = 5000
probes_per_s_max = 20000
sizes_per_s_max = 20000
audits_per_s_max = 1
elements_per_s_max = 50000000
";

/// The same without probes: what formulas make of what was followed.
const FORMULAS: &str = "
[reread]
values_per_s_max = 5000
probes_per_s_max = 20000
sizes_per_s_max = 0
audits_per_s_max = 0
";

/// Mean error that a model may have whose master had a past before it came, and of formulas alone.
const HISTORY_PERCENT: f64 = 0.5;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keys to write.
    pub keys: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Attach to a master with a past, without probes and with them, instead.
    pub history: bool,
    /// Wrong keys told in full for each class that has a bar of 100%.
    pub told: usize,
}

/// All keys of one type and encoding.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Keys.
    pub keys: u64,
    /// Keys weighed to the byte.
    pub exact: u64,
    /// Sum of the relative errors.
    pub error: f64,
    /// Largest relative error.
    pub worst: f64,
    /// Bytes as the server says.
    pub theirs: u64,
    /// Bytes as Keyscape says.
    pub ours: u64,
}

/// What one comparison found.
#[derive(Debug, Clone, Default)]
pub struct Weighed {
    /// By type and encoding.
    pub classes: BTreeMap<String, Class>,
    /// Bars that were missed, in words.
    pub missed: Vec<String>,
    /// Keys whose size was asked for before they were weighed: with the C library's malloc all.
    pub probes: u64,
    /// Mean error of a model that asks for none, in percent, where one asked for some.
    pub by_formulas: Option<f64>,
}

impl Class {
    fn add(&mut self, theirs: u64, ours: u64) {
        let error = relative(theirs, ours);
        self.keys += 1;
        self.exact += u64::from(theirs == ours);
        self.error += error;
        self.worst = self.worst.max(error);
        self.theirs += theirs;
        self.ours += ours;
    }

    fn join(&mut self, other: &Class) {
        self.keys += other.keys;
        self.exact += other.exact;
        self.error += other.error;
        self.worst = self.worst.max(other.worst);
        self.theirs += other.theirs;
        self.ours += other.ours;
    }

    fn exact_percent(&self) -> f64 {
        percent(self.exact, self.keys)
    }

    fn mean_percent(&self) -> f64 {
        100.0 * self.error / as_f64(self.keys.max(1))
    }

    fn sum_ratio(&self) -> f64 {
        as_f64(self.ours) / as_f64(self.theirs.max(1))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:6} | {:6.2} | {:6.3} | {:6.2} | {:.4}",
            self.keys,
            self.exact_percent(),
            self.mean_percent(),
            100.0 * self.worst,
            self.sum_ratio()
        )
    }
}

impl Weighed {
    /// Every class together.
    #[must_use]
    pub fn total(&self) -> Class {
        let mut total = Class::default();
        for class in self.encodings().values() {
            total.join(class);
        }
        total
    }

    /// The classes by type and encoding alone.
    fn encodings(&self) -> BTreeMap<&str, Class> {
        let mut encodings: BTreeMap<&str, Class> = BTreeMap::new();
        for (name, class) in &self.classes {
            let encoding = name.split(',').next().unwrap_or(name);
            encodings.entry(encoding).or_default().join(class);
        }
        encodings
    }

    /// The bars of a model that knows the past from a snapshot and probes alone.
    fn judge_history(&mut self) {
        let mean = self.total().mean_percent();
        if mean > HISTORY_PERCENT {
            let text = format!("all keys: mean error {mean:.3}%, not {HISTORY_PERCENT}%");
            self.missed.push(text);
        }
    }

    fn judge(&mut self, family: Family) {
        let mut missed = Vec::new();
        for (name, class) in &self.classes {
            let bar = exact_bar(name, family);
            if class.exact_percent() < bar {
                missed.push(format!(
                    "{name}: {:.2}% exact, not {bar}%",
                    class.exact_percent()
                ));
            }
        }
        for (name, class) in self.encodings() {
            if (class.sum_ratio() - 1.0).abs() > 0.003 {
                missed.push(format!("{name}: sum {:.4}", class.sum_ratio()));
            }
        }
        let bar = match family {
            Family::Redis => 0.15,
            Family::Valkey => 0.4,
        };
        let mean = self.total().mean_percent();
        let formulas = self.by_formulas.map(|mean| (mean, HISTORY_PERCENT));
        for (mean, bar) in [(mean, bar)].into_iter().chain(formulas) {
            if mean > bar {
                missed.push(format!("all keys: mean error {mean:.3}%, not {bar}%"));
            }
        }
        self.missed = missed;
    }
}

/// Percentage of a class that has to be exact.
fn exact_bar(class: &str, family: Family) -> f64 {
    let random = class.contains("skiplist");
    match family {
        _ if random => 0.0,
        Family::Redis if class.contains("hashtable") => 96.0,
        Family::Valkey if class.contains("hashtable") => 0.0,
        Family::Redis | Family::Valkey => 100.0,
    }
}

/// Writes, weighs, reloads and weighs again on one server; `say` gets every line of the report.
///
/// # Errors
/// If a server or Keyscape fails to do its part at all.
pub fn run(
    install: &Install,
    options: &Options,
    say: &mut dyn FnMut(String),
) -> Result<[Weighed; 2]> {
    let abilities = Abilities::of(install);
    let keys: Vec<History> = (0..options.keys)
        .map(|number| histories::history(options.seed, number, abilities))
        .collect();
    let lists: Vec<History> = (0..options.keys / 40)
        .map(|number| histories::long_list(options.seed, number))
        .collect();
    let told = options.told;
    let plain = Round {
        install,
        config: &[],
        histories: &keys,
        told,
    };
    let compressing = Round {
        config: &[("list-compress-depth", "1")],
        histories: &lists,
        ..plain
    };
    if options.history {
        let (mut weighed, took) = plain.run_history(say)?;
        say(format!("{}: probed in {took:?}", install.name));
        weighed[1].judge_history();
        return Ok(weighed);
    }
    let mut weighed = plain.run(say)?;
    for (all, lists) in weighed.iter_mut().zip(compressing.run(say)?) {
        all.classes.extend(lists.classes);
        all.judge(install.family);
    }
    Ok(weighed)
}

/// One server with one configuration, and what is written to it.
#[derive(Clone, Copy)]
struct Round<'a> {
    install: &'a Install,
    config: &'a [(&'a str, &'a str)],
    histories: &'a [History],
    told: usize,
}

impl Round<'_> {
    fn run(&self, say: &mut dyn FnMut(String)) -> Result<[Weighed; 2]> {
        let silent = &mut |_| ();
        let mut options = vec![("repl-timeout", "7200")];
        options.extend(self.config);
        let server = Server::start(self.install, &options)?;
        let mut control = server.client()?;
        // Nothing expires while it is compared; but no key is to be lost either.
        control.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
        let live = {
            let app = App::start(&[server.url()], CONFIG)?;
            app.wait_synced(PATIENCE)?;
            let formulas = App::start(&[server.url()], FORMULAS)?;
            formulas.wait_synced(PATIENCE)?;
            // As long as a server has a child, its tables do not grow.
            wait::for_true(PATIENCE, "the snapshot's child to be gone", || {
                Ok(control.info("persistence", "rdb_bgsave_in_progress")? == "0")
            })?;
            write(&mut control, self.histories)?;
            let mut live = self.weigh(&mut control, &app, say)?;
            if live.probes > 0 {
                meet_as(&mut control, &formulas, |status| status.inexact == 0)?;
                let guessed = self.weigh_at(&mut control, &formulas, silent)?.total();
                let what = match self.config.is_empty() {
                    true => "by formulas alone",
                    false => "compressed lists by formulas alone",
                };
                say(format!("{}: {what}: {guessed}", self.install.name));
                live.by_formulas = Some(guessed.mean_percent());
            }
            live
        };
        control.ask(&["DEBUG", "RELOAD"])?;
        // As after a restart: a server that has processed no commands. Before 7.0 nothing else
        // tells that its keys were loaded.
        control.ask(&["CONFIG", "RESETSTAT"])?;
        let app = App::start(&[server.url()], CONFIG)?;
        app.wait_synced(PATIENCE)?;
        let loaded = self.weigh(&mut control, &app, say)?;
        Ok([live, loaded])
    }

    /// Attaches to a master whose keys have a past: without probes, then with them. How long those
    /// took.
    fn run_history(&self, say: &mut dyn FnMut(String)) -> Result<([Weighed; 2], Duration)> {
        let server = Server::start(self.install, &[("repl-timeout", "7200")])?;
        let mut control = server.client()?;
        control.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
        let halves: Vec<[History; 2]> = self.histories.iter().map(History::halves).collect();
        let half = |at: usize| halves.iter().map(move |both| both[at].clone());
        write(&mut control, &half(0).collect::<Vec<_>>())?;
        let guessed = {
            let app = App::start(&[server.url()], "[reread]\nsizes_per_s_max = 0\n")?;
            app.wait_synced(PATIENCE)?;
            wait::for_true(PATIENCE, "encodings", || {
                Ok(app.metric("keyscape_keys_unverified")? == 0)
            })?;
            self.weigh_at(&mut control, &app, say)?
        };
        let app = App::start(&[server.url()], "")?;
        app.wait_synced(PATIENCE)?;
        let since = Instant::now();
        meet(&mut control, &app)?;
        let took = since.elapsed();
        // What is known of the past decides what becomes of it.
        write(&mut control, &half(1).collect::<Vec<_>>())?;
        meet(&mut control, &app)?;
        let probed = self.weigh_at(&mut control, &app, say)?;
        Ok(([guessed, probed], took))
    }

    fn weigh(
        &self,
        control: &mut Client,
        app: &App,
        say: &mut dyn FnMut(String),
    ) -> Result<Weighed> {
        meet(control, app)?;
        self.weigh_at(control, app, say)
    }

    fn weigh_at(
        &self,
        control: &mut Client,
        app: &App,
        say: &mut dyn FnMut(String),
    ) -> Result<Weighed> {
        let mut ours = app.client()?;
        let mut weighed = Weighed {
            probes: app.metric("keyscape_sizes_total")?,
            ..Weighed::default()
        };
        let mut told_of: BTreeMap<String, usize> = BTreeMap::new();
        for some in self.histories.chunks(PIPELINE) {
            let facts = control.pipeline(&questions(some))?;
            let usage: Vec<Command> = some.iter().map(usage).collect();
            let answers = ours.pipeline(&usage)?;
            for ((history, facts), answer) in some.iter().zip(facts.chunks(3)).zip(answers) {
                let [kind, encoding, theirs] = facts else {
                    continue;
                };
                let Some(theirs) = theirs.int() else { continue };
                let theirs = u64::try_from(theirs)?;
                let ours = u64::try_from(answer.int().unwrap_or(0))?;
                let name = class_of(history, &kind.string(), &encoding.string());
                let count = told_of.entry(name.clone()).or_default();
                if theirs != ours && *count < self.told {
                    *count += 1;
                    let story = story(history);
                    say(format!("{name} ours {ours} theirs {theirs}: {story}"));
                }
                weighed.classes.entry(name).or_default().add(theirs, ours);
            }
        }
        Ok(weighed)
    }
}

/// Waits until Keyscape stands where the server stands, and is sure of every key: of its size as well,
/// where that is asked for.
///
/// # Errors
/// If that takes too long, with both offsets and the end of the log.
pub fn meet(control: &mut Client, app: &App) -> Result<()> {
    meet_as(control, app, |status| {
        status.inexact == 0 && status.unverified == 0
    })
}

/// The same, and is as sure of them as that.
fn meet_as(control: &mut Client, app: &App, is_sure: impl Fn(&Status) -> bool) -> Result<()> {
    let mut seen = (0, 0);
    let met = wait::for_true(PATIENCE, "the offsets to meet", || {
        let theirs: i64 = control.info("replication", "master_repl_offset")?.parse()?;
        let status = app.status()?;
        seen = (theirs, status.offset);
        Ok(status.synced && is_sure(&status) && theirs == status.offset)
    });
    met.with_context(|| format!("offsets {seen:?}; {}", app.log_tail()))
}

/// The table of one server, for reading and for the README.
pub fn print(
    install: &Install,
    whats: [&str; 2],
    both: &[Weighed; 2],
    say: &mut dyn FnMut(String),
) {
    for (what, weighed) in whats.iter().zip(both) {
        say(format!(
            "{} {} {what}: keys, exact %, mean error %, worst %, sum ours / theirs",
            install.name, install.version
        ));
        if weighed.probes > 0 {
            let probes = weighed.probes;
            say(format!(
                "{} {what}: behind {probes} probes of sizes",
                install.name
            ));
        }
        for (name, class) in &weighed.classes {
            say(format!("| {name:32} | {class} |"));
        }
        say(format!("| {:32} | {} |", "all", weighed.total()));
        for missed in &weighed.missed {
            say(format!("{} {what}: missed: {missed}", install.name));
        }
    }
}

pub(super) fn write(client: &mut Client, histories: &[History]) -> Result<()> {
    for some in histories.chunks(20) {
        for command in some.iter().flat_map(|history| &history.commands) {
            client.push(command);
        }
        client.flush()?;
        for history in some {
            for command in &history.commands {
                let reply = client.read()?;
                // LSET to a list that was trimmed to nothing is part of a history.
                if reply.is_error()
                    && !reply.string().contains("no such key")
                    && !reply.string().contains("out of range")
                {
                    anyhow::bail!("{}: {}", told(command), reply.string());
                }
            }
        }
    }
    Ok(())
}

/// The row that a key counts in.
fn class_of(history: &History, kind: &str, encoding: &str) -> String {
    let mark = match history.subject() {
        "hll" => ", HyperLogLog",
        "long" => ", compressed",
        "fttl" => ", field TTL",
        _ => "",
    };
    format!("{kind} {encoding}{mark}")
}

fn questions(histories: &[History]) -> Vec<Command> {
    let mut commands = Vec::new();
    for history in histories {
        let name = &history.name;
        commands.push(vec![b"TYPE".to_vec(), name.clone()]);
        commands.push(vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), name.clone()]);
        commands.push(usage(history));
    }
    commands
}

pub(super) fn usage(history: &History) -> Command {
    let words = [
        b"MEMORY".as_slice(),
        b"USAGE",
        &history.name,
        b"SAMPLES",
        b"0",
    ];
    words.map(<[u8]>::to_vec).into()
}

/// A history in one line, long arguments by their length.
fn story(history: &History) -> String {
    let mut told_commands: Vec<String> = history.commands.iter().map(|c| told(c)).collect();
    let len = told_commands.len();
    if len > 8 {
        told_commands.drain(4..len - 4);
    }
    format!(
        "key of {} bytes, {len} commands: {}",
        history.name.len(),
        told_commands.join("; ")
    )
}

fn told(command: &[Vec<u8>]) -> String {
    let words = command.iter().map(|word| match word.len() {
        0..=20 => word.escape_ascii().to_string(),
        len => format!("<{len}>"),
    });
    let words: Vec<String> = words.collect();
    let len = words.len();
    if len > 12 {
        return format!("{} .. ({len} words)", words[..8].join(" "));
    }
    words.join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
pub(super) const fn as_f64(n: u64) -> f64 {
    n as f64
}

fn relative(theirs: u64, ours: u64) -> f64 {
    as_f64(theirs.abs_diff(ours)) / as_f64(theirs.max(1))
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * as_f64(part) / as_f64(whole.max(1))
}
