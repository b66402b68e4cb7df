//! The memory of the process under its cap: who gives up detail, when, and who may have it back.
//!
//! ```text
//! 10 to 50/s:    used > 85% of the cap ---> the largest model that is not at it already: less
//!               resident > 85%        ---> the allocator gives back what it holds free
//!               used < half of that   ---> after a while, the smallest model that can: more
//! ```
//!
//! "Half" counts from what the process took before it had a model. *Used* is what could not be given back: pages with live blocks, and all that is not the
//! allocator's. *Resident* is what the kernel counts. Models are not measured here: each owner says
//! how large its own is ([`Claim`]), does what it is told between two chunks of its stream, and says
//! when it is done; nothing here touches a keyspace. What "less" and "more" mean is in
//! `model::owner::relief` and `analyzer::keyspace::degrade`.

mod allocator;
pub mod limits;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;

/// How often memory is looked at while it may run short. A load at full speed takes about a megabyte
/// in that time.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// And while it is low and nothing is loaded: a look costs a tenth of a millisecond.
const LOOK_IDLY: Duration = Duration::from_millis(100);

/// Tenths and hundredths of the cap: from where on detail is given up, ..
const HIGH_PERCENT: u64 = 85;

/// .. from where on it is given up though some of it is still being freed, ..
const CRITICAL_PERCENT: u64 = 94;

/// .. and below which part of the way up to the first it may come back.
const LOW_PERCENT: u64 = 50;

/// How long an order is left alone in the critical range.
const PATIENCE: Duration = Duration::from_millis(150);

/// How long memory must be low before detail comes back, at first.
const CALM: Duration = Duration::from_secs(5);

/// And at most, when it had to be given up again and again.
const CALM_MAX: Duration = Duration::from_secs(600);

/// Least time between two purges: each walks the allocator's free pages.
const PURGE_EVERY: Duration = Duration::from_millis(200);

/// A full queue of received bytes may take one part in so many of the cap.
const QUEUE_PART: u64 = 16;

/// The memory of the process.
#[derive(Debug, Default)]
pub struct Memory {
    cap: Option<u64>,
    used: AtomicU64,
    /// Models that were loading at the last look.
    loads: AtomicU64,
    claims: Mutex<Vec<Weak<Claim>>>,
}

/// What an owner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Give up detail.
    Less,
    /// Take detail back, if there is room for it.
    More,
}

/// One model's part of the memory, shared by its owner and the look-out.
#[derive(Debug, Default)]
pub struct Claim {
    model: AtomicU64,
    order: AtomicU8,
    busy: AtomicBool,
    loading: AtomicBool,
    returnable: AtomicBool,
    accepted: AtomicBool,
    given: Notify,
}

impl Claim {
    /// The owner says what there is: bytes of its model, whether it is loading, and whether it could
    /// take detail back now. One that is degraded and cannot would be asked before all others, for
    /// nothing.
    pub fn tell(&self, model: u64, loading: bool, returnable: bool) {
        self.model.store(model, Ordering::Relaxed);
        self.loading.store(loading, Ordering::Relaxed);
        self.returnable.store(returnable, Ordering::Relaxed);
    }

    /// Waits until an order is given.
    pub async fn given(&self) {
        self.given.notified().await;
    }

    /// The order that was given since the last call.
    pub fn take(&self) -> Option<Order> {
        match self.order.swap(0, Ordering::Relaxed) {
            1 => Some(Order::Less),
            2 => Some(Order::More),
            _ => None,
        }
    }

    /// Detail comes back, as the last order said.
    pub fn accept(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    /// True if detail came back since the last call.
    fn take_accepted(&self) -> bool {
        self.accepted.swap(false, Ordering::Relaxed)
    }

    /// Everything that the last order was about is freed.
    pub fn done(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    fn give(&self, order: Order) {
        let code = match order {
            Order::Less => 1,
            Order::More => 2,
        };
        self.busy.store(true, Ordering::Relaxed);
        self.order.store(code, Ordering::Relaxed);
        self.given.notify_one();
    }
}

impl Memory {
    /// With a cap in bytes, or none.
    pub fn new(cap: Option<u64>) -> Arc<Memory> {
        Arc::new(Memory {
            cap,
            ..Memory::default()
        })
    }

    /// The cap, bytes.
    pub fn cap(&self) -> Option<u64> {
        self.cap
    }

    /// What could not be given back at the last look, bytes; 0 without a cap.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// A part of the memory for a new owner, for as long as it keeps it.
    pub fn claim(&self) -> Arc<Claim> {
        let claim = Arc::new(Claim::default());
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|claim| claim.strong_count() > 0);
        claims.push(Arc::downgrade(&claim));
        claim
    }

    /// Bytes that one more model may take now; without a cap any number.
    pub fn room(&self) -> u64 {
        self.room_without(0)
    }

    /// The same if so many bytes were freed first.
    pub fn room_without(&self, freed: u64) -> u64 {
        let Some(high) = self.percent(HIGH_PERCENT) else {
            return u64::MAX;
        };
        let left = high.saturating_sub(self.used().saturating_sub(freed));
        // Several that load at once share it, and pages that are filled are larger for a while.
        left / 4 * 3 / self.loads.load(Ordering::Relaxed).max(1)
    }

    fn count_loads(&self) -> u64 {
        let loads = self.claims().iter().filter(|c| c.is_loading()).count() as u64;
        self.loads.store(loads, Ordering::Relaxed);
        loads
    }

    /// Bytes that may wait to be applied.
    pub fn queue_max(&self, configured: usize) -> usize {
        let part = self.cap.map_or(u64::MAX, |cap| cap / QUEUE_PART);
        configured.min(usize::try_from(part).unwrap_or(usize::MAX))
    }

    fn percent(&self, percent: u64) -> Option<u64> {
        self.cap.map(|cap| cap / 100 * percent)
    }

    fn claims(&self) -> Vec<Arc<Claim>> {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.iter().filter_map(Weak::upgrade).collect()
    }

    /// Watches over the cap until the process ends; returns at once if there is none.
    pub async fn watch(self: Arc<Memory>, shutdown: CancellationToken) {
        let Some(cap) = self.cap else {
            return;
        };
        tracing::info!(bytes = cap, "memory cap");
        allocator::be_thrifty();
        let mut lookout = Lookout::new(clock::now());
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => wait = lookout.look(&self, clock::now()),
            }
        }
    }
}

impl Claim {
    fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Relaxed)
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    fn model(&self) -> u64 {
        self.model.load(Ordering::Relaxed)
    }
}

/// What the look-out remembers between two looks.
#[derive(Debug)]
struct Lookout {
    ordered: Instant,
    purged: Instant,
    /// Since when memory is low.
    low_since: Option<Instant>,
    /// How long it must be low before detail comes back.
    calm: Duration,
    /// What the process took before it had a model.
    base: Option<u64>,
}

impl Lookout {
    fn new(now: Instant) -> Lookout {
        Lookout {
            ordered: now,
            purged: now,
            low_since: None,
            calm: CALM,
            base: None,
        }
    }

    /// Looks, and returns when to look again.
    fn look(&mut self, memory: &Memory, now: Instant) -> Duration {
        let usage = allocator::usage();
        memory.used.store(usage.used, Ordering::Relaxed);
        let loads = memory.count_loads();
        self.judge(memory, now);
        let high = memory.percent(HIGH_PERCENT).unwrap_or(u64::MAX);
        if usage.resident > high && now.duration_since(self.purged) >= PURGE_EVERY {
            self.purged = now;
            allocator::purge();
        }
        match self.low_since {
            Some(_) if loads == 0 => LOOK_IDLY,
            Some(_) | None => LOOK_EVERY,
        }
    }

    /// Gives the order that the figures ask for.
    fn judge(&mut self, memory: &Memory, now: Instant) {
        let above = |percent| memory.percent(percent).is_some_and(|at| memory.used() > at);
        let base = *self.base.get_or_insert(memory.used());
        let high = memory.percent(HIGH_PERCENT).unwrap_or(u64::MAX);
        let low = base + high.saturating_sub(base) * LOW_PERCENT / 100;
        if memory.used() < low {
            let since = *self.low_since.get_or_insert(now);
            if now.duration_since(since) >= self.calm {
                self.relax(memory, now);
            }
            return;
        }
        self.low_since = None;
        let waited = now.duration_since(self.ordered) >= PATIENCE;
        if above(CRITICAL_PERCENT) && waited {
            self.squeeze(memory, now, |_| true);
        } else if above(HIGH_PERCENT) && !memory.claims().iter().any(|claim| claim.is_busy()) {
            self.squeeze(memory, now, |claim| !claim.is_busy());
        }
    }

    /// Tells the largest of the models that `may` to give up detail.
    fn squeeze(&mut self, memory: &Memory, now: Instant, may: fn(&Claim) -> bool) {
        let claims = memory.claims().into_iter().filter(|claim| may(claim));
        // A load is the one that grows.
        let Some(claim) = claims.max_by_key(|claim| (claim.is_loading(), claim.model())) else {
            return;
        };
        claim.give(Order::Less);
        self.ordered = now;
        // Detail that came back is given up again: it was too early.
        let accepted = memory.claims().into_iter().filter(|c| c.take_accepted());
        if accepted.count() > 0 {
            self.calm = (self.calm * 2).min(CALM_MAX);
        }
    }

    /// Tells the smallest of the models that could take detail back that there may be room.
    fn relax(&mut self, memory: &Memory, now: Instant) {
        self.low_since = Some(now);
        let claims = memory.claims().into_iter();
        let able = claims.filter(|claim| claim.returnable.load(Ordering::Relaxed));
        if let Some(claim) = able.min_by_key(|claim| claim.model()) {
            claim.give(Order::More);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks so many milliseconds after the start, with so many bytes used; tells both orders.
    fn looks(
        memory: &Memory,
        claims: [Arc<Claim>; 2],
    ) -> impl FnMut(u64, u64) -> (Option<Order>, Option<Order>) {
        let start = Instant::now();
        let mut lookout = Lookout::new(start);
        move |used, ms| {
            memory.used.store(used, Ordering::Relaxed);
            lookout.judge(memory, start + Duration::from_millis(ms));
            (claims[0].take(), claims[1].take())
        }
    }

    #[test]
    fn the_largest_gives_up_first_and_the_smallest_takes_back_first() {
        let memory = Memory::new(Some(1000));
        let (small, large) = (memory.claim(), memory.claim());
        small.tell(100, false, false);
        large.tell(700, false, false);
        let mut look = looks(&memory, [small.clone(), large.clone()]);
        assert_eq!(look(0, 0), (None, None));
        assert_eq!(look(840, 0), (None, None));
        assert_eq!(look(860, 20), (None, Some(Order::Less)));
        assert_eq!(look(870, 40), (None, None), "it is at it");
        assert_eq!(look(950, 100), (None, None), "and is given some time");
        assert_eq!(look(950, 180), (None, Some(Order::Less)));
        large.done();
        large.tell(90, false, true);
        assert_eq!(look(400, 200), (None, None));
        assert_eq!(look(400, 5000), (None, None));
        assert_eq!(look(400, 5300), (None, Some(Order::More)));
        assert_eq!(look(400, 5400), (None, None));
        // Too early, as it turned out: twice as long from now on.
        large.accept();
        large.done();
        assert_eq!(look(860, 6000), (Some(Order::Less), None));
        small.done();
        small.tell(10, false, true);
        assert_eq!(look(400, 7000), (None, None));
        assert_eq!(look(400, 16_000), (None, None));
        assert_eq!(look(400, 17_100), (Some(Order::More), None));
    }

    #[test]
    fn who_cannot_take_back_stands_in_nobodys_way() {
        let memory = Memory::new(Some(1000));
        let (stuck, able) = (memory.claim(), memory.claim());
        let mut look = looks(&memory, [stuck.clone(), able.clone()]);
        // The smaller is degraded, too, but nothing of it can come back.
        stuck.tell(10, false, false);
        able.tell(100, false, true);
        assert_eq!(look(0, 0), (None, None));
        assert_eq!(look(0, 5100), (None, Some(Order::More)));
        // It found that there is no room after all, so what comes next is not its fault.
        able.done();
        assert_eq!(look(900, 6000), (None, Some(Order::Less)));
        able.done();
        assert_eq!(look(0, 6100), (None, None));
        assert_eq!(look(0, 11_200), (None, Some(Order::More)));
        able.accept();
        able.done();
        assert_eq!(look(900, 12_000), (None, Some(Order::Less)));
        able.done();
        assert_eq!(look(0, 12_100), (None, None));
        assert_eq!(look(0, 17_200), (None, None), "twice as long");
        assert_eq!(look(0, 22_200), (None, Some(Order::More)));
    }

    #[test]
    fn room_is_what_is_left_below_the_mark_for_each_that_loads() {
        let memory = Memory::new(Some(1000));
        memory.used.store(450, Ordering::Relaxed);
        assert_eq!(memory.room(), 300);
        assert_eq!(memory.room_without(200), 450);
        let claims = [memory.claim(), memory.claim(), memory.claim()];
        claims.iter().for_each(|claim| claim.tell(0, true, false));
        assert_eq!(memory.count_loads(), 3);
        assert_eq!(memory.room(), 100);
        assert_eq!(memory.queue_max(5000), 62);
        assert_eq!(Memory::new(None).room(), u64::MAX);
        assert_eq!(Memory::new(None).queue_max(5000), 5000);
    }
}
