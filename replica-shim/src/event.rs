//! What a link tells its driver.

use crate::handshake::Ask;
use crate::position::{Offset, Position, ReplId};
use crate::resp::Args;

/// What happened before the stream, or to it. Snapshot items go to the sink instead, in the same call;
/// what the stream says is in a [`crate::Batch`].
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The server refused something we can do without. Worth a line in the log.
    Declined {
        /// What it refused.
        ask: Ask,
    },
    /// The server sends a snapshot: everything known about this master is to be replaced by what
    /// follows. Under `SYNC` (asked for, or a renamed PSYNC) the position comes with the snapshot.
    FullResync {
        /// The history and where in it the snapshot lies.
        start: Option<(ReplId, Offset)>,
    },
    /// The server continues where we stopped.
    Continued {
        /// Where: as we asked, but under the name the history has now.
        position: Position,
        /// Whether that name is new (the server was promoted, or restarted).
        renamed: bool,
    },
    /// The transfer begins. From here on nobody holds back the snapshot.
    SnapshotBegan {
        /// Its size, if the server knows it.
        bytes: Option<u64>,
    },
    /// The snapshot is whole and was delivered to the sink; commands follow.
    SnapshotEnded {
        /// Where the stream begins.
        position: Position,
    },
    /// A [`crate::Link::sync_only`] link stands by. Follow the other link to at least this offset,
    /// then call [`crate::Link::take_over`].
    StandsBy {
        /// The history.
        replid: ReplId,
        /// Where this link's stream begins.
        offset: Offset,
    },
}

/// What the stream says. Borrows from the batch that it was read into.
#[derive(Clone, Copy, Debug)]
pub enum Streamed<'a> {
    /// One command of the stream.
    Command(Command<'a>),
    /// A transaction begins; its commands follow without a break, up to [`Streamed::Exec`].
    Multi,
    /// A transaction ends. Without a beginning if we resumed inside a very large one.
    Exec {
        /// The offset behind it.
        end_offset: Offset,
    },
    /// The master's heartbeat.
    Ping {
        /// The offset behind it.
        end_offset: Offset,
    },
    /// The master wants an ACK: somebody WAITs, or it shuts down. From a master of 7.0 or newer:
    /// read `INFO server`, and if `shutdown_in_milliseconds` is there, close the link at once.
    GetAck {
        /// The offset behind it.
        end_offset: Offset,
    },
}

/// A command of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// The database it acts on.
    pub db: u32,
    /// Name and arguments.
    pub args: Args<'a>,
    /// The offset behind it.
    pub end_offset: Offset,
    /// Whether it stands between MULTI and EXEC.
    pub in_transaction: bool,
}

/// What one call came to.
#[derive(Debug)]
pub struct Step {
    /// Bytes to drop from the front of the input, once done with the event.
    pub consumed: usize,
    /// What happened. `None` with `consumed == 0`: more bytes are needed.
    pub event: Option<Event>,
}

impl Step {
    /// More bytes are needed before anything can happen.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.consumed == 0 && self.event.is_none()
    }
}

/// The phases of a link, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Questions and answers up to PSYNC.
    Handshake,
    /// PSYNC was answered by a full resync; the server prepares the snapshot.
    Waiting,
    /// The snapshot arrives.
    Transfer,
    /// A second link stands by for its hand-over.
    Held,
    /// Commands arrive.
    Stream,
    /// Over.
    Ended,
}

impl Phase {
    /// A word for logs and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Handshake => "handshake",
            Phase::Waiting => "waiting",
            Phase::Transfer => "transfer",
            Phase::Held => "held",
            Phase::Stream => "stream",
            Phase::Ended => "ended",
        }
    }

    /// Whether byte positions in this phase are stream offsets.
    #[must_use]
    pub fn is_stream(self) -> bool {
        match self {
            Phase::Stream => true,
            Phase::Handshake | Phase::Waiting | Phase::Transfer | Phase::Held | Phase::Ended => {
                false
            }
        }
    }
}
