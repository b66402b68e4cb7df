//! The stream: a follower is stopped, the master writes, the follower goes on; how long until it
//! stands where the master stands? Once with a real replica, once with keyscape.

use std::time::Instant;

use anyhow::Result;
use integration::app::App;
use integration::fill::{self, Shape};
use integration::server::{Server, signal};
use integration::{servers, wait};
use serde_json::{Value, json};

use super::{FULL_SPEED, PATIENCE, Rows, fraction, offset};

/// Pairs of measurements: the one with the median ratio is told, because a shared machine slows one
/// side or the other by half now and then.
const PAIRS: usize = 3;

/// The result.
pub(super) struct Apply {
    count: u64,
    bytes: u64,
    theirs: f64,
    ours: f64,
    /// Least and largest ratio of the pairs.
    spread: (f64, f64),
}

/// Measures both with `count` commands, in turns.
pub(super) fn measure(shape: Shape, count: u64) -> Result<Apply> {
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let (theirs, bytes) = catch_up(shape, count, false)?;
        let (ours, _) = catch_up(shape, count, true)?;
        pairs.push((theirs, ours, bytes));
    }
    let ratio = |(theirs, ours, _): &(f64, f64, u64)| theirs / ours;
    pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let spread = (ratio(&pairs[0]), ratio(&pairs[PAIRS - 1]));
    let (theirs, ours, bytes) = pairs[PAIRS / 2];
    Ok(Apply {
        count,
        bytes,
        theirs,
        ours,
        spread,
    })
}

fn catch_up(shape: Shape, count: u64, ours: bool) -> Result<(f64, u64)> {
    let install = servers::get("redis-7.0")?;
    let master = Server::start(&install, &FULL_SPEED)?;
    let mut control = master.client()?;
    let (replica, app);
    let (pid, mut follower, field) = if ours {
        app = App::start(&[master.url()], "")?;
        app.wait_synced(PATIENCE)?;
        (app.pid(), app.client()?, "slave_repl_offset")
    } else {
        let upstream = format!("{} {}", master.addr.ip(), master.addr.port());
        replica = Server::start(
            &install,
            &[("replicaof", &upstream), ("repl-timeout", "600")],
        )?;
        let mut client = replica.client()?;
        wait::for_true(PATIENCE, "the replica's link", || {
            Ok(client.info("replication", "master_link_status")? == "up")
        })?;
        (replica.pid(), client, "slave_repl_offset")
    };
    let before = offset(&mut control, "master_repl_offset")?;
    signal(pid, "STOP")?;
    fill::fill(&mut control, shape, count)?;
    let end = offset(&mut control, "master_repl_offset")?;
    let started = Instant::now();
    signal(pid, "CONT")?;
    wait::until(PATIENCE, "the follower to catch up", || {
        Ok((offset(&mut follower, field)? >= end).then_some(()))
    })?;
    Ok((
        started.elapsed().as_secs_f64(),
        u64::try_from(end - before)?,
    ))
}

impl Apply {
    pub(super) fn ratio(&self) -> f64 {
        self.theirs / self.ours
    }

    pub(super) fn show(&self, name: &str, rows: &mut Rows) {
        let rate = |seconds: f64| {
            format!(
                "{seconds:.2} s ({:.2} M/s)",
                fraction(self.count, 1_000_000) / seconds
            )
        };
        rows.push(
            "apply",
            name,
            [
                format!("redis-7.0 replica {}", rate(self.theirs)),
                rate(self.ours),
                format!(
                    "{:.2}x ({:.2} to {:.2})",
                    self.ratio(),
                    self.spread.0,
                    self.spread.1
                ),
            ],
        );
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "commands": self.count,
            "stream_bytes": self.bytes,
            "replica_seconds": self.theirs,
            "seconds": self.ours,
        })
    }
}
