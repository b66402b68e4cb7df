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

/// The result.
pub(super) struct Apply {
    count: u64,
    bytes: u64,
    theirs: f64,
    ours: f64,
}

/// Measures both with `count` commands.
pub(super) fn measure(shape: Shape, count: u64) -> Result<Apply> {
    let (theirs, bytes) = catch_up(shape, count, false)?;
    let (ours, _) = catch_up(shape, count, true)?;
    Ok(Apply {
        count,
        bytes,
        theirs,
        ours,
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
                format!("{:.2}x", self.ratio()),
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
