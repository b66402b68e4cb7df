//! What the stream says, in a form that can be made in one place and followed in another.
//!
//! ```text
//!   bytes --> Reader::read --> Batch --(another thread, or the same)--> Link::follow --> Streamed
//! ```
//!
//! Reading a stream needs its bytes and nothing of the link; following it is what moves the link's
//! position. Short commands are copied into one arena; one that had to be collected keeps the arena
//! that it was collected in, however large.

use crate::commands::{Broken, Kept, Ready, Stand};
use crate::event::{Command, Streamed};
use crate::limits;
use crate::position::Offset;
use crate::resp::{Args, Fault};

/// What the stream said, in order.
#[derive(Debug, Default)]
pub struct Batch {
    /// Arguments of most commands.
    kept: Kept,
    /// A command that was collected, which is the last.
    collected: Option<Kept>,
    entries: Vec<Entry>,
    /// Where the stream stands behind all this.
    pub(crate) end: Option<Stand>,
    /// What ended it.
    pub(crate) broken: Option<Broken>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    what: What,
    db: u32,
    /// Arguments, from here to there.
    from: u32,
    to: u32,
    /// The offset behind it; 0 for MULTI.
    pub(crate) end_offset: u64,
    in_transaction: bool,
    /// The stream may be resumed behind it.
    is_committed: bool,
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
enum What {
    Command,
    Collected,
    Multi,
    Exec,
    Ping,
    GetAck,
}

impl Entry {
    /// Where the stream may be resumed behind it, if it may.
    #[inline]
    pub(crate) fn committed(&self) -> Option<(u64, u32)> {
        self.is_committed.then_some((self.end_offset, self.db))
    }
}

impl Batch {
    /// How many things were said.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was said; the position may have moved all the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether no more is to be read into it.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= limits::BATCH_ENTRIES
            || self.kept.bytes() >= limits::BATCH_BYTES
            || self.is_large()
    }

    /// Whether it holds a command that had to be collected, which may be large.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.collected.is_some()
    }

    /// Whether the stream ends here because it cannot be read.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Forgets all, and gives back what was much.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.collected = None;
        self.entries.clear();
        self.end = None;
        self.broken = None;
    }

    /// The command of that number, if it is one.
    #[must_use]
    #[inline]
    pub fn command(&self, index: usize) -> Option<Command<'_>> {
        match self.streamed(self.entry(index)?) {
            Some(Streamed::Command(command)) => Some(command),
            Some(
                Streamed::Multi
                | Streamed::Exec { .. }
                | Streamed::Ping { .. }
                | Streamed::GetAck { .. },
            )
            | None => None,
        }
    }

    #[inline]
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    #[inline]
    pub(crate) fn streamed(&self, entry: &Entry) -> Option<Streamed<'_>> {
        let end_offset = Offset(entry.end_offset);
        let kept = match entry.what {
            What::Command => &self.kept,
            What::Collected => self.collected.as_ref()?,
            What::Multi => return Some(Streamed::Multi),
            What::Exec => return Some(Streamed::Exec { end_offset }),
            What::Ping => return Some(Streamed::Ping { end_offset }),
            What::GetAck => return Some(Streamed::GetAck { end_offset }),
        };
        Some(Streamed::Command(Command {
            db: entry.db,
            args: kept.args(entry.from as usize, entry.to as usize),
            end_offset,
            in_transaction: entry.in_transaction,
        }))
    }

    /// Copies a command.
    #[inline]
    pub(crate) fn push(
        &mut self,
        args: &Args<'_>,
        (end_offset, db): (u64, u32),
        (in_transaction, is_committed): (bool, bool),
    ) -> Result<(), Fault> {
        let from = place(self.kept.len())?;
        self.kept.absorb(args)?;
        self.entries.push(Entry {
            what: What::Command,
            db,
            from,
            to: place(self.kept.len())?,
            end_offset,
            in_transaction,
            is_committed,
        });
        Ok(())
    }

    /// Takes a command together with the arena that it was collected in, from that span on.
    pub(crate) fn adopt(
        &mut self,
        (kept, span): (Kept, usize),
        (end_offset, db): (u64, u32),
        (in_transaction, is_committed): (bool, bool),
    ) -> Result<(), Fault> {
        let entry = Entry {
            what: What::Collected,
            db,
            from: place(span)?,
            to: place(kept.len())?,
            end_offset,
            in_transaction,
            is_committed,
        };
        self.collected = Some(kept);
        self.entries.push(entry);
        Ok(())
    }

    /// Takes note of something that is no command.
    pub(crate) fn note(&mut self, ready: Ready, (end_offset, db): (u64, u32), is_committed: bool) {
        let (what, end_offset, is_committed) = match ready {
            // Nothing is resumed behind a MULTI.
            Ready::Multi => (What::Multi, 0, false),
            Ready::Exec => (What::Exec, end_offset, is_committed),
            Ready::Ping => (What::Ping, end_offset, is_committed),
            Ready::GetAck => (What::GetAck, end_offset, is_committed),
            Ready::Nothing | Ready::InPlace { .. } | Ready::Kept { .. } | Ready::Held { .. } => {
                return;
            }
        };
        self.entries.push(Entry {
            what,
            db,
            from: 0,
            to: 0,
            end_offset,
            in_transaction: false,
            is_committed,
        });
    }
}

/// A number of an argument or arena.
#[inline]
fn place(number: usize) -> Result<u32, Fault> {
    u32::try_from(number).map_err(|_| Fault::TooBig {
        what: "batch",
        max: u64::from(u32::MAX),
        got: number as u64,
    })
}
