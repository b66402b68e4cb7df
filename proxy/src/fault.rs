//! Every way to lose a link, as what is counted and what is done next. One place, exhaustive.

use std::fmt::Write;

use replica_shim::rdb::Blame;
use replica_shim::{Error, Refusal, Verdict};
use thiserror::Error;

use crate::fleet::Loss;
use crate::link::connect::DialError;
use crate::side::client::SideError;

/// A link that was lost, or did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is counted.
    pub loss: Loss,
    /// What to do next.
    pub verdict: Verdict,
    /// For people: what happened, down to the cause.
    pub text: String,
}

/// Why we do not attach to a server that can be reached.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unfit {
    /// It reads its own snapshot.
    #[error("the server is loading its own snapshot")]
    Loading,
    /// It would wait for us before it stops.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// A replica that has nothing new to tell.
    #[error("the server is a replica without a link to its master")]
    Orphan,
    /// A replica that has not read as far as we have.
    #[error("the server is a replica that is behind us")]
    Behind,
    /// Ourselves.
    #[error("this is our own port: name the server, not keyscape")]
    Ourselves,
    /// Followed already.
    #[error("this server is followed already, as {0}")]
    Followed(String),
    /// Another node of a cluster, or one of another cluster.
    #[error("another node is at this address: {0}")]
    Stranger(String),
    /// The look before a full sync found something, and the policy is to refuse.
    #[error("no full sync for now: {0}")]
    Preflight(String),
    /// The last full sync came to nothing, and the server is spared another one for so many seconds.
    #[error("no full sync for another {0} s: the last one was cut, or its stream soon after it")]
    Spared(u64),
    /// The last snapshot could not be read, and the next would most likely be the same: what was
    /// wrong, and until when it is not asked for.
    #[error("no full sync {1}")]
    Unread(Loss, String),
    /// The process ends.
    #[error("the process ends")]
    Ending,
}

/// Why there is no link.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The link's connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The second connection.
    #[error(transparent)]
    Side(#[from] SideError),
    /// We do not want to.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Fault {
    /// A link that ended with an error of the machine; `verdict` in the light of earlier attempts.
    pub fn of_link(error: &Error, verdict: Verdict) -> Fault {
        Fault {
            loss: link_loss(error),
            verdict,
            text: chain(error),
        }
    }

    /// A link that did not come about.
    pub fn of_attach(error: &AttachError) -> Fault {
        let (loss, verdict) = match error {
            AttachError::Dial(e) => (e.loss(), Verdict::RetryLater),
            AttachError::Side(e @ SideError::Denied(_)) => (e.loss(), Verdict::Credentials),
            AttachError::Side(
                e @ (SideError::Dial(_)
                | SideError::Broken(_)
                | SideError::Closed
                | SideError::Silent
                | SideError::Reply(_)
                | SideError::Decode),
            ) => (e.loss(), Verdict::RetryLater),
            AttachError::Unfit(unfit) => unfit_loss(unfit),
        };
        Fault {
            loss,
            verdict,
            text: chain(error),
        }
    }

    /// Something that we saw ourselves.
    pub fn own(loss: Loss, verdict: Verdict, text: &str) -> Fault {
        Fault {
            loss,
            verdict,
            text: text.to_owned(),
        }
    }
}

fn unfit_loss(unfit: &Unfit) -> (Loss, Verdict) {
    match unfit {
        Unfit::Loading
        | Unfit::Orphan
        | Unfit::Behind
        | Unfit::Stranger(_)
        | Unfit::Preflight(_) => (Loss::NotReady, Verdict::RetryLater),
        Unfit::Spared(_) => (Loss::Spared, Verdict::RetryLater),
        // As loud as the first time: nothing changes by itself.
        Unfit::Unread(loss, _) => (*loss, Verdict::GiveUp),
        Unfit::ShuttingDown | Unfit::Ending => (Loss::Shutdown, Verdict::RetryLater),
        Unfit::Ourselves | Unfit::Followed(_) => (Loss::Ourselves, Verdict::GiveUp),
    }
}

fn link_loss(error: &Error) -> Loss {
    match error {
        Error::Peer { .. } | Error::Unexpected { .. } => Loss::Corrupt,
        Error::Snapshot { source, .. } => match source.blame() {
            Blame::Peer => Loss::Corrupt,
            Blame::Unsupported => Loss::Unsupported,
            Blame::Limit => Loss::Limit,
        },
        Error::Limit { .. } => Loss::Limit,
        Error::Refused { refusal, .. } => match refusal {
            Refusal::Loading
            | Refusal::Busy
            | Refusal::MasterDown
            | Refusal::NoMasterLink
            | Refusal::TooManyClients
            | Refusal::SaveFailed
            | Refusal::Unlisted => Loss::NotReady,
            Refusal::NoAuth | Refusal::WrongPassword | Refusal::NoPermission | Refusal::Denied => {
                Loss::Denied
            }
            Refusal::UnknownCommand | Refusal::OptionUnknown => Loss::Unsupported,
        },
        Error::Silent { .. } => Loss::Silent,
        Error::Closed { .. } | Error::Ended => Loss::Closed,
        Error::HandOver(_) => Loss::NotReady,
    }
}

/// An error with its causes, as one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.ends_with(&line) {
            // Writing to a string does not fail.
            let _ = write!(text, ": {line}");
        }
        cause = error.source();
    }
    text
}
