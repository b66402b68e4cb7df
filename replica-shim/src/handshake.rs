//! The questions before the stream, and what their answers mean.
//!
//! ```text
//!   Ping > Auth? > Name? > Port > Address? > Capabilities > Version? > Psync
//!                                                                   > Filter? > Sync   (stand-by)
//! ```
//!
//! One question at a time: PSYNC is refused while the server still has replies for us. A real
//! replica ignores errors to REPLCONF; so do we, except for those about rights, because a link
//! without `+replconf` would be cut, or on 6.0 corrupted, by its first ACK.

use std::fmt;

use crate::error::{Error, Refusal};
use crate::limits;
use crate::options::{Announce, Options};
use crate::outbound::{Outbound, Secret};
use crate::position::{Offset, ReplId};
use crate::resp;

/// A question of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `PING`: is anybody there, and may we speak?
    Ping,
    /// `AUTH`.
    Auth,
    /// `CLIENT SETNAME`.
    Name,
    /// `REPLCONF listening-port`.
    Port,
    /// `REPLCONF ip-address`.
    Address,
    /// `REPLCONF capa`.
    Capabilities,
    /// `REPLCONF version`.
    Version,
    /// `REPLCONF rdb-filter-only`.
    Filter,
    /// `PSYNC`.
    Psync,
    /// `SYNC`.
    Sync,
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ask::Ping => "PING",
            Ask::Auth => "AUTH",
            Ask::Name => "CLIENT SETNAME",
            Ask::Port => "REPLCONF listening-port",
            Ask::Address => "REPLCONF ip-address",
            Ask::Capabilities => "REPLCONF capa",
            Ask::Version => "REPLCONF version",
            Ask::Filter => "REPLCONF rdb-filter-only",
            Ask::Psync => "PSYNC",
            Ask::Sync => "SYNC",
        })
    }
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Follow the server: PSYNC.
    Follow,
    /// Stand by with SYNC, with as small a snapshot as the server can be asked for.
    StandBy {
        /// Whether the server knows the filter (7.0 and newer).
        filter: bool,
    },
}

/// What a reply to a question means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Go on with the next question.
    Next,
    /// It was refused, and we can do without it.
    Declined,
    /// `+FULLRESYNC`.
    FullResync(ReplId, Offset),
    /// `+CONTINUE`, with the name the history has now.
    Continue(Option<ReplId>),
}

impl Ask {
    /// The question that follows. The last one is followed by the transfer or the stream, so it
    /// stays what it is.
    pub(crate) fn next(self, options: &Options, purpose: Purpose) -> Ask {
        let mut ask = self.successor(purpose);
        while !ask.is_wanted(options, purpose) {
            ask = ask.successor(purpose);
        }
        ask
    }

    fn successor(self, purpose: Purpose) -> Ask {
        match self {
            Ask::Ping => Ask::Auth,
            Ask::Auth => Ask::Name,
            Ask::Name => Ask::Port,
            Ask::Port => Ask::Address,
            Ask::Address => Ask::Capabilities,
            Ask::Capabilities => Ask::Version,
            Ask::Version => match purpose {
                Purpose::Follow => Ask::Psync,
                Purpose::StandBy { .. } => Ask::Filter,
            },
            Ask::Filter | Ask::Sync => Ask::Sync,
            Ask::Psync => Ask::Psync,
        }
    }

    fn is_wanted(self, options: &Options, purpose: Purpose) -> bool {
        match self {
            Ask::Auth => options.auth.is_some(),
            Ask::Name => options.client_name.is_some(),
            Ask::Address => options.announce_ip.is_some(),
            Ask::Version => match options.announce {
                Announce::Nothing => false,
                Announce::Version | Announce::VersionThenLower => true,
            },
            Ask::Filter => purpose == (Purpose::StandBy { filter: true }),
            Ask::Ping | Ask::Port | Ask::Capabilities | Ask::Psync | Ask::Sync => true,
        }
    }

    /// Whether the transfer may begin instead of a reply line.
    pub(crate) fn is_last(self) -> bool {
        matches!(self, Ask::Psync | Ask::Sync)
    }

    /// The question in words of the wire.
    pub(crate) fn outbound(self, options: &Options) -> Outbound<'_> {
        match self {
            Ask::Auth => match &options.auth {
                Some(auth) => Outbound::Auth {
                    user: auth.user.as_deref(),
                    password: Secret(&auth.password),
                },
                None => Outbound::Ping,
            },
            Ask::Ping => Outbound::Ping,
            Ask::Name => Outbound::ClientSetName(options.client_name.as_deref().unwrap_or("")),
            Ask::Port => Outbound::ListeningPort(options.announce_port),
            Ask::Address => Outbound::IpAddress(options.announce_ip.as_deref().unwrap_or("")),
            Ask::Capabilities => Outbound::Capabilities,
            Ask::Version => Outbound::AnnounceVersion,
            Ask::Filter => Outbound::FilterAll,
            Ask::Psync => Outbound::Psync(options.resume.as_ref()),
            Ask::Sync => Outbound::Sync,
        }
    }

    /// What a `+` line means. `None`: it may not come here.
    pub(crate) fn accepted(self, text: &[u8], options: &Options) -> Option<Answer> {
        match self {
            Ask::Psync => psync_answer(text, options.resume.is_some()),
            Ask::Sync => None,
            Ask::Ping
            | Ask::Auth
            | Ask::Name
            | Ask::Port
            | Ask::Address
            | Ask::Capabilities
            | Ask::Version
            | Ask::Filter => Some(Answer::Next),
        }
    }

    /// What a `-` line means.
    pub(crate) fn refused(self, text: &[u8], options: &Options) -> Result<Answer, Error> {
        let refusal = Refusal::of(text);
        match (self, refusal) {
            // PING needs no right that the link needs; AUTH comes next.
            (Ask::Ping, Refusal::NoPermission) => Ok(Answer::Next),
            (Ask::Ping, Refusal::NoAuth) if options.auth.is_some() => Ok(Answer::Next),
            (Ask::Auth, Refusal::Unlisted) if is_open(text) => Ok(Answer::Declined),
            // Whatever else is wrong with AUTH, it is about the credentials.
            (Ask::Auth, Refusal::Unlisted) => Err(self.refusal(Refusal::WrongPassword, text)),
            (Ask::Name, Refusal::NoPermission) => Ok(Answer::Declined),
            (Ask::Filter, Refusal::Unlisted) => Err(self.refusal(Refusal::OptionUnknown, text)),
            (
                Ask::Name | Ask::Port | Ask::Address | Ask::Capabilities | Ask::Version,
                Refusal::Unlisted | Refusal::UnknownCommand | Refusal::OptionUnknown,
            ) => Ok(Answer::Declined),
            (_, refusal) => Err(self.refusal(refusal, text)),
        }
    }

    fn refusal(self, refusal: Refusal, text: &[u8]) -> Error {
        let cut = text.get(..limits::REFUSAL_TEXT_MAX).unwrap_or(text);
        Error::Refused {
            ask: self,
            refusal,
            text: cut.escape_ascii().to_string(),
        }
    }
}

/// Whether AUTH was refused because the server wants no password.
fn is_open(text: &[u8]) -> bool {
    text.starts_with(b"ERR Client sent AUTH, but no password is set")
        || text.starts_with(b"ERR AUTH <password> called without any password configured")
}

fn psync_answer(text: &[u8], asked_to_continue: bool) -> Option<Answer> {
    let mut words = text
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    let verb = words.next()?;
    let first = words.next();
    let second = words.next();
    if words.next().is_some() {
        return None;
    }
    match (verb, first, second) {
        (b"FULLRESYNC", Some(id), Some(offset)) => {
            let offset = resp::unsigned(offset).filter(|offset| *offset <= i64::MAX as u64)?;
            Some(Answer::FullResync(ReplId::parse(id)?, Offset(offset)))
        }
        (b"CONTINUE", None, None) if asked_to_continue => Some(Answer::Continue(None)),
        (b"CONTINUE", Some(id), None) if asked_to_continue => {
            Some(Answer::Continue(Some(ReplId::parse(id)?)))
        }
        _ => None,
    }
}
