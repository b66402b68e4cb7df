//! `cargo truth -- --facts bridge`: what a server uses, and how much of it `KS.SUMMARY MEMORY`
//! explains, for keyspaces of one kind each and for a mix, on single servers and in cluster mode.
//!
//! Measured at rest: nobody writes, and two looks at the server's memory in a row found the same.
//! Each kind has its server to itself, because a server that has freed a keyspace keeps blocks of
//! its connections that another one has not.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::keyspaces::Kind;
use crate::app::App;
use crate::cluster;
use crate::resp::Client;
use crate::server::Server;
use crate::servers::Install;
use crate::wait::{self, PATIENCE};

/// Commands in one pipeline.
const PIPELINE: usize = 300;

/// A look at the memory every second. Re-reads and probes are not what is measured.
const CONFIG: &str = "
[link]
poll_ms = 100

[reread]
values_per_s_max = 5000
probes_per_s_max = 20000
sizes_per_s_max = 20000
elements_per_s_max = 50000000
";

/// How much of `used_memory` may be left unexplained.
const BAR: f64 = 0.01;

/// How far two looks at a server at rest may be apart: buffers of connections come and go.
const REST: f64 = 0.002;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Strings of the keyspaces that are strings; the others are about as large.
    pub keys: u64,
    /// The kinds to measure.
    pub kinds: Vec<Kind>,
    /// Whether every line is told.
    pub lines: bool,
}

/// Single servers or nodes of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A single server.
    Single,
    /// The only master of a cluster.
    Cluster,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Single, Self::Cluster];

    const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Cluster => "cluster",
        }
    }
}

/// What was found for one keyspace.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// What it was.
    pub kind: Kind,
    /// Keys.
    pub keys: u64,
    /// `used_memory`.
    pub used: u64,
    /// What no line explains.
    pub unexplained: i64,
}

impl Found {
    /// By `used_memory`, positive if the lines have too little.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    pub fn share(&self) -> f64 {
        self.unexplained as f64 / self.used.max(1) as f64
    }

    /// Whether that is more than may be.
    #[must_use]
    pub fn misses(&self) -> bool {
        self.share().abs() > BAR
    }
}

/// Measures every kind on one server; `say` gets every line of the report.
///
/// # Errors
/// If a server or Keyscape fails to do its part at all.
pub fn run(
    install: &Install,
    mode: Mode,
    options: &Options,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for kind in options.kinds.iter().filter(|kind| kind.is_known(install)) {
        let found = one(install, (mode, *kind), options, say)
            .with_context(|| format!("{} {}", mode.name(), kind.name()))?;
        say(format!(
            "{} {} {:12}: {:7} keys, used_memory {:10}, unexplained {:9}, {:+.3}%{}",
            install.name,
            mode.name(),
            kind.name(),
            found.keys,
            found.used,
            found.unexplained,
            100.0 * found.share(),
            if found.misses() { " missed" } else { "" }
        ));
        all.push(found);
    }
    Ok(all)
}

/// The head of the table for the README.
#[must_use]
pub fn head(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let names = names.join(" | ");
    let line = " --- |".repeat(kinds.len() + 1);
    format!("| unexplained, % of used_memory | {names} |\n|{line}")
}

/// A row of it.
#[must_use]
pub fn row((install, mode): (&Install, Mode), found: &[Found], kinds: &[Kind]) -> String {
    let cells = kinds.iter().map(|kind| {
        let found = found.iter().find(|found| found.kind == *kind);
        found.map_or_else(|| "-".to_owned(), |f| format!("{:+.2}", 100.0 * f.share()))
    });
    let cells: Vec<String> = cells.collect();
    let name = install.name.replace('-', " ");
    let major = name.rsplit_once(' ').map_or(name.as_str(), |pair| pair.0);
    let mode = mode.name();
    format!(
        "| {major} {}, {mode} | {} |",
        install.version,
        cells.join(" | ")
    )
}

fn one(
    install: &Install,
    (mode, kind): (Mode, Kind),
    options: &Options,
    say: &mut dyn FnMut(String),
) -> Result<Found> {
    let server = start(install, mode)?;
    let mut control = server.client()?;
    let app = App::start(&[server.url()], CONFIG)?;
    app.wait_synced(PATIENCE)?;
    // As long as a server has a child, its tables do not grow.
    wait::for_true(PATIENCE, "the snapshot's child to be gone", || {
        Ok(control.info("persistence", "rdb_bgsave_in_progress")? == "0")
    })?;
    write(&mut control, kind, kind.keys(options.keys))?;
    let report = at_rest(&mut control, &app)?;
    let keys = control.ask(&["DBSIZE"])?.int().unwrap_or(0);
    let memory = &report["memory"][0];
    let found = Found {
        kind,
        keys: u64::try_from(keys)?,
        used: memory["used_memory"].as_u64().context("used_memory")?,
        unexplained: memory["unexplained"].as_i64().context("unexplained")?,
    };
    if options.lines {
        for line in report["lines"].as_array().into_iter().flatten() {
            let (name, source) = (&line["line"], &line["source"]);
            let (bytes, rest) = (&line["bytes"], &line["at_rest"]);
            say(format!("    {name} {bytes} {source} {rest}"));
        }
    }
    Ok(found)
}

fn start(install: &Install, mode: Mode) -> Result<Server> {
    if mode == Mode::Single {
        return Server::start(install, &[("repl-timeout", "7200")]);
    }
    let server = Server::start(
        install,
        &[("repl-timeout", "7200"), ("cluster-enabled", "yes")],
    )?;
    cluster::own_all(&mut server.client()?)?;
    Ok(server)
}

fn write(client: &mut Client, kind: Kind, keys: u64) -> Result<()> {
    let mut pending = 0;
    for number in 0..keys {
        for command in kind.commands(number) {
            client.push(&command);
            pending += 1;
        }
        if pending >= PIPELINE || number + 1 == keys {
            client.flush()?;
            for _ in 0..std::mem::take(&mut pending) {
                let reply = client.read()?;
                if reply.is_error() {
                    bail!("{}: {}", kind.name(), reply.string());
                }
            }
        }
    }
    Ok(())
}

/// What Keyscape says of the server's memory once both stand still.
fn at_rest(control: &mut Client, app: &App) -> Result<Value> {
    let end: i64 = control.info("replication", "master_repl_offset")?.parse()?;
    wait::for_true(PATIENCE, "the offsets to meet", || {
        let status = app.status()?;
        let sure = status.synced && status.inexact == 0 && status.unverified == 0;
        Ok(sure && status.offset >= end)
    })?;
    let mut ours = app.client()?;
    let mut before: Option<(u64, u64)> = None;
    wait::until(PATIENCE, "the memory to stand still", || {
        let text = ours.ask(&["KS.SUMMARY", "MEMORY", "FORMAT", "JSON"])?;
        let report: Value = serde_json::from_str(&text.string())?;
        let row = &report["memory"][0];
        let look = (row["used_memory"].as_u64(), row["at_ms"].as_u64());
        let (Some(used), Some(at)) = look else {
            return Ok(None);
        };
        let fresh = row["offset"].as_i64() >= Some(end);
        match before {
            _ if !fresh => Ok(None),
            // Still the same look.
            Some((_, last)) if last == at => Ok(None),
            Some((last, _)) if close(last, used) => Ok(Some(report)),
            Some(_) | None => {
                before = Some((used, at));
                Ok(None)
            }
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn close(a: u64, b: u64) -> bool {
    a.abs_diff(b) as f64 <= REST * a as f64
}
