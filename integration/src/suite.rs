//! The servers' own test suites as workloads: thousands of commands that somebody thought of, on a
//! server that is followed.
//!
//! ```text
//!   a source tree of Redis or Valkey (not ours to have: the user names one) and tclsh
//!   for each unit:  tclsh tests/test_helper.tcl --host .. --port .. --single UNIT
//!       again and again, at random: the suite is stopped -> compare -> it goes on
//!       at its end: compare
//! ```
//!
//! What the audit mends before a comparison is a mistake that no comparison sees: the line of a unit
//! counts it as well, and the log's words follow.
//!
//! The suite leaves few keys behind and empties the databases often, so many points with few keys
//! each is what there is. It may be stopped while it keeps the server busy or paused; a point that
//! does not come is counted and passed by, but the one at the end of a unit has to come.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::app::App;
use crate::campaign::{self, Outcome};
use crate::cluster::campaign::CONFIG;
use crate::follow::Follow;
use crate::quiet::{self, Found, Quiet};
use crate::seed::Rng;
use crate::server::Server;
use crate::servers::Install;

/// How long a unit may take, without the time in which it is stopped.
const UNIT: Duration = Duration::from_secs(60);

/// In this time Keyscape has seen what CONFIG SET changed, which the suite does all the time and no
/// stream tells.
const LOOK: Duration = Duration::from_millis(1_300);

/// How long a point may take to come while the suite is in the middle of something.
const MOMENT: Duration = Duration::from_secs(5);

/// How long the first snapshot may take, and the point at the end of a unit.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the suite begins.
const HELPER: &str = "tests/test_helper.tcl";

/// Units that change keys, by any version; those that a tree does not have are left out.
const UNITS: [&str; 24] = [
    "unit/type/string",
    "unit/type/incr",
    "unit/type/list",
    "unit/type/list-2",
    "unit/type/set",
    "unit/type/zset",
    "unit/type/hash",
    "unit/type/hash-field-expire",
    "unit/hashexpire",
    "unit/type/stream",
    "unit/type/stream-cgroups",
    "unit/expire",
    "unit/keyspace",
    "unit/scan",
    "unit/dump",
    "unit/sort",
    "unit/multi",
    "unit/scripting",
    "unit/functions",
    "unit/bitops",
    "unit/bitfield",
    "unit/geo",
    "unit/hyperloglog",
    "unit/other",
];

/// Tests that need the server's files, or write at random for long, which other campaigns do.
const SKIPPED: [&str; 4] = ["/loadaof", "/AOF", "/fuzzing", "/stress"];

/// Which suite.
#[derive(Debug, Clone)]
pub struct Options {
    /// The top of the source tree.
    pub tree: PathBuf,
    /// Units as the suite names them; the usual ones if there are none.
    pub units: Vec<String>,
    /// Where the random numbers start.
    pub seed: u64,
}

struct Campaign<'a> {
    options: &'a Options,
    server: Server,
    app: App,
    rng: Rng,
    outcome: &'a mut Outcome,
    say: &'a mut dyn FnMut(String),
}

/// Runs the units one after the other on a server; `say` gets a line for each.
///
/// # Errors
/// If there is no such tree or no tclsh, or if a server or Keyscape fails to do its part at all.
pub fn run(install: &Install, options: &Options, say: &mut dyn FnMut(String)) -> Result<Outcome> {
    let units = units(options)?;
    let tclsh = Command::new("tclsh").stdin(Stdio::null()).output();
    tclsh.context("the suites are written in Tcl: tclsh is not to be found, install `tcl`")?;
    let mut outcome = Outcome::default();
    let mut failed = Vec::new();
    for unit in &units {
        // A server of its own: some units leave a configuration behind in which nobody can work.
        let server = Server::start(install, &[("repl-backlog-size", "64mb")])?;
        let app = App::start(&[server.url()], CONFIG)?;
        app.wait_synced(PATIENCE)?;
        let mut campaign = Campaign {
            options,
            server,
            app,
            rng: Rng::new(options.seed),
            outcome: &mut outcome,
            say,
        };
        if let Err(error) = campaign.unit(unit) {
            say(format!("{}: {unit}: failed: {error:#}", install.name));
            failed.push(unit.as_str());
        }
    }
    ensure!(failed.is_empty(), "no result from {}", failed.join(", "));
    Ok(outcome)
}

fn units(options: &Options) -> Result<Vec<String>> {
    let file = |unit: &str| options.tree.join("tests").join(format!("{unit}.tcl"));
    if !options.tree.join(HELPER).is_file() {
        let tree = options.tree.display();
        bail!("{tree} has no {HELPER}: give the top of a source tree of Redis or Valkey");
    }
    if let Some(strange) = options.units.iter().find(|unit| !file(unit).is_file()) {
        bail!("there is no unit {strange} in that tree");
    }
    if !options.units.is_empty() {
        return Ok(options.units.clone());
    }
    let known = UNITS.iter().filter(|unit| file(unit).is_file());
    Ok(known.map(|unit| (*unit).to_owned()).collect())
}

impl Campaign<'_> {
    fn unit(&mut self, unit: &str) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        let mut suite = Suite::start(&self.options.tree, unit, &self.server, &log)?;
        let (mut points, mut missed) = (0, 0);
        let mut sum = Found::default();
        let (mended, logged) = (self.mended()?, self.mistakes().len());
        let mut ran = Duration::ZERO;
        while ran < UNIT {
            // Rarer and rarer: some tests do nothing but wait.
            let step = Duration::from_millis(150 + self.rng.below(700 + 400 * points));
            thread::sleep(step);
            ran += step;
            if suite.has_ended()? {
                break;
            }
            suite.signal("STOP")?;
            thread::sleep(LOOK);
            match self.answers().and_then(|()| self.compare(unit, MOMENT)) {
                Ok(found) => {
                    points += 1;
                    sum.add(found);
                }
                Err(_) => missed += 1,
            }
            suite.signal("CONT")?;
        }
        let ended = suite.has_ended()?;
        drop(suite);
        let last = self.compare(unit, PATIENCE);
        sum.add(last.context("after the end of the unit")?);
        let (ok, failed) = tally(&fs::read_to_string(&log).unwrap_or_default());
        let mended = self.mended()? - mended;
        let mistakes = self.mistakes().split_off(logged);
        (self.say)(format!(
            "{}: {unit}: points={} missed={missed} keys={} facts={} inexact={} mismatches={} \
             mended={mended} tests={ok} failed={failed}{}",
            self.server.install.name,
            points + 1,
            sum.report.keys,
            sum.report.facts,
            sum.inexact,
            sum.report.mismatches.len(),
            if ended { "" } else { " (cut short)" }
        ));
        mistakes.into_iter().for_each(|line| (self.say)(line));
        Ok(())
    }

    /// The server is neither busy nor paused.
    fn answers(&self) -> Result<()> {
        let mut control = self.server.client()?;
        control.read_timeout(MOMENT)?;
        control.ask(&["PING"]).map(|_| ())
    }

    /// Facts that the audit has mended.
    fn mended(&self) -> Result<u64> {
        self.app.metric("keyscape_audit_mismatches_total")
    }

    /// What it logged of them.
    fn mistakes(&self) -> Vec<String> {
        campaign::mistakes(&self.app.log())
    }

    /// Compares, and tells what is not as it should be.
    fn compare(&mut self, unit: &str, patience: Duration) -> Result<Found> {
        let quiet = Quiet {
            app: &self.app,
            masters: &[self.server.addr],
            reached: &BTreeMap::new(),
            databases: 16,
            rules: &quiet::rules(&self.server.install),
            follow: Follow::Master,
            patience,
        };
        let found = quiet.compare();
        if found.is_err() {
            // Not reached for a comparison that did not come to its end; the suite's tests need it.
            let mut control = self.server.client()?;
            control.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"])?;
        }
        let found = found?;
        if found.is_clean() {
            self.outcome.report.add(found.report.clone());
        } else {
            let what = format!("{}: {unit}", self.server.install.name);
            self.outcome.tell_and_add(found.clone(), &what, self.say);
        }
        Ok(found)
    }
}

/// Tests that went well and others, as the suite tells them.
fn tally(log: &str) -> (usize, usize) {
    // The word is in brackets, and in colours if there are any.
    let count = |word: &str| {
        let (plain, coloured) = (format!("[{word}]"), format!("m{word}\u{1b}"));
        let told = |line: &&str| line.contains(&plain) || line.contains(&coloured);
        log.lines().filter(told).count()
    };
    (count("ok"), count("err"))
}

/// A running suite, with the processes that it starts; dropping it kills them.
struct Suite(Child);

impl Suite {
    fn start(tree: &Path, unit: &str, server: &Server, log: &Path) -> Result<Self> {
        let mut command = Command::new("tclsh");
        command.arg(HELPER).args(["--host", "127.0.0.1", "--port"]);
        command.arg(server.addr.port().to_string());
        command.args(["--single", unit, "--clients", "1"]);
        for name in SKIPPED {
            command.args(["--skiptest", name]);
        }
        let log = fs::File::create(log)?;
        command
            .current_dir(tree)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // A group of its own, so that its client is stopped with it.
        command.process_group(0);
        command.spawn().context("start tclsh").map(Self)
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// Signals all of it.
    fn signal(&self, name: &str) -> Result<()> {
        let (name, group) = (format!("-{name}"), format!("-{}", self.0.id()));
        let mut kill = Command::new("kill");
        kill.args([&name, "--", &group]).stderr(Stdio::null());
        // That it failed means that it has ended at this moment.
        kill.status().context("run kill").map(|_| ())
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.signal("KILL");
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_is_none_is_refused() {
        let options = |tree: &str, unit: &str| Options {
            tree: tree.into(),
            units: vec![unit.to_owned()],
            seed: 1,
        };
        let error = units(&options("/nowhere", "unit/expire")).unwrap_err();
        assert!(error.to_string().contains("has no tests/test_helper.tcl"));
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tests")).unwrap();
        fs::write(dir.path().join(HELPER), "").unwrap();
        let tree = dir.path().display().to_string();
        let error = units(&options(&tree, "unit/expire")).unwrap_err();
        assert!(error.to_string().contains("no unit unit/expire"));
    }

    #[test]
    fn results_are_counted_with_colours_and_without() {
        let log = "[ok]: one (1 ms)\n[\u{1b}[32;1mok\u{1b}[0m]: two\n[err]: three\n";
        assert_eq!(tally(log), (2, 1));
    }
}
