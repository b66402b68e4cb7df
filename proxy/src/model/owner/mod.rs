//! The owner of one master's model: a task that alone holds it.
//!
//! ```text
//!         +-- attach (dial, ask, decide) <--- wait (backoff) <--+
//!         v                                                     |
//!      session: chunks -> link -> mirror ----- fault -----------+
//!         |         between chunks: questions, a slice of a walk,
//!         |         answers of the second connection, re-reads, timers
//! ```
//!
//! Everything that can wake it is an arm of one select, and none goes before another. Chunks are
//! small, and what stands between two of them is bounded in time, so neither side starves the
//! other. `wake` is the select, `fate` the life of a link, `side` everything that goes over the
//! second connection, `chores` what can wait.

mod chores;
mod fate;
mod relief;
mod side;
#[cfg(test)]
mod tests;
mod wake;

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{mem, thread};

use analyzer::profile::{Family, Profile, Version};
use relief::Relief;
use replica_shim::{Attempts, Position, Verdict};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use wake::Wake;

use crate::clock;
use crate::config::Config;
use crate::fault::{AttachError, Fault};
use crate::fleet::{Counters, Deployment, Loss, Master, Place, Seat, State, Status};
use crate::link::attach::{Attached, Shared};
use crate::link::backoff::Backoff;
use crate::link::connect::{Connection, DialError};
use crate::link::driver::Arrival;
use crate::link::full::FullSyncs;
use crate::memory::Claim;
use crate::model::advise::Advise;
use crate::model::answer::{self, Walks};
use crate::model::ask::Ask;
use crate::model::mirror::Mirror;
use crate::model::pace::Pace;
use crate::model::rereads::Rereads;
use crate::model::session::Session;
use crate::model::telling::Telling;
use crate::model::verify::Verify;
use crate::side::client::Target;
use crate::side::intro::Intro;
use crate::side::task::Calls;

/// Questions answered between two chunks.
const ASKS_AT_ONCE: usize = 64;

/// Longest time for questions between two chunks.
const ASKS_TIME: Duration = Duration::from_millis(2);

/// How often figures are published while they change.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// How often re-reads and tidying are looked at while there is something to do.
const WORK_EVERY: Duration = Duration::from_millis(10);

/// How often the model hears the time.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// First wait behind a link that made progress.
const QUICK_MIN: Duration = Duration::from_millis(20);

/// What an owner is given.
#[derive(Clone, Debug)]
pub struct Given {
    /// What all links share.
    pub shared: Arc<Shared>,
    /// The master, as others see it.
    pub master: Arc<Master>,
    /// The deployment that it belongs to.
    pub deployment: Arc<Deployment>,
    /// Everything configured.
    pub config: Arc<Config>,
    /// The end of the process.
    pub shutdown: CancellationToken,
}

/// The owner.
pub struct Owner<'a> {
    given: Given,
    seat: &'a mut Seat,
    /// The server to follow, by the last order.
    target: Target,
    mirror: Mirror,
    walks: Walks,
    rereads: Rereads,
    verify: Verify,
    telling: Telling,
    pace: Pace,
    advise: Advise,
    session: Option<Box<Session>>,
    attach: Option<AbortOnDropHandle<Result<Attached, AttachError>>>,
    standby_dial: Option<AbortOnDropHandle<Result<Connection, DialError>>>,
    /// A server refused the stand-by's SYNC, and that was said.
    standby_refused: bool,
    /// When the next attempt is due, if none is under way.
    retry_at: Instant,
    /// What the server told the last time.
    known: Option<Arc<Intro>>,
    /// The run id of the server that was followed last.
    process: Option<String>,
    /// What the server had been called for at the last look, if there was one.
    calls: Option<Calls>,
    /// Where the master was at the last look, with its slots.
    place: Arc<Place>,
    attempts: Attempts,
    waits: Waits,
    full_syncs: FullSyncs,
    /// The position that was answered last with a full sync that could not be had.
    declined: Option<Position>,
    status: Status,
    timers: Timers,
    origin: Instant,
    /// Our part of the process's memory.
    claim: Arc<Claim>,
    relief: Relief,
    /// Something was answered since others last had their turn.
    answered: bool,
}

struct Waits {
    /// Behind links that made no progress.
    slow: Backoff,
    /// Behind links that did.
    quick: Backoff,
    /// Of those that the stream's content makes necessary.
    resync_not_before: Instant,
    behind: u32,
}

struct Timers {
    publish: Instant,
    work: Instant,
    clock: Instant,
    poll: Instant,
    /// The last look at the server's configuration.
    polled: Option<Instant>,
    standby: Instant,
    /// The next slice of what can wait, while there is something else to do.
    chores: Instant,
    polls: u32,
    shutdown: Instant,
    dirty: bool,
}

impl<'a> Owner<'a> {
    /// An owner with an empty model. `counters` are those of owners before it.
    pub fn new(given: Given, seat: &'a mut Seat, counters: Counters) -> Owner<'a> {
        let now = clock::now();
        let link = &given.config.link;
        // The first snapshot, or INFO before it, says what the server really is.
        let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
        let mut mirror = Mirror::new(
            profile,
            given.shared.seed,
            given.config.counted.clone(),
            counters,
        );
        mirror.keyspace.watch_big(given.config.watch.big);
        let target = seat.orders.borrow_and_update().target.clone();
        Owner {
            target,
            rereads: Rereads::new(&given.config.reread, now),
            verify: Verify::default(),
            telling: Telling::new(given.config.advice.every, now),
            pace: Pace::default(),
            advise: Advise::new(&given.config.advice, now),
            waits: Waits {
                slow: Backoff::new(link.retry_min, link.retry_max),
                quick: Backoff::new(QUICK_MIN, link.retry_max),
                resync_not_before: now,
                behind: 0,
            },
            full_syncs: FullSyncs::new(link.retry_min, link.retry_max, now),
            declined: None,
            seat,
            mirror,
            walks: Walks::default(),
            session: None,
            attach: None,
            standby_dial: None,
            standby_refused: false,
            retry_at: now,
            known: None,
            process: None,
            calls: None,
            place: given.master.place(),
            attempts: Attempts::default(),
            status: Status::default(),
            timers: Timers {
                publish: now,
                work: now,
                clock: now,
                poll: now,
                polled: None,
                standby: now,
                chores: now,
                polls: 0,
                shutdown: now,
                dirty: true,
            },
            origin: now,
            claim: given.shared.fleet.memory.claim(),
            relief: Relief::default(),
            answered: false,
            given,
        }
    }

    /// Follows the master until the process ends or the master is removed.
    pub async fn run(mut self) {
        self.publish();
        loop {
            match self.wait().await {
                Wake::Shutdown | Wake::Removed => return,
                Wake::Ordered => self.obey(),
                Wake::Arrival(Arrival::Chunk(chunk)) => self.chunk(&chunk),
                Wake::Arrival(Arrival::Run(run)) => self.run_of_parts(&run),
                Wake::Arrival(Arrival::Home(home)) => self.home(*home),
                Wake::Arrival(Arrival::End(end)) => self.ended(&end),
                Wake::Ask(ask) => self.answer(ask),
                Wake::Side(Some(answer)) => self.side(answer),
                Wake::Side(None) => self.side_gone(),
                Wake::Attached(Ok(attached)) => self.attached(*attached),
                Wake::Attached(Err(error)) => self.not_attached(&error),
                Wake::AttachPanicked => {
                    let text = "the attempt to connect panicked";
                    self.lose(Fault::own(Loss::Restart, Verdict::RetryLater, text));
                }
                Wake::Sent(Ok(bytes)) => self.sent(bytes),
                Wake::Sent(Err(error)) => {
                    let text = format!("cannot send: {error}");
                    self.cannot_send(Fault::own(Loss::Closed, Verdict::Retry, &text));
                }
                Wake::StandbyDialled(dialled) => self.standby_dialled(dialled),
                Wake::StandbyArrival(Arrival::Chunk(chunk)) => self.standby_chunk(&chunk),
                // What stands by is not read ahead.
                Wake::StandbyArrival(Arrival::Run(_) | Arrival::Home(_) | Arrival::End(_))
                | Wake::StandbySent(Err(_)) => {
                    self.drop_standby();
                }
                Wake::StandbySent(Ok(bytes)) => self.standby_sent(bytes),
                Wake::Time => {}
            }
            self.between();
            self.give_way().await;
        }
    }

    /// Lets those that were answered go on.
    async fn give_way(&mut self) {
        if !mem::take(&mut self.answered) {
            return;
        }
        // The task that was answered waits in the slot of the thread that we run on, from where no other
        // thread takes it: with a stream that never pauses it would wait for the end of our budget.
        tokio::task::yield_now().await;
        // Whom it told is mostly woken on this core, and where others are busy it would wait there for
        // the end of our time slice.
        thread::yield_now();
    }

    /// What is due between two chunks; each part is bounded in time.
    fn between(&mut self) {
        let now = clock::now();
        if !self.mirror.in_transaction {
            self.drain_asks(now);
            let live = self.is_live();
            self.answered |= self.walks.slice(&mut self.mirror, live);
            let busy = self.is_busy();
            self.advise.slice(&self.mirror, now, busy);
        }
        self.chores();
        self.relieve(now);
        self.timers(now);
        self.parted(now);
        if self.session.is_none() && self.attach.is_none() && self.retry_at <= now {
            self.begin_attach();
        }
        if self.timers.dirty && (self.timers.publish <= now || self.has_caught_up()) {
            self.publish();
        }
    }

    /// True if nothing waits any more and others believe that something does: whoever waits for us
    /// to be where the master is hears of it at once.
    fn has_caught_up(&self) -> bool {
        let queued = self.session.as_ref().map(|session| session.wire.queued());
        self.status.queued_bytes > 0 && queued == Some(0)
    }

    fn drain_asks(&mut self, from: Instant) {
        for _ in 0..ASKS_AT_ONCE {
            let Ok(ask) = self.seat.asks.try_recv() else {
                return;
            };
            self.answer(ask);
            if clock::now().duration_since(from) > ASKS_TIME {
                return;
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        let live = self.is_live();
        let tasks = (
            &mut self.walks,
            &mut self.verify,
            &mut self.telling,
            &mut self.advise,
        );
        answer::answer(ask, &mut self.mirror, tasks, live);
        self.answered = true;
        self.timers.dirty = true;
    }

    fn is_live(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.is_live())
    }

    fn timers(&mut self, now: Instant) {
        if self.timers.clock <= now {
            // Who stood still has not listened, and can tell nothing of others.
            let listened = now.duration_since(self.timers.clock) < CLOCK_EVERY;
            self.timers.clock = now + CLOCK_EVERY;
            self.mirror
                .keyspace
                .clock(i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX));
            for _ in 0..GAUGED_AT_ONCE {
                if self.mirror.keyspace.gauge() {
                    break;
                }
            }
            self.measure(now);
            if listened {
                self.give_up_frozen(now);
            }
            self.timers.dirty = true;
        }
        let woken = match &mut self.session {
            Some(session) if session.timeout().is_some_and(|at| at <= now) => session.wake(),
            Some(_) | None => Ok(()),
        };
        match woken {
            Ok(()) => {
                self.change_over();
            }
            Err(error) => self.broken(&error),
        }
        if self.timers.work <= now {
            self.timers.work = now + WORK_EVERY;
            self.work(now);
        }
    }

    /// How fast the stream is.
    fn measure(&mut self, now: Instant) {
        let stands = (
            self.mirror.keyspace.applied(),
            self.mirror.counters.commands,
        );
        let live = self.is_live();
        self.pace.tick(now, stands, live);
        self.status.rates = self.pace.rates();
    }

    fn enter(&mut self, state: State) {
        if self.status.state.name() != state.name() {
            tracing::info!(master = %self.given.master, state = state.name(), "link");
        }
        self.status.state = state;
        self.publish();
    }

    fn publish(&mut self) {
        let live = self.is_live();
        let returnable = self.returnable(clock::now()).is_some();
        let mirror = &self.mirror;
        let status = &mut self.status;
        status.generation = mirror.worth(live);
        status.profile = mirror.origin();
        status.replid = mirror.replid.clone();
        status.offset = mirror.keyspace.applied();
        status.queued_bytes = self
            .session
            .as_ref()
            .map_or(0, |session| session.wire.queued());
        status.lag_ms = match &self.session {
            Some(session) if session.wire.queued() > 0 => session.lag_ms,
            Some(_) | None => 0,
        };
        let behind = status
            .master_offset
            .map(|at| at.saturating_sub(status.offset));
        status.lag_bytes = behind.unwrap_or(0);
        if let Some(session) = &self.session {
            let age = clock::now().duration_since(session.heard).as_millis();
            let age = u64::try_from(age).unwrap_or(u64::MAX);
            status.last_byte_ms = clock::unix_ms().saturating_sub(age);
        }
        status.loaded_ms = mirror.loaded_ms;
        status.load_took_ms = mirror.load_took_ms;
        status.model_bytes = mirror.keyspace.heap_bytes() as u64;
        status.keys = mirror.keyspace.keys();
        status.key_bytes = mirror.keyspace.key_bytes();
        status.flows = mirror.keyspace.flow_ever();
        status.detail = mirror.keyspace.detail();
        self.claim.tell(
            mirror.keyspace.model_bytes(),
            mirror.load.is_some(),
            returnable,
        );
        let doubts = mirror.keyspace.doubts();
        status.inexact = doubts.value;
        status.unverified = doubts.probe;
        status.unsized_keys = doubts.size;
        status.counters.clone_from(&mirror.counters);
        status.bridged.clone_from(&mirror.bridged);
        status.unknown_names.clone_from(&mirror.unknown_names);
        self.seat.status.send_replace(Arc::new(status.clone()));
        self.timers.dirty = false;
        self.timers.publish = clock::now() + PUBLISH_EVERY;
    }
}

/// Thousands of large values that are gauged at once.
const GAUGED_AT_ONCE: u32 = 20;
