//! A constant write load in the background, which can be made to hold its breath.
//!
//! The thread locks the writer for one step at a time, so whoever has paused the load, or holds the
//! writer through [`Load::with`], knows that nothing is under way: every reply was read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::wait;

/// Something that writes in small steps and never fails for good.
pub trait Writer: Send + 'static {
    /// Writes a little and waits for the replies; returns how many commands it sent.
    fn step(&mut self) -> u64;
}

struct Shared<W> {
    writer: Mutex<W>,
    paused: AtomicBool,
    stop: AtomicBool,
}

/// A running load; dropping it ends the thread.
pub struct Load<W: Writer> {
    shared: Arc<Shared<W>>,
    thread: Option<JoinHandle<()>>,
}

impl<W: Writer> Load<W> {
    /// Starts, paused, with at most so many commands a second.
    #[must_use]
    pub fn start(writer: W, per_s: u64) -> Self {
        let shared = Arc::new(Shared {
            writer: Mutex::new(writer),
            paused: AtomicBool::new(true),
            stop: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || work(&own, per_s));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Writes on.
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::SeqCst);
    }

    /// Waits until `count` of the writer is `end`, as long as it grows, and stops writing.
    ///
    /// # Errors
    /// If it does not grow for `limit`.
    pub fn pause_at(&self, end: u64, limit: Duration, count: fn(&W) -> u64) -> Result<()> {
        let now = || self.with(|writer| count(writer));
        while now() < end {
            let before = now();
            wait::for_true(limit, "the load to go on", || Ok(now() > before))?;
        }
        self.pause();
        Ok(())
    }

    /// Stops writing; returns when nothing is under way any more.
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::SeqCst);
        self.with(|_| ());
    }

    /// Does something with the writer between two of its steps.
    pub fn with<T>(&self, work: impl FnOnce(&mut W) -> T) -> T {
        let mut writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut writer)
    }
}

impl<W: Writer> Drop for Load<W> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn work<W: Writer>(shared: &Shared<W>, per_s: u64) {
    let (mut since, mut sent) = (Instant::now(), 0_u64);
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.paused.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(2));
            (since, sent) = (Instant::now(), 0);
            continue;
        }
        {
            let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
            // It may have been paused while we waited for the lock.
            if !shared.paused.load(Ordering::SeqCst) {
                sent += writer.step();
            }
        }
        let due = Duration::from_micros(sent.saturating_mul(1_000_000) / per_s.max(1));
        thread::sleep(
            due.saturating_sub(since.elapsed())
                .min(Duration::from_millis(50)),
        );
    }
}
