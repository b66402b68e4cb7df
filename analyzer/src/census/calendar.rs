//! Keys and bytes by the time at which they expire.
//!
//! Buckets are ranges of absolute time, fixed when the calendar is made, so that which bucket an
//! expiry belongs to depends on nothing else and every change is a subtraction and an addition.
//! Near times have narrow buckets, far ones wide ones:
//!
//! ```text
//!  before | 2880 minutes    | 960 hours     | 2200 days | beyond
//!         ^ start: the hour before the last full one
//! ```
//!
//! The next 24 hours are told by the minute while the minutes last; well before they end the census
//! counts again, from a new start. A bucket exists while its block of 64 is in use: 1 KiB a block,
//! at most 95 KiB in all. Keys without an expiry are not here: they are the others.

use crate::store::weigh::Weight;

/// Milliseconds of a minute.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Minutes that have a bucket each.
pub(crate) const MINUTES: usize = 2880;

/// Hours behind them.
const HOURS: usize = 960;

/// Days behind those: six years.
const DAYS: usize = 2200;

/// Buckets between the two ends.
const BUCKETS: usize = MINUTES + HOURS + DAYS;

/// Buckets of a block.
const BLOCK: usize = 64;

/// Minutes that are told one by one at any time: a day, and the one under way.
pub(crate) const AHEAD: i64 = 24 * 60 + 1;

/// The count is made anew when so many minutes are left beyond those: a recount takes far less.
const MARGIN: i64 = 8 * 60;

/// Keys and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Portion {
    /// Keys.
    pub(crate) keys: u64,
    /// Sum of MEMORY USAGE.
    pub(crate) bytes: u64,
}

impl Portion {
    fn give(&mut self, bytes: u64) {
        self.keys = self.keys.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    fn take(&mut self, bytes: u64) {
        self.keys = self.keys.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub(bytes);
    }
}

type Block = [Portion; BLOCK];

/// Sums by expiry.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    /// The first minute that has a bucket, in minutes since the epoch.
    start: i64,
    before: Portion,
    beyond: Portion,
    blocks: Vec<Option<Box<Block>>>,
}

/// Where an expiry is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bucket {
    Before,
    At(usize),
    Beyond,
}

impl Calendar {
    /// No key yet, for answers from that time on, unix milliseconds.
    pub(crate) fn new(now_ms: i64) -> Calendar {
        // An hour of the past: clocks are put back a little.
        let hour = now_ms.div_euclid(60 * MINUTE_MS) - 1;
        Calendar {
            start: hour * 60,
            before: Portion::default(),
            beyond: Portion::default(),
            blocks: Vec::new(),
        }
    }

    /// One of the same times and no key.
    pub(crate) fn alike(&self) -> Calendar {
        Calendar {
            start: self.start,
            before: Portion::default(),
            beyond: Portion::default(),
            blocks: Vec::new(),
        }
    }

    /// True if the buckets do not fit that time, or soon will not.
    pub(crate) fn is_stale(&self, now_ms: i64) -> bool {
        let ahead = now_ms.div_euclid(MINUTE_MS) - self.start;
        !(0..=MINUTES as i64 - AHEAD - MARGIN).contains(&ahead)
    }

    /// Takes one key's change: `None` is "not there".
    #[inline]
    pub(crate) fn turn(&mut self, before: Option<&Weight>, after: Option<&Weight>) {
        let of = |weight: &Weight| weight.expire_ms.map(|at| (at, weight.bytes));
        let (before, after) = (before.and_then(of), after.and_then(of));
        if before == after {
            return;
        }
        if let Some((at, bytes)) = before {
            self.at(at).take(bytes);
        }
        if let Some((at, bytes)) = after {
            self.at(at).give(bytes);
        }
    }

    fn bucket(&self, expire_ms: i64) -> Bucket {
        let ahead = expire_ms.div_euclid(MINUTE_MS) - self.start;
        let Ok(minutes) = usize::try_from(ahead) else {
            return Bucket::Before;
        };
        if minutes < MINUTES {
            return Bucket::At(minutes);
        }
        let hours = minutes / 60 - MINUTES / 60;
        if hours < HOURS {
            return Bucket::At(MINUTES + hours);
        }
        let days = hours / 24 - HOURS / 24;
        if days < DAYS {
            return Bucket::At(MINUTES + HOURS + days);
        }
        Bucket::Beyond
    }

    fn at(&mut self, expire_ms: i64) -> &mut Portion {
        match self.bucket(expire_ms) {
            Bucket::Before => &mut self.before,
            Bucket::Beyond => &mut self.beyond,
            Bucket::At(index) => {
                if self.blocks.is_empty() {
                    self.blocks.resize_with(BUCKETS.div_ceil(BLOCK), || None);
                }
                let block = &mut self.blocks[index / BLOCK];
                &mut block.get_or_insert_with(|| Box::new([Portion::default(); BLOCK]))
                    [index % BLOCK]
            }
        }
    }

    /// The buckets with keys between the two ends, in order.
    fn filled(&self) -> impl Iterator<Item = (usize, Portion)> {
        let blocks = self.blocks.iter().enumerate();
        let blocks = blocks.filter_map(|(number, block)| Some((number, block.as_deref()?)));
        let all = blocks.flat_map(|(number, block)| (number * BLOCK..).zip(block.iter().copied()));
        all.filter(|(_, portion)| *portion != Portion::default())
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        let blocks = self.blocks.iter().flatten().count();
        blocks * size_of::<Block>() + self.blocks.len() * size_of::<usize>()
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Calendar) -> bool {
        self.start == other.start
            && (self.before, self.beyond) == (other.before, other.beyond)
            && self.filled().eq(other.filled())
    }
}

impl Eq for Calendar {}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn every_time_has_one_bucket_and_buckets_are_in_order() {
        let calendar = Calendar::new(NOW);
        let start = calendar.start * MINUTE_MS;
        assert!((NOW - 2 * 3_600_000..NOW - 3_600_000 + 1).contains(&start));
        let hour = 60 * MINUTE_MS;
        let (hours, days) = (start + 2880 * MINUTE_MS, start + (48 + 960) * hour);
        let end = days + 2200 * 24 * hour;
        let expected = [
            (i64::MIN, Bucket::Before),
            (-1, Bucket::Before),
            (start - 1, Bucket::Before),
            (start, Bucket::At(0)),
            (start + MINUTE_MS - 1, Bucket::At(0)),
            (start + MINUTE_MS, Bucket::At(1)),
            (hours - 1, Bucket::At(2879)),
            (hours, Bucket::At(2880)),
            (hours + hour, Bucket::At(2881)),
            (days - 1, Bucket::At(3839)),
            (days, Bucket::At(3840)),
            (end - 1, Bucket::At(6039)),
            (end, Bucket::Beyond),
            (i64::MAX, Bucket::Beyond),
        ];
        for (at, bucket) in expected {
            assert_eq!(calendar.bucket(at), bucket, "{at}");
        }
    }

    #[test]
    fn clocks_at_their_limits_make_calendars() {
        for now in [i64::MIN, -1, 0, NOW, i64::MAX] {
            let calendar = Calendar::new(now);
            assert!(!calendar.is_stale(now), "{now}");
            for at in [i64::MIN, now, i64::MAX] {
                calendar.bucket(at);
            }
        }
    }

    #[test]
    fn a_calendar_is_stale_before_its_minutes_end() {
        let calendar = Calendar::new(NOW);
        assert!(!calendar.is_stale(NOW + 12 * 3_600_000));
        assert!(calendar.is_stale(NOW + 16 * 3_600_000));
        assert!(calendar.is_stale(NOW - 3 * 3_600_000));
        assert!(calendar.is_stale(i64::MAX) && calendar.is_stale(i64::MIN));
    }
}
