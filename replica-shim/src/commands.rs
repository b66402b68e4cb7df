//! The command stream: commands with their database and the offset behind them.
//!
//! ```text
//!            MULTI              EXEC / too large
//!   Outside ------> Held (copied) ------> Replaying ----> Outside, or Through if it was too large
//!                                                          Through: released as it arrives, to EXEC
//! ```
//!
//! A command is read in place where it lies whole in the caller's buffer. Otherwise, once it is
//! long, its parts move to `kept` and leave the buffer; values above `limits::LONG_BYTES` are not
//! kept at all. A transaction is copied and released at its EXEC in one run, so that nothing of it
//! was applied if the link is cut inside it.
//!
//! Offsets count every byte of a command and no keepalive newline. What is committed is the place
//! to resume from: behind the last command outside a transaction, behind the last EXEC, or behind the
//! last command that was released of a transaction.

mod kept;
mod kind;
mod transaction;

pub(crate) use kept::Kept;
use kept::Large;
use kind::{Kind, whole_up_to};
use transaction::{Record, Transaction};

use crate::event::Command;
use crate::limits;
use crate::position::Offset;
use crate::resp::Fault;
use crate::resp::request::{Limits, Scanned, Scanner};

/// Where the stream changes from reading in place to collecting. They are the constants of
/// [`limits`], except in tests, which meet the other paths sooner with smaller ones.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// [`limits::LONG_BYTES`].
    pub long_bytes: u64,
    /// [`limits::SPILL_BYTES`].
    pub spill_bytes: usize,
    /// [`limits::TRANSACTION_BYTES`].
    pub transaction_bytes: u64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            long_bytes: limits::LONG_BYTES as u64,
            spill_bytes: limits::SPILL_BYTES,
            transaction_bytes: limits::TRANSACTION_BYTES,
        }
    }
}

impl Thresholds {
    /// Nothing inline, and a pause before anything that is not read in place.
    fn scanner(self) -> Scanner {
        Scanner::new(Limits {
            arguments: limits::ARGUMENTS_MAX,
            argument_bytes: limits::ARGUMENT_BYTES_MAX,
            request_bytes: u64::from(u32::MAX),
            inline_bytes: 0,
            large_bytes: self.long_bytes,
        })
    }
}

/// What a call of [`Commands::advance`] came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advance {
    pub(crate) consumed: usize,
    pub(crate) ready: Ready,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    /// Nothing; more bytes are needed.
    Nothing,
    /// A command at this place of the input.
    InPlace {
        start: usize,
    },
    /// A command in `kept`, from this span on to the end.
    Kept {
        span: usize,
    },
    /// This one of the held commands.
    Held {
        index: usize,
    },
    Multi,
    Exec,
    Ping,
    GetAck,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stand {
    /// Behind the last whole command, committed or not.
    pub(crate) offset: u64,
    /// Where to resume, and in which database.
    pub(crate) committed: (u64, u32),
    /// The byte that is read next, for errors.
    pub(crate) next_byte: u64,
}

/// A stream that cannot be followed any further.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    Resp(Fault),
    Order {
        expected: &'static str,
        got: &'static str,
    },
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        Broken::Resp(fault)
    }
}

/// The stream's reader.
#[derive(Debug)]
pub(crate) struct Commands {
    scanner: Scanner,
    thresholds: Thresholds,
    seed: u64,
    /// Behind the last whole command.
    offset: u64,
    /// Bytes consumed of the command that is not whole.
    partial: u64,
    db: u32,
    committed: (u64, u32),
    /// Commands up to here have been applied from another link.
    skip_until: u64,
    /// Newlines seen at this offset.
    newlines: u64,
    newlines_at: u64,
    transaction: Transaction,
    records: Vec<Record>,
    large: Option<Large>,
    kept: Kept,
    /// `kept` and `records` are of no more use once the next call comes.
    is_spent: bool,
}

impl Commands {
    /// A stream whose next byte is the one behind `offset`.
    pub(crate) fn new(offset: Offset, db: u32, seed: u64, thresholds: Thresholds) -> Commands {
        Commands {
            scanner: thresholds.scanner(),
            thresholds,
            seed,
            offset: offset.0,
            partial: 0,
            db,
            committed: (offset.0, db),
            skip_until: 0,
            newlines: 0,
            newlines_at: 0,
            transaction: Transaction::Outside,
            records: Vec::new(),
            large: None,
            kept: Kept::default(),
            is_spent: false,
        }
    }

    /// Commands up to `offset` are known already; they are read over. The committed position is
    /// `offset` at once.
    pub(crate) fn skip_to(&mut self, offset: Offset, db: u32) {
        self.skip_until = offset.0;
        self.committed = (offset.0, db);
        if offset.0 == self.offset {
            self.db = db;
        }
    }

    /// Where the stream stands.
    #[inline]
    pub(crate) fn stand(&self) -> Stand {
        Stand {
            offset: self.offset,
            committed: self.committed,
            next_byte: self.offset.saturating_add(self.partial),
        }
    }

    /// The database of the next command.
    pub(crate) fn db(&self) -> u32 {
        self.db
    }

    /// Gives away the arena of the command that [`Ready::Kept`] announced, and says whether it stands
    /// in a transaction.
    pub(crate) fn take_kept(&mut self) -> (Kept, bool) {
        let in_transaction = self.transaction != Transaction::Outside;
        (std::mem::take(&mut self.kept), in_transaction)
    }

    /// The command that `ready` announced, unless it is in an arena of its own.
    #[inline]
    pub(crate) fn command<'a>(&'a self, ready: Ready, input: &'a [u8]) -> Option<Command<'a>> {
        let in_transaction = self.transaction != Transaction::Outside;
        let end_offset = Offset(self.offset);
        match ready {
            Ready::InPlace { start } => {
                let args = self.scanner.args(input.get(start..).unwrap_or_default());
                Some(Command {
                    db: self.db,
                    args,
                    end_offset,
                    in_transaction,
                })
            }
            Ready::Held { index } => self.held(index),
            Ready::Kept { .. }
            | Ready::Nothing
            | Ready::Multi
            | Ready::Exec
            | Ready::Ping
            | Ready::GetAck => None,
        }
    }

    fn held(&self, index: usize) -> Option<Command<'_>> {
        let record = self.records.get(index)?;
        let before = index
            .checked_sub(1)
            .and_then(|index| self.records.get(index));
        let from = before.map_or(0, |record| record.spans_end);
        Some(Command {
            db: record.db,
            args: self.kept.args(from, record.spans_end),
            end_offset: Offset(record.end_offset),
            in_transaction: true,
        })
    }

    /// Reads on, to the next thing to tell.
    #[inline]
    pub(crate) fn advance(&mut self, input: &[u8]) -> Result<Advance, Broken> {
        let mut at: usize = 0;
        loop {
            if self.transaction != Transaction::Outside
                && let Some(ready) = self.replay()
            {
                return Ok(Advance {
                    consumed: at,
                    ready,
                });
            }
            if self.is_spent {
                self.forget();
            }
            let rest = input.get(at..).unwrap_or_default();
            if rest.first() == Some(&b'\n') && self.is_between() {
                at = at.saturating_add(self.newlines(rest)?);
                continue;
            }
            let ready = match self.read(rest)? {
                Read::Part { consumed } => {
                    let consumed = at.saturating_add(consumed);
                    return Ok(Advance {
                        consumed,
                        ready: Ready::Nothing,
                    });
                }
                Read::InPlace { len } => {
                    let start = at;
                    at = at.saturating_add(len);
                    self.in_place(rest, len, start)?
                }
                Read::Kept { consumed, span } => {
                    at = at.saturating_add(consumed);
                    self.spilled(span)?
                }
            };
            if let Some(ready) = ready {
                return Ok(Advance {
                    consumed: at,
                    ready,
                });
            }
        }
    }

    /// Whether the next byte begins a command.
    #[inline]
    fn is_between(&self) -> bool {
        self.scanner.is_idle() && self.large.is_none()
    }

    /// Counts the keepalives at the front, which no offset counts.
    #[cold]
    fn newlines(&mut self, rest: &[u8]) -> Result<usize, Broken> {
        let run = rest.iter().take_while(|byte| **byte == b'\n').count();
        if self.newlines_at != self.offset {
            self.newlines_at = self.offset;
            self.newlines = 0;
        }
        self.newlines = self.newlines.saturating_add(run as u64);
        if self.newlines > limits::NEWLINES_MAX {
            let (max, got) = (limits::NEWLINES_MAX, self.newlines);
            return Err(Fault::TooBig {
                what: "run of newlines",
                max,
                got,
            }
            .into());
        }
        Ok(run)
    }

    /// Reads one command, or as much of it as there is.
    #[inline]
    fn read(&mut self, rest: &[u8]) -> Result<Read, Broken> {
        if self.partial == 0 && self.large.is_none() {
            match self.scanner.scan(rest)? {
                Scanned::Done { len } => return Ok(Read::InPlace { len }),
                Scanned::More if self.scanner.pending() <= self.thresholds.spill_bytes => {
                    return Ok(Read::Part { consumed: 0 });
                }
                Scanned::More => {
                    let consumed = self.spill(rest)?;
                    return Ok(Read::Part { consumed });
                }
                Scanned::Large { index, len } => {
                    let consumed = self.spill(rest)?;
                    self.begin_large(index, len)?;
                    return self.read_spilled(rest, consumed);
                }
            }
        }
        self.read_spilled(rest, 0)
    }

    /// Goes on with a command of which parts have left the buffer.
    #[cold]
    fn read_spilled(&mut self, rest: &[u8], mut used: usize) -> Result<Read, Broken> {
        loop {
            let view = rest.get(used..).unwrap_or_default();
            if let Some(large) = &mut self.large {
                let (taken, is_whole) = self.kept.take(large, view)?;
                used = used.saturating_add(taken);
                self.partial = self.partial.saturating_add(taken as u64);
                if !is_whole {
                    return Ok(Read::Part { consumed: used });
                }
                self.large = None;
                self.scanner.skip_large();
                continue;
            }
            match self.scanner.scan(view)? {
                Scanned::Done { len } => {
                    self.keep(view)?;
                    self.partial = self.partial.saturating_add(len as u64);
                    used = used.saturating_add(len);
                    let span = self.records.last().map_or(0, |record| record.spans_end);
                    return Ok(Read::Kept {
                        consumed: used,
                        span,
                    });
                }
                Scanned::More => {
                    if self.scanner.pending() > self.thresholds.spill_bytes {
                        used = used.saturating_add(self.spill(view)?);
                    }
                    return Ok(Read::Part { consumed: used });
                }
                Scanned::Large { index, len } => {
                    used = used.saturating_add(self.spill(view)?);
                    self.begin_large(index, len)?;
                }
            }
        }
    }

    /// Moves what was scanned of the command out of the buffer; says how many bytes that were.
    fn spill(&mut self, view: &[u8]) -> Result<usize, Broken> {
        self.keep(view)?;
        let released = self.scanner.release();
        self.partial = self.partial.saturating_add(released as u64);
        Ok(released)
    }

    /// Copies the scanner's arguments behind those kept.
    fn keep(&mut self, view: &[u8]) -> Result<(), Fault> {
        self.kept.absorb(&self.scanner.args(view))?;
        self.kept.check(0)
    }

    fn begin_large(&mut self, index: usize, len: u64) -> Result<(), Fault> {
        let args = self.kept.args(self.first_span(), self.kept.len());
        let whole = whole_up_to(&args, index);
        self.large = Some(match whole {
            Some((what, max)) if len > max => {
                return Err(Fault::TooBig {
                    what,
                    max,
                    got: len,
                });
            }
            Some(_) => {
                self.kept.check(len)?;
                self.kept.begin(len)?
            }
            None => Large::digest(len, self.seed),
        });
        Ok(())
    }

    /// The first span of the command being read.
    fn first_span(&self) -> usize {
        self.records.last().map_or(0, |record| record.spans_end)
    }

    /// A whole command of `len` bytes lies at the front of `rest`, `start` bytes into the input.
    #[inline]
    fn in_place(&mut self, rest: &[u8], len: usize, start: usize) -> Result<Option<Ready>, Broken> {
        let kind = Kind::of(&self.scanner.args(rest))?;
        let before = self.offset;
        self.offset = before.saturating_add(len as u64);
        if before < self.skip_until {
            return self.skipped(kind);
        }
        if kind == Kind::Ordinary {
            if self.transaction == Transaction::Outside {
                self.committed = (self.offset, self.db);
                return Ok(Some(Ready::InPlace { start }));
            }
            if matches!(self.transaction, Transaction::Held { .. }) {
                self.kept.absorb(&self.scanner.args(rest))?;
            }
        }
        self.sort(kind, Ready::InPlace { start })
    }

    /// A whole command lies in `kept`, from `span` on.
    #[cold]
    fn spilled(&mut self, span: usize) -> Result<Option<Ready>, Broken> {
        let kind = Kind::of(&self.kept.args(span, self.kept.len()))?;
        let before = self.offset;
        self.offset = before.saturating_add(std::mem::take(&mut self.partial));
        let is_held = matches!(self.transaction, Transaction::Held { .. });
        if !is_held {
            self.is_spent = true;
        } else if kind != Kind::Ordinary {
            self.kept.truncate(span);
        }
        if before < self.skip_until {
            return self.skipped(kind);
        }
        self.sort(kind, Ready::Kept { span })
    }

    /// Drops what was kept, and gives back what was much.
    #[cold]
    fn forget(&mut self) {
        self.is_spent = false;
        self.records.clear();
        self.records.shrink_to(limits::IDLE_CAPACITY >> 5);
        self.kept.clear();
    }
}

/// How [`Commands::read`] found a command.
enum Read {
    /// It is not whole; this much of it was consumed.
    Part { consumed: usize },
    /// Whole in the caller's buffer.
    InPlace { len: usize },
    /// Whole in `kept`, from this span on.
    Kept { consumed: usize, span: usize },
}
