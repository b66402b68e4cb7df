//! `cargo truth -- --facts whatif`: what KS.WHATIF foretells, against servers that do it.
//!
//! ```text
//! server    KS.WHATIF SERVER y of a live x; then y is started on the RDB file of x
//! config    KS.WHATIF CONFIG o v of a live x; then x is started on that file, CONFIG SET o v, DEBUG RELOAD
//! ```
//!
//! The keys are those of `--facts memory`: every type, around every threshold, with a past. Compared
//! are the sums of MEMORY USAGE, all keys and by type and encoding; the bar is for the sum of all.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::histories::{self, Abilities, History};
use super::memory::{CONFIG, as_f64, meet, usage, write};
use crate::app::App;
use crate::resp::{Client, Command};
use crate::server::{DUMP, Server};
use crate::servers::{self, Family, Install};
use crate::wait::{self, PATIENCE};

/// How far the sum of all keys may be off.
const BAR: f64 = 0.005;

/// Keys asked about in one pipeline.
const PIPELINE: usize = 300;

/// Changes of configuration, each with the first versions that have it.
type Change = &'static [(&'static str, &'static str)];
const CHANGES: [(Change, (u32, u32)); 8] = [
    (&[("hash-max-listpack-entries", "64")], (6, 0)),
    (
        &[
            ("hash-max-listpack-entries", "2000"),
            ("hash-max-listpack-value", "200"),
        ],
        (6, 0),
    ),
    (&[("zset-max-listpack-entries", "32")], (6, 0)),
    (
        &[
            ("zset-max-listpack-entries", "1000"),
            ("zset-max-listpack-value", "128"),
        ],
        (6, 0),
    ),
    (&[("set-max-intset-entries", "100")], (6, 0)),
    (&[("set-max-intset-entries", "2000")], (6, 0)),
    (&[("set-max-listpack-entries", "1024")], (7, 2)),
    (&[("list-max-listpack-size", "-1")], (6, 0)),
];

/// One question and its answer, and what came of it.
#[derive(Debug, Clone)]
pub struct Foretold {
    /// What was asked.
    pub question: String,
    /// The server that was asked about.
    pub server: String,
    /// Keys.
    pub keys: u64,
    /// Bytes as they were.
    pub now: u64,
    /// Bytes as foretold.
    pub foretold: u64,
    /// Bytes as they came.
    pub came: u64,
    /// Types and encodings that are off by more than the bar, in words.
    pub odd: Vec<String>,
}

impl Foretold {
    /// Foretold by what came.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        as_f64(self.foretold) / as_f64(self.came.max(1))
    }

    /// True if it came as foretold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.came > 0 && (self.ratio() - 1.0).abs() <= BAR
    }

    /// One line of the table.
    #[must_use]
    pub fn line(&self, from: &str) -> String {
        format!(
            "| {from} | {} | {} | {} | {} | {} | {:.4} |{}",
            self.question,
            self.keys,
            self.now,
            self.foretold,
            self.came,
            self.ratio(),
            if self.holds() { "" } else { " missed" }
        )
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keys to write.
    pub keys: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Names of the servers to load the keys into; all that read the file if empty.
    pub into: Vec<String>,
    /// Ask about the configuration, too.
    pub configurations: bool,
    /// Tell types and encodings that are off, too.
    pub told: bool,
}

/// Asks one live server about all others that can load its keys, and does it; `say` gets every line.
///
/// # Errors
/// If a server or Keyscape fails to do its part at all.
pub fn run(
    install: &Install,
    options: &Options,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Foretold>> {
    let abilities = Abilities::of(install);
    let keys: Vec<History> = (0..options.keys)
        .map(|number| histories::history(options.seed, number, abilities))
        .collect();
    let server = Server::start(install, &[("repl-timeout", "7200")])?;
    let mut control = server.client()?;
    control.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])?;
    let app = App::start(&[server.url()], CONFIG)?;
    app.wait_synced(PATIENCE)?;
    wait::for_true(PATIENCE, "the snapshot's child to be gone", || {
        Ok(control.info("persistence", "rdb_bgsave_in_progress")? == "0")
    })?;
    write(&mut control, &keys)?;
    meet(&mut control, &app)?;
    control.ask(&["SAVE"])?;
    let dump = server.file(DUMP);
    let mut all = Vec::new();
    let mut tell = |foretold: Foretold| {
        say(foretold.line(&install.name));
        if options.told || !foretold.holds() {
            foretold
                .odd
                .iter()
                .for_each(|odd| say(format!("    {odd}")));
        }
        all.push(foretold);
    };
    for name in servers::names() {
        if name != install.name
            && !options.into.is_empty()
            && !options.into.iter().any(|n| n == name)
        {
            continue;
        }
        let target = servers::get(name)?;
        if loads(install, &target) {
            tell(ask_server(&app, (&target, &dump), &keys)?);
        }
    }
    let changes = CHANGES.iter().filter(|_| options.configurations);
    for (change, since) in changes {
        let (major, minor, _) = install.numbers();
        if install.family == Family::Valkey || (major, minor) >= *since {
            tell(ask_config(&app, (install, &dump), change, &keys)?);
        }
    }
    Ok(all)
}

/// True if a server reads the RDB files of another: the same or a newer one of its family, or a
/// Valkey where the families have not parted yet.
fn loads(from: &Install, to: &Install) -> bool {
    let parted = from.numbers() >= (7, 4, 0);
    match (from.family, to.family) {
        (Family::Redis, Family::Valkey) => !parted,
        (Family::Valkey, Family::Redis) => false,
        (Family::Redis, Family::Redis) | (Family::Valkey, Family::Valkey) => {
            from.numbers() <= to.numbers()
        }
    }
}

fn ask_server(app: &App, (target, dump): (&Install, &Path), keys: &[History]) -> Result<Foretold> {
    let (_server, mut control) = loaded(target, dump)?;
    let allocator = allocator(&mut control)?;
    let (major, minor, _) = target.numbers();
    let family = match target.family {
        Family::Redis => "redis",
        Family::Valkey => "valkey",
    };
    let name = format!("{family}-{major}.{minor}");
    let question = ["KS.WHATIF", "SERVER", &name, "ALLOCATOR", allocator];
    let answer = answer(app, &question)?;
    let came = weigh(&mut control, keys)?;
    compare((format!("SERVER {name}"), &target.name), &answer, &came)
}

fn ask_config(
    app: &App,
    (install, dump): (&Install, &Path),
    change: Change,
    keys: &[History],
) -> Result<Foretold> {
    let mut question = vec!["KS.WHATIF"];
    for (name, value) in change {
        question.extend(["CONFIG", name, value]);
    }
    let answer = answer(app, &question)?;
    let (_server, mut control) = loaded(install, dump)?;
    for (name, value) in change {
        let name = if install.numbers() < (7, 0, 0) {
            name.replace("listpack", "ziplist")
        } else {
            (*name).to_owned()
        };
        control.ask(&["CONFIG", "SET", &name, value])?;
    }
    control.ask(&["DEBUG", "RELOAD"])?;
    let came = weigh(&mut control, keys)?;
    compare((question[1..].join(" "), &install.name), &answer, &came)
}

/// A server that has loaded the file.
fn loaded(install: &Install, dump: &Path) -> Result<(Server, Client)> {
    let server = Server::start_on(install, &[], dump)?;
    let mut control = server.client()?;
    wait::for_true(PATIENCE, "the file to be loaded", || {
        Ok(control.info("persistence", "loading")? == "0")
    })?;
    Ok((server, control))
}

/// The allocator of a server, as KS.WHATIF names it.
fn allocator(control: &mut Client) -> Result<&'static str> {
    if control.info("memory", "mem_allocator")? == "libc" {
        return Ok("libc");
    }
    let stats = control.ask(&["MEMORY", "MALLOC-STATS"])?.string();
    let after = |label: &str| {
        let at = stats.find(label).map(|at| at + label.len());
        at.and_then(|at| stats[at..].split_whitespace().next())
    };
    match (
        after("Quantum size:"),
        after("opt.disable_large_size_classes:"),
    ) {
        (Some("8"), _) => Ok("jemalloc-bundled"),
        (Some("16"), Some("true")) => Ok("jemalloc-shared-5.3.1"),
        (Some("16"), _) => Ok("jemalloc-shared"),
        (quantum, _) => bail!("an allocator with a quantum of {quantum:?}"),
    }
}

fn answer(app: &App, question: &[&str]) -> Result<Value> {
    let mut words = question.to_vec();
    words.extend(["FORMAT", "JSON"]);
    let text = app.client()?.ask(&words)?.string();
    serde_json::from_str(&text).with_context(|| format!("{words:?}: {text}"))
}

/// Keys and bytes by type and encoding.
type Sums = BTreeMap<(String, String), (u64, u64)>;

fn weigh(control: &mut Client, keys: &[History]) -> Result<Sums> {
    let mut sums = Sums::new();
    for some in keys.chunks(PIPELINE) {
        let mut questions: Vec<Command> = Vec::new();
        for history in some {
            let name = &history.name;
            questions.push(vec![b"TYPE".to_vec(), name.clone()]);
            questions.push(vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), name.clone()]);
            questions.push(usage(history));
        }
        for facts in control.pipeline(&questions)?.chunks(3) {
            let [kind, encoding, bytes] = facts else {
                continue;
            };
            let Some(bytes) = bytes.int() else { continue };
            let encoding = encoding.string().replace("ziplist", "listpack");
            let sum = sums.entry((kind.string(), encoding)).or_default();
            sum.0 += 1;
            sum.1 += u64::try_from(bytes)?;
        }
    }
    Ok(sums)
}

fn compare((question, server): (String, &str), answer: &Value, came: &Sums) -> Result<Foretold> {
    let total = &answer["total"];
    let number = |value: &Value, name: &str| {
        let number = value[name].as_u64();
        number.with_context(|| format!("no {name} in {value}"))
    };
    let mut foretold = Sums::new();
    for row in answer["by_encoding"].as_array().into_iter().flatten() {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let sum = foretold
            .entry((word("type"), word("encoding_then")))
            .or_default();
        sum.0 += number(row, "keys")?;
        sum.1 += number(row, "bytes_then")?;
    }
    let mut odd = Vec::new();
    let groups: std::collections::BTreeSet<_> = foretold.keys().chain(came.keys()).collect();
    for group in groups {
        let (ours, theirs) = (
            foretold.get(group).copied().unwrap_or_default(),
            came.get(group).copied().unwrap_or_default(),
        );
        let off = as_f64(ours.1.abs_diff(theirs.1)) / as_f64(theirs.1.max(1));
        if ours.0 != theirs.0 || off > BAR {
            let (kind, encoding) = group;
            odd.push(format!(
                "{kind} {encoding}: foretold {ours:?}, came {theirs:?}"
            ));
        }
    }
    Ok(Foretold {
        question,
        server: server.to_owned(),
        keys: number(total, "keys")?,
        now: number(total, "bytes_now")?,
        foretold: number(total, "bytes_then")?,
        came: came.values().map(|sum| sum.1).sum(),
        odd,
    })
}
