//! What can go wrong on a link, sorted by blame, and what to do next.
//!
//! After an error the link is dead; the verdict says how the next one begins. No error carries
//! bytes of the stream or the snapshot, because those may be values. Texts of refusals are kept:
//! they are the server speaking about us.

use std::fmt;

use crate::event::Phase;
use crate::handshake::Ask;
use crate::rdb;
use crate::resp::Fault;

/// Where something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// In which phase of the link.
    pub phase: Phase,
    /// In the stream: its offset. Before: bytes since the connection began.
    pub byte: u64,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.phase.is_stream() {
            "offset"
        } else {
            "byte"
        };
        write!(f, "in {} at {unit} {}", self.phase.name(), self.byte)
    }
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer's bytes are not RESP.
    #[error("protocol error {at}: {fault}")]
    Peer {
        /// Where.
        at: At,
        /// What is wrong with them.
        fault: Fault,
    },
    /// The peer's bytes are well-formed, but this may not come here.
    #[error("the peer broke the order {at}: expected {expected}, got {got}")]
    Unexpected {
        /// Where.
        at: At,
        /// What may come.
        expected: &'static str,
        /// What came.
        got: &'static str,
    },
    /// The snapshot cannot be read.
    #[error("snapshot {at}: {source}")]
    Snapshot {
        /// Where.
        at: At,
        /// What the decoder says.
        source: rdb::Error,
    },
    /// A cap was exceeded.
    #[error("{what} of {got} exceeds {max} {at}")]
    Limit {
        /// Where.
        at: At,
        /// What is too much.
        what: &'static str,
        /// The cap.
        max: u64,
        /// What came, or how much of it when the cap was passed.
        got: u64,
    },
    /// The server answered with an error.
    #[error("{ask} was refused: {text}")]
    Refused {
        /// What was asked for.
        ask: Ask,
        /// The kind of refusal.
        refusal: Refusal,
        /// The server's words, cut and printable.
        text: String,
    },
    /// Nothing was heard for too long.
    #[error("silence for {waited_ms} ms in {}", phase.name())]
    Silent {
        /// In which phase.
        phase: Phase,
        /// How long.
        waited_ms: u64,
    },
    /// The peer closed the connection.
    #[error("closed by the peer {at}")]
    Closed {
        /// Where.
        at: At,
    },
    /// The two links of a hand-over do not belong together.
    #[error("hand-over: {0}")]
    HandOver(&'static str),
    /// The machine was used after it had ended.
    #[error("the link has ended")]
    Ended,
}

/// Kinds of error replies, by what to do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `-LOADING`: the server reads its own snapshot.
    Loading,
    /// `-BUSY`: a script runs.
    Busy,
    /// `-MASTERDOWN`: a replica without a link that may not serve stale data.
    MasterDown,
    /// `-NOMASTERLINK`: a replica without a live link, or a server that fails over.
    NoMasterLink,
    /// `-NOAUTH`: a password is needed.
    NoAuth,
    /// `-WRONGPASS`, `-ERR invalid password`: it is another one.
    WrongPassword,
    /// `-NOPERM`: the ACL user lacks a right.
    NoPermission,
    /// `-DENIED`: protected mode.
    Denied,
    /// `-ERR max number of clients reached`.
    TooManyClients,
    /// `-ERR unknown command`: renamed or blocked, as managed services do.
    UnknownCommand,
    /// `-ERR BGSAVE failed` and its kind: the server could not make a snapshot.
    SaveFailed,
    /// An option that this link cannot do without is unknown (the filter, before 7.0).
    OptionUnknown,
    /// No kind of the above.
    Unlisted,
}

impl Refusal {
    /// Sorts an error reply (without its `-`).
    #[must_use]
    pub fn of(text: &[u8]) -> Refusal {
        const TABLE: &[(&[u8], Refusal)] = &[
            (b"LOADING", Refusal::Loading),
            (b"BUSY", Refusal::Busy),
            (b"MASTERDOWN", Refusal::MasterDown),
            (b"NOMASTERLINK", Refusal::NoMasterLink),
            (b"NOAUTH", Refusal::NoAuth),
            (b"WRONGPASS", Refusal::WrongPassword),
            (b"NOPERM", Refusal::NoPermission),
            (b"DENIED", Refusal::Denied),
            (b"ERR operation not permitted", Refusal::NoAuth),
            (b"ERR invalid password", Refusal::WrongPassword),
            (b"ERR max number of clients", Refusal::TooManyClients),
            (b"ERR unknown command", Refusal::UnknownCommand),
            (b"ERR BGSAVE failed", Refusal::SaveFailed),
            (b"ERR Unrecognized REPLCONF option", Refusal::OptionUnknown),
        ];
        let found = TABLE
            .iter()
            .find(|(prefix, _)| starts_with_word(text, prefix));
        found.map_or(Refusal::Unlisted, |(_, refusal)| *refusal)
    }

    /// What to do next.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Refusal::Loading
            | Refusal::Busy
            | Refusal::MasterDown
            | Refusal::NoMasterLink
            | Refusal::TooManyClients
            | Refusal::SaveFailed
            | Refusal::Unlisted => Verdict::RetryLater,
            Refusal::NoAuth | Refusal::WrongPassword | Refusal::NoPermission | Refusal::Denied => {
                Verdict::Credentials
            }
            Refusal::UnknownCommand | Refusal::OptionUnknown => Verdict::GiveUp,
        }
    }
}

fn starts_with_word(text: &[u8], prefix: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(prefix) else {
        return false;
    };
    !rest.first().is_some_and(u8::is_ascii_alphanumeric)
}

/// How the next connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Reconnect now and continue from the committed position.
    Retry,
    /// Reconnect after a growing, jittered wait, and continue from the committed position if there
    /// is one.
    RetryLater,
    /// The committed position is of no more use: reconnect after a wait and ask for a full resync.
    FullResync,
    /// Rights or credentials have to be changed by somebody. Look again now and then.
    Credentials,
    /// Nothing will change until the server or this program is another one.
    GiveUp,
}

impl Error {
    /// What to do next.
    ///
    /// A protocol error in the stream is answered by continuing from the committed position: if it
    /// was the line, it is gone. If it comes again at the same place, [`Attempts`] escalates.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Error::Peer { at, .. } | Error::Unexpected { at, .. } => by_phase(at.phase),
            Error::Limit { at, .. } if at.phase.is_stream() => Verdict::FullResync,
            Error::Limit { .. } => Verdict::RetryLater,
            Error::Snapshot { source, .. } => match source.blame() {
                rdb::Blame::Peer | rdb::Blame::Limit => Verdict::RetryLater,
                rdb::Blame::Unsupported => Verdict::GiveUp,
            },
            Error::Refused { refusal, .. } => refusal.verdict(),
            Error::Silent { phase, .. } => by_phase(*phase),
            Error::Closed { at } => by_phase(at.phase),
            Error::HandOver(_) => Verdict::RetryLater,
            Error::Ended => Verdict::Retry,
        }
    }

    /// Where the error lies in the stream, if it does.
    fn stream_offset(&self) -> Option<u64> {
        match self {
            Error::Peer { at, .. } | Error::Unexpected { at, .. } | Error::Limit { at, .. } => {
                at.phase.is_stream().then_some(at.byte)
            }
            Error::Snapshot { .. }
            | Error::Refused { .. }
            | Error::Silent { .. }
            | Error::Closed { .. }
            | Error::HandOver(_)
            | Error::Ended => None,
        }
    }
}

/// A link that ended in its stream is resumed at once. One that ended before may have been
/// refused without a word (a child that failed to save, a full server), so it waits.
fn by_phase(phase: Phase) -> Verdict {
    match phase {
        Phase::Stream => Verdict::Retry,
        Phase::Handshake | Phase::Waiting | Phase::Transfer | Phase::Held | Phase::Ended => {
            Verdict::RetryLater
        }
    }
}

/// What is remembered from one attempt to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    failed_at: Option<u64>,
}

impl Attempts {
    /// The verdict in the light of the attempt before: what fails twice at the same stream offset
    /// would fail for ever, and a new snapshot leads past it. This is also how a link recovers
    /// whose offset has been corrupted by a reply in the stream (Redis 6.0, missing `+replconf`).
    pub fn judge(&mut self, error: &Error) -> Verdict {
        let offset = error.stream_offset();
        let again = offset.is_some() && offset == self.failed_at;
        if offset.is_some() {
            self.failed_at = offset;
        }
        if again {
            Verdict::FullResync
        } else {
            error.verdict()
        }
    }
}
