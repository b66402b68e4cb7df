//! `cargo sidebyside [--quick]`: Keyscape beside the real thing, on the same data, in the same run.
//!
//! - ingest: our decoder and model on an RDB file, versus redis-server 7.0 loading the same file;
//! - full sync: a keyscape process that loads a master's snapshot, versus one that counts no patterns;
//! - apply: a keyscape process catching up with a stream, versus a replica catching up with it;
//! - memory: what a keyscape process takes, versus `used_memory` of the master (7.0; 8.0 and Valkey
//!   9.1 beside it, from the same file);
//! - queries: how long answers take while a stream is applied at full speed, versus the budgets.
//!
//! Prints a table and writes `target/sidebyside.json`. `ingest_ratio` and `apply_ratio` are their
//! seconds over ours (2.0: we are twice as fast), `memory_ratio` is our bytes over theirs.
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

mod apply;
mod ingest;
mod memory;
mod pair;
mod queries;
mod sync;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use integration::fill::{self, Shape};
use integration::resp::Client;
use integration::server::Server;
use integration::servers;
use serde_json::{Value, json};

/// The allocator of the product, so that its figures can be read.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures Keyscape beside real servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// A tenth of the data.
    #[arg(long)]
    quick: bool,
    /// Leave out the stream.
    #[arg(long)]
    no_apply: bool,
    /// Only the questions.
    #[arg(long)]
    queries: bool,
    /// Only the stream.
    #[arg(long)]
    stream: bool,
}

/// A master that lets a follower be late by gigabytes.
const FULL_SPEED: [(&str, &str); 4] = [
    ("repl-backlog-size", "2gb"),
    ("client-output-buffer-limit", "replica 0 0 0"),
    ("repl-ping-replica-period", "3600"),
    ("repl-timeout", "600"),
];

/// How long a follower may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// One kind of data.
struct Load {
    name: &'static str,
    shape: Shape,
    keys: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let part = if arguments.quick { 10 } else { 1 };
    if arguments.queries {
        let mut rows = Rows::default();
        ask(part, &mut rows)?;
        rows.print();
        return Ok(());
    }
    if arguments.stream {
        let mut rows = Rows::default();
        follow(part, &mut rows)?;
        rows.print();
        return Ok(());
    }
    let loads = [
        Load {
            name: "small",
            shape: Shape::Small,
            keys: 5_000_000 / part,
        },
        Load {
            name: "mixed",
            shape: Shape::Mixed,
            keys: 2_000_000 / part,
        },
    ];
    let mut rows = Rows::default();
    let mut ingest_ratio = json!({});
    let mut memory_ratio = json!({});
    for load in &loads {
        let data = Data::make(load)?;
        let ingest = ingest::measure(&data)?;
        let memory = memory::measure(&data)?;
        let sync = sync::measure(&data)?;
        ingest.show(load, &mut rows);
        sync.show(load, &mut rows);
        memory.show(load, &data, ingest.loaded(), &mut rows);
        ingest_ratio[load.name] = json!(ingest.ratio());
        memory_ratio[load.name] = json!(memory.ratio());
        rows.json[load.name] = json!({
            "keys": load.keys,
            "elements": data.elements,
            "ingest": ingest.json(),
            "full_sync": sync.json(),
            "memory": memory.json(&data),
        });
    }
    if !arguments.no_apply {
        follow(part, &mut rows)?;
        ask(part, &mut rows)?;
    }
    rows.print();
    let mut out = rows.json;
    out["ingest_ratio"] = ingest_ratio;
    out["memory_ratio"] = memory_ratio;
    out["quick"] = json!(arguments.quick);
    write(&out)
}

fn follow(part: u64, rows: &mut Rows) -> Result<()> {
    let mut ratio = json!({});
    for (name, shape, count) in [
        ("set", Shape::Small, 3_000_000 / part),
        ("mixed", Shape::Traffic, 2_000_000 / part),
    ] {
        let apply = apply::measure(shape, count)?;
        apply.show(name, rows);
        ratio[name] = json!(apply.ratio());
        rows.json[format!("apply_{name}")] = apply.json();
    }
    rows.json["apply_ratio"] = ratio;
    Ok(())
}

fn ask(part: u64, rows: &mut Rows) -> Result<()> {
    let queries = queries::measure(10_000_000 / part, 5_000_000 / part)?;
    queries.show(rows);
    rows.json["queries"] = queries.json();
    Ok(())
}

/// A master with data, and the file it saved.
struct Data {
    master: Server,
    file: PathBuf,
    file_bytes: u64,
    keys: u64,
    elements: u64,
}

impl Data {
    fn make(load: &Load) -> Result<Self> {
        println!("making {} keys ({}) ...", load.keys, load.name);
        let master = Server::start(&servers::get("redis-7.0")?, &[])?;
        let mut client = master.client()?;
        let elements = fill::fill(&mut client, load.shape, load.keys)?;
        master.save()?;
        let file = master.file("dump.rdb");
        let file_bytes = fs::metadata(&file).context("the saved file")?.len();
        Ok(Self {
            master,
            file,
            file_bytes,
            keys: load.keys,
            elements,
        })
    }
}

/// The table, and what goes into the file.
struct Rows {
    lines: Vec<[String; 5]>,
    json: Value,
}

impl Default for Rows {
    fn default() -> Self {
        let head = ["what", "data", "theirs", "ours", "ratio"];
        Self {
            lines: vec![head.map(str::to_owned)],
            json: json!({}),
        }
    }
}

impl Rows {
    fn push(&mut self, what: &str, data: &str, [theirs, ours, ratio]: [String; 3]) {
        self.lines
            .push([what.to_owned(), data.to_owned(), theirs, ours, ratio]);
    }

    fn print(&self) {
        let width = |column: usize| self.lines.iter().map(|line| line[column].len()).max();
        let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
        println!();
        for line in &self.lines {
            let cells = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

fn write(out: &Value) -> Result<()> {
    // The manifest's directory is integration/, the workspace's target directory beside it.
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    fs::create_dir_all(&dir)?;
    let path = dir.join("sidebyside.json");
    fs::write(&path, serde_json::to_string_pretty(out)?)?;
    println!("\nwritten to target/sidebyside.json");
    Ok(())
}

/// An offset as INFO gives it.
fn offset(client: &mut Client, field: &str) -> Result<i64> {
    Ok(client.info("replication", field)?.parse()?)
}

/// `used_memory` of a server.
fn used_memory(client: &mut Client) -> Result<u64> {
    Ok(client.info("memory", "used_memory")?.parse()?)
}

fn mega(bytes: u64) -> String {
    format!("{:.0} MB", fraction(bytes, 1_000_000))
}

/// A quotient of two counts, for people to read.
#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people need no more than 53 bits"
)]
fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
