//! Questions while the stream runs at full speed: a keyscape process that was stopped catches up with
//! millions of writes to a large keyspace, and is asked all the while. How long do answers take?
//!
//! Who owns the model either applies the stream or answers, so a second connection that asks for one
//! key without a pause finds out how long it was ever busy with anything else: no stall of the
//! stream is longer than the longest of its waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use integration::app::App;
use integration::fill::{self, Shape};
use integration::seed::Rng;
use integration::server::Server;
use integration::servers;
use serde_json::{Value, json};

use super::{FULL_SPEED, PATIENCE, Rows, offset};

/// Point questions between two of the others.
const POINTS: usize = 50;

/// What is asked, and the design's budget for the p99 in milliseconds.
const ASKED: [(&str, &[&str], f64); 8] = [
    ("point query", &[], 2.0),
    ("KS.TOP BYTES 100", &["KS.TOP", "BYTES", "100"], 20.0),
    ("KS.SUMMARY", &["KS.SUMMARY"], 20.0),
    ("KS.PATTERNS", &["KS.PATTERNS", "LIMIT", "100"], 20.0),
    ("KS.TTL", &["KS.TTL"], 20.0),
    ("KS.HOT KEYS", &["KS.HOT", "KEYS"], 20.0),
    ("KS.ADVISE", &["KS.ADVISE"], 20.0),
    ("scrape", &[], 200.0),
];

/// The result: the times of each question in milliseconds, sorted, and the longest wait of all.
pub(super) struct Queries {
    keys: u64,
    times: [Vec<f64>; ASKED.len()],
    longest_ms: f64,
}

/// Asks a model of `keys` keys while it applies `writes` commands.
pub(super) fn measure(keys: u64, writes: u64) -> Result<Queries> {
    let master = Server::start(&servers::get("redis-7.0")?, &FULL_SPEED)?;
    let mut control = master.client()?;
    fill::fill(&mut control, Shape::Small, keys)?;
    let app = App::start(&[master.url()], "")?;
    app.wait_synced(PATIENCE)?;
    app.signal("STOP")?;
    fill::fill(&mut control, Shape::Small, writes)?;
    let end = offset(&mut control, "master_repl_offset")?;
    app.signal("CONT")?;
    let over = AtomicBool::new(false);
    let (times, longest_ms) = thread::scope(|scope| {
        let watching = scope.spawn(|| longest_wait(&app, &over));
        let asking = ask_until(&app, keys, end);
        over.store(true, Ordering::Relaxed);
        let wait = watching.join();
        let wait = wait.map_err(|_| anyhow::anyhow!("the watching thread panicked"))?;
        anyhow::Ok((asking?, wait?))
    })?;
    Ok(Queries {
        keys,
        times,
        longest_ms,
    })
}

/// Asks in turns until the model stands at `end`.
fn ask_until(app: &App, keys: u64, end: i64) -> Result<[Vec<f64>; ASKED.len()]> {
    let mut times: [Vec<f64>; ASKED.len()] = Default::default();
    let mut client = app.client()?;
    let mut rng = Rng::new(7);
    while offset(&mut client, "slave_repl_offset")? < end {
        for _ in 0..POINTS {
            let key = fill::command(Shape::Small, rng.below(keys)).swap_remove(1);
            let words = [&b"MEMORY"[..], b"USAGE", &key];
            times[0].push(timed(|| client.ask(&words).map(drop))?);
        }
        for (number, (_, words, _)) in ASKED.iter().enumerate().skip(1) {
            let took = if words.is_empty() {
                timed(|| app.get("/metrics").map(drop))?
            } else {
                timed(|| client.ask(words).map(drop))?
            };
            times[number].push(took);
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    Ok(times)
}

fn timed(question: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    question()?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// The longest wait in milliseconds for the facts of one key.
fn longest_wait(app: &App, over: &AtomicBool) -> Result<f64> {
    let mut client = app.client()?;
    let mut longest: f64 = 0.0;
    while !over.load(Ordering::Relaxed) {
        longest = longest.max(timed(|| client.ask(&["EXISTS", "a key"]).map(drop))?);
    }
    Ok(longest)
}

/// The value that `part` of a thousand are not above.
fn quantile(sorted: &[f64], part: usize) -> f64 {
    let at = (sorted.len() * part / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0.0)
}

impl Queries {
    pub(super) fn show(&self, rows: &mut Rows) {
        let data = format!("{} keys", self.keys);
        for ((name, _, budget), times) in ASKED.iter().zip(&self.times) {
            let ours = format!(
                "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms of {}",
                quantile(times, 500),
                quantile(times, 990),
                quantile(times, 1000),
                times.len()
            );
            let within = format!("{:.2} of budget", quantile(times, 990) / budget);
            let budget = format!("budget {budget} ms");
            rows.push(name, &data, [budget, ours, within]);
        }
        rows.push(
            "longest wait",
            &data,
            [
                "budget 50 ms".to_owned(),
                format!("{:.1} ms", self.longest_ms),
                format!("{:.2} of budget", self.longest_ms / 50.0),
            ],
        );
    }

    pub(super) fn json(&self) -> Value {
        let times = ASKED.iter().zip(&self.times).map(|((name, ..), times)| {
            let quantiles = json!({
                "p50_ms": quantile(times, 500),
                "p99_ms": quantile(times, 990),
                "max_ms": quantile(times, 1000),
                "asked": times.len(),
            });
            ((*name).to_owned(), quantiles)
        });
        json!({
            "keys": self.keys,
            "longest_longest_ms": self.longest_ms,
            "asked": times.collect::<serde_json::Map<_, _>>(),
        })
    }
}
