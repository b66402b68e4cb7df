//! `cargo demo`: three real masters under a changing load, and Keyscape beside them to play with.
//!
//! Gets the servers if none are there, needs no root, and stops everything it started on Ctrl-C.
#![expect(
    clippy::print_stdout,
    reason = "this program talks to the person who started it"
)]

use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use integration::app::App;
use integration::driver::{Driver, Options};
use integration::fill::{self, Shape};
use integration::server::{Server, free_addr};
use integration::servers::{self, Install, Program};
use tokio::signal::unix::{SignalKind, signal};

/// Servers that the demo shows, if all can be had.
const NAMES: [&str; 3] = ["redis-7.0", "redis-8.0", "valkey-9.1"];

/// Starts three masters with a changing load and Keyscape beside them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Keys in each master before the load begins.
    #[arg(long, default_value_t = 20_000)]
    keys: u64,
    /// Commands a second on each master.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Stop after so many seconds instead of waiting for Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("Getting three servers (the first time this downloads some megabytes) ...");
    let installs = installs().context(
        "no servers for the demo. They come as packages through apt-get (no root needed); where \
         that is missing, install redis-server or valkey-server and name it: \
         KEYSCAPE_SERVERS=redis-7.0=/usr/bin/redis-server cargo demo",
    )?;
    let mut masters = Vec::new();
    for install in &installs {
        let master = Server::start(install, &[])?;
        println!("  {} {} on {}", install.name, install.version, master.addr);
        fill::fill(&mut master.client()?, Shape::Mixed, arguments.keys)?;
        masters.push(master);
    }
    println!("Starting keyscape ...");
    let sources: Vec<String> = masters.iter().map(Server::url).collect();
    let ports = (preferred(6479)?, preferred(9479)?);
    let app = App::start_at(&sources, ports, "")?;
    app.wait_synced(Duration::from_secs(60))?;
    introduce(&app, &installs);
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        for (number, master) in masters.iter().enumerate() {
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            let rate = arguments.rate;
            scope.spawn(move || load(master, number as u64, rate, &stop, &written));
        }
        let result = watch(&app, &written, arguments.seconds);
        stop.store(true, Ordering::SeqCst);
        result
    })?;
    println!("\nStopping.");
    app.signal("TERM")?;
    Ok(())
}

/// The demo's three, or what the user named, as often as needed.
fn installs() -> Result<Vec<Install>> {
    if std::env::var_os("KEYSCAPE_SERVERS").is_none() {
        return NAMES.iter().map(|name| servers::get(name)).collect();
    }
    let given = servers::all()?;
    Ok(given.iter().cycle().take(NAMES.len()).cloned().collect())
}

/// The usual port if it is free, else any.
fn preferred(port: u16) -> Result<SocketAddr> {
    let usual = SocketAddr::from(([127, 0, 0, 1], port));
    if std::net::TcpListener::bind(usual).is_ok() {
        Ok(usual)
    } else {
        free_addr()
    }
}

fn introduce(app: &App, installs: &[Install]) {
    let port = app.admin.port();
    let http = app.http;
    let cli = installs
        .first()
        .and_then(|install| install.client_launcher(Program::Cli).ok())
        .map_or_else(|| "redis-cli".to_owned(), |path| path.display().to_string());
    println!(
        "
Try, in another terminal (any redis-cli will do):

  {cli} -p {port} KS.HELP
  {cli} -p {port} KS.NODES
  {cli} -p {port} KS.SUMMARY
  {cli} -p {port} KS.TOP BYTES 10
  {cli} -p {port} --bigkeys
  {cli} -p {port} --memkeys
  {cli} -p {port} --scan --pattern 'app:queue:1*'
  {cli} -p {port} MONITOR
  curl -s http://{http}/metrics | grep ^keyscape_
  curl -s http://{http}/synced

Ctrl-C stops everything.
"
    );
}

/// Writes all the time, at that many commands a second.
fn load(master: &Server, number: u64, rate: u64, stop: &AtomicBool, written: &AtomicU64) {
    let without = ["flushall", "flushdb", "swapdb"]
        .map(str::to_owned)
        .to_vec();
    let options = Options {
        seed: number,
        thresholds: false,
        without,
        agreed: false,
        ..Options::default()
    };
    let Ok(mut driver) = Driver::attach(master, &options) else {
        return;
    };
    let started = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let before = driver.tally().sent;
        // A server that the user stopped by hand ends its load, not the demo.
        if driver.run(1).is_err() {
            return;
        }
        let sent = driver.tally().sent;
        written.fetch_add(sent - before, Ordering::SeqCst);
        let due = Duration::from_millis(sent * 1000 / rate.max(1));
        thread::sleep(
            due.saturating_sub(started.elapsed())
                .min(Duration::from_secs(1)),
        );
    }
}

/// Shows a line of status every second until a signal comes or the time is over.
fn watch(app: &App, written: &AtomicU64, seconds: Option<u64>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut left = seconds.unwrap_or(u64::MAX);
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = tick.tick() => {
                    show(app, written.load(Ordering::SeqCst));
                    left = left.saturating_sub(1);
                    if left == 0 {
                        return Ok(());
                    }
                }
            }
        }
    })
}

fn show(app: &App, written: u64) {
    let line = app.status().map_or_else(
        |error| format!("keyscape does not answer: {error}"),
        |status| {
            let keys = app
                .client()
                .and_then(|mut client| client.ask(&["DBSIZE"]))
                .map_or_else(|_| "?".to_owned(), |reply| reply.string());
            let state = if status.synced { "synced" } else { "loading" };
            format!(
                "{state}  keys {keys}  writes {written}  inexact {}  full syncs {}  partial {}",
                status.inexact, status.full_syncs, status.partial_syncs
            )
        },
    );
    if stdout().is_terminal() {
        print!("\r\x1b[K{line}");
    } else {
        println!("{line}");
    }
    // A closed terminal is no reason to stop watching.
    let _ = stdout().flush();
}
