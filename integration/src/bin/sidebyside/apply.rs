//! The stream: a follower is stopped, the master writes, the follower goes on; how long until it
//! stands where the master stands? Once with a real replica, once with keyscape.

use std::time::Instant;

use anyhow::Result;
use integration::app::App;
use integration::fill::{self, Shape};
use integration::server::{Server, signal};
use integration::{servers, wait};
use serde_json::{Value, json};

use super::pair::{PAIRS, Pair};
use super::{FULL_SPEED, PATIENCE, Rows, fraction, offset};

/// Who catches up.
#[derive(Clone, Copy)]
enum Follower {
    /// A server of the same version.
    Replica,
    /// Keyscape as it comes.
    Keyscape,
    /// Keyscape that looks for no patterns.
    Patternless,
}

/// The result.
pub(super) struct Apply {
    count: u64,
    bytes: u64,
    /// Beside a replica.
    replica: Pair,
    /// Beside ourselves without patterns.
    patternless: Pair,
}

/// Measures all three with `count` commands, in turns.
pub(super) fn measure(shape: Shape, count: u64) -> Result<Apply> {
    let (mut replica, mut patternless, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..PAIRS {
        let (theirs, streamed) = catch_up(shape, count, Follower::Replica)?;
        let (ours, _) = catch_up(shape, count, Follower::Keyscape)?;
        let (off, _) = catch_up(shape, count, Follower::Patternless)?;
        replica.push((theirs, ours));
        patternless.push((off, ours));
        bytes = streamed;
    }
    Ok(Apply {
        count,
        bytes,
        replica: Pair::median(replica),
        patternless: Pair::median(patternless),
    })
}

fn catch_up(shape: Shape, count: u64, who: Follower) -> Result<(f64, u64)> {
    let install = servers::get("redis-7.0")?;
    let master = Server::start(&install, &FULL_SPEED)?;
    let mut control = master.client()?;
    let (replica, app);
    let config = match who {
        Follower::Replica => None,
        Follower::Keyscape => Some(""),
        Follower::Patternless => Some("[patterns]\nmax = 0\n"),
    };
    let (pid, mut follower, field) = if let Some(config) = config {
        app = App::start(&[master.url()], config)?;
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
        self.replica.ratio()
    }

    pub(super) fn show(&self, name: &str, rows: &mut Rows) {
        for (theirs, pair) in [
            ("redis-7.0 replica", self.replica),
            ("patterns off", self.patternless),
        ] {
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
                    format!("{theirs} {}", rate(pair.theirs)),
                    rate(pair.ours),
                    pair.told(),
                ],
            );
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "commands": self.count,
            "stream_bytes": self.bytes,
            "replica_seconds": self.replica.theirs,
            "seconds": self.replica.ours,
            "patterns_off_ratio": self.patternless.ratio(),
        })
    }
}
