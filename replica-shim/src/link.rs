//! One connection to a server, from the first PING to its end.
//!
//! ```text
//!                 Follow                                StandBy (hand-over, replication.md 2.4)
//!   Handshake --+CONTINUE------------------> Stream     Handshake
//!       |                                      ^            | SYNC: "$"
//!       | +FULLRESYNC, or "$" (renamed PSYNC)  |            v
//!       v                                      |         Waiting -> Transfer (swallowed) -> Held
//!    Waiting --"$len" | "$EOF:"--> Transfer ---+                                             |
//!                                                               take_over(position) -> Stream
//!   any of them --error, silence, end of input--> Ended
//! ```
//!
//! How to run one: [`Link::arrived`] when bytes came in, then [`Link::next`] until it is stuck or in
//! its stream, then [`Link::read`] and [`Link::follow`], dealing with each event and sending all that [`Link::poll_transmit`] has after each call; sleep
//! until [`Link::poll_timeout`] or more bytes; [`Link::handle_timeout`] when the time has come. At
//! the end of input, once `next` is stuck, [`Link::closed`] says what that means. A connection gets
//! a new link, which takes the [`Position`] of the last one.
//!
//! What is said, and when (replication.md 0, 1.5 and 8):
//! - Nothing between PSYNC and the end of the snapshot: each byte would postpone a diskless fork.
//! - Behind a snapshot ACKs, ever more rarely, until the stream starts: those that come before the
//!   master has waited for its child get lost, and until then a shutdown cannot tell us to leave.
//! - To a master `ACK 0`, as rarely as its timeout allows, so that WAIT never counts us and
//!   min-replicas seldom does. To a replica the true offset each second, so that it shuts down fast.
//! - On a link that took over: nothing ever again.

mod opening;

use crate::batch::Batch;
use crate::commands::{self, Commands, Stand, Thresholds};
use crate::error::{At, Error};
use crate::event::{Phase, Step, Streamed};
use crate::handshake::{Ask, Purpose};
use crate::limits;
use crate::options::{Announce, Options, Role};
use crate::outbound::Outbound;
use crate::position::{Offset, Position, ReplId};
use crate::rdb::Sink;
use crate::reader::Reader;
use crate::resp::Fault;
use crate::transfer::Transfer;

/// Where the link stands.
#[derive(Debug)]
enum State {
    /// A question is to be asked, or its answer awaited.
    Handshake { ask: Ask, is_sent: bool },
    /// The envelope of the snapshot is awaited.
    Waiting,
    /// The snapshot is being read.
    Transfer,
    /// A stand-by link whose stream is not wanted yet.
    Held,
    /// Commands are read.
    Stream,
    /// Over.
    Ended,
}

/// What is to be sent besides questions, and when.
#[derive(Debug, Default)]
struct Acks {
    is_due: bool,
    /// The server was a replica after it had answered PSYNC: it may hear our true offset. One that
    /// is promoted later drops every connection.
    tells_offset: bool,
    lower_is_due: bool,
    /// When the next one is due.
    at_ms: Option<u64>,
    /// While the stream has yet to start, and needs ACKs for it: the wait for the next one.
    starting_ms: Option<u64>,
}

/// The machine for one connection.
#[derive(Debug)]
pub struct Link {
    options: Options,
    purpose: Purpose,
    state: State,
    /// The history; known from the answer to PSYNC or from the snapshot.
    replid: Option<ReplId>,
    /// Where the snapshot lies, if the answer to PSYNC said so.
    start: Option<(ReplId, Offset)>,
    transfer: Option<Box<Transfer>>,
    thresholds: Thresholds,
    /// Reads the stream, unless it is lent.
    reader: Option<Reader>,
    /// How far the stream was followed.
    stand: Stand,
    acks: Acks,
    /// Bytes consumed before the stream.
    received: u64,
    newlines: u64,
    now_ms: u64,
    heard_ms: u64,
}

impl Link {
    /// A link that follows a server. `now_ms` is monotonic, from any origin.
    #[must_use]
    pub fn new(options: Options, now_ms: u64) -> Link {
        Link::with_purpose(options, Purpose::Follow, now_ms)
    }

    /// A link for the hand-over to `SYNC`, which stands by until [`Link::take_over`]. `filter` asks
    /// for an empty snapshot, which servers before 7.0 do not know.
    #[must_use]
    pub fn sync_only(options: Options, filter: bool, now_ms: u64) -> Link {
        Link::with_purpose(options, Purpose::StandBy { filter }, now_ms)
    }

    fn with_purpose(options: Options, purpose: Purpose, now_ms: u64) -> Link {
        Link {
            options,
            purpose,
            state: State::Handshake {
                ask: Ask::Ping,
                is_sent: false,
            },
            replid: None,
            start: None,
            transfer: None,
            thresholds: Thresholds::default(),
            reader: None,
            stand: Stand::default(),
            acks: Acks::default(),
            received: 0,
            newlines: 0,
            now_ms,
            heard_ms: now_ms,
        }
    }

    /// For tests: other places to stop reading in place. Before the stream begins.
    #[doc(hidden)]
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: Thresholds) -> Link {
        self.thresholds = thresholds;
        self
    }

    /// The phase, for logs and metrics.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Handshake { .. } => Phase::Handshake,
            State::Waiting => Phase::Waiting,
            State::Transfer => Phase::Transfer,
            State::Held => Phase::Held,
            State::Stream => Phase::Stream,
            State::Ended => Phase::Ended,
        }
    }

    /// Where to resume. `None` while there is nothing to resume: before the answer to PSYNC, and
    /// from `FullResync` to `SnapshotEnded`. It stays when the link has ended.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let replid = self.replid?;
        let (offset, db) = self.stand.committed;
        Some(Position {
            replid,
            offset: Offset(offset),
            db,
        })
    }

    /// The end of the last command that was followed, even inside a transaction.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.replid.map(|_| Offset(self.stand.offset))
    }

    /// Bytes have come in at `now_ms`; they are about to be fed. It may be the time when they were
    /// read, if that was earlier; time never runs backwards here.
    pub fn arrived(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.heard_ms = self.heard_ms.max(now_ms);
    }

    /// Reads on in `input`, which begins where the last call stopped, to the next event. Items of
    /// the snapshot go to `sink`. In the stream it leaves all to [`Link::read`].
    ///
    /// # Errors
    /// Why the link has ended. [`Error::Ended`] if it had before.
    #[inline]
    pub fn next<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<Step, Error> {
        match self.state {
            State::Stream => Ok(Step {
                consumed: 0,
                event: None,
            }),
            State::Handshake { ask, is_sent } => self.answer(ask, is_sent, input),
            State::Waiting => self.envelope(input),
            State::Transfer => self.snapshot(input, sink),
            State::Held => {
                if !input.is_empty() {
                    self.note_start();
                }
                Ok(Step {
                    consumed: 0,
                    event: None,
                })
            }
            State::Ended => Err(Error::Ended),
        }
    }

    /// What to send next. Ask again until there is nothing.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Outbound<'_>> {
        match self.state {
            State::Handshake {
                ask,
                is_sent: false,
            } => {
                self.state = State::Handshake { ask, is_sent: true };
                Some(ask.outbound(&self.options))
            }
            State::Held | State::Stream => self.poll_ack(),
            State::Handshake { .. } | State::Waiting | State::Transfer | State::Ended => None,
        }
    }

    #[inline]
    fn poll_ack(&mut self) -> Option<Outbound<'static>> {
        if std::mem::take(&mut self.acks.lower_is_due) {
            return Some(Outbound::LowerVersion);
        }
        if !std::mem::take(&mut self.acks.is_due) {
            return None;
        }
        Some(Outbound::Ack(if self.acks.tells_offset {
            Offset(self.stand.offset)
        } else {
            Offset(0)
        }))
    }

    /// The server still was the replica that it was taken for, after the stream had begun: it hears
    /// our true offset from now on. A master would count us for WAIT, so one that was promoted
    /// between a question and our PSYNC must not.
    pub fn confirm_replica(&mut self) {
        let is_stream = matches!(self.state, State::Stream);
        if is_stream && self.options.role == Role::Replica && !self.acks.tells_offset {
            self.acks.tells_offset = true;
            self.acks.is_due = true;
        }
    }

    /// When [`Link::handle_timeout`] wants to be called, if no bytes arrive before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let silence = self
            .silence_ms()
            .map(|limit| self.heard_ms.saturating_add(limit));
        [self.acks.at_ms, silence].into_iter().flatten().min()
    }

    /// Time has passed. Bytes that were read before are to be fed first, or a slow caller would
    /// take its own queue for silence.
    ///
    /// # Errors
    /// [`Error::Silent`] if nothing was heard for too long; the link has ended.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Result<(), Error> {
        self.now_ms = self.now_ms.max(now_ms);
        let waited_ms = now_ms.saturating_sub(self.heard_ms);
        if self.silence_ms().is_some_and(|limit| waited_ms >= limit) {
            let phase = self.phase();
            self.state = State::Ended;
            self.acks.at_ms = None;
            return Err(Error::Silent { phase, waited_ms });
        }
        if self.acks.at_ms.is_some_and(|at| at <= now_ms) {
            self.acks.is_due = true;
            self.acks.at_ms = Some(now_ms.saturating_add(self.ack_period_ms()));
            if let Some(wait) = &mut self.acks.starting_ms {
                *wait = wait.saturating_mul(2).min(limits::START_ACK_MAX_MS);
            }
        }
        Ok(())
    }

    /// The peer has closed, and [`Link::next`] was stuck on what was left.
    pub fn closed(&mut self) -> Error {
        if matches!(self.state, State::Ended) {
            return Error::Ended;
        }
        let error = Error::Closed { at: self.at() };
        self.end(error)
    }

    /// Makes this stand-by link the one that is followed, from `at` on, where the other link was
    /// left. What lies before is read over.
    ///
    /// # Errors
    /// If this link does not stand by, belongs to another history, or begins behind `at`; it has
    /// ended then, and the other one should be kept.
    pub fn take_over(&mut self, at: &Position) -> Result<(), Error> {
        let fault = match (&self.state, self.start) {
            (State::Held, Some((replid, _))) if replid != at.replid => "another history",
            (State::Held, Some((_, offset))) if offset > at.offset => "a gap between the links",
            (State::Held, Some(_)) => {
                self.replid = Some(at.replid);
                if let Some(reader) = &mut self.reader {
                    reader.commands.skip_to(at.offset, at.db);
                    self.stand = reader.commands.stand();
                }
                self.state = State::Stream;
                self.heard_ms = self.now_ms;
                return Ok(());
            }
            _ => "the link does not stand by",
        };
        Err(self.end(Error::HandOver(fault)))
    }

    /// Reads on in the stream, as [`Reader::read`] does. Nothing while the reader is lent.
    #[inline]
    pub fn read(&mut self, input: &[u8], batch: &mut Batch) -> usize {
        if !input.is_empty() {
            self.note_start();
        }
        match (&self.state, &mut self.reader) {
            (State::Stream, Some(reader)) => reader.read(input, batch),
            _ => 0,
        }
    }

    /// Gives away the reader of the stream, which has begun, to somebody who reads ahead: all bytes are
    /// theirs until [`Link::take_back`]. Only in the stream.
    pub fn lend(&mut self) -> Option<Reader> {
        match self.state {
            State::Stream => {
                self.note_start();
                self.reader.take()
            }
            State::Handshake { .. }
            | State::Waiting
            | State::Transfer
            | State::Held
            | State::Ended => None,
        }
    }

    /// Takes the reader back. What it has read is to be followed first.
    pub fn take_back(&mut self, reader: Reader) {
        self.reader = Some(reader);
    }

    /// Follows a batch: what it says at `index`, which the caller deals with, or nothing behind the
    /// last. Batches are followed in the order in which they were read, each to its end.
    ///
    /// # Errors
    /// Why the link has ended: behind the batch the stream cannot be read.
    #[inline]
    pub fn follow<'a>(
        &mut self,
        batch: &'a Batch,
        index: usize,
    ) -> Result<Option<Streamed<'a>>, Error> {
        if let Some(entry) = batch.entry(index) {
            self.stand.offset = self.stand.offset.max(entry.end_offset);
            if let Some(committed) = entry.committed() {
                self.stand.committed = committed;
            }
            return Ok(batch.streamed(entry));
        }
        if let Some(stand) = batch.end {
            self.stand = stand;
        }
        match batch.broken {
            Some(broken) => Err(self.stream_error(broken)),
            None => Ok(None),
        }
    }

    /// `from_snapshot`: the stream starts only when it is acknowledged.
    fn begin_stream(&mut self, position: Position, from_snapshot: bool) {
        self.replid = Some(position.replid);
        let seed = self.options.seed;
        let commands = Commands::new(position.offset, position.db, seed, self.thresholds);
        self.stand = commands.stand();
        self.reader = Some(Reader::new(commands));
        self.state = State::Stream;
        let lowers = self.options.announce == Announce::VersionThenLower;
        self.acks.lower_is_due = lowers;
        self.acks.starting_ms = from_snapshot.then_some(limits::START_ACK_MIN_MS);
        // Lowering is an ACK too.
        self.acks.is_due = !lowers && from_snapshot;
        self.acks.at_ms = Some(self.now_ms.saturating_add(self.ack_period_ms()));
    }

    fn ack_period_ms(&self) -> u64 {
        let period = self.options.role.ack_period_ms();
        self.acks.starting_ms.unwrap_or(period)
    }

    /// The first byte of the stream ends the ACKs that it needed to start.
    fn note_start(&mut self) {
        if self.acks.starting_ms.is_none() {
            return;
        }
        self.acks.starting_ms = None;
        self.acks.is_due = false;
        self.acks.at_ms = match self.purpose {
            Purpose::Follow => Some(self.now_ms.saturating_add(self.ack_period_ms())),
            Purpose::StandBy { .. } => None,
        };
    }

    /// How long silence is borne.
    fn silence_ms(&self) -> Option<u64> {
        match self.state {
            State::Handshake { ask, .. } if !ask.is_last() => Some(limits::HANDSHAKE_SILENCE_MS),
            State::Handshake { .. } | State::Waiting | State::Transfer => {
                Some(self.options.role.transfer_silence_ms())
            }
            State::Stream => self.options.role.silence_ms(),
            State::Held | State::Ended => None,
        }
    }

    fn at(&self) -> At {
        let phase = self.phase();
        let byte = if phase.is_stream() {
            self.stand.next_byte
        } else {
            self.received
        };
        At { phase, byte }
    }

    /// The link is over; the position stays.
    fn end(&mut self, error: Error) -> Error {
        self.state = State::Ended;
        self.transfer = None;
        self.acks = Acks::default();
        error
    }

    fn fault(&mut self, fault: Fault) -> Error {
        let at = self.at();
        self.end(match fault {
            Fault::TooBig { what, max, got } => Error::Limit { at, what, max, got },
            fault @ (Fault::Count
            | Fault::Length
            | Fault::Dollar(_)
            | Fault::Terminator
            | Fault::Quotes
            | Fault::Star(_)
            | Fault::Reply(_)
            | Fault::LineEnd
            | Fault::Number) => Error::Peer { at, fault },
        })
    }

    fn unexpected(&mut self, expected: &'static str, got: &'static str) -> Error {
        let at = self.at();
        self.end(Error::Unexpected { at, expected, got })
    }

    #[cold]
    fn stream_error(&mut self, broken: commands::Broken) -> Error {
        match broken {
            commands::Broken::Resp(fault) => self.fault(fault),
            commands::Broken::Order { expected, got } => self.unexpected(expected, got),
        }
    }
}
