//! What is wrong with a master, as a closed list of conditions, each raised and cleared once.
//!
//! A condition has a level at which it is bad and another one at which all is well; in between it
//! stays what it is. It is raised when it was bad for a while, and cleared when all was well for a
//! while, so that a figure that swings around a limit is one event and not many. Nothing here knows
//! of time but what it is told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::prospect::{Prospect, Storm};
use crate::config;
use crate::fleet::{State, Status};

/// A model that is further behind than this lags; it is well again at less than a tenth of it.
const LAG_MS_MAX: u64 = 5_000;
const LAG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// So many full syncs in that time are a loop.
const LOOP_SYNCS: usize = 3;
const LOOP_TIME: Duration = Duration::from_secs(600);

/// A mismatch is news for so long.
const MISMATCH_TIME: Duration = Duration::from_secs(600);

/// Doubtful keys below this number are nothing to tell of.
const INEXACT_MIN: u64 = 100;

/// One in so many keys in doubt is.
const INEXACT_SHARE: u64 = 100;

/// Growth is measured over so many looks.
const GROWTH_LOOKS: usize = 10;

/// A forecast that is nearer than that, seconds, is told of; one of twice as much is none.
const DAY_S: f64 = 86_400.0;

/// And a storm of expiries that is nearer than that.
const STORM_S: u64 = 3600;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// There is no link, and none is being loaded.
    LinkDown,
    /// The stream is applied later than it comes.
    Lag,
    /// A model that was there is loaded anew.
    Resync,
    /// That happens again and again.
    ResyncLoop,
    /// Many keys wait to be read again.
    Inexact,
    /// The audit found a key that the model was wrong about.
    Mismatch,
    /// Detail was given up under the memory cap.
    Degraded,
    /// All keys together grow fast.
    Growth,
    /// Memory is full within a day if it goes on like that.
    MemoryFull,
    /// Very many keys or bytes expire in one minute of the next hour.
    ExpiryStorm,
}

/// How it stands with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Bad,
    Between,
    Well,
}

impl Level {
    fn of(bad: bool, well: bool) -> Level {
        match (bad, well) {
            (true, _) => Level::Bad,
            (false, true) => Level::Well,
            (false, false) => Level::Between,
        }
    }
}

impl Condition {
    /// The first of them in their order.
    pub(super) const FIRST: Condition = Condition::LinkDown;

    /// All of them.
    pub(crate) const ALL: [Condition; 10] = [
        Condition::LinkDown,
        Condition::Lag,
        Condition::Resync,
        Condition::ResyncLoop,
        Condition::Inexact,
        Condition::Mismatch,
        Condition::Degraded,
        Condition::Growth,
        Condition::MemoryFull,
        Condition::ExpiryStorm,
    ];

    /// The word used in channels, messages, logs and labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Condition::LinkDown => "link_down",
            Condition::Lag => "lag",
            Condition::Resync => "resync",
            Condition::ResyncLoop => "resync_loop",
            Condition::Inexact => "inexact",
            Condition::Mismatch => "mismatch",
            Condition::Degraded => "degraded",
            Condition::Growth => "growth",
            Condition::MemoryFull => "memory_full",
            Condition::ExpiryStorm => "expiry_storm",
        }
    }

    /// What it means, for people.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Condition::LinkDown => "the link to the server is down",
            Condition::Lag => "the stream is applied later than it comes",
            Condition::Resync => "the server is synced in full again",
            Condition::ResyncLoop => "the server is synced in full again and again",
            Condition::Inexact => "many keys wait to be read again",
            Condition::Mismatch => "the audit found a key that the model was wrong about",
            Condition::Degraded => "detail was given up under the memory cap",
            Condition::Growth => "the keys grow faster than growth_bytes_per_s",
            Condition::MemoryFull => "memory is full within a day if it grows on like this",
            Condition::ExpiryStorm => "very much expires in one minute of the next hour",
        }
    }

    /// How long it must be bad before it is raised, and well before it is cleared.
    fn patience(self) -> (Duration, Duration) {
        let (raise_s, clear_s) = match self {
            Condition::LinkDown => (10, 5),
            Condition::Lag => (5, 10),
            Condition::Inexact => (30, 10),
            Condition::Degraded | Condition::Growth => (0, 10),
            // These are counted, and have their own memory.
            Condition::Resync | Condition::ResyncLoop | Condition::Mismatch => (0, 0),
            // These are gathered every half minute.
            Condition::MemoryFull | Condition::ExpiryStorm => (0, 60),
        };
        (Duration::from_secs(raise_s), Duration::from_secs(clear_s))
    }
}

/// A condition that was raised or cleared, with the figures of that moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) condition: Condition,
    pub(crate) raised: bool,
    pub(crate) figures: Vec<(&'static str, u64)>,
}

/// Whether one condition is raised, and since when it is about to change.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    raised: bool,
    turning: Option<Instant>,
}

impl Track {
    /// Takes a level; true if the condition changed.
    fn step(&mut self, level: Level, now: Instant, (raise, clear): (Duration, Duration)) -> bool {
        let (other, after) = match self.raised {
            false => (Level::Bad, raise),
            true => (Level::Well, clear),
        };
        if level != other {
            self.turning = None;
            return false;
        }
        let since = *self.turning.get_or_insert(now);
        if now.duration_since(since) < after {
            return false;
        }
        self.raised = !self.raised;
        self.turning = None;
        true
    }
}

/// What a look sees of one master.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) status: &'a Status,
    pub(crate) prospect: Option<&'a Prospect>,
    pub(crate) config: &'a config::Watch,
}

impl Seen<'_> {
    fn storm(&self) -> Option<Storm> {
        self.prospect.and_then(|ahead| ahead.storm)
    }
}

/// Seconds, as a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time ahead, less than ten years"
)]
fn whole(seconds: f64) -> u64 {
    seconds.max(0.0) as u64
}

/// What is remembered of one master.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    tracks: [Track; Condition::ALL.len()],
    /// Full syncs at the last look, begun and done, and when the former grew.
    full_syncs: u64,
    full_syncs_done: u64,
    syncs: VecDeque<Instant>,
    /// One began since the last look, of a master that had a model: it may be over already.
    resynced: bool,
    /// Mismatches at the last look, and when they grew last.
    mismatches: u64,
    mismatch_at: Option<Instant>,
    growth: Growth,
}

impl Watched {
    /// Looks once; what has changed.
    pub(crate) fn look(&mut self, now: Instant, seen: Seen<'_>) -> Vec<Change> {
        self.remember(now, seen.status);
        let mut changes = Vec::new();
        for (index, condition) in Condition::ALL.into_iter().enumerate() {
            let level = self.level(condition, seen);
            let Some(track) = self.tracks.get_mut(index) else {
                continue;
            };
            if track.step(level, now, condition.patience()) {
                let raised = track.raised;
                changes.push(Change {
                    condition,
                    raised,
                    figures: self.figures(condition, seen),
                });
            }
        }
        changes
    }

    fn remember(&mut self, now: Instant, status: &Status) {
        let counters = &status.counters;
        let begun = counters.full_syncs.saturating_sub(self.full_syncs);
        self.resynced = begun > 0 && self.full_syncs_done > 0;
        self.full_syncs = counters.full_syncs;
        self.full_syncs_done = counters.full_syncs_done;
        // Several may have begun since the last look; more than make a loop do not matter.
        let new = usize::try_from(begun).unwrap_or(LOOP_SYNCS);
        self.syncs
            .extend(std::iter::repeat_n(now, new.min(LOOP_SYNCS)));
        while self.syncs.len() > LOOP_SYNCS
            || (self.syncs.front()).is_some_and(|at| now.duration_since(*at) > LOOP_TIME)
        {
            self.syncs.pop_front();
        }
        let mismatches: u64 = counters.audit_mismatches.iter().sum();
        if mismatches > self.mismatches {
            self.mismatches = mismatches;
            self.mismatch_at = Some(now);
        }
        let news = |at: Instant| now.duration_since(at) < MISMATCH_TIME;
        self.mismatch_at = self.mismatch_at.filter(|at| news(*at));
        self.growth.look(now, status);
    }

    fn level(&self, condition: Condition, seen: Seen<'_>) -> Level {
        let (status, config) = (seen.status, seen.config);
        let synced = status.state == State::Synced;
        match condition {
            Condition::LinkDown => match status.state {
                State::Connecting | State::Lost { .. } | State::Failed { .. } => Level::Bad,
                State::Waiting | State::Loading { .. } => Level::Between,
                State::Synced => Level::Well,
            },
            Condition::Lag => Level::of(
                status.lag_ms > LAG_MS_MAX || status.lag_bytes > LAG_BYTES_MAX,
                status.lag_ms < LAG_MS_MAX / 10 && status.lag_bytes < LAG_BYTES_MAX / 10,
            ),
            // A link that waits may be granted what it missed.
            Condition::Resync => Level::of(self.resynced, synced),
            Condition::ResyncLoop => {
                let many = self.syncs.len() >= LOOP_SYNCS;
                Level::of(many, !many)
            }
            Condition::Inexact => {
                let limit = INEXACT_MIN.max(status.keys / INEXACT_SHARE);
                Level::of(status.inexact > limit, status.inexact < limit / 2)
            }
            Condition::Mismatch => {
                let news = self.mismatch_at.is_some();
                Level::of(news, !news)
            }
            Condition::Degraded => {
                let degraded = status.detail.is_degraded();
                Level::of(degraded, !degraded)
            }
            Condition::Growth => match config.growth_bytes_per_s {
                Some(limit) => {
                    let rate = self.growth.rate();
                    let half = limit / 2;
                    Level::of(
                        rate.is_some_and(|rate| rate > limit),
                        rate.is_none_or(|rate| rate < half),
                    )
                }
                None => Level::Well,
            },
            Condition::MemoryFull => {
                let left = seen.prospect.and_then(Prospect::full_in_s);
                Level::of(
                    left.is_some_and(|left| left < DAY_S),
                    left.is_none_or(|left| left > 2.0 * DAY_S),
                )
            }
            Condition::ExpiryStorm => {
                let near = seen.storm().is_some_and(|storm| storm.in_s < STORM_S);
                Level::of(near, !near)
            }
        }
    }

    fn figures(&self, condition: Condition, seen: Seen<'_>) -> Vec<(&'static str, u64)> {
        let status = seen.status;
        match condition {
            Condition::LinkDown => {
                let drops: u64 = status.counters.drops.values().sum();
                vec![("drops", drops), ("last_byte_ms", status.last_byte_ms)]
            }
            Condition::Lag => vec![
                ("lag_ms", status.lag_ms),
                ("lag_bytes", status.lag_bytes),
                ("queued_bytes", status.queued_bytes),
            ],
            Condition::Resync | Condition::ResyncLoop => vec![
                ("full_syncs", status.counters.full_syncs),
                ("full_syncs_done", status.counters.full_syncs_done),
            ],
            Condition::Inexact => vec![("inexact", status.inexact), ("keys", status.keys)],
            Condition::Mismatch => vec![
                ("mismatches", self.mismatches),
                ("audited", status.counters.audits),
            ],
            Condition::Degraded => vec![
                ("folded", status.detail.folded),
                ("without_elements", status.detail.bare),
            ],
            Condition::Growth => vec![
                ("bytes_per_s", self.growth.rate().unwrap_or(0)),
                ("bytes", status.key_bytes),
                ("keys", status.keys),
            ],
            Condition::MemoryFull => {
                let left = seen.prospect.and_then(Prospect::full_in_s);
                left.map_or_else(Vec::new, |left| vec![("full_in_s", whole(left))])
            }
            Condition::ExpiryStorm => seen.storm().map_or_else(Vec::new, |storm| {
                vec![
                    ("in_s", storm.in_s),
                    ("keys", storm.keys),
                    ("bytes", storm.bytes),
                ]
            }),
        }
    }
}

/// Bytes of all keys at the last looks, of one generation.
#[derive(Debug, Default)]
struct Growth {
    loaded_ms: u64,
    looks: VecDeque<(Instant, u64)>,
}

impl Growth {
    fn look(&mut self, now: Instant, status: &Status) {
        if status.loaded_ms != self.loaded_ms || !status.generation.loaded() {
            self.loaded_ms = status.loaded_ms;
            self.looks.clear();
        }
        if status.generation.loaded() {
            self.looks.push_back((now, status.key_bytes));
        }
        if self.looks.len() > GROWTH_LOOKS {
            self.looks.pop_front();
        }
    }

    /// Bytes a second, once there were enough looks; 0 while keys shrink.
    fn rate(&self) -> Option<u64> {
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let ms = last.0.duration_since(first.0).as_millis();
        let grown = u128::from(last.1.saturating_sub(first.1));
        let enough = self.looks.len() >= GROWTH_LOOKS / 2 && ms > 0;
        enough.then(|| u64::try_from(grown * 1000 / ms.max(1)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
