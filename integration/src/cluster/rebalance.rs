//! A plan of KS.REBALANCE, executed: a skewed cluster is filled, asked about, and evened out by running
//! the commands as they are printed, with the server's own client. Bytes per master are what the
//! servers themselves say of all their keys (MEMORY USAGE), before and after.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::client::slot_of;
use super::{AGREEMENT, Cluster, Map, Shape, wait_up};
use crate::app::App;
use crate::resp::{Client, Command as Words};
use crate::server::Server;
use crate::servers::{Install, Program};
use crate::truth;
use crate::wait::{self, PATIENCE};

/// Polls the map often, so that moved slots are seen soon.
const CONFIG: &str = "[discovery]\npoll_ms = 500\n";

/// Commands sent before their replies are read.
const BATCH: usize = 200;

/// How far the bytes of a master may be from what was predicted.
pub const ERROR_MAX: f64 = 0.01;

/// Bytes of one master.
#[derive(Debug, Clone)]
pub struct Share {
    /// Where it is.
    pub addr: SocketAddr,
    /// What its keys took before, by MEMORY USAGE.
    pub before: u64,
    /// What the plan said that they would take.
    pub predicted: u64,
    /// What they took afterwards.
    pub after: u64,
}

impl Share {
    /// How far the prediction was off.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    pub fn error(&self) -> f64 {
        self.after as f64 / self.predicted.max(1) as f64 - 1.0
    }
}

/// What came of a plan.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The masters.
    pub shares: Vec<Share>,
    /// Slots that were moved.
    pub moves: usize,
    /// Keys in them.
    pub moved_keys: u64,
    /// Keys of the cluster.
    pub keys: u64,
    /// Moves that are planned afterwards.
    pub moves_left: usize,
}

impl Outcome {
    /// The largest share by the mean one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    pub fn skew(&self, bytes: impl Fn(&Share) -> u64) -> f64 {
        let all: u64 = self.shares.iter().map(&bytes).sum();
        let most = self.shares.iter().map(&bytes).max().unwrap_or(0);
        most as f64 * self.shares.len() as f64 / all.max(1) as f64
    }

    /// Predictions that were missed.
    #[must_use]
    pub fn missed(&self) -> usize {
        let missed = self.shares.iter().filter(|s| s.error().abs() > ERROR_MAX);
        missed.count() + usize::from(self.skew(|s| s.after) > self.skew(|s| s.before))
    }

    /// A line for people for each master, and one for all.
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        let mut lines: Vec<String> = (self.shares.iter())
            .map(|share| {
                format!(
                    "| {name} | {} | {} | {} | {} | {:+.3}% |",
                    share.addr,
                    share.before,
                    share.predicted,
                    share.after,
                    share.error() * 100.0
                )
            })
            .collect();
        lines.push(format!(
            "{name}: {} slots and {} of {} keys moved, largest by mean {:.3} -> {:.3} (predicted {:.3}), \
             {} moves left",
            self.moves,
            self.moved_keys,
            self.keys,
            self.skew(|s| s.before),
            self.skew(|s| s.after),
            self.skew(|s| s.predicted),
            self.moves_left
        ));
        lines
    }
}

/// Fills a cluster of three masters unevenly, and evens it out.
///
/// # Errors
/// If a server or Keyscape does not do its part.
pub fn run(install: &Install, keys: u64) -> Result<Outcome> {
    let shape = Shape {
        masters: 3,
        replicas: 0,
    };
    let mut cluster = Cluster::start(install, shape, &[])?;
    let map = cluster.wait_agreed(AGREEMENT)?;
    fill(&map, keys)?;
    let app = App::start(&[cluster.url()], CONFIG)?;
    app.wait_synced(PATIENCE)?;
    let masters: Vec<SocketAddr> = map.masters().filter_map(|seen| seen.addr).collect();
    quiescent(&app, &masters)?;
    let before = weights(&masters)?;
    let plan = ask(&app)?;
    let moves = plan["moves"].as_array().context("moves")?.len();
    ensure!(moves > 0, "nothing is to be moved: {plan}");
    execute(install, &plan)?;
    let after_map = cluster.wait_agreed(AGREEMENT)?;
    for step in plan["moves"].as_array().into_iter().flatten() {
        let slot = u16::try_from(number(step, "slot"))?;
        let owner = after_map.owner(slot).and_then(|seen| seen.addr);
        let wanted = step["to"].as_str().context("a target")?.parse()?;
        ensure!(owner == Some(wanted), "slot {slot} is on {owner:?}: {step}");
    }
    let after_keys = count(&masters)?;
    ensure!(
        after_keys == keys,
        "of {keys} keys {after_keys} are left\n{}",
        cluster.nodes.iter().map(Server::log).collect::<String>()
    );
    let after = weights(&masters)?;
    let predicted = |addr: &SocketAddr| {
        let rows = plan["masters"].as_array().into_iter().flatten();
        let mut own = rows.filter(|row| row["master"] == addr.to_string());
        own.next().map_or(0, |row| number(row, "bytes_then"))
    };
    let shares = masters.iter().zip(before).zip(after);
    Ok(Outcome {
        shares: shares
            .map(|((addr, before), after)| Share {
                addr: *addr,
                before,
                predicted: predicted(addr),
                after,
            })
            .collect(),
        moves,
        moved_keys: number(&plan["skew"], "moved_keys"),
        keys,
        moves_left: moves_left(&app, &masters, &plan)?,
    })
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or(0)
}

fn ask(app: &App) -> Result<Value> {
    let words = [
        "KS.REBALANCE",
        "BY",
        "BYTES",
        "MAX",
        "1000",
        "FORMAT",
        "JSON",
    ];
    let reply = app.client()?.ask(&words)?.string();
    serde_json::from_str(&reply).with_context(|| format!("KS.REBALANCE: {reply}"))
}

/// Moves of a new plan, once Keyscape knows of the moves of the old one.
fn moves_left(app: &App, masters: &[SocketAddr], old: &Value) -> Result<usize> {
    let mut left = 0;
    wait::for_true(PATIENCE, "the moves to be seen", || {
        quiescent(app, masters)?;
        let plan = ask(app)?;
        left = plan["moves"].as_array().context("moves")?.len();
        let slots = |plan: &Value, name: &str| -> Vec<u64> {
            let rows = plan["masters"].as_array().into_iter().flatten();
            rows.map(|row| number(row, name)).collect()
        };
        let is_seen = slots(&plan, "slots_now") == slots(old, "slots_then");
        Ok(is_seen && plan["notes"].to_string().find("on their way").is_none())
    })?;
    Ok(left)
}

/// Runs the commands as they are printed: one script, in which `redis-cli` is the server's own.
fn execute(install: &Install, plan: &Value) -> Result<()> {
    let lines = plan["commands"].as_array().context("commands")?.iter();
    let lines: Vec<&str> = lines.filter_map(|row| row["command"].as_str()).collect();
    let bin = tempfile::tempdir()?;
    let client = install.client_launcher(Program::Cli)?;
    let script = bin.path().join("redis-cli");
    fs::write(
        &script,
        format!("#!/bin/sh\nexec '{}' \"$@\"\n", client.display()),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", Path::display(bin.path()));
    let output = Command::new("sh")
        .args(["-c", &lines.join("\n")])
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let failed = said
        .lines()
        .find(|line| line.starts_with("ERR") || line.contains("[ERR]"));
    ensure!(
        output.status.success() && failed.is_none(),
        "{failed:?} {complaint} {said}"
    );
    Ok(())
}

/// Keyscape stands where the masters stand.
fn quiescent(app: &App, masters: &[SocketAddr]) -> Result<()> {
    wait::for_true(PATIENCE, "the offsets to meet", || {
        let (status, followed) = (app.status()?, app.followed()?);
        for addr in masters {
            let offset = Client::connect(*addr)?.info("replication", "master_repl_offset")?;
            let own = followed.iter().find(|one| one.name == addr.to_string());
            if own.is_none_or(|own| own.offset.to_string() != offset) {
                return Ok(false);
            }
        }
        Ok(status.synced && status.inexact + status.unverified == 0)
    })
}

/// Keys of all masters.
fn count(masters: &[SocketAddr]) -> Result<u64> {
    let sizes = masters.iter().map(|addr| {
        let size = Client::connect(*addr)?.ask(&["DBSIZE"])?;
        let size = size.int().with_context(|| format!("{addr}: {size:?}"))?;
        Ok(size.unsigned_abs())
    });
    sizes.sum()
}

/// Sum of MEMORY USAGE over all keys of each master.
fn weights(masters: &[SocketAddr]) -> Result<Vec<u64>> {
    let weight = |addr: &SocketAddr| {
        let (mut sum, mut refused) = (0, String::new());
        // A cluster that loses sight of a node for a moment answers with errors.
        let weighed = wait::for_true(PATIENCE, "every key to be weighed", || {
            match weight(*addr) {
                Ok(bytes) => sum = bytes,
                Err(error) => refused = format!("{addr}: {error:#}"),
            }
            Ok(sum > 0)
        });
        weighed.context(refused)?;
        Ok(sum)
    };
    masters.iter().map(weight).collect()
}

fn weight(addr: SocketAddr) -> Result<u64> {
    let mut client = Client::connect(addr)?;
    let mut sum = 0;
    for names in truth::scan_as_told(&mut client)?.chunks(BATCH) {
        let usage = |name: &Vec<u8>| {
            let words: [&[u8]; 5] = [b"MEMORY", b"USAGE", name, b"SAMPLES", b"0"];
            words.map(<[u8]>::to_vec).to_vec()
        };
        let asked: Vec<Words> = names.iter().map(usage).collect();
        for reply in client.pipeline(&asked)? {
            let bytes = reply.int().with_context(|| format!("{reply:?}"))?;
            sum += bytes.unsigned_abs();
        }
    }
    Ok(sum)
}

/// Strings and hashes of some sizes; a third of them in tags of the first master, some tags far
/// larger than others. Some names are no text.
fn fill(map: &Map, keys: u64) -> Result<()> {
    let masters: Vec<_> = map.masters().collect();
    let first = masters.first().context("a master")?.addr;
    let owner = |slot| map.owner(slot).and_then(|seen| seen.addr);
    let tags: Vec<u64> = (0..1000u64)
        .filter(|n| owner(slot_of(format!("t{n}").as_bytes())) == first)
        .collect();
    let mut batches: std::collections::BTreeMap<SocketAddr, Vec<Words>> = Default::default();
    for n in 0..keys {
        // The tag of rank r about as often as 1/r.
        let rank = usize::try_from(n.wrapping_mul(2_654_435_761) >> 7 & ((1 << (n % 9)) - 1))?;
        let mut name = match n % 3 {
            0 => format!("{{t{}}}:{n}", tags[rank % tags.len()]).into_bytes(),
            _ => format!("key:{n}").into_bytes(),
        };
        if n % 50 == 0 {
            name.extend([0xff, b' ', b'\'', b'\n', 0]);
        }
        let value = vec![b'v'; usize::try_from(40 + n * 7919 % 3000)?];
        let words = match n % 5 {
            0 => vec![b"HSET".to_vec(), name.clone(), b"field".to_vec(), value],
            _ => vec![b"SET".to_vec(), name.clone(), value],
        };
        let addr = owner(slot_of(&name)).context("an owner")?;
        batches.entry(addr).or_default().push(words);
    }
    for (addr, commands) in batches {
        let mut client = Client::connect(addr)?;
        wait_up(&mut client)?;
        for batch in commands.chunks(BATCH) {
            let replies = client.pipeline(batch)?;
            let refused = replies.iter().find(|reply| reply.is_error());
            ensure!(refused.is_none(), "{refused:?}");
        }
    }
    Ok(())
}
