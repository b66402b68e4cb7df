//! One connection under a link machine: what was received and not consumed, what is to be sent.

use std::mem;
use std::time::{Duration, Instant};

use replica_shim::rdb::Sink;
use replica_shim::{Error, Event, Link, Phase};
use tokio::io::AsyncWriteExt;

use crate::clock;
use crate::link::ahead::{Home, Part};
use crate::link::connect::{Connection, Writer};
use crate::link::driver::{End, Inbox};

/// More than this is never to be sent: the peer does not read.
const OUTBOX_MAX: usize = 64 * 1024;

/// Least bytes that an incomplete command is completed with at once.
const SPLICE_MIN: usize = 1024;

/// Capacity that the carry keeps when it is empty.
const CARRY_IDLE: usize = 1 << 20;

/// What is to be sent: the half that sends it, and the bytes. No bytes: a flush.
pub type Sending<'a> = (&'a mut Writer, &'a [u8]);

/// A connection and its machine.
pub struct Wire {
    /// The machine.
    pub link: Link,
    /// Received chunks.
    inbox: Inbox,
    writer: Writer,
    outbox: Vec<u8>,
    /// Written bytes may still be in a TLS buffer.
    flush: bool,
    /// Nothing can be sent any more; what was received still counts.
    is_mute: bool,
    /// What the machine left of earlier chunks.
    carry: Vec<u8>,
    /// What was read of the stream last; empty between two calls.
    part: Part,
    /// Of digests.
    seed: u64,
    origin: Instant,
}

impl Wire {
    /// A machine on a connection, with a queue of so many bytes at most. `origin` is the zero of the
    /// machine's clock, `seed` that of digests.
    pub fn new(
        link: Link,
        connection: Connection,
        queue_bytes_max: usize,
        (origin, seed): (Instant, u64),
    ) -> Wire {
        let mut wire = Wire {
            link,
            inbox: Inbox::start(connection.reader, queue_bytes_max),
            writer: connection.writer,
            outbox: Vec::new(),
            flush: false,
            is_mute: false,
            carry: Vec::new(),
            part: Part::default(),
            seed,
            origin,
        };
        wire.collect();
        wire
    }

    /// Received chunks, and what is to be sent, for a select over both.
    pub fn ends(&mut self) -> (&mut Inbox, Option<Sending<'_>>) {
        let sends = !self.is_mute && (self.flush || !self.outbox.is_empty());
        let sending = sends.then_some((&mut self.writer, self.outbox.as_slice()));
        (&mut self.inbox, sending)
    }

    /// One write, or one flush if all is written. Either may be cancelled without loss.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send((writer, outbox): Sending<'_>) -> std::io::Result<usize> {
        if outbox.is_empty() {
            writer.flush().await?;
            return Ok(0);
        }
        match writer.write(outbox).await? {
            0 => Err(std::io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    /// That many bytes were written; none: they were flushed.
    pub fn sent(&mut self, bytes: usize) {
        self.outbox.drain(..bytes.min(self.outbox.len()));
        self.flush = bytes > 0;
    }

    /// Sends nothing any more.
    pub fn mute(&mut self) {
        self.is_mute = true;
        self.outbox.clear();
    }

    /// True if received bytes wait to be followed.
    pub fn has_more(&self) -> bool {
        self.inbox.queued() > 0
    }

    /// True if the peer does not read what we send.
    pub fn is_clogged(&self) -> bool {
        self.outbox.len() > OUTBOX_MAX
    }

    /// Bytes received and not consumed.
    pub fn queued(&self) -> u64 {
        self.inbox.queued() + self.carried()
    }

    /// Bytes that the machine left.
    pub fn carried(&self) -> u64 {
        self.carry.len() as u64
    }

    /// When the machine wants to be woken.
    pub fn timeout(&self) -> Option<Instant> {
        Some(self.origin + Duration::from_millis(self.link.poll_timeout()?))
    }

    /// The server is a replica still.
    pub fn confirm_replica(&mut self) {
        self.link.confirm_replica();
        self.collect();
    }

    /// Wakes the machine.
    ///
    /// # Errors
    /// The link is dead.
    pub fn wake(&mut self) -> Result<(), Error> {
        let now = self.millis(clock::now());
        if self.inbox.queued() > 0 {
            // The peer is not silent; it is us who have not listened yet.
            self.link.arrived(now);
        }
        let woken = self.link.handle_timeout(now);
        self.collect();
        woken
    }

    /// Feeds received bytes, all or a piece of them: returns how many are done with. `world` takes
    /// what comes of it.
    ///
    /// # Errors
    /// The link is dead; what was said before stays said.
    pub fn feed<W: World>(
        &mut self,
        bytes: &[u8],
        at: Instant,
        world: &mut W,
    ) -> Result<usize, Error> {
        self.link.arrived(self.millis(at));
        let from = self.splice(bytes, world)?;
        let (consumed, is_stuck) = self.pump(&bytes[from..], world)?;
        let done = from + consumed;
        if !is_stuck {
            if done == bytes.len() {
                // What is left of a transaction that is being released needs no more bytes, and must
                // not wait for some.
                self.drain(world)?;
            }
            return Ok(done);
        }
        self.carry.extend_from_slice(&bytes[done..]);
        Ok(bytes.len())
    }

    /// Follows what was read ahead of bytes that arrived at that time.
    ///
    /// # Errors
    /// As [`Wire::feed`].
    pub fn follow<W: World>(
        &mut self,
        part: &Part,
        at: Instant,
        world: &mut W,
    ) -> Result<(), Error> {
        self.link.arrived(self.millis(at));
        let followed = world.follow(&mut self.link, part);
        self.collect();
        followed
    }

    /// Lets somebody read ahead, if much waits.
    pub fn read_ahead(&mut self) {
        let (link, carry) = (&mut self.link, &mut self.carry);
        self.inbox.read_ahead(self.seed, || {
            let reader = link.lend()?;
            Some((reader, mem::take(carry)))
        });
    }

    /// Takes back what was lent for that; says how the connection ended, if it has.
    pub fn take_back(&mut self, home: Home) -> Option<End> {
        self.link.take_back(home.reader);
        self.carry = home.carry;
        self.inbox.take_back(home.arrivals);
        home.end
    }

    /// Completes what is carried with the front of `bytes`, no more of them than that needs; returns
    /// how many are done with.
    fn splice<W: World>(&mut self, bytes: &[u8], world: &mut W) -> Result<usize, Error> {
        let mut taken = 0;
        while !self.carry.is_empty() && taken < bytes.len() {
            let more = self.carry.len().max(SPLICE_MIN).min(bytes.len() - taken);
            self.carry.extend_from_slice(&bytes[taken..taken + more]);
            taken += more;
            self.drain(world)?;
            if self.carry.len() <= taken {
                // What is left came with these bytes, and is read there.
                taken -= self.carry.len();
                self.carry.clear();
                self.carry.shrink_to(CARRY_IDLE);
                return Ok(taken);
            }
        }
        Ok(taken)
    }

    /// Feeds what is carried, without new bytes.
    ///
    /// # Errors
    /// The link is dead.
    pub fn drain<W: World>(&mut self, world: &mut W) -> Result<(), Error> {
        let mut carry = mem::take(&mut self.carry);
        let mut from = 0;
        let result = loop {
            match self.pump(&carry[from..], world) {
                Ok((consumed, is_stuck)) => {
                    from += consumed;
                    if is_stuck {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
        };
        carry.drain(..from);
        if carry.is_empty() {
            carry.shrink_to(CARRY_IDLE);
        }
        self.carry = carry;
        result
    }

    /// Steps until the machine wants more bytes, or has read a part of its stream; says how many
    /// bytes that took, and whether more are wanted.
    fn pump<W: World>(&mut self, input: &[u8], world: &mut W) -> Result<(usize, bool), Error> {
        let mut consumed = 0;
        while self.link.phase() != Phase::Stream {
            let step = self.link.next(&input[consumed..], &mut world.sink())?;
            consumed += step.consumed;
            if let Some(event) = &step.event {
                world.event(event);
            }
            self.collect();
            if step.is_stuck() {
                return Ok((consumed, true));
            }
        }
        let link = &mut self.link;
        consumed += (self.part).read(self.seed, |batch| link.read(&input[consumed..], batch));
        let followed = world.follow(link, &self.part);
        let is_stuck = !self.part.batch.is_full();
        self.part.clear();
        self.collect();
        followed.map(|()| (consumed, is_stuck))
    }

    /// Encodes all that the machine wants to say.
    pub fn collect(&mut self) {
        while let Some(outbound) = self.link.poll_transmit() {
            if !self.is_mute {
                outbound.encode(&mut self.outbox);
            }
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Who takes what a machine says.
pub trait World {
    /// Takes items of a snapshot.
    type Sink<'a>: Sink
    where
        Self: 'a;

    /// The sink for the next step.
    fn sink(&mut self) -> Self::Sink<'_>;

    /// Takes an event.
    fn event(&mut self, event: &Event);

    /// Follows a part of the stream.
    ///
    /// # Errors
    /// The link is dead behind it.
    fn follow(&mut self, link: &mut Link, part: &Part) -> Result<(), Error>;
}
