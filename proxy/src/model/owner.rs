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
//! Everything that can wake it is an arm of one select. Chunks come first and are small; what
//! stands between two of them is bounded in time, so neither side starves the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use analyzer::profile::{Family, Profile, Version};
use replica_shim::{Attempts, Verdict};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::config::Config;
use crate::fault::{AttachError, Fault};
use crate::fleet::{Counters, Loss, Master, Role, Seat, State, Status};
use crate::link::attach::{Attached, Plan, Shared};
use crate::link::backoff::{Backoff, GOOD_LIFE};
use crate::link::connect::{self, Connection, DialError};
use crate::link::driver::{Arrival, Chunk, End};
use crate::model::answer::{self, Walks};
use crate::model::ask::Ask;
use crate::model::mirror::{Mirror, Stamped};
use crate::model::rereads::Rereads;
use crate::model::session::Session;
use crate::model::wire::Wire;
use crate::side::client::Target;
use crate::side::task::{Polled, SideAnswer, SideAsk, Stamp, UNSTAMPED_PAUSE};

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

/// One of so many polls asks for memory as well.
const MEMORY_POLLS: u32 = 10;

/// GETACK comes with every WAIT: the server is asked no more often than this.
const SHUTDOWN_EVERY: Duration = Duration::from_millis(200);

/// How long a source is left alone when somebody has to change something.
const FAILED_WAIT: Duration = Duration::from_secs(60);

/// First wait behind a link that made progress.
const QUICK_MIN: Duration = Duration::from_millis(20);

/// What an owner is given.
#[derive(Clone, Debug)]
pub struct Given {
    /// What all links share.
    pub shared: Arc<Shared>,
    /// The master, as others see it.
    pub master: Arc<Master>,
    /// Where it is.
    pub target: Target,
    /// Everything configured.
    pub config: Arc<Config>,
    /// The end of the process.
    pub shutdown: CancellationToken,
}

/// The owner.
pub struct Owner<'a> {
    given: Given,
    seat: &'a mut Seat,
    mirror: Mirror,
    walks: Walks,
    rereads: Rereads,
    session: Option<Box<Session>>,
    attach: Option<AbortOnDropHandle<Result<Attached, AttachError>>>,
    standby_dial: Option<AbortOnDropHandle<Result<Connection, DialError>>>,
    /// When the next attempt is due, if none is under way.
    retry_at: Instant,
    attempts: Attempts,
    waits: Waits,
    status: Status,
    timers: Timers,
    origin: Instant,
}

struct Waits {
    /// Behind links that made no progress.
    slow: Backoff,
    /// Behind links that did.
    quick: Backoff,
    /// Between full syncs.
    full: Backoff,
    full_not_before: Instant,
    behind: u32,
}

struct Timers {
    publish: Instant,
    work: Instant,
    clock: Instant,
    poll: Instant,
    standby: Instant,
    polls: u32,
    shutdown: Instant,
    dirty: bool,
}

/// What woke the owner.
enum Wake {
    Shutdown,
    Arrival(Arrival),
    Ask(Ask),
    NoAsks,
    Side(SideAnswer),
    Attached(Result<Attached, AttachError>),
    Sent(std::io::Result<usize>),
    StandbyDialled(Result<Connection, DialError>),
    StandbyArrival(Arrival),
    StandbySent(std::io::Result<usize>),
    Time,
}

impl<'a> Owner<'a> {
    /// An owner with an empty model. `counters` are those of owners before it.
    pub fn new(given: Given, seat: &'a mut Seat, counters: Counters) -> Owner<'a> {
        let now = clock::now();
        let link = &given.config.link;
        // The first snapshot, or INFO before it, says what the server really is.
        let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
        let mut mirror = Mirror::new(profile, given.shared.seed);
        mirror.counters = counters;
        Owner {
            rereads: Rereads::new(&given.config.reread, now),
            waits: Waits {
                slow: Backoff::new(link.retry_min, link.retry_max),
                quick: Backoff::new(QUICK_MIN, link.retry_max),
                full: Backoff::new(link.retry_min, link.retry_max),
                full_not_before: now,
                behind: 0,
            },
            seat,
            mirror,
            walks: Walks::default(),
            session: None,
            attach: None,
            standby_dial: None,
            retry_at: now,
            attempts: Attempts::default(),
            status: Status::default(),
            timers: Timers {
                publish: now,
                work: now,
                clock: now,
                poll: now,
                standby: now,
                polls: 0,
                shutdown: now,
                dirty: true,
            },
            origin: now,
            given,
        }
    }

    /// Follows the master until the process ends or the master is removed.
    pub async fn run(mut self) {
        self.publish();
        loop {
            match self.wait().await {
                Wake::Shutdown | Wake::NoAsks => return,
                Wake::Arrival(Arrival::Chunk(chunk)) => self.chunk(&chunk),
                Wake::Arrival(Arrival::End(end)) => self.ended(&end),
                Wake::Ask(ask) => self.answer(ask),
                Wake::Side(answer) => self.side(answer),
                Wake::Attached(Ok(attached)) => self.attached(attached),
                Wake::Attached(Err(error)) => self.not_attached(&error),
                Wake::Sent(Ok(bytes)) => self.sent(bytes),
                Wake::Sent(Err(error)) => {
                    let text = format!("cannot send: {error}");
                    self.lose(Fault::own(Loss::Closed, Verdict::Retry, &text));
                }
                Wake::StandbyDialled(dialled) => self.standby_dialled(dialled),
                Wake::StandbyArrival(Arrival::Chunk(chunk)) => self.standby_chunk(&chunk),
                Wake::StandbyArrival(Arrival::End(_)) | Wake::StandbySent(Err(_)) => {
                    self.drop_standby();
                }
                Wake::StandbySent(Ok(bytes)) => self.standby_sent(bytes),
                Wake::Time => {}
            }
            self.between();
        }
    }

    async fn wait(&mut self) -> Wake {
        let wake_at = self.wake_at();
        let hold_asks = self.mirror.in_transaction;
        let (mut arrivals, mut sending, mut side) = (None, None, None);
        let (mut standby_arrivals, mut standby_sending) = (None, None);
        if let Some(session) = &mut self.session {
            let ends = session.ends();
            arrivals = Some(ends.inbox);
            sending = ends.sending;
            side = ends.side;
            standby_arrivals = ends.standby_inbox;
            standby_sending = ends.standby_sending;
        }
        tokio::select! {
            biased;
            () = self.given.shutdown.cancelled() => Wake::Shutdown,
            arrival = async {
                match arrivals {
                    Some(inbox) => inbox.next().await,
                    None => std::future::pending().await,
                }
            } => Wake::Arrival(arrival),
            ask = self.seat.asks.recv(), if !hold_asks => ask.map_or(Wake::NoAsks, Wake::Ask),
            answer = async {
                match side {
                    Some(side) => side.answers.recv().await,
                    None => std::future::pending().await,
                }
            } => match answer {
                Some(answer) => Wake::Side(answer),
                None => Wake::Time,
            },
            joined = async {
                match &mut self.attach {
                    Some(task) => task.await,
                    None => std::future::pending().await,
                }
            } => {
                self.attach = None;
                match joined {
                    Ok(result) => Wake::Attached(result),
                    // The attempt panicked: it holds nothing of ours, and is made again.
                    Err(_) => Wake::Time,
                }
            },
            sent = async {
                match sending {
                    Some(sending) => Wire::send(sending).await,
                    None => std::future::pending().await,
                }
            } => Wake::Sent(sent),
            joined = async {
                match &mut self.standby_dial {
                    Some(task) => task.await,
                    None => std::future::pending().await,
                }
            } => {
                self.standby_dial = None;
                joined.map_or(Wake::Time, Wake::StandbyDialled)
            },
            arrival = async {
                match standby_arrivals {
                    Some(inbox) => inbox.next().await,
                    None => std::future::pending().await,
                }
            } => Wake::StandbyArrival(arrival),
            sent = async {
                match standby_sending {
                    Some(sending) => Wire::send(sending).await,
                    None => std::future::pending().await,
                }
            } => Wake::StandbySent(sent),
            () = tokio::time::sleep_until(wake_at.into()) => Wake::Time,
        }
    }

    /// When something is due without anyone asking.
    fn wake_at(&self) -> Instant {
        let now = clock::now();
        if self.walks.pending() {
            return now;
        }
        let mut at = self.timers.clock;
        if self.timers.dirty {
            at = at.min(self.timers.publish);
        }
        match &self.session {
            Some(session) => {
                at = at.min(session.timeout().unwrap_or(at));
                if session.side.is_some() && session.is_live() {
                    at = at.min(self.timers.poll);
                    let doubts = self.mirror.keyspace.doubts();
                    if doubts.probe + doubts.value > 0 || self.mirror.getack {
                        at = at.min(self.timers.work);
                    }
                }
            }
            None if self.attach.is_none() => at = at.min(self.retry_at),
            None => {}
        }
        at
    }

    /// What is due between two chunks; each part is bounded in time.
    fn between(&mut self) {
        let now = clock::now();
        if !self.mirror.in_transaction {
            self.drain_asks(now);
            let live = self.is_live();
            self.walks.slice(&mut self.mirror, live);
        }
        self.timers(now);
        if self.session.is_none() && self.attach.is_none() && self.retry_at <= now {
            self.begin_attach();
        }
        if self.timers.dirty && self.timers.publish <= now {
            self.publish();
        }
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
        answer::answer(ask, &mut self.mirror, &mut self.walks, live);
        self.timers.dirty = true;
    }

    fn is_live(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.is_live())
    }

    fn timers(&mut self, now: Instant) {
        if self.timers.clock <= now {
            self.timers.clock = now + CLOCK_EVERY;
            self.mirror
                .keyspace
                .clock(i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX));
            self.mirror.keyspace.tidy(TIDY_KEYS);
            self.timers.dirty = true;
        }
        let woken = match &mut self.session {
            Some(session) if session.timeout().is_some_and(|at| at <= now) => session.wake(),
            Some(_) | None => Ok(()),
        };
        match woken {
            Ok(()) => self.change_over(),
            Err(error) => self.broken(&error),
        }
        if self.timers.work <= now {
            self.timers.work = now + WORK_EVERY;
            self.work(now);
        }
    }

    /// Everything that goes over the second connection.
    fn work(&mut self, now: Instant) {
        for name in std::mem::take(&mut self.mirror.parked) {
            self.rereads.park(&mut self.mirror.keyspace, name, now);
        }
        let Some(session) = &self.session else {
            return;
        };
        let (Some(side), true) = (&session.side, session.is_live()) else {
            return;
        };
        if self.mirror.getack && self.timers.shutdown <= now {
            self.mirror.getack = false;
            self.timers.shutdown = now + SHUTDOWN_EVERY;
            let asks = session.intro.role == Role::Master && shutdown_waits(session);
            if asks && side.asks.try_send(SideAsk::Shutdown).is_err() {
                // The queue is full: asked again at the next look.
                self.mirror.getack = true;
            }
        }
        if self.timers.poll <= now {
            self.timers.poll = now + self.given.config.link.poll;
            self.timers.polls = self.timers.polls.wrapping_add(1);
            let memory = self.timers.polls % MEMORY_POLLS == 1;
            // A poll that finds the queue full is left out.
            drop(side.asks.try_send(SideAsk::Poll { memory }));
        }
        if !self.mirror.unasked.is_empty() {
            let names = std::mem::take(&mut self.mirror.unasked);
            drop(side.asks.try_send(SideAsk::KeySpecs(names)));
        }
        let wants_standby = session.wants_standby() && filters(session);
        if wants_standby && self.standby_dial.is_none() && self.timers.standby <= now {
            self.timers.standby = now + FAILED_WAIT;
            let target = self.given.target.clone();
            let dial = async move {
                connect::dial(&target.source, &target.tls, target.link.connect_timeout).await
            };
            self.standby_dial = Some(AbortOnDropHandle::new(tokio::spawn(dial)));
        }
        let asked = self.rereads.ask(&mut self.mirror.keyspace, side, now);
        self.mirror.counters.probes += asked.probes;
        self.mirror.counters.rereads += asked.values;
    }

    fn begin_attach(&mut self) {
        let plan = Plan {
            shared: self.given.shared.clone(),
            id: self.given.master.id,
            target: self.given.target.clone(),
            resume: self.mirror.position,
            full_not_before: self.waits.full_not_before,
            behind: self.waits.behind,
        };
        self.attach = Some(AbortOnDropHandle::new(tokio::spawn(plan.attach())));
        self.enter(State::Connecting);
    }

    fn attached(&mut self, attached: Attached) {
        self.waits.behind = 0;
        self.status.role = attached.intro.role;
        self.status.server.clone_from(&attached.intro.server);
        self.mirror.attached(attached.intro.profile.clone());
        self.mirror
            .keyspace
            .set_key_specs(attached.intro.key_specs.iter().cloned());
        let config = &self.given.config.link;
        let session = Session::new(
            attached,
            &self.given.target,
            config.queue_bytes_max,
            self.origin,
        );
        self.session = Some(Box::new(session));
        self.timers.poll = clock::now();
        self.timers.standby = clock::now();
        self.enter(State::Waiting);
    }

    fn not_attached(&mut self, error: &AttachError) {
        if let AttachError::Unfit(crate::fault::Unfit::Behind) = error {
            self.waits.behind += 1;
        }
        self.lose(Fault::of_attach(error));
    }

    fn chunk(&mut self, chunk: &Chunk) {
        let Some(session) = &mut self.session else {
            return;
        };
        let syncs = self.mirror.counters.full_syncs;
        let was_live = session.is_live();
        let fed = session.feed(chunk, &mut self.mirror);
        let live = session.is_live();
        self.timers.dirty = true;
        if self.mirror.counters.full_syncs > syncs {
            self.full_sync_began();
        }
        if let Err(error) = fed {
            return self.broken(&error);
        }
        if self.mirror.desync {
            let text = "the stream holds a command that cannot be followed without values";
            return self.lose(Fault::own(Loss::Desync, Verdict::FullResync, text));
        }
        self.change_over();
        if live && !was_live {
            self.enter(State::Synced);
            if let Some(session) = &mut self.session {
                session.pass = None;
            }
        } else if let Some(load) = &self.mirror.load {
            self.status.state = State::Loading {
                keys: load.state.report.keys,
                bytes: load.bytes,
                total: load.total,
            };
        }
    }

    fn standby_dialled(&mut self, dialled: Result<Connection, DialError>) {
        let pass = self
            .given
            .shared
            .gate
            .try_pass(&self.given.target.source.host);
        let Some(session) = &mut self.session else {
            return;
        };
        // Without connection or pass it is tried again when the timer says so.
        if let (Ok(connection), Some(pass)) = (dialled, pass) {
            tracing::info!(master = %self.given.master.name, "a link that no quorum counts stands by");
            session.stand_by(connection, pass);
        }
    }

    fn standby_chunk(&mut self, chunk: &Chunk) {
        if let Some(session) = &mut self.session {
            session.feed_standby(chunk);
        }
        self.change_over();
    }

    fn standby_sent(&mut self, bytes: usize) {
        if let Some(standby) = self.session.as_mut().and_then(|s| s.standby.as_mut()) {
            standby.wire.sent(bytes);
        }
    }

    fn drop_standby(&mut self) {
        if let Some(session) = &mut self.session {
            session.standby = None;
        }
    }

    fn change_over(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        match session.change_over(&mut self.mirror) {
            Ok(true) => tracing::info!(master = %self.given.master.name, "changed over"),
            Ok(false) => {}
            Err(error) => self.broken(&error),
        }
    }

    /// The server answered with a full resync, foreseen or not.
    fn full_sync_began(&mut self) {
        let wait = self.waits.full.next_wait();
        self.waits.full_not_before = clock::now() + wait;
        let Some(session) = &mut self.session else {
            return;
        };
        if session.pass.is_some() {
            return;
        }
        session.pass = self
            .given
            .shared
            .gate
            .try_pass(&self.given.target.source.host);
        if session.pass.is_none() {
            self.mirror.position = None;
            let text = "a full sync was answered while another one of this host is under way";
            self.lose(Fault::own(Loss::NotReady, Verdict::RetryLater, text));
        }
    }

    fn ended(&mut self, end: &End) {
        let Some(session) = &mut self.session else {
            return;
        };
        if let End::Broken(error) = end {
            tracing::debug!(master = %self.given.master.name, %error, "connection broke");
        }
        let error = session.wire.link.closed();
        self.broken(&error);
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(session) = &mut self.session {
            session.wire.sent(bytes);
            if session.wire.is_clogged() {
                let text = "the server does not read what we send";
                self.lose(Fault::own(Loss::Silent, Verdict::RetryLater, text));
            }
        }
    }

    /// The machine says that the link is dead.
    fn broken(&mut self, error: &replica_shim::Error) {
        let verdict = self.attempts.judge(error);
        self.lose(Fault::of_link(error, verdict));
    }

    /// The link is gone, or did not come about: what next?
    fn lose(&mut self, fault: Fault) {
        let now = clock::now();
        let mut good = false;
        self.standby_dial = None;
        if let Some(session) = self.session.take() {
            let before = self.mirror.position;
            let position = session.wire.link.position();
            good = session.is_live() || position.is_some();
            self.mirror.detached(position);
            let progress = position.is_some() && position != before;
            if now.duration_since(session.began) > GOOD_LIFE || (good && progress) {
                self.waits.slow.reset();
                self.waits.quick.reset();
            }
            if good && now.duration_since(session.began) > self.given.config.link.retry_max {
                self.waits.full.reset();
            }
        }
        self.given
            .shared
            .followed
            .retain(|_, owner| *owner != self.given.master.id);
        self.rereads.reset(None);
        *self.mirror.counters.drops.entry(fault.loss).or_default() += 1;
        let wait = match fault.verdict {
            Verdict::Retry if good => self.waits.quick.next_wait(),
            Verdict::Retry | Verdict::RetryLater => self.waits.slow.next_wait(),
            Verdict::FullResync => {
                self.mirror.position = None;
                self.waits.slow.next_wait()
            }
            Verdict::Credentials | Verdict::GiveUp => FAILED_WAIT,
        };
        self.retry_at = now + wait;
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let (name, reason) = (&self.given.master.name, fault.loss);
        let state = match fault.verdict {
            Verdict::Credentials | Verdict::GiveUp => {
                tracing::error!(master = %name, reason = reason.name(), error = %fault.text, "cannot follow");
                State::Failed { reason }
            }
            Verdict::Retry | Verdict::RetryLater | Verdict::FullResync => {
                tracing::warn!(master = %name, reason = reason.name(), error = %fault.text, retry_in_ms, "link lost");
                State::Lost {
                    reason,
                    retry_in_ms,
                }
            }
        };
        self.status.last_error = fault.text;
        self.enter(state);
    }

    fn side(&mut self, answer: SideAnswer) {
        match answer {
            SideAnswer::Poll(polled) => self.polled(polled),
            SideAnswer::Shutdown(true) => {
                let text = "the server shuts down and would wait for us";
                self.lose(Fault::own(Loss::Shutdown, Verdict::RetryLater, text));
            }
            SideAnswer::Shutdown(false) => {}
            SideAnswer::Probes { stamp, found } => {
                self.rereads.answered(0);
                let names: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
                match self.usable(stamp) {
                    Some(at) => self.mirror.stamped(at, Stamped::Probes(found)),
                    None => self.unstamped(&names),
                }
            }
            SideAnswer::Values { stamp, found } => {
                let bytes = found.iter().map(|(_, value)| value.bytes()).sum();
                self.rereads.answered(bytes);
                let names: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
                match self.usable(stamp) {
                    Some(at) => self.mirror.stamped(at, Stamped::Values(found)),
                    None => self.unstamped(&names),
                }
            }
            SideAnswer::KeySpecs(specs) => self.mirror.keyspace.set_key_specs(specs),
            SideAnswer::Lost(error) => {
                self.mirror.counters.side_errors += 1;
                self.mirror.drop_held();
                // Nothing is asked until the connection is there again.
                self.rereads.reset(Some(clock::now() + FAILED_WAIT));
                tracing::debug!(master = %self.given.master.name, %error, "second connection lost");
            }
            SideAnswer::Ready => self.rereads.reset(None),
        }
        self.timers.dirty = true;
    }

    /// The offset of a stamp, if it is in the history that we follow.
    fn usable(&self, stamp: Option<Stamp>) -> Option<u64> {
        let position = self.mirror.position?;
        stamp
            .filter(|stamp| stamp.replid == position.replid)
            .map(|stamp| stamp.offset)
    }

    fn unstamped(&mut self, names: &[crate::side::task::Name]) {
        self.mirror.counters.side_errors += 1;
        for name in names {
            self.mirror.keyspace.settle_failed(name.db, &name.key);
        }
        self.rereads.pause(clock::now() + UNSTAMPED_PAUSE);
    }

    fn polled(&mut self, polled: Polled) {
        let at = self.usable(polled.stamp);
        self.status.master_offset = at;
        if let (Some(server), Some(used)) = (&mut self.status.server, polled.used_memory) {
            server.used_memory = Some(used);
        }
        if let Some(session) = &mut self.session {
            session.intro.min_replicas = polled.min_replicas;
        }
        if let (Some(at), false) = (at, polled.config.is_empty()) {
            self.mirror.stamped(at, Stamped::Config(polled.config));
        }
    }

    fn enter(&mut self, state: State) {
        if self.status.state.name() != state.name() {
            tracing::info!(master = %self.given.master.name, state = state.name(), "link");
        }
        self.status.state = state;
        self.publish();
    }

    fn publish(&mut self) {
        let live = self.is_live();
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
        let doubts = mirror.keyspace.doubts();
        status.inexact = doubts.value;
        status.unverified = doubts.probe;
        status.counters.clone_from(&mirror.counters);
        status.unknown_names.clone_from(&mirror.unknown_names);
        self.seat.status.send_replace(Arc::new(status.clone()));
        self.timers.dirty = false;
        self.timers.publish = clock::now() + PUBLISH_EVERY;
    }
}

/// Keys that one tidying looks at.
const TIDY_KEYS: usize = 2_000;

/// From 7.0 on a master that stops waits for its replicas.
fn shutdown_waits(session: &Session) -> bool {
    let server = session.intro.server.as_ref();
    server.is_some_and(|s| s.family == Family::Valkey || s.version >= Version::new(7, 0))
}

/// From 7.0 on a master can be asked for an empty snapshot. Before, a stand-by would cost a whole
/// one, so there the wait for the quorum stays as it is.
fn filters(session: &Session) -> bool {
    session.intro.role == Role::Master && shutdown_waits(session)
}
