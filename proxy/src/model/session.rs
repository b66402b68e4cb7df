//! One link while it lasts: the machine, the queue of received bytes, what is to be sent, and the
//! second connection.

use std::time::Instant;

use replica_shim::{Error, Link, Phase};
use tokio::io::AsyncWriteExt;

use crate::clock;
use crate::ingest::LoadState;
use crate::link::attach::Attached;
use crate::link::connect::{Reader, Writer};
use crate::link::driver::{Chunk, Inbox};
use crate::link::gate::Pass;
use crate::model::mirror::Mirror;
use crate::side::client::Target;
use crate::side::intro::Intro;
use crate::side::task::Side;

/// More than this is never to be sent: the peer does not read.
const OUTBOX_MAX: usize = 64 * 1024;

/// Capacity that the carry keeps when it is empty.
const CARRY_IDLE: usize = 1 << 20;

/// A link and all that belongs to it.
pub struct Session {
    /// The machine.
    pub link: Link,
    /// The second connection, if there is one.
    pub side: Option<Side>,
    /// What the server told at the beginning.
    pub intro: Intro,
    /// When the link began.
    pub began: Instant,
    /// When bytes last arrived.
    pub heard: Instant,
    /// The right to a full sync while one is expected or under way.
    pub pass: Option<Pass>,
    /// Age of the bytes that were applied last, when they were.
    pub lag_ms: u64,
    inbox: Inbox,
    writer: Writer,
    outbox: Vec<u8>,
    /// Written bytes may still be in a TLS buffer.
    flush: bool,
    /// What the machine left of earlier chunks.
    carry: Vec<u8>,
    /// Takes what a snapshot without a load would say, which no server sends.
    idle: LoadState,
    origin: Instant,
}

/// What a select over a session waits for.
pub struct Ends<'a> {
    /// Received bytes, and the end.
    pub inbox: &'a mut Inbox,
    /// The sending half and what is to be sent, if anything is.
    pub sending: Option<(&'a mut Writer, &'a [u8])>,
    /// The second connection.
    pub side: Option<&'a mut Side>,
}

impl Session {
    /// A link on a fresh connection. `origin` is the zero of the machine's clock.
    pub fn new(
        attached: Attached,
        target: &Target,
        queue_bytes_max: usize,
        origin: Instant,
    ) -> Session {
        let now = clock::now();
        let version = attached.intro.server.as_ref().map(|server| server.version);
        let side = attached.side.zip(version);
        let (reader, writer): (Reader, Writer) =
            (attached.connection.reader, attached.connection.writer);
        let mut session = Session {
            link: Link::new(attached.options, millis(now, origin)),
            side: side.map(|(client, version)| Side::start(client, target.clone(), version)),
            intro: attached.intro,
            began: now,
            heard: now,
            pass: attached.pass,
            lag_ms: 0,
            inbox: Inbox::start(reader, queue_bytes_max),
            writer,
            outbox: Vec::new(),
            flush: false,
            carry: Vec::new(),
            idle: LoadState::default(),
            origin,
        };
        session.collect();
        session
    }

    /// One write, or one flush if all is written. Either may be cancelled without loss.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn write_some(writer: &mut Writer, outbox: &[u8]) -> std::io::Result<usize> {
        if outbox.is_empty() {
            writer.flush().await?;
            return Ok(0);
        }
        match writer.write(outbox).await? {
            0 => Err(std::io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    /// Everything that a select waits for at once.
    pub fn ends(&mut self) -> Ends<'_> {
        Ends {
            inbox: &mut self.inbox,
            sending: (self.flush || !self.outbox.is_empty())
                .then_some((&mut self.writer, self.outbox.as_slice())),
            side: self.side.as_mut(),
        }
    }

    /// That many bytes were written; none: they were flushed.
    pub fn sent(&mut self, bytes: usize) {
        self.outbox.drain(..bytes.min(self.outbox.len()));
        self.flush = bytes > 0;
    }

    /// True if the peer does not read what we send.
    pub fn is_clogged(&self) -> bool {
        self.outbox.len() > OUTBOX_MAX
    }

    /// True if the model follows the stream.
    pub fn is_live(&self) -> bool {
        self.link.phase() == Phase::Stream
    }

    /// Bytes received and not applied.
    pub fn queued(&self) -> u64 {
        self.inbox.queued() + self.carry.len() as u64
    }

    /// When the machine wants to be woken.
    pub fn timeout(&self) -> Option<Instant> {
        let at = self.link.poll_timeout()?;
        Some(self.origin + std::time::Duration::from_millis(at))
    }

    /// Wakes the machine.
    ///
    /// # Errors
    /// The link is dead.
    pub fn wake(&mut self) -> Result<(), Error> {
        let now = millis(clock::now(), self.origin);
        let woken = self.link.handle_timeout(now);
        self.collect();
        woken
    }

    /// Feeds received bytes into the machine, and what it says into the mirror.
    ///
    /// # Errors
    /// The link is dead; what was applied before stays applied.
    pub fn feed(&mut self, chunk: &Chunk, mirror: &mut Mirror) -> Result<(), Error> {
        self.heard = chunk.at;
        mirror.counters.bytes += chunk.bytes.len() as u64;
        self.link.arrived(millis(chunk.at, self.origin));
        let result = if self.carry.is_empty() {
            let (consumed, result) = self.pump(&chunk.bytes, chunk.at, mirror);
            self.carry.extend_from_slice(&chunk.bytes[consumed..]);
            result
        } else {
            let mut carry = std::mem::take(&mut self.carry);
            carry.extend_from_slice(&chunk.bytes);
            let (consumed, result) = self.pump(&carry, chunk.at, mirror);
            carry.drain(..consumed);
            if carry.is_empty() {
                carry.shrink_to(CARRY_IDLE);
            }
            self.carry = carry;
            result
        };
        if let Some(load) = &mut mirror.load {
            load.bytes += chunk.bytes.len() as u64;
        }
        let age = clock::now().duration_since(chunk.at);
        self.lag_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        result
    }

    /// The peer closed the connection and everything received was fed.
    pub fn closed(&mut self) -> Error {
        self.link.closed()
    }

    fn pump(
        &mut self,
        input: &[u8],
        at: Instant,
        mirror: &mut Mirror,
    ) -> (usize, Result<(), Error>) {
        let now_ms = unix_then(at);
        let mut consumed = 0;
        loop {
            let mut sink = mirror.loading(&mut self.idle);
            let step = match self.link.next(&input[consumed..], &mut sink) {
                Ok(step) => step,
                Err(error) => return (consumed, Err(error)),
            };
            let stuck = step.is_stuck();
            consumed += step.consumed;
            if let Some(event) = step.event {
                mirror.event(&event, now_ms);
            }
            self.collect();
            if stuck {
                break;
            }
        }
        if let (Some(position), Phase::Stream) = (self.link.position(), self.link.phase()) {
            mirror.advance(position.offset.get());
            mirror.position = Some(position);
        }
        (consumed, Ok(()))
    }

    /// Encodes all that the machine wants to say.
    fn collect(&mut self) {
        while let Some(outbound) = self.link.poll_transmit() {
            outbound.encode(&mut self.outbox);
        }
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
