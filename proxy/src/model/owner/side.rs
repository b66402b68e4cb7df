//! Everything that goes over the second connection: what is asked, and what becomes of the answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use analyzer::keyspace::{Fact, Looked};
use analyzer::profile::{Family, Version};
use replica_shim::Verdict;
use tokio_util::task::AbortOnDropHandle;

use super::Owner;
use super::fate::FAILED_WAIT;
use crate::clock;
use crate::fault::Fault;
use crate::fleet::{Loss, Role};
use crate::link::connect;
use crate::model::mirror::{Configured, Stamped};
use crate::model::session::Session;
use crate::side::batch::Stamp;
use crate::side::client::SideError;
use crate::side::memory::Memory;
use crate::side::task::{Moment, Name, Polled, SideAnswer, SideAsk, UNSTAMPED_PAUSE};
use crate::side::values::Value;
use crate::side::vitals::Vitals;

/// With one of so many polls the server is asked for its memory as well, with another one for what
/// only INFO knows.
const MEMORY_POLLS: u32 = 10;

/// Polls that a replica must leave unanswered before it is held to be gone.
const POLLS_MISSED: u32 = 3;

/// GETACK comes with every WAIT: the server is asked no more often than this.
const SHUTDOWN_EVERY: Duration = Duration::from_millis(200);

/// How often it is asked while it copies: its writes stand still until we leave.
const SHUTDOWN_COPYING_EVERY: Duration = Duration::from_secs(1);

/// Commands that a log line tells of a key.
const TOUCHES_TOLD: usize = 8;

/// How long nothing is read again behind an answer that was too much for the connection. That is as
/// often as there are such keys: one that is too much alone is not read any more (`side::values`).
const TOO_MUCH_PAUSE: Duration = Duration::from_secs(10);

/// The model's clock has seconds, and an answer may wait for the stream.
const CLOCKS_APART_S: u64 = 3;

impl Owner<'_> {
    /// Everything that goes over the second connection.
    pub(super) fn work(&mut self, now: Instant) {
        self.looked();
        self.tell_big();
        let live = self.is_live();
        let mirror = &self.mirror;
        if mirror.keyspace.in_flight() == 0 {
            self.verify.lost();
        }
        self.verify
            .answer(mirror.generation, || mirror.freshness(live));
        for name in std::mem::take(&mut self.mirror.parked) {
            self.rereads.park(&mut self.mirror.keyspace, name, now);
        }
        self.look_at_slots(now);
        let can_ask = live && self.session.as_ref().is_some_and(|s| s.side.is_some());
        let mirror = &self.mirror;
        self.telling.give_up(can_ask, || mirror.freshness(live));
        self.ask_for_shutdown(now);
        let Some(session) = &self.session else {
            return;
        };
        let (Some(side), true) = (&session.side, session.is_live()) else {
            return;
        };
        if self.telling.is_due(now) && side.asks.try_send(SideAsk::Told).is_ok() {
            self.telling.asked(now);
        }
        if self.timers.poll <= now {
            self.timers.poll = now + self.given.config.link.poll;
            self.timers.polls = self.timers.polls.wrapping_add(1);
            // A poll that finds the queue full is left out.
            let keys = self.mirror.keyspace.detail().one_in > 1;
            drop(side.asks.try_send(SideAsk::Poll { keys }));
            match self.timers.polls % MEMORY_POLLS {
                1 => drop(side.asks.try_send(SideAsk::Memory)),
                2 => drop(side.asks.try_send(SideAsk::Vitals)),
                _ => {}
            }
        }
        let names = self.mirror.strangers.wanted();
        if !names.is_empty() && side.asks.try_send(SideAsk::KeySpecs(names)).is_ok() {
            self.mirror.strangers.asked();
        }
        let wants_standby = session.wants_standby();
        if wants_standby && self.standby_dial.is_none() && self.timers.standby <= now {
            self.timers.standby = now + FAILED_WAIT;
            let target = self.target.clone();
            let dial = async move {
                connect::dial(&target.source, &target.tls, target.link.connect_timeout).await
            };
            self.standby_dial = Some(AbortOnDropHandle::new(tokio::spawn(dial)));
        }
        self.mirror.keyspace.find_suspects();
        for (kind, name) in std::mem::take(&mut self.mirror.uncounted) {
            self.rereads.count_instead(kind, name);
        }
        let keyspace = &mut self.mirror.keyspace;
        let asked = self.rereads.ask(keyspace, &mut self.verify, side, now);
        self.mirror.counters.probes += asked.probes;
        self.mirror.counters.sizes += asked.sizes;
        self.mirror.counters.audits += asked.audits;
        self.mirror.counters.rereads += asked.values;
    }

    /// Asks whether the server waits for us before it stops. In the stream it says GETACK then; while
    /// it prepares or sends its snapshot it says nothing, and waits all the same.
    fn ask_for_shutdown(&mut self, now: Instant) {
        let Some(session) = &self.session else {
            return;
        };
        let (live, side) = (session.is_live(), &session.side);
        let (Some(side), true) = (side, self.mirror.getack || !live) else {
            return;
        };
        if self.timers.shutdown > now {
            return;
        }
        let pause = match live {
            true => SHUTDOWN_EVERY,
            false => SHUTDOWN_COPYING_EVERY,
        };
        self.timers.shutdown = now + pause;
        let asks = session.intro.role == Role::Master && shutdown_waits(session);
        let is_full = asks && side.asks.try_send(SideAsk::Shutdown).is_err();
        // Asked again at the next look, if the queue is full.
        self.mirror.getack = live && is_full;
    }

    /// Gives up a replica that is not there any more: nobody else would say so, since it pings nobody.
    pub(super) fn give_up_frozen(&mut self, now: Instant) {
        let link = &self.given.config.link;
        let limit = link.silence.max(link.poll * POLLS_MISSED);
        let session = self.session.as_ref();
        if session.is_some_and(|session| session.is_frozen(limit, now)) {
            let text = "the replica says nothing and answers nothing";
            self.lose(Fault::own(Loss::Silent, Verdict::Retry, text));
        }
    }

    /// Keys of slots on their way are refused by both sides (`MOVED`, `ASK`) until they have arrived.
    fn look_at_slots(&mut self, now: Instant) {
        let place = self.given.master.place();
        if Arc::ptr_eq(&place, &self.place) {
            return;
        }
        if place.slots != self.place.slots {
            self.rereads.slots_moved(&mut self.mirror.keyspace, now);
        }
        self.place = place;
    }

    /// What INFO says now.
    fn take_vitals(&mut self, vitals: Option<Arc<Vitals>>) {
        if let (Some(before), Some(now)) = (&self.status.vitals, &vitals) {
            let evicted = now.evicted_since(before);
            self.mirror.keyspace.told_evicted(evicted);
        }
        self.status.vitals = vitals;
    }

    pub(super) fn side(&mut self, answer: SideAnswer) {
        if let (Some(session), false) = (&mut self.session, matches!(answer, SideAnswer::Lost(_))) {
            session.answered = clock::now();
        }
        match answer {
            SideAnswer::Poll(polled) => self.polled(polled),
            SideAnswer::Memory(memory) => self.weighed(memory),
            SideAnswer::Vitals(vitals) => self.take_vitals(vitals.map(Arc::from)),
            SideAnswer::Told(told) => {
                let (mirror, live) = (&self.mirror, self.is_live());
                self.telling.heard(*told, || mirror.freshness(live));
            }
            SideAnswer::Shutdown(true) => {
                let text = "the server shuts down and would wait for us";
                self.leave(Fault::own(Loss::Shutdown, Verdict::RetryLater, text));
            }
            SideAnswer::Shutdown(false) => {}
            SideAnswer::Probes(moments) => {
                self.rereads.answered();
                for Moment { stamp, found } in moments {
                    let names: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
                    match self.usable(stamp) {
                        Some(at) => self.mirror.stamped(at, Stamped::Probes(found)),
                        None => self.unstamped(&names),
                    }
                }
            }
            SideAnswer::Looks(moments) => {
                self.rereads.answered();
                for Moment { stamp, found } in moments {
                    let names: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
                    match self.usable(stamp) {
                        Some(at) => self.mirror.stamped(at, Stamped::Looks(found)),
                        None => self.unstamped(&names),
                    }
                }
            }
            SideAnswer::Values(moments) => {
                let found = moments.iter().flat_map(|moment| &moment.found);
                self.rereads
                    .read(found.map(|(_, value)| value.bytes()).sum());
                for moment in moments {
                    self.values(moment);
                }
            }
            SideAnswer::Counts(moments) => {
                self.rereads.answered();
                for Moment { stamp, found } in moments {
                    let names: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
                    match self.usable(stamp) {
                        Some(at) => self.mirror.stamped(at, Stamped::Counts(found)),
                        None => self.unstamped(&names),
                    }
                }
            }
            SideAnswer::KeySpecs(specs) => {
                self.mirror.strangers.answered();
                self.mirror.keyspace.add_key_specs(specs);
            }
            SideAnswer::Lost(error) => self.side_lost(&error),
            SideAnswer::Ready => {
                // What was asked before there was a connection was thrown away with the queue.
                self.telling.lost();
                self.mirror.drop_held();
                self.rereads.reset();
            }
        }
        self.timers.dirty = true;
    }

    /// The second connection broke; its task makes another one.
    fn side_lost(&mut self, error: &SideError) {
        self.verify.lost();
        self.telling.lost();
        self.mirror.counters.side_errors += 1;
        self.mirror.drop_held();
        self.rereads.lost();
        if error.is_too_much() {
            self.rereads.pause(clock::now() + TOO_MUCH_PAUSE);
        }
        tracing::debug!(master = %self.given.master, %error, "second connection lost");
    }

    /// Tells whoever listens of keys that a write has made big.
    fn tell_big(&mut self) {
        let (big, lost) = self.mirror.keyspace.take_big();
        if !big.is_empty() {
            let hub = &self.given.shared.fleet.hub;
            hub.big_keys(&self.given.master, &big, lost);
        }
    }

    /// Hands on what looks came to. What differs is a mistake of the model.
    fn looked(&mut self) {
        let sightings = std::mem::take(&mut self.mirror.looked);
        let refused = sightings.iter().filter(|one| one.looked.is_none()).count();
        self.rereads.looked(sightings.len(), refused, clock::now());
        for sighting in sightings {
            self.timers.dirty = true;
            self.verify.looked(&sighting);
            let Some(Looked::Compared(compared)) = &sighting.looked else {
                continue;
            };
            let name = &sighting.name;
            for difference in &compared.differences {
                let mismatches = &mut self.mirror.counters.audit_mismatches;
                let all = Fact::ALL.iter().zip(mismatches);
                for (_, count) in all.filter(|(fact, _)| **fact == difference.fact) {
                    *count += 1;
                }
                if !self.rereads.may_tell(clock::now()) {
                    continue;
                }
                let hash = self.mirror.keyspace.key_hash(&name.key);
                let touches = self.mirror.keyspace.touches(&name.key);
                let touches = touches.iter().take(TOUCHES_TOLD);
                let touches: Vec<String> = touches
                    .map(|touch| {
                        format!("{} {}B @{}", touch.command, touch.bytes, touch.end_offset)
                    })
                    .collect();
                tracing::warn!(
                    master = %self.given.master,
                    key = format!("#{hash:016x}"),
                    db = name.db,
                    what = compared.what,
                    fact = difference.fact.name(),
                    ours = difference.ours,
                    theirs = difference.theirs,
                    offset = sighting.at,
                    last = touches.join(", "),
                    "the model was wrong about a key"
                );
            }
        }
    }

    fn values(&mut self, Moment { stamp, found }: Moment<Value>) {
        let names: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
        if stamp.is_none() && found.iter().all(|(_, value)| value.is_too_large()) {
            // Nothing was read, so there was nothing to stamp.
            self.mirror.counters.rereads_too_large += names.len() as u64;
            self.mirror.parked.extend(names);
            return;
        }
        match self.usable(stamp) {
            Some(at) => self.mirror.stamped(at, Stamped::Values(found)),
            None => self.unstamped(&names),
        }
    }

    /// The task of the second connection is gone: the link goes on without it.
    pub(super) fn side_gone(&mut self) {
        if let Some(session) = &mut self.session {
            session.side = None;
        }
        self.telling.lost();
        self.mirror.counters.side_errors += 1;
        self.mirror.drop_held();
        self.rereads.reset();
    }

    /// The offset of a stamp, if it is in the history that we follow.
    pub(super) fn usable(&self, stamp: Option<Stamp>) -> Option<u64> {
        let position = self.mirror.position?;
        stamp
            .filter(|stamp| stamp.replid == position.replid)
            .map(|stamp| stamp.offset)
    }

    pub(super) fn unstamped(&mut self, names: &[Name]) {
        self.mirror.counters.side_errors += 1;
        for name in names {
            self.mirror.keyspace.settle_failed(name.db, &name.key);
        }
        self.verify.untold(names);
        self.rereads.pause(clock::now() + UNSTAMPED_PAUSE);
    }

    /// What the server says of its memory is compared with the model where both are at one offset.
    fn weighed(&mut self, memory: Memory) {
        if let Some(server) = &mut self.status.server {
            server.used_memory = Some(memory.told.used);
        }
        if let (Some(at), Some(session)) = (self.usable(memory.stamp), &self.session) {
            let mut told = memory.told;
            told.command_cache = session.intro.command_cache;
            self.mirror.stamped(at, Stamped::Memory(told));
        }
    }

    pub(super) fn polled(&mut self, polled: Polled) {
        let at = self.usable(polled.stamp);
        self.status.master_offset = at;
        if let Some(at) = at {
            self.pace.told(at);
        }
        self.changed_places(&polled);
        let taken_for = self.session.as_ref().map(|session| session.intro.role);
        if polled.role == Role::Master && taken_for == Some(Role::Replica) {
            // Promoted between our question and our PSYNC: a master that is told our true offset
            // counts us for WAIT.
            let text = "the server has become a master: it is attached to anew";
            return self.lose(Fault::own(Loss::Closed, Verdict::Retry, text));
        }
        if let Some(session) = &mut self.session {
            session.min_replicas = polled.min_replicas.unwrap_or(session.min_replicas);
            if polled.role == Role::Replica {
                session.wire.confirm_replica();
            }
        }
        let quiet = self.session.as_ref().is_some_and(|session| {
            clock::now().duration_since(session.heard) > self.given.config.link.silence
        });
        if quiet && at.is_some_and(|at| self.mirror.keyspace.is_early(at)) {
            let text = "the server went on without us: its stream does not arrive";
            return self.lose(Fault::own(Loss::Silent, Verdict::Retry, text));
        }
        if let (Some(at), Some(keys)) = (at, polled.keys) {
            self.mirror.stamped(at, Stamped::Keys(keys));
        }
        if let (Some(at), false) = (at, polled.config.is_empty()) {
            let now = clock::now();
            let calls = polled.calls;
            let before = self.calls.replace(calls.clone());
            let since = self.timers.polled.replace(now).map(|at| now - at);
            let since_s = since.map_or(0, |since| since.as_secs().saturating_add(CLOCKS_APART_S));
            let configured = Configured {
                pairs: polled.config,
                is_doubtful: before
                    .as_ref()
                    .is_some_and(|before| before.config_set != calls.config_set),
                is_reloaded: before.is_some_and(|before| before.debug != calls.debug),
                since_s: u32::try_from(since_s).unwrap_or(u32::MAX),
            };
            self.mirror.stamped(at, Stamped::Config(configured));
        }
    }
}

impl Owner<'_> {
    /// The server is not what it was: discovery looks where the master is now. A link that lives on
    /// does so until there is an order.
    fn changed_places(&mut self, polled: &Polled) {
        if polled.stamp.is_none() {
            return;
        }
        self.status.orphan_since = match (polled.orphan, self.status.orphan_since) {
            (false, _) => None,
            (true, since) => since.or_else(|| Some(clock::now())),
        };
        if polled.role != Role::Unknown && polled.role != self.status.role {
            self.status.role = polled.role;
            self.given.deployment.look();
        }
    }
}

/// From 7.0 on a master that stops waits for its replicas.
fn shutdown_waits(session: &Session) -> bool {
    let server = session.intro.server.as_ref();
    server.is_some_and(|s| s.family == Family::Valkey || s.version >= Version::new(7, 0))
}
