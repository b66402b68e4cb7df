//! When a server may be asked for a full sync again. Each costs it a fork, copied pages and an
//! output buffer, so one that came to nothing is not repeated at once:
//!
//! - One that was cut, or whose stream was cut soon after it: a growing wait, and no less than it
//!   took. A busy master that cuts us at its output-buffer limit after minutes would be forked
//!   without end otherwise.

use std::time::{Duration, Instant};

use crate::fault::Unfit;
use crate::link::backoff::Backoff;

/// Longest wait that only grows; a stream that holds what cannot be followed costs its master a
/// full sync no more often than this either.
pub const RESYNC_EVERY: Duration = Duration::from_secs(600);

/// An attempt waits itself for no longer than this; what it was told of the server grows old.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// The full syncs of one master.
#[derive(Debug)]
pub struct FullSyncs {
    waits: Backoff,
    /// A stream that lived this long behind a snapshot was a good one.
    good_life: Duration,
    /// When the one of the present link began, and the least wait behind it.
    began: Option<(Instant, Duration)>,
    /// Since when the present link follows its stream.
    live: Option<Instant>,
    bar: Bar,
}

/// What stands against a full sync now.
#[derive(Clone, Debug)]
pub struct Bar {
    not_before: Instant,
}

impl FullSyncs {
    /// None yet; waits begin at `min`.
    pub fn new(min: Duration, good_life: Duration, now: Instant) -> FullSyncs {
        FullSyncs {
            waits: Backoff::new(min, RESYNC_EVERY.max(min)),
            good_life,
            began: None,
            live: None,
            bar: Bar { not_before: now },
        }
    }

    /// What stands against one now.
    pub fn bar(&self) -> Bar {
        self.bar.clone()
    }

    /// The server answered with one, foreseen or not.
    pub fn began(&mut self, now: Instant) {
        let wait = self.waits.next_wait();
        self.began = Some((now, wait));
        self.bar.not_before = now + wait;
    }

    /// The link follows its stream: its snapshot, if there was one, is whole.
    pub fn live(&mut self, now: Instant) {
        self.live = Some(now);
    }

    /// The link has ended.
    pub fn ended(&mut self, now: Instant) {
        let lived = self.live.take().map(|since| now.duration_since(since));
        let is_good = lived.is_some_and(|lived| lived > self.good_life);
        let began = self.began.take();
        if is_good {
            self.waits.reset();
        } else if let Some((began, wait)) = began {
            let wait = wait.max(now.duration_since(began));
            self.bar.not_before = now + wait;
        }
    }

    /// Another server is to be followed: it has not been asked yet. What has grown goes on, because
    /// orders may go to and fro.
    pub fn moved(&mut self, now: Instant) {
        self.bar.not_before = self.bar.not_before.min(now + self.good_life);
    }
}

impl Bar {
    /// When a full sync may begin, if that is soon.
    ///
    /// # Errors
    /// It is not.
    pub fn due(&self, now: Instant) -> Result<Instant, Unfit> {
        let left = self.not_before.saturating_duration_since(now);
        if left > SLEEP_MAX {
            return Err(Unfit::Spared(left.as_secs()));
        }
        Ok(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const MINUTE: Duration = Duration::from_secs(60);
    const GOOD: Duration = Duration::from_secs(30);

    fn full_syncs(now: Instant) -> FullSyncs {
        FullSyncs::new(Duration::from_millis(500), GOOD, now)
    }

    #[test]
    fn a_copy_that_was_cut_is_not_repeated_sooner_than_it_took() {
        let start = clock::now();
        let mut syncs = full_syncs(start);
        syncs.began(start);
        let now = start + 5 * MINUTE;
        syncs.ended(now);
        assert_eq!(syncs.bar().due(now), Err(Unfit::Spared(300)));
        let then = now + 5 * MINUTE;
        assert_eq!(syncs.bar().due(then), Ok(then));
    }

    #[test]
    fn a_stream_that_was_soon_cut_is_no_good_life_however_long_its_snapshot_took() {
        let start = clock::now();
        let mut syncs = full_syncs(start);
        syncs.began(start);
        syncs.live(start + 2 * MINUTE);
        let now = start + 2 * MINUTE + GOOD / 2;
        syncs.ended(now);
        assert_eq!(syncs.bar().due(now), Err(Unfit::Spared(135)));
        // One that lived leaves nothing to wait for.
        syncs.began(now);
        syncs.live(now + MINUTE);
        let now = now + MINUTE + 2 * GOOD;
        syncs.ended(now);
        assert!(syncs.bar().due(now).is_ok_and(|at| at <= now));
        syncs.began(now);
        let soon = now + Duration::from_secs(1);
        assert!(syncs.bar().due(now).is_ok_and(|at| at <= soon));
    }

    #[test]
    fn copies_that_fail_at_once_are_made_every_few_minutes_in_the_end() {
        let now = clock::now();
        let mut syncs = full_syncs(now);
        for _ in 0..12 {
            syncs.began(now);
            syncs.ended(now);
        }
        assert!(syncs.bar().due(now + RESYNC_EVERY - MINUTE).is_err());
        // Another server is not the one that was asked so often.
        syncs.moved(now);
        assert_eq!(syncs.bar().due(now), Ok(now + GOOD));
    }
}
