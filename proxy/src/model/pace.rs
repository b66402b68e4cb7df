//! How fast a stream is: bytes and commands of each second, over the last five to ten minutes.
//!
//! Seconds are counted in buckets that are a quarter of an octave wide, so that a percentile is
//! known to a fifth without keeping the seconds. Two windows take turns: when one is full the older
//! one is thrown away.

use std::time::{Duration, Instant};

/// Length of one window.
const WINDOW: Duration = Duration::from_secs(300);

/// Looks are no closer together.
const MOMENT: Duration = Duration::from_millis(500);

/// Four a doubling, up to a terabyte a second.
const BUCKETS: usize = 160;

/// What a stream came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Seconds that were measured; 0: nothing is known yet.
    pub seconds: u64,
    /// Bytes a second, in the mean.
    pub bytes_mean: u64,
    /// Bytes a second that 99 of 100 seconds do not exceed.
    pub bytes_p99: u64,
    /// Bytes of the busiest second.
    pub bytes_max: u64,
    /// Commands a minute, in the mean.
    pub commands_per_min: u64,
}

/// How long it is waited for the server to say where it stands.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Whether what is applied is what the master writes now. What it wrote while there was no link comes
/// as fast as the network carries it, which is no rate of the master's.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// The link is new: where the master stood was not told yet.
    Unknown(Instant),
    /// It stood there when the link was new.
    At(u64),
    Reached,
}

/// The measure.
#[derive(Debug)]
pub struct Pace {
    goal: Goal,
    last: Option<Mark>,
    now: Window,
    before: Window,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    offset: u64,
    commands: u64,
}

#[derive(Clone, Debug)]
struct Window {
    began: Option<Instant>,
    seconds: [u32; BUCKETS],
    measured: u64,
    bytes: u64,
    commands: u64,
    max: u64,
    took: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            goal: Goal::Reached,
            last: None,
            now: Window::new(),
            before: Window::new(),
        }
    }
}

impl Pace {
    /// There is a link again.
    pub fn resumed(&mut self, now: Instant) {
        self.goal = Goal::Unknown(now);
        self.last = None;
    }

    /// The master stands there.
    pub fn told(&mut self, offset: u64) {
        if let Goal::Unknown(_) = self.goal {
            self.goal = Goal::At(offset);
        }
    }

    fn catches_up(&mut self, now: Instant, offset: u64) -> bool {
        let behind = match self.goal {
            Goal::Unknown(since) => now.duration_since(since) < TOLD_WITHIN,
            Goal::At(goal) => offset < goal,
            Goal::Reached => false,
        };
        if !behind {
            self.goal = Goal::Reached;
        }
        behind
    }

    /// Where the stream stands, about once a second; `live` if it is followed at all. After a gap
    /// it is measured anew.
    pub fn tick(&mut self, now: Instant, (offset, commands): (u64, u64), live: bool) {
        let live = live && !self.catches_up(now, offset);
        // A burst within a moment is no rate.
        if live && self.last.is_some_and(|last| now - last.at < MOMENT) {
            return;
        }
        let mark = Mark {
            at: now,
            offset,
            commands,
        };
        let last = std::mem::replace(&mut self.last, live.then_some(mark));
        let Some(last) = last.filter(|last| live && last.offset <= offset) else {
            return;
        };
        if self.now.began.is_some_and(|began| now - began >= WINDOW) {
            self.before = std::mem::replace(&mut self.now, Window::new());
        }
        self.now.began.get_or_insert(last.at);
        let commands = commands.saturating_sub(last.commands);
        self.now.take(now - last.at, offset - last.offset, commands);
    }

    /// What it came to.
    pub fn rates(&self) -> Rates {
        let both = [&self.now, &self.before];
        let sum = |of: fn(&Window) -> u64| both.iter().map(|w| of(w)).sum::<u64>();
        let took: Duration = both.iter().map(|window| window.took).sum();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let max = self.now.max.max(self.before.max);
        let measured = sum(|window| window.measured);
        Rates {
            seconds: took_ms / 1000,
            bytes_mean: sum(|window| window.bytes).saturating_mul(1000) / took_ms,
            bytes_p99: self.percentile(measured - measured / 100).min(max),
            bytes_max: max,
            commands_per_min: sum(|window| window.commands).saturating_mul(60_000) / took_ms,
        }
    }

    /// The largest that a second of that rank can have been.
    fn percentile(&self, rank: u64) -> u64 {
        let mut seen = 0;
        for at in 0..BUCKETS {
            seen += u64::from(self.now.seconds[at]) + u64::from(self.before.seconds[at]);
            if seen >= rank && seen > 0 {
                return largest_of(at);
            }
        }
        0
    }
}

impl Window {
    fn new() -> Window {
        Window {
            began: None,
            seconds: [0; BUCKETS],
            measured: 0,
            bytes: 0,
            commands: 0,
            max: 0,
            took: Duration::ZERO,
        }
    }

    fn take(&mut self, took: Duration, bytes: u64, commands: u64) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_mul(1000) / took_ms;
        let count = &mut self.seconds[bucket(rate)];
        *count = count.saturating_add(1);
        self.measured += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.commands = self.commands.saturating_add(commands);
        self.max = self.max.max(rate);
        self.took += took;
    }
}

/// 0 to 3 are their own buckets; from there on the two bits behind the leading one count.
fn bucket(rate: u64) -> usize {
    let octave = rate.checked_ilog2().unwrap_or(0);
    if octave < 2 {
        return usize::try_from(rate).unwrap_or(0);
    }
    let quarter = (rate >> (octave - 2)) & 3;
    let at = u64::from(octave - 1) * 4 + quarter;
    usize::try_from(at).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

fn largest_of(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (octave, quarter) = (bucket / 4 + 1, (bucket % 4) as u64);
    ((5 + quarter) << (octave - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_it_says() {
        for rate in (0..100_000).chain([1 << 30, (1 << 40) - 1]) {
            let at = bucket(rate);
            assert!(rate <= largest_of(at), "{rate}");
            assert!(at == 0 || rate > largest_of(at - 1), "{rate}");
            assert!(largest_of(at) <= rate + rate / 4, "{rate}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn seconds_become_percentiles() {
        let mut pace = Pace::default();
        let from = Instant::now();
        let mut offset = 1_000;
        for second in 0..=200u64 {
            let now = from + Duration::from_secs(second);
            pace.tick(now, (offset, second * 2), true);
            offset += if second >= 190 { 1_000_000 } else { 100 };
        }
        let rates = pace.rates();
        assert_eq!((rates.seconds, rates.bytes_max), (200, 1_000_000));
        assert_eq!(rates.bytes_p99, 1_000_000);
        assert_eq!(rates.bytes_mean, (190 * 100 + 10 * 1_000_000) / 200);
        assert_eq!(rates.commands_per_min, 120);
        // One second of 200 is no percentile.
        let mut pace = Pace::default();
        for second in 0..=200u64 {
            let now = from + Duration::from_secs(second);
            let burst = if second > 100 { 1_000_000 } else { 0 };
            pace.tick(now, (second * 100 + burst, 0), true);
        }
        assert!(pace.rates().bytes_p99 < 130, "{:?}", pace.rates());
    }

    #[test]
    fn looks_within_a_moment_are_one() {
        let mut pace = Pace::default();
        let from = Instant::now();
        for ms in [0, 100, 499, 1000] {
            let now = from + Duration::from_millis(ms);
            pace.tick(now, (ms * 10, ms), true);
        }
        let rates = pace.rates();
        assert_eq!((rates.bytes_max, rates.commands_per_min), (10_000, 60_000));
    }

    #[test]
    fn gaps_and_other_histories_are_not_measured() {
        let mut pace = Pace::default();
        let from = Instant::now();
        let at = |second| from + Duration::from_secs(second);
        pace.tick(at(0), (100, 0), true);
        pace.tick(at(1), (1 << 40, 0), false);
        pace.tick(at(2), (1 << 40, 0), true);
        pace.tick(at(3), (5, 0), true);
        assert_eq!(pace.rates(), Rates::default());
        pace.tick(at(4), (105, 0), true);
        assert_eq!(pace.rates().bytes_mean, 100);
    }

    #[test]
    fn a_backlog_that_is_caught_up_with_is_no_burst() {
        let mut pace = Pace::default();
        let from = Instant::now();
        let at = |second| from + Duration::from_secs(second);
        pace.tick(at(0), (0, 0), true);
        pace.tick(at(1), (100, 0), true);
        pace.resumed(at(2));
        pace.tick(at(3), (50_000_000, 0), true);
        pace.told(100_000_000);
        pace.told(100_000_300);
        pace.tick(at(4), (99_000_000, 0), true);
        pace.tick(at(5), (100_000_400, 0), true);
        pace.tick(at(6), (100_000_500, 0), true);
        assert_eq!(pace.rates().bytes_max, 100);
        assert_eq!(pace.rates().seconds, 2);
        // A server that tells nothing is measured all the same.
        pace.resumed(at(7));
        pace.tick(at(20), (200_000_000, 0), true);
        pace.tick(at(21), (200_000_700, 0), true);
        assert_eq!(pace.rates().bytes_max, 700);
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut pace = Pace::default();
        let from = Instant::now();
        for second in 0..=1000u64 {
            let now = from + Duration::from_secs(second);
            pace.tick(now, (second.min(100) * 1000, 0), true);
        }
        assert_eq!(pace.rates().bytes_max, 0);
        assert!(pace.rates().seconds <= 600);
    }
}
