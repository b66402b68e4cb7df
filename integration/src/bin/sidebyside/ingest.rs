//! An RDB file: our decoder and model in this process, and servers that load the same file.

use std::fs::{self, File};
use std::io::BufReader;
use std::time::{Duration, Instant};

use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile};
use anyhow::{Context, Result};
use integration::server::Server;
use integration::{servers, wait};
use serde_json::{Value, json};

use super::{Data, Load, Rows, fraction, mega, used_memory};

/// Servers that load the file; the first is the one that ratios are against.
const SERVERS: [&str; 3] = ["redis-7.0", "redis-8.0", "valkey-9.1"];

/// What a server did with the file.
pub(super) struct Loaded {
    /// Its name.
    pub(super) name: &'static str,
    /// Seconds, as its own log says.
    pub(super) seconds: f64,
    /// `used_memory` afterwards.
    pub(super) used: u64,
}

/// The result.
pub(super) struct Ingest {
    theirs: Vec<Loaded>,
    seconds: f64,
    allocated: u64,
    file_bytes: u64,
}

/// Loads the file everywhere.
pub(super) fn measure(data: &Data) -> Result<Ingest> {
    let (seconds, allocated) = ours(data)?;
    Ok(Ingest {
        theirs: theirs(data)?,
        seconds,
        allocated,
        file_bytes: data.file_bytes,
    })
}

fn ours(data: &Data) -> Result<(f64, u64)> {
    let before = allocated()?;
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    let mut keyspace = Keyspace::new(profile, 7).with_helper(keyscape::filling::hire);
    let started = Instant::now();
    let file = BufReader::with_capacity(1 << 20, File::open(&data.file)?);
    let report = keyscape::ingest::load_rdb(file, &mut keyspace, 0, &mut |_| ())?;
    let seconds = started.elapsed().as_secs_f64();
    anyhow::ensure!(
        report.keys == data.keys,
        "loaded {} keys of {}",
        report.keys,
        data.keys
    );
    Ok((seconds, allocated()?.saturating_sub(before)))
}

fn theirs(data: &Data) -> Result<Vec<Loaded>> {
    let mut out = Vec::new();
    for name in SERVERS {
        let install = servers::get(name)?;
        let dir = tempfile::tempdir()?;
        fs::copy(&data.file, dir.path().join("dump.rdb"))?;
        let path = dir.path().to_string_lossy().into_owned();
        let server = Server::start(&install, &[("dir", &path)])?;
        let mut client = server.client()?;
        wait::for_true(Duration::from_secs(300), "a server to load", || {
            Ok(client.info("persistence", "loading")? == "0")
        })?;
        let log = server.log();
        let line = log
            .lines()
            .find_map(|line| line.split_once("DB loaded from disk: "));
        let text = line
            .context("the server does not say how long it loaded")?
            .1;
        let seconds = text.split_whitespace().next().unwrap_or_default().parse()?;
        out.push(Loaded {
            name,
            seconds,
            used: used_memory(&mut client)?,
        });
    }
    Ok(out)
}

fn allocated() -> Result<u64> {
    let error = |error| anyhow::anyhow!("jemalloc: {error}");
    tikv_jemalloc_ctl::epoch::advance().map_err(error)?;
    Ok(tikv_jemalloc_ctl::stats::allocated::read().map_err(error)? as u64)
}

impl Ingest {
    pub(super) fn ratio(&self) -> f64 {
        self.theirs
            .first()
            .map_or(0.0, |theirs| theirs.seconds / self.seconds)
    }

    pub(super) fn show(&self, load: &Load, rows: &mut Rows) {
        for theirs in &self.theirs {
            rows.push(
                &format!("ingest {}", mega(self.file_bytes)),
                load.name,
                [
                    format!("{} {:.2} s", theirs.name, theirs.seconds),
                    format!("{:.2} s", self.seconds),
                    format!("{:.2}x", theirs.seconds / self.seconds),
                ],
            );
        }
    }

    pub(super) fn json(&self) -> Value {
        let theirs: Vec<Value> = self
            .theirs
            .iter()
            .map(|one| json!({"server": one.name, "seconds": one.seconds, "used_memory": one.used}))
            .collect();
        json!({
            "seconds": self.seconds,
            "file_bytes": self.file_bytes,
            "bytes_per_second": fraction(self.file_bytes, 1) / self.seconds,
            "model_bytes": self.allocated,
            "theirs": theirs,
        })
    }

    /// What the servers took for the same file.
    pub(super) fn loaded(&self) -> &[Loaded] {
        &self.theirs
    }
}
