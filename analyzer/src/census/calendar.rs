//! Keys and bytes by the time at which they expire.
//!
//! Buckets are ranges of absolute time, fixed when the calendar is made, so that which bucket an
//! expiry belongs to depends on nothing else and every change is a subtraction and an addition.
//! Near times have narrow buckets, far ones wide ones:
//!
//! ```text
//!  before | 2880 minutes    | about 960 hours | 2200 days | beyond
//!         ^ start: the hour before the last full one
//! ```
//!
//! Minutes, hours and days are those of UTC, whatever the start, so that calendars of several
//! masters can be added up.
//!
//! The next 24 hours are told by the minute while the minutes last; well before they end the census
//! counts again, from a new start. A bucket exists while its block of 64 is in use: 1 KiB a block,
//! at most 95 KiB in all. Keys without an expiry are not here: they are the others.

use super::Portion;
use super::expiries::Expiries;
use crate::store::weigh::Weight;

/// Milliseconds of a minute.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// Minutes that have a bucket each.
pub(crate) const MINUTES: usize = 2880;

/// Hours behind them, at most: they end with a day.
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
        let hour = now_ms.div_euclid(HOUR_MS) - 1;
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

    /// The first hour that has a bucket.
    fn first_hour(&self) -> i64 {
        self.start / 60 + MINUTES as i64 / 60
    }

    /// The first day that has one.
    fn first_day(&self) -> i64 {
        (self.first_hour() + HOURS as i64).div_euclid(24)
    }

    fn bucket(&self, expire_ms: i64) -> Bucket {
        let ahead = expire_ms.div_euclid(MINUTE_MS) - self.start;
        let Ok(minutes) = usize::try_from(ahead) else {
            return Bucket::Before;
        };
        if minutes < MINUTES {
            return Bucket::At(minutes);
        }
        let (hour, day) = (expire_ms.div_euclid(HOUR_MS), self.first_day());
        let (from, ahead) = if hour < day * 24 {
            (MINUTES, hour - self.first_hour())
        } else {
            (MINUTES + HOURS, hour.div_euclid(24) - day)
        };
        match usize::try_from(ahead) {
            Ok(ahead) if from + ahead < BUCKETS => Bucket::At(from + ahead),
            Ok(_) | Err(_) => Bucket::Beyond,
        }
    }

    /// When a bucket begins, unix milliseconds.
    fn begins(&self, index: usize) -> i64 {
        let at = index as i64;
        let (minutes, hours) = (MINUTES as i64, HOURS as i64);
        if at < minutes {
            (self.start + at).saturating_mul(MINUTE_MS)
        } else if at < minutes + hours {
            (self.first_hour() + at - minutes).saturating_mul(HOUR_MS)
        } else {
            (self.first_day() + at - minutes - hours).saturating_mul(DAY_MS)
        }
    }

    /// What is known at that time of these keys and of the others, which have no expiry; `None` if
    /// the buckets do not fit it.
    pub(crate) fn tell(&self, now_ms: i64, all: Portion) -> Option<Expiries> {
        let ahead = now_ms.div_euclid(MINUTE_MS) - self.start;
        if !(0..=MINUTES as i64 - AHEAD).contains(&ahead) {
            return None;
        }
        let mut told = Expiries::new(now_ms);
        told.take(i64::MIN, self.before);
        told.take(i64::MAX, self.beyond);
        for (index, portion) in self.filled() {
            told.take(self.begins(index), portion);
        }
        told.take_fixed(all);
        Some(told)
    }

    /// A key that expires then comes.
    pub(crate) fn add(&mut self, expire_ms: i64, bytes: u64) {
        self.at(expire_ms).give(bytes);
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
        assert!((NOW - 2 * HOUR_MS..=NOW - HOUR_MS).contains(&start));
        let (hours, days) = (start + 2880 * MINUTE_MS, calendar.first_day() * DAY_MS);
        let end = days + 2200 * DAY_MS;
        let whole = usize::try_from((days - hours) / HOUR_MS).expect("small");
        assert!((960 - 24..=960).contains(&whole), "{whole} hours");
        let expected = [
            (i64::MIN, Bucket::Before),
            (-1, Bucket::Before),
            (start - 1, Bucket::Before),
            (start, Bucket::At(0)),
            (start + MINUTE_MS - 1, Bucket::At(0)),
            (start + MINUTE_MS, Bucket::At(1)),
            (hours - 1, Bucket::At(2879)),
            (hours, Bucket::At(2880)),
            (hours + HOUR_MS, Bucket::At(2881)),
            (days - 1, Bucket::At(2880 + whole - 1)),
            (days, Bucket::At(3840)),
            (end - 1, Bucket::At(6039)),
            (end, Bucket::Beyond),
            (i64::MAX, Bucket::Beyond),
        ];
        for (at, bucket) in expected {
            assert_eq!(calendar.bucket(at), bucket, "{at}");
            if let Bucket::At(index) = bucket {
                assert_eq!(calendar.bucket(calendar.begins(index)), bucket);
                assert!(calendar.begins(index) <= at);
            }
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
            for index in 0..BUCKETS {
                calendar.begins(index);
            }
            let mut calendar = calendar;
            calendar.add(i64::MIN, 3);
            calendar.add(i64::MAX, 4);
            let all = Portion { keys: 3, bytes: 9 };
            let told = calendar.tell(now, all).expect("it fits");
            assert_eq!(told.all(), all);
            assert_eq!(told.fixed, Portion { keys: 1, bytes: 2 });
        }
    }

    #[test]
    fn a_calendar_is_stale_before_its_minutes_end() {
        let calendar = Calendar::new(NOW);
        assert!(!calendar.is_stale(NOW + 12 * HOUR_MS));
        assert!(calendar.is_stale(NOW + 16 * HOUR_MS));
        assert!(calendar.is_stale(NOW - 3 * HOUR_MS));
        assert!(calendar.is_stale(i64::MAX) && calendar.is_stale(i64::MIN));
    }
}
