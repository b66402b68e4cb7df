//! KS.ADVISE on one master: totals, and a survey of all its keys that is never old.
//!
//! Keys are walked over from the first question on, which the watcher asks within half a minute of the
//! start (metrics tell what is advised), and then again and again, in slices that leave most of the time
//! to the stream, and nearly all of it to one that waits. An answer is what is there: it costs no walk,
//! and says how old it is. What the server tells of itself is asked for by `telling`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use analyzer::Keyspace;
use analyzer::advice::{Flows, Heat, Limits, Survey, Surveyor, storm_limits};
use analyzer::census::{Storm, StormLimits};
use analyzer::heat::Window;
use analyzer::keyspace::Detail;
use analyzer::profile::Profile;
use analyzer::slots::SlotSums;
use analyzer::view::{DbTotals, FormTotals};

use crate::clock;
use crate::config;
use crate::model::mirror::Mirror;
use crate::model::ttl;

/// Longest slice of the walk.
const SLICE_MAX: Duration = Duration::from_millis(1);

/// The least that lies between two slices.
const PAUSE: Duration = Duration::from_millis(4);

/// Both while the stream or a question waits: a survey is a matter of minutes, a lag is not.
const BUSY: (Duration, Duration) = (Duration::from_micros(300), Duration::from_millis(6));

/// Elements weighed between two looks at the clock.
const ELEMENTS_AT_ONCE: u64 = 500;

/// A survey and when it was.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// What was found.
    pub survey: Arc<Survey>,
    /// Offset of the model when it began and when it ended.
    pub offsets: (u64, u64),
    /// When it ended, unix milliseconds.
    pub at_ms: u64,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// Bytes of the keys in each slot, in all databases: estimates where some keys have no record.
fn slots(keyspace: &Keyspace) -> BTreeMap<u16, u64> {
    let detail = keyspace.detail();
    let mut all: BTreeMap<u16, u64> = BTreeMap::new();
    for db in keyspace.dbs() {
        let sums = keyspace.slots(db.db).into_iter();
        for (slot, sum) in sums.flat_map(SlotSums::filled) {
            *all.entry(slot).or_default() += detail.for_all(sum.bytes);
        }
    }
    all
}

/// What one master knows for its advice.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What memory formulas depend on.
    pub profile: Profile,
    /// Sums by database.
    pub dbs: Vec<DbTotals>,
    /// Sums by form.
    pub totals: Vec<FormTotals>,
    /// How many of its keys have a record.
    pub detail: Detail,
    /// Its hottest keys of the last minute.
    pub heat: Heat,
    /// And of the last hour.
    pub heat_hour: Heat,
    /// Bytes by slot, estimates where some keys have no record; none where keys are not counted by slot.
    pub slots: BTreeMap<u16, u64>,
    /// What happened to its keys lately.
    pub flows: Flows,
    /// The minutes of the next day in which too much expires; in words, why that is not known.
    pub storms: Result<Vec<Storm>, String>,
    /// How the rules are tuned.
    pub limits: Arc<Limits>,
    /// The last survey; in words, why there is none.
    pub survey: Result<Surveyed, String>,
}

/// A walk under way.
#[derive(Debug)]
struct Walk {
    surveyor: Surveyor,
    generation: u64,
    offset: u64,
    began: Instant,
    next: Instant,
}

/// The owner's part in advice.
#[derive(Debug)]
pub struct Advise {
    every: Duration,
    limits: Arc<Limits>,
    /// Advice was asked for.
    wanted: bool,
    walk: Option<Box<Walk>>,
    walk_at: Instant,
    done: Option<(u64, Surveyed)>,
}

impl Advise {
    /// Nothing is known yet.
    pub fn new(config: &config::Advice, now: Instant) -> Advise {
        Advise {
            every: config.survey_every,
            limits: config.limits.clone(),
            wanted: false,
            walk: None,
            walk_at: now,
            done: None,
        }
    }

    /// When something is to be done without anyone asking; `None` if nothing is.
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.walk {
            Some(walk) => Some(walk.next),
            None => self.wanted.then_some(self.walk_at),
        }
    }

    /// One slice of the walk, if one is due; `busy` if something else waits to be done.
    pub fn slice(&mut self, mirror: &Mirror, now: Instant, busy: bool) {
        let loaded = mirror.generation > 0;
        if !self.wanted || !loaded || self.wake_at().is_none_or(|at| at > now) {
            return;
        }
        let mut walk = match self.walk.take() {
            Some(walk) if walk.generation == mirror.generation => walk,
            Some(_) | None => Box::new(Walk {
                surveyor: self.surveyor(mirror),
                generation: mirror.generation,
                offset: mirror.keyspace.applied(),
                began: now,
                next: now,
            }),
        };
        let (slice, pause) = if busy { BUSY } else { (SLICE_MAX, PAUSE) };
        let until = now + slice;
        while !mirror.keyspace.survey(&mut walk.surveyor, ELEMENTS_AT_ONCE) {
            let now = clock::now();
            if now >= until {
                walk.next = now + pause;
                self.walk = Some(walk);
                return;
            }
        }
        let now = clock::now();
        self.walk_at = now + self.every;
        let took = now.duration_since(walk.began).as_millis();
        let surveyed = Surveyed {
            survey: Arc::new(walk.surveyor.survey(&mirror.keyspace.detail())),
            offsets: (walk.offset, mirror.keyspace.applied()),
            at_ms: clock::unix_ms(),
            took_ms: u64::try_from(took).unwrap_or(u64::MAX),
        };
        self.done = Some((walk.generation, surveyed));
    }

    /// A walk from the beginning; it goes on comparing with the last one of the same generation.
    fn surveyor(&self, mirror: &Mirror) -> Surveyor {
        let before = self.last(mirror).map(|last| &*last.survey);
        let now_ms = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
        Surveyor::new(mirror.keyspace.profile(), &self.limits, before, now_ms)
    }

    /// The last survey, if it is of this generation.
    fn last(&self, mirror: &Mirror) -> Option<&Surveyed> {
        let done = self.done.as_ref();
        let current = done.filter(|done| done.0 == mirror.generation);
        current.map(|done| &done.1)
    }

    /// What is known now; the first time that it is wanted a survey begins.
    pub fn gather(&mut self, mirror: &mut Mirror) -> Gathered {
        self.wanted = true;
        let flows = Flows::of(&mut mirror.keyspace);
        let keyspace = &mirror.keyspace;
        Gathered {
            profile: keyspace.profile().clone(),
            dbs: keyspace.dbs(),
            totals: keyspace.totals(),
            detail: keyspace.detail(),
            heat: Heat::of(keyspace, Window::Minute),
            heat_hour: Heat::of(keyspace, Window::Hour),
            slots: slots(keyspace),
            flows,
            storms: self.storms(keyspace),
            limits: self.limits.clone(),
            survey: self.survey(mirror),
        }
    }

    /// What makes a minute a storm of expiries.
    pub fn storm_limits(&self) -> StormLimits {
        storm_limits(&self.limits)
    }

    fn storms(&self, keyspace: &Keyspace) -> Result<Vec<Storm>, String> {
        let now_ms = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
        match ttl::all(keyspace, now_ms, self.storm_limits()) {
            Ok(told) => Ok(told.storms()),
            Err(progress) => Err(format!(
                "keys are being counted: {} of {}",
                progress.counted, progress.keys
            )),
        }
    }

    fn survey(&self, mirror: &Mirror) -> Result<Surveyed, String> {
        if let Some(surveyed) = self.last(mirror) {
            return Ok(surveyed.clone());
        }
        let met = self.walk.as_ref().map_or(0, |walk| walk.surveyor.keys());
        Err(format!(
            "the survey of all keys is under way: {met} of {}",
            mirror.keyspace.keys()
        ))
    }
}
