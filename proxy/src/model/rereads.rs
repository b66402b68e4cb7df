//! What is asked again, how often, and what happens to the answers.
//!
//! Keys whose encoding, expiry or value the stream alone does not tell come from the model as
//! wants. Three budgets a second bound what is asked: keys probed, values read, bytes of values.
//! A key that the server will not tell (too large, refused) is parked for a while, so that it does
//! not eat the budget of the others.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use analyzer::Keyspace;
use analyzer::keyspace::{Need, Want};
use analyzer::value::Kind;
use analyzer::view::Doubts;
use replica_shim::outbound::LengthOf;

use crate::config;
use crate::model::verify::Verify;
use crate::side::look::{Depth, Look};
use crate::side::task::{Name, QUEUE_MAX, Side, SideAsk, UNSTAMPED_PAUSE};

/// Keys in one batch of probes.
const PROBES_BATCH: usize = 128;

/// Keys in one batch of looks: a fraction of a millisecond of the server's time.
const LOOKS_BATCH: usize = 64;

/// Elements that one batch of looks has the server walk; one key may exceed it.
const ELEMENTS_BATCH: u64 = 8192;

/// Keys a second that are compared because somebody wants to know.
const VERIFY_PER_S: u64 = 2000;

/// Keys that are tried for one batch of those: all but a few may be in doubt, and cannot be compared.
const VERIFY_TRIES: usize = 2000;

/// Mistakes a second that are logged.
const TOLD_PER_S: u64 = 10;

/// Keys in one batch of values.
const VALUES_BATCH: usize = 16;

/// Batches on their way; room is left in the queue for other questions.
const FLIGHTS_MAX: usize = QUEUE_MAX - 2;

/// Refused keys that are no chance: the empty name alone may be refused by a pattern of 7.0.
const REFUSED_MIN: usize = 8;

/// How long nothing is looked for while all that is in doubt has been asked for.
const ASKED_PAUSE: Duration = Duration::from_millis(100);

/// How long a parked key waits.
const PARKED_FOR: Duration = Duration::from_secs(60);

/// How long after its master got or lost slots: a key that was asked for just before was refused
/// because its slot was on its way.
const PARKED_BRIEFLY: Duration = Duration::from_secs(1);

/// How long after that keys are parked briefly.
const MOVED_LATELY: Duration = Duration::from_secs(5);

/// Parked keys; beyond it the oldest comes back early.
const PARKED_MAX: usize = 10_000;

/// A budget a second, of at most a tenth of a second's worth at once (and one batch).
#[derive(Debug)]
struct Budget {
    per_s: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    fn new(per_s: u64, batch: u64, now: Instant) -> Budget {
        #[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
        let (per_s, batch) = (per_s as f64, batch as f64);
        let burst = if per_s > 0.0 {
            (per_s / 10.0).max(batch)
        } else {
            0.0
        };
        Budget {
            per_s,
            burst,
            left: burst,
            at: now,
        }
    }

    /// True if there ever are units.
    fn is_on(&self) -> bool {
        self.per_s > 0.0
    }

    /// When there is a unit; of what comes more often than once a second.
    fn ready_at(&self) -> Instant {
        let missing = (1.0 - self.left).clamp(0.0, 1.0);
        self.at + Duration::from_secs_f64(missing / self.per_s.max(1.0))
    }

    /// Whole units there are now.
    fn available(&mut self, now: Instant) -> usize {
        let passed = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.per_s).min(self.burst);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the burst, and not below zero"
        )]
        let whole = self.left.max(0.0) as usize;
        whole
    }

    /// Takes units; more than there are leaves a debt.
    fn take(&mut self, units: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
        let units = units as f64;
        self.left -= units;
    }

    /// Gives units back that were taken and not used.
    fn give_back(&mut self, units: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
        let units = units as f64;
        self.left += units;
    }
}

/// The re-reads of one master.
#[derive(Debug)]
pub struct Rereads {
    probes: Budget,
    sizes: Budget,
    audits: Budget,
    verified: Budget,
    elements: Budget,
    told: Budget,
    values: Budget,
    bytes: Budget,
    /// Wanted collections of which only the count is asked; less than two batches.
    uncounted: Vec<(Name, LengthOf)>,
    flights: usize,
    /// Those of them that read values, and what each may cost.
    reads: usize,
    value_bytes_max: u64,
    parked: VecDeque<(Instant, Name)>,
    /// There is no connection to ask on.
    is_cut_off: bool,
    paused_until: Option<Instant>,
    looks_paused_until: Option<Instant>,
    /// Until when a key that is refused may be one whose slot has just arrived.
    moved_until: Option<Instant>,
}

/// What was asked in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Keys probed.
    pub probes: u64,
    /// Keys whose size was asked.
    pub sizes: u64,
    /// Keys compared without a doubt, for the audit or because somebody wants to know.
    pub audits: u64,
    /// Values read.
    pub values: u64,
}

impl Rereads {
    /// Budgets as configured.
    pub fn new(limits: &config::Reread, now: Instant) -> Rereads {
        Rereads {
            probes: Budget::new(u64::from(limits.probes_per_s_max), PROBES_BATCH as u64, now),
            sizes: Budget::new(u64::from(limits.sizes_per_s_max), LOOKS_BATCH as u64, now),
            audits: Budget::new(u64::from(limits.audits_per_s_max), 1, now),
            verified: Budget::new(VERIFY_PER_S, LOOKS_BATCH as u64, now),
            elements: Budget::new(limits.elements_per_s_max, ELEMENTS_BATCH, now),
            told: Budget::new(TOLD_PER_S, TOLD_PER_S, now),
            values: Budget::new(u64::from(limits.values_per_s_max), VALUES_BATCH as u64, now),
            bytes: Budget::new(limits.bytes_per_s_max, 1, now),
            uncounted: Vec::new(),
            flights: 0,
            reads: 0,
            value_bytes_max: limits.value_bytes_max,
            parked: VecDeque::new(),
            is_cut_off: false,
            paused_until: None,
            looks_paused_until: None,
            moved_until: None,
        }
    }

    /// Nothing is on its way any more, and there is a connection to ask on. A pause lasts: whoever
    /// comes back quickly would ask for the same again.
    pub fn reset(&mut self) {
        self.flights = 0;
        // What they were charged for may have been read; nobody will tell.
        self.reads = 0;
        self.uncounted.clear();
        self.parked.clear();
        self.is_cut_off = false;
    }

    /// The connection is lost: nothing is asked until there is another one.
    pub fn lost(&mut self) {
        self.reset();
        self.is_cut_off = true;
    }

    /// A batch was answered.
    pub fn answered(&mut self) {
        self.flights = self.flights.saturating_sub(1);
    }

    /// A batch of values was answered, which had so many bytes.
    pub fn read(&mut self, bytes: u64) {
        self.answered();
        if self.reads > 0 {
            self.reads -= 1;
            self.bytes.give_back(self.value_bytes_max);
        }
        self.bytes.take(bytes);
    }

    /// Nothing is asked for a while.
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// So many keys were looked at, and of so many the server told nothing. If that is all of them, we
    /// lack a right that no look can do without (OBJECT ENCODING, the expiry), and ask little from
    /// then on; those that a look can do without are left out of it (`side::look`).
    pub fn looked(&mut self, keys: usize, refused: usize, now: Instant) {
        if refused == keys && refused >= REFUSED_MIN {
            self.looks_paused_until = Some(now + UNSTAMPED_PAUSE);
        }
    }

    /// Keeps a key out of the queue for a while.
    pub fn park(&mut self, keyspace: &mut Keyspace, name: Name, now: Instant) {
        if self.parked.len() == PARKED_MAX {
            self.unpark(keyspace);
        }
        let lately = self.moved_until.is_some_and(|until| until > now);
        let time = if lately { PARKED_BRIEFLY } else { PARKED_FOR };
        self.parked.push_back((now + time, name));
    }

    /// The master has other slots than before: what it refused because it does not own the slot, or
    /// not yet, is asked for again.
    pub fn slots_moved(&mut self, keyspace: &mut Keyspace, now: Instant) {
        self.moved_until = Some(now + MOVED_LATELY);
        while !self.parked.is_empty() {
            self.unpark(keyspace);
        }
    }

    fn unpark(&mut self, keyspace: &mut Keyspace) {
        if let Some((_, name)) = self.parked.pop_front() {
            keyspace.settle_failed(name.db, &name.key);
        }
    }

    /// Asks for what the budgets allow.
    pub fn ask(
        &mut self,
        keyspace: &mut Keyspace,
        verify: &mut Verify,
        side: &Side,
        now: Instant,
    ) -> Asked {
        while self.parked.front().is_some_and(|(until, _)| *until <= now) {
            self.unpark(keyspace);
        }
        let mut asked = Asked::default();
        if self.is_cut_off || self.paused_until.is_some_and(|until| until > now) {
            return asked;
        }
        self.paused_until = None;
        let doubts = keyspace.doubts();
        let is_room = self.uncounted.len() < PROBES_BATCH;
        let is_due = doubts.value > 0 && is_room && self.bytes.available(now) > 0;
        if is_due && self.flights < FLIGHTS_MAX {
            asked.values = self.ask_values(keyspace, side, now);
        }
        if !self.uncounted.is_empty() && self.flights < FLIGHTS_MAX {
            let room = self.probes.available(now).min(PROBES_BATCH);
            let left = self.uncounted.split_off(room.min(self.uncounted.len()));
            let counts = std::mem::replace(&mut self.uncounted, left);
            self.probes.take(counts.len() as u64);
            asked.probes = self.send(keyspace, side, counts, SideAsk::Counts);
        }
        if doubts.probe > 0 && self.flights < FLIGHTS_MAX {
            let room = self.probes.available(now).min(PROBES_BATCH);
            let names = wants(keyspace, Need::Probe, room);
            self.probes.take(names.len() as u64);
            asked.probes += self.send(keyspace, side, names, SideAsk::Probes);
        }
        if self.wants_sizes(doubts) && self.flights < FLIGHTS_MAX {
            let room = self.sizes.available(now);
            let looks = self.looks(keyspace, (room, Depth::Size), now, |keyspace| {
                keyspace.next_want(Need::Size)
            });
            self.sizes.take(looks.len() as u64);
            asked.sizes = self.send(keyspace, side, looks, SideAsk::Looks);
        }
        if verify.is_wanted() && self.flights < FLIGHTS_MAX {
            let room = self.verified.available(now);
            let mut tries = VERIFY_TRIES;
            let looks = self.looks(keyspace, (room, Depth::All), now, |keyspace| {
                verify.next(keyspace, &mut tries)
            });
            self.verified.take(looks.len() as u64);
            asked.audits += self.send(keyspace, side, looks, SideAsk::Looks);
        }
        if self.flights == 0 {
            let room = self.audits.available(now);
            let looks = self.looks(keyspace, (room, Depth::All), now, Keyspace::next_audit);
            self.audits.take(looks.len() as u64);
            asked.audits += self.send(keyspace, side, looks, SideAsk::Looks);
        }
        asked
    }

    /// Asks for values; returns how many. Each batch is charged with all that it may cost, so that
    /// one that is never answered is not free.
    fn ask_values(&mut self, keyspace: &mut Keyspace, side: &Side, now: Instant) -> u64 {
        // What is only counted costs what a probe costs.
        let counting = keyspace.detail().elements_max.is_some();
        let budget = match counting {
            true => &mut self.probes,
            false => &mut self.values,
        };
        let most = if counting { PROBES_BATCH } else { VALUES_BATCH };
        let room = budget.available(now).min(most);
        let names = wants(keyspace, Need::Value, room);
        let names = self.count(keyspace, names);
        self.values.take(names.len() as u64);
        let asked = self.send(keyspace, side, names, SideAsk::Values);
        if asked > 0 {
            self.reads += 1;
            self.bytes.take(self.value_bytes_max);
        }
        asked
    }

    /// A batch of looks at the keys that `next` gives, within what the server may be made to walk.
    fn looks(
        &mut self,
        keyspace: &mut Keyspace,
        (room, depth): (usize, Depth),
        now: Instant,
        mut next: impl FnMut(&mut Keyspace) -> Option<Want>,
    ) -> Vec<Look> {
        let mut looks = Vec::new();
        if self.looks_paused_until.is_some_and(|until| until > now) {
            return looks;
        }
        let mut left = self.elements.available(now) as u64;
        while looks.len() < room.min(LOOKS_BATCH) && left > 0 {
            let Some(want) = next(keyspace) else { break };
            let name = name(want);
            let Some(question) = keyspace.question(name.db, &name.key) else {
                continue;
            };
            left = left.min(ELEMENTS_BATCH).saturating_sub(question.walked);
            self.elements.take(question.walked);
            looks.push(Look {
                name,
                question,
                depth,
            });
        }
        looks
    }

    /// When to come by again without any news, no sooner than `next`; `None` if nothing is to be asked
    /// that the clock or an answer would not see to. Audits up to one a second go with the clock.
    pub fn wake_at(&self, keyspace: &Keyspace, verifies: bool, next: Instant) -> Option<Instant> {
        if self.is_cut_off {
            return None;
        }
        let doubts = keyspace.doubts();
        let probes = self.probes.is_on() && (doubts.probe > 0 || !self.uncounted.is_empty());
        let reads = (probes || self.wants_values(keyspace, doubts)).then_some(next);
        let sizes = self.wants_sizes(doubts) && !keyspace.sizes_rest();
        let looks = (verifies || sizes).then_some(next);
        let eager = self.audits.per_s > 1.0;
        let audits = eager.then(|| self.audits.ready_at().max(next));
        let looks = looks.into_iter().chain(audits).min();
        let looks = looks.map(|at| self.looks_paused_until.map_or(at, |until| at.max(until)));
        let at = reads.into_iter().chain(looks).min()?;
        let at = self.paused_until.map_or(at, |until| at.max(until));
        // Some of those under way may be gone, so that this is no reason not to look at all.
        let open = doubts.probe + doubts.size + doubts.value;
        let is_asked = !verifies && !eager && self.uncounted.is_empty();
        Some(match is_asked && open <= keyspace.in_flight() as u64 {
            true => at.max(next + ASKED_PAUSE),
            false => at,
        })
    }

    /// True if there are values to be read, or counts to be asked for instead.
    fn wants_values(&self, keyspace: &Keyspace, doubts: Doubts) -> bool {
        let budget = |counting| match counting {
            true => &self.probes,
            false => &self.values,
        };
        let is_on = || budget(keyspace.detail().elements_max.is_some()).is_on();
        doubts.value > 0 && self.bytes.is_on() && is_on()
    }

    /// True if there are sizes to be asked for.
    fn wants_sizes(&self, doubts: Doubts) -> bool {
        doubts.size > 0 && self.sizes.is_on()
    }

    /// True if a mistake of the model may be logged: a model that is all wrong is told of in a few
    /// lines, and counted.
    pub fn may_tell(&mut self, now: Instant) -> bool {
        let may = self.told.available(now) > 0;
        self.told.take(u64::from(may));
        may
    }

    /// Keeps a collection aside whose value is too large to be read: its count is asked instead.
    pub fn count_instead(&mut self, kind: Kind, name: Name) {
        self.uncounted.extend(length_of(kind).map(|of| (name, of)));
    }

    /// Keeps those of some wanted values aside of which only the count is to be asked, and returns
    /// the others.
    fn count(&mut self, keyspace: &Keyspace, names: Vec<Name>) -> Vec<Name> {
        let mut others = Vec::new();
        for name in names {
            match keyspace.counts_only(name.db, &name.key).and_then(length_of) {
                Some(of) => self.uncounted.push((name, of)),
                None => others.push(name),
            }
        }
        others
    }

    /// Asks for what was taken from the budgets; returns of how many keys.
    fn send<T>(
        &mut self,
        keyspace: &mut Keyspace,
        side: &Side,
        names: Vec<T>,
        ask: fn(Vec<T>) -> SideAsk,
    ) -> u64 {
        let keys = names.len() as u64;
        if keys == 0 {
            return 0;
        }
        if side.asks.try_send(ask(names)).is_err() {
            // The connection is busy with something long: what was taken goes back.
            keyspace.give_up();
            return 0;
        }
        self.flights += 1;
        keys
    }
}

/// The command that counts a collection of that type.
fn length_of(kind: Kind) -> Option<LengthOf> {
    match kind {
        Kind::List => Some(LengthOf::List),
        Kind::Set => Some(LengthOf::Set),
        Kind::Zset => Some(LengthOf::Zset),
        Kind::Hash => Some(LengthOf::Hash),
        Kind::Stream => Some(LengthOf::Stream),
        Kind::String | Kind::Module => None,
    }
}

fn wants(keyspace: &mut Keyspace, need: Need, room: usize) -> Vec<Name> {
    let next = std::iter::from_fn(|| keyspace.next_want(need));
    next.take(room).map(name).collect()
}

fn name(want: Want) -> Name {
    Name {
        db: want.db,
        key: want.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn a_budget_fills_up_to_its_burst_and_remembers_debts() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut budget = Budget::new(1000, 10, start);
        assert_eq!(budget.available(start), 100);
        budget.take(100);
        assert_eq!(budget.available(after(10)), 10);
        budget.take(60);
        assert_eq!(budget.available(after(50)), 0);
        assert_eq!(budget.available(after(70)), 10);
        assert_eq!(budget.available(after(10_000)), 100);
    }

    #[test]
    fn what_is_never_answered_is_charged_as_if_it_had_been_read() {
        let start = Instant::now();
        let mut budget = Budget::new(1000, 1, start);
        budget.take(3000);
        assert_eq!(budget.available(start), 0);
        budget.give_back(3000);
        budget.take(40);
        assert_eq!(budget.available(start), 60);
        budget.take(3000);
        assert_eq!(budget.available(start + Duration::from_secs(2)), 0);
        assert_eq!(budget.available(start + Duration::from_secs(3)), 60);
    }

    #[test]
    fn a_budget_of_nothing_gives_nothing() {
        let start = Instant::now();
        let mut budget = Budget::new(0, 10, start);
        assert_eq!(budget.available(start + Duration::from_secs(9)), 0);
    }

    #[test]
    fn nobody_comes_by_for_what_cannot_be_asked_now() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let limits = config::Config::from_raw(config::raw::Raw::default()).expect("the defaults");
        let off = config::Reread {
            probes_per_s_max: 0,
            values_per_s_max: 0,
            sizes_per_s_max: 0,
            ..limits.reread
        };
        let version = analyzer::profile::Version::new(7, 0);
        let family = analyzer::profile::Family::Redis;
        let profile = analyzer::Profile::defaults(family, version);
        let mut keyspace = Keyspace::new(profile, 7);
        let mut rereads = Rereads::new(&limits.reread, start);
        assert_eq!(rereads.wake_at(&keyspace, false, after(10)), None);
        assert_eq!(rereads.wake_at(&keyspace, true, after(10)), Some(after(10)));
        // How a short string is stored no snapshot says.
        fixture::load(&mut keyspace, [(0, "k".to_owned())].into_iter());
        let wake = |rereads: &Rereads, keyspace: &Keyspace| {
            let at = rereads.wake_at(keyspace, false, after(10))?;
            Some(at.duration_since(start).as_millis())
        };
        assert_eq!(wake(&rereads, &keyspace), Some(10));
        assert_eq!(wake(&Rereads::new(&off, start), &keyspace), None);
        // It is under way, for a minute if it was refused.
        assert!(keyspace.next_want(Need::Probe).is_some());
        assert_eq!(wake(&rereads, &keyspace), Some(110));
        rereads.pause(after(5000));
        assert_eq!(wake(&rereads, &keyspace), Some(5000));
        rereads.lost();
        assert_eq!(wake(&rereads, &keyspace), None);
    }
}
