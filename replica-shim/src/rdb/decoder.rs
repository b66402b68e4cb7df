//! The driver: feeds the machine, keeps the checksum, decides when to wait and when to gather.

use super::crc64::Crc64;
use super::error::{Error, ErrorKind};
use super::gather::Gather;
use super::item::{Checksum, Header, Item, Sink, Warning};
use super::limits::{CHECKSUM_WINDOW, CONTIGUOUS_MAX};
use super::machine::{Machine, Phase};
use super::opcode::{Family, VALKEY_FIRST};
use super::payload::FOOTER_BYTES;
use super::read::{Cursor, Parts, Stop};

/// Decodes one file, transfer or DUMP payload. See the story of the [module](super).
#[derive(Debug)]
pub struct Decoder {
    machine: Machine,
    crc: Crc64,
    /// Bytes consumed.
    position: u64,
    /// The large item under way.
    gather: Option<Box<Gather>>,
    /// Where it began.
    gather_start: u64,
    /// An unfinished item is left to the caller while less than this is there of it.
    contiguous: usize,
    /// Total length, if this is a DUMP payload.
    payload_len: Option<u64>,
    is_tail_noted: bool,
    failed: Option<Error>,
}

/// Input that is consumed but not yet in the checksum.
struct Unhashed<'i>(&'i [u8]);

impl Unhashed<'_> {
    fn pending(&self, cursor: &Cursor<'_>) -> usize {
        self.0.len().saturating_sub(cursor.rest().len())
    }

    fn hash(&mut self, cursor: &Cursor<'_>, crc: &mut Crc64) {
        if let Some((done, rest)) = self.0.split_at_checked(self.pending(cursor)) {
            crc.update(done);
            self.0 = rest;
        }
    }
}

impl Decoder {
    /// For a file or transfer, from its magic on. The seed is that of the digests.
    pub fn new(seed: u64) -> Self {
        Self::over(Machine::for_file(seed), None)
    }

    /// For a DUMP payload of `len` bytes that arrives bit by bit. The family is that of the server
    /// asked; the payload only names its version at its end. For a payload in one piece there is
    /// [`payload`](super::payload()), which checks before it decodes.
    pub fn payload(seed: u64, len: u64, family: Family) -> Self {
        let mut decoder = Self::over(Machine::for_payload(seed, family), Some(len));
        if len <= FOOTER_BYTES {
            decoder.failed = Some(Error {
                offset: 0,
                kind: ErrorKind::PayloadLength(len),
            });
        }
        decoder
    }

    fn over(machine: Machine, payload_len: Option<u64>) -> Self {
        Decoder {
            machine,
            crc: Crc64::new(),
            position: 0,
            gather: None,
            gather_start: 0,
            contiguous: CONTIGUOUS_MAX,
            payload_len,
            is_tail_noted: false,
            failed: None,
        }
    }

    /// The same with another limit than [`CONTIGUOUS_MAX`] for what is left to the caller, but for
    /// a few bytes of a header. With 0, every item that the input divides is gathered inside.
    #[must_use]
    pub fn with_tail_limit(mut self, bytes: usize) -> Self {
        self.contiguous = bytes.min(CONTIGUOUS_MAX);
        self
    }

    /// Takes what it can of the input; says how much. The rest, shorter than [`CONTIGUOUS_MAX`], is
    /// to be handed in again in front of what follows. Once [`Decoder::is_done`], nothing is taken.
    ///
    /// # Errors
    /// When the input cannot be decoded; the same error ever after.
    pub fn feed<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<usize, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut cursor = Cursor::new(input, self.position);
        if let Err(kind) = self.run(&mut cursor, sink) {
            let offset = if self.gather.take().is_some() {
                self.gather_start
            } else {
                cursor.position()
            };
            let error = Error { offset, kind };
            self.failed = Some(error);
            return Err(error);
        }
        self.position = cursor.position();
        Ok(input.len().saturating_sub(cursor.rest().len()))
    }

    /// Whether everything was read, the checksum included.
    pub fn is_done(&self) -> bool {
        self.machine.phase() == Phase::Done
    }

    /// Bytes consumed so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The error to report when the input has ended and [`Decoder::is_done`] is false.
    pub fn truncated(&self) -> Error {
        self.failed.unwrap_or(Error {
            offset: self.position,
            kind: ErrorKind::Truncated,
        })
    }

    /// Family and version, once the magic was read.
    pub fn header(&self) -> Option<Header> {
        self.machine.header()
    }

    fn run<S: Sink>(&mut self, cursor: &mut Cursor<'_>, sink: &mut S) -> Result<(), ErrorKind> {
        let mut unhashed = Unhashed(cursor.rest());
        loop {
            if unhashed.pending(cursor) >= CHECKSUM_WINDOW {
                unhashed.hash(cursor, &mut self.crc);
            }
            let outcome = match self.machine.phase() {
                Phase::Items => self.advance(cursor, sink),
                Phase::Checksum => {
                    unhashed.hash(cursor, &mut self.crc);
                    self.checksum(cursor, sink)
                }
                Phase::Footer => {
                    unhashed.hash(cursor, &mut self.crc);
                    self.footer(cursor, sink)
                }
                Phase::Done => return Ok(()),
            };
            match outcome {
                Ok(()) => {}
                Err(Stop::Fault(kind)) => return Err(kind),
                Err(Stop::Short) => {
                    unhashed.hash(cursor, &mut self.crc);
                    return Ok(());
                }
            }
        }
    }

    /// Some items from the input, or progress with a large one.
    fn advance<S: Sink>(&mut self, cursor: &mut Cursor<'_>, sink: &mut S) -> Result<(), Stop> {
        if self.gather.is_some() {
            return self.advance_gather(cursor, sink);
        }
        match self.machine.step(cursor, sink) {
            Err(Stop::Short) if cursor.rest().len() >= self.contiguous => {
                self.gather_start = cursor.position();
                let gather = Gather::new(self.gather_start, self.machine.seed());
                self.gather = Some(Box::new(gather));
                Ok(())
            }
            outcome => outcome,
        }
    }

    #[cold]
    fn advance_gather<S: Sink>(
        &mut self,
        cursor: &mut Cursor<'_>,
        sink: &mut S,
    ) -> Result<(), Stop> {
        while let Some(gather) = &mut self.gather {
            let mut replay = gather.replay();
            let outcome = self.machine.step(&mut replay, sink);
            let (is_used, missing) = (replay.is_used(), replay.missing());
            match outcome {
                Err(Stop::Short) if !is_used => gather.want(missing),
                Ok(()) | Err(Stop::Short) => {
                    self.gather = None;
                    return Ok(());
                }
                Err(fault) => return Err(fault),
            }
            gather.advance(cursor)?;
        }
        Ok(())
    }

    fn checksum<S: Sink>(&mut self, cursor: &mut Cursor<'_>, sink: &mut S) -> Result<(), Stop> {
        let stored = cursor.u64_le()?;
        let computed = self.crc.value();
        let checksum = match stored {
            0 => Checksum::Absent,
            stored if stored == computed => Checksum::Verified,
            stored => return Err(ErrorKind::Checksum { computed, stored }.into()),
        };
        self.machine.finish(checksum, sink);
        Ok(())
    }

    /// The end of a DUMP payload: u16le version, u64le checksum over all that is before it.
    fn footer<S: Sink>(&mut self, cursor: &mut Cursor<'_>, sink: &mut S) -> Result<(), Stop> {
        let end = cursor.position();
        let footer = self.payload_len.unwrap_or(0).saturating_sub(FOOTER_BYTES);
        if end > footer {
            return Err(ErrorKind::PayloadEnd { end, footer }.into());
        }
        if end < footer {
            return self.skip_tail(footer.saturating_sub(end), cursor, sink);
        }
        let mark = cursor.mark();
        let version: [u8; 2] = cursor.array()?;
        let Ok(stored) = cursor.u64_le() else {
            cursor.reset(mark);
            return Err(Stop::Short);
        };
        self.crc.update(&version);
        let computed = self.crc.value();
        if computed != stored {
            return Err(ErrorKind::Checksum { computed, stored }.into());
        }
        let version = u32::from(u16::from_le_bytes(version));
        self.machine
            .check_payload_family(payload_family(version), version)?;
        sink.item(Item::End {
            checksum: Checksum::Verified,
        });
        self.machine.finish_payload();
        Ok(())
    }
}

impl Decoder {
    /// Servers never look between value and footer; what is there is skipped, and said once.
    fn skip_tail<S: Sink>(
        &mut self,
        bytes: u64,
        cursor: &mut Cursor<'_>,
        sink: &mut S,
    ) -> Result<(), Stop> {
        if !self.is_tail_noted {
            self.is_tail_noted = true;
            sink.item(Item::Warning(Warning::PayloadTail { bytes }));
        }
        if cursor.take(bytes).is_empty() {
            Err(Stop::Short)
        } else {
            Ok(())
        }
    }
}

/// Whose tables a payload of this version is to be read with. Up to 11 they are the same.
pub(super) fn payload_family(version: u32) -> Family {
    if version >= VALKEY_FIRST {
        Family::Valkey
    } else {
        Family::Redis
    }
}

#[cfg(test)]
mod tests;
