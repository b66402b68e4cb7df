//! Waiting for a condition up to a deadline; tests never sleep for a guessed time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest wait for what comes by itself on any machine, however slow and busy: it only ends a test
/// that hangs.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Looks again and again until `look` returns something; an error ends the wait at once.
///
/// # Errors
/// The error of `look`, or that it took too long for `what`.
pub fn until<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().with_context(|| format!("wait for {what}"))? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// As [`until`], for a condition that is simply true or false; a failed look counts as false.
///
/// # Errors
/// That it took too long for `what`, with the last error seen.
pub fn for_true(limit: Duration, what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let mut last = None;
    let result = until(limit, what, || match look() {
        Ok(done) => Ok(done.then_some(())),
        Err(error) => {
            last = Some(error);
            Ok(None)
        }
    });
    match (result, last) {
        (Err(error), Some(cause)) => Err(cause.context(error.to_string())),
        (result, _) => result,
    }
}
