//! When keys expire, as it is told: by what is left of their lives, by the next minutes and hours,
//! and the minutes in which too much ends at once.
//!
//! Everything is as of the last full minute, because expiries are counted by the minute: a key is
//! *expired* when its minute is over and no DEL came for it. Far expiries are counted by the hour
//! and by the day, so the boundaries of long lives are rounded down to those: each row says where
//! its boundary is, and what is in it is exact for that.

use super::Portion;
use super::calendar::{AHEAD, Calendar, DAY_MS, HOUR_MS, MINUTE_MS};
use crate::keyspace::{Detail, Keyspace};
use crate::store::record::Form;
use crate::view::Facts;

use super::round::Progress;

/// What is left of a life: less than that, and not less than what stands before it. The last one
/// has no end.
pub const LIVES: [&str; 8] = ["1m", "1h", "1d", "7d", "30d", "1y", "5y", "more"];

/// What makes a minute a storm: more than that part of all keys or of all bytes expires in it, and so
/// many keys at the least. KS.TTL, the metrics, the alert and rule TTL-04 have these from one place:
/// the thresholds of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormLimits {
    /// Percent of the keys.
    pub keys_percent: u64,
    /// Percent of the bytes.
    pub bytes_percent: u64,
    /// Keys below which a minute is no storm.
    pub keys: u64,
}

impl StormLimits {
    /// Unless they are configured.
    pub const DEFAULT: StormLimits = StormLimits {
        keys_percent: 5,
        bytes_percent: 10,
        keys: 1_000,
    };

    fn is_storm(&self, part: Portion, all: Portion) -> bool {
        let exceeds = |part: u64, all: u64, percent: u64| {
            u128::from(part) * 100 > u128::from(all) * u128::from(percent)
        };
        part.keys >= self.keys
            && (exceeds(part.keys, all.keys, self.keys_percent)
                || exceeds(part.bytes, all.bytes, self.bytes_percent))
    }
}

impl Default for StormLimits {
    fn default() -> StormLimits {
        StormLimits::DEFAULT
    }
}

/// A minute in which too much expires (rule TTL-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// When it begins, unix milliseconds.
    pub at_ms: i64,
    /// What expires in it.
    pub portion: Portion,
}

/// What is known of the expiries of some keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiries {
    /// The beginning of the minute under way, unix milliseconds.
    pub as_of_ms: i64,
    /// Keys without an expiry.
    pub fixed: Portion,
    /// Keys whose expiry is before that minute, and that are still there.
    pub expired: Portion,
    /// The others by what is left of their lives: see [`LIVES`].
    pub lives: [Portion; LIVES.len()],
    /// What expires in each minute of the next day, from the one under way on.
    pub minutes: Vec<Portion>,
    /// What makes one of them a storm.
    pub limits: StormLimits,
}

impl Expiries {
    /// No key yet, at that time, unix milliseconds.
    pub fn new(now_ms: i64) -> Expiries {
        let minutes = usize::try_from(AHEAD - 1).unwrap_or(0);
        Expiries {
            as_of_ms: now_ms.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS),
            fixed: Portion::default(),
            expired: Portion::default(),
            lives: [Portion::default(); LIVES.len()],
            minutes: vec![Portion::default(); minutes],
            limits: StormLimits::DEFAULT,
        }
    }

    /// Where each life ends, unix milliseconds; the last one never does.
    pub fn boundaries(&self) -> [Option<i64>; LIVES.len()] {
        let of = |life: i64, step: i64| {
            let end = self.as_of_ms.saturating_add(life);
            Some(end.div_euclid(step).saturating_mul(step))
        };
        [
            of(MINUTE_MS, MINUTE_MS),
            of(HOUR_MS, MINUTE_MS),
            of(DAY_MS, MINUTE_MS),
            of(7 * DAY_MS, HOUR_MS),
            of(30 * DAY_MS, HOUR_MS),
            of(365 * DAY_MS, DAY_MS),
            of(5 * 365 * DAY_MS, DAY_MS),
            None,
        ]
    }

    /// Takes keys that expire in the same minute, hour or day, which begins then.
    pub(super) fn take(&mut self, begins_ms: i64, portion: Portion) {
        let ahead = i128::from(begins_ms) - i128::from(self.as_of_ms);
        let Ok(ahead) = u64::try_from(ahead) else {
            self.expired = self.expired.and(portion);
            return;
        };
        let ends = self.boundaries();
        let is_in = |end: &Option<i64>| end.is_none_or(|end| begins_ms < end);
        let life = ends.iter().position(is_in).unwrap_or(ends.len() - 1);
        self.lives[life] = self.lives[life].and(portion);
        let minute = usize::try_from(ahead / MINUTE_MS.unsigned_abs());
        if let Some(sum) = minute.ok().and_then(|minute| self.minutes.get_mut(minute)) {
            *sum = sum.and(portion);
        }
    }

    /// Takes the others of all keys, which have no expiry.
    pub(super) fn take_fixed(&mut self, all: Portion) {
        self.fixed = all.without(self.expiring()).without(self.expired);
    }

    /// Keys with an expiry that is not past.
    pub fn expiring(&self) -> Portion {
        let lives = self.lives.iter();
        lives.fold(Portion::default(), |sum, portion| sum.and(*portion))
    }

    /// All of them.
    pub fn all(&self) -> Portion {
        self.fixed.and(self.expired).and(self.expiring())
    }

    /// Adds what is known of other keys at the same time.
    pub fn add(&mut self, other: &Expiries) {
        self.fixed = self.fixed.and(other.fixed);
        self.expired = self.expired.and(other.expired);
        for (sum, more) in self.lives.iter_mut().zip(&other.lives) {
            *sum = sum.and(*more);
        }
        for (sum, more) in self.minutes.iter_mut().zip(&other.minutes) {
            *sum = sum.and(*more);
        }
    }

    /// Makes it what it comes to for all keys, where some have no record.
    pub fn scale(&mut self, detail: &Detail) {
        let lives = self.lives.iter_mut().chain(&mut self.minutes);
        for portion in lives.chain([&mut self.fixed, &mut self.expired]) {
            portion.keys = detail.for_all(portion.keys);
            portion.bytes = detail.for_all(portion.bytes);
        }
    }

    /// What expires in the minutes from one on, so many of them.
    pub fn within(&self, from: usize, minutes: usize) -> Portion {
        let range = self.minutes.iter().skip(from).take(minutes);
        range.fold(Portion::default(), |sum, portion| sum.and(*portion))
    }

    /// The minutes of the next day in which too much expires, in order.
    pub fn storms(&self) -> Vec<Storm> {
        let all = self.all();
        let times = (0i64..).map(|minute| self.as_of_ms.saturating_add(minute * MINUTE_MS));
        let minutes = times.zip(self.minutes.iter().copied());
        let storms = minutes.filter(|(_, portion)| self.limits.is_storm(*portion, all));
        storms
            .map(|(at_ms, portion)| Storm { at_ms, portion })
            .collect()
    }
}

/// Some keys that are met one by one, for what can be told of their expiries.
#[derive(Clone, Debug)]
pub struct Gathered {
    now_ms: i64,
    calendar: Calendar,
    all: Portion,
}

impl Gathered {
    /// No key yet, at that time, unix milliseconds.
    pub fn new(now_ms: i64) -> Gathered {
        Gathered {
            now_ms,
            calendar: Calendar::new(now_ms),
            all: Portion::default(),
        }
    }

    /// Takes a key.
    pub fn take(&mut self, facts: &Facts) {
        self.all.give(facts.bytes);
        if let Some(at) = facts.expire_ms {
            self.calendar.add(at, facts.bytes);
        }
    }

    /// What is known of them.
    pub fn tell(&self) -> Expiries {
        let told = self.calendar.tell(self.now_ms, self.all);
        // A calendar fits the time that it was made for.
        told.unwrap_or_else(|| Expiries::new(self.now_ms))
    }
}

impl Keyspace {
    /// When the keys of a database, or of all, expire, at that time, unix milliseconds. Of keys that
    /// were folded nothing is told.
    ///
    /// # Errors
    /// How far the count has come, if there is none for that time yet.
    pub fn expiries(&self, db: Option<u32>, now_ms: i64) -> Result<Expiries, Progress> {
        let progress = self.counted(db);
        if !progress.complete {
            return Err(progress);
        }
        let mut sum = Expiries::new(now_ms);
        let dbs = self.live().all();
        for (_, own) in dbs.filter(|(number, _)| db.is_none_or(|db| db == *number)) {
            let bytes = Form::all().map(|form| own.totals.form(form).bytes);
            let all = Portion {
                keys: own.totals.keys,
                bytes: bytes.fold(0, u64::wrapping_add),
            };
            let count = own.census.count();
            let told = count.and_then(|count| count.expiries.tell(now_ms, all));
            sum.add(&told.ok_or(Progress {
                counted: 0,
                complete: false,
                ..progress
            })?);
        }
        Ok(sum)
    }
}
