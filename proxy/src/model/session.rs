//! One link while it lasts: its wire, the second connection, and, where `min-replicas-to-write` is
//! on, the wire that stands by to take over.
//!
//! ```text
//! A: PSYNC link, followed ----------------------------> closed
//! B:        SYNC, empty snapshot, stands by at x ------> followed, and silent for ever
//!                                   A at or beyond x --^
//! ```
//!
//! A link made with SYNC needs no ACK, so a few seconds later it counts for no write quorum
//! (`reference/replication.md` 2.4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use analyzer::keyspace::WARM_KEYS;
use analyzer::profile::{Family, Version};
use replica_shim::rdb::{Item, Sink};
use replica_shim::{Error, Event, Link, Offset, Options, Phase};

use crate::clock;
use crate::fault::Fault;
use crate::fleet::Role;
use crate::ingest::{LoadState, Loading};
use crate::link::ahead::Part;
use crate::link::attach::Attached;
use crate::link::connect::Connection;
use crate::link::driver::{Chunk, Inbox};
use crate::link::gate::{Host, Pass};
use crate::model::mirror::Mirror;
use crate::model::wire::{Sending, Wire, World};
use crate::side::client::Target;
use crate::side::intro::Intro;
use crate::side::task::Side;

/// How long a silent stand-by is waited for before it is taken anyway.
const QUIET_LIMIT: Duration = Duration::from_secs(3);

/// Words that most commands have at most.
const WORDS: usize = 16;

/// A link and all that belongs to it.
pub struct Session {
    /// The wire that is followed.
    pub wire: Wire,
    /// The second connection, if there is one.
    pub side: Option<Side>,
    /// What the server told at the beginning, and in polls since.
    pub intro: Arc<Intro>,
    /// `min-replicas-to-write` is on, by the last poll.
    pub min_replicas: bool,
    /// When the link began.
    pub began: Instant,
    /// When bytes last arrived.
    pub heard: Instant,
    /// When the second connection last answered.
    pub answered: Instant,
    /// The host, as the gate knows it.
    pub host: Host,
    /// The right to a full sync while one is expected or under way.
    pub pass: Option<Pass>,
    /// Age of the bytes that were applied last, when they were.
    pub lag_ms: u64,
    /// Stands by to take over.
    pub standby: Option<Standby>,
    /// The wire followed is one that took over: it counts for no quorum.
    pub is_uncounted: bool,
    /// The link is to be given up.
    pub parting: Option<Parting>,
    options: Options,
    queue_bytes_max: usize,
    origin: Instant,
    /// Takes what a snapshot without a load would say, which no server sends.
    idle: LoadState,
}

/// Why a link is given up, once what it has received is followed: a server that went away for good
/// does not say it again.
pub struct Parting {
    /// Why.
    pub fault: Fault,
    /// When it is given up, whatever waits.
    pub until: Instant,
    /// The end of the connection is what to wait for; otherwise what has arrived is enough.
    pub to_the_end: bool,
}

/// A wire that stands by.
pub struct Standby {
    /// The wire.
    pub wire: Wire,
    /// Where its stream begins, once it is there, and since when.
    ready: Option<(Offset, Instant)>,
    _pass: Pass,
}

/// What a select over a session waits for.
pub struct Ends<'a> {
    /// Received bytes, and the end.
    pub inbox: &'a mut Inbox,
    /// What is to be sent.
    pub sending: Option<Sending<'a>>,
    /// The second connection.
    pub side: Option<&'a mut Side>,
    /// Received bytes of the stand-by, unless it is to be left alone.
    pub standby_inbox: Option<&'a mut Inbox>,
    /// What the stand-by has to send.
    pub standby_sending: Option<Sending<'a>>,
}

impl Session {
    /// A link on a fresh connection. `origin` is the zero of the machines' clock.
    pub fn new(
        attached: Attached,
        target: &Target,
        queue_bytes_max: usize,
        origin: Instant,
    ) -> Session {
        let now = clock::now();
        let server = attached.intro.server.clone();
        // Without the right to INFO there is nothing that a second connection could do.
        let side = server.map(|server| Side::start(attached.side, target.clone(), server));
        let seed = attached.options.seed;
        let link = Link::new(attached.options.clone(), millis(now, origin));
        Session {
            wire: Wire::new(link, attached.connection, queue_bytes_max, (origin, seed)),
            side,
            min_replicas: attached.intro.min_replicas,
            intro: attached.intro,
            began: now,
            heard: now,
            answered: now,
            host: attached.host,
            pass: attached.pass,
            lag_ms: 0,
            standby: None,
            is_uncounted: false,
            parting: None,
            options: attached.options,
            queue_bytes_max,
            origin,
            idle: LoadState::default(),
        }
    }

    /// Everything that a select waits for at once.
    pub fn ends(&mut self) -> Ends<'_> {
        let (inbox, sending) = self.wire.ends();
        let (mut standby_inbox, mut standby_sending) = (None, None);
        if let Some(standby) = &mut self.standby {
            // What stands by consumes nothing: one chunk of its stream is enough to know.
            let is_full = standby.wire.carried() > 0 && standby.ready.is_some();
            let (inbox, sending) = standby.wire.ends();
            standby_inbox = (!is_full).then_some(inbox);
            standby_sending = sending;
        }
        Ends {
            inbox,
            sending,
            side: self.side.as_mut(),
            standby_inbox,
            standby_sending,
        }
    }

    /// True if the model follows the stream.
    pub fn is_live(&self) -> bool {
        self.wire.link.phase() == Phase::Stream
    }

    /// True if a replica has said nothing for `limit`, on either connection. The stream of one may be
    /// silent for as long as its own master is gone, so the link alone does not tell.
    pub fn is_frozen(&self, limit: Duration, now: Instant) -> bool {
        let silent = |since| now.duration_since(since) > limit;
        self.intro.role == Role::Replica
            && self.is_live()
            && !self.wire.has_more()
            && silent(self.heard)
            && silent(self.answered)
    }

    /// When a machine wants to be woken, or a stand-by is to be looked at.
    pub fn timeout(&self) -> Option<Instant> {
        let mut at = self.wire.timeout();
        if let Some(parting) = &self.parting {
            at = Some(at.map_or(parting.until, |at| at.min(parting.until)));
        }
        if let Some(standby) = &self.standby {
            let ready = standby
                .ready
                .and_then(|(_, since)| quiet_at(since, clock::now()));
            for due in [standby.wire.timeout(), ready].into_iter().flatten() {
                at = Some(at.map_or(due, |at| at.min(due)));
            }
        }
        at
    }

    /// Wakes the followed machine.
    ///
    /// # Errors
    /// The link is dead.
    pub fn wake(&mut self) -> Result<(), Error> {
        if let Some(standby) = &mut self.standby
            && let Err(error) = standby.wire.wake()
        {
            tracing::debug!(%error, "stand-by lost");
            self.standby = None;
        }
        self.wire.wake()
    }

    /// Feeds bytes that were received at that time into the machine, all or a piece of them, and what
    /// it says into the mirror; returns how many are done with.
    ///
    /// # Errors
    /// The link is dead; what was applied before stays applied.
    pub fn feed(&mut self, bytes: &[u8], at: Instant, mirror: &mut Mirror) -> Result<usize, Error> {
        self.heard = at;
        let mut world = Following {
            mirror,
            idle: &mut self.idle,
            now_ms: unix_then(at),
        };
        let result = self.wire.feed(bytes, at, &mut world);
        let done = *result.as_ref().unwrap_or(&bytes.len()) as u64;
        self.followed(done, at, mirror);
        result
    }

    /// Follows what was read ahead of bytes that were received at that time.
    ///
    /// # Errors
    /// As [`Session::feed`].
    pub fn follow(&mut self, part: &Part, at: Instant, mirror: &mut Mirror) -> Result<(), Error> {
        self.heard = at;
        let mut world = Following {
            mirror,
            idle: &mut self.idle,
            now_ms: unix_then(at),
        };
        let result = self.wire.follow(part, at, &mut world);
        self.followed(part.bytes as u64, at, mirror);
        result
    }

    /// So many bytes that were received at that time are done with.
    fn followed(&mut self, bytes: u64, at: Instant, mirror: &mut Mirror) {
        mirror.counters.bytes += bytes;
        if let Some(load) = &mut mirror.load {
            load.bytes += bytes;
        }
        let age = clock::now().duration_since(at);
        self.lag_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.note_position(mirror);
    }

    /// Takes the reason to give the link up, if it is time to.
    pub fn parted(&mut self, now: Instant) -> Option<Fault> {
        let more = self.wire.has_more();
        let due = |parting: &mut Parting| parting.until <= now || !(parting.to_the_end || more);
        self.parting.take_if(due).map(|parting| parting.fault)
    }

    /// True if a stand-by should be begun.
    pub fn wants_standby(&self) -> bool {
        self.intro.role == Role::Master
            && self.min_replicas
            && !self.is_uncounted
            && self.standby.is_none()
            && self.parting.is_none()
            && self.is_live()
    }

    /// Begins a stand-by on a fresh connection.
    pub fn stand_by(&mut self, connection: Connection, pass: Pass) {
        // Before 7.0 there is no filter, so the stand-by costs a whole snapshot, thrown away here.
        let filter = self.intro.server.as_ref().is_some_and(|server| {
            server.family == Family::Valkey || server.version >= Version::new(7, 0)
        });
        let options = Options {
            resume: None,
            ..self.options.clone()
        };
        let link = Link::sync_only(options, filter, millis(clock::now(), self.origin));
        self.standby = Some(Standby {
            wire: Wire::new(
                link,
                connection,
                self.queue_bytes_max,
                (self.origin, self.options.seed),
            ),
            ready: None,
            _pass: pass,
        });
    }

    /// Feeds the stand-by.
    ///
    /// # Errors
    /// It is dead, and gone.
    pub fn feed_standby(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let Some(standby) = &mut self.standby else {
            return Ok(());
        };
        let mut world = Waiting { ready: None };
        let mut rest = &chunk.bytes[..];
        let mut fed = Ok(0);
        while !rest.is_empty() && fed.is_ok() {
            fed = standby.wire.feed(rest, chunk.at, &mut world);
            rest = &rest[*fed.as_ref().unwrap_or(&0)..];
        }
        if let Some(offset) = world.ready {
            standby.ready = Some((offset, clock::now()));
        }
        fed.map(drop).inspect_err(|error| {
            tracing::debug!(%error, "stand-by lost");
            self.standby = None;
        })
    }

    /// Changes over to the stand-by if both are where they must be; true if so.
    ///
    /// # Errors
    /// The new link is dead.
    pub fn change_over(&mut self, mirror: &mut Mirror) -> Result<bool, Error> {
        let Some(standby) = &self.standby else {
            return Ok(false);
        };
        let (Some((begins, since)), Some(position)) = (standby.ready, self.wire.link.position())
        else {
            return Ok(false);
        };
        let quiet = clock::now().duration_since(since) >= QUIET_LIMIT;
        let there = position.offset >= begins && !mirror.in_transaction;
        if !there || !(quiet || standby.wire.carried() > 0) {
            return Ok(false);
        }
        let Some(mut standby) = self.standby.take() else {
            return Ok(false);
        };
        if let Err(error) = standby.wire.link.take_over(&position) {
            tracing::debug!(%error, "stand-by does not fit");
            return Ok(false);
        }
        self.wire = standby.wire;
        self.is_uncounted = true;
        let mut world = Following {
            mirror,
            idle: &mut self.idle,
            now_ms: unix_then(clock::now()),
        };
        let drained = self.wire.drain(&mut world);
        self.note_position(mirror);
        drained.map(|()| true)
    }

    fn note_position(&self, mirror: &mut Mirror) {
        if let (Some(position), Phase::Stream) = (self.wire.link.position(), self.wire.link.phase())
        {
            mirror.advance(position.offset.get());
            mirror.position = Some(position);
        }
    }
}

/// When a stand-by that is ready since then is taken though it is silent. Once that is past, it
/// waits for the followed wire, whose bytes wake us.
fn quiet_at(since: Instant, now: Instant) -> Option<Instant> {
    Some(since + QUIET_LIMIT).filter(|at| *at > now)
}

/// The mirror, as the followed machine sees it.
struct Following<'a> {
    mirror: &'a mut Mirror,
    idle: &'a mut LoadState,
    /// Wall clock when the bytes arrived, unix milliseconds.
    now_ms: i64,
}

impl World for Following<'_> {
    type Sink<'a>
        = Loading<'a>
    where
        Self: 'a;

    fn sink(&mut self) -> Loading<'_> {
        self.mirror.loading(self.idle)
    }

    fn event(&mut self, event: &Event) {
        self.mirror.event(event, self.now_ms);
    }

    fn follow(&mut self, link: &mut Link, part: &Part) -> Result<(), Error> {
        let mut argv = Vec::with_capacity(WORDS);
        for (index, key) in part.keys.iter().enumerate() {
            if index.is_multiple_of(WARM_KEYS) {
                self.mirror
                    .keyspace
                    .warm(part.keys[index..].iter().copied());
            }
            if let Some(streamed) = link.follow(&part.batch, index)? {
                (self.mirror).streamed(&streamed, (self.now_ms, key.1), &mut argv);
            }
        }
        link.follow(&part.batch, part.keys.len()).map(drop)
    }
}

/// Nobody, but for the one thing that a stand-by says.
struct Waiting {
    ready: Option<Offset>,
}

/// Takes the items of a snapshot that is empty.
struct Nothing;

impl Sink for Nothing {
    fn item(&mut self, _: Item<'_>) {}
}

impl World for Waiting {
    type Sink<'a> = Nothing;

    fn sink(&mut self) -> Nothing {
        Nothing
    }

    fn event(&mut self, event: &Event) {
        if let Event::StandsBy { offset, .. } = event {
            self.ready = Some(*offset);
        }
    }

    fn follow(&mut self, _: &mut Link, _: &Part) -> Result<(), Error> {
        // What stands by is in no stream.
        Ok(())
    }
}

fn millis(at: Instant, origin: Instant) -> u64 {
    u64::try_from(at.duration_since(origin).as_millis()).unwrap_or(u64::MAX)
}

/// The wall clock at an instant of the past.
fn unix_then(at: Instant) -> i64 {
    let age = clock::now().duration_since(at).as_millis();
    let age = u64::try_from(age).unwrap_or(u64::MAX);
    i64::try_from(clock::unix_ms().saturating_sub(age)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_by_that_waits_for_the_stream_wakes_nobody() {
        let since = clock::now();
        let due = since + QUIET_LIMIT;
        assert_eq!(quiet_at(since, since), Some(due));
        assert_eq!(quiet_at(since, due), None);
        assert_eq!(quiet_at(since, due + QUIET_LIMIT), None);
    }
}
