//! The life of a link, from the attempt to its loss, and what is done next.

use std::time::{Duration, Instant};

use replica_shim::{Error, Verdict};
use tokio_util::task::AbortOnDropHandle;

use super::Owner;
use crate::clock;
use crate::fault::{AttachError, Fault, Unfit, chain};
use crate::fleet::{Loss, Role, State};
use crate::link::ahead::{Home, Run};
use crate::link::attach::{Attached, Plan};
use crate::link::backoff::GOOD_LIFE;
use crate::link::connect::{Connection, DialError};
use crate::link::driver::{Chunk, End};
use crate::link::full::RESYNC_EVERY;
use crate::model::mirror::Mirror;
use crate::model::session::{Parting, Session};

/// How long a source is left alone when somebody has to change something.
pub(super) const FAILED_WAIT: Duration = Duration::from_secs(60);

/// How long the end of a connection is waited for that takes nothing from us any more.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How long a server that shuts down waits for us to follow what it has sent: less than it waits
/// for its replicas.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

impl Owner<'_> {
    pub(super) fn begin_attach(&mut self) {
        let plan = Plan {
            shared: self.given.shared.clone(),
            deployment: self.given.deployment.clone(),
            id: self.given.master.id,
            target: self.target.clone(),
            node: self.seat.orders.borrow().node.clone(),
            known: self.known.clone(),
            resume: self.mirror.position,
            trail: self.mirror.trail.clone(),
            undoable_from: self.mirror.keyspace.undoable_from(),
            bar: self.full_syncs.bar(),
            behind: self.waits.behind,
        };
        self.attach = Some(AbortOnDropHandle::new(tokio::spawn(plan.attach())));
        self.enter(State::Connecting);
    }

    pub(super) fn attached(&mut self, attached: Attached) {
        self.waits.behind = 0;
        if attached.intro.role != self.given.master.place().following_role {
            // Not what discovery took it for.
            self.given.deployment.look();
        }
        self.status.role = attached.intro.role;
        self.status.announced_port = self.target.link.announce_port;
        self.status.is_encrypted = self.target.source.tls;
        self.status.orphan_since = None;
        self.status.server.clone_from(&attached.intro.server);
        self.known = Some(attached.intro.clone());
        self.recognise(attached.options.resume.is_some());
        self.mirror.attached(attached.intro.profile.clone());
        if let Some(resume) = attached.options.resume
            && self.mirror.position.is_some_and(|at| resume != at)
        {
            let doubtful = self.mirror.rewind(resume);
            tracing::info!(master = %self.given.master, position = %resume, doubtful, "going back to where the server left our history");
        }
        let keyspace = &mut self.mirror.keyspace;
        keyspace.set_key_specs(attached.intro.key_specs.iter().cloned());
        keyspace.set_of_replica(attached.intro.role == Role::Replica);
        let memory = &self.given.shared.fleet.memory;
        let queue_max = memory.queue_max(self.given.config.link.queue_bytes_max);
        let session = Session::new(attached, &self.target, queue_max, self.origin);
        self.session = Some(Box::new(session));
        self.pace.resumed(clock::now());
        self.timers.poll = clock::now();
        self.timers.standby = clock::now();
        self.enter(State::Waiting);
    }

    /// Another process than before may hold the same history in other encodings: a replica that
    /// was promoted has its own, and a load encodes every key anew.
    fn recognise(&mut self, continues: bool) {
        let Some(server) = &self.status.server else {
            return;
        };
        let before = self.process.replace(server.run_id.clone());
        if before == self.process {
            return;
        }
        self.forget_told();
        self.status.full_syncs_before = self.mirror.counters.full_syncs;
        if continues && before.is_some() {
            self.mirror.keyspace.suspect_all();
        }
    }

    /// Another server is followed: what the one before told of itself is not its own.
    fn forget_told(&mut self) {
        self.telling.forget();
        self.status.vitals = None;
        self.mirror.bridged = None;
    }

    pub(super) fn not_attached(&mut self, error: &AttachError) {
        if let AttachError::Unfit(Unfit::Behind) = error {
            self.waits.behind += 1;
        }
        self.lose(Fault::of_attach(error));
    }

    pub(super) fn chunk(&mut self, chunk: &Chunk) {
        let mut rest = &chunk.bytes[..];
        while !rest.is_empty() {
            // All is done with, if the link does not outlive it.
            let mut done = rest.len();
            self.piece(|session, mirror| {
                done = session.feed(rest, chunk.at, mirror)?;
                Ok(())
            });
            rest = &rest[done..];
            self.between_pieces(!rest.is_empty());
        }
        // Not before: what is left of a chunk is nothing to the wire that takes over.
        self.change_over();
        if let Some(session) = &mut self.session {
            session.wire.read_ahead();
        }
    }

    /// A chunk, or some of it, that was read ahead.
    pub(super) fn run_of_parts(&mut self, run: &Run) {
        let mut parts = run.parts.iter().peekable();
        while let Some(part) = parts.next() {
            self.piece(|session, mirror| session.follow(part, run.at, mirror));
            if self.session.is_none() {
                return;
            }
            self.between_pieces(parts.peek().is_some());
        }
        self.change_over();
    }

    /// Nobody reads ahead any more: we read for ourselves again.
    pub(super) fn home(&mut self, home: Home) {
        let Some(session) = &mut self.session else {
            return;
        };
        let end = session.wire.take_back(home);
        // Behind a change-over the end is that of a wire that is gone.
        if !self.change_over()
            && let Some(end) = end
        {
            self.ended(&end);
        }
    }

    fn between_pieces(&mut self, is_more: bool) {
        if is_more && !self.mirror.in_transaction {
            self.drain_asks(clock::now());
        }
    }

    /// Takes a piece of what was received.
    fn piece(&mut self, take: impl FnOnce(&mut Session, &mut Mirror) -> Result<(), Error>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let syncs = self.mirror.counters.full_syncs;
        let was_live = session.is_live();
        let taken = take(session, &mut self.mirror);
        let live = session.is_live();
        self.timers.dirty = true;
        if self.mirror.counters.full_syncs > syncs {
            self.full_sync_began();
            if self.session.is_none() {
                // Without the right to it there is no load to make room for.
                return;
            }
            if self.mirror.load.is_some() {
                self.make_room_for_load();
            }
        }
        if let Err(error) = taken {
            return self.broken(&error);
        }
        let now = clock::now();
        if self.mirror.desync && self.waits.resync_not_before <= now {
            // In between it is followed as well as can be.
            self.waits.resync_not_before = now + RESYNC_EVERY;
            let text = "the stream holds a command that cannot be followed without values";
            return self.lose(Fault::own(Loss::Desync, Verdict::FullResync, text));
        }
        if live && !was_live {
            self.full_syncs.live(now);
            self.timers.shutdown = now;
            self.measure(now);
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

    /// The server answered with a full resync, foreseen or not.
    pub(super) fn full_sync_began(&mut self) {
        self.full_syncs.began(clock::now());
        let Some(session) = &mut self.session else {
            return;
        };
        if session.pass.is_some() {
            return;
        }
        session.pass = self.given.shared.gate.try_pass(&session.host);
        if session.pass.is_none() {
            // A node that is promoted may continue from our position all the same, and INFO foresees the
            // full sync the next time. Where it does not, the position would be declined for ever.
            let declined = std::mem::replace(&mut self.declined, self.mirror.position);
            if session.intro.server.is_none() || declined == self.mirror.position {
                self.mirror.position = None;
            }
            let text = "a full sync was answered while another one of this host is under way";
            self.lose(Fault::own(Loss::NotReady, Verdict::RetryLater, text));
        }
    }

    pub(super) fn ended(&mut self, end: &End) {
        let Some(session) = &mut self.session else {
            return;
        };
        if let End::Broken(error) = end {
            tracing::debug!(master = %self.given.master, %error, "connection broke");
        }
        let error = session.wire.link.closed();
        match session.parting.take() {
            Some(parting) => self.lose(parting.fault),
            None => self.broken(&error),
        }
    }

    /// Nothing can be sent any more: what the server sent before that is followed still.
    pub(super) fn cannot_send(&mut self, fault: Fault) {
        if let Some(session) = &mut self.session {
            session.wire.mute();
        }
        self.part(fault, (END_LIMIT, true));
    }

    /// The server is to be left, when what has arrived is followed.
    pub(super) fn leave(&mut self, fault: Fault) {
        self.part(fault, (LEAVE_LIMIT, false));
    }

    fn part(&mut self, fault: Fault, (limit, to_the_end): (Duration, bool)) {
        let session = self.session.as_mut().filter(|session| session.is_live());
        let Some(session) = session else {
            // Of a snapshot that is not whole nothing can be kept.
            return self.lose(fault);
        };
        session.standby = None;
        session.parting.get_or_insert(Parting {
            fault,
            until: clock::now() + limit,
            to_the_end,
        });
        self.standby_dial = None;
    }

    /// Gives the link up, if that is what it waits for.
    pub(super) fn parted(&mut self, now: Instant) {
        let session = self.session.as_mut();
        if let Some(fault) = session.and_then(|session| session.parted(now)) {
            self.lose(fault);
        }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        if let Some(session) = &mut self.session {
            session.wire.sent(bytes);
            if session.wire.is_clogged() {
                let text = "the server does not read what we send";
                self.lose(Fault::own(Loss::Silent, Verdict::RetryLater, text));
            }
        }
    }

    /// The machine says that the link is dead.
    pub(super) fn broken(&mut self, error: &Error) {
        if let (Error::Snapshot { source, .. }, Some(session)) = (error, &self.session) {
            let server = session.intro.server.as_ref();
            let fault = (source.blame(), chain(error));
            self.full_syncs.unread(server, fault, clock::now());
        }
        let verdict = self.attempts.judge(error);
        self.lose(Fault::of_link(error, verdict));
    }

    /// The link is gone, or did not come about: what next?
    pub(super) fn lose(&mut self, fault: Fault) {
        let good = self.let_go();
        self.given.deployment.look();
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
        self.retry_at = clock::now() + wait;
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let (name, reason) = (self.given.master.clone(), fault.loss);
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

    /// Lets go of the link, if there is one; true if it was one that worked.
    fn let_go(&mut self) -> bool {
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
            self.full_syncs.ended(now);
        }
        self.given
            .shared
            .followed
            .retain(|_, owner| *owner != self.given.master.id);
        self.rereads.reset();
        self.telling.lost();
        good
    }

    /// Another server is to be followed: the position is kept, so that it can go on there.
    pub(super) fn obey(&mut self) {
        let order = self.seat.orders.borrow_and_update().clone();
        let (from, to) = (
            self.target.source.to_string(),
            order.target.source.to_string(),
        );
        let why = order.why.name();
        tracing::info!(master = %self.given.master, %from, %to, why, "moving");
        self.attach = None;
        self.let_go();
        self.given.master.pause(None);
        self.target = order.target.clone();
        // What the server told was another one's.
        self.known = None;
        self.forget_told();
        self.status.server = None;
        self.status.role = Role::Unknown;
        self.status.master_offset = None;
        self.waits.behind = 0;
        self.waits.slow.reset();
        self.waits.quick.reset();
        if from != to {
            self.full_syncs.moved(clock::now());
        }
        self.retry_at = clock::now();
        self.enter(State::Connecting);
    }

    pub(super) fn standby_dialled(&mut self, dialled: Option<Result<Connection, DialError>>) {
        let Some(session) = &mut self.session else {
            return;
        };
        let pass = self.given.shared.gate.try_pass(&session.host);
        // Without connection or pass it is tried again when the timer says so.
        if let (Some(Ok(connection)), Some(pass)) = (dialled, pass) {
            tracing::info!(master = %self.given.master, "a link that no quorum counts stands by");
            session.stand_by(connection, pass);
        }
    }

    pub(super) fn standby_chunk(&mut self, chunk: &Chunk) {
        if let Some(session) = &mut self.session
            && let Err(error) = session.feed_standby(chunk)
        {
            self.standby_lost(&error);
        }
        self.change_over();
    }

    /// It is tried again, mostly without a word; but a right has to be given by somebody.
    fn standby_lost(&mut self, error: &Error) {
        match error.verdict() {
            Verdict::Credentials | Verdict::GiveUp => {}
            Verdict::Retry | Verdict::RetryLater | Verdict::FullResync => return,
        }
        if std::mem::replace(&mut self.standby_refused, true) {
            return;
        }
        let text = "no link that min-replicas-to-write does not count: our link may stand for a good replica";
        tracing::warn!(master = %self.given.master, %error, "{text}");
        self.status.last_error = format!("{text}: {error}");
        self.timers.dirty = true;
    }

    pub(super) fn standby_sent(&mut self, bytes: usize) {
        if let Some(standby) = self.session.as_mut().and_then(|s| s.standby.as_mut()) {
            standby.wire.sent(bytes);
        }
    }

    pub(super) fn drop_standby(&mut self) {
        if let Some(session) = &mut self.session {
            session.standby = None;
        }
    }

    /// Goes on with the wire that stands by, if it is time; true if the one before is gone.
    pub(super) fn change_over(&mut self) -> bool {
        let Some(session) = &mut self.session else {
            return false;
        };
        match session.change_over(&mut self.mirror) {
            Ok(true) => tracing::info!(master = %self.given.master, "changed over"),
            Ok(false) => return false,
            Err(error) => self.broken(&error),
        }
        true
    }
}
