//! What patterns cost a full sync: a keyscape process that counts keys by pattern, beside one that does
//! not. A load counts none, a walk behind it does while the stream goes first: how long that takes is
//! told as well.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use integration::app::App;
use integration::wait;
use serde_json::{Value, json};

use super::pair::{PAIRS, Pair};
use super::{Data, Load, PATIENCE, Rows};

/// The result.
pub(super) struct Sync {
    patternless: Pair,
    /// Seconds from the end of the load until all keys were counted by pattern, the last time.
    counted: f64,
}

/// Syncs with and without patterns, in turns.
pub(super) fn measure(data: &Data) -> Result<Sync> {
    let (mut pairs, mut counted) = (Vec::new(), 0.0);
    for _ in 0..PAIRS {
        let app = synced(data, "")?;
        let ours = load_seconds(&app)?;
        let began = Instant::now();
        wait::for_true(PATIENCE, "the keys to be counted by pattern", || {
            let told = app.client()?.ask(&["KS.PATTERNS", "FORMAT", "JSON"])?;
            Ok(!told.string().contains("being counted"))
        })?;
        counted = began.elapsed().as_secs_f64();
        drop(app);
        let off = load_seconds(&synced(data, "[patterns]\nmax = 0\n")?)?;
        pairs.push((off, ours));
    }
    Ok(Sync {
        patternless: Pair::median(pairs),
        counted,
    })
}

fn synced(data: &Data, config: &str) -> Result<App> {
    let app = App::start(&[data.master.url()], config)?;
    app.wait_synced(PATIENCE)?;
    Ok(app)
}

/// From the first byte of the snapshot to the last, as the process itself says.
fn load_seconds(app: &App) -> Result<f64> {
    let told = app.client()?.ask(&["KS.NODES", "FORMAT", "JSON"])?.string();
    let told: Value = serde_json::from_str(&told)?;
    let took = told["nodes"][0]["load_took_ms"].as_u64();
    let took = Duration::from_millis(took.with_context(|| format!("no load_took_ms: {told}"))?);
    Ok(took.as_secs_f64())
}

impl Sync {
    pub(super) fn show(&self, load: &Load, rows: &mut Rows) {
        let Pair { theirs, ours, .. } = self.patternless;
        rows.push(
            "full sync",
            load.name,
            [
                format!("patterns off {theirs:.2} s"),
                format!("{ours:.2} s, counted {:.2} s later", self.counted),
                self.patternless.told(),
            ],
        );
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "seconds": self.patternless.ours,
            "patterns_off_ratio": self.patternless.ratio(),
            "counted_after_seconds": self.counted,
        })
    }
}
